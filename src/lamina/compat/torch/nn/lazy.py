"""Layers that learn the size of their input from the first input."""

from __future__ import annotations

from typing import Any, ClassVar

from lamina.compat.torch.nn import layers
from lamina.compat.torch.nn.module import Module
from lamina.core.primitive import outside_capture


class _Lazy(Module):
    """Becomes the whole layer when it is first called; until then it has no parameters.

    Args:
        args: the arguments of the whole layer without the size of its input.
        kwargs: the same.
    """

    _whole: ClassVar[type[Module]]
    _axis = 1

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.__dict__["_arguments"] = args, kwargs

    def __call__(self, *inputs: Any, **settings: Any) -> Any:
        args, kwargs = self.__dict__.pop("_arguments")
        mode, hooks = self.training, self._forward_hooks
        size, whole = inputs[0].shape[self._axis], self._whole
        layer: Any = self
        layer.__class__ = whole
        with outside_capture():
            layer.__init__(size, *args, **kwargs)
        layer.__dict__["training"], layer.__dict__["_forward_hooks"] = mode, hooks
        return layer(*inputs, **settings)


class LazyLinear(_Lazy):
    """``Linear`` for as many features as its first input has."""

    _whole, _axis = layers.Linear, -1


class LazyConv1d(_Lazy):
    """``Conv1d`` for as many channels as its first input has."""

    _whole = layers.Conv1d


class LazyConv2d(_Lazy):
    """``Conv2d`` for as many channels as its first input has."""

    _whole = layers.Conv2d


class LazyConvTranspose2d(_Lazy):
    """``ConvTranspose2d`` for as many channels as its first input has."""

    _whole = layers.ConvTranspose2d


class LazyBatchNorm1d(_Lazy):
    """``BatchNorm1d`` for as many features as its first input has."""

    _whole = layers.BatchNorm1d


class LazyBatchNorm2d(_Lazy):
    """``BatchNorm2d`` for as many channels as its first input has."""

    _whole = layers.BatchNorm2d
