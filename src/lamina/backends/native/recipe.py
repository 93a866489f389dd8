"""Running a program that was compiled before, without preparing and writing it again.

The object cache finds machine code by its text.  To have the text, a graph must be fused, planned
and written, which for a residual network takes longer than a training step.  So beside the objects
lies a *recipe*: under a key made of the graph as it was captured, what a run needs to know (the
objects, the pointer table, the size of the arena).  The key holds the state of Lamina's own source
files, so that a change of the passes or of the compiler never meets an old recipe.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lamina.backends.native.cache import ObjectCache, make_key
from lamina.backends.native.schedule import Slot
from lamina.backends.native.target import Target
from lamina.core import dtypes
from lamina.graph.ir import Graph, Node, Value
from lamina.graph.passes.common_subexpressions import COMPARED_BYTES
from lamina.graph.passes.markers import is_marker
from lamina.version import __version__

PARTS = ("core", "ops", "graph", "graph/passes", "backends", "backends/native")  # what decides about the code


class Recipe(NamedTuple):
    """What it takes to run a compiled program.

    Attributes:
        objects: keys of its objects in the cache.
        slots: the pointer table.
        places: how many addresses are made when a run starts.
        arena_bytes: size of the arena.
        serial: whether it runs on the calling thread alone.
        claims: how many kernels have their chunks claimed.
        kept: numbers of the slots of variables of which something is kept from run to run.
    """

    objects: list[str]
    slots: list[Slot]
    places: int
    arena_bytes: int
    serial: bool
    claims: int
    kept: list[int]


def recipe_key(graph: Graph, target: Target) -> str:
    """The key under which a graph's recipe is kept."""
    return make_key("recipe", __version__, _sources(), target.key, _fingerprint(graph))


def load(cache: ObjectCache, key: str, graph: Graph) -> Recipe | None:
    """The recipe of a graph, if there is one."""
    content = cache.get(key)
    if content is None:
        return None
    data = json.loads(content)
    variables = _variables(graph)
    constants = [np.ascontiguousarray(a).reshape(a.shape) for a in _constants(graph)]  # as compiled code reads them
    folded = [_array(*described) for described in data["folded"]]
    tables = {"variable": variables, "constant": constants, "folded": folded}
    slots = []
    for kind, which in data["slots"]:
        table = tables.get(kind)
        slots.append(Slot("constant" if kind == "folded" else kind, which if table is None else table[which]))
    return Recipe(**{**{name: data[name] for name in Recipe._fields}, "slots": slots})


def save(cache: ObjectCache, key: str, graph: Graph, optimized: Graph, recipe: Recipe) -> None:
    """Keep a recipe, unless it holds something that is not part of the graph.

    Args:
        cache: where to.
        key: that of the graph.
        graph: the graph as it was captured.
        optimized: what was compiled.  Constants that the passes made of others are kept with the recipe.
        recipe: what to keep.
    """
    variables = {id(v): i for i, v in enumerate(_variables(graph))}
    constants = {_place(a): i for i, a in enumerate(_constants(graph))}
    made = {_place(a) for a in _constants(optimized)} - constants.keys()
    slots: list[tuple[str, Any]] = []
    folded: list[tuple[str, list[int], str]] = []
    for kind, which in recipe.slots:
        if kind == "variable":
            slots.append((kind, variables.get(id(which))))
        elif kind == "constant" and _place(which) in made:
            slots.append(("folded", len(folded)))
            folded.append((which.dtype.name, list(which.shape), base64.b64encode(which.tobytes()).decode()))
        elif kind == "constant":
            slots.append((kind, constants.get(_place(which))))
        else:
            slots.append((kind, which))
    if all(which is not None for _, which in slots):
        cache.put(key, json.dumps({**recipe._asdict(), "slots": slots, "folded": folded}).encode())


def _place(array: np.ndarray) -> Any:
    """What tells a constant from others, and is the same for the contiguous array that compiled code reads."""
    return array.ctypes.data, array.shape, array.dtype


def _array(dtype: str, shape: list[int], content: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(content), dtypes.as_dtype(dtype)).reshape(shape).copy()


def _nodes(graph: Graph) -> Iterator[tuple[Node, Sequence[Value]]]:
    """The nodes, each with the inputs that matter to a graph that is run: of a marker those that it passes on."""
    for node in graph.nodes:
        yield node, node.inputs[: len(node.outputs)] if is_marker(node) else node.inputs


def _variables(graph: Graph) -> list[Any]:
    """The variables of a graph, each once."""
    found: dict[int, Any] = {}
    for variable, _ in (*graph.reads, *graph.writes):
        found.setdefault(id(variable), variable)
    return list(found.values())


def _constants(graph: Graph) -> list[np.ndarray]:
    """The constants of a graph and of the graphs inside it."""
    values = [v for _, inputs in _nodes(graph) for v in inputs]
    values += [*graph.outputs, *[v for _, v in graph.writes]]
    found = [v.constant for v in {id(v): v for v in values}.values() if v.constant is not None]
    for node in graph.nodes:
        if not is_marker(node):
            for param in node.params.values():
                if isinstance(param, Graph):
                    found += _constants(param)
    return found


@functools.cache
def _sources() -> bytes:
    """Names, sizes and times of the files that decide how a graph is compiled."""
    root = Path(__file__).parents[2]
    found = []
    for part in PARTS:
        with os.scandir(root / part) as files:
            for file in files:
                if file.name.endswith(".py"):
                    status = file.stat()
                    found.append((part, file.name, status.st_size, status.st_mtime_ns))
    return repr(sorted(found)).encode()


def _fingerprint(graph: Graph) -> bytes:
    """A digest that is equal for graphs that compile to the same program."""
    digest = hashlib.sha256()
    _describe(graph, digest.update, {})
    return digest.digest()


@functools.lru_cache(maxsize=64)
def _name(dtype: np.dtype[Any]) -> str:
    return dtype.name  # which NumPy puts together anew each time


def _describe(graph: Graph, update: Any, arrays: dict[int, int]) -> None:
    numbers: dict[Value, int] = {}
    fixed: set[Value] = set()  # what the passes may compute, and write into the program
    variables = {id(v): i for i, v in enumerate(_variables(graph))}

    def define(values: Sequence[Value]) -> list[Any]:
        for value in values:
            numbers[value] = len(numbers)
        return [(value.shape, _name(value.dtype)) for value in values]

    def use(value: Value) -> Any:
        number = numbers.get(value)
        if number is None:
            array = value.constant
            assert array is not None
            (kind,) = define([value])
            fixed.add(value)
            # One number becomes part of the code, and small constants are compared with each other.  Of larger ones
            # only which is which matters, unless something is computed of them before the program is written.
            content = array.tobytes() if array.nbytes <= COMPARED_BYTES or array.size == 1 else None
            return "constant", kind, arrays.setdefault(id(array), len(arrays)), content
        return number

    update(repr((define(graph.inputs), define([v for _, v in graph.reads]))).encode())
    update(repr([variables[id(variable)] for variable, _ in graph.reads]).encode())
    for node, used in _nodes(graph):
        inputs = [use(v) for v in used]
        if is_marker(node):
            update(repr(inputs).encode())
            numbers.update(zip(node.outputs, [numbers[v] for v in used], strict=True))
            fixed.update(o for o, v in zip(node.outputs, used, strict=True) if v in fixed)
            continue
        if fixed.issuperset(used):
            fixed.update(node.outputs)
            for value in used:
                if value.constant is not None:
                    update(value.constant.tobytes())
        plain = sorted((k, repr(p)) for k, p in node.params.items() if not isinstance(p, Graph))
        update(repr((node.primitive.name, inputs, plain, define(node.outputs), node.single)).encode())
        for name in sorted(k for k, p in node.params.items() if isinstance(p, Graph)):
            update(name.encode())
            _describe(node.params[name], update, arrays)
    update(repr(([use(v) for v in graph.outputs], [(variables[id(w)], use(v)) for w, v in graph.writes])).encode())
