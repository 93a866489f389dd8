"""The CPU that code is compiled for, and the way from LLVM IR text to an address that can be called.

``host()`` describes this CPU, ``compile_object`` turns text into an object file, ``load_object``
links an object file into the process.  The environment variable ``LAMINA_CPU`` (``plain``,
``avx2``, ``avx512``) asks for a lower level than the CPU offers.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np
from llvmlite.binding import ffi

from lamina.core.errors import ArgumentError, LaminaError, UnsupportedError

DEFAULT_L1_BYTES = 32 << 10
DEFAULT_L2_BYTES = 512 << 10
DEFAULT_L3_BYTES = 8 << 20
# Level: bytes of a vector register, number of vector registers.
LEVELS = {"avx512": (64, 32), "avx2": (32, 16), "neon": (16, 32), "sse": (16, 16)}
NAMES = {"plain": "sse", "sse": "sse", "avx2": "avx2", "avx512": "avx512", "neon": "neon"}
X86_ORDER = ("sse", "avx2", "avx512")
# What code for a level needs of an x86-64 CPU.
AVX2_FEATURES = ("avx2", "fma", "bmi2", "f16c")
AVX512_FEATURES = (*AVX2_FEATURES, "avx512f", "avx512dq", "avx512bw", "avx512vl")
# Functions of the C library that compiled code calls (float32 forms have an "f" behind the name).
MATH_FUNCTIONS = (
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "atan2"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "pow", "fmod", "hypot", "erf", "erfc", "tgamma", "lgamma"),
    *("floor", "ceil", "trunc", "round", "rint", "nextafter", "cbrt", "remainder", "fma", "ldexp"),
)
MEMORY_FUNCTIONS = ("memcpy", "memmove", "memset")


class CompileError(LaminaError, RuntimeError):
    """LLVM did not accept what the code generator wrote; the message is LLVM's own."""


@dataclass(frozen=True)
class Target:
    """A CPU to compile for.

    Attributes:
        triple: LLVM's name of architecture and system.
        cpu: LLVM's name of the CPU.
        features: LLVM's list of features, ``"+avx2,-avx512f"``.
        simd: ``"avx512"``, ``"avx2"``, ``"neon"`` or ``"sse"``.
        vector_bytes: the width of a vector register.
        registers: how many vector registers there are.
        fma: whether there is a fused multiply-add; without it ``llvm.fma`` is a slow library call
            and ``llvm.fmuladd`` is what to write.
        l1_bytes: the data cache next to a core.
        l2_bytes: the second cache, of one core (or as many cores as share it).
        l3_bytes: the last cache.
    """

    triple: str
    cpu: str
    features: str
    simd: str
    vector_bytes: int
    registers: int
    fma: bool
    l1_bytes: int = DEFAULT_L1_BYTES
    l2_bytes: int = DEFAULT_L2_BYTES
    l3_bytes: int = DEFAULT_L3_BYTES

    def lanes(self, dtype: Any = np.float32) -> int:
        """How many elements of this dtype a vector register holds."""
        return self.vector_bytes // np.dtype(dtype).itemsize

    @property
    def hardware(self) -> frozenset[str]:
        """The dtypes of two bytes that an instruction converts from and to float32."""
        found = set()
        if self.simd in ("avx2", "avx512", "neon"):
            found.add("float16")
        if self.simd == "avx512" and "+avx512bf16" in self.features.split(","):
            found.add("bfloat16")
        return frozenset(found)

    @property
    def key(self) -> str:
        """What an object depends on besides its text: LLVM, llvmlite and the target."""
        version = ".".join(map(str, llvm.llvm_version_info))
        return "\n".join((llvmlite.__version__, version, self.triple, self.cpu, self.features))


# --- this CPU -----------------------------------------------------------------------------------


@functools.cache
def initialize() -> None:
    """Prepare LLVM for this CPU (a millisecond, once)."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    _publish_library_functions()


def _publish_library_functions() -> None:
    """Make the C library's functions known to the linker where it does not find them by itself."""
    with ffi.OutputString() as error:
        ffi.lib.LLVMPY_LoadLibraryPermanently(None, error)  # the process itself
    names = [*MEMORY_FUNCTIONS, *MATH_FUNCTIONS, *(name + "f" for name in MATH_FUNCTIONS)]
    missing = [name for name in names if not llvm.address_of_symbol(name)]
    if not missing:
        return
    import ctypes.util

    for library in ("m", "c", "ucrtbase", "msvcrt"):
        path = ctypes.util.find_library(library)
        if path is None:
            continue
        handle = ctypes.CDLL(path)
        for name in missing:
            if not llvm.address_of_symbol(name) and hasattr(handle, name):
                llvm.add_symbol(name, ctypes.cast(getattr(handle, name), ctypes.c_void_p).value)


def host() -> Target:
    """This CPU, lowered to ``LAMINA_CPU`` if that is set.

    Raises:
        ArgumentError: ``LAMINA_CPU`` is not a level that this CPU has.
    """
    return _host(os.environ.get("LAMINA_CPU", "").strip().lower())


@functools.cache
def _host(chosen: str) -> Target:
    initialize()
    found = llvm.get_host_cpu_features()
    level = _level_of(platform.machine().lower(), found)
    if chosen:
        wanted = NAMES.get(chosen)
        within = wanted == level or (
            wanted in X86_ORDER and level in X86_ORDER and X86_ORDER.index(wanted) <= X86_ORDER.index(level)
        )
        if wanted is None or not within:
            raise ArgumentError(
                f"LAMINA_CPU={chosen!r} is not a level of this CPU, which is {level!r}. "
                "Use 'plain', 'avx2' or 'avx512', not above what the CPU has."
            )
        if wanted != level:
            return named(wanted)
    features = found.flatten()
    if level == "avx512":
        features += ",-prefer-256-bit"  # some CPU models ask LLVM to split 512-bit vectors
    width, registers = LEVELS[level]
    fma = level == "neon" or bool(found.get("fma"))
    triple = llvm.get_process_triple()
    return Target(triple, llvm.get_host_cpu_name(), features, level, width, registers, fma, *cache_sizes())


def _level_of(machine: str, features: Any) -> str:
    if machine in ("arm64", "aarch64"):
        return "neon"
    if machine in ("x86_64", "amd64"):
        if all(features.get(name) for name in AVX512_FEATURES):
            return "avx512"
        if all(features.get(name) for name in AVX2_FEATURES):
            return "avx2"
        return "sse"
    raise UnsupportedError(f"The native backend has no code for {machine!r} CPUs. Use backend='eager'.")


def named(level: str) -> Target:
    """A generic CPU of a level (``"plain"``, ``"avx2"``, ``"avx512"``, ``"neon"``), with this machine's caches.

    A level of another architecture can be compiled for (``compile_object``) but not loaded.
    """
    simd = NAMES.get(level)
    if simd is None:
        raise ArgumentError(f"There is no CPU level {level!r}. Use one of {', '.join(NAMES)}.")
    width, registers = LEVELS[simd]
    if simd == "neon":
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        return Target("aarch64-unknown-linux-gnu", "generic", "+neon", simd, width, registers, True, *cache_sizes())
    initialize()
    cpu = {"sse": "x86-64", "avx2": "x86-64-v3", "avx512": "x86-64-v4"}[simd]
    features = "-prefer-256-bit" if simd == "avx512" else ""
    triple = llvm.get_process_triple()
    if not triple.startswith("x86_64"):
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        triple = "x86_64-unknown-linux-gnu"
    return Target(triple, cpu, features, simd, width, registers, simd != "sse", *cache_sizes())


@functools.cache
def cache_sizes() -> tuple[int, int, int]:
    """Bytes of the data cache, the second and the last cache, from sysfs; usual sizes elsewhere."""
    sizes = {1: DEFAULT_L1_BYTES, 2: DEFAULT_L2_BYTES, 3: DEFAULT_L3_BYTES}
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index[0-9]*"):
        try:
            level = int((index / "level").read_text())
            kind = (index / "type").read_text().strip()
            amount, unit = re.fullmatch(r"(\d+)([KMG]?)", (index / "size").read_text().strip()).groups()  # type: ignore[union-attr]
        except (OSError, ValueError, AttributeError):
            continue
        size = int(amount) << {"": 0, "K": 10, "M": 20, "G": 30}[unit]
        if kind in ("Data", "Unified") and level in sizes and size > 0:
            sizes[level] = size
    return sizes[1], sizes[2], sizes[3]


# --- from text to an object ----------------------------------------------------------------------


def target_machine(target: Target) -> llvm.TargetMachine:
    """A new LLVM code generator for the target.

    Level 1 takes two thirds of the time of level 2 for code that runs equally fast: the text leaves little to improve.
    """
    initialize()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=1, reloc="static", codemodel="jitdefault"
    )


@functools.cache
def _shared_machine(target: Target) -> llvm.TargetMachine:
    """The code generator for ``compile_object``.  An execution engine takes a new one: it frees its own."""
    return target_machine(target)


_shared_machine_lock = threading.Lock()


def compile_object(
    text: str,
    target: Target,
    passes: str = "none",
    report: Callable[[str], None] | None = None,
    elsewhere: frozenset[str] = frozenset(),
) -> bytes:
    """Compile LLVM IR text to an object file.

    Args:
        text: a module; triple and data layout are filled in.
        target: the CPU.
        passes: ``"none"``; ``"light"`` (inlining where asked for, registers out of memory, control
            flow: a few milliseconds); or ``"full"`` (LLVM's -O1 without vectorizing and unrolling:
            about as long as generating the code).
        report: called with the assembly text, to look at.
        elsewhere: functions that another object of the same program defines.

    Returns:
        The content of the object file.

    Raises:
        CompileError: LLVM does not accept the text, or it calls a function that does not exist.
    """
    with _shared_machine_lock:  # a code generator serves one thread at a time
        return _compile(text, target, _shared_machine(target), None, passes, report, elsewhere)


def compile_objects(
    texts: Sequence[str], target: Target, elsewhere: frozenset[str] = frozenset(), workers: int = 1
) -> list[bytes]:
    """Compile several modules of one program side by side.

    Args:
        texts: the modules.
        target: the CPU.
        elsewhere: functions that one of them calls and another defines.
        workers: threads.
    """
    workers = min(len(texts), workers)
    if workers <= 1:
        return [compile_object(text, target, elsewhere=elsewhere) for text in texts]
    from concurrent.futures import ThreadPoolExecutor

    initialize()

    def work(text: str) -> bytes:
        with llvm.create_context() as context:  # LLVM's contexts and code generators serve one thread each
            return _compile(text, target, target_machine(target), context, elsewhere=elsewhere)

    with ThreadPoolExecutor(workers, "lamina-llvm") as pool:
        return list(pool.map(work, texts))


def _compile(
    text: str,
    target: Target,
    machine: llvm.TargetMachine,
    context: Any,
    passes: str = "none",
    report: Callable[[str], None] | None = None,
    elsewhere: frozenset[str] = frozenset(),
) -> bytes:
    try:
        module = llvm.parse_assembly(text, context)
    except RuntimeError as error:
        raise CompileError(f"LLVM could not read the module: {error}{_context(text, str(error))}") from None
    with module:
        module.triple = machine.triple
        module.data_layout = str(machine.target_data)
        _check_declarations(module, target, elsewhere)
        try:
            module.verify()
        except RuntimeError as error:
            raise CompileError(f"LLVM found an invalid module: {error}") from None
        _optimize(module, machine, passes)
        if report is not None:
            report(machine.emit_assembly(module))
        return _emit(machine, module)


def _emit(machine: llvm.TargetMachine, module: llvm.ModuleRef) -> bytes:
    """The module's object file.

    llvmlite holds one lock during every call into LLVM.  Code generation needs none, as module and
    generator belong to this thread, and takes nearly all of the time.
    """
    emit = ffi.lib.LLVMPY_TargetMachineEmitToMemory
    emit = getattr(emit, "_cfn", emit)
    with ffi.OutputString() as error:
        buffer = emit(machine, module, 1, error)
        if not buffer:
            raise CompileError(f"LLVM could not generate code: {error}")
    try:
        start, size = ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer)
        return ctypes.string_at(start, size)
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


def _context(text: str, message: str) -> str:
    """The line of the text that LLVM complains about, if it names one."""
    place = re.search(r"<string>:(\d+):", message)
    if place is None:
        return ""
    number = int(place.group(1))
    lines = text.splitlines()
    return "\n" + "\n".join(f"{i + 1:6d} {lines[i]}" for i in range(max(0, number - 3), min(len(lines), number + 2)))


def _check_declarations(module: llvm.ModuleRef, target: Target, elsewhere: frozenset[str]) -> None:
    """The linker ends the process over a function that it cannot find, so they are looked up here."""
    if target.triple != llvm.get_process_triple():
        return
    for function in module.functions:
        name = function.name
        if name in elsewhere or not function.is_declaration or name.startswith("llvm."):
            continue
        if not llvm.address_of_symbol(name):
            raise CompileError(f"The module calls {name!r}, which is not in this process.")


def _optimize(module: llvm.ModuleRef, machine: llvm.TargetMachine, passes: str) -> None:
    if passes == "none":
        return
    if passes not in ("light", "full"):
        raise ArgumentError(f"passes is 'none', 'light' or 'full', got {passes!r}.")
    options = llvm.create_pipeline_tuning_options(speed_level=1)
    options.loop_vectorization = options.slp_vectorization = False
    options.loop_unrolling = options.loop_interleaving = False
    builder = llvm.create_pass_builder(machine, options)
    if passes == "full":
        builder.getModulePassManager().run(module, builder)
        return
    manager = llvm.create_new_module_pass_manager()
    manager.add_always_inliner_pass()
    manager.add_sroa_pass()
    manager.add_simplify_cfg_pass()
    manager.run(module, builder)


# --- from an object to addresses ------------------------------------------------------------------


class Module:
    """An object file linked into the process.  Its code is freed when the last reference goes."""

    def __init__(self, engine: llvm.ExecutionEngine, parts: Iterable[Any]) -> None:
        self._engine = engine
        self._parts = tuple(parts)
        self._addresses: dict[str, int] = {}

    def address(self, name: str) -> int:
        """Where the function of this name begins.

        Raises:
            CompileError: there is none.
        """
        found = self._addresses.get(name)
        if found is None:
            found = self._engine.get_function_address(name)
            if not found:
                raise CompileError(f"The object has no function {name!r}.")
            self._addresses[name] = found
        return found


def load_object(content: bytes | Sequence[bytes], target: Target | None = None) -> Module:
    """Link an object file that ``compile_object`` made, or several of one program (about 1 ms).

    Addresses are good for as long as the returned module is referenced.
    """
    initialize()
    target = host() if target is None else target
    empty = llvm.parse_assembly(f'target triple = "{target.triple}"')
    engine = llvm.create_mcjit_compiler(empty, target_machine(target))
    contents = [content] if isinstance(content, bytes) else list(content)
    parts = [llvm.ObjectFileRef.from_data(c) for c in contents]
    for part in parts:
        engine.add_object_file(part)
    engine.finalize_object()
    return Module(engine, (*parts, *contents))
