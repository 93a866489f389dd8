"""Random numbers: counter-based, the same eagerly, compiled, and on any number of threads.

Every number is a pure function of a key (two 32-bit words), a counter and its position in the
array (Philox4x32-10).  Functions take ``key=``:

* ``None``: the default generator, which ``lamina.random.seed`` seeds;
* a ``Generator``: state that advances with every draw, inside compiled functions too;
* a key from ``key``, ``split`` or ``fold_in`` (or an int, short for ``key(int)``): the same numbers
  at every call.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, CaptureError, DTypeError, ShapeError
from lamina.core.primitive import bind, outside_capture, state, wrap
from lamina.ops.creation import as_shape
from lamina.ops.random import RANDOM_BITS, RANDOM_EXPONENTIAL, RANDOM_GUMBEL, RANDOM_NORMAL, RANDOM_UNIT
from lamina.tensor import Tensor, Variable

# Counters of plain draws start at 0; those that make keys lie far away from them.
_SPLIT = 1 << 63
_FOLD = 1 << 62
_BELOW_MINUS_TWO = 0.02275013194817921  # probability of a standard normal number below -2


# --- keys -----------------------------------------------------------------------------------------
def key(seed: int) -> Tensor:
    """A key from a seed.

    Args:
        seed: an integer, used modulo ``2**64``.

    Returns:
        uint32 of shape ``(2,)``.

    Example:
        >>> import lamina
        >>> k = lamina.random.key(7)
        >>> bool(lamina.random.normal((), key=k) == lamina.random.normal((), key=k))
        True
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise DTypeError(f"A seed is an int; got {type(seed).__name__}.")
    n = int(seed) % 2**64
    return wrap(np.array([n & 0xFFFFFFFF, n >> 32], np.uint32))


def split(key: Any, num: int = 2) -> Tensor:
    """Independent new keys from one.

    Args:
        key: a key, or a ``Generator``.
        num: how many.

    Returns:
        uint32 of shape ``(num, 2)``; each row is a key.

    Example:
        >>> import lamina
        >>> a, b = lamina.random.split(lamina.random.key(0))
        >>> bool(lamina.random.uniform((), key=a) == lamina.random.uniform((), key=b))
        False
    """
    words, counter = _source(key, 1)
    if not isinstance(key, Generator) and key is not None:
        counter = _constant(_SPLIT)
    return bind(RANDOM_BITS, words, counter, shape=(num, 2), offset=0)


def fold_in(key: Any, data: Any) -> Tensor:
    """A new key from a key and a number, for example the index of a step or a layer.

    Args:
        key: a key.
        data: an integer, or an integer scalar tensor, from 0 to ``2**62 - 1``.

    Returns:
        A key: uint32 of shape ``(2,)``.

    Raises:
        ArgumentError: the number is out of range.

    Example:
        >>> import lamina
        >>> lamina.random.fold_in(lamina.random.key(0), 3).shape
        (2,)
    """
    words, _ = _source(key, 0)
    if isinstance(data, int) and not 0 <= data < _FOLD:
        raise ArgumentError(f"fold_in takes a number from 0 to 2**62 - 1; got {data}.")
    number = _constant(data) if isinstance(data, int) else ops.astype(data, dtypes.uint64)
    if number.shape != ():
        raise ShapeError(f"fold_in takes one number; got shape {number.shape}.")
    counter = ops.bitwise_or(number, _constant(_FOLD))
    return bind(RANDOM_BITS, words, counter, shape=(2,), offset=0)


def _constant(number: int) -> Tensor:
    return wrap(np.array(number, np.uint64))


# --- generators -------------------------------------------------------------------------------------
class _Keyed(threading.local):
    """Whether somebody else says what generators give in this thread: ``lamina.data`` does, while a sample is made."""

    draw: Callable[[int], tuple[Tensor, Tensor]] | None = None  # key and first counter for so many draws
    in_captures = False  # whether also for code that is being captured


keyed = _Keyed()
_numbers = itertools.count()


class Generator:
    """Random state: a key and a counter, held in Variables, so that compiled functions advance it.

    Args:
        seed: an integer; default a new one from the default generator.

    Example:
        >>> import lamina
        >>> g = lamina.random.Generator(seed=1)
        >>> a = lamina.random.uniform((2,), key=g)
        >>> g.reset(1)
        >>> bool(lamina.all(a == lamina.random.uniform((2,), key=g)))
        True
    """

    def __init__(self, seed: int | None = None) -> None:
        self.initial_seed = make_seed() if seed is None else seed
        with outside_capture():
            name = f"generator_{next(_numbers)}"
            self.key = Variable(key(self.initial_seed), name=f"{name}/key", trainable=False)
            self.counter = Variable(_constant(0), name=f"{name}/counter", trainable=False)

    @property
    def variables(self) -> list[Variable]:
        """The whole state, to save and restore."""
        return [self.key, self.counter]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"seed": self.initial_seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Generator:
        """A generator from what ``get_config`` returned; it starts anew."""
        return cls(**config)

    def reset(self, seed: int | None = None) -> None:
        """Start again from ``seed`` (default: the seed it was made with)."""
        if seed is not None:
            self.initial_seed = seed
        with outside_capture():
            self.key.assign(key(self.initial_seed))
            self.counter.assign(_constant(0))

    def next(self, draws: int = 1) -> tuple[Tensor, Tensor]:
        """The key, and the first of ``draws`` counters that nobody else gets."""
        if keyed.draw is not None and (state.capture is None or keyed.in_captures):
            return keyed.draw(draws)
        counter = self.counter.value
        try:
            self.counter.assign(ops.add(counter, _constant(draws)))
        except CaptureError as error:
            raise CaptureError(
                "A random generator cannot advance inside cond, while_loop or scan. Draw before the loop, or give "
                "key=: split one key before the loop and carry or scan over the keys."
            ) from error
        return self.key.value, counter

    def __repr__(self) -> str:
        return f"Generator(seed={self.initial_seed})"


SeedGenerator = Generator  # Keras's name for it

_default: Generator | None = None
_default_lock = threading.Lock()


def default_generator() -> Generator:
    """The generator behind every draw without a key.  Unless seeded, it starts from the system's entropy."""
    global _default
    if _default is None:
        with _default_lock:
            if _default is None:
                _default = Generator(int.from_bytes(os.urandom(8), "little"))
    return _default


def seed(seed: int) -> None:
    """Seed the default generator: the same seed gives the same numbers, eagerly and compiled.

    Example:
        >>> import lamina
        >>> lamina.random.seed(0)
        >>> a = lamina.random.normal((3,))
        >>> lamina.random.seed(0)
        >>> bool(lamina.all(a == lamina.random.normal((3,))))
        True
    """
    default_generator().reset(seed)


def make_seed() -> int:
    """A new seed from the default generator, as an int below ``2**64``."""
    with outside_capture():
        words, counter = default_generator().next()
        low, high = bind(RANDOM_BITS, words, counter, shape=(2,), offset=0).numpy().tolist()
    return int(low | high << 32)


def _source(source: Any, draws: int) -> tuple[Any, Any]:
    """Key and first counter for so many draws."""
    if source is None:
        source = default_generator()
    if isinstance(source, Generator):
        return source.next(draws)
    if isinstance(source, int | np.integer) and not isinstance(source, bool):
        return key(int(source)), _constant(0)
    words = ops.as_tensor(source)
    if words.shape != (2,) or words.dtype != dtypes.uint32:
        raise DTypeError(
            f"key= takes a key from lamina.random.key or split (uint32 of shape (2,)), a Generator or an int; "
            f"got {words.dtype} of shape {words.shape}."
        )
    return words, _constant(0)


def _draw(source: Any, shape: Any, count: int) -> list[Tensor]:
    """So many arrays of 32 random bits."""
    words, counter = _source(source, count)
    return [bind(RANDOM_BITS, words, counter, shape=as_shape(shape), offset=i) for i in range(count)]


def _floats(primitive: Any, source: Any, shape: Any, dtype: Any, **params: Any) -> Tensor:
    """Floats of any dtype: narrow ones are made as float32 and rounded."""
    dtype = dtypes.DEFAULT_FLOAT if dtype is None else dtypes.as_dtype(dtype)
    if not dtypes.is_float(dtype):
        raise DTypeError(f"These random numbers are floats; got dtype {dtype}. Use lamina.random.randint for integers.")
    made = dtypes.float64 if dtype == dtypes.float64 else dtypes.float32
    words = _draw(source, shape, 2 if made == dtypes.float64 else 1)
    return ops.astype(bind(primitive, *words, dtype=made, **params), dtype)


# --- distributions ----------------------------------------------------------------------------------
def bits(shape: Any = (), key: Any = None) -> Tensor:
    """32 random bits for each element.

    Args:
        shape: shape of the result.
        key: see ``lamina.random``.

    Returns:
        uint32 of shape ``shape``.

    Example:
        >>> import lamina
        >>> lamina.random.bits((2, 3)).dtype
        dtype('uint32')
    """
    return _draw(key, shape, 1)[0]


def uniform(shape: Any = (), low: Any = 0.0, high: Any = 1.0, dtype: Any = None, key: Any = None) -> Tensor:
    """Numbers spread evenly over ``[low, high)``.

    ``low + (high - low) * u`` with ``u`` a multiple of ``2**-24`` (of ``2**-53`` for float64) in
    ``[0, 1)``; rounding may give ``high`` itself where ``low`` is not 0.

    Args:
        shape: shape of the result.
        low, high: bounds, numbers or tensors that broadcast to ``shape``.
        dtype: a float dtype; default float32.
        key: see ``lamina.random``.

    Example:
        >>> import lamina
        >>> x = lamina.random.uniform((1000,), -1.0, 1.0)
        >>> bool(lamina.all((x >= -1) & (x <= 1)))
        True
    """
    dtype = dtypes.DEFAULT_FLOAT if dtype is None else dtypes.as_dtype(dtype)
    if dtype.itemsize == 2:  # rounding float32 numbers could give 1: use as many bits as the dtype holds
        digits = 11 if dtype == dtypes.float16 else 8
        (words,) = _draw(key, shape, 1)
        unit = ops.astype(ops.bitwise_right_shift(words, 32 - digits), dtype) * 2.0**-digits
    else:
        unit = _floats(RANDOM_UNIT, key, shape, dtype)
    return _affine(unit, low, high - low)


def _affine(x: Tensor, shift: Any, scale: Any) -> Tensor:
    """``shift + scale * x``, skipping what does nothing."""
    if not (isinstance(scale, int | float) and scale == 1):
        x = ops.multiply(x, scale)
    if not (isinstance(shift, int | float) and shift == 0):
        x = ops.add(x, shift)
    return x


def normal(shape: Any = (), mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, key: Any = None) -> Tensor:
    """Normal (Gaussian) numbers: ``mean + stddev * z``.

    ``z`` comes from the inverse of the distribution function (Wichura 1988, AS 241): the function
    itself is within 5e-7 of the exact one in float32 and 2e-15 in float64, relative to ``z``.
    Gradients flow to ``mean`` and ``stddev``.

    Args:
        shape: shape of the result.
        mean, stddev: numbers or tensors that broadcast to ``shape``.
        dtype: a float dtype; default float32.
        key: see ``lamina.random``.

    Example:
        >>> import lamina
        >>> x = lamina.random.normal((10000,), mean=5.0, key=0)
        >>> round(x.mean().item(), 1)
        5.0
    """
    return _affine(_floats(RANDOM_NORMAL, key, shape, dtype, lowest=0.0), mean, stddev)


def truncated_normal(shape: Any = (), mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, key: Any = None) -> Tensor:
    """Normal numbers given that they lie within two standard deviations of the mean.

    Args:
        shape: shape of the result.
        mean, stddev: of the normal distribution before it is cut; the result's own standard
            deviation is 0.8796 times ``stddev``.
        dtype: a float dtype; default float32.
        key: see ``lamina.random``.

    Example:
        >>> import lamina
        >>> bool(lamina.all(lamina.abs(lamina.random.truncated_normal((1000,))) <= 2))
        True
    """
    return _affine(_floats(RANDOM_NORMAL, key, shape, dtype, lowest=_BELOW_MINUS_TWO), mean, stddev)


def exponential(shape: Any = (), scale: Any = 1.0, dtype: Any = None, key: Any = None) -> Tensor:
    """Exponential numbers with mean ``scale``: ``-scale * log(1 - u)`` with ``u`` uniform.

    Args:
        shape: shape of the result.
        scale: the mean, a number or a tensor that broadcasts to ``shape``.
        dtype: a float dtype; default float32.
        key: see ``lamina.random``.

    Example:
        >>> import lamina
        >>> bool(lamina.all(lamina.random.exponential((1000,)) >= 0))
        True
    """
    return _affine(_floats(RANDOM_EXPONENTIAL, key, shape, dtype), 0, scale)


def gumbel(shape: Any = (), dtype: Any = None, key: Any = None) -> Tensor:
    """Standard Gumbel numbers: minus the logarithm of an exponential number.

    Args:
        shape: shape of the result.
        dtype: a float dtype; default float32.
        key: see ``lamina.random``.

    Example:
        >>> import lamina
        >>> lamina.random.gumbel((2, 2)).shape
        (2, 2)
    """
    return _floats(RANDOM_GUMBEL, key, shape, dtype)


def randint(shape: Any = (), low: int = 0, high: int | None = None, dtype: Any = None, key: Any = None) -> Tensor:
    """Integers from ``low`` to ``high - 1``, all equally likely (to within ``2**-16`` of each other).

    Args:
        shape: shape of the result.
        low, high: bounds; with ``high=None`` they are 0 and ``low``.
        dtype: an integer dtype; default int64.
        key: see ``lamina.random``.

    Raises:
        ArgumentError: there is no integer between the bounds, or the dtype does not hold them.

    Example:
        >>> import lamina
        >>> x = lamina.random.randint((100,), 1, 7, key=0)
        >>> int(x.min()), int(x.max())
        (1, 6)
    """
    dtype = dtypes.DEFAULT_INT if dtype is None else dtypes.as_dtype(dtype)
    if not dtypes.is_integer(dtype):
        raise DTypeError(f"randint makes integers; got dtype {dtype}.")
    low, high = (0, low) if high is None else (low, high)
    info = np.iinfo(dtype)
    if low >= high or low < info.min or high - 1 > info.max:
        raise ArgumentError(f"randint needs low < high, both within {dtype}; got low={low}, high={high}.")
    span = high - low
    if span <= 1 << 16:  # the top half of a 64-bit product
        number = ops.astype(_draw(key, shape, 1)[0], dtypes.uint64)
        number = ops.bitwise_right_shift(ops.multiply(number, _constant(span)), _constant(32))
    else:
        number = _wide(_draw(key, shape, 2))
        if span < 1 << 64:
            number = ops.remainder(number, _constant(span))
    return ops.astype(ops.add(number, _constant(low % 2**64)), dtype)


def _wide(words: list[Tensor]) -> Any:
    """uint64 from two arrays of 32 bits."""
    high, low = (ops.astype(w, dtypes.uint64) for w in words)
    return ops.bitwise_or(ops.bitwise_left_shift(high, _constant(32)), low)


def bernoulli(shape: Any = (), p: Any = 0.5, key: Any = None) -> Tensor:
    """``True`` with probability ``p``.

    Args:
        shape: shape of the result.
        p: a probability, or a tensor of them that broadcasts to ``shape``.
        key: see ``lamina.random``.

    Returns:
        bool of shape ``shape``.

    Raises:
        ArgumentError: a number ``p`` is not between 0 and 1.

    Example:
        >>> import lamina
        >>> lamina.random.bernoulli((3,), 1.0).tolist()
        [True, True, True]
    """
    if not isinstance(p, int | float):
        return ops.less(uniform(shape, key=key), p)
    if not 0 <= p <= 1:
        raise ArgumentError(f"bernoulli takes a probability from 0 to 1; got p={p}.")
    threshold = round(p * 2**32)
    (words,) = _draw(key, shape, 1)
    if threshold > 0xFFFFFFFF:
        return ops.ones_like(words, dtypes.bool_)
    return ops.less(words, wrap(np.array(threshold, np.uint32)))


def categorical(logits: Any, shape: Any = None, key: Any = None) -> Tensor:
    """Class numbers with probabilities ``softmax(logits)`` along the last axis, by the Gumbel-max trick.

    Args:
        logits: floats of shape ``(..., classes)``.
        shape: shape of the result, to which ``logits.shape[:-1]`` must broadcast; default that shape.
        key: see ``lamina.random``.

    Returns:
        int64 of shape ``shape``.

    Example:
        >>> import lamina
        >>> lamina.random.categorical([0.0, 100.0], (4,)).tolist()
        [1, 1, 1, 1]
    """
    logits = ops.as_tensor(logits)
    if logits.ndim < 1 or not dtypes.is_float(logits.dtype):
        raise ShapeError(f"categorical takes float logits of shape (..., classes); got {logits.dtype} {logits.shape}.")
    shape = logits.shape[:-1] if shape is None else as_shape(shape)
    noise = gumbel((*shape, logits.shape[-1]), logits.dtype, key)
    return ops.argmax(ops.add(logits, noise), axis=-1)


def permutation(x: Any, axis: int = 0, key: Any = None) -> Tensor:
    """A random order of ``0 .. n-1`` for an integer ``n``, or of the slices of a tensor along ``axis``.

    The order is that of random bits (32, or 64 for more than 65,536 elements), so all orders are equally
    likely but for ties among them.

    Example:
        >>> import lamina
        >>> sorted(lamina.random.permutation(4, key=1).tolist())
        [0, 1, 2, 3]
    """
    if isinstance(x, int | np.integer):
        n = int(x)
        words = _draw(key, (n,), 1 if n <= 1 << 16 else 2)
        return ops.argsort(words[0] if len(words) == 1 else _wide(words))
    x = ops.as_tensor(x)
    if not -x.ndim <= axis < x.ndim:
        raise ArgumentError(f"permutation: axis {axis} does not exist in a tensor of shape {x.shape}.")
    return ops.take(x, permutation(x.shape[axis], key=key), axis=axis)


def shuffle(x: Any, axis: int = 0, key: Any = None) -> Tensor:
    """The slices of ``x`` along ``axis`` in a random order; ``x`` itself does not change.

    Args:
        x: a tensor with at least one dimension.
        axis: which slices.
        key: see ``lamina.random``.

    Example:
        >>> import lamina
        >>> sorted(lamina.random.shuffle([3, 1, 2]).tolist())
        [1, 2, 3]
    """
    return permutation(ops.as_tensor(x), axis, key)


def dropout(x: Any, rate: float, noise_shape: Any = None, key: Any = None) -> Tensor:
    """Zero each element with probability ``rate`` and divide the others by ``1 - rate``.

    Args:
        x: floats of any shape.
        rate: from 0 to 1; 1 leaves nothing but zeros.
        noise_shape: shape of the mask, 1 or ``None`` where the same decision holds along a dimension
            (1) or the input's size is meant (``None``); default that of ``x``.
        key: see ``lamina.random``.

    Raises:
        ArgumentError: the rate is out of range.

    Example:
        >>> import lamina
        >>> sorted(set(lamina.random.dropout(lamina.ones((100,)), 0.5, key=0).tolist()))
        [0.0, 2.0]

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014.
    """
    x = ops.as_tensor(x)
    if not 0 <= rate <= 1:
        raise ArgumentError(f"dropout takes a rate from 0 to 1; got {rate}.")
    if rate == 0:
        return x
    if rate == 1:
        return ops.zeros_like(x)
    if noise_shape is not None:
        noise_shape = tuple(n if m is None else m for n, m in zip(x.shape, noise_shape, strict=True))
    keep = bernoulli(x.shape if noise_shape is None else noise_shape, 1.0 - rate, key)
    return ops.where(keep, ops.multiply(x, 1.0 / (1.0 - rate)), 0)

from lamina.random.distributions import beta, binomial, gamma  # noqa: E402 - they draw with the functions above
