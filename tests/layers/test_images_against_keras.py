"""Layers that change images: what Keras's layers make of the same images by the same drawing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras_oracle import ask_keras

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(8)
IMAGES = RNG.uniform(0, 255, (3, 9, 12, 3)).astype("float32")
BOXES = np.array([[[1, 2, 5, 7], [6, 0, 12, 4]]] * 3, np.float32)
LABELS = np.array([[1, 2], [3, 4], [5, 6]])

PAIRS: list[tuple[str, dict[str, Any]]] = [
    ("RandomBrightness", {"factor": 0.4}),
    ("RandomContrast", {"factor": 0.4}),
    ("RandomColorDegeneration", {"factor": 0.9}),
    ("RandomSharpness", {"factor": 0.9}),
    ("RandomInvert", {"factor": 0.5}),
    ("RandomGrayscale", {"factor": 0.5}),
    ("RandomPosterization", {"factor": (2, 6)}),
    ("Solarization", {"addition_factor": 0.3, "threshold_factor": 0.6}),
    ("RandomHue", {"factor": 0.8}),
    ("RandomSaturation", {"factor": 0.4}),
    ("RandomGaussianBlur", {"factor": 0.9, "kernel_size": (3, 5), "sigma": (0.4, 0.9)}),
    ("RandomErasing", {"scale": (0.1, 0.6), "fill_value": 3.0}),
    ("RandomErasing", {"scale": (0.1, 0.6)}),
    ("MixUp", {}),
    ("CutMix", {}),
    ("AutoContrast", {}),
    ("Equalization", {}),
    ("Equalization", {"bins": 32, "value_range": (-10, 300)}),
    ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (2, 5), "clip_limit": 2.0}),
    ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (3, 3), "clip_limit": 0}),
    ("RandomFlip", {"mode": "horizontal"}),
    ("RandomFlip", {"mode": "horizontal_and_vertical"}),
    ("RandomPerspective", {"scale": 0.6}),
    ("RandomZoom", {"height_factor": 0.4, "width_factor": (-0.3, 0.3)}),
    ("RandomTranslation", {"height_factor": 0.4, "width_factor": 0.3, "fill_mode": "wrap"}),
    ("RandomShear", {"x_factor": 0.4, "y_factor": 0.2, "interpolation": "nearest", "fill_mode": "nearest"}),
    ("RandomRotation", {"factor": 0.4, "fill_mode": "constant", "fill_value": 7.0}),
]


MOVES: list[tuple[str, dict[str, Any]]] = [
    ("RandomZoom", {"height_factor": 0.4, "width_factor": (-0.3, 0.3)}),
    ("RandomRotation", {"factor": 0.1}),
    ("RandomTranslation", {"height_factor": 0.3, "width_factor": 0.2}),
    ("RandomFlip", {"mode": "vertical"}),
    ("CenterCrop", {"height": 5, "width": 4}),
    ("Resizing", {"height": 18, "width": 18, "pad_to_aspect_ratio": True}),
    ("Resizing", {"height": 20, "width": 15}),
]
SCRIPT = """
for i, (name, arguments) in enumerate(given["pairs"]):
    layer = getattr(keras.layers, name)(**arguments)
    drawn = layer.get_random_transformation(given["images"], training=True, seed=5)
    results[i] = drawn, layer.transform_images(given["images"].copy(), drawn, training=True)
for i, (name, arguments) in enumerate(given["moves"]):
    layer = getattr(keras.layers, name)(**arguments, bounding_box_format="xyxy")
    drawn = layer.get_random_transformation(given["images"], training=True, seed=5)
    boxes = {"boxes": given["boxes"].copy(), "labels": given["labels"]}
    results["boxes", i] = drawn, layer.transform_bounding_boxes(boxes, drawn, training=True)["boxes"]
"""


@pytest.fixture(scope="module")
def keras() -> dict[Any, Any]:
    return ask_keras(SCRIPT, pairs=PAIRS, moves=MOVES, images=IMAGES, boxes=BOXES, labels=LABELS)


@pytest.mark.parametrize("i", range(len(PAIRS)), ids=[f"{i}-{p[0]}" for i, p in enumerate(PAIRS)])
def test_images(keras: dict[Any, Any], i: int) -> None:
    (name, arguments), (drawn, expected) = PAIRS[i], keras[i]
    found = getattr(layers, name)(**arguments).transform_images(IMAGES, drawn, training=True).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-2)
    first = getattr(layers, name)(**arguments, data_format="channels_first")
    turned = first.transform_images(IMAGES.transpose(0, 3, 1, 2), drawn, training=True).numpy()
    np.testing.assert_allclose(turned.transpose(0, 2, 3, 1), found, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("i", range(len(MOVES)), ids=[f"{i}-{p[0]}" for i, p in enumerate(MOVES)])
def test_boxes(keras: dict[Any, Any], i: int) -> None:
    (name, arguments), (drawn, expected) = MOVES[i], keras["boxes", i]
    layer = getattr(layers, name)(**arguments, bounding_box_format="xyxy")
    handed = {"input_shape": IMAGES.shape, **(drawn if isinstance(drawn, dict) else {})}
    result = layer.transform_bounding_boxes({"boxes": BOXES, "labels": LABELS}, handed, training=True)
    kept = result["labels"].numpy() >= 0
    np.testing.assert_allclose(result["boxes"].numpy()[kept], expected[kept], rtol=1e-4, atol=1e-3)


def test_one_drawing_for_images_masks_boxes_and_labels() -> None:
    image = np.zeros((2, 8, 8, 1), np.float32)
    image[:, 2:5, 3:7] = 200.0
    data = {
        "images": image,
        "segmentation_masks": (image > 0).astype("uint8"),
        "bounding_boxes": {"boxes": np.array([[[3, 2, 7, 5]]] * 2, np.float32), "labels": np.array([[4]] * 2)},
        "labels": np.eye(2, dtype="float32"),
    }
    for layer in (
        layers.RandomFlip(seed=2, bounding_box_format="xyxy"),
        layers.RandomTranslation((0.25, 0.25), (-0.25, -0.25), "constant", bounding_box_format="xyxy"),
        layers.RandomCrop(7, 7, seed=1, bounding_box_format="xyxy"),
        layers.Resizing(16, 16, "nearest", bounding_box_format="xyxy"),
    ):
        changed = layer(data, training=True)
        for i in range(2):
            mask = changed["segmentation_masks"].numpy()[i, :, :, 0]
            assert mask.dtype == np.uint8
            np.testing.assert_array_equal(mask, changed["images"].numpy()[i, :, :, 0] > 100)
            left, top, right, bottom = changed["bounding_boxes"]["boxes"].numpy()[i, 0].round().astype(int)
            inside = np.zeros_like(mask)
            inside[top:bottom, left:right] = 1
            np.testing.assert_array_equal(inside, mask)
        np.testing.assert_array_equal(changed["labels"].numpy(), data["labels"])
    one = {k: v[0] if k != "bounding_boxes" else {n: b[0] for n, b in v.items()} for k, v in data.items()}
    changed = layers.RandomRotation(0.1, bounding_box_format="xyxy")(one, training=True)
    assert changed["images"].shape == (8, 8, 1) and changed["bounding_boxes"]["boxes"].shape == (1, 4)
    assert set(data["bounding_boxes"]) == {"boxes", "labels"}
    assert isinstance(data["images"], np.ndarray)  # the caller's dict is left alone


def test_mixtures() -> None:
    images = np.stack([np.full((4, 4, 1), float(i)) for i in range(5)])
    data = {"images": images, "labels": np.eye(5, dtype="float32")}
    for layer in (layers.MixUp(1.0, seed=1), layers.CutMix(seed=1)):
        mixed = layer(data, training=True)
        labels = mixed["labels"].numpy()
        np.testing.assert_allclose(labels.sum(axis=1), 1.0, rtol=1e-5)
        means = mixed["images"].numpy().mean(axis=(1, 2, 3))
        if isinstance(layer, layers.MixUp):
            np.testing.assert_allclose(means, labels @ np.arange(5), rtol=1e-4, atol=1e-4)
    with pytest.raises(ArgumentError, match="MixUp takes images with boxes"):
        layers.CutMix(bounding_box_format="xyxy")({**data, "bounding_boxes": {"boxes": BOXES, "labels": LABELS}})
    boxes = {"boxes": np.concatenate([BOXES, BOXES[:2]]), "labels": np.concatenate([LABELS, LABELS[:2]])}
    mixed = layers.MixUp(bounding_box_format="xyxy")({**data, "bounding_boxes": boxes})["bounding_boxes"]
    assert mixed["boxes"].shape == (5, 4, 4) and mixed["labels"].shape == (5, 4)


def test_weights_of_mixtures_follow_their_distribution() -> None:
    for alpha in (0.2, 1.0, 3.0):
        drawn = layers.MixUp(alpha, seed=3).get_random_transformation(np.zeros((20000, 1, 1, 1)))
        weight = drawn["mix_weight"].numpy()
        assert weight.mean() == pytest.approx(0.5, abs=0.01)
        assert weight.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.04)


def test_integers_stay_integers_when_resized() -> None:
    layer = layers.Resizing(3, 3)
    assert layer(np.full((2, 5, 5, 1), 200, np.uint8)).dtype == np.uint8
    assert layer(lamina.Input((5, 5, 1), dtype="uint8")).dtype == np.uint8


def test_mistakes_are_named() -> None:
    with pytest.raises(ShapeError, match="rank 3 or 4"):
        layers.RandomBrightness(0.1)(np.zeros((5, 5)), training=True)
    with pytest.raises(ArgumentError, match="bounding_box_format='xyxy'"):
        layers.RandomFlip()({"images": IMAGES, "bounding_boxes": {"boxes": BOXES, "labels": LABELS}})
    with pytest.raises(ArgumentError, match="keys 'boxes' and 'labels'"):
        layers.RandomFlip(bounding_box_format="xyxy")({"images": IMAGES, "bounding_boxes": {"boxes": BOXES}})
    with pytest.raises(ArgumentError, match="odd number"):
        layers.RandomGaussianBlur(kernel_size=4)
    with pytest.raises(ArgumentError, match=r"range \[0.0, 1.0\]"):
        layers.RandomHue(1.5)


def test_lists_of_boxes_are_filled_up() -> None:
    boxes = {"boxes": [[[0, 0, 2, 2]], [[1, 1, 3, 3], [2, 2, 4, 4]], []], "labels": [[7], [8, 9], []]}
    layer = layers.MaxNumBoundingBoxes(3, fill_value=-1, bounding_box_format="xyxy")
    filled = layer({"images": IMAGES, "bounding_boxes": boxes})["bounding_boxes"]
    assert filled["boxes"].shape == (3, 3, 4)
    assert filled["labels"].tolist() == [[7, -1, -1], [8, 9, -1], [-1, -1, -1]]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision(policy: str) -> None:
    for name, arguments in [("MixUp", {}), ("RandAugment", {"num_ops": 4}), ("AugMix", {}), ("Equalization", {})]:
        layer = getattr(layers, name)(**arguments, dtype=policy)
        changed = layer(IMAGES, training=True)
        assert str(changed.dtype) == policy.removeprefix("mixed_")
        assert np.isfinite(changed.numpy().astype("float32")).all()
    spectrogram = layers.STFTSpectrogram(frame_length=4, dtype=policy)(np.zeros((2, 12, 1), np.float32))
    assert np.isfinite(spectrogram.numpy().astype("float32")).all()
