"""Fourier transforms.  A complex tensor is a pair of real ones: its real and its imaginary part."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import ops
from lamina.core.errors import ArgumentError, DTypeError, ShapeError
from lamina.core.primitive import Primitive, Spec, bind, ndarray, unsupported
from lamina.ops.creation import as_tensor
from lamina.ops.elementwise import floating, floating_operands
from lamina.ops.indexing import SCATTER_ADD, narrow

Pair = tuple[Any, Any]
NUMPY = unsupported("NumPy's fast Fourier transform is called in place")


def _parts(z: ndarray, dtype: np.dtype[Any]) -> tuple[ndarray, ndarray]:
    return z.real.astype(dtype), z.imag.astype(dtype)


def _fft_numpy(real: ndarray, imaginary: ndarray, inverse: bool) -> tuple[ndarray, ndarray]:
    z = real.astype(np.promote_types(real.dtype, np.float32)) + 1j * imaginary
    z = z if z.dtype == np.complex128 else z.astype(np.complex64)
    found = np.fft.ifft(z, norm="forward") if inverse else np.fft.fft(z)
    return _parts(found, real.dtype)


def _fft_vjp(ct: Any, out: Any, real: Any, imaginary: Any, inverse: bool) -> Any:
    """The matrix ``C - iS`` is symmetric: its transpose, as a map of pairs, is the conjugate transform."""
    a, b = (ops.zeros_like(real) if c is None else c for c in ct)
    return bind(FFT, a, b, inverse=not inverse)


# Along the last axis, in neither direction divided by the number of elements.
FFT = Primitive(
    "fft",
    shape=lambda real, imaginary, inverse: [Spec(tuple(real.shape), real.dtype)] * 2,
    numpy=_fft_numpy,
    vjp=_fft_vjp,
    native=NUMPY,
)


def _rfft_shape(x: Any) -> list[Spec]:
    return [Spec((*x.shape[:-1], x.shape[-1] // 2 + 1), x.dtype)] * 2


def _rfft_numpy(x: ndarray) -> tuple[ndarray, ndarray]:
    return _parts(np.fft.rfft(x.astype(np.promote_types(x.dtype, np.float32))), x.dtype)


def _rfft_vjp(ct: Any, out: Any, x: Any) -> tuple[Any]:
    size = x.shape[-1]
    wide = [ops.zeros_like(x) if c is None else _fit(c, size) for c in ct]
    return (bind(FFT, *wide, inverse=True)[0],)


RFFT = Primitive("rfft", shape=_rfft_shape, numpy=_rfft_numpy, vjp=_rfft_vjp, native=NUMPY)


def _fit(x: Any, size: int) -> Any:
    """The last axis cut, or filled up with zeros, to a size."""
    n = x.shape[-1]
    if n > size:
        return narrow(x, x.ndim - 1, 0, size)
    return ops.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, size - n)]) if n < size else x


def _pair(name: str, x: Any, rank: int = 1) -> Pair:
    if not isinstance(x, tuple | list) or len(x) != 2:
        raise ArgumentError(f"{name} takes a complex tensor as a pair (real part, imaginary part); got {type(x)}.")
    real, imaginary = floating_operands(x[0], x[1])
    if real.shape != imaginary.shape:
        raise ShapeError(f"{name}: the real part has shape {real.shape}, the imaginary part {imaginary.shape}.")
    if real.ndim < rank:
        raise ShapeError(f"{name} takes at least {rank} dimension(s); got shape {real.shape}.")
    return real, imaginary


def fft(x: Any) -> Pair:
    """The discrete Fourier transform along the last axis: ``X[k] = sum x[n] exp(-2 pi i k n / N)``.

    Args:
        x: the pair (real part, imaginary part).

    Returns:
        the pair of the transform.

    Example:
        >>> import lamina
        >>> real, imaginary = lamina.fft(([1.0, 0.0], [0.0, 0.0]))
        >>> real.tolist(), imaginary.tolist()
        ([1.0, 1.0], [0.0, 0.0])
    """
    return tuple(bind(FFT, *_pair("fft", x), inverse=False))


def ifft(x: Any) -> Pair:
    """The inverse of ``fft``."""
    real, imaginary = bind(FFT, *_pair("ifft", x), inverse=True)
    return ops.divide(real, real.shape[-1]), ops.divide(imaginary, real.shape[-1])


def _along_first(pair: Pair) -> Pair:
    return ops.matrix_transpose(pair[0]), ops.matrix_transpose(pair[1])


def fft2(x: Any) -> Pair:
    """The discrete Fourier transform over the last two axes."""
    return _along_first(fft(_along_first(fft(_pair("fft2", x, 2)))))


def ifft2(x: Any) -> Pair:
    """The inverse of ``fft2``."""
    return _along_first(ifft(_along_first(ifft(_pair("ifft2", x, 2)))))


def rfft(x: Any, fft_length: int | None = None) -> Pair:
    """The first half, ``N // 2 + 1`` values, of the Fourier transform of real numbers along the last axis.

    Args:
        x: real, shape (..., n).
        fft_length: ``N``; ``x`` is cut or filled up with zeros to it.  Default n.

    Returns:
        the pair (real part, imaginary part), each of shape (..., N // 2 + 1).

    Example:
        >>> import lamina
        >>> real, imaginary = lamina.rfft([1.0, 2.0, 3.0, 4.0])
        >>> real.tolist(), imaginary.tolist()
        ([10.0, -2.0, -2.0], [0.0, 2.0, 0.0])
    """
    x = floating("rfft", x)
    if x.ndim < 1:
        raise ShapeError("rfft takes at least 1 dimension.")
    return tuple(bind(RFFT, x if fft_length is None else _fit(x, fft_length)))


def irfft(x: Any, fft_length: int | None = None) -> Any:
    """The real numbers whose ``rfft`` is ``x``.

    Args:
        x: the pair (real part, imaginary part), each of shape (..., k).
        fft_length: how many numbers; default ``2 * (k - 1)``.
    """
    real, imaginary = _pair("irfft", x)
    size = 2 * (real.shape[-1] - 1) if fft_length is None else fft_length
    if size < 1:
        raise ArgumentError(f"irfft: fft_length is at least 1; got {size}.")
    half = size // 2 + 1
    real, imaginary = _fit(real, half), _fit(imaginary, half)
    # sum over the half spectrum; what lies between the ends stands for two conjugate values
    weights = np.full(half, 2.0)
    weights[0] = 1.0
    if size % 2 == 0:
        weights[-1] = 1.0
    scale = ops.as_tensor((weights / size).astype(real.dtype))
    # the imaginary parts of the ends do not count: the transform of real numbers has none there
    turned = np.where(weights == 2.0, weights / size, 0.0).astype(real.dtype)
    wide = _fit(ops.multiply(real, scale), size), _fit(ops.multiply(imaginary, ops.as_tensor(turned)), size)
    return bind(FFT, *wide, inverse=True)[0]


# --- short-time transforms --------------------------------------------------------------------------------
def extract_sequences(x: Any, sequence_length: int, sequence_stride: int) -> Any:
    """Windows of the last axis: ``out[..., i, j] = x[..., i * stride + j]``.

    Args:
        x: shape (..., n).
        sequence_length: length of a window.
        sequence_stride: distance between the starts of two windows.

    Returns:
        shape (..., 1 + (n - length) // stride, length).

    Example:
        >>> import lamina
        >>> lamina.extract_sequences([1, 2, 3, 4], 2, 1).tolist()
        [[1, 2], [2, 3], [3, 4]]
    """
    x = as_tensor(x)
    return ops.take(x, _places(x.shape[-1], sequence_length, sequence_stride), axis=-1)


def _places(size: int, length: int, stride: int) -> ndarray:
    for name, value in (("sequence_length", length), ("sequence_stride", stride)):
        if not isinstance(value, int | np.integer) or value < 1:
            raise ArgumentError(f"`{name}` must be a positive integer; got {value!r}.")
    if length > size:
        raise ArgumentError(f"Windows of length {length} and stride {stride} do not fit into {size} elements.")
    count = 1 + (size - length) // stride
    return np.arange(count)[:, None] * stride + np.arange(length)


def _window(window: Any, length: int, fft_length: int, dtype: Any) -> Any:
    """The window, centred in ``fft_length`` zeros."""
    if fft_length < length:
        raise ArgumentError(f"`fft_length` must equal or exceed `sequence_length`; got {fft_length} and {length}.")
    t = 2 * np.pi * np.arange(length) / length  # periodic: the point after the last equals the first
    if window is None:
        values: Any = np.ones(length)
    elif isinstance(window, str):
        known = {"hann": 0.5 - 0.5 * np.cos(t), "hamming": 0.54 - 0.46 * np.cos(t)}
        if window not in known:
            raise ArgumentError(f"window is 'hann', 'hamming', None or a tensor; got {window!r}.")
        values = known[window]
    else:
        values = window
    values = ops.astype(as_tensor(values), dtype)
    if values.shape != (length,):
        raise ShapeError(f"The shape of `window` must be equal to (sequence_length,), ({length},); got {values.shape}.")
    before = (fft_length - length) // 2
    return ops.pad(values, (before, fft_length - length - before))


def _signal(name: str, x: Any) -> Any:
    x = as_tensor(x)
    if x.dtype not in (np.float32, np.float64):
        raise DTypeError(f"{name} takes `float32` or `float64`; got {x.dtype}.")
    return x


def _inverse_window(window: Any, stride: int) -> Any:
    """The window divided by the sum of the squares of all its copies, each a stride further."""
    length = window.shape[0]
    turns = -(-length // stride)
    squares = ops.reshape(ops.pad(ops.square(window), (0, turns * stride - length)), (turns, stride))
    total = ops.tile(ops.sum(squares, axis=0), (turns,))[:length]
    return ops.divide_no_nan(window, total)


def stft(
    x: Any, sequence_length: int, sequence_stride: int, fft_length: int, window: Any = "hann", center: bool = True
) -> Pair:
    """The short-time Fourier transform: ``rfft`` of windows of the last axis.

    Args:
        x: real, shape (..., n).
        sequence_length: length of the window.
        sequence_stride: distance between the starts of two windows.
        fft_length: length of a transform; the window lies in its middle.
        window: ``"hann"``, ``"hamming"``, ``None`` for ones, or a tensor of shape (sequence_length,).
        center: reflect ``x`` at its ends, so that the i-th window has its middle at ``i * sequence_stride``.

    Returns:
        the pair (real part, imaginary part), each of shape (..., windows, fft_length // 2 + 1).

    Example:
        >>> import lamina
        >>> lamina.stft(lamina.ones((100,)), 8, 4, 8)[0].shape
        (26, 5)
    """
    x = _signal("stft", x)
    if center:
        room = fft_length // 2
        x = ops.pad(x, [(0, 0)] * (x.ndim - 1) + [(room, room)], mode="reflect")
    frames = extract_sequences(x, fft_length, sequence_stride)
    return rfft(ops.multiply(frames, _window(window, sequence_length, fft_length, x.dtype)))


def istft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Any:
    """The signal whose ``stft`` is ``x``: windowed pieces added up, divided by the sum of the squares of the windows.

    With ``window=None`` they are only added up.

    Args:
        x: the pair (real part, imaginary part), each of shape (..., windows, fft_length // 2 + 1).
        sequence_length, sequence_stride, fft_length, window, center: as given to ``stft``.
        length: length of the signal, which is cut or filled up with zeros.
    """
    frames = irfft(x, fft_length)
    dtype, count = frames.dtype, frames.shape[-2]
    shape = _window(window, sequence_length, fft_length, dtype)
    size = fft_length + sequence_stride * (count - 1)
    places = as_tensor(_places(size, fft_length, sequence_stride))
    batch = frames.shape[:-2]
    if window is not None:
        frames = ops.multiply(frames, _inverse_window(shape, sequence_stride))
    signal = bind(SCATTER_ADD, ops.zeros((*batch, size), dtype), places, frames, axis=len(batch))
    start = fft_length // 2 if center else 0
    end = size - start if length is None else min(start + length, size)
    signal = narrow(signal, signal.ndim - 1, start, end)
    return signal if length is None else _fit(signal, length)
