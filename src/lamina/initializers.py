"""Initial values of weights.

An initializer is called with a shape and a dtype and returns a Tensor.  Those with a seed
return the same numbers each time they are called; with ``seed=None`` the seed is drawn from the
default generator when the initializer is made, so ``lamina.random.seed`` decides it.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina import config, ops, random
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.primitive import state, wrap
from lamina.graph.function import Function
from lamina.ops.windows import window_values
from lamina.serialization import Named, deserialize, register_serializable
from lamina.serialization import serialize as serialize
from lamina.tensor import Tensor

LARGE = 1 << 20  # so many numbers take longer to draw with NumPy than to compile their drawing

_known = Named("initializer", "lamina.initializers")
register_serializable("lamina.random")(random.Generator)  # the seed of a saved initializer may be one


class Initializer:
    """Base class: subclasses implement ``__call__(shape, dtype=None)``."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """A Tensor of this shape; ``dtype`` defaults to ``lamina.config.floatx()``."""
        raise NotImplementedError(f"{type(self).__name__} does not implement __call__(shape, dtype).")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """An initializer from what ``get_config`` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def _dtype(dtype: Any) -> np.dtype[Any]:
    return dtypes.as_dtype(dtype if dtype is not None else config.floatx())


class Zeros(Initializer):
    """All zeros.

    Example:
        >>> import lamina
        >>> lamina.initializers.Zeros()((2, 2)).tolist()
        [[0.0, 0.0], [0.0, 0.0]]
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        return ops.zeros(tuple(shape), _dtype(dtype))


class Ones(Initializer):
    """All ones.

    Example:
        >>> import lamina
        >>> lamina.initializers.Ones()((2, 2)).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        return ops.ones(tuple(shape), _dtype(dtype))


class Constant(Initializer):
    """One value everywhere, or an array that broadcasts to the shape.

    Args:
        value: a number, or an array-like.

    Example:
        >>> import lamina
        >>> lamina.initializers.Constant(3.0)((2,)).tolist()
        [3.0, 3.0]
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        values = np.broadcast_to(np.asarray(self.value), tuple(shape))
        return Tensor(np.asarray(values, _dtype(dtype)))

    def get_config(self) -> dict[str, Any]:
        return {"value": np.asarray(self.value).tolist()}


class Identity(Initializer):
    """``gain`` on the diagonal of a matrix and zeros elsewhere.

    Args:
        gain: the value on the diagonal.

    Raises:
        ShapeError: (when called) the shape is not that of a matrix.

    Example:
        >>> import lamina
        >>> lamina.initializers.Identity()((2, 2)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        if len(shape) != 2:
            raise ShapeError(f"The identity initializer makes matrices; got shape {tuple(shape)}.")
        return Tensor(self.gain * np.eye(shape[0], shape[1], dtype=_dtype(dtype)), dtype=_dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


class RandomInitializer(Initializer):
    """Base of the random ones.

    Args:
        seed: an int, ``None`` (drawn from the default generator now), or a
            ``lamina.random.SeedGenerator``, which gives new numbers at each call.
    """

    def __init__(self, seed: Any = None) -> None:
        if isinstance(seed, dict):
            seed = deserialize(seed)
        if not (seed is None or isinstance(seed, int | np.integer | random.SeedGenerator)):
            raise ArgumentError(f"seed is an int, None or a lamina.random.SeedGenerator; got {seed!r}.")
        self._given_seed = seed
        self.seed = random.make_seed() if seed is None else seed

    def get_config(self) -> dict[str, Any]:
        return {"seed": serialize(self._given_seed)}

    def _draw(
        self, distribution: Callable[..., Tensor], shape: Sequence[int], low: float, high: float, dtype: Any
    ) -> Tensor:
        """``distribution(shape, low, high)``; large ones run compiled, which gives the same numbers sooner."""
        shape, dtype = tuple(shape), _dtype(dtype)
        if math.prod(shape) < LARGE or not isinstance(self.seed, int) or state.capture is not None:
            return distribution(shape, low, high, dtype=dtype, key=self.seed)
        return _compiled(distribution, shape, low, high, dtype)(random.key(self.seed))


@functools.lru_cache(maxsize=64)
def _compiled(distribution: Callable[..., Tensor], shape: tuple[int, ...], low: float, high: float, dtype: Any) -> Any:
    return Function(lambda key: distribution(shape, low, high, dtype=dtype, key=key))


class RandomNormal(RandomInitializer):
    """Normally distributed values.

    Args:
        mean: their mean.
        stddev: their standard deviation.
        seed: see ``RandomInitializer``.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        return self._draw(random.normal, shape, self.mean, self.stddev, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class TruncatedNormal(RandomNormal):
    """Normally distributed values, none further than two standard deviations from the mean."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        return self._draw(random.truncated_normal, shape, self.mean, self.stddev, dtype)


class RandomUniform(RandomInitializer):
    """Values spread evenly over ``[minval, maxval)``.

    Example:
        >>> import lamina
        >>> values = lamina.initializers.RandomUniform(-1.0, 1.0, seed=0)((1000,))
        >>> bool((values >= -1).all()), bool((values <= 1).all())
        (True, True)
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        return self._draw(random.uniform, shape, self.minval, self.maxval, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}


def compute_fans(shape: Sequence[int]) -> tuple[int, int]:
    """``(fan_in, fan_out)`` of a weight: how many inputs feed one output, and the reverse.

    A matrix is ``(inputs, outputs)``; a convolution kernel ``(*window, inputs, outputs)``.

    Example:
        >>> compute_fans((784, 512)), compute_fans((3, 3, 16, 32))
        ((784, 512), (144, 288))
    """
    if len(shape) == 0:
        return 1, 1
    if len(shape) == 1:
        return int(shape[0]), int(shape[0])
    window = math.prod(shape[:-2])
    return int(shape[-2] * window), int(shape[-1] * window)


class VarianceScaling(RandomInitializer):
    """Random values whose variance is ``scale / n``, with ``n`` a fan of the weight.

    Args:
        scale: positive factor.
        mode: ``"fan_in"``, ``"fan_out"`` or ``"fan_avg"``, the ``n``.
        distribution: ``"truncated_normal"``, ``"untruncated_normal"`` or ``"uniform"``.
        seed: see ``RandomInitializer``.

    Raises:
        ArgumentError: an argument is none of these.
    """

    def __init__(
        self, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal", seed: Any = None
    ) -> None:
        super().__init__(seed)
        distribution = {"normal": "truncated_normal"}.get(distribution.lower(), distribution.lower())
        if scale <= 0:
            raise ArgumentError(f"scale is positive; got {scale}.")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ArgumentError(f"mode is 'fan_in', 'fan_out' or 'fan_avg'; got {mode!r}.")
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ArgumentError(
                f"distribution is 'truncated_normal', 'untruncated_normal' or 'uniform'; got {distribution!r}."
            )
        self.scale, self.mode, self.distribution = scale, mode, distribution

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        fan_in, fan_out = compute_fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return self._draw(random.uniform, shape, -limit, limit, dtype)
        if self.distribution == "untruncated_normal":
            return self._draw(random.normal, shape, 0.0, math.sqrt(variance), dtype)
        # Cutting the tails off at two standard deviations shrinks the variance by this factor squared.
        stddev = math.sqrt(variance) / 0.87962566103423978
        return self._draw(random.truncated_normal, shape, 0.0, stddev, dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            **super().get_config(),
        }


class _Scaled(VarianceScaling):
    """A ``VarianceScaling`` whose arguments are fixed: only the seed is left."""

    arguments: tuple[float, str, str]

    def __init__(self, seed: Any = None) -> None:
        super().__init__(*self.arguments, seed=seed)

    def get_config(self) -> dict[str, Any]:
        return {"seed": serialize(self._given_seed)}


class GlorotUniform(_Scaled):
    """Uniform over ``±sqrt(6 / (fan_in + fan_out))``: the default of ``Dense`` (Glorot and Bengio, 2010).

    Example:
        >>> import lamina
        >>> values = lamina.initializers.GlorotUniform(seed=0)((300, 300))
        >>> round(float(values.max()), 2)
        0.1
    """

    arguments = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal with variance ``2 / (fan_in + fan_out)`` (Glorot and Bengio, 2010)."""

    arguments = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform over ``±sqrt(6 / fan_in)``, for ReLU networks (He et al., 2015)."""

    arguments = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal with variance ``2 / fan_in``, for ReLU networks (He et al., 2015).

    Example:
        >>> import lamina
        >>> values = lamina.initializers.HeNormal(seed=0)((200, 500))
        >>> round(float(values.std()), 2)
        0.1
    """

    arguments = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform over ``±sqrt(3 / fan_in)`` (LeCun et al., 1998)."""

    arguments = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal with variance ``1 / fan_in`` (LeCun et al., 1998; Klambauer et al., 2017)."""

    arguments = (1.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """A random matrix with orthonormal rows or columns, times ``gain`` (Saxe et al., 2014).

    More than two dimensions are flattened to ``(product of all but the last, last)`` first.

    Raises:
        ShapeError: (when called) fewer than two dimensions.

    Example:
        >>> import lamina
        >>> values = lamina.initializers.Orthogonal(seed=0)((3, 3))
        >>> (values.T @ values).astype('float64').round(2).trace().item()
        3.0
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        if len(shape) < 2:
            raise ShapeError(f"The orthogonal initializer needs at least two dimensions; got shape {tuple(shape)}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        normal = random.normal((max(rows, columns), min(rows, columns)), dtype="float64", key=self.seed).numpy()
        q, r = np.linalg.qr(normal)
        q = q * np.sign(np.diagonal(r))  # makes the distribution uniform over orthogonal matrices
        q = q.T if rows < columns else q
        return Tensor((self.gain * q).reshape(tuple(shape)).astype(_dtype(dtype)))

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain, **super().get_config()}


class STFT(Initializer):
    """Kernels by which a convolution is a short-time Fourier transform: ``window[t] cos(2 pi t f) / scale``.

    Args:
        side: ``"real"``, or ``"imag"`` for ``-sin`` in place of ``cos``.
        window: name of a window (``"hann"``, ``"hamming"``, ``"blackman"``, ``"tukey"``, ...), its values, or
            ``None`` for none.
        scaling: ``"density"`` divides by the window's length (the root of its squares' sum), ``"spectrum"`` by its
            sum; ``None`` by nothing.
        periodic: whether the window is that of a period (see ``lamina.ops.windows``).

    The shape is ``(frame_length, 1, frequencies)``, and frequency ``f`` of ``n`` stands for ``f / (2 (n - 1))`` turns
    a step.

    Raises:
        ArgumentError: a name is unknown.
        ShapeError: the window has another length than the frames.

    Example:
        >>> import lamina
        >>> kernel = lamina.initializers.STFT("real", "hann", None)((4, 1, 3))
        >>> kernel[:, 0, 0].tolist() == [0.0, 0.75, 0.75, 0.0]
        True
    """

    def __init__(
        self, side: str = "real", window: Any = "hann", scaling: str | None = "density", periodic: bool = False
    ) -> None:
        if side not in ("real", "imag"):
            raise ArgumentError(f"side should be 'real' or 'imag', not {side}")
        if isinstance(window, str):
            window_values(window, 1)
        if scaling not in (None, "density", "spectrum"):
            raise ArgumentError(
                f"Scaling is invalid, it must be `None`, 'density' or 'spectrum'. Received scaling={scaling}"
            )
        self.side, self.window, self.scaling, self.periodic = side, window, scaling, periodic

    def get_config(self) -> dict[str, Any]:
        window = (
            self.window if self.window is None or isinstance(self.window, str) else np.asarray(self.window).tolist()
        )
        return {"side": self.side, "window": window, "periodic": self.periodic, "scaling": self.scaling}

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        length, _, frequencies = shape
        angle = 2 * math.pi * np.arange(length)[:, None, None] * np.arange(frequencies) / (2 * (frequencies - 1))
        kernel = np.cos(angle) if self.side == "real" else -np.sin(angle)
        if self.window is not None:
            named = isinstance(self.window, str)
            window = window_values(self.window, length, self.periodic) if named else np.asarray(self.window)
            if window.shape != (length,):
                raise ShapeError(f"The shape of `window` must be ({length},), that of a frame; got {window.shape}.")
            scale = {"density": np.sqrt(np.sum(window**2)), "spectrum": np.sum(np.abs(window))}
            kernel = kernel * window[:, None, None] / (scale[self.scaling] if self.scaling else 1.0)
        return ops.as_tensor(kernel, dtype=_dtype(dtype))


def filling(initializer: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
    """``initializer(shape, dtype=dtype)`` for a Variable to copy; zeros take no memory, as its storage is zero."""
    if type(initializer) is Zeros:
        return wrap(np.broadcast_to(np.zeros((), dtype), shape))
    return initializer(shape, dtype=dtype)


def repeated(initializer: Any, shape: Sequence[int], dtype: Any) -> Callable[[], Tensor] | None:
    """What gives the numbers of ``initializer(shape, dtype=dtype)`` again, where it is known to give them twice.

    Args:
        initializer: any callable of a shape and a dtype.
        shape: its argument.
        dtype: its argument.

    Returns:
        A function of no arguments, or ``None`` where another call may give other numbers.
    """
    if type(initializer).__module__ != __name__:  # a function or class of the user's own
        return None
    if isinstance(initializer, Zeros | Ones) or isinstance(getattr(initializer, "seed", None), int | np.integer):
        return functools.partial(copy.copy(initializer), tuple(shape), dtype=dtype)
    return None


for _cls, *_names in (
    (Zeros, "zeros"),
    (Ones, "ones"),
    (Constant, "constant"),
    (Identity, "identity", "IdentityInitializer"),
    (RandomNormal, "random_normal", "normal"),
    (TruncatedNormal, "truncated_normal"),
    (RandomUniform, "random_uniform", "uniform"),
    (VarianceScaling, "variance_scaling"),
    (GlorotUniform, "glorot_uniform"),
    (GlorotNormal, "glorot_normal"),
    (HeUniform, "he_uniform"),
    (HeNormal, "he_normal"),
    (LecunUniform, "lecun_uniform"),
    (LecunNormal, "lecun_normal"),
    (Orthogonal, "orthogonal", "OrthogonalInitializer"),
    (STFT, "stft", "STFTInitializer"),
):
    _known.add(_cls, *_names)


def _values_of(array: Any) -> Callable[..., Tensor]:
    def make(shape: Sequence[int], dtype: Any = None) -> Tensor:
        if tuple(shape) != tuple(array.shape):
            raise ShapeError(f"Expected `shape` to be {tuple(array.shape)}, that of the array; got {tuple(shape)}.")
        return ops.as_tensor(array, dtype=_dtype(dtype))

    return make


# Keras's other names.
zeros, ones, constant, identity = Zeros, Ones, Constant, Identity
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling, orthogonal = VarianceScaling, Orthogonal
glorot_uniform, glorot_normal, he_uniform, he_normal = GlorotUniform, GlorotNormal, HeUniform, HeNormal
lecun_uniform, lecun_normal = LecunUniform, LecunNormal
IdentityInitializer, OrthogonalInitializer = Identity, Orthogonal
stft, STFTInitializer = STFT, STFT


def get(identifier: Any) -> Any:
    """An initializer from a name, a class, a configuration, a callable, or one already made.

    Raises:
        ArgumentError: the name is unknown or the object is not callable.

    Example:
        >>> import lamina
        >>> lamina.initializers.get("he_normal")
        HeNormal(seed=None)
    """
    if identifier is None:
        return None
    if isinstance(identifier, Tensor | np.ndarray):
        return _values_of(identifier)
    identifier = _known.resolve(identifier)
    if not callable(identifier):
        raise ArgumentError(f"{identifier!r} is not an initializer: give a name or a callable of (shape, dtype).")
    made: Callable[..., Any] = identifier
    return made
