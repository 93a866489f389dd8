"""What the kernels can compute; the rest is called in place by its NumPy meaning."""

from __future__ import annotations

from lamina.backends.native.emit import TYPES
from lamina.backends.native.pairs import PAIRED
from lamina.core import dtypes
from lamina.core.lowering import (
    Attention,
    Contraction,
    Cumulative,
    Elementwise,
    Indexed,
    Joined,
    Reduction,
    Scatter,
    Sweep,
    View,
)
from lamina.graph.ir import Node


def supported(node: Node) -> bool:
    """Whether kernels can compute this node; otherwise its NumPy meaning is called in place."""
    return why_unsupported(node) is None


def why_unsupported(node: Node) -> str | None:
    """What keeps a node out of the kernels, in a few words; None where nothing does."""
    native, name = node.primitive.native, node.primitive.name
    if isinstance(native, Sweep):
        return _why_no_sweep(node)
    if isinstance(native, Attention):
        return _why_no_attention(node)
    if not isinstance(native, Elementwise | Indexed | View | Reduction | Contraction | Scatter | Cumulative | Joined):
        return getattr(native, "reason", None) or f"{name} has no native rule"
    if not node.single:
        return f"{name} has several outputs"
    for value in (*node.inputs, *node.outputs):
        if value.dtype.name not in TYPES:
            return f"dtype {value.dtype.name}"
        if 0 in value.shape:
            return "an array without elements"
    if isinstance(native, Contraction) and node.primitive not in PAIRED:
        if not dtypes.is_float(node.outputs[0].dtype) or node.inputs[0].dtype != node.inputs[-1].dtype:
            return f"{name} of {node.inputs[0].dtype} and {node.inputs[-1].dtype}"
    if isinstance(native, Reduction) and not node.params["axis"]:
        return "a reduction over no axis"
    return None


def _why_no_attention(node: Node) -> str | None:
    """The same for attention."""
    values = [v for v in (*node.inputs, *node.outputs) if v.dtype.kind != "b"]
    if any(v.dtype.name not in TYPES or not dtypes.is_float(v.dtype) for v in values):
        return f"attention of {', '.join(v.dtype.name for v in node.inputs)}"
    if any(0 in v.shape for v in (*node.inputs, *node.outputs)):
        return "an array without elements"
    return None


def _why_no_sweep(node: Node) -> str | None:
    """The same for a loop: all of its body must be compiled."""
    if any(0 in v.shape for v in (*node.inputs, *node.outputs)) or not node.params["length"]:
        return "a loop over arrays without elements"
    for inner in node.params["body"].nodes:
        if isinstance(inner.primitive.native, Sweep):
            return "a loop in a loop"
        if isinstance(inner.primitive.native, Attention):
            return "attention in a loop"
        reason = None if isinstance(inner.primitive.native, View) else why_unsupported(inner)
        if reason is not None:
            return f"{inner.primitive.name} in a loop: {reason}"
    return None
