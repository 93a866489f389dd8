"""Transposed convolution layers, which make sequences, images and volumes larger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import initializers, nn
from lamina.core.errors import ArgumentError
from lamina.layers.convolution import Convolution, Sizes
from lamina.layers.core import _positive
from lamina.layers.spatial import each_known
from lamina.layers.symbolic import Shape
from lamina.ops.pool import sizes_of
from lamina.serialization import register_serializable
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")


class _ConvTranspose(Convolution):
    _penalized = ("kernel", "bias")

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        output_padding: Sizes | None = None,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, bias_initializer, **kwargs
        )
        name = type(self).__name__
        self.filters = _positive(name, "filters", filters)
        self.output_padding: tuple[int, ...] | None = None
        if output_padding is not None:
            self.output_padding = sizes_of(name, "output_padding", output_padding, self._rank, least=0)
            if any(p >= s for p, s in zip(self.output_padding, self.strides, strict=True)):
                raise ArgumentError(
                    f"{name}: `output_padding` must be strictly less than `strides` for all dimensions. "
                    f"Received: output_padding={self.output_padding}, strides={self.strides}"
                )
        self.kernel_initializer = initializers.get(kernel_initializer)

    def build(self, input_shape: Shape) -> None:
        shape = (*self.kernel_size, self.filters, self._channels(input_shape))
        self.kernel = self.add_weight(shape, self.kernel_initializer, name="kernel", **self._penalties("kernel"))
        self._add_bias(self.filters)

    def call(self, inputs: Any) -> Tensor:
        x = nn.conv_transpose(inputs, self.kernel, output_padding=self.output_padding, **self._windows())
        return self._finish(x)

    def _spatial_shape(self, sizes: Sequence[int | None]) -> list[int | None]:
        extra: Sequence[int | None] = self.output_padding or (None,) * self._rank

        def size(n: int, kernel: int, stride: int, dilation: int, more: int | None) -> int:
            reach = (kernel - 1) * dilation + 1
            if self.padding == "same":
                return n * stride if more is None else (n - 1) * stride + reach % 2 + more
            return (n - 1) * stride + (max(reach, stride) if more is None else reach + more)

        return each_known(size, sizes, self.kernel_size, self.strides, self.dilation_rate, extra)

    def _filters(self, channels: int | None) -> int | None:
        return self.filters

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "output_padding": self.output_padding,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
        }


@_register
class Conv1DTranspose(_ConvTranspose):
    """The gradient of ``Conv1D`` with respect to its input, as a layer: it makes a sequence larger.

    Args:
        filters: number of output channels.
        kernel_size: size of the window, an int.
        strides: how far apart the windows of two neighbours of the input lie, an int.
        padding: ``"same"`` for outputs of ``size * stride``; ``"valid"`` for all that a window reaches.
        output_padding: how much is added at the far end, an int, below ``strides``; by
            default what gives the sizes above.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        dilation_rate: steps between the elements of a window, an int.
        activation: name or function; default none (linear).
        use_bias: whether to add a bias for each filter.
        kernel_initializer: initial ``kernel``, of shape ``(*kernel_size, filters, channels)``.
        bias_initializer: initial ``bias``, of shape ``(filters,)``.

    Input shape ``(batch, steps, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.Conv1DTranspose(32, 3, strides=2, padding="same")(lamina.ones((4, 10, 3))).shape
        (4, 20, 32)
    """

    _rank = 1


@_register
class Conv2DTranspose(_ConvTranspose):
    """The gradient of ``Conv2D`` with respect to its input, as a layer: it makes an image larger.

    Args:
        filters: number of output channels.
        kernel_size: size of the window, an int or 2 of them.
        strides: how far apart the windows of two neighbours of the input lie, an int or 2 of them.
        padding: ``"same"`` for outputs of ``size * stride``; ``"valid"`` for all that a window reaches.
        output_padding: how much is added at the far end, an int or 2 of them, below ``strides``; by
            default what gives the sizes above.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        dilation_rate: steps between the elements of a window, an int or 2 of them.
        activation: name or function; default none (linear).
        use_bias: whether to add a bias for each filter.
        kernel_initializer: initial ``kernel``, of shape ``(*kernel_size, filters, channels)``.
        bias_initializer: initial ``bias``, of shape ``(filters,)``.

    Input shape ``(batch, rows, columns, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.Conv2DTranspose(32, 3, strides=2, padding="same")(lamina.ones((4, 28, 28, 1))).shape
        (4, 56, 56, 32)
    """

    _rank = 2


@_register
class Conv3DTranspose(_ConvTranspose):
    """The gradient of ``Conv3D`` with respect to its input, as a layer: it makes a volume larger.

    Args:
        filters: number of output channels.
        kernel_size: size of the window, an int or 3 of them.
        strides: how far apart the windows of two neighbours of the input lie, an int or 3 of them.
        padding: ``"same"`` for outputs of ``size * stride``; ``"valid"`` for all that a window reaches.
        output_padding: how much is added at the far end, an int or 3 of them, below ``strides``; by
            default what gives the sizes above.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        dilation_rate: steps between the elements of a window, an int or 3 of them.
        activation: name or function; default none (linear).
        use_bias: whether to add a bias for each filter.
        kernel_initializer: initial ``kernel``, of shape ``(*kernel_size, filters, channels)``.
        bias_initializer: initial ``bias``, of shape ``(filters,)``.

    Input shape ``(batch, depth, rows, columns, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.Conv3DTranspose(32, 3, strides=2, padding="same")(lamina.ones((2, 6, 6, 6, 1))).shape
        (2, 12, 12, 12, 32)
    """

    _rank = 3
