"""Functions of two numbers: what a model says all over a plane, and the ways of optimizers over a surface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lamina import ops
from lamina.autodiff import GradientTape
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.messages import did_you_mean
from lamina.graph.function import function as compiled
from lamina.models import Model
from lamina.optimizers import Optimizer
from lamina.optimizers import get as optimizer_named
from lamina.tensor import Variable


class Grid(NamedTuple):
    """Values on a grid.

    Attributes:
        x: ``(columns,)``, where the columns stand.
        y: ``(rows,)``, where the rows stand.
        values: ``(rows, columns)``, or ``(rows, columns, outputs)``.
    """

    x: np.ndarray
    y: np.ndarray
    values: np.ndarray


def decision_grid(model: Any, points: Any, resolution: int = 200, margin: float = 0.1, batch_size: int = 4096) -> Grid:
    """What a model of two inputs predicts on a grid over the points.

    Args:
        model: a model; an estimator of scikit-learn, whose probabilities are taken if it gives any; or a function
            from ``(n, 2)`` to predictions.
        points: ``(n, 2)``; the grid covers them.
        resolution: places along each side.
        margin: room around the points, as a share of their range.
        batch_size: samples at a time in a model.

    Returns:
        The grid, with the outputs as the last axis if there are several.

    Raises:
        ShapeError: the points or the model's inputs are not two numbers each.

    Example:
        >>> grid = decision_grid(lambda p: p[:, 0] > p[:, 1], [[0, 0], [1, 1]], resolution=3, margin=0)
        >>> grid.values.tolist()
        [[False, True, True], [False, False, True], [False, False, False]]
    """
    known = np.asarray(points)
    if known.ndim != 2 or known.shape[1] != 2 or not len(known):
        raise ShapeError(
            f"A decision boundary is drawn over points (n, 2); got shape {known.shape}. Choose two features, or bring "
            "the points to two dimensions first: lamina.inspection.pca(x).points."
        )
    graph = getattr(model, "_graph", None) if isinstance(model, Model) else None
    if graph is not None and tuple(graph.inputs[0].shape[1:]) != (2,):
        shape = graph.inputs[0].shape[1:]
        raise ShapeError(f"Model {model.name!r} takes inputs of shape {shape}; a plane has two numbers.")
    low, high = known.min(0).astype(np.float64), known.max(0).astype(np.float64)
    room = np.where(high > low, high - low, 1) * margin
    x, y = (np.linspace(low[i] - room[i], high[i] + room[i], resolution) for i in range(2))
    plane = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    if isinstance(model, Model):
        found = model.predict(plane.astype(np.float32), batch_size=batch_size, verbose=0)
    elif hasattr(model, "predict_proba"):
        found = model.predict_proba(plane)
    elif hasattr(model, "predict"):
        found = model.predict(plane)
    else:
        found = model(plane)
    values = np.asarray(found)
    if values.shape[:1] != (len(plane),) or values.ndim > 2:
        raise ShapeError(f"For {len(plane)} points the model gives shape {values.shape}, not one row for each.")
    outputs = values.shape[1:] if values.ndim == 2 and values.shape[1] > 1 else ()
    return Grid(x, y, values.reshape(resolution, resolution, *outputs))


# --- surfaces --------------------------------------------------------------------------------------------
class Surface(NamedTuple):
    """A function of two numbers that optimizers are tried on.

    Attributes:
        function: ``f(x, y)``, of tensors or arrays.
        x: what of the first axis is worth seeing.
        y: what of the second.
        start: where optimizers begin.
        minima: where it is least.
    """

    function: Callable[[Any, Any], Any]
    x: tuple[float, float]
    y: tuple[float, float]
    start: tuple[float, float]
    minima: tuple[tuple[float, float], ...]


def rosenbrock(x: Any, y: Any) -> Any:
    """``(1 - x)^2 + 100 (y - x^2)^2``: a narrow, curved valley.  Rosenbrock, 1960."""
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def beale(x: Any, y: Any) -> Any:
    """``(1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2``: flat, with steep corners.  Beale, 1958."""
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def himmelblau(x: Any, y: Any) -> Any:
    """``(x^2 + y - 11)^2 + (x + y^2 - 7)^2``: four equal minima.  Himmelblau, 1972."""
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def bowl(x: Any, y: Any) -> Any:
    """``(x^2 + 20 y^2) / 2``: a long bowl, twenty times as steep one way as the other."""
    return (x**2 + 20 * y**2) / 2


def saddle(x: Any, y: Any) -> Any:
    """``x^2 - y^2 + y^4 / 4``: level in the middle, down to both sides."""
    return x**2 - y**2 + y**4 / 4


SURFACES = {
    "rosenbrock": Surface(rosenbrock, (-2, 2), (-1, 3), (-1.5, 2.0), ((1.0, 1.0),)),
    "beale": Surface(beale, (-1, 4.5), (-2, 2), (1.0, 1.6), ((3.0, 0.5),)),
    "himmelblau": Surface(
        himmelblau, (-5, 5), (-5, 5), (-0.5, -1.0),
        ((3.0, 2.0), (-2.805118, 3.131312), (-3.77931, -3.283186), (3.584428, -1.848126)),
    ),
    "bowl": Surface(bowl, (-10, 10), (-4, 4), (-9.0, 3.0), ((0.0, 0.0),)),
    "saddle": Surface(saddle, (-2, 2), (-2, 2), (1.5, 0.01), ((0.0, 2**0.5), (0.0, -(2**0.5)))),
}  # fmt: skip


def surface_named(surface: Any) -> Surface:
    """A known surface by its name, or one from a function ``f(x, y)``.

    Raises:
        ArgumentError: the name is unknown.
    """
    if isinstance(surface, Surface):
        return surface
    if callable(surface):
        return Surface(surface, (-2, 2), (-2, 2), (-1.5, 1.5), ())
    if surface not in SURFACES:
        hint = did_you_mean(surface, SURFACES)
        raise ArgumentError(f"surface is a function f(x, y) or one of {', '.join(SURFACES)}; got {surface!r}.{hint}")
    return SURFACES[surface]


def optimizer_path(
    surface: Any, optimizer: Any, steps: int = 100, start: tuple[float, float] | None = None
) -> np.ndarray:
    """Where an optimizer goes on a surface.

    Args:
        surface: a name (``"rosenbrock"``, ``"beale"``, ``"himmelblau"``, ``"bowl"``, ``"saddle"``), or a function
            ``f(x, y)`` written with ops.
        optimizer: an optimizer or its name; a copy of it is used.
        steps: how many steps it takes.
        start: where it begins; default the surface's own place.

    Returns:
        float64 ``(steps + 1, 3)``: ``x``, ``y`` and the value at each step, the start first.

    Raises:
        ArgumentError: the surface or the optimizer is unknown, or ``steps`` less than 1.

    Example:
        >>> import lamina
        >>> optimizer_path("bowl", lamina.optimizers.SGD(0.05), steps=1, start=(2.0, 1.0)).round(4).tolist()
        [[2.0, 1.0, 12.0], [1.9, 0.0, 1.805]]
    """
    found = surface_named(surface)
    if steps < 1:
        raise ArgumentError(f"optimizer_path: steps >= 1; got {steps}.")
    chosen = optimizer_named(optimizer)
    if not isinstance(chosen, Optimizer):
        raise ArgumentError(f"optimizer_path takes an optimizer or its name; got {optimizer!r}.")
    fresh = type(chosen).from_config(chosen.get_config())
    place: Any = Variable(np.asarray(found.start if start is None else start, np.float32))
    fresh.build([place])

    def step() -> tuple[Any, Any]:
        before = place.value + 0
        with GradientTape() as tape:
            value = found.function(place[0], place[1])
        fresh.apply([tape.gradient(value, place)], [place])
        return before, value

    run = compiled(name="optimizer_path")(step)
    path = []
    for _ in range(steps):
        before, value = run()
        path.append([*np.asarray(before, np.float64), float(np.asarray(value))])
    last = np.asarray(place.numpy(), np.float64)
    path.append([*last, float(np.asarray(found.function(*map(ops.as_tensor, last))))])
    return np.asarray(path)
