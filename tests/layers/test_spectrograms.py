"""Spectrograms, against Keras and SciPy, and against what they mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras_oracle import ask_keras

import lamina
from lamina import initializers, layers
from lamina.core.errors import ArgumentError, DTypeError, ShapeError
from lamina.ops.windows import window_values

RNG = np.random.default_rng(2)
SOUND = RNG.uniform(-1, 1, (2, 640)).astype("float32")


MEL: list[dict[str, Any]] = [
    {"fft_length": 64, "sequence_stride": 16, "num_mel_bins": 20, "sampling_rate": 8000, **more}
    for more in (
        {},
        {"sequence_length": 48, "window": "hamming", "mag_exp": 1.0, "ref_power": 2.0, "top_db": 20.0},
        {"power_to_db": False, "min_freq": 100.0, "max_freq": 3000.0, "num_mel_bins": 7},
    )
]
MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")
STFT: list[dict[str, Any]] = [
    {"mode": mode, "frame_length": 30, "frame_step": 12, "fft_length": 64, "window": "blackman", **more}
    for mode in MODES
    for more in (
        {},
        {"padding": "same", "periodic": True, "scaling": "spectrum"},
        {"expand_dims": True, "scaling": None},
        {"data_format": "channels_first", "expand_dims": True},
        {"data_format": "channels_first"},
    )
]
KERNELS = (("real", "hann", "density", True), ("imag", None, None), ("imag", "tukey", "spectrum"))
CHANNELS = np.stack([SOUND, SOUND[::-1]], axis=-1)
SCRIPT = """
for i, arguments in enumerate(given["mel"]):
    results["mel", i] = keras.layers.MelSpectrogram(**arguments)(given["sound"])
for i, arguments in enumerate(given["stft"]):
    x = given["channels"].transpose(0, 2, 1) if arguments.get("data_format") else given["channels"]
    results["stft", i] = keras.layers.STFTSpectrogram(**arguments)(x)
for i, arguments in enumerate(given["kernels"]):
    results["kernel", i] = keras.initializers.STFT(*arguments)((16, 1, 17))
"""


@pytest.fixture(scope="module")
def keras() -> dict[Any, Any]:
    pytest.importorskip("scipy")
    return ask_keras(SCRIPT, mel=MEL, stft=STFT, kernels=KERNELS, sound=SOUND, channels=CHANNELS)


def test_mel_spectrograms_of_keras(keras: dict[Any, Any]) -> None:
    for i, arguments in enumerate(MEL):
        expected = keras["mel", i]
        layer = layers.MelSpectrogram(**arguments)
        np.testing.assert_allclose(layer(SOUND).numpy(), expected, rtol=2e-3, atol=2e-3)
        assert layer(SOUND[0]).shape == expected.shape[1:]
        assert layer.compute_output_shape((None, 640)) == (None, *expected.shape[1:])


def test_a_tone_is_loudest_in_its_band() -> None:
    layer = layers.MelSpectrogram(fft_length=512, sequence_stride=256, num_mel_bins=40, sampling_rate=8000)
    weights = layer.linear_to_mel_weight_matrix(40, 257, 8000, 20.0, 4000.0).numpy()
    for hertz in (300.0, 1000.0, 2500.0):
        tone = np.sin(2 * np.pi * hertz * np.arange(8000) / 8000).astype("float32")
        loudest = layer(tone).numpy()[:, 5].argmax()
        assert loudest == weights[round(hertz / 8000 * 512)].argmax()


def test_stft_spectrograms_of_keras(keras: dict[Any, Any]) -> None:
    for i, arguments in enumerate(STFT):
        data = CHANNELS.transpose(0, 2, 1) if arguments.get("data_format") else CHANNELS
        layer, expected = layers.STFTSpectrogram(**arguments), keras["stft", i]
        found = layer(data).numpy()
        assert layer.compute_output_shape((None, *data.shape[1:])) == (None, *found.shape[1:])
        if arguments["mode"] == "angle":
            found, expected = np.cos(found), np.cos(expected)
        assert found.shape == expected.shape
        assert np.isclose(found, expected, rtol=1e-3, atol=2e-4).mean() > 0.999, arguments


def test_windows_are_those_of_scipy() -> None:
    get_window = pytest.importorskip("scipy.signal").get_window
    names = ["hann", "hamming", "blackman", "nuttall", "blackmanharris", "flattop", "bartlett", "cosine", "bohman"]
    for name in [*names, "tukey", "boxcar"]:
        for length in (1, 2, 7, 16):
            for periodic in (False, True):
                expected = get_window(name, length, periodic)
                if name == "tukey" and length == 2 and not periodic:
                    continue  # its only points are its ends
                np.testing.assert_allclose(window_values(name, length, periodic), expected, atol=1e-9, err_msg=name)


def test_kernels_of_a_fourier_transform(keras: dict[Any, Any]) -> None:
    for i, arguments in enumerate(KERNELS):
        expected = keras["kernel", i]
        made = initializers.STFT(*arguments)
        np.testing.assert_allclose(made((16, 1, 17)).numpy(), expected, atol=1e-5)
        again = initializers.deserialize(initializers.serialize(made)) if hasattr(initializers, "deserialize") else made
        np.testing.assert_array_equal(again((16, 1, 17)).numpy(), made((16, 1, 17)).numpy())
    values = RNG.uniform(size=16)
    kernel = initializers.get(initializers.STFT("real", values, None))((16, 1, 9)).numpy()
    np.testing.assert_allclose(kernel[:, 0, 0], values, rtol=1e-6)


def test_kernels_can_be_trained() -> None:
    model = lamina.Sequential([layers.STFTSpectrogram(frame_length=16), layers.Flatten(), layers.Dense(1)])
    model.compile("adam", "mse")
    x = SOUND[..., None]
    model(x)
    before = model.layers[0].real_kernel.numpy()
    model.fit(x, np.ones((2, 1)), verbose=0)
    assert not np.allclose(model.layers[0].real_kernel.numpy(), before)


def test_mistakes_are_named() -> None:
    with pytest.raises(ArgumentError, match="`fft_length` must be greater"):
        layers.MelSpectrogram(fft_length=16, sequence_length=32)
    with pytest.raises(ShapeError, match="1 or 2 dimensions"):
        layers.MelSpectrogram()(np.zeros((2, 2, 400)))
    for wrong in ({"mode": "power"}, {"scaling": "l2"}, {"padding": "causal"}, {"window": "unknown"}):
        with pytest.raises(ArgumentError):
            layers.STFTSpectrogram(**wrong)
    with pytest.raises(ArgumentError, match="not greater than"):
        layers.STFTSpectrogram(frame_length=8, frame_step=9)
    with pytest.raises(DTypeError, match="sound of floats"):
        layers.STFTSpectrogram()(np.zeros((2, 400, 1), int))
    with pytest.raises(ShapeError, match="window"):
        initializers.STFT(window=[1.0, 2.0])((3, 1, 3))
    with pytest.raises(ArgumentError, match="side"):
        initializers.STFT("both")
