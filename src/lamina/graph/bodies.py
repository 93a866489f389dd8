"""What the loops and branches share: capturing their bodies, and comparing what goes round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lamina import ops
from lamina.core.dtypes import is_float
from lamina.core.errors import DTypeError, ShapeError
from lamina.core.primitive import Spec, unsupported
from lamina.core.trees import flatten
from lamina.graph.capture import capture_nested
from lamina.graph.ir import Graph
from lamina.graph.passes import optimize

IN_PLACE = unsupported("loops and branches are walked in Python; the native backend compiles bodies that are worth it")


def specs_of(values: Sequence[Any]) -> list[Spec]:
    """Shape and dtype of each value."""
    return [Spec(tuple(v.shape), v.dtype) for v in values]


def capture_body(function: Callable[..., Any], specs: Sequence[Any], name: str) -> tuple[Graph, Any, list[Any]]:
    """``capture_nested``, and the graph optimized so that it can still be differentiated."""
    graph, structure, lifted = capture_nested(function, specs, name)
    return optimize(graph, differentiable=True), structure, lifted


def tensors_of(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of a nested structure as Tensors, and the structure."""
    leaves, structure = flatten(tree)
    return [ops.as_tensor(leaf) for leaf in leaves], structure


def float_cotangents(cotangents: Sequence[Any], outputs: Sequence[Any]) -> list[Any]:
    """Cotangents of the float outputs with zeros where none came; ``None`` for the others."""
    return [
        (ops.zeros_like(o) if ct is None else ct) if is_float(o.dtype) else None
        for ct, o in zip(cotangents, outputs, strict=True)
    ]


def same_structure(a: Any, b: Any) -> bool:
    """Equal structures, a list counting as a tuple."""
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b) == 2 and a[0] in ("list", "tuple"):
        return (
            b[0] in ("list", "tuple")
            and len(a[1]) == len(b[1])
            and all(same_structure(x, y) for x, y in zip(a[1], b[1], strict=True))
        )
    return bool(a == b)


def check_same(name: str, what: str, old: Any, new: Any) -> None:
    """Raise if what goes round a loop has changed its shape or dtype in a turn.

    Args:
        name: of the loop, for the message.
        what: which of its values this is.
        old, new: the value before and after the turn.

    Raises:
        ShapeError, DTypeError: it has changed.
    """
    if new.shape != old.shape:
        raise ShapeError(f"{name}: {what} has shape {old.shape} before a turn and {new.shape} after it.")
    if new.dtype != old.dtype:
        raise DTypeError(
            f"{name}: {what} has dtype {old.dtype} before a turn and {new.dtype} after it. "
            f"Cast the start value or the new one."
        )
