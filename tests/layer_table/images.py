"""Rows of layers that change images at random, mix them, or spread their values."""

from __future__ import annotations

from typing import Any

from lamina import layers
from layer_table.case import Case

IMAGES = (4, 5, 6, 3)
FIRST: dict[str, Any] = {"data_format": "channels_first"}
RANGE: dict[str, Any] = {"value_range": (-4.0, 4.0), "seed": 3}


def _image(name: str, cls: type, arguments: dict[str, Any], shape: tuple[int, ...] = IMAGES) -> Case:
    return Case(name, cls, arguments, shape, shape, random=True)


CASES: list[Case] = [
    _image("random-hue", layers.RandomHue, {"factor": 0.7, **RANGE}),
    _image("random-saturation", layers.RandomSaturation, {"factor": 0.7, **RANGE}),
    _image(
        "random-jitter",
        layers.RandomColorJitter,
        {"brightness_factor": 0.2, "contrast_factor": 0.3, "saturation_factor": 0.4, "hue_factor": 0.5, **RANGE},
    ),
    _image("random-jitter-brightness", layers.RandomColorJitter, {"brightness_factor": (0.1, 0.2), **RANGE}),
    _image("random-blur", layers.RandomGaussianBlur, {"factor": 0.7, "kernel_size": (3, 5), **RANGE}),
    _image("random-blur-first", layers.RandomGaussianBlur, {"sigma": (0.5, 0.9), **RANGE, **FIRST}, (4, 3, 5, 6)),
    _image("random-perspective", layers.RandomPerspective, {"factor": (0.5, 1.0), "scale": 0.6, "seed": 3}),
    _image(
        "random-elastic",
        layers.RandomElasticTransform,
        {"factor": 0.8, "scale": (0.5, 1.0), "fill_mode": "nearest", **RANGE},
    ),
    _image("random-erasing-value", layers.RandomErasing, {"fill_value": [1.0, 2.0, 3.0], **RANGE}),
    _image("mix-up", layers.MixUp, {"alpha": 0.4, "seed": 3}),
    _image("cut-mix", layers.CutMix, {"seed": 3}),
    _image("cut-mix-first", layers.CutMix, {"factor": (0.5, 0.9), "seed": 3, **FIRST}, (4, 3, 5, 6)),
    _image("rand-augment", layers.RandAugment, {"num_ops": 3, "factor": 0.4, **RANGE}),
    _image("aug-mix", layers.AugMix, {"num_chains": 2, "chain_depth": 2, "all_ops": False, **RANGE}),
    Case("max-num-boxes", layers.MaxNumBoundingBoxes, {"max_number": 3}, IMAGES, IMAGES),
    Case("equalization", layers.Equalization, {"value_range": (-4, 4), "bins": 32}, IMAGES, IMAGES),
    Case(
        "equalization-adaptive",
        layers.ContrastLimitedAdaptiveHistogramEqualization,
        {"value_range": (-4, 4), "tile_grid_size": (2, 3)},
        IMAGES,
        IMAGES,
    ),
]
