"""Random bits and what is made of them, written once for NumPy and for the native builder.

Each formula below takes a builder ``b`` (see ``lamina.core.lowering``).  The NumPy meaning runs it
with ``NumpyBuilder``, the native backend with its own; since only ``+ - * / sqrt``, integer
operations and exact conversions occur, both give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.core.dtypes import float32, float64, int32, int64, uint32, uint64
from lamina.core.errors import DTypeError
from lamina.core.lowering import Elementwise, Indexed
from lamina.core.primitive import NOT_DIFFERENTIABLE, Primitive, Spec, ndarray

CHUNK = 16384  # elements for which the temporaries of a formula stay in the L2 cache


class NumpyBuilder:
    """The builder's methods that the formulas use, on NumPy arrays."""

    add, sub, mul, div, sqrt = np.add, np.subtract, np.multiply, np.divide, np.sqrt
    and_, or_, xor, shl, shr = np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.left_shift, np.right_shift
    lt, le, select = np.less, np.less_equal, staticmethod(np.where)

    @staticmethod
    def const(value: Any, dtype: np.dtype[Any]) -> Any:
        return dtype.type(value)

    @staticmethod
    def cast(x: Any, dtype: np.dtype[Any]) -> Any:
        return x.astype(dtype)

    @staticmethod
    def bitcast(x: Any, dtype: np.dtype[Any]) -> Any:
        return x.view(dtype)


NUMPY = NumpyBuilder()


def _in_chunks(formula: Callable[..., Any], arrays: Sequence[ndarray], dtype: np.dtype[Any]) -> ndarray:
    """``formula`` on flat pieces of equally shaped arrays."""
    flat = [np.ravel(a) for a in arrays]
    out = np.empty(flat[0].size, dtype)
    with np.errstate(all="ignore"):
        for start in range(0, out.size, CHUNK):
            piece = slice(start, start + CHUNK)
            out[piece] = formula(*[a[piece] for a in flat])
    return out.reshape(arrays[0].shape)


# --- Philox -----------------------------------------------------------------------------------------
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85
MASK = 0xFFFFFFFF
ROUNDS = 10


def philox(b: Any, counter: Sequence[Any], key: Sequence[Any]) -> list[Any]:
    """Philox4x32-10: four random words for four counter words and two key words.

    All are uint64 operands that hold 32-bit numbers.  Source: Salmon, Moraes, Dror, Shaw,
    "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    mask, half = b.const(MASK, uint64), b.const(32, uint64)
    m0, m1 = b.const(MULTIPLIERS[0], uint64), b.const(MULTIPLIERS[1], uint64)
    c0, c1, c2, c3 = counter
    for r in range(ROUNDS):
        k0, k1 = [b.and_(b.add(k, b.const(r * w & MASK, uint64)), mask) for k, w in zip(key, WEYL, strict=True)]
        p0, p1 = b.mul(m0, c0), b.mul(m1, c2)
        c0, c1, c2, c3 = (
            b.xor(b.xor(b.shr(p1, half), c1), k0),
            b.and_(p1, mask),
            b.xor(b.xor(b.shr(p0, half), c3), k1),
            b.and_(p0, mask),
        )
    return [c0, c1, c2, c3]


def _first_word(b: Any, element: Any, counter: Any, k0: Any, k1: Any) -> Any:
    """The word of one element: its flat index and the draw's counter together are Philox's counter."""
    mask, half = b.const(MASK, uint64), b.const(32, uint64)
    words = [b.and_(element, mask), b.shr(element, half), b.and_(counter, mask), b.shr(counter, half)]
    return b.cast(philox(b, words, (k0, k1))[0], uint32)


def _bits_shape(key: Any, counter: Any, shape: tuple[int, ...], offset: int) -> Spec:
    if tuple(key.shape) != (2,) or key.dtype != uint32:
        raise DTypeError(f"A random key has shape (2,) and dtype uint32; got {tuple(key.shape)} {key.dtype}.")
    if tuple(counter.shape) != () or counter.dtype != uint64:
        raise DTypeError(f"A random counter is a uint64 scalar; got {tuple(counter.shape)} {counter.dtype}.")
    return Spec(shape, uint32)


def _bits_numpy(key: ndarray, counter: ndarray, shape: tuple[int, ...], offset: int) -> ndarray:
    k0, k1 = key.astype(uint64)
    with np.errstate(over="ignore"):
        draw = counter[()] + np.uint64(offset)
    elements = np.arange(math.prod(shape), dtype=uint64).reshape(shape)
    return _in_chunks(lambda i: _first_word(NUMPY, i, draw, k0, k1), [elements], uint32)


def _bits_native(c: Any, index: Any, node: Any) -> Any:
    b = c.b
    element = b.const(0, uint64)
    for i, n in zip(index, node.outputs[0].shape, strict=True):
        element = b.add(b.mul(element, b.const(n, uint64)), c.operand(i, uint64))
    zero, one = (c.index(b.const(n, int64)) for n in (0, 1))
    counter = b.add(c.pull(1, []), b.const(node.params["offset"], uint64))
    k0, k1 = (b.cast(c.pull(0, [i]), uint64) for i in (zero, one))
    return b.shared("random_word", _first_word, element, counter, k0, k1)


RANDOM_BITS = Primitive(
    "random_bits",
    shape=_bits_shape,
    numpy=_bits_numpy,
    vjp=NOT_DIFFERENTIABLE,
    native=Indexed(_bits_native),
)


# --- the logarithm --------------------------------------------------------------------------------
_FORMATS = {  # bits of the fraction, exponent bias used below, unsigned and signed integer of that width
    float32: (23, 256, uint32, int32),
    float64: (52, 2048, uint64, int64),
}
_TERMS = {float32: 4, float64: 11}
_LN2 = {float32: (0.693359375, -2.12194440e-4), float64: (6.93147180369123816490e-01, 1.90821492927058770002e-10)}


def exact_log(b: Any, x: Any, dtype: np.dtype[Any]) -> Any:
    """The natural logarithm of positive normal numbers, within 2 ulp, from correctly rounded operations only.

    ``x = 2**e * m`` with ``m`` in ``[sqrt(1/2), sqrt(2))``, and ``log m`` is the series of
    ``2 artanh(s)`` at ``s = (m - 1) / (m + 1)``, at most 0.172.
    """
    fraction, bias, unsigned, signed = _FORMATS[dtype]
    root = int(np.array(0.5**0.5, dtype).view(unsigned))
    bits = b.add(b.bitcast(x, unsigned), b.const((bias << fraction) - root, unsigned))
    exponent = b.cast(b.bitcast(b.shr(bits, b.const(fraction, unsigned)), signed), dtype)
    e = b.sub(exponent, b.const(bias, dtype))
    m = b.bitcast(b.add(b.and_(bits, b.const((1 << fraction) - 1, unsigned)), b.const(root, unsigned)), dtype)
    one = b.const(1.0, dtype)
    s = b.div(b.sub(m, one), b.add(m, one))
    z = b.mul(s, s)
    terms = [b.const(1.0 / (2 * k + 1), dtype) for k in range(1, _TERMS[dtype] + 1)]
    series = b.mul(z, _horner(b, z, terms))
    high, low = _LN2[dtype]
    twice = b.add(s, s)
    small = b.add(b.mul(twice, series), b.mul(e, b.const(low, dtype)))
    return b.add(b.mul(e, b.const(high, dtype)), b.add(twice, small))


def _horner(b: Any, x: Any, coefficients: Sequence[Any]) -> Any:
    """``c[0] + c[1] x + c[2] x**2 + ...``"""
    result = coefficients[-1]
    for c in coefficients[-2::-1]:
        result = b.add(b.mul(result, x), c)
    return result


# --- the inverse of the normal distribution function --------------------------------------------------
# Wichura, "Algorithm AS 241: The percentage points of the normal distribution", Applied Statistics 37
# (1988) 477-484: PPND7 (about 7 digits) for float32 and PPND16 (about 16) for float64.  The numerator
# and the denominator (whose constant term is 1) of the central part, of the tail, and of the far tail,
# which float32 numbers made of 32 bits never reach.
_CENTRAL = {
    float32: (
        (3.3871327179e0, 5.0434271938e1, 1.5929113202e2, 5.9109374720e1),
        (1.0, 1.7895169469e1, 7.8757757664e1, 6.7187563600e1),
    ),
    float64: (
        (
            3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
            4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
        ),
        (
            1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
            2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
        ),
    ),
}  # fmt: skip
_TAIL = {
    float32: (
        (1.4234372777e0, 2.7568153900e0, 1.3067284816e0, 1.7023821103e-1),
        (1.0, 7.3700164250e-1, 1.2021132975e-1),
    ),
    float64: (
        (
            1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
            1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
        ),
        (
            1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
            1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
        ),
    ),
}  # fmt: skip
_FAR_TAIL = (
    (
        6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
        2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
    ),
    (
        1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
        7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15,
    ),
)  # fmt: skip


def normal_tail(b: Any, p: Any, dtype: np.dtype[Any]) -> Any:
    """The ``z >= 0`` that a standard normal number exceeds with probability ``p``, ``0 < p <= 1/2``."""

    def ratio(x: Any, coefficients: Any) -> Any:
        top, bottom = ([b.const(c, dtype) for c in row] for row in coefficients)
        return b.div(_horner(b, x, top), _horner(b, x, bottom))

    q = b.sub(b.const(0.5, dtype), p)
    central = b.mul(q, ratio(b.sub(b.const(0.180625, dtype), b.mul(q, q)), _CENTRAL[dtype]))
    r = b.sqrt(b.sub(b.const(0.0, dtype), exact_log(b, p, dtype)))
    tail = ratio(b.sub(r, b.const(1.6, dtype)), _TAIL[dtype])
    if dtype == float64:
        five = b.const(5.0, dtype)
        tail = b.select(b.le(r, five), tail, ratio(b.sub(r, five), _FAR_TAIL))
    return b.select(b.le(q, b.const(0.425, dtype)), central, tail)


def _tail_probability(b: Any, words: Sequence[Any], dtype: np.dtype[Any], lowest: float) -> tuple[Any, Any]:
    """A probability evenly spread over ``(lowest, 1/2]``, and a random sign bit, from all the random bits."""
    if dtype == float32:
        (bits,) = words
        unsigned, signed, width = uint32, int32, 32
    else:
        high, low = (b.cast(w, uint64) for w in words)
        bits = b.or_(b.shl(high, b.const(32, uint64)), low)
        unsigned, signed, width = uint64, int64, 64
    one = b.const(1, unsigned)
    m = b.cast(b.bitcast(b.shr(bits, one), signed), dtype)
    span = 1.0 - 2.0 * lowest  # multiplies numbers below 1/2
    p = b.add(b.mul(m, b.const(span * 2.0**-width, dtype)), b.const(lowest + span * 2.0 ** -(width + 1), dtype))
    half = b.const(0.5, dtype)
    return b.select(b.lt(half, p), half, p), b.and_(bits, one)


def _normal(b: Any, words: Sequence[Any], dtype: np.dtype[Any], lowest: float) -> Any:
    p, sign = _tail_probability(b, words, dtype, lowest)
    z = normal_tail(b, p, dtype)
    unsigned = _FORMATS[dtype][2]
    width = 8 * dtype.itemsize
    return b.bitcast(b.or_(b.bitcast(z, unsigned), b.shl(sign, b.const(width - 1, unsigned))), dtype)


def _words_shape(*words: Any, dtype: np.dtype[Any], **params: Any) -> Spec:
    if len(words) != (1 if dtype == float32 else 2) or any(w.dtype != uint32 for w in words):
        raise DTypeError(f"Random numbers of dtype {dtype} are made of uint32 words, one for every 32 bits.")
    return Spec(tuple(words[0].shape), dtype)


RANDOM_NORMAL = Primitive(
    "random_normal",
    shape=_words_shape,
    numpy=lambda *words, dtype, lowest: _in_chunks(lambda *w: _normal(NUMPY, w, dtype, lowest), words, dtype),
    vjp=NOT_DIFFERENTIABLE,
    native=Elementwise(lambda b, *words, dtype, lowest: _normal(b, words, dtype, lowest), expensive=True),
)


# --- uniform and exponential --------------------------------------------------------------------------
def _unit(b: Any, words: Sequence[Any], dtype: np.dtype[Any]) -> Any:
    """A multiple of ``2**-24`` (float32) or ``2**-53`` (float64) in ``[0, 1)``; no rounding happens."""
    if dtype == float32:
        top = b.bitcast(b.shr(words[0], b.const(8, uint32)), int32)
        return b.mul(b.cast(top, float32), b.const(2.0**-24, float32))
    high, low = (b.cast(w, uint64) for w in words)
    bits = b.or_(b.shl(b.shr(high, b.const(5, uint64)), b.const(26, uint64)), b.shr(low, b.const(6, uint64)))
    return b.mul(b.cast(b.bitcast(bits, int64), float64), b.const(2.0**-53, float64))


RANDOM_UNIT = Primitive(
    "random_unit",
    shape=_words_shape,
    numpy=lambda *words, dtype: _in_chunks(lambda *w: _unit(NUMPY, w, dtype), words, dtype),
    vjp=NOT_DIFFERENTIABLE,
    native=Elementwise(lambda b, *words, dtype: _unit(b, words, dtype)),
)


def _exponential(b: Any, words: Sequence[Any], dtype: np.dtype[Any]) -> Any:
    unit = b.sub(b.const(1.0, dtype), _unit(b, words, dtype))  # in (0, 1], exactly
    return b.sub(b.const(0.0, dtype), exact_log(b, unit, dtype))


RANDOM_EXPONENTIAL = Primitive(
    "random_exponential",
    shape=_words_shape,
    numpy=lambda *words, dtype: _in_chunks(lambda *w: _exponential(NUMPY, w, dtype), words, dtype),
    vjp=NOT_DIFFERENTIABLE,
    native=Elementwise(lambda b, *words, dtype: _exponential(b, words, dtype), expensive=True),
)


def _gumbel(b: Any, words: Sequence[Any], dtype: np.dtype[Any]) -> Any:
    x, tiny = _exponential(b, words, dtype), b.const(2.0**-100, dtype)  # far below what is drawn, but for 0
    return b.sub(b.const(0.0, dtype), exact_log(b, b.select(b.lt(x, tiny), tiny, x), dtype))


RANDOM_GUMBEL = Primitive(
    "random_gumbel",
    shape=_words_shape,
    numpy=lambda *words, dtype: _in_chunks(lambda *w: _gumbel(NUMPY, w, dtype), words, dtype),
    vjp=NOT_DIFFERENTIABLE,
    native=Elementwise(lambda b, *words, dtype: _gumbel(b, words, dtype), expensive=True),
)
