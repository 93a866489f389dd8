"""Rows of layers around functions and layers, of locally connected ones, and of those that prepare data."""

from __future__ import annotations

from typing import Any

import lamina
from lamina import layers
from lamina.serialization import serialize
from layer_table.case import Case


@lamina.register_serializable("tests")
def squared(x: Any) -> Any:
    return x * x


IMAGES = (4, 5, 6, 3)
FIRST = {"data_format": "channels_first"}

CASES: list[Case] = [
    Case("identity", layers.Identity, {}, output=(4, 6)),
    Case("lambda", layers.Lambda, {"function": serialize(squared)}, output=(4, 6)),
    Case(
        "spectral",
        layers.SpectralNormalization,
        {"layer": lambda dtype: layers.Dense(5, dtype=dtype), "power_iterations": 2},
        output=(4, 5),
        weights=3,
        frozen=1,
        random=True,
    ),
    Case("alpha-dropout", layers.AlphaDropout, {"rate": 0.5, "seed": 3}, output=(4, 6), random=True),
    Case("activity-regularization", layers.ActivityRegularization, {"l1": 0.1, "l2": 0.2}, output=(4, 6)),
    Case("dot", layers.Dot, {"axes": 1}, [(4, 3), (4, 3)], (4, 1)),
    Case("dot-axes", layers.Dot, {"axes": [2, 1], "normalize": True}, [(4, 2, 3), (4, 3, 5)], (4, 2, 5)),
    Case("local1d", layers.LocallyConnected1D, {"filters": 3, "kernel_size": 2}, (4, 5, 2), (4, 4, 3), weights=2),
    Case(
        "local1d-strides",
        layers.LocallyConnected1D,
        {"filters": 3, "kernel_size": 3, "strides": 2, "activation": "tanh", "use_bias": False},
        (4, 7, 2),
        (4, 3, 3),
        weights=1,
    ),
    Case(
        "local2d",
        layers.LocallyConnected2D,
        {"filters": 2, "kernel_size": (2, 3), "strides": (1, 2)},
        (4, 4, 5, 3),
        (4, 3, 2, 2),
        weights=2,
    ),
    Case(
        "local2d-first",
        layers.LocallyConnected2D,
        {"filters": 2, "kernel_size": 2, **FIRST},
        (4, 3, 3, 4),
        (4, 2, 2, 3),
        weights=2,
    ),
    Case(
        "mel-spectrogram",
        layers.MelSpectrogram,
        {"fft_length": 16, "sequence_stride": 4, "num_mel_bins": 5, "sampling_rate": 8000},
        (4, 40),
        (4, 5, 11),
    ),
    Case(
        "mel-magnitude",
        layers.MelSpectrogram,
        {"fft_length": 16, "sequence_stride": 8, "sequence_length": 12, "num_mel_bins": 3, "power_to_db": False},
        (4, 40),
        (4, 3, 6),
    ),
    Case(
        "stft-spectrogram",
        layers.STFTSpectrogram,
        {"frame_length": 8, "frame_step": 4},
        (4, 24, 2),
        (4, 5, 10),
        weights=2,
    ),
    Case(
        "stft-parts-first",
        layers.STFTSpectrogram,
        {
            "mode": "stft",
            "frame_length": 6,
            "fft_length": 8,
            "window": "hamming",
            "periodic": True,
            "padding": "same",
            "expand_dims": True,
            **FIRST,
        },
        (4, 2, 24),
        (4, 2, 8, 10),
        weights=2,
    ),
    Case(
        "stft-density",
        layers.STFTSpectrogram,
        {"mode": "psd", "frame_length": 8, "scaling": "spectrum", "window": None},
        (4, 24, 1),
        (4, 5, 5),
        weights=2,
    ),
    Case("normalization", layers.Normalization, {"mean": [1.0] * 6, "variance": [2.0] * 6}, output=(4, 6)),
    Case("rescaling", layers.Rescaling, {"scale": 0.5, "offset": 1.0}, output=(4, 6)),
    Case(
        "category-encoding",
        layers.CategoryEncoding,
        {"num_tokens": 7, "output_mode": "count"},
        (4, 5),
        (4, 7),
        integers=7,
    ),
    Case(
        "discretization",
        layers.Discretization,
        {"bin_boundaries": [-0.5, 0.5], "output_mode": "one_hot"},
        (4, 5),
        (4, 5, 3),
    ),
    Case("resizing", layers.Resizing, {"height": 4, "width": 8}, IMAGES, (4, 4, 8, 3)),
    Case(
        "resizing-pad",
        layers.Resizing,
        {"height": 3, "width": 3, "pad_to_aspect_ratio": True, "fill_value": 1.0, "antialias": True},
        IMAGES,
        (4, 3, 3, 3),
    ),
    Case(
        "resizing-crop",
        layers.Resizing,
        {"height": 3, "width": 2, "crop_to_aspect_ratio": True, "interpolation": "bicubic", **FIRST},
        (4, 3, 5, 6),
        (4, 3, 3, 2),
    ),
    Case("center-crop", layers.CenterCrop, {"height": 3, "width": 2}, IMAGES, (4, 3, 2, 3)),
    Case("center-crop-small", layers.CenterCrop, {"height": 8, "width": 4}, IMAGES, (4, 8, 4, 3)),
    Case("random-crop", layers.RandomCrop, {"height": 3, "width": 4, "seed": 3}, IMAGES, (4, 3, 4, 3), random=True),
    Case("random-flip", layers.RandomFlip, {"seed": 3}, IMAGES, IMAGES, random=True),
    Case("random-rotation", layers.RandomRotation, {"factor": 0.2, "seed": 3}, IMAGES, IMAGES, random=True),
    Case(
        "random-zoom",
        layers.RandomZoom,
        {"height_factor": 0.3, "width_factor": (-0.2, 0.1), "fill_mode": "constant", "seed": 3},
        IMAGES,
        IMAGES,
        random=True,
    ),
    Case(
        "random-translation",
        layers.RandomTranslation,
        {"height_factor": 0.3, "width_factor": 0.2, "fill_mode": "wrap", "interpolation": "nearest", "seed": 3},
        IMAGES,
        IMAGES,
        random=True,
    ),
    Case("random-contrast", layers.RandomContrast, {"factor": 0.3, "seed": 3}, IMAGES, IMAGES, random=True),
    Case(
        "random-brightness",
        layers.RandomBrightness,
        {"factor": 0.3, "value_range": (0.0, 1.0), "seed": 3, **FIRST},
        (4, 3, 5, 6),
        (4, 3, 5, 6),
        random=True,
    ),
    Case(
        "random-shear", layers.RandomShear, {"x_factor": 0.3, "y_factor": 0.1, "seed": 3}, IMAGES, IMAGES, random=True
    ),
    Case("auto-contrast", layers.AutoContrast, {"value_range": (-4, 4)}, IMAGES, IMAGES),
    *(
        Case(name, cls, {"factor": factor, "value_range": (-4, 4), "seed": 3}, IMAGES, IMAGES, random=True)
        for name, cls, factor in (
            ("random-degeneration", layers.RandomColorDegeneration, 0.7),
            ("random-sharpness", layers.RandomSharpness, 0.7),
            ("random-invert", layers.RandomInvert, 0.7),
            ("random-erasing", layers.RandomErasing, 0.7),
            ("random-posterization", layers.RandomPosterization, (2, 5)),
        )
    ),
    Case("random-grayscale", layers.RandomGrayscale, {"seed": 3}, IMAGES, IMAGES, random=True),
    Case(
        "solarization",
        layers.Solarization,
        {"addition_factor": 0.2, "threshold_factor": 0.6, "value_range": (-4, 4), "seed": 3},
        IMAGES,
        IMAGES,
        random=True,
    ),
    Case("pipeline", layers.Pipeline, {"layers": lambda dtype: [layers.Rescaling(2.0, dtype=dtype)]}, output=(4, 6)),
    Case(
        "reversible-embedding",
        layers.ReversibleEmbedding,
        {"input_dim": 7, "output_dim": 3},
        (4, 5),
        (4, 5, 3),
        integers=7,
        weights=1,
    ),
]
