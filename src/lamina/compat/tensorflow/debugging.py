"""``tf.debugging``: checks that raise where they do not hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamina import ops
from lamina.compat.tensorflow._convert import convert_to_tensor, matched, static
from lamina.core.errors import ArgumentError, DataError, DTypeError, ShapeError


def _assertion(name: str, holds: Callable[[Any, Any], Any], words: str) -> Callable[..., None]:
    def check(
        x: Any, y: Any, message: str | None = None, summarize: Any = None, name_: str | None = None, **_: Any
    ) -> None:
        x, y = matched(x, y)
        if not bool(ops.all(holds(x, y))):
            raise ArgumentError(f"{message + ': ' if message else ''}{name}: {words} everywhere.\nx = {x}\ny = {y}")

    check.__name__ = name
    check.__doc__ = f"Raise ``ArgumentError`` unless {words} everywhere."
    return check


assert_equal = _assertion("assert_equal", ops.equal, "x equals y")
assert_none_equal = _assertion("assert_none_equal", ops.not_equal, "x differs from y")
assert_less = _assertion("assert_less", ops.less, "x is less than y")
assert_less_equal = _assertion("assert_less_equal", ops.less_equal, "x is at most y")
assert_greater = _assertion("assert_greater", ops.greater, "x is greater than y")
assert_greater_equal = _assertion("assert_greater_equal", ops.greater_equal, "x is at least y")


def _about_zero(name: str, holds: Callable[[Any, Any], Any], words: str) -> Callable[..., None]:
    def check(x: Any, message: str | None = None, **_: Any) -> None:
        x = convert_to_tensor(x)
        if not bool(ops.all(holds(x, 0))):
            raise ArgumentError(f"{message + ': ' if message else ''}{name}: {words} everywhere.\nx = {x}")

    check.__name__ = name
    check.__doc__ = f"Raise ``ArgumentError`` unless {words} everywhere."
    return check


assert_positive = _about_zero("assert_positive", ops.greater, "x is positive")
assert_negative = _about_zero("assert_negative", ops.less, "x is negative")
assert_non_negative = _about_zero("assert_non_negative", ops.greater_equal, "x is not negative")
assert_non_positive = _about_zero("assert_non_positive", ops.less_equal, "x is not positive")


def assert_near(
    x: Any, y: Any, rtol: Any = None, atol: Any = None, message: str | None = None, **_: Any
) -> None:
    """Raise ``ArgumentError`` unless ``|x - y| <= atol + rtol * |y|`` everywhere (default 10 units of the dtype)."""
    x, y = matched(x, y)
    unit = 10 * {2: 2.0**-10, 4: 2.0**-23, 8: 2.0**-52}[x.dtype.itemsize]
    bound = ops.add(unit if atol is None else atol, ops.multiply(unit if rtol is None else rtol, ops.abs(y)))
    if not bool(ops.all(ops.less_equal(ops.abs(ops.subtract(x, y)), bound))):
        raise ArgumentError(f"{message + ': ' if message else ''}assert_near: x is not near y.\nx = {x}\ny = {y}")


def assert_all_finite(x: Any, message: str, name: str | None = None) -> Any:
    """The tensor, or ``DataError`` if one of its numbers is infinite or not a number."""
    x = convert_to_tensor(x)
    if not bool(ops.all(ops.isfinite(x))):
        raise DataError(f"{message}: the tensor has numbers that are not finite.")
    return x


check_numerics = assert_all_finite


def assert_rank(x: Any, rank: Any, message: str | None = None, name: str | None = None) -> None:
    """Raise ``ShapeError`` unless the tensor has so many dimensions."""
    x = convert_to_tensor(x)
    if x.ndim != static(rank):
        raise ShapeError(f"{message + ': ' if message else ''}expected {static(rank)} dimensions, got shape {x.shape}.")


def assert_type(tensor: Any, tf_type: Any, message: str | None = None, name: str | None = None) -> None:
    """Raise ``DTypeError`` unless the tensor has this dtype."""
    tensor = convert_to_tensor(tensor)
    if tensor.dtype != tf_type:
        raise DTypeError(f"{message + ': ' if message else ''}expected {tf_type}, got {tensor.dtype}.")


def assert_integer(x: Any, message: str | None = None, name: str | None = None) -> None:
    """Raise ``DTypeError`` unless the tensor holds integers."""
    x = convert_to_tensor(x)
    if x.dtype.kind not in "iu":
        raise DTypeError(f"{message + ': ' if message else ''}expected integers, got {x.dtype}.")


def assert_scalar(tensor: Any, name: str | None = None, message: str | None = None) -> Any:
    """The tensor, or ``ShapeError`` if it is no single number."""
    tensor = convert_to_tensor(tensor)
    assert_rank(tensor, 0, message)
    return tensor
