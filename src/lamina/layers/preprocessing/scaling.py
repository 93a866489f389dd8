"""Numbers brought to a scale: ``Normalization`` and ``Rescaling``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina import config, ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.layers.base import Layer
from lamina.layers.preprocessing.encoding import batches
from lamina.layers.symbolic import Shape
from lamina.serialization import register_serializable
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")


@_register
class Normalization(Layer):
    """``(x - mean) / sqrt(variance)``, with mean and variance found by ``adapt`` before training, or given.

    Args:
        axis: axis or axes that keep their own mean and variance (the features); ``None``: one for all values.
        mean: the mean, instead of ``adapt``.
        variance: the variance, with ``mean``.
        invert: whether to do the reverse: ``x * sqrt(variance) + mean``.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.Normalization()
        >>> layer.adapt([[0.0, 10.0], [2.0, 30.0]])
        >>> layer([[2.0, 10.0]]).tolist()
        [[1.0, -1.0]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis: tuple[int, ...] = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        if (mean is None) != (variance is None):
            raise ArgumentError(
                "When setting values directly, both `mean` and `variance` must be set. "
                f"Received: mean={mean} and variance={variance}"
            )
        if np.shape(mean) != np.shape(variance):
            raise ArgumentError(
                "When setting values directly, `mean` and `variance` must have the same shape. Received: "
                f"mean shape {np.shape(mean)} and variance shape {np.shape(variance)}"
            )
        if mean is not None and np.ndim(mean) > len(self.axis):
            raise ArgumentError(
                f"The rank of `mean` must be less than or equal to the number of axes ({len(self.axis)}). Received: "
                f"mean shape {np.shape(mean)} for axis {self.axis}"
            )
        self.input_mean, self.input_variance, self.invert = mean, variance, invert
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        ndim = len(input_shape)
        if any(not -ndim <= a < ndim for a in self.axis):
            raise ArgumentError(
                "All `axis` values must be in the range [-ndim, ndim). "
                f"Received inputs with ndim={ndim}, while axis={self.axis}"
            )
        kept = sorted(a % ndim for a in self.axis)
        if any(input_shape[a] is None for a in kept):
            raise ShapeError(
                f"All `axis` values to be kept must have a known shape. Received axis={self.axis}, "
                f"inputs.shape={tuple(input_shape)}"
            )
        self._build_shape = tuple(input_shape)
        self._kept, self._reduced = tuple(kept), tuple(a for a in range(ndim) if a not in kept)
        self._broadcast_shape: Any = tuple(n if a in kept else 1 for a, n in enumerate(input_shape))
        if self.input_mean is None:
            shape: Any = tuple(input_shape[a] for a in kept)
            self.adapt_mean = self.add_weight(shape, "zeros", trainable=False, name="mean")
            self.adapt_variance = self.add_weight(shape, "ones", trainable=False, name="variance")
            self.count = self.add_weight((), "zeros", dtype="int32", trainable=False, name="count")
        self.built = True

    def adapt(self, data: Any) -> None:
        """Find mean and variance from an array, or from an iterable of batches."""
        if self.input_mean is not None:
            raise ArgumentError("This layer was given its mean and variance; make one without them to adapt it.")
        count, mean, variance = 0, np.zeros(()), np.zeros(())
        for given in batches(data):
            batch = np.asarray(given, np.float64)
            if not self.built:
                self.build((None, *batch.shape[1:]))
            if batch.ndim != len(self._build_shape) or any(batch.shape[a] != self._build_shape[a] for a in self._kept):
                raise ShapeError(
                    f"The layer was built with input_shape={self._build_shape}, but adapt() is being called with data "
                    f"with an incompatible shape, data.shape={batch.shape}"
                )
            here = math.prod(batch.shape[a] for a in self._reduced)
            share = here / max(count + here, 1)
            new = mean + (batch.mean(axis=self._reduced) - mean) * share
            variance = (variance + (mean - new) ** 2) * (1 - share) + (
                batch.var(axis=self._reduced) + (batch.mean(axis=self._reduced) - new) ** 2
            ) * share
            mean, count = new, count + here
        if not count:
            raise ArgumentError("adapt() received an empty iterable (no batches).")
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(variance)

    def finalize_state(self) -> None:
        """Kept for Keras's sake: mean and variance take effect as soon as they are known."""

    @property
    def mean(self) -> Any:
        """The mean in a shape that broadcasts against the inputs."""
        return self._statistic(self.input_mean, "adapt_mean")

    @property
    def variance(self) -> Any:
        """The variance in a shape that broadcasts against the inputs."""
        return self._statistic(self.input_variance, "adapt_variance")

    def _statistic(self, given: Any, weight: str) -> Any:
        if not self.built:
            return None
        if given is None:
            return ops.reshape(getattr(self, weight).value, self._broadcast_shape)
        value = ops.as_tensor(given, dtype=self.compute_dtype)
        shape = [1] * len(self._broadcast_shape)
        for i in range(1, value.ndim + 1):  # its axes belong to the last of those kept
            shape[self._kept[-i]] = value.shape[-i]
        return ops.broadcast_to(ops.reshape(value, shape), self._broadcast_shape)

    def call(self, inputs: Any) -> Tensor:
        x = ops.astype(ops.as_tensor(inputs), self.compute_dtype)
        mean = ops.astype(self.mean, self.compute_dtype)
        deviation = ops.maximum(ops.sqrt(ops.astype(self.variance, self.compute_dtype)), config.epsilon())
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": list(self.axis),
            "invert": self.invert,
            "mean": None if self.input_mean is None else np.asarray(self.input_mean).tolist(),
            "variance": None if self.input_variance is None else np.asarray(self.input_variance).tolist(),
        }


@_register
class Rescaling(Layer):
    """``x * scale + offset``: ``Rescaling(1 / 255)`` brings bytes to [0, 1].

    Args:
        scale: a number, or one for each channel.
        offset: likewise.

    Example:
        >>> import lamina
        >>> lamina.layers.Rescaling(2.0, offset=-1.0)([0.0, 1.0]).tolist()
        [-1.0, 1.0]
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        dtype = self.compute_dtype
        x = ops.astype(ops.as_tensor(inputs), dtype)
        scale, offset = (ops.as_tensor(v, dtype=dtype) for v in (self.scale, self.offset))
        if config.image_data_format() == "channels_first" and scale.ndim == 1 and x.ndim > 2:
            scale = ops.reshape(scale, (-1, *(1,) * (x.ndim - 2)))
            offset = ops.reshape(offset, (-1, *(1,) * (x.ndim - 2))) if offset.ndim else offset
        return x * scale + offset

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        plain = [np.asarray(v).tolist() for v in (self.scale, self.offset)]
        return {**super().get_config(), "scale": plain[0], "offset": plain[1]}
