"""Places in a sequence: a learned vector for each, or a turn of the features."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import initializers, ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.layers.base import Layer
from lamina.layers.calls import calls
from lamina.layers.symbolic import Shape
from lamina.serialization import register_serializable

_register = register_serializable("lamina.layers")


@_register
class PositionEmbedding(Layer):
    """Learned vectors of places: the output at step ``i`` is row ``i`` of a table, whatever the input.

    Add it to what it is called on: ``x + PositionEmbedding(length)(x)``.

    Args:
        sequence_length: number of rows: the most steps a sequence can have.
        initializer: initial table, of shape ``(sequence_length, size)``.
        kwargs: ``embeddings_regularizer``, ``embeddings_constraint``, and the arguments of ``Layer``.

    Call arguments:
        inputs: tensor of shape ``(batch, steps, size)``.
        start_index: the place of the first step: an int, or an integer scalar tensor.

    Output shape: that of the input.

    Raises:
        ShapeError: the sequence is longer than the table.

    Example:
        >>> import lamina
        >>> x = lamina.zeros((2, 3, 4))
        >>> (x + lamina.layers.PositionEmbedding(10)(x)).shape
        (2, 3, 4)

    Source: Gehring et al., "Convolutional sequence to sequence learning", ICML 2017.
    """

    _penalized = ("embeddings",)

    def __init__(self, sequence_length: int, initializer: Any = "glorot_uniform", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(sequence_length, bool) or not isinstance(sequence_length, int) or sequence_length < 1:
            raise ArgumentError(f"PositionEmbedding: sequence_length is a positive int; got {sequence_length!r}.")
        self.sequence_length = sequence_length
        self.initializer = initializers.get(initializer)
        self.supports_masking = True

    def build(self, inputs_shape: Shape) -> None:
        if len(inputs_shape) != 3 or inputs_shape[-1] is None:
            raise ShapeError(f"expected inputs of shape (batch, steps, size); got {tuple(inputs_shape)}.")
        self.position_embeddings = self.add_weight(
            (self.sequence_length, inputs_shape[-1]),
            self.initializer,
            name="embeddings",
            **self._penalties("embeddings"),
        )
        self.built = True

    def call(self, inputs: Any, start_index: Any = 0) -> Any:
        steps = inputs.shape[1]
        if steps > self.sequence_length:
            raise ShapeError(
                f"expected at most {self.sequence_length} steps; got {steps}. Make sequence_length larger, or cut the "
                "sequences."
            )
        if calls.cache is not None:
            cache = calls.cache.of(self)
            cache.allow(self.sequence_length)
            start_index = cache.position
        if isinstance(start_index, int):
            rows = self._static_rows(start_index, steps)
        else:
            rows = ops.dynamic_slice(self.position_embeddings, [start_index, 0], [steps, inputs.shape[-1]])
        return ops.broadcast_to(rows, inputs.shape)

    def _static_rows(self, start: int, steps: int) -> Any:
        if not 0 <= start <= self.sequence_length - steps:
            raise ShapeError(f"{steps} steps from {start} on do not lie in a table of {self.sequence_length} rows.")
        return ops.as_tensor(self.position_embeddings)[start : start + steps]

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        return tuple(inputs_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sequence_length": self.sequence_length,
            "initializer": initializers.serialize(self.initializer),
        }


@_register
class RotaryEmbedding(Layer):
    """Pairs of features turned by their place: pair ``i`` at place ``p`` by ``p / max_wavelength^(2i / size)``.

    Pair ``i`` is feature ``i`` and feature ``i + size / 2``.  A product of a query and a key that were turned so
    depends on how far apart they are, and not on where they stand: so no length is fixed, and packed rows need no
    places of their own.  It has no weights.  Give it to attention, which turns queries and keys of every head with it:
    ``MultiHeadAttention(heads, size, position_embedding=RotaryEmbedding())``.

    Args:
        max_wavelength: of the slowest turn, in steps and radians.
        scaling_factor: what places are divided by, to stretch what was learned on shorter sequences.
        sequence_axis: the axis of the steps.
        feature_axis: the axis of the features, of even size.

    Call arguments:
        inputs: floats, such as ``(batch, steps, heads, size)``.
        start_index: the place of the first step: an int, or an integer scalar tensor.  Default 0, or the steps read so
            far where a ``Cache`` reads the sequence piece by piece.

    Output shape: that of the input.

    Raises:
        ShapeError: the number of features is odd.

    Example:
        >>> import lamina
        >>> x = lamina.ones((1, 3, 2))
        >>> lamina.layers.RotaryEmbedding()(x)[0].astype('float64').round(2).tolist()
        [[1.0, 1.0], [-0.3, 1.38], [-1.33, 0.49]]

    Source: Su et al., "RoFormer: Enhanced transformer with rotary position embedding", 2021.
    """

    def __init__(
        self,
        max_wavelength: float = 10000,
        scaling_factor: float = 1.0,
        sequence_axis: int = 1,
        feature_axis: int = -1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (("max_wavelength", max_wavelength), ("scaling_factor", scaling_factor)):
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise ArgumentError(f"RotaryEmbedding: {name} is a positive number; got {value!r}.")
        self.max_wavelength, self.scaling_factor = max_wavelength, scaling_factor
        self.sequence_axis, self.feature_axis = sequence_axis, feature_axis
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any, start_index: Any = None) -> Any:
        rank = len(inputs.shape)
        steps_axis, axis = (a + rank if a < 0 else a for a in (self.sequence_axis, self.feature_axis))
        if not (0 <= steps_axis < rank and 0 <= axis < rank and steps_axis != axis):
            raise ShapeError(
                f"steps along axis {self.sequence_axis} and features along axis {self.feature_axis}: got shape "
                f"{tuple(inputs.shape)}."
            )
        size, steps = inputs.shape[axis], inputs.shape[steps_axis]
        if size % 2:
            raise ShapeError(f"expected an even number of features, to be turned in pairs; got {size}.")
        if start_index is None:
            start_index = 0 if calls.cache is None else calls.cache.position.value
        places = ops.astype(ops.add(ops.arange(steps, dtype="int32"), start_index), "float32")
        speeds = self.max_wavelength ** (-np.arange(0, size, 2) / size) / self.scaling_factor
        angles = ops.expand_dims(places, 1) * speeds.astype(np.float32)
        shape = [1] * rank
        shape[steps_axis], shape[axis] = steps, size // 2
        angles = ops.reshape(angles if steps_axis < axis else ops.matrix_transpose(angles), shape)
        cosine, sine = (ops.astype(f(angles), inputs.dtype) for f in (ops.cos, ops.sin))
        first, second = ops.split(inputs, 2, axis=axis)
        return ops.concat([first * cosine - second * sine, second * cosine + first * sine], axis=axis)

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        return tuple(inputs_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_wavelength": self.max_wavelength,
            "scaling_factor": self.scaling_factor,
            "sequence_axis": self.sequence_axis,
            "feature_axis": self.feature_axis,
        }
