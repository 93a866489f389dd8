"""Targets between scikit-learn and a model: labels as numbers or rows, and outputs back into labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.errors import DataError
from lamina.core.optional import require


class Numbers:
    """Targets of a regressor: rows for the model, and back in their shape and precision.

    Args:
        y: the targets, ``(samples,)`` or ``(samples, outputs)``.

    Raises:
        ValueError: they are Python objects.
    """

    def __init__(self, y: np.ndarray) -> None:
        if y.dtype == object:
            multiclass = require("sklearn.utils.multiclass", "sklearn", "lamina.sklearn")
            multiclass.type_of_target(y, raise_unknown=True)
        self.flat = y.ndim == 1
        self.dtype = y.dtype if y.dtype.kind == "f" else np.dtype(np.float64)

    def as_rows(self, y: np.ndarray) -> np.ndarray:
        """The targets with at least two axes."""
        return y[:, None] if y.ndim == 1 else y

    def for_model(self, rows: np.ndarray, model: Any) -> np.ndarray:
        """The targets in the form that the model is trained on."""
        return rows

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs of the model in the form of the targets."""
        if self.flat and outputs.ndim == 2 and outputs.shape[1] == 1:
            outputs = outputs[:, 0]
        return outputs.astype(self.dtype)


class Classes:
    """Labels of a classifier.

    Args:
        y: the labels, ``(samples,)``.

    Raises:
        DataError: there is only one class.
        ValueError: they are no labels.
    """

    def __init__(self, y: np.ndarray) -> None:
        multiclass = require("sklearn.utils.multiclass", "sklearn", "lamina.sklearn")
        multiclass.check_classification_targets(y)
        self.labels, _ = np.unique(y, return_inverse=True)
        if len(self.labels) < 2:
            raise DataError(f"A classifier cannot be trained on one class: all labels are {self.labels[0]!r}.")

    def one_hot(self, y: np.ndarray) -> np.ndarray:
        """Rows with a 1 at the place of the label."""
        return (y[:, None] == self.labels).astype(np.float32)

    def for_model(self, rows: np.ndarray, model: Any) -> np.ndarray:
        """Class numbers, one column, or the rows as they are, by the model's loss and outputs."""
        if _loss_name(model.loss).startswith("sparse"):
            return rows.argmax(-1)
        made: Any = getattr(model, "outputs", ())
        one_output = len(made) == 1 and made[0].shape[-1:] == (1,)
        if one_output and len(self.labels) == 2:
            return rows[:, 1:]
        return rows

    def decide(self, outputs: np.ndarray, loss: Any) -> np.ndarray:
        """The label with the largest output; of one output, by its threshold."""
        if outputs.ndim == 1 or outputs.shape[-1] == 1:
            threshold = 0.0 if getattr(loss, "from_logits", False) else 0.5
            chosen = (outputs.reshape(len(outputs)) > threshold).astype(np.int64)
        else:
            chosen = outputs.argmax(-1)
        labels: np.ndarray = self.labels[chosen]
        return labels

    def probabilities(self, outputs: np.ndarray, loss: Any) -> np.ndarray:
        """Rows that sum to 1: logits through the function that belongs to the loss, scores divided by their sum."""
        values = outputs.astype(np.float64)
        logits = bool(getattr(loss, "from_logits", False))
        if values.ndim == 1 or values.shape[-1] == 1:
            upper = values.reshape(len(values), 1)
            upper = _sigmoid(upper) if logits else np.clip(upper, 0, 1)
            return np.concatenate([1 - upper, upper], axis=1)
        if logits and "binary" in _loss_name(loss):
            values = _sigmoid(values)
        elif logits:
            values = np.exp(values - values.max(-1, keepdims=True))
        values = np.maximum(values, 0)
        total = values.sum(-1, keepdims=True)
        return np.where(total > 0, values / np.where(total > 0, total, 1), 1 / values.shape[-1])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))  # does not overflow


def _loss_name(loss: Any) -> str:
    if isinstance(loss, str):
        return loss.lower()
    return str(getattr(loss, "__name__", type(loss).__name__)).lower()
