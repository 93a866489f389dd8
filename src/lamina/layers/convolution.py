"""Convolution layers for sequences, images and volumes: plain, depthwise and separable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import activations, initializers, nn, ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.layers.calls import calls
from lamina.layers.core import _positive
from lamina.layers.low_rank import LowRankUpdate, adapted
from lamina.layers.spatial import SpatialLayer, each_known
from lamina.layers.spec import InputSpec
from lamina.layers.symbolic import Shape
from lamina.ops.pool import sizes_of, window_count
from lamina.serialization import register_serializable
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")
Sizes = int | Sequence[int]


class Convolution(SpatialLayer):
    """What all convolution layers share: windows, bias and activation.

    Args:
        kernel_size: size of the window, an int or one for each spatial dimension.
        strides: how far the window moves.
        padding: ``"valid"`` for windows that lie inside, ``"same"`` for ``ceil(size / stride)`` windows.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        dilation_rate: steps between the elements of a window.
        activation: name or function; default none (linear).
        use_bias: whether to add a bias for each filter.
        bias_initializer: initial bias.
    """

    _paddings: tuple[str, ...] = ("valid", "same")

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes,
        padding: str,
        data_format: str | None,
        dilation_rate: Sizes,
        activation: Any,
        use_bias: bool,
        bias_initializer: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        name = type(self).__name__
        self.kernel_size = sizes_of(name, "kernel_size", kernel_size, self._rank)
        self.strides = sizes_of(name, "strides", strides, self._rank)
        self.dilation_rate = sizes_of(name, "dilation_rate", dilation_rate, self._rank)
        self.padding = str(padding).lower()
        if self.padding not in self._paddings:
            raise ArgumentError(f"{name}: padding is {' or '.join(map(repr, self._paddings))}; got {padding!r}.")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ArgumentError(
                f"{name}: `strides > 1` not supported in conjunction with `dilation_rate > 1`. "
                f"Received: strides={self.strides} and dilation_rate={self.dilation_rate}"
            )
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.bias_initializer = initializers.get(bias_initializer)

    def _channels(self, input_shape: Shape) -> Any:
        """The channels of the input, which later inputs must have as well."""
        channels = input_shape[self._channel_axis]
        self.compute_output_shape(input_shape)
        self.input_spec = InputSpec(ndim=self._rank + 2, axes={self._channel_axis: channels})
        return channels

    def _add_bias(self, filters: int) -> None:
        self.bias = (
            self.add_weight((filters,), self.bias_initializer, name="bias", **self._penalties("bias"))
            if self.use_bias
            else None
        )
        self.built = True

    def _windows(self) -> dict[str, Any]:
        """What the functions of ``lamina.nn`` want to know beside the input and the kernel."""
        return {
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "data_format": self.data_format,
        }

    def _finish(self, x: Any) -> Tensor:
        """Bias and activation."""
        if self.bias is not None:
            bias = ops.as_tensor(self.bias)
            if self.data_format == "channels_first":
                bias = ops.reshape(bias, (-1, *(1,) * self._rank))
            x = ops.add(x, bias)
        return self.activation(x)

    def _spatial_shape(self, sizes: Sequence[int | None]) -> list[int | None]:
        padding = "valid" if self.padding == "valid" else "same"
        reach = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        found = each_known(lambda n, k, s: window_count(n, k, s, padding), sizes, reach, self.strides)
        if any(n is not None and n < 1 for n in found):
            raise ShapeError(
                f"Computed output size would be zero or negative. A kernel of {tuple(reach)} does not fit into an "
                f"input of {tuple(sizes)}. Use padding='same', a smaller kernel_size, or less pooling before."
            )
        return found

    def _shape_advice(self, shape: Sequence[int | None]) -> str:
        if len(shape) == self._rank + 1:
            example = "x[..., None]" if self.data_format == "channels_last" else "x[:, None]"
            return f"The input is {self._layout()}: for one channel use {example}, for one sample x[None]."
        return f"The input is {self._layout()}."

    def _layout(self) -> str:
        names = {1: ("steps",), 2: ("rows", "columns"), 3: ("depth", "rows", "columns")}[self._rank]
        return f"({', '.join(self._whole_shape('batch', names, 'channels'))})"

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "bias_initializer": initializers.serialize(self.bias_initializer),
        }


# --- convolution ----------------------------------------------------------------------------------
class _Conv(LowRankUpdate, Convolution):
    _penalized = ("kernel", "bias")
    kernel = adapted("kernel")

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        self._set_lora(kwargs.pop("lora_rank", None), kwargs.pop("lora_alpha", None))
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, bias_initializer, **kwargs
        )
        name = type(self).__name__
        self.filters = _positive(name, "filters", filters)
        if isinstance(groups, int) and groups < 1:
            raise ArgumentError(f"{name}: The number of groups must be a positive integer. Received: groups={groups}.")
        self.groups = _positive(name, "groups", groups)
        if self.filters % self.groups:
            raise ArgumentError(
                f"{name}: The number of filters must be evenly divisible by the number of groups. "
                f"Received: groups={groups}, filters={filters}."
            )
        self.kernel_initializer = initializers.get(kernel_initializer)

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        if channels is not None and channels % self.groups:
            raise ShapeError(
                "The number of input channels must be evenly divisible by the number of groups. Received groups="
                f"{self.groups}, but the input has {channels} channels (full input shape is {tuple(input_shape)}, "
                f"{self.data_format})."
            )
        inputs = None if channels is None else channels // self.groups
        shape: Any = (*self.kernel_size, inputs, self.filters)
        self.kernel = self.add_weight(shape, self.kernel_initializer, name="kernel", **self._penalties("kernel"))
        self._add_bias(self.filters)
        self._build_lora()

    def call(self, inputs: Any) -> Tensor:
        return self._finish(nn.conv(inputs, self.kernel, groups=self.groups, **self._windows()))

    def _filters(self, channels: int | None) -> int | None:
        return self.filters

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "groups": self.groups,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            **self._lora_config(),
        }


@_register
class Conv1D(_Conv):
    """``activation(sum over window and channels of inputs * kernel + bias)`` at each place of a sequence.

    Args:
        filters: number of output channels.
        kernel_size: size of the window, an int.
        strides: how far the window moves, an int.
        padding: ``"valid"`` for windows that lie inside; ``"same"`` for ``ceil(size / stride)`` windows;
            ``"causal"`` for windows that end at each step, so that no output depends on later ones.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        dilation_rate: steps between the elements of a window, an int.
        groups: channels and filters are cut into so many groups, and each group of filters sees
            only its group of channels.
        activation: name or function; default none (linear).
        use_bias: whether to add a bias for each filter.
        kernel_initializer: initial ``kernel``, of shape ``(*kernel_size, channels / groups, filters)``.
        bias_initializer: initial ``bias``, of shape ``(filters,)``.

    Input shape ``(batch, steps, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.Conv1D(32, 3, activation="relu")(lamina.ones((4, 10, 3))).shape
        (4, 8, 32)
    """

    _rank = 1
    _paddings = ("valid", "same", "causal")

    def call(self, inputs: Any) -> Tensor:
        reach = (self.kernel_size[0] - 1) * self.dilation_rate[0]
        plain = self.padding == "causal" and self.data_format == "channels_last" and self.strides == (1,) and reach > 0
        if calls.cache is None or not plain:
            return super().call(inputs)
        cache = calls.cache.of(self)
        (before,) = cache.states([ops.zeros((inputs.shape[0], reach, inputs.shape[2]), dtype=inputs.dtype)])
        inputs = ops.concat([before, inputs], axis=1)
        cache.keep([inputs[:, inputs.shape[1] - reach :]])
        windows = {**self._windows(), "padding": "valid"}
        return self._finish(nn.conv(inputs, self.kernel, groups=self.groups, **windows))


@_register
class Conv2D(_Conv):
    """``activation(sum over window and channels of inputs * kernel + bias)`` at each place of an image.

    Args:
        filters: number of output channels.
        kernel_size: size of the window, an int or 2 of them.
        strides: how far the window moves, an int or 2 of them.
        padding: ``"valid"`` for windows that lie inside; ``"same"`` for ``ceil(size / stride)`` windows.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        dilation_rate: steps between the elements of a window, an int or 2 of them.
        groups: channels and filters are cut into so many groups, and each group of filters sees
            only its group of channels.
        activation: name or function; default none (linear).
        use_bias: whether to add a bias for each filter.
        kernel_initializer: initial ``kernel``, of shape ``(*kernel_size, channels / groups, filters)``.
        bias_initializer: initial ``bias``, of shape ``(filters,)``.

    Input shape ``(batch, rows, columns, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.Conv2D(32, 3, activation="relu")(lamina.ones((4, 28, 28, 1))).shape
        (4, 26, 26, 32)
    """

    _rank = 2


@_register
class Conv3D(_Conv):
    """``activation(sum over window and channels of inputs * kernel + bias)`` at each place of a volume.

    Args:
        filters: number of output channels.
        kernel_size: size of the window, an int or 3 of them.
        strides: how far the window moves, an int or 3 of them.
        padding: ``"valid"`` for windows that lie inside; ``"same"`` for ``ceil(size / stride)`` windows.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        dilation_rate: steps between the elements of a window, an int or 3 of them.
        groups: channels and filters are cut into so many groups, and each group of filters sees
            only its group of channels.
        activation: name or function; default none (linear).
        use_bias: whether to add a bias for each filter.
        kernel_initializer: initial ``kernel``, of shape ``(*kernel_size, channels / groups, filters)``.
        bias_initializer: initial ``bias``, of shape ``(filters,)``.

    Input shape ``(batch, depth, rows, columns, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.Conv3D(32, 3, activation="relu")(lamina.ones((2, 6, 6, 6, 1))).shape
        (2, 4, 4, 4, 32)
    """

    _rank = 3


# --- depthwise ------------------------------------------------------------------------------------
class _DepthwiseConv(Convolution):
    _penalized = ("depthwise", "bias")

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, bias_initializer, **kwargs
        )
        self.depth_multiplier = _positive(type(self).__name__, "depth_multiplier", depth_multiplier)
        self.depthwise_initializer = initializers.get(depthwise_initializer)

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self.add_weight(shape, self.depthwise_initializer, name="kernel", **self._penalties("depthwise"))
        self._add_bias(channels * self.depth_multiplier)

    def call(self, inputs: Any) -> Tensor:
        return self._finish(nn.depthwise_conv(inputs, self.kernel, **self._windows()))

    def _filters(self, channels: int | None) -> int | None:
        return None if channels is None else channels * self.depth_multiplier

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "depth_multiplier": self.depth_multiplier,
            "depthwise_initializer": initializers.serialize(self.depthwise_initializer),
        }


@_register
class DepthwiseConv1D(_DepthwiseConv):
    """Convolution of each channel of a sequence on its own.

    Args:
        kernel_size: size of the window, an int.
        strides: how far the window moves, an int.
        padding: ``"valid"`` for windows that lie inside; ``"same"`` for ``ceil(size / stride)`` windows.
        depth_multiplier: number of output channels for each input channel.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        dilation_rate: steps between the elements of a window, an int.
        activation: name or function; default none (linear).
        use_bias: whether to add a bias for each output channel.
        depthwise_initializer: initial ``kernel``, of shape ``(*kernel_size, channels, depth_multiplier)``.
        bias_initializer: initial ``bias``, of shape ``(channels * depth_multiplier,)``.

    Input shape ``(batch, steps, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.DepthwiseConv1D(3, depth_multiplier=2)(lamina.ones((4, 10, 3))).shape
        (4, 8, 6)
    """

    _rank = 1


@_register
class DepthwiseConv2D(_DepthwiseConv):
    """Convolution of each channel of an image on its own.

    Args:
        kernel_size: size of the window, an int or 2 of them.
        strides: how far the window moves, an int or 2 of them.
        padding: ``"valid"`` for windows that lie inside; ``"same"`` for ``ceil(size / stride)`` windows.
        depth_multiplier: number of output channels for each input channel.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        dilation_rate: steps between the elements of a window, an int or 2 of them.
        activation: name or function; default none (linear).
        use_bias: whether to add a bias for each output channel.
        depthwise_initializer: initial ``kernel``, of shape ``(*kernel_size, channels, depth_multiplier)``.
        bias_initializer: initial ``bias``, of shape ``(channels * depth_multiplier,)``.

    Input shape ``(batch, rows, columns, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.DepthwiseConv2D(3, depth_multiplier=2)(lamina.ones((4, 28, 28, 1))).shape
        (4, 26, 26, 2)
    """

    _rank = 2


# --- separable ------------------------------------------------------------------------------------
class _SeparableConv(Convolution):
    _penalized = ("depthwise", "pointwise", "bias")

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, bias_initializer, **kwargs
        )
        name = type(self).__name__
        self.filters = _positive(name, "filters", filters)
        self.depth_multiplier = _positive(name, "depth_multiplier", depth_multiplier)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        depthwise = (*self.kernel_size, channels, self.depth_multiplier)
        self.depthwise_kernel = self.add_weight(
            depthwise, self.depthwise_initializer, name="depthwise_kernel", **self._penalties("depthwise")
        )
        pointwise = (*(1,) * self._rank, channels * self.depth_multiplier, self.filters)
        self.pointwise_kernel = self.add_weight(
            pointwise, self.pointwise_initializer, name="pointwise_kernel", **self._penalties("pointwise")
        )
        self._add_bias(self.filters)

    def call(self, inputs: Any) -> Tensor:
        x = nn.separable_conv(inputs, self.depthwise_kernel, self.pointwise_kernel, **self._windows())
        return self._finish(x)

    def _filters(self, channels: int | None) -> int | None:
        return self.filters

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "depth_multiplier": self.depth_multiplier,
            "depthwise_initializer": initializers.serialize(self.depthwise_initializer),
            "pointwise_initializer": initializers.serialize(self.pointwise_initializer),
        }


@_register
class SeparableConv1D(_SeparableConv):
    """Convolution of each channel of a sequence on its own, and then of all channels with windows of one element.

    Args:
        filters: number of output channels.
        kernel_size: size of the first convolution's window, an int.
        strides: how far the window moves, an int.
        padding: ``"valid"`` for windows that lie inside; ``"same"`` for ``ceil(size / stride)`` windows.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        dilation_rate: steps between the elements of a window, an int.
        depth_multiplier: number of channels between the two for each input channel.
        activation: name or function; default none (linear).
        use_bias: whether to add a bias for each filter.
        depthwise_initializer: initial ``depthwise_kernel``, ``(*kernel_size, channels, depth_multiplier)``.
        pointwise_initializer: initial ``pointwise_kernel``, ``(1, ..., channels * depth_multiplier, filters)``.
        bias_initializer: initial ``bias``, of shape ``(filters,)``.

    Input shape ``(batch, steps, channels)``.

    Source: Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017.

    Example:
        >>> import lamina
        >>> lamina.layers.SeparableConv1D(32, 3)(lamina.ones((4, 10, 3))).shape
        (4, 8, 32)
    """

    _rank = 1


@_register
class SeparableConv2D(_SeparableConv):
    """Convolution of each channel of an image on its own, and then of all channels with windows of one element.

    Args:
        filters: number of output channels.
        kernel_size: size of the first convolution's window, an int or 2 of them.
        strides: how far the window moves, an int or 2 of them.
        padding: ``"valid"`` for windows that lie inside; ``"same"`` for ``ceil(size / stride)`` windows.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        dilation_rate: steps between the elements of a window, an int or 2 of them.
        depth_multiplier: number of channels between the two for each input channel.
        activation: name or function; default none (linear).
        use_bias: whether to add a bias for each filter.
        depthwise_initializer: initial ``depthwise_kernel``, ``(*kernel_size, channels, depth_multiplier)``.
        pointwise_initializer: initial ``pointwise_kernel``, ``(1, ..., channels * depth_multiplier, filters)``.
        bias_initializer: initial ``bias``, of shape ``(filters,)``.

    Input shape ``(batch, rows, columns, channels)``.

    Source: Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017.

    Example:
        >>> import lamina
        >>> lamina.layers.SeparableConv2D(32, 3)(lamina.ones((4, 28, 28, 1))).shape
        (4, 26, 26, 32)
    """

    _rank = 2
