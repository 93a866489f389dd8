"""Layers that move, add, drop or repeat elements: padding, cropping, upsampling, Permute, RepeatVector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from lamina.layers.base import Layer
from lamina.layers.spatial import SpatialLayer, each_known
from lamina.layers.spec import InputSpec
from lamina.layers.symbolic import Shape, SymbolicTensor
from lamina.ops.pool import sizes_of
from lamina.ops.resize import INTERPOLATIONS, resize
from lamina.serialization import register_serializable
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")
Pairs = tuple[tuple[int, int], ...]


def _pairs(name: str, argument: str, value: Any, rank: int) -> Pairs:
    """``(before, after)`` for each spatial dimension, from an int, one int for each, or one pair for each.

    Raises:
        ArgumentError: it is none of these, or a number is negative.
    """
    if rank == 1:
        value = [value]
    given = list(value) if isinstance(value, list | tuple) else [value] * rank
    if len(given) != rank:
        raise ArgumentError(
            f"{name}: `{argument}` should have {'two' if rank == 2 else rank} elements: it is an int, {rank} ints, or "
            f"{rank} pairs (before, after). Received: {argument}={value!r}."
        )
    pairs = [sizes_of(name, argument, pair, 2, least=0) for pair in given]
    return tuple((a, b) for a, b in pairs)


def positive_int(name: str, argument: str, value: Any) -> int:
    """An int above zero.

    Raises:
        ArgumentTypeError: it is no int.
        ArgumentError: it is not above zero.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ArgumentTypeError(f"{name}: Expected an integer value for `{argument}`, got {value!r}, a {type(value)}.")
    if int(value) < 1:
        raise ArgumentError(f"{name}: Argument `{argument}` should be a positive integer. Received: {argument}={value}")
    return int(value)


def _pairs_config(pairs: Pairs) -> tuple[Any, ...]:
    """As the constructor takes them."""
    return pairs[0] if len(pairs) == 1 else pairs


# --- padding --------------------------------------------------------------------------------------
class _ZeroPadding(SpatialLayer):
    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.padding = _pairs(type(self).__name__, "padding", padding, self._rank)
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        return ops.pad(inputs, self._spread(self.padding, (0, 0)))

    def _spatial_shape(self, sizes: Sequence[int | None]) -> list[int | None]:
        return each_known(lambda n, pair: n + sum(pair), sizes, self.padding)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "padding": _pairs_config(self.padding)}


@_register
class ZeroPadding1D(_ZeroPadding):
    """Adds zeros before and after a sequence.

    Args:
        padding: how many on either side, or ``(before, after)``.  Default 1.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.layers.ZeroPadding1D((1, 0))(lamina.ones((1, 2, 1)))[0, :, 0].tolist()
        [0.0, 1.0, 1.0]
    """

    _rank = 1


@_register
class ZeroPadding2D(_ZeroPadding):
    """Adds rows and columns of zeros around an image.

    Args:
        padding: how many on each side; or ``(rows, columns)``; or
            ``((above, below), (left, right))``.  Default 1.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.layers.ZeroPadding2D((1, 2))(lamina.ones((1, 3, 3, 1))).shape
        (1, 5, 7, 1)
    """

    _rank = 2


@_register
class ZeroPadding3D(_ZeroPadding):
    """Adds zeros around a volume.

    Args:
        padding: how many on each side; or one int for each dimension; or one pair
            ``(before, after)`` for each dimension.  Default 1.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.layers.ZeroPadding3D(2)(lamina.ones((1, 1, 2, 3, 1))).shape
        (1, 5, 6, 7, 1)
    """

    _rank = 3


# --- cropping -------------------------------------------------------------------------------------
class _Cropping(SpatialLayer):
    def __init__(self, cropping: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.cropping = _pairs(type(self).__name__, "cropping", cropping, self._rank)
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        self._spatial_shape([inputs.shape[axis] for axis in self._axes])
        cuts = [
            slice(before, inputs.shape[axis] - after)
            for axis, (before, after) in zip(self._axes, self.cropping, strict=True)
        ]
        return ops.getitem(inputs, tuple(self._spread(cuts, slice(None))))

    def _spatial_shape(self, sizes: Sequence[int | None]) -> list[int | None]:
        left = each_known(lambda n, pair: n - sum(pair), sizes, self.cropping)
        if any(n is not None and n < 1 for n in left):
            raise ShapeError(
                f"`cropping` parameter of `{type(self).__name__}` layer must be smaller than the input length. Values "
                "in `cropping` argument should be smaller than the corresponding spatial dimension of the input. "
                f"The cropping {_pairs_config(self.cropping)} leaves nothing of {tuple(sizes)}."
            )
        return left

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cropping": _pairs_config(self.cropping)}


@_register
class Cropping1D(_Cropping):
    """Drops steps from the beginning and the end of a sequence.

    Args:
        cropping: how many at either end, or ``(before, after)``.  Default 1.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Raises:
        ShapeError: nothing would be left.

    Example:
        >>> import lamina
        >>> lamina.layers.Cropping1D((1, 2))(lamina.ones((2, 5, 3))).shape
        (2, 2, 3)
    """

    _rank = 1

    def __init__(self, cropping: Any = (1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


@_register
class Cropping2D(_Cropping):
    """Drops rows and columns at the border of an image.

    Args:
        cropping: how many on each side; or ``(rows, columns)``; or
            ``((above, below), (left, right))``.  Default 0.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Raises:
        ShapeError: nothing would be left.

    Example:
        >>> import lamina
        >>> lamina.layers.Cropping2D(((1, 0), (2, 2)))(lamina.ones((1, 5, 6, 3))).shape
        (1, 4, 2, 3)
    """

    _rank = 2

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


@_register
class Cropping3D(_Cropping):
    """Drops what lies at the border of a volume.

    Args:
        cropping: how much on each side; or one int for each dimension; or one pair
            ``(before, after)`` for each dimension.  Default 1.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Raises:
        ShapeError: nothing would be left.

    Example:
        >>> import lamina
        >>> lamina.layers.Cropping3D()(lamina.ones((1, 3, 4, 5, 2))).shape
        (1, 1, 2, 3, 2)
    """

    _rank = 3

    def __init__(self, cropping: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


# --- upsampling -----------------------------------------------------------------------------------
class _UpSampling(SpatialLayer):
    def __init__(
        self,
        size: int | Sequence[int] = 2,
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        name = type(self).__name__
        if self._rank == 1:
            size = positive_int(name, "size", size[0] if isinstance(size, tuple | list) and len(size) == 1 else size)
        self.size = sizes_of(name, "size", size, self._rank)
        self.interpolation = str(interpolation).lower()
        if self.interpolation not in INTERPOLATIONS:
            raise ArgumentError(f"{name}: interpolation is one of {', '.join(INTERPOLATIONS)}; got {interpolation!r}.")
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        sizes = self._spatial_shape([inputs.shape[axis] for axis in self._axes])
        return resize(inputs, sizes, self.interpolation, self.data_format)

    def _spatial_shape(self, sizes: Sequence[int | None]) -> list[int | None]:
        return each_known(lambda n, factor: n * factor, sizes, self.size)

    def compute_output_spec(self, inputs: SymbolicTensor) -> SymbolicTensor:
        found = super().compute_output_spec(inputs)
        interpolated = self.interpolation != "nearest" and not dtypes.is_float(inputs.dtype)
        return SymbolicTensor(found.shape, "float32", self.name) if interpolated else found

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size, "interpolation": self.interpolation}


@_register
class UpSampling1D(_UpSampling):
    """Repeats each step.

    Args:
        size: how often.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        interpolation: ``"nearest"``, or as in ``lamina.nn.resize``.

    Example:
        >>> import lamina
        >>> lamina.layers.UpSampling1D(2)(lamina.reshape([1.0, 2.0], (1, 2, 1)))[0, :, 0].tolist()
        [1.0, 1.0, 2.0, 2.0]
    """

    _rank = 1


@_register
class UpSampling2D(_UpSampling):
    """Makes images larger by repeating their pixels, or by interpolating between them.

    Args:
        size: the factor, an int or ``(rows, columns)``.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        interpolation: ``"nearest"``, ``"bilinear"``, ``"bicubic"``, ``"lanczos3"`` or ``"lanczos5"``.

    Example:
        >>> import lamina
        >>> lamina.layers.UpSampling2D((2, 3))(lamina.ones((1, 4, 4, 2))).shape
        (1, 8, 12, 2)
    """

    _rank = 2


@_register
class UpSampling3D(_UpSampling):
    """Repeats the elements of a volume.

    Args:
        size: how often, an int or one for each dimension.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        interpolation: ``"nearest"``, or as in ``lamina.nn.resize``.

    Example:
        >>> import lamina
        >>> lamina.layers.UpSampling3D()(lamina.ones((1, 1, 2, 3, 2))).shape
        (1, 2, 4, 6, 2)
    """

    _rank = 3


# --- other ----------------------------------------------------------------------------------------
@_register
class Permute(Layer):
    """Reorders the dimensions of each sample.

    Args:
        dims: which dimension of the input becomes the first, the second, ...; they are counted
            from 1, and the batch stays.

    Example:
        >>> import lamina
        >>> lamina.layers.Permute((2, 1))(lamina.ones((4, 10, 64))).shape
        (4, 64, 10)
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ArgumentError(
                "Invalid permutation argument `dims` for Permute Layer. The set of indices in `dims` must be "
                f"consecutive and start from 1 (the batch not counted). Received dims={dims!r}"
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        return ops.permute_dims(inputs, (0, *self.dims))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dims": self.dims}


@_register
class RepeatVector(Layer):
    """Each sample ``n`` times: ``(batch, features)`` becomes ``(batch, n, features)``.

    Args:
        n: how often.

    Example:
        >>> import lamina
        >>> lamina.layers.RepeatVector(3)(lamina.ones((4, 32))).shape
        (4, 3, 32)
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = positive_int("RepeatVector", "n", n)
        self.input_spec = InputSpec(ndim=2)
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        batch, features = inputs.shape
        return ops.broadcast_to(ops.expand_dims(inputs, 1), (batch, self.n, features))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.n, input_shape[1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n}
