"""Bounding boxes: formats, overlaps, deltas and moves, against Keras and against what they mean."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from keras_oracle import ask_keras

from lamina.core.errors import ArgumentError, ShapeError
from lamina.utils import bounding_boxes as boxes

RNG = np.random.default_rng(4)
BOXES = np.sort(RNG.uniform(0, 20, (2, 3, 2, 2)).astype("float32"), axis=2).reshape(2, 3, 4)


SIZES = {"height": 30, "width": 40}
NUMBERS = [np.array(pair, np.float32) for pair in [(10, 50), (0.1, -0.2), (0.05, 0.3), (1.2, 0.7), (5, 8), (3, -20)]]
PAIRS = [(BOXES, BOXES[::-1].copy()), (BOXES[0], BOXES), (BOXES, BOXES[0]), (BOXES[0], BOXES[1, :2])]
DELTAS: dict[str, Any] = {"anchor_format": "xyxy", "box_format": "xywh", "variance": [0.1, 0.1, 0.2, 0.2]}
FOUND = {"boxes": BOXES, "labels": np.arange(6).reshape(2, 3)}
SCRIPT = """
k, boxes = keras.utils.bounding_boxes, given["boxes"]
for source in given["formats"]:
    for target in given["formats"]:
        results[source, target] = k.convert_format(boxes.copy(), source, target, **given["sizes"])
results["affine"] = k.affine_transform(boxes, *given["numbers"], 30, 40)
results["crop"], results["pad"] = k.crop(boxes, 2, 3, 8, 9), k.pad(boxes, 2, 3)
results["clipped"] = k.clip_to_image_size(dict(given["found"]), 5, 6)
for i, (one, two) in enumerate(given["pairs"]):
    results["iou", i] = k.compute_iou(one, two, "xyxy")
results["ciou"] = k.compute_ciou(*given["pairs"][0], "xyxy")
results["deltas"] = k.encode_box_to_deltas(boxes[0], boxes, **given["deltas"])
"""


@pytest.fixture(scope="module")
def theirs() -> dict[Any, Any]:
    given = {"formats": boxes.FORMATS, "sizes": SIZES, "numbers": NUMBERS, "found": FOUND, "pairs": PAIRS}
    return ask_keras(SCRIPT, boxes=BOXES, deltas=DELTAS, **given)


def same(theirs: Any, ours: Any) -> None:
    np.testing.assert_allclose(np.asarray(theirs), ours.numpy(), rtol=1e-4, atol=1e-4)


def test_formats(theirs: dict[Any, Any]) -> None:
    for source, target in product(boxes.FORMATS, boxes.FORMATS):
        same(theirs[source, target], boxes.convert_format(BOXES, source, target, **SIZES))


def test_moves(theirs: dict[Any, Any]) -> None:
    same(theirs["affine"], boxes.affine_transform(BOXES, *NUMBERS, 30, 40))
    same(theirs["crop"], boxes.crop(BOXES, 2, 3, 8, 9))
    same(theirs["pad"], boxes.pad(BOXES, 2, 3))
    clipped = boxes.clip_to_image_size(FOUND, 5, 6)
    same(theirs["clipped"]["boxes"], clipped["boxes"])
    same(theirs["clipped"]["labels"], clipped["labels"])


def test_overlaps(theirs: dict[Any, Any]) -> None:
    for i, (one, two) in enumerate(PAIRS):
        same(theirs["iou", i], boxes.compute_iou(one, two, "xyxy"))
    same(theirs["ciou"], boxes.compute_ciou(*PAIRS[0], "xyxy"))
    padded = np.array([[0, 0, 2, 2], [-1, -1, -1, -1]], np.float32)
    masked = boxes.compute_iou(padded, padded, "xyxy", use_masking=True, mask_val=-7).numpy()
    np.testing.assert_allclose(masked, [[1, -7], [-7, -7]], rtol=1e-5)


def test_deltas(theirs: dict[Any, Any]) -> None:
    deltas = boxes.encode_box_to_deltas(BOXES[0], BOXES, **DELTAS)
    same(theirs["deltas"], deltas)
    same(BOXES, boxes.decode_deltas_to_boxes({"p3": BOXES[0]}, {"p3": deltas}, **DELTAS)["p3"])


def test_mistakes_are_named() -> None:
    with pytest.raises(ArgumentError, match="Did you mean 'xyxy'"):
        boxes.convert_format(BOXES, "xyyx", "xywh")
    with pytest.raises(ArgumentError, match="must receive `height` and `width`"):
        boxes.convert_format(BOXES, "xyxy", "rel_xyxy")
    with pytest.raises(ShapeError, match="last dimension of 4"):
        boxes.convert_format(BOXES[..., :3], "xyxy", "xywh")
    with pytest.raises(ShapeError, match="batched"):
        boxes.compute_iou(BOXES[0, 0], BOXES, "xyxy")
    with pytest.raises(ArgumentError, match="length 4"):
        boxes.encode_box_to_deltas(BOXES[0], BOXES, "xyxy", "xyxy", variance=[0.1])
