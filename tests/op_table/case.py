"""What a row of the op table is, and the makers of arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Arguments = tuple[Any, ...]
Maker = Callable[[np.random.Generator], Arguments]

FLOATS = ("float32", "float64")
INTS = ("int32", "int64", "uint8")
NUMBERS = FLOATS + INTS


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        label: unique name of the row.
        function: takes the arguments as Tensors (or whatever else the maker gives).
        oracle: takes the same arguments as arrays of float64 (or of their integer dtype).
        make: makes the arguments; float arrays are float64 and are cast to each dtype under test.
        dtypes: dtypes of the array arguments to test; ``None`` leaves them as they are made.
        differentiable: check gradients numerically to first and second order.
        tolerance: relative error of values, in units in the last place of the dtype.
    """

    label: str
    function: Callable[..., Any]
    oracle: Callable[..., Any]
    make: Maker
    dtypes: tuple[str, ...] | None = FLOATS
    differentiable: bool = True
    tolerance: float = 16


CASES: list[Case] = []


def row(label: str, function: Any, oracle: Any, make: Maker, **flags: Any) -> None:
    """Add a row to the table."""
    assert all(c.label != label for c in CASES), f"two rows are labelled {label!r}"
    CASES.append(Case(label, function, oracle, make, **flags))


# --- makers of arguments ----------------------------------------------------------------------------
Shapes = Sequence[tuple[int, ...]]


def normal(*shapes: tuple[int, ...]) -> Maker:
    """Standard normal numbers."""
    return lambda rng: tuple(rng.normal(size=s) for s in shapes)


def uniform(low: float, high: float, *shapes: tuple[int, ...]) -> Maker:
    """Numbers spread evenly over an interval."""
    return lambda rng: tuple(rng.uniform(low, high, size=s) for s in shapes)


def away(*shapes: tuple[int, ...]) -> Maker:
    """Numbers of both signs, at least 0.2 from 0 and from each other: no ties and no kinks nearby."""

    def make(rng: np.random.Generator) -> Arguments:
        sizes = [int(np.prod(s)) for s in shapes]
        n = sum(sizes)
        values = (0.2 + 0.25 * np.arange(n)) * rng.choice([-1.0, 1.0], n)
        values = rng.permutation(values) / max(1, n / 12)
        parts = np.split(values, np.cumsum(sizes)[:-1])
        return tuple(p.reshape(s) for p, s in zip(parts, shapes, strict=True))

    return make


def whole(low: int, high: int, *shapes: tuple[int, ...]) -> Maker:
    """Whole numbers in ``[low, high)``, which every dtype under test holds exactly."""
    return lambda rng: tuple(rng.integers(low, high, size=s).astype(np.float64) for s in shapes)


def truth(*shapes: tuple[int, ...]) -> Maker:
    """Bools."""
    return lambda rng: tuple(rng.integers(0, 2, size=s).astype(bool) for s in shapes)


def both(*makers: Maker) -> Maker:
    """The arguments of several makers in a row."""
    return lambda rng: tuple(a for make in makers for a in make(rng))


def fixed(*values: Any) -> Maker:
    """These very arguments."""
    return lambda rng: values


S, V, M = (2, 3), (5,), (3, 4)  # shapes that many rows use
