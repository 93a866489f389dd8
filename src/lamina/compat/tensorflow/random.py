"""``tf.random``: numbers by shape, with a global seed and a seed for each call.

The numbers are Lamina's own (``lamina.random``).  As in TensorFlow, calls with a ``seed`` give new numbers each
time, and the same ones in every run of the program and after every ``set_seed``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import random as _random
from lamina.compat.tensorflow._convert import convert_to_tensor, static
from lamina.core import dtypes as _dtypes
from lamina.core.errors import ArgumentError


class _Seeds:
    """The global seed, and for each seed of a call the generator that goes on from call to call."""

    default: int | None = None
    generators: dict[int, _random.Generator] = {}  # noqa: RUF012 (one for the program, as lamina.random's)


def set_seed(seed: int) -> None:
    """Start all random numbers anew from this seed."""
    _Seeds.default = seed
    _Seeds.generators.clear()
    _random.seed(seed)


def _key(seed: Any) -> Any:
    """What the numbers of a call come from."""
    if seed is None:
        return None
    seed = static(seed)
    if seed not in _Seeds.generators:
        both = np.random.SeedSequence([(_Seeds.default or 0) % 2**64, seed % 2**64]).generate_state(2, np.uint64)
        _Seeds.generators[seed] = _random.Generator(int(both[0]))
    return _Seeds.generators[seed]


def _uniform(shape: Any, minval: Any, maxval: Any, dtype: Any, key: Any) -> Any:
    dtype = _dtypes.as_dtype(dtype)
    if _dtypes.is_integer(dtype):
        if maxval is None:
            raise ArgumentError("random.uniform of integers needs maxval.")
        return _random.randint(static(shape), static(minval), static(maxval), dtype, key)
    return _random.uniform(static(shape), minval, 1.0 if maxval is None else maxval, dtype, key)


def uniform(
    shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32", seed: Any = None, name: str | None = None
) -> Any:
    """Numbers spread evenly over ``[minval, maxval)``; integers too.

    Raises:
        ArgumentError: integers without ``maxval``.
    """
    return _uniform(shape, minval, maxval, dtype, _key(seed))


def normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", seed: Any = None, name: str | None = None
) -> Any:
    """Normal (Gaussian) numbers."""
    return _random.normal(static(shape), mean, stddev, dtype, _key(seed))


def truncated_normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", seed: Any = None, name: str | None = None
) -> Any:
    """Normal numbers within two standard deviations of the mean."""
    return _random.truncated_normal(static(shape), mean, stddev, dtype, _key(seed))


def shuffle(value: Any, seed: Any = None, name: str | None = None) -> Any:
    """The slices along the first axis in a random order."""
    return _random.shuffle(convert_to_tensor(value), key=_key(seed))


def categorical(
    logits: Any, num_samples: Any, dtype: Any = "int64", seed: Any = None, name: str | None = None
) -> Any:
    """``num_samples`` class numbers for each row of logits."""
    return _categorical(logits, num_samples, dtype, _key(seed))


def _categorical(logits: Any, num_samples: Any, dtype: Any, key: Any) -> Any:
    logits = convert_to_tensor(logits)
    if logits.ndim != 2:
        raise ArgumentError(f"random.categorical takes logits (batch, classes); got shape {logits.shape}.")
    samples = _random.categorical(logits[:, None], (logits.shape[0], static(num_samples)), key)
    return samples.astype(dtype)


def stateless_uniform(
    shape: Any, seed: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32", name: str | None = None
) -> Any:
    """Numbers spread evenly over ``[minval, maxval)``, the same for the same two numbers of ``seed``."""
    return _uniform(shape, minval, maxval, dtype, _pair(seed))


def stateless_normal(
    shape: Any, seed: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", name: str | None = None
) -> Any:
    """Normal numbers, the same for the same two numbers of ``seed``."""
    return _random.normal(static(shape), mean, stddev, dtype, _pair(seed))


def stateless_truncated_normal(
    shape: Any, seed: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", name: str | None = None
) -> Any:
    """Normal numbers within two standard deviations of the mean, the same for the same two numbers of ``seed``."""
    return _random.truncated_normal(static(shape), mean, stddev, dtype, _pair(seed))


def stateless_categorical(
    logits: Any, num_samples: Any, seed: Any, dtype: Any = "int64", name: str | None = None
) -> Any:
    """``num_samples`` class numbers for each row of logits, the same for the same two numbers of ``seed``."""
    return _categorical(logits, num_samples, dtype, _pair(seed))


def _pair(seed: Any) -> Any:
    first, second = static(seed)
    return _random.fold_in(_random.key(first), second % 2**62)


def dropout(x: Any, rate: float, noise_shape: Any = None, seed: Any = None, name: str | None = None) -> Any:
    """Elements zeroed with probability ``rate``, the others divided by ``1 - rate`` (it is ``tf.nn.dropout``)."""
    return _random.dropout(convert_to_tensor(x), rate, static(noise_shape), _key(seed))


class Generator:
    """``tf.random.Generator``: numbers from a state of its own.

    Example:
        >>> Generator.from_seed(1).normal([2]).shape
        (2,)
    """

    def __init__(self, seed: int | None = None) -> None:
        self._state = _random.Generator(seed)

    @classmethod
    def from_seed(cls, seed: int, alg: Any = None) -> Generator:
        """A generator that starts from ``seed``."""
        return cls(seed)

    @classmethod
    def from_non_deterministic_state(cls, alg: Any = None) -> Generator:
        """A generator that starts anywhere."""
        return cls()

    def reset_from_seed(self, seed: int) -> None:
        """Start again from ``seed``."""
        self._state.reset(seed)

    def uniform(
        self, shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32", name: str | None = None
    ) -> Any:
        """As ``tf.random.uniform``."""
        return _uniform(shape, minval, maxval, dtype, self._state)

    def normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", name: str | None = None
    ) -> Any:
        """As ``tf.random.normal``."""
        return _random.normal(static(shape), mean, stddev, dtype, self._state)

    def truncated_normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", name: str | None = None
    ) -> Any:
        """As ``tf.random.truncated_normal``."""
        return _random.truncated_normal(static(shape), mean, stddev, dtype, self._state)

    def make_seeds(self, count: int = 1) -> Any:
        """Seeds for the functions that begin with ``stateless_``: int64 ``(2, count)``."""
        return _random.randint((2, count), 0, 2**62, key=self._state)


class _Global:
    """The generator of ``get_global_generator``."""

    generator: Generator | None = None


def get_global_generator() -> Generator:
    """The generator that the whole program shares."""
    if _Global.generator is None:
        _Global.generator = Generator()
    return _Global.generator


def set_global_generator(generator: Generator) -> None:
    """Set what ``get_global_generator`` returns."""
    _Global.generator = generator
