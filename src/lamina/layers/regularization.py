"""Layers that add noise in training: spatial dropout, Gaussian noise and Gaussian dropout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lamina import ops, random, regularizers
from lamina.core.errors import ArgumentError
from lamina.layers.base import Layer
from lamina.layers.core import Dropout, _noise_shape
from lamina.layers.spec import InputSpec
from lamina.layers.symbolic import Shape
from lamina.ops.pool import data_format_of, spatial_axes
from lamina.serialization import register_serializable
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")


class _SpatialDropout(Dropout):
    """Dropout of whole channels."""

    _rank = 2

    def __init__(self, rate: float, data_format: str | None = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed=seed, **kwargs)
        self.data_format = data_format_of(type(self).__name__, data_format)
        self.input_spec = InputSpec(ndim=self._rank + 2)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        if not training or self.seed_generator is None:
            return inputs
        axes = spatial_axes(inputs.ndim, self.data_format)
        shape = tuple(1 if axis in axes else n for axis, n in enumerate(inputs.shape))
        return random.dropout(inputs, self.rate, noise_shape=shape, key=self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "data_format": self.data_format}
        del config["noise_shape"]
        return config


@_register
class SpatialDropout1D(_SpatialDropout):
    """In training, sets whole channels of a sequence to 0 and multiplies the others by ``1 / (1 - rate)``.

    Args:
        rate: the fraction of channels to drop, from 0 to 1.
        seed: an int, or ``None`` for one from the default generator.

    Input shape ``(batch, steps, channels)``.

    Example:
        >>> import lamina
        >>> y = lamina.layers.SpatialDropout1D(0.5)(lamina.ones((1, 4, 8)), training=True)
        >>> lamina.all(y == y[:, :1]).item()
        True

    Source: Tompson et al., "Efficient Object Localization Using Convolutional Networks", CVPR 2015.
    """

    _rank = 1

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed=seed, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["data_format"]
        return config


@_register
class SpatialDropout2D(_SpatialDropout):
    """In training, sets whole channels of an image to 0 and multiplies the others by ``1 / (1 - rate)``.

    Args:
        rate: the fraction of channels to drop, from 0 to 1.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        seed: an int, or ``None`` for one from the default generator.

    Input shape ``(batch, rows, columns, channels)``.

    Source: Tompson et al., "Efficient Object Localization Using Convolutional Networks", CVPR 2015.

    Example:
        >>> import lamina
        >>> lamina.layers.SpatialDropout2D(0.5)(lamina.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    _rank = 2


@_register
class SpatialDropout3D(_SpatialDropout):
    """In training, sets whole channels of a volume to 0 and multiplies the others by ``1 / (1 - rate)``.

    Args:
        rate: the fraction of channels to drop, from 0 to 1.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        seed: an int, or ``None`` for one from the default generator.

    Input shape ``(batch, depth, rows, columns, channels)``.

    Source: Tompson et al., "Efficient Object Localization Using Convolutional Networks", CVPR 2015.

    Example:
        >>> import lamina
        >>> lamina.layers.SpatialDropout3D(0.5)(lamina.ones((2, 4, 4, 4, 3)), training=True).shape
        (2, 4, 4, 4, 3)
    """

    _rank = 3


class _Gaussian(Layer):
    """Normal noise of a standard deviation, in training only."""

    def __init__(self, stddev: float, seed: int | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed) if stddev > 0 else None
        self.supports_masking = True
        self.built = True

    def _noise(self, shape: Sequence[int], mean: float, stddev: float, dtype: Any) -> Tensor:
        return random.normal(shape, mean, stddev, dtype=dtype, key=self.seed_generator)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """That of the input."""
        return input_shape


@_register
class GaussianNoise(_Gaussian):
    """In training, adds normal noise with mean 0.

    Args:
        stddev: standard deviation of the noise, from 0 to 1.
        seed: an int, or ``None`` for one from the default generator.

    Example:
        >>> import lamina
        >>> lamina.layers.GaussianNoise(0.1)(lamina.ones((2,)), training=False).tolist()
        [1.0, 1.0]
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        if not 0 <= stddev <= 1:
            raise ArgumentError(f"GaussianNoise: stddev is from 0 to 1; got {stddev}.")
        super().__init__(stddev, seed, **kwargs)
        self.stddev = float(stddev)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        if not training or self.seed_generator is None:
            return inputs
        return ops.add(inputs, self._noise(inputs.shape, 0.0, self.stddev, inputs.dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


@_register
class GaussianDropout(_Gaussian):
    """In training, multiplies by normal noise with mean 1 and variance ``rate / (1 - rate)``.

    Args:
        rate: as for ``Dropout``, from 0 up to but not 1: it leaves mean and variance alike.
        seed: an int, or ``None`` for one from the default generator.

    Example:
        >>> import lamina
        >>> lamina.layers.GaussianDropout(0.5)(lamina.ones((2,)), training=False).tolist()
        [1.0, 1.0]

    Source: Srivastava et al., "Dropout", JMLR 15, 2014.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        if not 0 <= rate < 1:
            raise ArgumentError(f"GaussianDropout: rate is from 0 up to but not 1; got {rate}.")
        super().__init__(rate, seed, **kwargs)
        self.rate = float(rate)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        if not training or self.seed_generator is None:
            return inputs
        stddev = math.sqrt(self.rate / (1.0 - self.rate))
        return ops.multiply(inputs, self._noise(inputs.shape, 1.0, stddev, inputs.dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@_register
class AlphaDropout(Layer):
    """Dropout that keeps mean and variance after ``selu``: dropped inputs take its lowest value, the rest is rescaled.

    Args:
        rate: the fraction to drop, from 0 to 1.
        noise_shape: shape of the random mask where it is to be broadcast (``None`` for the input's size).
        seed: an int, or ``None`` for one from the default generator.

    Source: Klambauer et al., "Self-Normalizing Neural Networks", NeurIPS 2017.

    Example:
        >>> import lamina
        >>> lamina.layers.AlphaDropout(0.5)(lamina.ones((2, 3))).tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise ArgumentError(
                f"Invalid value received for argument `rate`. Expected a float value between 0 and 1. Received: {rate=}"
            )
        self.rate, self.seed = rate, seed
        self.noise_shape = _noise_shape(noise_shape)
        self.seed_generator = random.SeedGenerator(seed) if rate > 0 else None
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        if not training or self.seed_generator is None:
            return inputs
        given = self.noise_shape or (None,) * inputs.ndim
        shape = tuple(n if n is not None else size for n, size in zip(given, inputs.shape, strict=True))
        kept = ops.greater_equal(random.uniform(shape, key=self.seed_generator), self.rate)
        lowest = -1.6732632423543772 * 1.0507009873554805  # of selu
        factor = ((1 - self.rate) * (1 + self.rate * lowest**2)) ** -0.5 if self.rate < 1 else 0.0
        dropped = ops.where(kept, inputs, lowest)
        return dropped * factor - factor * lowest * self.rate

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        noise_shape = None if self.noise_shape is None else list(self.noise_shape)
        return {**super().get_config(), "rate": self.rate, "seed": self.seed, "noise_shape": noise_shape}


@_register
class ActivityRegularization(Layer):
    """Hands its input through and adds ``l1 * sum(|x|) + l2 * sum(x**2)`` (over the size of the batch) to the loss.

    Args:
        l1: factor of the absolute values.
        l2: factor of the squares.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.ActivityRegularization(l1=0.5)
        >>> layer(lamina.ones((2, 3))).shape
        (2, 3)
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1, self.l2 = l1, l2
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["activity_regularizer"]
        return {**config, "l1": self.l1, "l2": self.l2}
