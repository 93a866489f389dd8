"""Pooling layers: the maximum or mean of windows, of a given number of windows, or of everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lamina.core.errors import ArgumentError, ShapeError
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
        return type(self)._pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)  # type: ignore[no-any-return]

    def _spatial_shape(self, sizes: Sequence[int | None]) -> list[int | None]:
        counts = each_known(
            lambda n, k, s: pool.window_count(n, k, s, self.padding), sizes, self.pool_size, self.strides
        )
        if any(n is not None and n < 1 for n in counts):
            raise ShapeError(
                f"a window of {self.pool_size} does not fit into images of {tuple(sizes)}. "
                "Use padding='same', a smaller pool_size, or less pooling before."
            )
        return counts

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": list(self.pool_size),
            "strides": list(self.strides),
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


_POOLING = """

    Args:
        pool_size: size of the window, an int or one for each spatial dimension.{default}
        strides: how far the window moves; default ``pool_size``.
        padding: ``"valid"`` (windows that lie inside), or ``"same"``: ``ceil(size / stride)`` windows.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Input shape ``(batch, {spatial}, channels)``.
    """
_GLOBAL = """

    Args:
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        keepdims: whether the spatial dimensions stay, with size 1.

    Input shape ``(batch, {spatial}, channels)``, output shape ``(batch, channels)``.
    """
