"""How a classifier errs: the confusion matrix."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, ShapeError
from lamina.plotting.figures import finish, new_figure

PURPOSE = "drawing a confusion matrix"


def confusion_matrix(y_true: Any, y_pred: Any, num_classes: int | None = None) -> np.ndarray:
    """``out[i, j]`` = how many samples of class ``i`` were taken for class ``j``.

    Args:
        y_true: class numbers ``(samples,)``, or rows with a 1 at the class.
        y_pred: class numbers, or a row of scores for each sample, of which the largest counts.
        num_classes: how many classes there are; default as many as occur.

    Returns:
        int64 ``(num_classes, num_classes)``.

    Raises:
        ShapeError: there are not as many predictions as labels.
        ArgumentError: a class number is out of range.

    Example:
        >>> confusion_matrix([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]).tolist()
        [[1, 0], [1, 1]]
    """
    true, predicted = _classes(y_true), _classes(y_pred)
    if true.shape != predicted.shape:
        raise ShapeError(f"There are {true.size} labels and {predicted.size} predictions.")
    count = 1 + int(max(true.max(initial=0), predicted.max(initial=0))) if num_classes is None else int(num_classes)
    for what, values in (("labels", true), ("predictions", predicted)):
        if values.size and not 0 <= values.min() <= values.max() < count:
            raise ArgumentError(f"The {what} run from {values.min()} to {values.max()}, and there are {count} classes.")
    return np.bincount(true * count + predicted, minlength=count * count).reshape(count, count).astype(np.int64)


def _classes(y: Any) -> np.ndarray:
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] > 1:
        return array.argmax(-1).astype(np.int64)
    if array.dtype.kind == "f" and array.size and not (array == np.round(array)).all():
        array = array > 0.5  # one output of a binary classifier
    return array.reshape(-1).astype(np.int64)


def plot_confusion_matrix(
    y_true: Any,
    y_pred: Any,
    labels: Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
    normalize: bool = False,
    title: str | None = None,
) -> Any:
    """Draw which classes are taken for which; a row for each true class.

    Args:
        y_true: class numbers ``(samples,)``, or rows with a 1 at the class.
        y_pred: class numbers, or a row of scores for each sample, as ``predict`` returns.
        labels: names of the classes.
        path: file to write, its format from its ending; ``None`` to write none.
        normalize: show shares of each true class instead of counts.
        title: a line above.

    Returns:
        The matplotlib ``Figure``.

    Raises:
        ArgumentError, ShapeError: labels and predictions do not fit together.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> figure = plot_confusion_matrix([0, 1, 1, 2], [0, 1, 2, 2], labels=["cat", "dog", "emu"])
        >>> len(figure.axes[0].texts)
        9
    """
    counts = confusion_matrix(y_true, y_pred, None if labels is None else len(labels))
    count = len(counts)
    names = [str(i) for i in range(count)] if labels is None else [str(name) for name in labels]
    rows = counts.sum(1, keepdims=True)
    shares = counts / np.where(rows == 0, 1, rows)
    side = max(3.2, 0.52 * count + 1.6)
    figure, [panel] = new_figure(1, 1, (side + 0.4, side), PURPOSE)
    panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i in range(count):
        for j in range(count):
            text = f"{shares[i, j]:.2f}".removeprefix("0") if normalize else str(counts[i, j])
            color = "white" if shares[i, j] > 0.55 else "#333333" if counts[i, j] else "#b8c2cc"
            panel.text(j, i, "0" if not counts[i, j] else text, ha="center", va="center", color=color, fontsize=9)
    turned = max(map(len, names), default=0) > 3
    panel.set_xticks(range(count), names, rotation=40 if turned else 0, ha="right" if turned else "center")
    panel.set_yticks(range(count), names)
    panel.set_xlabel("predicted")
    panel.set_ylabel("true")
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    panel.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    panel.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    panel.grid(which="minor", color="white", linewidth=1.5)
    panel.tick_params(which="minor", length=0)
    right = int(np.trace(counts))
    panel.set_title(f"{right:,} of {int(counts.sum()):,} right", loc="left", fontsize=11)
    return finish(figure, path, title)
