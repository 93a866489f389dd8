"""What the layers for sequences, images and volumes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lamina.core import dtypes
from lamina.core.errors import ShapeError
from lamina.layers.base import Layer
from lamina.layers.spec import InputSpec
from lamina.layers.symbolic import Shape, SymbolicTensor
from lamina.ops.pool import data_format_of, spatial_axes


class SpatialLayer(Layer):
    """A layer for ``(batch, *spatial, channels)`` with ``_rank`` spatial dimensions.

    A subclass says in ``_spatial_shape`` what becomes of the spatial sizes.

    Args:
        data_format: ``"channels_last"`` (default), or ``"channels_first"``: ``(batch, channels, *spatial)``.
    """

    _rank = 2

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format_of(type(self).__name__, data_format)
        self.input_spec = InputSpec(ndim=self._rank + 2)

    @property
    def _axes(self) -> tuple[int, ...]:
        return spatial_axes(self._rank + 2, self.data_format)

    @property
    def _channel_axis(self) -> int:
        return self._rank + 1 if self.data_format == "channels_last" else 1

    def _spatial_shape(self, sizes: Sequence[int | None]) -> Sequence[int | None]:
        """The spatial sizes of the output."""
        return sizes

    def _filters(self, channels: int | None) -> int | None:
        """The channels of the output."""
        return channels

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The output's shape; unknown sizes are ``None``."""
        if len(input_shape) != self._rank + 2:
            raise ShapeError(
                f"{type(self).__name__}: the shape of the input has {self._rank + 2} sizes, of the batch, "
                f"{self._rank} in space and the channels; got {tuple(input_shape)}."
            )
        sizes = list(self._spatial_shape([input_shape[axis] for axis in self._axes]))
        return self._whole_shape(input_shape[0], sizes, self._filters(input_shape[self._channel_axis]))

    def _whole_shape(self, batch: Any, sizes: Sequence[Any], channels: Any) -> tuple[Any, ...]:
        if self.data_format == "channels_last":
            return (batch, *sizes, channels)
        return (batch, channels, *sizes)

    def compute_output_spec(self, inputs: SymbolicTensor) -> SymbolicTensor:
        """Like the input's dtype, floats become the layer's."""
        dtype = self._dtype if dtypes.is_float(inputs.dtype) else inputs.dtype
        return SymbolicTensor(self.compute_output_shape(inputs.shape), dtype, self.name)

    def _spread(self, values: Any, rest: Any) -> list[Any]:
        """One entry for each axis of the input: ``values`` on the spatial ones, ``rest`` on the others."""
        entries = dict(zip(self._axes, values, strict=True))
        return [entries.get(axis, rest) for axis in range(self._rank + 2)]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "data_format": self.data_format}


def each_known(function: Callable[..., int], sizes: Sequence[int | None], *more: Sequence[Any]) -> list[int | None]:
    """The function of each size, ``None`` where the size is not known."""
    return [None if n is None else function(n, *rest) for n, *rest in zip(sizes, *more, strict=True)]
