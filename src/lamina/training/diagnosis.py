"""Where a NaN or an infinity of a training step comes from: layer, op, forward or backward, and samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lamina.core import dtypes
from lamina.core.errors import LaminaError
from lamina.graph.function import Function
from lamina.graph.interpret import run_node
from lamina.graph.ir import Graph, Node, Value

PARTS = {"optimizer": "update", "batch": "forward", "metrics": "metrics"}


@dataclass
class Finding:
    """What first was no number.

    Attributes:
        value: ``"NaN"`` or ``"inf"``.
        op: name of the op that made it, ``None`` where it was there before the step.
        layer: path of the layer, ``"loss"`` or ``"optimizer"``; or the name of the variable or array that held it.
        direction: ``"forward"``, ``"backward"``, ``"update"`` (of the optimizer) or ``"before"`` the step.
        samples: rows of the batch that are affected, where that can be told.
        source: the user's line, where there is one.
    """

    value: str
    op: str | None
    layer: str
    direction: str
    samples: list[int] = field(default_factory=list)
    source: str | None = None

    def __str__(self) -> str:
        if self.op is None:
            text = f"{self.layer} held {self.value} before the step"
        else:
            where = f"in {self.layer!r}" if self.layer else "outside of any layer"
            text = f"{self.op!r} {where} gave {self.value} ({self.direction})"
        if self.samples:
            shown = ", ".join(map(str, self.samples[:8]))
            text += f" for sample{'s' if len(self.samples) > 1 else ''} {shown}" + (
                f" and {len(self.samples) - 8} more" if len(self.samples) > 8 else ""
            )
            text += " of the batch"
        return text + (f", at {self.source}" if self.source else "")


class _Bad:
    """What is known of a value that is not finite."""

    __slots__ = ("kind", "rows")

    def __init__(self, kind: str, rows: list[int]) -> None:
        self.kind, self.rows = kind, rows


def _look(array: np.ndarray, rows: int) -> _Bad | None:
    """What is wrong with an array, ``None`` if nothing is."""
    if not dtypes.is_float(array.dtype):
        return None
    bad = ~np.isfinite(array)
    if not bad.any():
        return None
    affected = []
    if array.ndim and array.shape[0] == rows:
        affected = np.flatnonzero(bad.reshape(rows, -1).any(axis=1)).tolist()
    return _Bad("NaN" if np.isnan(array).any() else "inf", affected)


def diagnose(step: Callable[..., Any], arrays: Sequence[np.ndarray], rows: int) -> Finding | None:
    """Run a step node by node, changing nothing, and find what first was no number on the way to a bad result.

    Args:
        step: the step as a function of arrays.
        arrays: its arrays.
        rows: samples in the batch.

    Returns:
        ``None`` where every result is finite, or the step cannot be captured.
    """
    try:
        graph, given = Function(step, name="train_step").lowered(*arrays)
    except LaminaError:
        return None
    bad = _run(graph, given, rows)
    return _trace(graph, bad, rows, given) if bad else None


def _run(graph: Graph, given: Sequence[np.ndarray], rows: int) -> dict[Value, _Bad]:
    """The values that are not finite."""
    values: dict[Value, np.ndarray] = dict(zip(graph.inputs, given, strict=True))
    values.update({value: variable._data for variable, value in graph.reads})
    bad = {value: found for value, array in values.items() if (found := _look(array, rows))}
    last: dict[Value, Node] = {value: node for node in graph.nodes for value in node.inputs}
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            inputs = [values[v] if v.constant is None else v.constant for v in node.inputs]
            for value, array in zip(node.outputs, run_node(node, inputs), strict=True):
                found = _look(array, rows)
                if found is not None:
                    bad[value] = found
                if value in last:
                    values[value] = array
            for value in set(node.inputs):
                if last[value] is node:
                    values.pop(value, None)
    return bad


def _trace(graph: Graph, bad: dict[Value, _Bad], rows: int, given: Sequence[np.ndarray]) -> Finding | None:
    leads = {value for _, value in graph.writes} | set(graph.outputs)
    for node in reversed(graph.nodes):
        if not leads.isdisjoint(node.outputs):
            leads.update(node.inputs)
    if not any(value in bad for _, value in graph.writes) and not any(v in bad for v in graph.outputs):
        return None
    ways = [node for node in graph.nodes for v in node.outputs if v in bad and v in leads]
    # An infinity may be meant (what a mask adds); a NaN is not, so the first one leads the way.
    nodes = [n for n in ways if any(v in bad and bad[v].kind == "NaN" for v in n.outputs)] or ways
    sources = [v for v in [*graph.inputs, *[v for _, v in graph.reads]] if v in bad and v in leads]
    if not nodes:
        return _held(graph, sources[0], bad) if sources else None
    node = nodes[0]
    rows_seen: list[int] = []
    while True:
        rows_seen = next((bad[v].rows for v in node.outputs if v in bad and bad[v].rows), rows_seen)
        before = [v for v in node.inputs if v in bad and v.constant is None]
        made = [v for v in before if v.node is not None]
        if not before:
            break
        if not made:
            return _held(graph, before[0], bad)
        assert made[0].node is not None
        node = made[0].node
    kind = next(bad[v].kind for v in node.outputs if v in bad)
    path = [part for part in node.scope if part != "gradient"]
    direction = "backward" if "gradient" in node.scope else PARTS.get(path[0] if path else "", "forward")
    samples = rows_seen or _samples_below(graph, node, bad)
    return Finding(kind, node.primitive.name, "/".join(path), direction, samples, node.source)


def _samples_below(graph: Graph, root: Node, bad: dict[Value, _Bad]) -> list[int]:
    """Affected samples as the first values further on tell them that have a row for each."""
    reached = set(root.outputs)
    for node in graph.nodes:
        if not reached.isdisjoint(node.inputs):
            reached.update(node.outputs)
            for value in node.outputs:
                if value in bad and bad[value].rows:
                    return bad[value].rows
    return []


def _held(graph: Graph, value: Value, bad: dict[Value, _Bad]) -> Finding:
    """The value was there before the step."""
    for variable, v in graph.reads:
        if v is value:
            return Finding(bad[value].kind, None, f"variable {variable.path!r}", "before")
    number = graph.inputs.index(value)
    return Finding(bad[value].kind, None, f"array {number} of the batch", "before", bad[value].rows)
