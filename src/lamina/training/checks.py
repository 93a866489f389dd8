"""Bad data, named before the first step: what is wrong, where, what was expected and what to do.

Each check is one pass over its array at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DataError, DTypeError, ShapeError
from lamina.training.problems import Problem

CHUNK = 1 << 22  # elements looked at together when a bad one is searched


# --- arguments --------------------------------------------------------------------------------------
def check_positive(name: str, value: Any, least: int = 1) -> int:
    """An argument that counts something.

    Raises:
        ArgumentError: it is no integer, or less than ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(f"{name} is an integer of at least {least}, got {value!r}.")
    return int(value)


def check_validation_split(split: Any, rows: int) -> int:
    """The number of rows to train on when the share ``split`` at the end is kept for validation.

    Raises:
        ArgumentError: the share is not between 0 and 1, or leaves one part empty.
    """
    if isinstance(split, bool) or not isinstance(split, int | float | np.number) or not 0 < split < 1:
        raise ArgumentError(f"validation_split is a share of the data between 0 and 1, got {split!r}.")
    train = math.floor(rows * (1.0 - float(split)))
    if train in (0, rows):
        raise ArgumentError(
            f"validation_split={split} divides {rows} rows into {train} to train and {rows - train} to validate; "
            "neither may be empty."
        )
    return train


# --- arrays ---------------------------------------------------------------------------------------
def as_numeric(name: str, value: Any) -> np.ndarray:
    """A NumPy array of numbers or bools, without a copy where ``value`` is one already.

    Raises:
        DTypeError: it holds objects, strings, dates or complex numbers.
        ShapeError: it is a nested list with rows of different lengths, or has no first dimension.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"{name}: its rows have different lengths and do not make an array ({error}).") from None
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        first = next(iter(array.flat), None)
        raise DTypeError(
            f"{name} has dtype {array.dtype} (its first value is {first!r}), and a network takes numbers. "
            + _dtype_advice(array, first)
        )
    if array.ndim == 0:
        raise ShapeError(f"{name} is the single number {array.item()}; an array with one row per sample was expected.")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _dtype_advice(array: np.ndarray, first: Any) -> str:
    if array.dtype.kind in "US" or isinstance(first, str):
        return "Turn the strings into numbers first, for example with np.unique(strings, return_inverse=True)[1]."
    if array.dtype.kind == "O" and isinstance(first, list | tuple | np.ndarray):
        return "Its rows have different lengths: pad or cut them to one length."
    if array.dtype.kind == "c":
        return "Give the real and the imaginary part as two channels."
    return "Convert it: np.asarray(values, dtype='float32')."


def check_rows(named: Sequence[tuple[str, np.ndarray]]) -> int:
    """The number of rows, which all arrays share.

    Raises:
        DataError: there are none, or the arrays differ in length.
    """
    first_name, first = named[0]
    for name, array in named[1:]:
        if len(array) != len(first):
            raise DataError(
                f"{first_name} has {len(first):,} rows and {name} has {len(array):,}: shapes {first.shape} and "
                f"{array.shape}. Each sample needs one row in every array."
            )
    if len(first) == 0:
        raise DataError(f"{first_name} is empty (shape {first.shape}). Give at least one sample.")
    return len(first)


def all_finite(array: np.ndarray) -> bool:
    """Whether an array of floats holds neither NaN nor infinity.

    In the order of their bits as unsigned integers stand: positive numbers, infinity, NaN, then negative
    numbers, minus infinity, NaN.  The greatest tells whether there is a bad one, in one pass at the speed of
    the memory, where no number is negative; else it tells of the negative ones, and the greatest in the
    order of signed integers of the positive ones.
    """
    if array.size == 0:
        return True
    size = 8 * array.dtype.itemsize
    bits = array.view(f"u{array.dtype.itemsize}")
    infinity = int(np.array(np.inf, array.dtype).view(bits.dtype))
    greatest = int(bits.max())
    if greatest < infinity:
        return True
    return greatest < infinity + (1 << (size - 1)) and int(array.view(f"i{array.dtype.itemsize}").max()) < infinity


def check_finite(name: str, array: np.ndarray) -> None:
    """Every value of a float array is a number.

    Raises:
        DataError: it holds NaN or infinity; says the first row, the place in it and how many rows.
    """
    if not dtypes.is_float(array.dtype) or all_finite(array):
        return
    rows_at_once = max(1, CHUNK // max(1, array[0].size))
    first: tuple[int, ...] | None = None
    bad_rows = 0
    for start in range(0, len(array), rows_at_once):
        bad = ~np.isfinite(array[start : start + rows_at_once])
        if bad.any():
            if first is None:
                place = np.unravel_index(int(bad.argmax()), bad.shape)
                first = (int(place[0]) + start, *(int(i) for i in place[1:]))
            bad_rows += int(bad.reshape(len(bad), -1).any(axis=1).sum())
    assert first is not None
    value = float(array[first])
    where = f"row {first[0]}" + (f", element {first[1:] if len(first) > 2 else first[1]}" if len(first) > 1 else "")
    raise DataError(
        f"{name} holds {'NaN' if value != value else value} in {where} ({bad_rows:,} of {len(array):,} rows are "
        "affected). Training on it makes every weight NaN. Remove these rows, or fill them: np.nan_to_num(...)."
    )


# --- targets --------------------------------------------------------------------------------------
def _row_and_value(array: np.ndarray, bad: np.ndarray) -> tuple[int, Any]:
    place = np.unravel_index(int(bad.argmax()), bad.shape)
    return int(place[0]), array[place].item()


def check_class_labels(
    name: str, labels: np.ndarray, prediction: tuple[int, ...], ignore: int | None = None
) -> None:
    """Targets of a sparse categorical loss: one integer per sample (or per step), below the number of classes.

    Args:
        name: what to call the targets.
        labels: the targets, rows first.
        prediction: shape of the model's output, the number of classes last.
        ignore: a label that stands for no class and is left out.

    Raises:
        ShapeError: one-hot rows, or another shape than the output's without its last dimension.
        DataError: a label is not an integer, negative, or too large.
    """
    classes = prediction[-1]
    places = prediction[1:-1]
    if labels.shape[1:] not in (places, (*places, 1)):
        advice = f"The labels of this loss have shape {_rows(places)}."
        if labels.shape[1:] == prediction[1:] and len(prediction) > 1:
            advice = (
                "They look one-hot: use loss='categorical_crossentropy', or give the class numbers: "
                "y.argmax(axis=-1)."
            )
        raise ShapeError(
            f"{name} has shape {labels.shape} and the model's output {_rows(prediction[1:])}, for a sparse "
            f"categorical loss. {advice}"
        )
    if classes == 1:
        raise ShapeError(
            f"A sparse categorical loss needs one output for each class, and the model's output has shape "
            f"{_rows(prediction[1:])}. For two classes and one output use loss='binary_crossentropy'."
        )
    if dtypes.is_float(labels.dtype):
        fraction = labels != np.floor(labels)
        if fraction.any():
            row, value = _row_and_value(labels, fraction)
            raise DataError(
                f"{name} has label {value} in row {row}, and a sparse categorical loss takes whole class numbers. "
                "For a number to predict use a regression loss, such as 'mse'."
            )
    inside = labels if ignore is None else np.where(labels == ignore, 0, labels)
    lowest, highest = inside.min(), inside.max()
    if lowest < 0 or highest >= classes:
        row, value = _row_and_value(labels, inside < 0 if lowest < 0 else inside >= classes)
        advice = f"Give the last layer {int(highest) + 1} units" if highest >= classes else "Shift or map the labels"
        if lowest == 1 and highest == classes:
            advice = "They seem to count from 1: subtract 1"
        raise DataError(
            f"{name} has label {int(value)} in row {row}, outside the classes 0 to {classes - 1} of the model's output "
            f"{_rows(prediction[1:])} (labels run from {int(lowest)} to {int(highest)}). {advice}."
        )


def check_same_shape(name: str, target: np.ndarray, prediction: tuple[int, ...], loss: str) -> None:
    """Targets have the shape of the output, so that nothing broadcasts.

    Raises:
        ShapeError: they differ.
    """
    if target.shape[1:] == prediction[1:]:
        return
    advice = "Reshape the targets, or change the last layer."
    if len(prediction) > 1 and prediction[-1] > 1 and target.shape[1:] in (prediction[1:-1], (*prediction[1:-1], 1)):
        if dtypes.is_float(target.dtype) or "crossentropy" not in loss:
            advice = f"For one number per sample give the last layer 1 unit instead of {prediction[-1]}."
        else:
            advice = (
                "For class numbers use loss='sparse_categorical_crossentropy', or turn them into one-hot rows: "
                f"np.eye({prediction[-1]})[y]."
            )
    raise ShapeError(
        f"{name} has shape {target.shape} and the model's output {_rows(prediction[1:])}: {loss} needs equal shapes, "
        f"and broadcasting them would compare every target with the wrong predictions. {advice}"
    )


def check_probabilities(name: str, target: np.ndarray, loss: str) -> None:
    """Targets of a cross-entropy are between 0 and 1.

    Raises:
        DataError: one is not; says the row and the value.
    """
    if target.dtype.kind == "b":
        return
    lowest, highest = target.min(), target.max()
    if lowest >= 0 and highest <= 1:
        return
    row, value = _row_and_value(target, target < 0 if lowest < 0 else target > 1)
    advice = "Scale the targets."
    if "binary" in loss and set(np.unique(target[:1000]).tolist()) <= {-1, 1}:
        advice = "For labels -1 and 1 use (y + 1) / 2, or loss='hinge'."
    raise DataError(
        f"{name} holds {value} in row {row}, and {loss} takes probabilities between 0 and 1 (values run from "
        f"{lowest.item():.6g} to {highest.item():.6g}). {advice}"
    )


def outside_probabilities(output: np.ndarray, loss: str, output_name: str, binary: bool = False) -> Problem | None:
    """What is wrong where a loss takes probabilities and the outputs for the first sample are others than 0 to 1."""
    slack = 1e-3  # rounding in low precision
    lowest, highest = float(output.min()), float(output.max())
    if not np.isfinite([lowest, highest]).all() or (lowest >= -slack and highest <= 1 + slack):
        return None
    activation = "sigmoid" if binary else "softmax"
    text = f"{loss} takes probabilities, and the model's output {output_name!r} for the first sample runs from "
    advice = f"give the last layer activation={activation!r}, or the loss from_logits=True"
    return Problem("logits", f"{text}{lowest:.4g} to {highest:.4g}.", advice)


def align_target(target: np.ndarray, prediction: tuple[int, ...]) -> np.ndarray:
    """The target with a last dimension of 1 added or dropped where that makes its rank the output's.

    So ``(n,)`` meets an output ``(n, 1)`` row by row instead of broadcasting to ``(n, n)``.
    """
    if target.ndim + 1 == len(prediction) and prediction[-1] == 1:
        return target[..., None]
    if target.ndim == len(prediction) + 1 and target.shape[-1] == 1:
        return target[..., 0]
    return target


def _rows(shape: tuple[int, ...]) -> str:
    """A shape with a dimension for the samples in front, as people write it."""
    return f"(n, {', '.join(map(str, shape))})" if shape else "(n,)"
