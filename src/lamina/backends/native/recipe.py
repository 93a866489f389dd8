"""Running a program that was compiled before, without preparing and writing it again.

The object cache finds machine code by its text.  To have the text, a graph must be fused, planned
and written, which for a residual network takes longer than a training step.  So beside the objects
lies a *recipe*: under a key made of the graph itself, what a run needs to know (the objects, the
pointer table, the size of the arena).  The key holds the state of Lamina's own source files, so
that a change of the compiler never meets an old recipe.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lamina.backends.native.cache import ObjectCache, make_key
from lamina.backends.native.schedule import Slot
from lamina.backends.native.target import Target
from lamina.graph.ir import Graph, Value
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
    """

    objects: list[str]
    slots: list[Slot]
    places: int
    arena_bytes: int
    serial: bool
    claims: int


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
    kinds = {"input": None, "output": None, "variable": variables, "constant": constants}
    slots = []
    for kind, which in data["slots"]:
        table = kinds[kind]
        slots.append(Slot(kind, which if table is None else table[which]))
    return Recipe(data["objects"], slots, data["places"], data["arena_bytes"], data["serial"], data["claims"])


def save(cache: ObjectCache, key: str, graph: Graph, recipe: Recipe) -> None:
    """Keep a recipe, unless it holds something that is not part of the graph."""
    variables = {id(v): i for i, v in enumerate(_variables(graph))}
    constants = {(a.ctypes.data, a.shape, a.dtype): i for i, a in enumerate(_constants(graph))}
    slots = []
    for slot in recipe.slots:
        which: Any = slot.which
        if slot.kind == "variable":
            which = variables.get(id(slot.which))
        elif slot.kind == "constant":
            which = constants.get((slot.which.ctypes.data, slot.which.shape, slot.which.dtype))
        if which is None:
            return
        slots.append([slot.kind, which])
    cache.put(key, json.dumps({**recipe._asdict(), "slots": slots}).encode())


def _variables(graph: Graph) -> list[Any]:
    """The variables of a graph, each once."""
    found: dict[int, Any] = {}
    for variable, _ in (*graph.reads, *graph.writes):
        found.setdefault(id(variable), variable)
    return list(found.values())


def _constants(graph: Graph) -> list[np.ndarray]:
    """The constants of a graph and of the graphs inside it."""
    found = [v.constant for v in graph.constants() if v.constant is not None]
    for node in graph.nodes:
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
    _describe(graph, digest.update)
    return digest.digest()


def _describe(graph: Graph, update: Any) -> None:
    numbers: dict[Value, int] = {}
    variables = {id(v): i for i, v in enumerate(_variables(graph))}

    def define(values: Sequence[Value]) -> list[Any]:
        for value in values:
            numbers[value] = len(numbers)
        return [(value.shape, value.dtype.name) for value in values]

    def use(value: Value) -> Any:
        number = numbers.get(value)
        if number is None:
            assert value.constant is not None
            (kind,) = define([value])
            # One number becomes part of the code; of larger constants the code has the address only.
            return "constant", kind, value.constant.tobytes() if value.constant.size == 1 else None
        return number

    update(repr((define(graph.inputs), define([v for _, v in graph.reads]))).encode())
    update(repr([variables[id(variable)] for variable, _ in graph.reads]).encode())
    for node in graph.nodes:
        inputs = [use(v) for v in node.inputs]
        plain = sorted((k, repr(p)) for k, p in node.params.items() if not isinstance(p, Graph))
        update(repr((node.primitive.name, inputs, plain, define(node.outputs), node.single)).encode())
        for name in sorted(k for k, p in node.params.items() if isinstance(p, Graph)):
            update(name.encode())
            _describe(node.params[name], update)
    update(repr(([use(v) for v in graph.outputs], [(variables[id(w)], use(v)) for w, v in graph.writes])).encode())
