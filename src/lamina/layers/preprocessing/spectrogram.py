"""Sound as images of its frequencies: ``MelSpectrogram``, ``STFTSpectrogram``."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from lamina import config, initializers, ops
from lamina.core.dtypes import is_float
from lamina.core.errors import ArgumentError, DTypeError, ShapeError
from lamina.layers.base import Layer
from lamina.layers.spec import InputSpec
from lamina.layers.symbolic import Shape, SymbolicTensor
from lamina.ops.conv import conv
from lamina.ops.fourier import stft
from lamina.ops.pool import data_format_of, window_count
from lamina.ops.windows import window_values
from lamina.serialization import register_serializable
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")


def mel(hertz: Any) -> Any:
    """``1127 log(1 + f / 700)``: how high a tone of ``f`` hertz sounds."""
    return 1127.0 * np.log1p(np.asarray(hertz, np.float64) / 700.0)


def mel_weights(bands: int, frequencies: int, sampling_rate: float, low: float, high: float) -> np.ndarray:
    """Triangles with peaks of 1, evenly spaced on the mel scale, over linear frequencies: ``(frequencies, bands)``."""
    tones = mel(np.linspace(0.0, sampling_rate / 2, frequencies)[1:])[:, None]  # silence belongs to no band
    edges = np.linspace(mel(low), mel(high), bands + 2)
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (tones - left) / (middle - left), (right - tones) / (right - middle)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    return np.concatenate([np.zeros((1, bands)), weights])


@_register
class MelSpectrogram(Layer):
    """How loud a sound is at each time in bands of tones: mel spectrograms.

    Magnitudes of the short-time Fourier transform to the power of ``mag_exp``, added up by triangular bands, in
    decibels (``10 log10(p / ref_power)``).  ``(batch, samples)`` or ``(samples,)`` becomes
    ``(..., num_mel_bins, times)``.

    Args:
        fft_length: samples of one transform.
        sequence_stride: samples between two transforms.
        sequence_length: samples under the window; default ``fft_length``.
        window: ``"hann"``, ``"hamming"``, ``None``, or the window's values.
        sampling_rate: samples a second.
        num_mel_bins: number of bands.
        min_freq: lowest frequency, in hertz.
        max_freq: highest; default half of ``sampling_rate``.
        power_to_db: whether to give decibels.
        top_db: how far below the loudest decibels are cut off.
        mag_exp: 2 for powers, 1 for magnitudes.
        min_power: what counts as silence.
        ref_power: the power of 0 decibels.

    Raises:
        ArgumentError: ``fft_length`` is below ``sequence_length``.

    Example:
        >>> import lamina
        >>> lamina.layers.MelSpectrogram(fft_length=256, sequence_stride=128)(lamina.ones((2, 8000))).shape
        (2, 128, 63)
    """

    autocast = False

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: Any = "hann",
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.fft_length, self.sequence_stride = fft_length, sequence_stride
        self.sequence_length = sequence_length or fft_length
        if self.fft_length < self.sequence_length:
            raise ArgumentError(
                "`fft_length` must be greater than or equal to `sequence_length`. "
                f"Received: `sequence_length`={self.sequence_length}, `fft_length`={self.fft_length}."
            )
        self.window, self.sampling_rate, self.num_mel_bins = window, sampling_rate, num_mel_bins
        self.min_freq, self.max_freq = min_freq, max_freq or int(sampling_rate / 2)
        self.power_to_db, self.top_db, self.mag_exp = power_to_db, top_db, mag_exp
        self.min_power, self.ref_power = min_power, ref_power
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        x = ops.as_tensor(inputs)
        if x.ndim not in (1, 2):
            raise ShapeError(f"expected one sound or a batch of them, 1 or 2 dimensions; got shape {x.shape}.")
        x = ops.astype(x, "float64" if self.compute_dtype == "float64" else "float32")
        real, imaginary = stft(x, self.sequence_length, self.sequence_stride, self.fft_length, self.window)
        powers = ops.square(real) + ops.square(imaginary)
        powers = powers if self.mag_exp == 2 else ops.pow(powers, self.mag_exp / 2)
        weights = self.linear_to_mel_weight_matrix(
            self.num_mel_bins, powers.shape[-1], self.sampling_rate, self.min_freq, self.max_freq, x.dtype
        )
        found = ops.matmul(powers, weights)
        if self.power_to_db:
            scale = 10.0 / math.log(10.0)
            reference = scale * math.log(max(abs(self.ref_power), self.min_power))
            found = scale * ops.log(ops.maximum(found, self.min_power)) - reference
            found = ops.maximum(found, ops.max(found) - self.top_db)
        return ops.astype(ops.swapaxes(found, -1, -2), self.compute_dtype)

    def linear_to_mel_weight_matrix(
        self,
        num_mel_bins: int = 20,
        num_spectrogram_bins: int = 129,
        sampling_rate: float = 8000,
        lower_edge_hertz: float = 125.0,
        upper_edge_hertz: float = 3800.0,
        dtype: Any = "float32",
    ) -> Tensor:
        """The matrix by which frequencies become bands, shape ``(num_spectrogram_bins, num_mel_bins)``.

        Args:
            num_mel_bins: number of bands.
            num_spectrogram_bins: number of frequencies, evenly from 0 to half of ``sampling_rate``.
            sampling_rate: samples a second.
            lower_edge_hertz: lowest frequency.
            upper_edge_hertz: highest frequency.
            dtype: of the matrix.
        """
        edges = (lower_edge_hertz, upper_edge_hertz)
        weights = mel_weights(num_mel_bins, num_spectrogram_bins, sampling_rate, *edges)
        return ops.as_tensor(weights, dtype=dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        room, n = 2 * (self.fft_length // 2), input_shape[-1]
        times = None if n is None else (n + room - self.fft_length) // self.sequence_stride + 1
        return (*input_shape[:-1], self.num_mel_bins, times)

    def compute_output_spec(self, inputs: Any) -> Any:
        return SymbolicTensor(self.compute_output_shape(inputs.shape), self.compute_dtype, self.name)

    def get_config(self) -> dict[str, Any]:
        names = (
            "fft_length sequence_stride sequence_length window sampling_rate num_mel_bins min_freq max_freq "
            "power_to_db top_db mag_exp min_power ref_power"
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names.split()}}


MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


@_register
class STFTSpectrogram(Layer):
    """The short-time Fourier transform as a convolution whose kernels can be trained.

    ``(batch, samples, channels)`` becomes ``(batch, times, channels * frequencies)``, with ``fft_length // 2 + 1``
    frequencies, twice as many in mode ``"stft"``.

    Args:
        mode: ``"log"`` or ``"magnitude"`` (of the transform), ``"psd"`` (power spectral density), ``"real"``,
            ``"imag"``, ``"angle"``, or ``"stft"``: real and imaginary parts one after the other.
        frame_length: samples of a frame.
        frame_step: samples between two frames; default half a frame.
        fft_length: twice the number of frequencies minus two; default the next power of two from ``frame_length``.
        window: a window's name (``"hann"``, ``"hamming"``, ``"blackman"``, ``"tukey"``, ...), its values, or ``None``.
        periodic: whether the window is that of a period.
        scaling: ``"density"``, ``"spectrum"`` or ``None``; see ``lamina.initializers.STFT``.
        padding: ``"valid"`` for whole frames; ``"same"`` for a frame at every ``frame_step``-th sample.
        expand_dims: whether frequencies and channels are axes of their own: ``(batch, times, frequencies, channels)``.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``, which also puts frequencies before times
            (after them with ``expand_dims``).

    Raises:
        ArgumentError: lengths that do not go together, or an unknown name.

    Example:
        >>> import lamina
        >>> lamina.layers.STFTSpectrogram(frame_length=64)(lamina.ones((2, 640, 1))).shape
        (2, 19, 33)
    """

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: Any = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if frame_step is not None and not 1 <= frame_step <= frame_length:
            raise ArgumentError(
                "`frame_step` should be a positive integer not greater than `frame_length`. "
                f"Received frame_step={frame_step}, frame_length={frame_length}"
            )
        if fft_length is not None and fft_length < frame_length:
            raise ArgumentError(
                "`fft_length` should be not less than `frame_length`. "
                f"Received fft_length={fft_length}, frame_length={frame_length}"
            )
        if fft_length is not None and fft_length & (fft_length - 1):
            warnings.warn(f"`fft_length` is best a power of two. Received fft_length={fft_length}", stacklevel=2)
        for name, given, allowed in (
            ("mode", mode, MODES),
            ("scaling", scaling, ("density", "spectrum", None)),
            ("padding", padding, ("valid", "same")),
        ):
            if given not in allowed:
                raise ArgumentError(f"`{name}` must be one of {', '.join(map(repr, allowed))}. Received: {given!r}")
        if isinstance(window, str):
            window_values(window, 1)
        self.mode, self.frame_length, self.frame_step, self.fft_length = mode, frame_length, frame_step, fft_length
        self.window, self.periodic, self.scaling, self.padding = window, periodic, scaling, padding
        self.expand_dims, self.data_format = expand_dims, data_format_of("STFTSpectrogram", data_format)
        self._step = frame_step or frame_length // 2
        self._frequencies = (fft_length or 2 ** math.ceil(math.log2(frame_length))) // 2 + 1
        self.real_kernel = self.imag_kernel = None
        self.input_spec = InputSpec(ndim=3)

    def build(self, input_shape: Shape) -> None:
        shape = (self.frame_length, 1, self._frequencies)
        for side, other in (("real", "imag"), ("imag", "real")):
            if self.mode != other:
                kernel = initializers.STFT(side, self.window, self.scaling, self.periodic)
                setattr(self, f"{side}_kernel", self.add_weight(shape, kernel, name=f"{side}_kernel"))
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        if not is_float(inputs.dtype):
            raise DTypeError(f"Invalid input type. Expected a sound of floats. Received: input type={inputs.dtype}")
        first = self.data_format == "channels_first"
        x = inputs if first else ops.swapaxes(inputs, 1, 2)
        batch, channels, samples = x.shape
        x = ops.reshape(x, (batch * channels, samples, 1))

        def side(kernel: Any) -> Any:
            found = conv(x, kernel, self._step, self.padding, data_format="channels_last")
            found = ops.astype(found, "float32") if found.dtype.itemsize < 4 else found  # powers and logarithms want it
            return ops.reshape(found, (batch, channels, *found.shape[1:]))  # (batch, channels, times, frequencies)

        real = None if self.mode == "imag" else side(self.real_kernel)
        imaginary = None if self.mode == "real" else side(self.imag_kernel)
        found = ops.astype(self._combined(real, imaginary), self.compute_dtype)
        if self.expand_dims:
            return found if first else ops.moveaxis(found, 1, -1)
        times, frequencies = found.shape[2:]
        found = ops.reshape(ops.swapaxes(found, 2, 3), (batch, channels * frequencies, times))
        return found if first else ops.swapaxes(found, 1, 2)

    def _combined(self, real: Any, imaginary: Any) -> Any:
        if self.mode in ("real", "imag"):
            return real if self.mode == "real" else imaginary
        if self.mode == "angle":
            return ops.atan2(imaginary, real)
        if self.mode == "stft":
            return ops.concat([real, imaginary], axis=-1)
        power = ops.square(real) + ops.square(imaginary)
        if self.mode == "psd":  # frequencies below zero mirror those above, except the first and the last
            twice = np.full(power.shape[-1], 2.0)
            twice[[0, -1]] = 1.0
            return power * ops.as_tensor(twice, dtype=power.dtype)
        magnitude = ops.sqrt(ops.maximum(power, config.epsilon()))
        return magnitude if self.mode == "magnitude" else ops.log(ops.maximum(magnitude, config.epsilon()))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        first = self.data_format == "channels_first"
        batch, channels, samples = input_shape if first else (input_shape[0], input_shape[2], input_shape[1])
        times = None if samples is None else window_count(samples, self.frame_length, self._step, self.padding)
        frequencies = self._frequencies * (2 if self.mode == "stft" else 1)
        if self.expand_dims:
            return (batch, channels, times, frequencies) if first else (batch, times, frequencies, channels)
        together = None if channels is None else channels * frequencies
        return (batch, together, times) if first else (batch, times, together)

    def get_config(self) -> dict[str, Any]:
        names = "mode frame_length frame_step fft_length window periodic scaling padding expand_dims data_format"
        return {**super().get_config(), **{name: getattr(self, name) for name in names.split()}}
