"""Random numbers of the data, keyed by (seed, epoch, index).

Whoever makes a sample draws from a generator that depends on nothing else; so it does not matter which process makes
it, what was made before, and where a run was resumed.
"""

from __future__ import annotations

import contextlib
import random as python_random
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from lamina import random
from lamina.core.errors import ArgumentError
from lamina.core.primitive import wrap

_MASK = (1 << 64) - 1
_TENSORS = 1  # end of the keys of lamina.random's numbers
_local = threading.local()


def keyed(seed: int, *path: int) -> np.random.Generator:
    """A generator whose numbers depend on the seed and these numbers alone.

    Example:
        >>> bool(keyed(1, 2).integers(1000) == keyed(1, 2).integers(1000))
        True
    """
    words = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF]
    for number in path:
        words += [number & 0xFFFFFFFF, number >> 32 & 0xFFFFFFFF]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def seed_from(generator: Any) -> int:
    """A seed: an int itself, or a new one from a generator (default that of ``lamina.random``).

    Raises:
        ArgumentError: it is neither.
    """
    if generator is None:
        return random.make_seed()
    if isinstance(generator, int | np.integer) and not isinstance(generator, bool):
        return int(generator) & _MASK
    if isinstance(generator, np.random.Generator):
        return int(generator.integers(0, _MASK, dtype=np.uint64))
    if isinstance(generator, np.random.RandomState):
        high, low = generator.randint(0, 1 << 32, 2, dtype=np.uint64).tolist()
        return int(high << 32 | low)
    if isinstance(generator, random.Generator):
        low, high = random.bits((2,), key=generator).tolist()
        return int(low | high << 32)
    if hasattr(generator, "initial_seed"):  # PyTorch's
        return int(generator.initial_seed()) & _MASK
    raise ArgumentError(
        f"generator is a seed (int), a lamina.random.Generator or a numpy.random.Generator; "
        f"got a {type(generator).__name__}."
    )


def generator_from(generator: Any) -> np.random.Generator:
    """A NumPy generator seeded from what a user gave."""
    return generator if isinstance(generator, np.random.Generator) else keyed(seed_from(generator))


def rng() -> np.random.Generator:
    """The random generator of the sample that is being made, for use in datasets and in functions given to ``map``.

    Its numbers depend on the loader's seed, the epoch and the sample's number only: they are the same with any
    number of workers, and after a run was resumed.  Elsewhere it is a new generator, seeded by ``lamina.random``.

    Example:
        >>> from lamina.data import Pipeline, rng
        >>> noisy = Pipeline.range(2).map(lambda i: i + rng().normal(), seed=1)
        >>> [float(x) for x in noisy] == [float(x) for x in Pipeline.range(2).map(lambda i: i + rng().normal(), seed=1)]
        True
    """
    context = getattr(_local, "context", None)
    return generator_from(None) if context is None else context.generator()


class _Context:
    """The key of the sample that is being made; generators are made when somebody asks."""

    __slots__ = ("_drawn", "_key", "_made", "path", "seed")

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.path: tuple[int, ...] = (0,)
        self._made: np.random.Generator | None = None
        self._key: Any = None
        self._drawn = 0

    def at(self, *path: int) -> None:
        """Go to another sample."""
        self.path, self._made, self._key = path, None, None

    def generator(self) -> np.random.Generator:
        if self._made is None:
            self._made = keyed(self.seed, *self.path)
        return self._made

    def draw(self, draws: int) -> tuple[Any, Any]:
        """What the generators of ``lamina.random`` give: a key of this sample, and counters."""
        key = self.key()
        counter, self._drawn = self._drawn, self._drawn + draws
        return key, wrap(np.array(counter, np.uint64))

    def key(self) -> Any:
        """The key of this sample for the numbers of ``lamina.random``."""
        if self._key is None:
            seed = keyed(self.seed, *self.path, _TENSORS).integers(0, _MASK, dtype=np.uint64)
            self._key, self._drawn = random.key(int(seed)), 0
        return self._key


def current_key() -> Any:
    """The key of the sample that is being made, for ``lamina.random``; ``None`` elsewhere."""
    context = getattr(_local, "context", None)
    return None if context is None else context.key()


@contextlib.contextmanager
def keyed_numbers(seed: int) -> Iterator[_Context]:
    """Inside, ``rng()`` and ``lamina.random`` in this thread are keyed by what ``context.at(...)`` was last told."""
    before, drawing = getattr(_local, "context", None), random.keyed.draw
    context = _local.context = _Context(seed)
    random.keyed.draw = context.draw
    try:
        yield context
    finally:
        _local.context, random.keyed.draw = before, drawing


@contextlib.contextmanager
def all_keyed(seed: int, *path: int) -> Iterator[_Context]:
    """As ``keyed_numbers``, and for code that draws from ``random`` and ``numpy.random``: they are seeded once, here.

    Their states are put back afterwards.  Other threads that draw from them meanwhile see the keyed ones.
    """
    numpy_random: Any = np.random
    numpy_before, python_before = numpy_random.get_bit_generator(), python_random.getstate()
    words = np.random.SeedSequence([seed & 0xFFFFFFFF, seed >> 32, *path])
    numpy_random.set_bit_generator(np.random.Philox(words))
    python_random.seed(int(words.generate_state(1, np.uint64)[0]))
    try:
        with keyed_numbers(seed) as context:
            context.at(*path)
            yield context
    finally:
        numpy_random.set_bit_generator(numpy_before)
        python_random.setstate(python_before)
