"""Classes in targets, and whether both sides of a split have them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core.trees import flatten


def class_numbers(y: Any) -> np.ndarray | None:
    """The classes of targets that are integers, strings, 0 and 1, or rows with one 1; else ``None``.

    Example:
        >>> import numpy as np
        >>> class_numbers(np.array([[0.0, 1.0], [1.0, 0.0]])).tolist()
        [1, 0]
    """
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 1 and array.dtype.kind in "biuUO":
        return np.asarray(array.tolist()) if array.dtype.hasobject else array
    if array.ndim == 1 and array.dtype.kind == "f" and np.isin(array, (0, 1)).all():
        return array.astype(np.int64)
    if array.ndim == 2 and array.dtype.kind in "biuf" and len(array):
        if ((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all():
            return array.argmax(axis=1)
    return None


def warn_of_missing_classes(train: Any, held: Any) -> None:
    """Warn if a class is on one side of a split only.

    Args:
        train: targets to train on, an array or a structure of one.
        held: targets to validate on.
    """
    ours, theirs = flatten(train)[0], flatten(held)[0]
    if len(ours) != 1 or len(theirs) != 1:
        return
    one, other = class_numbers(ours[0]), class_numbers(theirs[0])
    if one is None or other is None:
        return
    known, seen = np.unique(one), np.unique(other)
    for missing, side in ((np.setdiff1d(seen, known), "train on"), (np.setdiff1d(known, seen), "validate on")):
        if len(missing):
            warnings.warn(
                f"The split leaves no sample of {_listed(missing)} to {side}. If the data are sorted by class, mix "
                "them first, or give validation_split=lamina.data.Stratified(share).",
                stacklevel=3,
            )


def _listed(classes: Sequence[Any] | np.ndarray) -> str:
    names = ", ".join(str(c) for c in list(classes)[:5])
    return f"class {names}" if len(classes) == 1 else f"classes {names}" + (" and others" if len(classes) > 5 else "")


def tells_classes_apart(loss: Any) -> bool:
    """Whether a loss (an object, function or name, or a structure of them) is one of classes."""
    names = [
        str(item if isinstance(item, str) else getattr(item, "name", None) or getattr(item, "__name__", "")).lower()
        for item in flatten(loss)[0]
    ]
    return any(word in name for name in names for word in ("crossentropy", "hinge"))
