"""Separable convolution, a composite of two convolutions."""

from __future__ import annotations

from typing import Any

from lamina.ops.conv import conv, depthwise_conv


def separable_conv(
    x: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """Convolution of each channel with its own windows, and then of all channels with windows of one element.

    Args:
        x: ``(batch, *spatial, channels)``, with 1 to 3 spatial dimensions.
        depthwise_kernel: ``(*sizes, channels, multiplier)``, of the first convolution.
        pointwise_kernel: ``(1, ..., channels * multiplier, filters)``, of the second.
        strides: steps between windows of the first convolution.
        padding: ``"valid"`` or ``"same"``.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        dilation_rate: steps between the elements of a window of the first convolution.

    Example:
        >>> import lamina
        >>> x, depthwise, pointwise = lamina.ones((1, 5, 2)), lamina.ones((3, 2, 1)), lamina.ones((1, 2, 4))
        >>> lamina.nn.separable_conv(x, depthwise, pointwise).shape
        (1, 3, 4)
    """
    x = depthwise_conv(
        x, depthwise_kernel, strides=strides, padding=padding, dilation_rate=dilation_rate, data_format=data_format
    )
    return conv(x, pointwise_kernel, data_format=data_format)
