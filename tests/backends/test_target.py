from __future__ import annotations

import ctypes
import gc

import numpy as np
import pytest

import lamina
from lamina.backends.native import program
from lamina.backends.native import target as target_module
from lamina.backends.native.target import (
    CompileError,
    Module,
    Target,
    compile_object,
    compile_objects,
    host,
    load_object,
    named,
)
from lamina.core.errors import ArgumentError

ADD = """
define float @add(float %x, float %y) {
  %z = fadd float %x, %y
  ret float %z
}
"""


def call_unary(module: Module, x: float) -> float:
    return ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_float)(module.address("f"))(x)


def levels() -> list[str]:
    order = list(target_module.X86_ORDER)
    own = target_module._host("").simd
    return order[: order.index(own) + 1] if own in order else [own]


def test_host_is_consistent() -> None:
    here = host()
    assert (here.vector_bytes, here.registers) == target_module.LEVELS[here.simd]
    assert here.lanes(np.float32) == here.vector_bytes // 4 == 2 * here.lanes(np.float64)
    assert 8 << 10 <= here.l1_bytes <= here.l2_bytes <= here.l3_bytes or here.l3_bytes >= 1 << 20
    assert host() is here


def test_compile_load_call() -> None:
    module = load_object(compile_object(ADD, host()))
    add = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_float, ctypes.c_float)(module.address("add"))
    assert add(2.0, 0.5) == 2.5
    with pytest.raises(CompileError, match="nothing"):
        module.address("nothing")


@pytest.mark.parametrize("passes", ["none", "light", "full"])
def test_passes_keep_the_meaning(passes: str) -> None:
    text = """
    define float @f(float %x) {
      %slot = alloca float
      store float %x, ptr %slot
      br label %loop
    loop:
      %i = phi i64 [0, %0], [%j, %loop]
      %a = load float, ptr %slot
      %b = fmul float %a, 2.0
      store float %b, ptr %slot
      %j = add i64 %i, 1
      %c = icmp ult i64 %j, 5
      br i1 %c, label %loop, label %out
    out:
      %r = load float, ptr %slot
      ret float %r
    }"""
    assert call_unary(load_object(compile_object(text, host(), passes)), 1.5) == 48.0


def test_unknown_passes() -> None:
    with pytest.raises(ArgumentError, match="passes"):
        compile_object(ADD, host(), "everything")


@pytest.mark.parametrize("name", target_module.MATH_FUNCTIONS)
def test_math_library_is_found(name: str) -> None:
    target_module.initialize()
    assert target_module.llvm.address_of_symbol(name)
    assert target_module.llvm.address_of_symbol(name + "f")


def test_library_call_and_constant_table() -> None:
    text = """
    @table = internal constant [4 x float] [float 1.0, float 10.0, float 100.0, float 1000.0]
    declare float @expf(float)
    define float @f(float %x) {
      %i = fptosi float %x to i64
      %p = getelementptr float, ptr @table, i64 %i
      %t = load float, ptr %p
      %e = call float @expf(float 0.0)
      %r = fadd float %t, %e
      ret float %r
    }"""
    assert call_unary(load_object(compile_object(text, host())), 3.0) == 1001.0


def test_many_modules_at_once() -> None:
    constants = "define float @f(float %x) {{ %y = fadd float %x, {} ret float %y }}"
    modules = [load_object(compile_object(constants.format(float(i)), host())) for i in range(30)]
    assert [call_unary(m, 0.5) for m in modules] == [i + 0.5 for i in range(30)]
    last = modules[-1]
    del modules
    gc.collect()
    assert call_unary(last, 0.0) == 29.0


def test_errors_show_the_line() -> None:
    with pytest.raises(CompileError, match="fadd float %x, %nowhere"):
        compile_object(ADD.replace("%y\n", "%nowhere\n"), host())


def test_missing_function_is_an_error_not_an_abort() -> None:
    text = "declare float @no_such_function(float)\ndefine float @f(float %x) {\n"
    text += " %y = call float @no_such_function(float %x)\n ret float %y }"
    with pytest.raises(CompileError, match="no_such_function"):
        compile_object(text, host())


SUM = """
define float @total(ptr %p) {{
  %v = load <{n} x float>, ptr %p, align 4
  %w = call <{n} x float> @llvm.fmuladd.v{n}f32(<{n} x float> %v, <{n} x float> %v, <{n} x float> %v)
  %s = call float @llvm.vector.reduce.fadd.v{n}f32(float 0.0, <{n} x float> %w)
  ret float %s
}}
"""


@pytest.mark.parametrize("level", levels())
def test_lower_levels_run_here(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMINA_CPU", "plain" if level == "sse" else level)
    target = host()
    assert target.simd == level
    found: list[str] = []
    content = compile_object(SUM.format(n=target.lanes()), target, report=found.append)
    module = load_object(content)
    total = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_void_p)(module.address("total"))
    data = np.arange(target.lanes(), dtype=np.float32)
    assert total(data.ctypes.data) == float((data * data + data).sum())
    register = {"avx512": "zmm", "avx2": "ymm", "sse": "xmm", "neon": "v0"}[level]
    wider = {"avx2": "zmm", "sse": "ymm"}.get(level)
    assert register in found[0] and (wider is None or wider not in found[0])


def test_impossible_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMINA_CPU", "z80")
    with pytest.raises(ArgumentError, match="z80"):
        host()


@pytest.mark.parametrize("level", ["plain", "avx2", "avx512", "neon"])
def test_every_level_can_be_compiled_for(level: str) -> None:
    target = named(level)
    assert isinstance(target, Target)
    assert len(compile_object(SUM.format(n=16), target)) > 200


def test_key_tells_targets_apart() -> None:
    assert len({named(level).key for level in ("plain", "avx2", "avx512", "neon")}) == 4


def test_several_modules_of_one_program_are_compiled_side_by_side():
    callee = "define i64 @seven() {\n  ret i64 7\n}\n"
    caller = (
        "declare i64 @seven()\n"
        "define i64 @twice() {\n  %x = call i64 @seven()\n  %y = add i64 %x, %x\n  ret i64 %y\n}\n"
    )
    objects = compile_objects([caller, callee], host(), frozenset({"seven"}), workers=2)
    module = load_object(objects)
    assert ctypes.CFUNCTYPE(ctypes.c_int64)(module.address("twice"))() == 14


def test_a_large_program_is_cut_into_modules(monkeypatch):
    x, w = np.ones((2, 9, 7, 3), np.float32), np.ones((3, 3, 3, 40), np.float32)
    conv = lamina.function(lambda x, w: lamina.nn.relu(lamina.nn.conv(x, w, padding="same")) + 1.0)
    expected = conv(x, w).numpy()
    monkeypatch.setattr(program, "MODULE_CHARACTERS", 4000)
    compiler = program.Compiler(conv.graph(x, w), host())
    texts, shared = compiler.modules()
    assert len(texts) > 2 and len(shared) >= 1
    again = lamina.function(conv.python_function)
    assert np.array_equal(again(x, w).numpy(), expected)
