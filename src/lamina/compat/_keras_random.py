"""``keras.random``: Lamina's random numbers in Keras's arguments."""

from __future__ import annotations

import random as _python_random
from typing import Any

import numpy as np

from lamina import ops
from lamina import random as _random
from lamina.core import dtypes
from lamina.core.errors import ArgumentError
from lamina.random import Generator
from lamina.serialization import register_serializable
from lamina.tensor import Tensor, Variable

_global: SeedGenerator | None = None


@register_serializable("keras")
class SeedGenerator(Generator):
    """Random state, from which each draw takes a seed of its own.

    Args:
        seed: an integer; by default a random one.
        name: ignored.
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        if kwargs:
            raise ArgumentError(f"Unrecognized keyword arguments: {kwargs}")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer)):
            raise ArgumentError(f"Argument `seed` must be an integer. Received: seed={seed}")
        super().__init__(seed)
        self.name = name or "seed_generator"

    @property
    def seed(self) -> int:
        """The seed it started from."""
        return self.initial_seed

    @property
    def state(self) -> Variable:
        """The key of the draws, which begins with the seed."""
        return self.key

    def next(self, draws: Any = None, ordered: bool = True) -> Any:
        """A new seed; with a number of draws, the key and its first counter."""
        return _random.split(self, 1)[0] if draws is None or draws is True else super().next(draws)


def global_seed_generator() -> SeedGenerator:
    """The one behind draws without a seed."""
    global _global
    if _global is None:
        _global = SeedGenerator(_random.make_seed() % 2**31)
    return _global


def set_random_seed(seed: int) -> None:
    """Seed Lamina's default generator, and those of Python and of NumPy."""
    if not isinstance(seed, int):
        raise ArgumentError(f"Argument `seed` must be an integer. Received: seed={seed}")
    global _global
    _global = None
    _python_random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what draws from it is seeded, too
    _random.seed(seed)


def make_default_seed() -> int:
    """A random seed."""
    return int(_random.make_seed() % 2**31)


def draw_seed(seed: Any) -> Any:
    """The key of a draw from an int, a ``SeedGenerator`` or ``None``."""
    if isinstance(seed, Generator):
        return _random.split(seed, 1)[0]
    if isinstance(seed, int | np.integer):
        return _random.key(int(seed))
    if seed is None:
        return _random.split(_random.default_generator(), 1)[0]
    raise ArgumentError(
        "Argument `seed` must be either an integer or an instance of `SeedGenerator`. "
        f"Received: seed={seed} (of type {type(seed)})"
    )


def _key(seed: Any) -> Any:
    if seed is None or isinstance(seed, Generator | int | np.integer | Tensor):
        return seed
    return draw_seed(seed)


def _float(name: str, dtype: Any) -> Any:
    found = None if dtype is None else dtypes.as_dtype(dtype)
    if found is not None and not dtypes.is_float(found):
        raise ArgumentError(f"`keras.random.{name}` requires a floating point `dtype`. Received: dtype={dtype} ")
    return found


def normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """See ``lamina.random.normal``."""
    return _random.normal(shape, mean, stddev, _float("normal", dtype), _key(seed))


def truncated_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """See ``lamina.random.truncated_normal``."""
    return _random.truncated_normal(shape, mean, stddev, _float("truncated_normal", dtype), _key(seed))


def uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """See ``lamina.random.uniform``."""
    return _random.uniform(shape, minval, maxval, _float("uniform", dtype), _key(seed))


def randint(shape: Any, minval: Any, maxval: Any, dtype: Any = "int32", seed: Any = None) -> Any:
    """See ``lamina.random.randint``."""
    found = dtypes.as_dtype(dtype)
    if not dtypes.is_integer(found):
        raise ArgumentError(f"`keras.random.randint` requires an integer `dtype`. Received: dtype={dtype} ")
    return _random.randint(shape, int(minval), int(maxval), found, _key(seed))


def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Any:
    """Class numbers ``(batch, num_samples)`` with probabilities ``softmax(logits)``."""
    logits = ops.as_tensor(logits)
    if logits.ndim != 2:
        raise ArgumentError(
            f"`logits` should be a 2D tensor with shape [batch_size, num_classes]. Received: logits={logits.shape}"
        )
    drawn = _random.categorical(ops.expand_dims(logits, 1), (logits.shape[0], num_samples), _key(seed))
    return ops.astype(drawn, dtype)


def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
    """See ``lamina.random.dropout``."""
    return _random.dropout(inputs, rate, noise_shape, _key(seed))


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Any:
    """See ``lamina.random.shuffle``."""
    return _random.shuffle(x, axis, _key(seed))


def gamma(shape: Any, alpha: Any, dtype: Any = None, seed: Any = None) -> Any:
    """See ``lamina.random.gamma``."""
    return _random.gamma(shape, alpha, _float("gamma", dtype), _key(seed))


def beta(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Any:
    """See ``lamina.random.beta``."""
    return _random.beta(shape, alpha, beta, _float("beta", dtype), _key(seed))


def binomial(shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None) -> Any:
    """See ``lamina.random.binomial``."""
    return _random.binomial(shape, counts, probabilities, _float("binomial", dtype), _key(seed))
