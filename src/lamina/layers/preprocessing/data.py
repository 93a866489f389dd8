"""``DataLayer``: layers that take strings, which are no dtype of tensors, and so work on data before a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, CaptureError
from lamina.layers.base import Layer
from lamina.layers.symbolic import symbolic_leaves
from lamina.tensor import Tensor, Variable


class DataLayer(Layer):
    """A layer whose ``call`` takes a NumPy array, of strings or numbers, and returns a Tensor."""

    autocast = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True

    def prepare(self, inputs: Any) -> Any:
        """What ``call`` is to be given: an array."""
        if isinstance(inputs, Tensor | Variable):
            if inputs.is_symbolic if isinstance(inputs, Tensor) else False:
                raise CaptureError(f"{type(self).__name__} works on data, not inside a compiled function.")
            inputs = inputs.numpy()
        return np.asarray(inputs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the layer to an array or list of strings or numbers."""
        if symbolic_leaves((args, kwargs)):
            raise ArgumentError(
                f"{type(self).__name__} takes strings, which no tensor holds, so it cannot be part of a model. "
                "Apply it to the data before: model.fit(layer(x), y)."
            )
        with self._naming_errors():
            return self.call(self.prepare(args[0] if args else kwargs.pop("inputs")), **kwargs)
