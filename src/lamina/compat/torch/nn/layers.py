"""Layers with weights: linear, convolution, embedding, normalisation.  Their first values are PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina import ops
from lamina.compat.torch import creation
from lamina.compat.torch.nn import functional as F
from lamina.compat.torch.nn import init
from lamina.compat.torch.nn.convolution import conv, conv_transpose, each
from lamina.compat.torch.nn.module import Module
from lamina.compat.torch.tensor import Parameter
from lamina.core import dtypes
from lamina.core.errors import ArgumentError


def _parameter(
    shape: tuple[int, ...], dtype: Any, bound: float | None = None, order: tuple[int, ...] | None = None
) -> Parameter:
    """A parameter of zeros, or uniform within a bound, stored with its dimensions in this order."""
    made = Parameter(np.zeros(shape, dtypes.as_dtype(dtype or creation.get_default_dtype())), order=order)
    return made if bound is None else init.uniform_(made, -bound, bound)


class Linear(Module):
    """``x @ weight.T + bias``.

    Both start uniform within ``1 / sqrt(in_features)``.

    Args:
        in_features: size of the last dimension of the input.
        out_features: that of the output.
        bias: whether there is one.
        device: ``"cpu"``.
        dtype: of the parameters.

    Example:
        >>> from lamina.compat import torch
        >>> torch.nn.Linear(3, 2)(torch.ones(5, 3)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = _parameter((out_features, in_features), dtype, order=(1, 0))
        self.register_parameter("bias", _parameter((out_features,), dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """New first values."""
        bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Any) -> Any:
        """The output for an input of shape (..., in_features)."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """``x1 @ weight[k] @ x2 + bias[k]`` for each output ``k``."""

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        bound = 1 / math.sqrt(in1_features)
        self.weight = _parameter((out_features, in1_features, in2_features), None, bound)
        self.register_parameter("bias", _parameter((out_features,), None, bound) if bias else None)

    def forward(self, input1: Any, input2: Any) -> Any:
        """The output for two inputs."""
        return F.bilinear(input1, input2, self.weight, self.bias)


class Flatten(Module):
    """The dimensions from ``start_dim`` to ``end_dim`` joined into one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Any:
        """The input in its new shape."""
        return F.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """One dimension taken apart into several."""

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input: Any) -> Any:
        """The input in its new shape."""
        dim = self.dim % len(input.shape)
        return ops.reshape(input, (*input.shape[:dim], *self.unflattened_size, *input.shape[dim + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Embedding(Module):
    """Rows of a table by their numbers.  The table starts standard normal.

    Args:
        num_embeddings: how many rows.
        embedding_dim: their size.
        padding_idx: a row that is 0 and gets no gradient.
        max_norm: not offered.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if max_norm is not None:
            raise ArgumentError("Embedding: max_norm is not offered; normalise the rows in forward.")
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        self.weight = _parameter((num_embeddings, embedding_dim), dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """New first values."""
        values = np.asarray(creation.randn(self.num_embeddings, self.embedding_dim)).copy()
        if self.padding_idx is not None:
            values[self.padding_idx] = 0
        self.weight.assign(values)

    @classmethod
    def from_pretrained(cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None) -> Embedding:
        """A table with these rows."""
        made = cls(embeddings.shape[0], embeddings.shape[1], padding_idx)
        made.weight = Parameter(embeddings, requires_grad=not freeze)
        return made

    def forward(self, input: Any) -> Any:
        """The rows for integers of any shape."""
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


# --- convolution ----------------------------------------------------------------------------------------
class _Conv(Module):
    """What convolutions share.  Their weights start uniform within ``1 / sqrt(fan_in)``."""

    _rank = 0
    _transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(f"in_channels={in_channels}, out_channels={out_channels}: not divisible by {groups}.")
        modes = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}
        if padding_mode not in modes:
            raise ArgumentError(f"padding_mode is one of {', '.join(modes)}; got {padding_mode!r}.")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = each(kernel_size, self._rank)
        self.stride, self.dilation = each(stride, self._rank), each(dilation, self._rank)
        self.padding = padding if isinstance(padding, str) else each(padding, self._rank)
        self.padding_mode, self._pad_mode = padding_mode, modes[padding_mode]
        channels = (in_channels, out_channels // groups) if self._transposed else (out_channels, in_channels // groups)
        self.weight = _parameter((*channels, *self.kernel_size), dtype, order=(*range(2, 2 + self._rank), 1, 0))
        self.register_parameter("bias", _parameter((out_channels,), dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """New first values."""
        bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Any) -> Any:
        """The output for an input of shape (batch, channels, \\*sizes)."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            if isinstance(padding, str):
                reach = [d * (k - 1) if padding == "same" else 0 for k, d in zip(self.kernel_size, self.dilation)]
                sides = [(r // 2, r - r // 2) for r in reach]
            else:
                sides = [(p, p) for p in padding]
            input = F.pad(input, [n for pair in reversed(sides) for n in pair], mode=self._pad_mode)
            padding = 0
        return conv(self._rank, input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self._rank:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self._rank:
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text + (", bias=False" if self.bias is None else "")


class Conv1d(_Conv):
    """Convolution of (batch, channels, length)."""

    _rank = 1


class Conv2d(_Conv):
    """Convolution of (batch, channels, height, width).

    Args:
        in_channels: channels of the input.
        out_channels: number of filters.
        kernel_size: size of the window, one number or (height, width).
        stride: steps between windows.
        padding: zeros on each side, or ``"same"`` or ``"valid"``.
        dilation: steps between the elements of a window.
        groups: into how many groups the channels are cut.
        bias: whether there is one.
        padding_mode: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        device: ``"cpu"``.
        dtype: of the parameters.

    Example:
        >>> from lamina.compat import torch
        >>> torch.nn.Conv2d(1, 6, 5)(torch.ones(4, 1, 28, 28)).shape
        torch.Size([4, 6, 24, 24])
    """

    _rank = 2


class Conv3d(_Conv):
    """Convolution of (batch, channels, depth, height, width)."""

    _rank = 3


class _ConvTranspose(_Conv):
    """What transposed convolutions share."""

    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ArgumentError(f"Transposed convolutions pad with zeros; got padding_mode={padding_mode!r}.")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, "zeros", device, dtype
        )
        self.output_padding = each(output_padding, self._rank)

    def forward(self, input: Any) -> Any:
        """The output for an input of shape (batch, channels, \\*sizes)."""
        return conv_transpose(
            self._rank, input, self.weight, self.bias, self.stride, self.padding, self.output_padding,
            self.groups, self.dilation,
        )  # fmt: skip


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution of (batch, channels, length)."""

    _rank = 1


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution of (batch, channels, height, width)."""

    _rank = 2


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution of (batch, channels, depth, height, width)."""

    _rank = 3


# --- normalisation --------------------------------------------------------------------------------------
class _BatchNorm(Module):
    """Each channel shifted and scaled to mean 0 and variance 1, then ``* weight + bias``.

    Args:
        num_features: number of channels.
        eps: added to the variance.
        momentum: share of the batch in the running statistics; ``None`` for their plain mean over all batches.
        affine: whether there are ``weight`` (ones at first) and ``bias`` (zeros).
        track_running_stats: whether there are running statistics, for use in ``eval`` mode.
        device: ``"cpu"``.
        dtype: of the parameters.
        bias: whether there is a ``bias`` beside the ``weight``.
    """

    _ranks: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        ones, zeros = creation.ones(num_features, dtype=dtype), creation.zeros(num_features, dtype=dtype)
        self.register_parameter("weight", Parameter(ones) if affine else None)
        self.register_parameter("bias", Parameter(zeros) if affine and bias else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros if tracked else None)
        self.register_buffer("running_var", ones if tracked else None)
        self.register_buffer("num_batches_tracked", creation.tensor(0) if tracked else None)

    def forward(self, input: Any) -> Any:
        """The output for an input of shape (batch, channels, \\*sizes)."""
        if len(input.shape) not in self._ranks:
            raise ArgumentError(f"{type(self).__name__} takes {self._ranks} dimensions; got shape {input.shape}.")
        share = 0.0 if self.momentum is None else self.momentum
        if self.training and self.running_mean is not None:
            self.num_batches_tracked._set(ops.add(self.num_batches_tracked, 1))
            if self.momentum is None:
                share = ops.divide(1.0, ops.astype(self.num_batches_tracked, input.dtype))
        return F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, self.training, share, self.eps
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (batch, features) or (batch, channels, length)."""

    _ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (batch, channels, height, width)."""

    _ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (batch, channels, depth, height, width)."""

    _ranks = (5,)


class LayerNorm(Module):
    """The last dimensions shifted and scaled to mean 0 and variance 1, then ``* weight + bias``.

    Args:
        normalized_shape: the sizes of those dimensions.
        eps: added to the variance.
        elementwise_affine: whether there are ``weight`` and ``bias``.
        bias: whether there is a ``bias`` beside the ``weight``.
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        shape = self.normalized_shape
        self.register_parameter("weight", Parameter(creation.ones(shape)) if elementwise_affine else None)
        self.register_parameter("bias", Parameter(creation.zeros(shape)) if elementwise_affine and bias else None)

    def forward(self, input: Any) -> Any:
        """The output for an input that ends in ``normalized_shape``."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"


class GroupNorm(Module):
    """Groups of channels shifted and scaled to mean 0 and variance 1, then ``* weight + bias``.

    Args:
        num_groups: into how many groups.
        num_channels: number of channels.
        eps: added to the variance.
        affine: whether there are ``weight`` and ``bias``.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.register_parameter("weight", Parameter(creation.ones(num_channels)) if affine else None)
        self.register_parameter("bias", Parameter(creation.zeros(num_channels)) if affine else None)

    def forward(self, input: Any) -> Any:
        """The output for an input of shape (batch, channels, \\*sizes)."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"affine={self.affine}, bias={self.bias is not None}"
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, {affine}"


class InstanceNorm2d(Module):
    """Each channel of each sample shifted and scaled to mean 0 and variance 1, then ``* weight + bias``.

    Args:
        num_features: number of channels.
        eps: added to the variance.
        momentum: accepted; there are no running statistics.
        affine: whether there are ``weight`` and ``bias``.
        track_running_stats: not offered.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
    ) -> None:
        super().__init__()
        if track_running_stats:
            raise ArgumentError(f"{type(self).__name__} keeps no running statistics here.")
        self.num_features, self.eps, self.momentum, self.affine = num_features, eps, momentum, affine
        self.register_parameter("weight", Parameter(creation.ones(num_features)) if affine else None)
        self.register_parameter("bias", Parameter(creation.zeros(num_features)) if affine else None)

    def forward(self, input: Any) -> Any:
        """The output for an input of shape (batch, channels, \\*sizes)."""
        return F.instance_norm(input, None, None, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"


class InstanceNorm1d(InstanceNorm2d):
    """The same for (batch, channels, length)."""


class PReLU(Module):
    """``x`` where it is positive, else ``weight * x``; the weight starts at ``init``.

    Args:
        num_parameters: 1, or one for each channel.
        init: first value.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.weight = Parameter(creation.full((num_parameters,), init))

    def forward(self, input: Any) -> Any:
        """The output, shaped like the input."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
