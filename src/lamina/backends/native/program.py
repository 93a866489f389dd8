"""Compiling a whole graph: groups to kernels, kernels to one SPMD function, that to machine code."""

from __future__ import annotations

import ctypes
import functools
import re
import sys
import threading
from collections.abc import Callable, Sequence

import numpy as np

from lamina.backends.native import target as targets
from lamina.backends.native import threads
from lamina.backends.native.cache import ObjectCache, make_key, object_cache
from lamina.backends.native.contraction import ContractPlan
from lamina.backends.native.emit import ATTRIBUTES, Function
from lamina.backends.native.kernel import Storage
from lamina.backends.native.kernels import Fused, KernelPlan, Kernels, Place, Written, work_of
from lamina.backends.native.laps import LAP_IR, Laps, LapWriter
from lamina.backends.native.prepare import prepare
from lamina.backends.native.primitives import KEPT_PANELS
from lamina.backends.native.recipe import Recipe, load, recipe_key, save
from lamina.backends.native.schedule import ARENA, CALLBACK, CLAIMS, FIRST_SLOT, FRESH, TIMES, Schedule
from lamina.backends.native.sharing import CLAIMED_WORK, SHARE_IR, Shared, Sharing, row_bytes, share_out
from lamina.backends.native.support import supported
from lamina.backends.native.sweep import Sweeper, SweepPlan, Swept
from lamina.core.errors import ArgumentError
from lamina.graph.interpret import Program, Runner, bodies_run_by, run_node
from lamina.graph.ir import Graph, Value
from lamina.graph.passes import optimize
from lamina.graph.passes.fusion import Group, is_view, source_of
from lamina.version import __version__

Plan = KernelPlan | SweepPlan
CALLBACK_TYPE = ctypes.CFUNCTYPE(None, ctypes.c_int64)
MODULE_CHARACTERS = 200_000  # of text in a module that is worth a thread of its own
MAX_MODULES = 16
ENTRY = re.compile(r"define internal void @(k\d+)\(ptr %table, i64 %c0")
CALLED = re.compile(r"call void @(k\d+)\(")
SERIAL_WORK = 1 << 15  # graphs with less elementwise work than this run on the calling thread alone
BODY_WORK = 1 << 14  # bodies of branches and loops with more elements than this in their values are compiled


class Compiler:
    """Compiles one graph.  ``text`` is the module; ``plans`` says how each group is cut.

    With ``timed``, every thread keeps how long it spent in each group and, after these, at the end of each phase.
    """

    def __init__(self, graph: Graph, target: targets.Target, timed: bool = False) -> None:
        self.target, self.timed = target, timed
        self.lanes = target.lanes(np.float32)
        self.graph = prepare(graph, self.lanes, target.registers, target.hardware)
        self.book = Kernels(target)
        fused = Fused(self.graph)
        self.fusion, self.stored = fused.fusion, fused.stored
        groups = self.fusion.groups
        self.sweeps = {i: Sweeper(g.nodes[0], self.book) for i, g in groups.items() if g.kind == "sweep"}
        scratch = {i: size for i, g in groups.items() if (size := self.book.scratch_size(fused, g)) is not None}
        scratch.update({i: sweep.scratch_size() for i, sweep in self.sweeps.items()})
        self.schedule = Schedule(self.graph, self.fusion, self.stored, scratch, set(filter(self._is_kept, groups)))
        self.plans: dict[int, Plan | None] = {}
        self.names: dict[int, str] = {}  # group index -> its kernel's name
        self.blocks: dict[int, int] = {}  # group index -> where its addresses begin
        self.places: list[Place] = []  # (slot, byte offset) of every address
        for phase in self.schedule.phases:
            for group in phase:
                self._kernel(fused, group)
        self.serial = self._is_serial()
        self.lap_of = {group.index: 1 + i for i, group in enumerate(g for phase in self.schedule.phases for g in phase)}
        self.lap_kinds = len(self.lap_of) + len(self.schedule.phases)
        claimed = [g.index for phase in self.schedule.phases for g in phase if self._is_claimed(g)]
        self.claims = {index: number for number, index in enumerate(claimed)}  # group index -> its counter
        parts = [SHARE_IR] * bool(claimed) + [LAP_IR] * timed
        self.frame = [self._addresses(), *parts, self._prepare(), self._main()]
        self.text = self._module([*self.book.texts, *self.frame])

    # --- modules --------------------------------------------------------------------------------
    def _module(self, parts: Sequence[str]) -> str:
        attributes = ATTRIBUTES.format(bits=8 * self.target.vector_bytes)
        return "\n".join([threads.BARRIER_IR, *sorted(self.book.needs), *parts, attributes])

    def modules(self) -> tuple[list[str], frozenset[str]]:
        """The program in modules that can be compiled side by side, and the kernels that are called across them.

        How it is cut depends on the text only, so that the cache finds the modules again.
        """
        count = min(MAX_MODULES, len(self.text) // MODULE_CHARACTERS)
        if count < 2:
            return [self.text], frozenset()
        home: list[str] = []  # kernels that call others, and these, stay in the first module
        free: list[str] = []
        called = {name for text in self.book.texts for name in CALLED.findall(text)}
        for text in self.book.texts:
            names = ENTRY.findall(text)
            alone = len(names) == 1 and names[0] not in called and not CALLED.search(text)
            (free if alone else home).append(text)
        bins: list[list[str]] = [[] for _ in range(count)]
        sizes = [0] * count
        for text in sorted(free, key=len, reverse=True):
            i = sizes.index(min(sizes))
            bins[i].append(ENTRY.sub(r"define void @\1(ptr %table, i64 %c0", text))
            sizes[i] += len(text)
        names = [name for text in free for name in ENTRY.findall(text)]
        declared = [f"declare void @{name}(ptr, i64, i64)" for name in names]
        return [self._module([*declared, *home, *self.frame]), *map(self._module, bins)], frozenset(names)

    # --- kernels --------------------------------------------------------------------------------
    def _kernel(self, fused: Fused, group: Group) -> None:
        """Have a group's kernel written, and keep what its call needs."""
        if group.kind in ("opaque", "joined"):
            self.plans[group.index] = None
            return
        storage, scratch = self.schedule.storage, self.schedule.scratch.get(group.index)
        written: Written | Swept
        if group.kind == "sweep":
            assert scratch is not None
            written = self.sweeps[group.index].write(self.graph, storage, scratch)
        else:
            written = self.book.write(fused, group, storage, scratch)
        self.names[group.index], self.plans[group.index] = written.name, written.plan
        self.blocks[group.index] = len(self.places)
        self.places += written.places

    def _addresses(self) -> str:
        """Constants from which the addresses of all values are made when a run starts."""
        slots = ", ".join(f"i64 {slot}" for slot, _ in self.places) or "i64 0"
        offsets = ", ".join(f"i64 {offset}" for _, offset in self.places) or "i64 0"
        n = max(len(self.places), 1)
        return (
            f"@slots = internal constant [{n} x i64] [{slots}]\n"
            f"@offsets = internal constant [{n} x i64] [{offsets}]\n"
        )

    def _is_kept(self, index: int) -> bool:
        """Whether what a group makes is kept for later runs."""
        nodes = [n for n in self.fusion.groups[index].nodes if not is_view(n)]
        return bool(nodes) and all(n.primitive is KEPT_PANELS for n in nodes)

    def kept_variables(self) -> list[int]:
        """The slots of the variables of which something is kept."""
        nodes = [n for phase in self.schedule.phases[: self.schedule.leading] for g in phase for n in g.nodes]
        values = [source_of(v) for n in nodes for v in n.inputs]
        return sorted({self.schedule.storage[id(v)].slot - FIRST_SLOT for v in values if v.node is None})

    def _is_serial(self) -> bool:
        return sum(_work(plan) for plan in self.plans.values() if plan is not None) < SERIAL_WORK

    def _is_claimed(self, group: Group) -> bool:
        """Whether the chunks of a group are claimed one by one."""
        plan = self.plans[group.index]
        if self.serial or plan is None or plan.chunks == 1 or _work(plan) < CLAIMED_WORK:
            return False
        if isinstance(plan, ContractPlan):
            return not plan.k_outermost  # a block of B stays in the cache for all chunks of a call
        return not (isinstance(plan, SweepPlan) and plan.together)

    # --- the functions that a run calls ---------------------------------------------------------
    def _prepare(self) -> str:
        """The function that makes the addresses of all values, before the threads start."""
        f = Function("lamina_prepare", [("ptr", "table")], 1, False)

        def resolve(i: str | int, _: list[str]) -> None:
            slot = f.v(f"load i64, ptr {f.address('@slots', i, 'i64')}, align 8")
            offset = f.v(f"load i64, ptr {f.address('@offsets', i, 'i64')}, align 8")
            base = f.v(f"load ptr, ptr {f.address('%table', slot, 'i64')}, align 8")
            at = f.address(base, offset, "i8")
            f.e(f"store ptr {at}, ptr {f.address('%table', f.iadd(i, self._first_block), 'i64')}, align 8")

        f.loop(0, len(self.places), 1, resolve)
        return f.text()

    @property
    def _first_block(self) -> int:
        """The table's entry where the addresses begin."""
        return FIRST_SLOT + len(self.schedule.slots)

    def _main(self) -> str:
        f = Function("lamina_main", [("ptr", "table"), ("i64", "tid"), ("i64", "nt"), ("ptr", "ctx")], 1, False)
        times = f.v(f"load i64, ptr {f.address('%table', TIMES, 'i64')}, align 8")
        callback = f.v(f"load ptr, ptr {f.address('%table', CALLBACK, 'ptr')}, align 8")
        claims = f.v(f"load ptr, ptr {f.address('%table', CLAIMS, 'ptr')}, align 8")
        sharing = Sharing(f, claims, len(self.claims))
        laps = LapWriter(f, self._first_block + len(self.places), self.lap_kinds) if self.timed else None

        def own(group: Group, block: str, single: int) -> None:
            """What a thread does of a group without being asked."""
            plan, name = self.plans[group.index], self.names.get(group.index)
            if plan is None:
                first = f.v("icmp eq i64 %tid, 0")
                f.when(first, lambda: f.e(f"call void {callback}(i64 {group.index})"))
            elif isinstance(plan, SweepPlan) and plan.together:
                f.e(f"call void @{name}(ptr {block}, i64 %tid, i64 %nt, ptr %ctx)")
            else:
                call = f"call void @{name}(ptr {block}, i64 "
                share_out(f, plan.chunks, single, lambda low, high: f.e(f"{call}{low}, i64 {high})"))

        def lap(which: int) -> None:
            if laps is not None:
                laps.lap(which)

        def run(first: int, last: int) -> None:
            single = 0
            for number, phase in enumerate(self.schedule.phases[first:last], first):
                shared: dict[int, Shared] = {}
                for group in (g for g in phase if g.kind != "joined"):
                    i, plan = group.index, self.plans[group.index]
                    block = f.address("%table", self._first_block + self.blocks.get(i, 0), "i64")
                    if i in self.claims:
                        assert plan is not None
                        shared[i] = Shared(self.names[i], block, plan.chunks, self.claims[i])
                        sharing.own(shared[i])
                    else:
                        own(group, block, single)
                        single += plan is not None and plan.chunks == 1
                    lap(self.lap_of[i])
                for i, kernel in shared.items():
                    sharing.help(kernel)
                    lap(self.lap_of[i])
                if not self.serial:
                    f.e("call void @lamina_barrier(ptr %ctx)")
                sharing.clear(list(shared.values()))
                lap(1 + len(self.lap_of) + number)

        leading = self.schedule.leading
        if leading:
            fresh = f.v(f"load i64, ptr {f.address('%table', FRESH, 'i64')}, align 8")
            f.when(f.v(f"icmp ne i64 {fresh}, 0"), lambda: run(0, leading))
        f.loop(0, times, 1, lambda _, __: run(leading, len(self.schedule.phases)))
        return f.text()


def _work(plan: Plan) -> int:
    return plan.work if isinstance(plan, SweepPlan) else work_of(plan)


class NativeExecutable:
    """A graph compiled to machine code, with its arena and its table of pointers.

    With ``optimized``, what it gives is compiled in place of the graph, if there is no recipe for the graph.  With
    ``timed``, ``laps`` has the time in each group, and ``compiler`` says which is which.
    """

    uses_recipes = True

    def __init__(
        self,
        graph: Graph,
        target: targets.Target | None = None,
        timed: bool = False,
        optimized: Callable[[], Graph] | None = None,
    ) -> None:
        self.target = targets.host() if target is None else target
        self._timed = timed
        self._captured, self._optimized = graph, optimized
        cache = object_cache()
        keep = self.uses_recipes and not timed and cache.folder is not None
        key = recipe_key(graph, self.target) if keep else ""
        recipe = load(cache, key, graph) if key else None
        contents = [] if recipe is None else [cache.get(name) for name in recipe.objects]
        objects = [content for content in contents if content is not None]
        self.from_cache = bool(recipe) and len(objects) == len(contents)
        if recipe is None or not self.from_cache:
            recipe, objects = self._compile(cache)
            if key and not any(g.kind == "opaque" for g in self.groups.values()):
                save(cache, key, graph, self.graph, recipe)
        self.slots, self.serial, self._arena_bytes = recipe.slots, recipe.serial, recipe.arena_bytes
        self._claims = row_bytes(recipe.claims)
        self.module = targets.load_object(objects, self.target)
        self.address, self._prepare = (self.module.address(f"lamina_{name}") for name in ("main", "prepare"))
        self._lock = threading.Lock()
        self._arena: np.ndarray | None = None
        self._counters: np.ndarray | None = None
        self._error: BaseException | None = None
        self._bodies: dict[int, Runner] = {}  # by the id of a graph that a node of this one holds
        self._callback = CALLBACK_TYPE(self._run_opaque)
        entries = FIRST_SLOT + len(self.slots) + recipe.places
        self._table = (ctypes.c_int64 * (entries + timed))()
        self.laps = Laps(self.module, self.compiler.lap_kinds) if timed else None
        if self.laps is not None:
            self._table[entries] = self.laps.address
        self._table[CALLBACK] = ctypes.cast(self._callback, ctypes.c_void_p).value or 0
        self._table_address = ctypes.addressof(self._table)
        self._arrays: list[np.ndarray | None] = [None] * len(self.slots)
        self._written = {id(variable): variable for variable, _ in graph.writes}
        self._kept = [self.slots[i].which for i in recipe.kept]
        self._versions: list[int] | None = None  # those of which what is kept was made
        for i, slot in enumerate(self.slots):
            if slot.kind == "constant":
                self._point(i, slot.which)
        if not timed and "compiler" in self.__dict__ and not any(g.kind == "opaque" for g in self.groups.values()):
            del self.compiler  # it holds the whole text

    def _compile(self, cache: ObjectCache) -> tuple[Recipe, list[bytes]]:
        """Write the program, and compile what the cache does not have of it."""
        compiler, target = self.compiler, self.target
        texts, shared = compiler.modules()
        keys = [make_key(__version__, target.key, text) for text in texts]
        contents = {key: content for key in keys if (content := cache.get(key)) is not None}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in contents}
        self.from_cache = not missing
        made = targets.compile_objects(list(missing.values()), target, shared, threads.usable_cores())
        for key, content in zip(missing, made, strict=True):
            contents[key] = content
            cache.put(key, content)
        schedule = compiler.schedule
        recipe = Recipe(
            keys, schedule.slots, len(compiler.places), schedule.arena_bytes, compiler.serial, len(compiler.claims),
            compiler.kept_variables(),
        )  # fmt: skip
        return recipe, [contents[key] for key in keys]

    @functools.cached_property
    def compiler(self) -> Compiler:
        """How the program was made; made again where a recipe was enough to run it."""
        return Compiler(self.graph, self.target, self._timed)

    @functools.cached_property
    def graph(self) -> Graph:
        """The graph that is compiled."""
        return self._captured if self._optimized is None else self._optimized()

    @property
    def schedule(self) -> Schedule:
        return self.compiler.schedule

    @property
    def groups(self) -> dict[int, Group]:
        return self.compiler.fusion.groups

    def _point(self, i: int, array: np.ndarray) -> None:
        self._arrays[i] = array
        self._table[FIRST_SLOT + i] = array.ctypes.data

    # --- running --------------------------------------------------------------------------------
    def run(self, inputs: Sequence[np.ndarray], times: int = 1) -> list[np.ndarray]:
        """Run the graph ``times`` times; see ``lamina.backends.base.Executable``."""
        if times < 1:
            raise ArgumentError(f"times is at least 1, got {times}.")
        with self._lock:  # the table and the arena serve one run at a time
            return self._run(inputs, times)

    def _run(self, inputs: Sequence[np.ndarray], times: int) -> list[np.ndarray]:
        if self._arena is None:
            raw = np.empty(self._arena_bytes + 64, np.uint8)
            start = -raw.ctypes.data % 64
            self._arena = raw[start : start + self._arena_bytes]
            self._table[ARENA] = self._arena.ctypes.data
        outputs: list[np.ndarray] = []
        for i, slot in enumerate(self.slots):
            if slot.kind == "input":
                array = inputs[slot.which]
                if not array.flags.c_contiguous:
                    array = np.ascontiguousarray(array)
                if array is not self._arrays[i]:
                    self._point(i, array)
            elif slot.kind == "variable":
                variable = slot.which
                array = variable.storage() if id(variable) in self._written else variable._data
                if array is not self._arrays[i]:
                    self._point(i, array)
            elif slot.kind == "output":
                array = self._output(i, self._captured.outputs[slot.which])
                outputs.append(array)
                if array is not self._arrays[i]:
                    self._point(i, array)
        self._table[TIMES] = times
        count = 1 if self.serial else threads.get_num_threads()
        if self._counters is None or len(self._counters) < count:
            self._counters = np.zeros((count, self._claims // 8), np.int64)
            self._table[CLAIMS] = self._counters.ctypes.data
        versions = [variable._version for variable in self._kept]
        self._table[FRESH] = versions != self._versions
        self._versions = None
        threads.run(self.address, self._table_address, count, self._prepare)
        self._versions = versions
        for variable in self._written.values():
            variable.written()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return outputs

    def _output(self, i: int, value: Value) -> np.ndarray:
        """An array for an output: that of the last run if nobody holds it any more.

        A fresh large array costs a page fault for every 4 KiB, which is a tenth of a product of 1024 x 1024.
        """
        last = self._arrays[i]
        if last is not None and sys.getrefcount(last) <= 3:  # the list, this name, the argument
            return last
        return np.empty(value.shape, value.dtype)

    # --- nodes without a native lowering ------------------------------------------------------------
    def _run_opaque(self, index: int) -> None:
        if self._error is not None:
            return
        try:
            node = self.groups[index].nodes[0]
            with bodies_run_by(self._body):
                results = run_node(node, [self._array(v) for v in node.inputs])
            for value, result in zip(node.outputs, results, strict=True):
                if id(value) in self.schedule.storage:
                    self._view(self.schedule.storage[id(value)])[...] = result
        except BaseException as error:  # it must not pass through native code
            self._error = error

    def _body(self, graph: Graph) -> Runner:
        """What runs the body of a branch or loop: compiled when first needed, if that saves more than the call costs.

        It is chosen by the graph alone, so that every run has the same bits.
        """
        if id(graph) not in self._bodies:
            nodes = [n for n in graph.nodes if supported(n) and not is_view(n)]
            work = sum(v.size for node in nodes for v in node.outputs)
            self._bodies[id(graph)] = (
                Program.of(graph).run if work < BODY_WORK else type(self)(optimize(graph.clone()), self.target).run
            )
        return self._bodies[id(graph)]

    def _array(self, value: Value) -> np.ndarray:
        if value.constant is not None:
            return value.constant
        if id(value) in self.schedule.storage:
            return self._view(self.schedule.storage[id(value)])
        assert value.node is not None
        return run_node(value.node, [self._array(v) for v in value.node.inputs])[0]

    def _view(self, storage: Storage) -> np.ndarray:
        base = self._arena if storage.slot == ARENA else self._arrays[storage.slot - FIRST_SLOT]
        assert base is not None
        if storage.slot != ARENA:
            return base.reshape(storage.shape)  # an output may have another shape than the value that lies there
        size = storage.dtype.itemsize
        return np.ndarray(
            storage.shape, storage.dtype, base.data, storage.offset, tuple(s * size for s in storage.strides)
        )
