"""Where the operands of a contraction lie: from a node to the ``Problem`` that is planned and emitted."""

from __future__ import annotations

from dataclasses import replace

from lamina.backends.native.contraction import M, Operand2D, Problem, Window, nested
from lamina.backends.native.kernel import Storage
from lamina.backends.native.layout import Layouts, through_views
from lamina.backends.native.pairs import CONV_PAIRS, CONV_WEIGHTS_PAIRS, MATMUL_PAIRS, as_pairs
from lamina.backends.native.primitives import (
    CONV_PANELS,
    CONV_WEIGHTS_PANELS,
    MATMUL_PANELS,
    MATMUL_ROWS,
    MATMUL_TURNED,
)
from lamina.backends.native.schedule import ARENA
from lamina.graph.ir import Graph, Node, Value
from lamina.ops.conv import CONV_WEIGHTS, DEPTHWISE, DEPTHWISE_WEIGHTS

Placed = tuple[Storage, int, tuple[int, ...]]  # storage, element offset, strides


def problem_of(node: Node, graph: Graph, storage: dict[int, Storage] | None) -> Problem:
    """The problem that a contraction node poses; before values are placed, ``storage`` is None and
    only the form of the operands counts."""
    places = [_place(v, graph, storage) for v in node.inputs]
    rank = len(node.outputs[0].shape)
    if node.primitive is MATMUL_ROWS:
        return _gathered_product(node, places)
    if node.primitive in (CONV_PANELS, CONV_PAIRS, DEPTHWISE):
        return _convolution(node, places)
    if node.primitive in (CONV_WEIGHTS, CONV_WEIGHTS_PAIRS, DEPTHWISE_WEIGHTS):
        return _weight_gradient(node, places)
    if node.primitive is CONV_WEIGHTS_PANELS:
        return _weight_gradient(node, places)
    (a, a_offset, a_strides), (b, b_offset, b_strides) = places
    k = node.inputs[0].shape[-1]
    left = as_pairs(Operand2D(a, a_offset, a_strides[:-2], a_strides[-2], nested([(k, a_strides[-1])])[0]), node)
    if node.primitive is MATMUL_PANELS or node.primitive is MATMUL_PAIRS:
        right = Operand2D(b, b_offset, b_strides[:-3], b_strides[-2], panel=b_strides[-3])
    elif node.primitive is MATMUL_TURNED:
        right = Operand2D(b, b_offset, b_strides[:-2], 1, column=b_strides[-2])
    else:
        right = Operand2D(b, b_offset, b_strides[:-2], b_strides[-2])
    return Problem(node, rank - 2, left, right)


def _gathered_product(node: Node, places: list[Placed]) -> Problem:
    (x, x_offset, x_strides), (numbers, _, _), (b, b_offset, b_strides) = places
    k = node.inputs[2].shape[0]
    row, column = x_strides
    if node.params["transposed"]:
        a = Operand2D(x, x_offset, (), column, ((k, row),), gathered="k", rows=numbers, rows_stride=row)
    else:
        a = Operand2D(x, x_offset, (), row, ((k, column),), gathered="m", rows=numbers, rows_stride=row)
    return Problem(node, 0, a, Operand2D(b, b_offset, (), b_strides[-2]))


def _convolution(node: Node, places: list[Placed]) -> Problem:
    """z: sample and all but one spatial dimension; m: that one; k: the window and its channels."""
    (x, offset, strides), (w, w_offset, w_strides) = places
    params, shape = node.params, node.inputs[0].shape
    pitches = strides[1:-1]
    steps = (strides[0], *(s * t for s, t in zip(pitches, params["strides"], strict=True)))
    taps = [(n, s * d) for n, s, d in zip(params["kernel"], pitches, params["dilation"], strict=True)]
    lead = node.outputs[0].shape[:-1]
    m_axis = _rows_axis(lead)
    batch = (*steps[:m_axis], *steps[m_axis + 1 :])
    windows = {}
    for d, count in enumerate(params["kernel"]):
        first, stride, spacing = -params["padding"][d][0], params["strides"][d], params["dilation"][d]
        bounds = _inside([first + o * stride for o in range(lead[d + 1])], spacing, count, shape[d + 1])
        if set(bounds) != {(0, count)}:
            windows[d] = Window(d, _output(d + 1, m_axis), bounds)
    in_lanes = node.primitive is DEPTHWISE
    k, kept = nested(taps if in_lanes else [*taps, (shape[-1], strides[-1])], windows)
    start = offset - _before(params["padding"], pitches)
    a = as_pairs(Operand2D(x, start, batch, steps[m_axis], k, in_lanes=in_lanes), node)
    form, none = params.get("form", "rows" if in_lanes else "panels"), (0,) * len(batch)
    if form == "turned":
        b = Operand2D(w, w_offset, none, 1, column=w_strides[-2])
    else:
        b = Operand2D(w, w_offset, none, w_strides[-2], panel=w_strides[-3] if form == "panels" else 0)
    return Problem(node, m_axis, a, b, kept)


def _weight_gradient(node: Node, places: list[Placed]) -> Problem:
    """z and m: the window's positions and channels; k: all samples and output positions."""
    (x, offset, strides), (ct, ct_offset, ct_strides) = places
    params, shape = node.params, node.inputs[0].shape
    pitches = strides[1:-1]
    in_lanes = node.primitive is DEPTHWISE_WEIGHTS
    positions = tuple(s * d for s, d in zip(pitches, params["dilation"], strict=True))
    if not in_lanes:
        positions = (*positions, strides[-1])
    counts = (shape[0], *params["out"])
    steps = (strides[0], *(s * t for s, t in zip(pitches, params["strides"], strict=True)))
    lead = node.outputs[0].shape[:-1]
    m_axis = _rows_axis(lead)
    batch = (*positions[:m_axis], *positions[m_axis + 1 :])
    windows = {}
    for d, count in enumerate(params["out"]):
        first, stride, spacing = -params["padding"][d][0], params["strides"][d], params["dilation"][d]
        bounds = _inside([first + t * spacing for t in range(params["kernel"][d])], stride, count, shape[d + 1])
        if set(bounds) != {(0, count)}:
            windows[d + 1] = Window(d + 1, _output(d, m_axis), bounds)
    k, kept = nested(list(zip(counts, steps, strict=True)), windows)
    if any(w.k == 0 for w in kept):  # a single sample: blocks of k are parts of it
        k, kept = ((1, 0), *k), tuple(replace(w, k=w.k + 1) for w in kept)
    start = offset - _before(params["padding"], pitches)
    a = Operand2D(x, start, batch, positions[m_axis], k, in_lanes=in_lanes)
    panel = ct_strides[-3] if node.primitive is CONV_WEIGHTS_PANELS else 0
    b = Operand2D(ct, ct_offset, (0,) * len(batch), ct_strides[-2], panel=panel)
    return Problem(node, m_axis, a, b, kept)


def _rows_axis(lead: tuple[int, ...]) -> int:
    """The output dimension that is m: the last, or the longest if that has too few rows for a tile."""
    last = len(lead) - 1
    return last if lead[last] >= 6 else max(range(len(lead)), key=lambda d: lead[d])


def _output(dimension: int, m_axis: int) -> int:
    """How a window calls an output dimension: ``M``, or its number among those of z."""
    return M if dimension == m_axis else dimension - (dimension > m_axis)


def _inside(starts: list[int], step: int, count: int, size: int) -> tuple[tuple[int, int], ...]:
    """For each start the ``i`` of ``range(count)`` with ``0 <= start + i * step < size``, as ``(first, last)``."""
    out = []
    for start in starts:
        first = min(max(-(start // step), 0), count)
        out.append((first, max(first, min(count, -((start - size) // step)))))
    return tuple(out)


def _before(padding: tuple[tuple[int, int], ...], pitches: tuple[int, ...]) -> int:
    """How far before the first element the padding would begin."""
    return sum(low * pitch for (low, _), pitch in zip(padding, pitches, strict=True))


def _place(value: Value, graph: Graph, storage: dict[int, Storage] | None) -> Placed:
    layouts = Layouts(graph)
    found = layouts.strides(value) if storage is None else through_views(value, lambda v: storage[id(v)].strides)
    assert found is not None
    source, offset, strides = found
    if storage is not None:
        return storage[id(source)], offset, strides
    return Storage(ARENA, 0, source.shape, layouts.own(source), source.dtype), offset, strides
