"""Questions about placeholders and batches."""

from __future__ import annotations

from typing import Any

from lamina.layers.symbolic import SymbolicTensor
from lamina.training.arrays import pack, unpack


def is_keras_tensor(x: Any) -> bool:
    """Whether this is a placeholder of the functional API."""
    return isinstance(x, SymbolicTensor)


def get_source_inputs(tensor: SymbolicTensor) -> list[SymbolicTensor]:
    """The inputs that a placeholder is computed from.

    Example:
        >>> import lamina
        >>> x = lamina.Input((2,))
        >>> get_source_inputs(lamina.layers.Dense(3)(x)) == [x]
        True
    """
    found: dict[int, SymbolicTensor] = {}
    seen: set[int] = set()
    stack = [tensor]
    while stack:
        current = stack.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        before = current.node.inputs if current.node is not None else []
        if not before:
            found[id(current)] = current
        stack.extend(reversed(before))
    return list(found.values())


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """What ``train_step`` is given: ``x``, ``(x, y)`` or ``(x, y, sample_weight)``.

    Example:
        >>> pack_x_y_sample_weight(1, 2)
        (1, 2)
    """
    return pack(x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """``(x, y, sample_weight)`` of a batch; what it does not hold is ``None``.

    Raises:
        DataError: it has more than three parts.

    Example:
        >>> unpack_x_y_sample_weight((1, 2))
        (1, 2, None)
    """
    return unpack(data)
