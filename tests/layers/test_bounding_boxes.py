"""Bounding boxes: formats, overlaps, deltas and moves, against Keras and against what they mean."""

from __future__ import annotations

import os
from itertools import product
from typing import Any

import numpy as np
import pytest

from lamina.core.errors import ArgumentError, ShapeError
from lamina.utils import bounding_boxes as boxes

os.environ.setdefault("KERAS_BACKEND", "jax")
RNG = np.random.default_rng(4)
BOXES = np.sort(RNG.uniform(0, 20, (2, 3, 2, 2)).astype("float32"), axis=2).reshape(2, 3, 4)


@pytest.fixture(scope="module")
def theirs() -> Any:
    return pytest.importorskip("keras").utils.bounding_boxes


def same(theirs: Any, ours: Any) -> None:
    np.testing.assert_allclose(np.asarray(theirs), ours.numpy(), rtol=1e-4, atol=1e-4)


def test_formats(theirs: Any) -> None:
    sizes = {"height": 30, "width": 40}
    for source, target in product(boxes.FORMATS, boxes.FORMATS):
        same(
            theirs.convert_format(BOXES.copy(), source, target, **sizes),
            boxes.convert_format(BOXES, source, target, **sizes),
        )


def test_moves(theirs: Any) -> None:
    numbers = [(10, 50), (0.1, -0.2), (0.05, 0.3), (1.2, 0.7), (5, 8), (3, -20)]
    arguments = [np.array(pair, np.float32) for pair in numbers]
    same(theirs.affine_transform(BOXES, *arguments, 30, 40), boxes.affine_transform(BOXES, *arguments, 30, 40))
    same(theirs.crop(BOXES, 2, 3, 8, 9), boxes.crop(BOXES, 2, 3, 8, 9))
    same(theirs.pad(BOXES, 2, 3), boxes.pad(BOXES, 2, 3))
    found = {"boxes": BOXES, "labels": np.arange(6).reshape(2, 3)}
    expected, clipped = theirs.clip_to_image_size(dict(found), 5, 6), boxes.clip_to_image_size(found, 5, 6)
    same(expected["boxes"], clipped["boxes"])
    same(expected["labels"], clipped["labels"])


def test_overlaps(theirs: Any) -> None:
    for one, two in [(BOXES, BOXES[::-1].copy()), (BOXES[0], BOXES), (BOXES, BOXES[0]), (BOXES[0], BOXES[1, :2])]:
        same(theirs.compute_iou(one, two, "xyxy"), boxes.compute_iou(one, two, "xyxy"))
    same(theirs.compute_ciou(BOXES, BOXES[::-1].copy(), "xyxy"), boxes.compute_ciou(BOXES, BOXES[::-1].copy(), "xyxy"))
    padded = np.array([[0, 0, 2, 2], [-1, -1, -1, -1]], np.float32)
    masked = boxes.compute_iou(padded, padded, "xyxy", use_masking=True, mask_val=-7).numpy()
    np.testing.assert_allclose(masked, [[1, -7], [-7, -7]], rtol=1e-5)


def test_deltas(theirs: Any) -> None:
    arguments: dict[str, Any] = {"anchor_format": "xyxy", "box_format": "xywh", "variance": [0.1, 0.1, 0.2, 0.2]}
    deltas = boxes.encode_box_to_deltas(BOXES[0], BOXES, **arguments)
    same(theirs.encode_box_to_deltas(BOXES[0], BOXES, **arguments), deltas)
    back = boxes.decode_deltas_to_boxes({"p3": BOXES[0]}, {"p3": deltas}, **arguments)
    same(BOXES, back["p3"])


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
