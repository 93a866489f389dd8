"""Pooling layers: the maximum or mean of windows, of a given number of windows, or of everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lamina import ops
from lamina.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from lamina.layers.spatial import SpatialLayer, each_known
from lamina.ops import pool
from lamina.serialization import register_serializable
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")


class _Pooling(SpatialLayer):
    """Windows of a size, moved by strides."""

    _pool: Callable[..., Any]

    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        name = type(self).__name__
        self.pool_size = pool.sizes_of(name, "pool_size", pool_size, self._rank)
        self.strides = pool.sizes_of(name, "strides", self.pool_size if strides is None else strides, self._rank)
        self.padding = str(padding).lower()
        if self.padding not in ("valid", "same"):
            raise ArgumentError(f"{name}: padding is 'valid' or 'same'; got {padding!r}.")
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        return type(self)._pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)

    def _spatial_shape(self, sizes: Sequence[int | None]) -> list[int | None]:
        counts = each_known(
            lambda n, k, s: pool.window_count(n, k, s, self.padding), sizes, self.pool_size, self.strides
        )
        if any(n is not None and n < 1 for n in counts):
            raise ShapeError(
                f"Computed output size would be zero or negative. A window of {self.pool_size} does not fit into "
                f"images of {tuple(sizes)}. Use padding='same', a smaller pool_size, or less pooling before."
            )
        return counts

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
        }


class _MaxPooling(_Pooling):
    _pool = staticmethod(pool.max_pool)

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **kwargs)


class _AveragePooling(_Pooling):
    _pool = staticmethod(pool.average_pool)


@_register
class MaxPooling1D(_MaxPooling):
    """The largest element of each window of steps, for each channel.

    Of equal elements the first gets the whole gradient.

    Args:
        pool_size: size of the window, an int. Default 2.
        strides: how far the window moves; default ``pool_size``.
        padding: ``"valid"`` for windows that lie inside, ``"same"`` for ``ceil(size / stride)`` windows.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Input shape ``(batch, steps, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.MaxPooling1D()(lamina.ones((2, 6, 3))).shape
        (2, 3, 3)
    """

    _rank = 1


@_register
class MaxPooling2D(_MaxPooling):
    """The largest element of each window of an image, for each channel.

    Of equal elements the first gets the whole gradient.

    Args:
        pool_size: size of the window, an int or one for each dimension. Default 2.
        strides: how far the window moves; default ``pool_size``.
        padding: ``"valid"`` for windows that lie inside, ``"same"`` for ``ceil(size / stride)`` windows.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Input shape ``(batch, rows, columns, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.MaxPooling2D()(lamina.ones((2, 6, 4, 3))).shape
        (2, 3, 2, 3)
    """

    _rank = 2


@_register
class MaxPooling3D(_MaxPooling):
    """The largest element of each window of a volume, for each channel.

    Of equal elements the first gets the whole gradient.

    Args:
        pool_size: size of the window, an int or one for each dimension. Default 2.
        strides: how far the window moves; default ``pool_size``.
        padding: ``"valid"`` for windows that lie inside, ``"same"`` for ``ceil(size / stride)`` windows.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Input shape ``(batch, depth, rows, columns, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.MaxPooling3D()(lamina.ones((2, 6, 4, 4, 3))).shape
        (2, 3, 2, 2, 3)
    """

    _rank = 3


@_register
class AveragePooling1D(_AveragePooling):
    """The mean of each window of steps, for each channel.

    With ``"same"`` only elements of the input count, not the padding.

    Args:
        pool_size: size of the window, an int.
        strides: how far the window moves; default ``pool_size``.
        padding: ``"valid"`` for windows that lie inside, ``"same"`` for ``ceil(size / stride)`` windows.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Input shape ``(batch, steps, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.AveragePooling1D(2)(lamina.ones((2, 6, 3))).shape
        (2, 3, 3)
    """

    _rank = 1


@_register
class AveragePooling2D(_AveragePooling):
    """The mean of each window of an image, for each channel.

    With ``"same"`` only elements of the input count, not the padding.

    Args:
        pool_size: size of the window, an int or one for each dimension.
        strides: how far the window moves; default ``pool_size``.
        padding: ``"valid"`` for windows that lie inside, ``"same"`` for ``ceil(size / stride)`` windows.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Input shape ``(batch, rows, columns, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.AveragePooling2D(2)(lamina.ones((2, 6, 4, 3))).shape
        (2, 3, 2, 3)
    """

    _rank = 2


@_register
class AveragePooling3D(_AveragePooling):
    """The mean of each window of a volume, for each channel.

    With ``"same"`` only elements of the input count, not the padding.

    Args:
        pool_size: size of the window, an int or one for each dimension.
        strides: how far the window moves; default ``pool_size``.
        padding: ``"valid"`` for windows that lie inside, ``"same"`` for ``ceil(size / stride)`` windows.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Input shape ``(batch, depth, rows, columns, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.AveragePooling3D(2)(lamina.ones((2, 6, 4, 4, 3))).shape
        (2, 3, 2, 2, 3)
    """

    _rank = 3


# --- everything -----------------------------------------------------------------------------------
class _GlobalPooling(SpatialLayer):
    """All of the image becomes one element."""

    _pool: Callable[..., Any]

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.keepdims = keepdims
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        return type(self)._pool(inputs, self.data_format, self.keepdims)

    def _whole_shape(self, batch: Any, sizes: Sequence[Any], channels: Any) -> tuple[Any, ...]:
        return super()._whole_shape(batch, [1] * self._rank, channels) if self.keepdims else (batch, channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "keepdims": self.keepdims}


@_register
class GlobalMaxPooling1D(_GlobalPooling):
    """The largest element of each channel.

    Args:
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        keepdims: whether the spatial dimensions stay, with size 1.

    Input shape ``(batch, steps, channels)``, output shape ``(batch, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.GlobalMaxPooling1D()(lamina.ones((2, 6, 3))).shape
        (2, 3)
    """

    _rank = 1
    _pool = staticmethod(pool.global_max_pool)


@_register
class GlobalMaxPooling2D(_GlobalPooling):
    """The largest element of each channel.

    Args:
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        keepdims: whether the spatial dimensions stay, with size 1.

    Input shape ``(batch, rows, columns, channels)``, output shape ``(batch, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.GlobalMaxPooling2D()(lamina.ones((2, 6, 4, 3))).shape
        (2, 3)
    """

    _rank = 2
    _pool = staticmethod(pool.global_max_pool)


@_register
class GlobalMaxPooling3D(_GlobalPooling):
    """The largest element of each channel.

    Args:
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        keepdims: whether the spatial dimensions stay, with size 1.

    Input shape ``(batch, depth, rows, columns, channels)``, output shape ``(batch, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.GlobalMaxPooling3D()(lamina.ones((2, 6, 4, 4, 3))).shape
        (2, 3)
    """

    _rank = 3
    _pool = staticmethod(pool.global_max_pool)


@_register
class GlobalAveragePooling1D(_GlobalPooling):
    """The mean of each channel.

    Called with ``mask=``, a bool tensor ``(batch, steps)``, it takes the mean of the steps where the mask is true.

    Args:
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        keepdims: whether the spatial dimensions stay, with size 1.

    Input shape ``(batch, steps, channels)``, output shape ``(batch, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.GlobalAveragePooling1D()(lamina.ones((2, 6, 3))).shape
        (2, 3)
    """

    _rank = 1
    _pool = staticmethod(pool.global_average_pool)

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None: the steps are gone."""
        return None

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        if mask is None:
            return super().call(inputs)
        (axis,) = self._axes
        mask = ops.expand_dims(ops.astype(ops.as_tensor(mask), "bool"), self._channel_axis)
        total = ops.sum(ops.where(mask, inputs, 0), axis=axis, keepdims=self.keepdims)
        count = ops.sum(ops.astype(mask, inputs.dtype), axis=axis, keepdims=self.keepdims)
        return ops.divide(total, count)


@_register
class GlobalAveragePooling2D(_GlobalPooling):
    """The mean of each channel.

    Args:
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        keepdims: whether the spatial dimensions stay, with size 1.

    Input shape ``(batch, rows, columns, channels)``, output shape ``(batch, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.GlobalAveragePooling2D()(lamina.ones((2, 6, 4, 3))).shape
        (2, 3)
    """

    _rank = 2
    _pool = staticmethod(pool.global_average_pool)


@_register
class GlobalAveragePooling3D(_GlobalPooling):
    """The mean of each channel.

    Args:
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        keepdims: whether the spatial dimensions stay, with size 1.

    Input shape ``(batch, depth, rows, columns, channels)``, output shape ``(batch, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.GlobalAveragePooling3D()(lamina.ones((2, 6, 4, 4, 3))).shape
        (2, 3)
    """

    _rank = 3
    _pool = staticmethod(pool.global_average_pool)


# --- a given number of windows --------------------------------------------------------------------
def _output_size(name: str, given: Any, rank: int) -> tuple[int, ...]:
    """The number of windows along each dimension.

    Raises:
        ArgumentError: they are no ints, or too few or too many; or not positive.
    """
    if isinstance(given, list | tuple) and len(given) != rank:
        raise ArgumentError(
            f"{name}: For {rank}D input, `output_size` tuple must have length {rank}. Received: {given}"
        )
    if not isinstance(given, list | tuple | int) or isinstance(given, bool):
        form = ("tuple of 1 integer", "(height, width) tuple", "(depth, height, width) tuple")[rank - 1]
        raise ArgumentTypeError(
            f"{name}: `output_size` must be an integer or {form}. Received: {given} of type {type(given)}"
        )
    return pool.sizes_of(name, "output_size", given, rank)


class _AdaptivePooling(SpatialLayer):
    """So many windows, whatever the size of the image."""

    _pool: Callable[..., Any]

    def __init__(self, output_size: int | Sequence[int], data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.output_size = _output_size(type(self).__name__, output_size, self._rank)
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        return type(self)._pool(inputs, self.output_size, self.data_format)

    def _spatial_shape(self, sizes: Sequence[int | None]) -> Sequence[int | None]:
        return self.output_size

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "output_size": self.output_size}


@_register
class AdaptiveMaxPooling1D(_AdaptivePooling):
    """The largest element of each of ``output_size`` windows that cover the input, for each channel.

    Args:
        output_size: the number of windows, an int.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Input shape ``(batch, steps, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.AdaptiveMaxPooling1D(2)(lamina.ones((2, 6, 3))).shape
        (2, 2, 3)
    """

    _rank = 1
    _pool = staticmethod(pool.adaptive_max_pool)


@_register
class AdaptiveMaxPooling2D(_AdaptivePooling):
    """The largest element of each of ``output_size`` windows that cover the input, for each channel.

    Args:
        output_size: the number of windows, an int or one for each dimension.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Input shape ``(batch, rows, columns, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.AdaptiveMaxPooling2D((3, 2))(lamina.ones((2, 6, 4, 3))).shape
        (2, 3, 2, 3)
    """

    _rank = 2
    _pool = staticmethod(pool.adaptive_max_pool)


@_register
class AdaptiveMaxPooling3D(_AdaptivePooling):
    """The largest element of each of ``output_size`` windows that cover the input, for each channel.

    Args:
        output_size: the number of windows, an int or one for each dimension.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Input shape ``(batch, depth, rows, columns, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.AdaptiveMaxPooling3D(2)(lamina.ones((2, 6, 4, 4, 3))).shape
        (2, 2, 2, 2, 3)
    """

    _rank = 3
    _pool = staticmethod(pool.adaptive_max_pool)


@_register
class AdaptiveAveragePooling1D(_AdaptivePooling):
    """The mean of each of ``output_size`` windows that cover the input, for each channel.

    Args:
        output_size: the number of windows, an int.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Input shape ``(batch, steps, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.AdaptiveAveragePooling1D(2)(lamina.ones((2, 6, 3))).shape
        (2, 2, 3)
    """

    _rank = 1
    _pool = staticmethod(pool.adaptive_average_pool)


@_register
class AdaptiveAveragePooling2D(_AdaptivePooling):
    """The mean of each of ``output_size`` windows that cover the input, for each channel.

    Args:
        output_size: the number of windows, an int or one for each dimension.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Input shape ``(batch, rows, columns, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.AdaptiveAveragePooling2D((3, 2))(lamina.ones((2, 6, 4, 3))).shape
        (2, 3, 2, 3)
    """

    _rank = 2
    _pool = staticmethod(pool.adaptive_average_pool)


@_register
class AdaptiveAveragePooling3D(_AdaptivePooling):
    """The mean of each of ``output_size`` windows that cover the input, for each channel.

    Args:
        output_size: the number of windows, an int or one for each dimension.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Input shape ``(batch, depth, rows, columns, channels)``.

    Example:
        >>> import lamina
        >>> lamina.layers.AdaptiveAveragePooling3D(2)(lamina.ones((2, 6, 4, 4, 3))).shape
        (2, 2, 2, 2, 3)
    """

    _rank = 3
    _pool = staticmethod(pool.adaptive_average_pool)
