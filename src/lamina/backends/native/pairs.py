"""Products of bfloat16 matrices on CPUs with an instruction for them.

The instruction multiplies pairs of bfloat16 and adds both products to a float32 sum.  So the
depth of a contraction is walked in pairs: an element of A and one of B are two neighbours along k,
32 bits that pass for one number.  A that is contiguous along k is read where it lies; else, and always
for B, pairs are made by a copy.  The contraction itself is the float32 one with another multiply-add.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.backends.native.contraction import Operand2D, panel_vectors
from lamina.backends.native.half import is_half
from lamina.core.lowering import Contraction, Indexed
from lamina.core.primitive import Primitive, Spec, unsupported
from lamina.graph.ir import Node, Value
from lamina.ops.conv import CONV, CONV_WEIGHTS, DEPTHWISE, DEPTHWISE_WEIGHTS
from lamina.ops.joining import PAD
from lamina.ops.shape import RESHAPE, TRANSPOSE, size_of

UINT32, FLOAT32 = np.dtype(np.uint32), np.dtype(np.float32)
MADE_LATE = "it is made after differentiation"

Add = Callable[..., Value]  # add(primitive, inputs, origin, **params): a new node's output
Strides = Callable[[Value], tuple[Value, int, tuple[int, ...]] | None]


def _joined(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    bits = [np.ascontiguousarray(x).view(np.uint16).astype(np.uint32) for x in (low, high)]
    return bits[0] | bits[1] << 16


def _pairs_numpy(x: np.ndarray) -> np.ndarray:
    if x.shape[-2] % 2:
        x = np.concatenate([x, np.zeros_like(x[..., :1, :])], axis=-2)
    return _joined(x[..., 0::2, :], x[..., 1::2, :])


def _halves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The even and the odd elements along k, in float32."""
    return (x << 16).view(np.float32), (x & np.uint32(0xFFFF0000)).view(np.float32)


def _pair(c: Any, node: Node, batch: list[Any], k: Any, column: Any) -> Any:
    """Elements ``2k`` and ``2k + 1`` of a column as one; zero past the end."""
    b, depth = c.b, node.inputs[0].shape[-2]
    last = c.operand(k, np.int64)
    low = b.cast(b.bitcast(c.pull(0, [*batch, k * 2, column]), np.uint16), UINT32)
    if depth % 2 == 0:
        high = c.pull(0, [*batch, k * 2 + 1, column])
    else:
        end = b.const(depth - 1, np.int64)
        inside = b.lt(b.add(last, last), end)
        next_row = b.add(b.add(last, last), b.const(1, np.int64))
        high = c.pull(0, [*batch, c.index(b.min(next_row, end)), column])
        high = b.select(inside, high, b.const(0, node.inputs[0].dtype))
    high = b.cast(b.bitcast(high, np.uint16), UINT32)
    return b.or_(low, b.shl(high, b.const(16, UINT32)))


PAIRS = Primitive(
    "pairs",
    shape=lambda x: Spec((*x.shape[:-2], -(-x.shape[-2] // 2), x.shape[-1]), UINT32),
    numpy=_pairs_numpy,
    vjp=unsupported(MADE_LATE),
    native=Indexed(lambda c, index, node: _pair(c, node, index[:-2], index[-2], index[-1])),
)


def _panels_numpy(x: np.ndarray, width: int) -> np.ndarray:
    paired = _pairs_numpy(x)
    *batch, k, n = paired.shape
    count = -(-n // width)
    padded = np.zeros((*batch, k, count * width), paired.dtype)
    padded[..., :n] = paired
    return np.ascontiguousarray(np.moveaxis(padded.reshape(*batch, k, count, width), -2, -3))


def _panel_element(c: Any, index: list[Any], node: Node) -> Any:
    """As for panels of numbers: past the end of the columns comes the last column."""
    *batch, p, k, j = index
    n, width = node.inputs[0].shape[-1], node.params["width"]
    column = p * width + j
    if n % width:
        column = c.index(c.b.min(c.operand(column, np.int64), c.b.const(n - 1, np.int64)))
    return _pair(c, node, batch, k, column)


PAIR_PANELS = Primitive(
    "pair_panels",
    shape=lambda x, width: Spec(
        (*x.shape[:-2], -(-x.shape[-1] // width), -(-x.shape[-2] // 2), width), UINT32
    ),
    numpy=_panels_numpy,
    vjp=unsupported(MADE_LATE),
    native=Indexed(_panel_element),
)


def _flat(b: np.ndarray, n: int) -> np.ndarray:
    """Panels as one matrix."""
    return np.moveaxis(b, -3, -2).reshape(*b.shape[:-3], b.shape[-2], -1)[..., :n]


def _matmul_numpy(a: np.ndarray, b: np.ndarray, n: int) -> np.ndarray:
    if a.dtype != UINT32:
        a = np.ascontiguousarray(a).view(UINT32)
    (a0, a1), (b0, b1) = _halves(a), _halves(_flat(b, n))
    return a0 @ b0 + a1 @ b1


MATMUL_PAIRS = Primitive(
    "matmul_pairs",
    shape=lambda a, b, n: Spec((*a.shape[:-1], n), FLOAT32),
    numpy=_matmul_numpy,
    vjp=unsupported(MADE_LATE),
    native=Contraction(),
)


def _conv_numpy(x: np.ndarray, w: np.ndarray, kernel: Any, out: Any, filters: int, **params: Any) -> np.ndarray:
    b0, b1 = _halves(_flat(w, filters))
    matrix = np.stack([b0, b1], axis=1).reshape(*kernel, x.shape[-1], filters)
    return CONV.numpy(x.astype(np.float32), matrix, **params)


CONV_PAIRS = Primitive(
    "conv_pairs",
    shape=lambda x, w, strides, padding, dilation, kernel, out, filters: Spec((x.shape[0], *out, filters), FLOAT32),
    numpy=_conv_numpy,
    vjp=unsupported(MADE_LATE),
    native=Contraction(),
)

def _shifted_element(c: Any, index: list[Any], node: Node) -> Any:
    *lead, column, channel = index
    b = c.b
    low, high = (c.pull(0, [*lead, column + shift, channel]) for shift in (0, node.params["shift"]))
    low, high = (b.cast(b.bitcast(x, np.uint16), UINT32) for x in (low, high))
    return b.or_(low, b.shl(high, b.const(16, UINT32)))


SHIFTED_PAIRS = Primitive(
    "shifted_pairs",
    shape=lambda x, shift: Spec((*x.shape[:-2], x.shape[-2] - shift, x.shape[-1]), UINT32),
    numpy=lambda x, shift: _joined(x[..., :-shift, :], x[..., shift:, :]),
    vjp=unsupported(MADE_LATE),
    native=Indexed(_shifted_element),
)


def _weights_numpy(x: np.ndarray, ct: np.ndarray, out: Any, **params: Any) -> np.ndarray:
    ct = ct.reshape(x.shape[0], *out, -1)
    parts = [CONV_WEIGHTS.numpy(a, b, out=out, **params) for a, b in zip(_halves(x), _halves(ct), strict=True)]
    return parts[0] + parts[1]


CONV_WEIGHTS_PAIRS = Primitive(
    "conv_weights_pairs",
    shape=lambda x, ct, strides, padding, dilation, kernel, out: Spec(
        (*kernel, x.shape[-1], ct.shape[-1]), FLOAT32
    ),
    numpy=_weights_numpy,
    vjp=unsupported(MADE_LATE),
    native=Contraction(),
)

PAIRED = (MATMUL_PAIRS, CONV_PAIRS, CONV_WEIGHTS_PAIRS)  # contractions whose operands are pairs


def as_pairs(operand: Operand2D, node: Node) -> Operand2D:
    """The left operand of a node; where it is bfloat16 read as pairs, in units of these."""
    if node.primitive not in PAIRED or not is_half(operand.storage.dtype):
        return operand
    *outer, (count, step) = operand.k
    assert step == 1
    return Operand2D(
        operand.storage,
        operand.offset // 2,
        tuple(s // 2 for s in operand.batch),
        operand.row // 2,
        (*((n, s // 2) for n, s in outer), (count // 2, 1)),
    )


def _in_pairs(found: tuple[Value, int, tuple[int, ...]] | None, value: Value) -> bool:
    """Whether neighbours along the last axis can be read as pairs where they lie."""
    if found is None or value.shape[-1] % 2:
        return False
    _, offset, strides = found
    even = all(s % 2 == 0 for s, n in zip(strides[:-1], value.shape, strict=False) if n > 1)
    return strides[-1] == 1 and even and offset % 2 == 0


def paired(node: Node, inputs: list[Value], add: Add, strides: Strides, lanes: int, registers: int) -> Value | None:
    """A contraction of bfloat16 by pairs: its result in float32, or None where that does not serve.

    Args:
        node: the contraction.
        inputs: its operands in the graph that is being made.
        add: adds a node to that graph.
        strides: how a value can be read there.
        lanes: of a vector of float32.
        registers: how many vectors the CPU holds.
    """
    if node.primitive in (DEPTHWISE, DEPTHWISE_WEIGHTS):
        return None
    if node.primitive is CONV_WEIGHTS:
        return _paired_weights(node, inputs, add)
    if node.primitive is CONV:
        return _paired_convolution(node, inputs, add, strides, lanes, registers)
    a, b = inputs
    n = b.shape[-1]
    panels = add(PAIR_PANELS, [b], node, width=lanes * panel_vectors(n, lanes, registers))
    return add(MATMUL_PAIRS, [_left(node, a, add, strides), panels], node, n=n)


def _left(node: Node, a: Value, add: Add, strides: Strides) -> Value:
    """The left matrix in pairs along its rows."""
    found = strides(a)
    if _in_pairs(found, a):
        return a
    if found is not None and found[2][-1] != 1 and a.shape[-2] > 1:  # read by columns, pairs are made in passing
        axes = (*range(len(a.shape) - 2), len(a.shape) - 1, len(a.shape) - 2)
        turned = add(PAIRS, [add(TRANSPOSE, [a], node, axes=axes)], node)
        return add(TRANSPOSE, [turned], node, axes=axes)
    return _even(node, a, add)


def _even(node: Node, x: Value, add: Add) -> Value:
    """A copy whose last axis has even length."""
    none = (0,) * (len(x.shape) - 1)
    return add(PAD, [x], node, low=(*none, 0), high=(*none, x.shape[-1] % 2), interior=(*none, 0), value=0.0)


def _paired_convolution(
    node: Node, inputs: list[Value], add: Add, strides: Strides, lanes: int, registers: int
) -> Value | None:
    x, w = inputs
    if x.shape[-1] % 2:
        return None
    if not _in_pairs(strides(x), x):
        x = _even(node, x, add)
    matrix = add(RESHAPE, [w], node, shape=(size_of(w.shape[:-1]), w.shape[-1]))
    panels = add(PAIR_PANELS, [matrix], node, width=lanes * panel_vectors(w.shape[-1], lanes, registers))
    return add(
        CONV_PAIRS, [x, panels], node, **node.params,
        kernel=w.shape[:-2], out=node.outputs[0].shape[1:-1], filters=w.shape[-1],
    )  # fmt: skip


def _paired_weights(node: Node, inputs: list[Value], add: Add) -> Value:
    """The gradient of a kernel, whose depth is all output positions: pairs of neighbours along their last axis.

    An element of x meets two neighbours, to its left under some taps and to its right under others, so every
    one is stored with the one that follows it.  Padding along that axis is stored in passing.
    """
    x, ct = inputs
    params = dict(node.params)
    stride, (low, _), spacing = params["strides"][-1], params["padding"][-1], params["dilation"][-1]
    count = -(-params["out"][-1] // 2)
    width = (params["kernel"][-1] - 1) * spacing + (2 * count - 1) * stride + 1  # what the taps can reach
    before, after = [0] * len(x.shape), [0] * len(x.shape)
    before[-2], after[-2] = low, max(width - x.shape[-2] - low, 0)
    if before[-2] or after[-2]:
        x = add(
            PAD, [x], node, low=tuple(before), high=tuple(after), interior=(0,) * len(before), value=0.0
        )
    params["strides"] = (*params["strides"][:-1], 2 * stride)
    params["padding"] = (*params["padding"][:-1], (0, 0))
    params["out"] = (*params["out"][:-1], count)
    right = add(PAIRS, [ct], node)
    right = add(RESHAPE, [right], node, shape=(size_of(right.shape[:-1]), right.shape[-1]))
    return add(CONV_WEIGHTS_PAIRS, [add(SHIFTED_PAIRS, [x], node, shift=stride), right], node, **params)


def multiply_add(f: Any, lanes: int, a: str, b: str, c: str) -> str:
    """``c + a[0] * b[0] + a[1] * b[1]`` in each lane, of pairs that lie in vectors of float32."""
    kind, halves = f"<{lanes} x float>", f"<{2 * lanes} x bfloat>"
    x, y = (f.v(f"bitcast {kind} {v} to {halves}") for v in (a, b))
    name = f"llvm.x86.avx512bf16.dpbf16ps.{32 * lanes}"
    return f.v(f"call {kind} @{name}({kind} {c}, {halves} {x}, {halves} {y})")
