"""What ``fit``, ``evaluate`` and ``predict`` are given, as flat lists of NumPy arrays with one length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DataError, DTypeError
from lamina.core.trees import flatten, unflatten
from lamina.training import checks

Arrays = list[np.ndarray]


@dataclass
class Data:
    """Inputs, targets and weights of the samples, used in place wherever their dtype allows.

    Attributes:
        x: arrays of the inputs, in the order of ``x_structure``.
        x_structure: how the inputs are nested (see ``lamina.core.trees``).
        y: arrays of the targets; empty where there are none.
        y_structure: how the targets are nested.
        weights: weights of the samples: one array for all targets, one for each, or none.
        rows: number of samples.
        places: for each output of the model, the index of its target in ``y``, or ``None``; known once
            the outputs are.
    """

    x: Arrays
    x_structure: Any
    rows: int
    y: Arrays = field(default_factory=list)
    y_structure: Any = None
    weights: Arrays = field(default_factory=list)
    weights_structure: Any = None
    places: tuple[int | None, ...] = ()

    def arrays(self) -> Arrays:
        """All arrays, inputs first."""
        return [*self.x, *self.y, *self.weights]

    def slice(self, start: int, stop: int) -> Data:
        """The samples from ``start`` to ``stop``, without a copy."""

        def cut(arrays: Arrays) -> Arrays:
            return [a[start:stop] for a in arrays]

        return replace(self, x=cut(self.x), y=cut(self.y), weights=cut(self.weights), rows=stop - start)

    def take(self, rows: np.ndarray) -> Data:
        """The samples of these numbers, copied."""

        def cut(arrays: Arrays) -> Arrays:
            return [a[rows] for a in arrays]

        return replace(self, x=cut(self.x), y=cut(self.y), weights=cut(self.weights), rows=len(rows))

    def inputs(self) -> Any:
        """The inputs in the user's structure."""
        return unflatten(self.x_structure, self.x)


def prepare(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    *,
    dtype: np.dtype[Any],
    single_input: bool = True,
    where: str = "",
    finite: bool = True,
) -> Data:
    """Turn what the user gave into ``Data``.

    Args:
        x: an array, or a list, tuple or dict of arrays for a model with several inputs.
        y: likewise for the outputs; ``None`` for prediction.
        sample_weight: an array with one weight for each sample, or several for several outputs.
        class_weight: weight of each class by its number.
        dtype: float dtype of the model, to which other floats are cast (once).
        single_input: whether the model has one input; then a list of numbers is an array.
        where: what to put before names in messages: ``"validation_data: "``.
        finite: whether NaN and infinity in the data are errors.

    Raises:
        DataError, ShapeError, DTypeError: the data cannot be used; says why and where.
        ArgumentError: both weights were given, or a generator instead of arrays.
    """
    xs, x_structure = _leaves(f"{where}x", x, dtype, single_input)
    data = Data(xs, x_structure, 0)
    named = list(zip(_names(f"{where}x", xs), xs, strict=True))
    if y is not None:
        data.y, data.y_structure = _leaves(f"{where}y", y, dtype, True)
        named += zip(_names(f"{where}y", data.y), data.y, strict=True)
    if sample_weight is not None:
        if class_weight is not None:
            raise ArgumentError("Give sample_weight or class_weight, not both: multiply them into sample_weight.")
        name = f"{where}sample_weight"
        data.weights, data.weights_structure = _leaves(name, sample_weight, dtype, True, as_float=True)
        named += zip(_names(name, data.weights), data.weights, strict=True)
    data.rows = checks.check_rows(named)
    for name, array in named if finite else ():
        checks.check_finite(name, array)
    if class_weight is not None:
        data.weights = [_weights_of_classes(class_weight, data.y, dtype)]
    return data


def _names(name: str, arrays: Arrays) -> list[str]:
    return [name] if len(arrays) == 1 else [f"{name}[{i}]" for i in range(len(arrays))]


def _leaves(
    name: str, value: Any, dtype: np.dtype[Any], single: bool, as_float: bool = False
) -> tuple[Arrays, Any]:
    """Arrays and structure of one argument."""
    if value is None:
        raise DataError(f"{name} is missing: give an array with one row per sample.")
    if isinstance(value, np.ndarray):
        pass
    elif isinstance(value, list | tuple):
        leaves = flatten(value)[0]
        if single and len(value) == 1 and hasattr(value[0], "__array__") and np.ndim(value[0]) > 0:
            value = value[0]  # [x] for a model with one input
        elif leaves and all(isinstance(v, bool | int | float | str | np.generic) for v in leaves):
            value = checks.as_numeric(name, value)
            if value.dtype == np.float64:
                value = value.astype(dtype)
    elif isinstance(value, Mapping):
        value = dict(value)
    elif hasattr(value, "__next__") or (hasattr(value, "__iter__") and not hasattr(value, "__array__")):
        raise ArgumentError(
            f"{name} is a {type(value).__name__}. Give NumPy arrays, or lists or dicts of them; "
            "for a generator loop over model.train_on_batch(x, y)."
        )
    leaves, structure = flatten(value)
    if not leaves:
        raise DataError(f"{name} is empty. Give at least one array.")
    arrays = []
    for leaf, leaf_name in zip(leaves, _names(name, leaves), strict=True):
        array = checks.as_numeric(leaf_name, leaf)
        if dtypes.is_float(array.dtype) or as_float:
            array = array.astype(dtype, copy=False)
        # Compiled code reads rows one after the other; an array laid out otherwise is copied once, here.
        flags = array.flags
        ready = flags.c_contiguous and flags.aligned
        arrays.append(array if ready else np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED"]))
    return arrays, structure


def _weights_of_classes(class_weight: Any, y: Arrays, dtype: np.dtype[Any]) -> np.ndarray:
    """The weight of each sample's class; classes that are not named weigh 1."""
    if not isinstance(class_weight, Mapping) or not class_weight:
        raise ArgumentError(f"class_weight is a dict from class numbers to weights, got {class_weight!r}.")
    if len(y) != 1:
        raise ArgumentError(f"class_weight needs one target array and the model has {len(y)}. Use sample_weight.")
    for key, weight in class_weight.items():
        if isinstance(key, bool) or not isinstance(key, int | np.integer) or key < 0:
            raise ArgumentError(f"class_weight: its keys are class numbers from 0, got {key!r}.")
        if not np.isfinite(float(weight)):
            raise DataError(f"class_weight[{key}] is {weight}.")
    labels = y[0]
    if labels.ndim == 2 and labels.shape[1] > 1:
        labels = labels.argmax(axis=1)
    elif labels.ndim == 2:
        labels = labels[:, 0]
    elif labels.ndim != 1:
        raise DTypeError(f"class_weight needs one class per sample and y has shape {labels.shape}. Use sample_weight.")
    classes = np.round(labels).astype(np.int64)
    weights = np.ones(len(classes), dtype)
    for key, weight in class_weight.items():
        weights[classes == int(key)] = weight
    return weights


def unpack(batch: Any) -> tuple[Any, Any, Any]:
    """``(x, y, sample_weight)`` of a batch; what it does not hold is ``None``.

    Raises:
        DataError: it has more parts.
    """
    if not isinstance(batch, list | tuple):
        return batch, None, None
    if not 1 <= len(batch) <= 3:
        raise DataError(f"A batch is x, (x, y) or (x, y, sample_weight); got {len(batch)} parts.")
    return (*batch, None, None, None)[:3]


def pack(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """What ``train_step`` and the others are given: ``x``, ``(x, y)`` or ``(x, y, sample_weight)``.

    Example:
        >>> unpack(pack(1, 2))
        (1, 2, None)
    """
    if y is None and sample_weight is None:
        return (x,) if isinstance(x, list | tuple) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def keys_of(structure: Any) -> list[str] | None:
    """The keys, where the structure is a dict of arrays."""
    if isinstance(structure, tuple) and structure[0] == "dict":
        return [str(key) for key, _ in structure[1]]
    return None
