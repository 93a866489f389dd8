"""Layers that make one tensor of several: ``Add``, ``Concatenate`` and their kin."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from lamina import config, ops
from lamina.core.errors import ArgumentError, DTypeError, ShapeError
from lamina.core.masks import get_mask
from lamina.layers.base import Layer
from lamina.serialization import register_serializable
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")


def _as_list(layer: Layer, inputs: Any) -> list[Any]:
    if not isinstance(inputs, list | tuple) or not inputs:
        raise ShapeError(
            f"expected a list of tensors, got {type(inputs).__name__}. "
            f"Put the inputs in a list: {type(layer).__name__}()([a, b])."
        )
    return list(inputs)


def _check_masks(inputs: Any, masks: Any) -> None:
    """That there is a list of masks, one for each input, or ``None``.

    Raises:
        ArgumentError: there is not.
    """
    if masks is None:
        return
    if not isinstance(masks, list | tuple):
        raise ArgumentError(f"`mask` should be a list. Received: mask={masks}")
    if not isinstance(inputs, list | tuple):
        raise ArgumentError(f"`inputs` should be a list. Received: inputs={inputs}")
    if len(masks) != len(inputs):
        raise ArgumentError(
            f"The lists `inputs` and `mask` should have the same length. Received: {len(inputs)} and {len(masks)}"
        )


class Merge(Layer):
    """Base of the elementwise ones; inputs broadcast against each other.

    Inputs of fewer dimensions get axes of size 1 after the batch.
    """

    _guesses_sizes = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.built = True

    def merge(self, inputs: list[Any]) -> Any:
        """Combine tensors of equal rank."""
        raise NotImplementedError(f"{type(self).__name__} does not implement merge(inputs).")

    def call(self, inputs: Any) -> Tensor:
        tensors = _as_list(self, inputs)
        ndim = max(x.ndim for x in tensors)
        aligned = [
            x if x.ndim == ndim else ops.reshape(x, (*x.shape[:1], *(1,) * (ndim - x.ndim), *x.shape[1:]))
            for x in tensors
        ]
        masks = [get_mask(x) for x in tensors]
        if all(m is None for m in masks):
            return self.merge(aligned)
        spread = [None if m is None else ops.expand_dims(m, m.ndim) for m in masks]
        return self.merge_masked(aligned, spread)

    def merge_masked(self, inputs: list[Any], masks: list[Any]) -> Any:
        """Combine tensors some of which have a mask, with an axis of size 1 behind."""
        return self.merge(inputs)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """True where some input's mask is; ``None`` if an input has none."""
        _check_masks(inputs, previous_mask)
        if previous_mask is None or any(m is None for m in previous_mask):
            return None
        return functools.reduce(ops.logical_or, previous_mask)


def _folding(function: Callable[[Any, Any], Any]) -> Any:
    def merge(self: Any, inputs: list[Any]) -> Any:
        return functools.reduce(function, inputs)

    return merge


@_register
class Add(Merge):
    """The sum of its inputs, a list of tensors.

    Example:
        >>> import lamina
        >>> lamina.layers.Add()([lamina.ones((2, 3)), lamina.ones((2, 3))]).tolist()
        [[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]]
    """

    merge = _folding(lambda x, y: ops.add(x, y))


@_register
class Subtract(Merge):
    """The first of two inputs minus the second.

    Raises:
        ShapeError: there are not exactly two inputs.

    Example:
        >>> import lamina
        >>> lamina.layers.Subtract()([lamina.tensor([1.0, 5.0]), lamina.tensor([3.0, 2.0])]).tolist()
        [-2.0, 3.0]
    """

    def merge(self, inputs: list[Any]) -> Any:
        if len(inputs) != 2:
            raise ShapeError(f"A `Subtract` layer should be called on exactly 2 inputs; got {len(inputs)}.")
        return ops.subtract(*inputs)


@_register
class Multiply(Merge):
    """The product of its inputs, element by element.  What is masked counts as 1; where all are, the product is 0.

    Example:
        >>> import lamina
        >>> lamina.layers.Multiply()([lamina.tensor([1.0, 5.0]), lamina.tensor([3.0, 2.0])]).tolist()
        [3.0, 10.0]
    """

    merge = _folding(lambda x, y: ops.multiply(x, y))

    def merge_masked(self, inputs: list[Any], masks: list[Any]) -> Any:
        """The product of what the masks let through."""
        output = self.merge([x if m is None else ops.where(m, x, 1) for x, m in zip(inputs, masks, strict=True)])
        if any(m is None for m in masks):
            return output
        return ops.where(functools.reduce(ops.logical_or, masks), output, 0)


@_register
class Average(Merge):
    """The mean of its inputs, element by element.

    Example:
        >>> import lamina
        >>> lamina.layers.Average()([lamina.tensor([1.0, 5.0]), lamina.tensor([3.0, 2.0])]).tolist()
        [2.0, 3.5]
    """

    def merge(self, inputs: list[Any]) -> Any:
        return ops.divide(functools.reduce(ops.add, inputs), len(inputs))


class _Extreme(Merge):
    def merge_masked(self, inputs: list[Any], masks: list[Any]) -> Any:
        """The extreme of what the masks let through, and of everything where they let through nothing."""
        (output, *others), (so_far, *more) = inputs, masks
        for x, mask in zip(others, more, strict=True):
            if mask is not None:
                x = ops.where(mask, x, output)
            if so_far is not None:
                output = ops.where(so_far, output, x)
            so_far = None if mask is None or so_far is None else ops.logical_or(so_far, mask)
            output = self.merge([output, x])
        return output


@_register
class Maximum(_Extreme):
    """The largest of its inputs, element by element; what is masked does not count.

    Example:
        >>> import lamina
        >>> lamina.layers.Maximum()([lamina.tensor([1.0, 5.0]), lamina.tensor([3.0, 2.0])]).tolist()
        [3.0, 5.0]
    """

    merge = _folding(lambda x, y: ops.maximum(x, y))


@_register
class Minimum(_Extreme):
    """The smallest of its inputs, element by element; what is masked does not count.

    Example:
        >>> import lamina
        >>> lamina.layers.Minimum()([lamina.tensor([1.0, 5.0]), lamina.tensor([3.0, 2.0])]).tolist()
        [1.0, 2.0]
    """

    merge = _folding(lambda x, y: ops.minimum(x, y))


@_register
class Concatenate(Layer):
    """Joins its inputs along an axis; all other sizes are equal.

    Args:
        axis: the axis, counted with the batch; default the last.

    Example:
        >>> import lamina
        >>> lamina.layers.Concatenate()([lamina.ones((2, 3)), lamina.ones((2, 4))]).shape
        (2, 7)
    """

    _guesses_sizes = True

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        tensors = _as_list(self, inputs)
        shapes = [x.shape for x in tensors]
        axis = self.axis % len(shapes[0]) if shapes[0] else 0
        rest = {(*s[:axis], *s[axis + 1 :]) for s in shapes}
        if len(rest) != 1:
            raise ShapeError(
                "A `Concatenate` layer requires inputs with matching shapes except for the concatenation axis: "
                f"expected equal shape except on axis {self.axis}, got {', '.join(map(str, shapes))}."
            )
        return ops.concat(tensors, axis=axis)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The masks joined as the inputs are: along features a step counts if it does in some input."""
        _check_masks(inputs, previous_mask)
        if previous_mask is None or all(m is None for m in previous_mask):
            return None
        masks = []
        for x, mask in zip(inputs, previous_mask, strict=True):
            if mask is None:
                mask = ops.ones(x.shape, dtype="bool")
            elif mask.ndim < x.ndim:
                mask = ops.broadcast_to(ops.expand_dims(mask, mask.ndim), x.shape)
            masks.append(mask)
        return ops.any(ops.concat(masks, axis=self.axis), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


@_register
class Dot(Layer):
    """Sums of products of two inputs along one axis of each, sample by sample.

    Args:
        axes: the axis of both inputs, or a pair of axes; counted with the batch.
        normalize: whether vectors along these axes are scaled to length 1 first, which gives cosines.

    The output's axes: the batch, the rest of the first input, the rest of the second (an axis of size 1 where
    both inputs are matrices).

    Example:
        >>> import lamina
        >>> lamina.layers.Dot(axes=1)([lamina.ones((2, 3)), lamina.ones((2, 3))]).tolist()
        [[3.0], [3.0]]
    """

    _guesses_sizes = True

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(axes, int):
            if not isinstance(axes, list | tuple):
                raise DTypeError(f"Invalid type for argument `axes`: it should be a list or an int. Received: {axes=}")
            if len(axes) != 2:
                raise ArgumentError(
                    f"Invalid format for argument `axes`: it should contain two elements. Received: {axes=}"
                )
            if not all(isinstance(a, int) for a in axes):
                raise ArgumentError(
                    f"Invalid format for argument `axes`: list elements should be integers. Received: {axes=}"
                )
        self.axes = axes if isinstance(axes, int) else tuple(axes)
        self.normalize = normalize
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        tensors = _as_list(self, inputs)
        if len(tensors) != 2:
            raise ShapeError(f"A `Dot` layer should be called on a list of 2 inputs. Received: {len(tensors)}")
        axes = [
            a % x.ndim
            for a, x in zip((self.axes,) * 2 if isinstance(self.axes, int) else self.axes, tensors, strict=True)
        ]
        x, y = tensors
        if 0 in axes:
            raise ArgumentError("Cannot perform batch_dot over axis 0: that is the batch. Add an axis before it.")
        if x.shape[axes[0]] != y.shape[axes[1]]:
            raise ShapeError(
                f"Incompatible input shapes: axis values {x.shape[axes[0]]} (at axis {axes[0]}) != {y.shape[axes[1]]} "
                f"(at axis {axes[1]}). Full input shapes: {x.shape}, {y.shape}"
            )
        if self.normalize:
            epsilon = config.epsilon()
            x, y = (ops.normalization.normalize(t, a, epsilon=epsilon) for t, a in zip((x, y), axes, strict=True))
        x, y = ops.moveaxis(x, axes[0], -1), ops.moveaxis(y, axes[1], 1)
        batch, size, rest = x.shape[0], x.shape[-1], (*x.shape[1:-1], *y.shape[2:])
        x = ops.reshape(x, (batch, math.prod(x.shape[1:-1]), size))
        y = ops.reshape(y, (batch, size, math.prod(y.shape[2:])))
        return ops.reshape(ops.matmul(x, y), (batch, *(rest or (1,))))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return None

    def get_config(self) -> dict[str, Any]:
        axes = self.axes if isinstance(self.axes, int) else list(self.axes)
        return {**super().get_config(), "axes": axes, "normalize": self.normalize}


def dot(inputs: Sequence[Any], axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
    """``Dot(axes, **kwargs)(inputs)``."""
    return Dot(axes, **kwargs)(inputs)


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """``Add(**kwargs)(inputs)``."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """``Subtract(**kwargs)(inputs)``."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """``Multiply(**kwargs)(inputs)``."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """``Average(**kwargs)(inputs)``."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """``Maximum(**kwargs)(inputs)``."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """``Minimum(**kwargs)(inputs)``."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """``Concatenate(axis, **kwargs)(inputs)``."""
    return Concatenate(axis, **kwargs)(inputs)
