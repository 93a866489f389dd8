"""``PositionEmbedding``: a learned vector for each place in a sequence."""

from __future__ import annotations

from typing import Any

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
