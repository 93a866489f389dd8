"""Mistakes that the data alone show: rows in training and validation, constant and leaking columns, missing classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core import dtypes
from lamina.training.arrays import Data
from lamina.training.problems import Problem

MOST = 20_000  # rows that are looked at
BLOCK = 256  # of these at a time
FEW = 8  # rows that do not tell how values are spread
PROBES = 32  # rows of validation that are looked for in training
ALIKE = 64  # rows that look like one of them, which are compared with it whole


def check(
    compiled: Any, data: Data, held_back: Data | None, batch_size: int, shuffle: bool, class_weight: Any
) -> list[Problem]:
    """All of them."""
    problems: list[Problem] = []
    labels = labels_of(compiled, data)
    problems += constant(data)
    problems += targets(compiled, data, labels)
    problems += leaks(data, labels)
    problems += weights(data, labels, class_weight)
    if held_back is not None:
        problems += shared(data, held_back)
        other = labels_of(compiled, held_back)
        if labels is not None and other is not None:
            problems += sides(labels, other)
    if data.rows > 4 * batch_size:
        problems += order(labels, shuffle)
    if data.rows < batch_size and data.rows > 1 and batch_size > 32:
        problems.append(
            Problem("batch_size", f"batch_size={batch_size} and there are {data.rows} samples.", "take a smaller one")
        )
    return problems


def labels_of(compiled: Any, data: Data) -> np.ndarray | None:
    """The classes of the samples of a classifier with one output, ``None`` for anything else."""
    if len(data.y) != 1 or len(compiled.losses) != 1 or compiled.losses[0] is None:
        return None
    kind, target = compiled.losses[0].kind, data.y[0]
    if kind == "sparse" and target.size == len(target):
        return np.asarray(target).reshape(-1).astype(np.int64)
    if kind == "categorical" and target.ndim == 2 and target.shape[1] > 1:
        return np.asarray(target.argmax(axis=1))
    if kind == "binary" and target.size == len(target) and np.isin(target[:MOST], (0, 1)).all():
        return np.asarray(target).reshape(-1).astype(np.int64)
    return None


def constant(data: Data) -> list[Problem]:
    """Inputs, or columns of them, that tell nothing."""
    problems = []
    if data.rows < 3:
        return []
    for i, array in enumerate(data.x):
        rows = array[:MOST]
        name = f"input {i}" if len(data.x) > 1 else "x"
        if (rows == rows[:1]).all():
            problems.append(Problem("constant", f"All rows of {name} are the same.", "look at how it was read"))
        elif rows.ndim == 2 and dtypes.is_float(rows.dtype):
            same = np.flatnonzero((rows == rows[:1]).all(axis=0) & (rows[0] != 0) & (np.abs(rows[0]) != 1))
            if len(same):
                problems.append(
                    Problem(
                        "constant",
                        f"Column {same[0]} of {name} has the value {float(rows[0, same[0]]):g} in every row.",
                        "leave it out: it tells nothing",
                    )
                )
    return problems


def order(labels: np.ndarray | None, shuffle: Any) -> list[Problem]:
    """Samples that are sorted by class, and stay so."""
    if shuffle or labels is None or len(labels) < 128:
        return []
    changes, classes = np.count_nonzero(np.diff(labels)), len(np.unique(labels))
    if classes < 2 or changes >= 2 * classes:
        return []
    return [Problem("order", "The samples are sorted by class, and shuffle=False keeps them so.", "shuffle them")]


def targets(compiled: Any, data: Data, labels: np.ndarray | None) -> list[Problem]:
    """Targets that are all the same, or not scaled."""
    problems: list[Problem] = []
    if data.rows < 3:
        return []
    for loss, place in zip(compiled.losses, data.places, strict=True):
        if place is None or loss is None:
            continue
        target = data.y[place]
        if (target[:MOST] == target[:1]).all():
            problems.append(Problem("targets", f"Every target is {target[0]}.", "there is nothing to learn"))
        elif labels is None and loss.kind is None and loss.known and target.ndim <= 2:
            values = target[:MOST].astype(np.float64)
            middle, spread = float(np.abs(values).mean()), float(values.std())
            if middle > 1000 or spread > 1000:
                problems.append(
                    Problem(
                        "scale",
                        f"The targets are around {middle:.4g} (spread {spread:.4g}), far from what a new model gives.",
                        "divide them, or subtract the mean and divide by the spread",
                    )
                )
    return problems


def leaks(data: Data, labels: np.ndarray | None) -> list[Problem]:
    """A column that is the target."""
    if len(data.y) != 1 or data.rows < 8:
        return []
    target = labels if labels is not None else data.y[0]
    if target.size != len(target):
        return []
    target = np.asarray(target[:MOST], np.float64).reshape(-1)
    if target.std() == 0:
        return []
    for i, array in enumerate(data.x):
        if array.ndim != 2 or array.shape[1] < 3 or array.shape[1] > 10_000:
            continue
        correlation = _correlations(array[:MOST], target)
        best = int(correlation.argmax())
        if correlation[best] > 0.9999 and np.median(correlation) < 0.9:
            return [
                Problem(
                    "leak",
                    f"Column {best} of {'x' if len(data.x) == 1 else f'input {i}'} is the target itself "
                    f"(correlation {correlation[best]:.6f}).",
                    "leave it out",
                )
            ]
    return []


def _correlations(rows: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Of each column with the target, without their signs; a few rows at a time, which stay in the cache."""
    shift, wanted = rows[0].astype(np.float64), target - target.mean()
    total, squares, product = (np.zeros(rows.shape[1]) for _ in range(3))
    for at in range(0, len(rows), BLOCK):
        block = rows[at : at + BLOCK].astype(np.float64) - shift
        total += block.sum(axis=0)
        squares += np.einsum("ij,ij->j", block, block)
        product += wanted[at : at + BLOCK] @ block
    with np.errstate(all="ignore"):
        spread = np.sqrt(np.maximum(squares / len(rows) - (total / len(rows)) ** 2, 0))
        return np.nan_to_num(np.abs(product) / (len(rows) * spread * target.std()), posinf=0.0)


def weights(data: Data, labels: np.ndarray | None, class_weight: Any) -> list[Problem]:
    """Weights of samples and classes that do nothing, or harm."""
    problems = []
    for weight in data.weights:
        if (weight < 0).any():
            problems.append(Problem("weights", "A sample has a negative weight.", "the loss would be made larger"))
        elif not (weight != 0).any():
            problems.append(Problem("weights", "Every sample has weight 0.", "nothing would be learned"))
    if class_weight and labels is not None:
        unknown = sorted(set(class_weight) - set(np.unique(labels).tolist()))
        if unknown:
            text = f"class_weight names class {unknown[0]}, which never occurs."
            problems.append(Problem("weights", text, "check it"))
    return problems


def _fingerprints(data: Data) -> np.ndarray:
    """A number for each row, uint64: equal for rows that are equal to the bit, and hardly ever for others."""
    chance = np.random.default_rng(0)
    numbers = np.zeros(min(data.rows, MOST), np.uint64)
    for a in data.x:
        rows = np.ascontiguousarray(a[:MOST]).reshape(len(numbers), -1)
        words = rows.view(np.uint8).reshape(len(rows), -1)
        words = words.view(np.uint32) if words.shape[1] % 4 == 0 else words
        factors = chance.integers(1, 1 << 63, words.shape[1], np.uint64) | np.uint64(1)
        for at in range(0, len(rows), BLOCK):
            numbers[at : at + BLOCK] += (words[at : at + BLOCK] * factors).sum(axis=1, dtype=np.uint64)
    return numbers


def shared(data: Data, held_back: Data) -> list[Problem]:
    """Rows of validation that are in training too, more than chance would have it."""
    size = sum(a[0].size for a in data.x if len(a))
    if size < 4 or held_back.rows < 5 or any(a.dtype.hasobject for a in data.x):
        return []
    train, validation = _fingerprints(data), _fingerprints(held_back)
    seen = np.unique(train)
    share = float(np.isin(validation, seen).mean())
    if share <= 0.02:
        return []
    counts = all((a[:MOST] == np.round(a[:MOST])).all() for a in data.x)
    repeats = 1 - len(seen) / len(train) if counts else 0.0  # of few whole numbers some are bound to be on both sides
    if share > 3 * repeats:
        return [
            Problem(
                "duplicates",
                f"{share:.0%} of the validation rows are in the training data too.",
                "the validation loss would tell what was learned by heart; split before rows are repeated",
            )
        ]
    return []


def shared_quickly(data: Data, held_back: Data) -> list[Problem]:
    """The same, looked for only where some rows of validation, spread over them, are found in training."""
    probe = np.linspace(0, held_back.rows - 1, min(held_back.rows, PROBES)).astype(np.int64)
    found = np.zeros(len(probe), bool)
    array, other = data.x[0][:MOST], held_back.x[0]
    if array.ndim < 1 or array.shape[1:] != other.shape[1:] or array.dtype != other.dtype or not array[0].size:
        return []
    flat = array.reshape(len(array), -1)
    places = np.linspace(0, flat.shape[1] - 1, min(flat.shape[1], 64)).astype(np.int64)
    wanted = other[probe].reshape(len(probe), -1)
    places = places[np.argsort(wanted[:, places].astype(np.float64).std(axis=0), kind="stable")[::-1][:8]]
    seen = np.ascontiguousarray(flat[:, places].T)
    for i, row in enumerate(wanted):
        alike = np.flatnonzero(seen[0] == row[places[0]])
        for column, place in zip(seen[1:], places[1:], strict=True):
            alike = alike[column[alike] == row[place]]
        found[i] = any((flat[place] == row).all() for place in alike[:ALIKE])
    return shared(data, held_back) if found.sum() > 1 else []


def sides(train: np.ndarray, validation: np.ndarray) -> list[Problem]:
    """Classes that are on one side of a split only."""
    missing = sorted(set(np.unique(validation).tolist()) - set(np.unique(train).tolist()))
    if missing:
        return [
            Problem(
                "classes",
                f"Class {missing[0]} is in the validation data and not in the training data.",
                "shuffle before splitting: validation_split takes the last rows",
            )
        ]
    absent = sorted(set(np.unique(train).tolist()) - set(np.unique(validation).tolist()))
    rarest = min(np.count_nonzero(train == c) for c in absent) if absent else 0
    if absent and rarest / len(train) * len(validation) > 5:
        return [
            Problem("classes", f"Class {absent[0]} is in no validation row.", "shuffle before splitting")
        ]
    return []
