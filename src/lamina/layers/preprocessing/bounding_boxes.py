"""Bounding boxes: their formats, what moves of an image do to them, overlaps, and deltas from anchors.

A box is four numbers.  ``"xyxy"`` holds left, top, right and bottom, in pixels; the other formats are in ``FORMATS``.
Boxes of one image have shape ``(boxes, 4)``, of a batch ``(batch, boxes, 4)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lamina import config, ops
from lamina.core.dtypes import is_float
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.messages import did_you_mean

FORMATS = (
    "xyxy",
    "yxyx",
    "xywh",
    "center_xywh",
    "center_yxhw",
    "rel_xyxy",
    "rel_yxyx",
    "rel_xywh",
    "rel_center_xywh",
)


def _columns(boxes: Any) -> list[Any]:
    """The four numbers of the boxes, each of shape ``(..., 1)``."""
    return [boxes[..., i : i + 1] for i in range(4)]


def _joined(*columns: Any) -> Any:
    return ops.concat(columns, axis=-1)


def _to_corners(boxes: Any, form: str) -> Any:
    a, b, c, d = _columns(boxes)
    if form == "yxyx":
        return _joined(b, a, d, c)
    if form == "xywh":
        return _joined(a, b, a + c, b + d)
    if form == "center_yxhw":
        a, b, c, d = b, a, d, c
    return _joined(a - c / 2, b - d / 2, a + c / 2, b + d / 2)


def _from_corners(boxes: Any, form: str) -> Any:
    left, top, right, bottom = _columns(boxes)
    if form == "yxyx":
        return _joined(top, left, bottom, right)
    width, height = right - left, bottom - top
    if form == "xywh":
        return _joined(left, top, width, height)
    x, y = left + width / 2, top + height / 2
    return _joined(x, y, width, height) if form == "center_xywh" else _joined(y, x, height, width)


def _format(name: str) -> tuple[str, bool]:
    """The format without ``rel_``, and whether it had it.

    Raises:
        ArgumentError: there is no such format.
    """
    lower = name.lower()
    if lower not in FORMATS:
        hint = did_you_mean(lower, FORMATS)
        raise ArgumentError(f"Invalid source or target format {name!r}. Supported formats: {', '.join(FORMATS)}.{hint}")
    return lower.removeprefix("rel_"), lower.startswith("rel_")


def convert_format(
    boxes: Any, source: str, target: str, height: Any = None, width: Any = None, dtype: Any = "float32"
) -> Any:
    """Boxes in another format.

    Args:
        boxes: shape ``(..., 4)``; or a dict with ``"boxes"``, of which only that entry changes.
        source: their format: ``"xyxy"`` (left, top, right, bottom), ``"yxyx"``, ``"xywh"`` (left, top, width, height),
            ``"center_xywh"``, ``"center_yxhw"``, or ``"rel_"`` and ``xyxy``, ``yxyx``, ``xywh`` or ``center_xywh``:
            shares of the image's size.  Case does not matter.
        target: the format wanted.
        height: the image's height in pixels; needed to go between shares and pixels.
        width: likewise.
        dtype: of the result.

    Returns:
        A Tensor (or dict) of the same shape.

    Raises:
        ArgumentError: an unknown format, or ``height`` or ``width`` is missing.
        ShapeError: the last axis is not 4.

    Example:
        >>> import lamina
        >>> boxes = [[10.0, 20.0, 30.0, 60.0]]
        >>> lamina.utils.bounding_boxes.convert_format(boxes, "xyxy", "center_xywh").tolist()
        [[20.0, 40.0, 20.0, 40.0]]
        >>> lamina.utils.bounding_boxes.convert_format(boxes, "xyxy", "rel_xywh", height=80, width=40).tolist()
        [[0.25, 0.25, 0.5, 0.5]]
    """
    if isinstance(boxes, dict):
        return {**boxes, "boxes": convert_format(boxes["boxes"], source, target, height, width, dtype)}
    boxes = ops.astype(ops.as_tensor(boxes), dtype)
    if boxes.ndim == 0 or boxes.shape[-1] != 4:
        raise ShapeError(f"`boxes` must be a tensor with the last dimension of 4. Received: boxes.shape={boxes.shape}.")
    (form, shares), (wanted, wants_shares) = _format(source), _format(target)
    if (shares or wants_shares) and (width is None or height is None):
        raise ArgumentError(
            "convert_format() must receive `height` and `width` to go between shares of the image and pixels. "
            f"Received: source={source!r}, target={target!r}, height={height}, width={width}."
        )
    if (form, shares) == (wanted, wants_shares):
        return boxes
    corners = boxes if form == "xyxy" else _to_corners(boxes, form)
    if shares != wants_shares:
        across, down = (ops.astype(ops.as_tensor(size), dtype) for size in (width, height))
        scale = ops.multiply if shares else ops.divide
        left, top, right, bottom = _columns(corners)
        corners = _joined(scale(left, across), scale(top, down), scale(right, across), scale(bottom, down))
    return corners if wanted == "xyxy" else _from_corners(corners, wanted)


def _only_corners(function: str, name: str, allowed: Sequence[str] = ("xyxy",)) -> None:
    if name not in allowed:
        raise ArgumentError(f"{function} takes boxes as {' or '.join(map(repr, allowed))}; got {name!r}.")


def clip_corners(boxes: Any, height: Any, width: Any) -> Any:
    """The part of each ``xyxy`` box that is inside of the image."""
    left, top, right, bottom = _columns(boxes)
    inside = [ops.clip(x, 0, ops.astype(ops.as_tensor(n), boxes.dtype)) for x, n in ((left, width), (top, height))]
    beyond = [ops.clip(x, 0, ops.astype(ops.as_tensor(n), boxes.dtype)) for x, n in ((right, width), (bottom, height))]
    return _joined(*inside, *beyond)


def clip_to_image_size(
    bounding_boxes: dict[str, Any], height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> dict[str, Any]:
    """The parts of boxes that are inside of the image; where nothing is left the label becomes -1.

    Args:
        bounding_boxes: ``{"boxes": (..., boxes, 4), "labels": (..., boxes)}``; labels may be absent.
        height: the image's height in pixels.
        width: likewise.
        bounding_box_format: ``"xyxy"``, or ``"rel_xyxy"``, which needs no sizes.

    Returns:
        A new dict.

    Raises:
        ArgumentError: another format, or sizes are missing.

    Example:
        >>> import lamina
        >>> found = {"boxes": [[-5.0, 2.0, 5.0, 30.0], [30.0, 0.0, 40.0, 5.0]], "labels": [3, 4]}
        >>> kept = lamina.utils.bounding_boxes.clip_to_image_size(found, height=10, width=20)
        >>> kept["boxes"].tolist(), kept["labels"].tolist()
        ([[0.0, 2.0, 5.0, 10.0], [20.0, 0.0, 20.0, 5.0]], [3, -1])
    """
    _only_corners("clip_to_image_size", bounding_box_format, ("xyxy", "rel_xyxy"))
    if bounding_box_format == "rel_xyxy":
        height = width = 1
    elif height is None or width is None:
        raise ArgumentError("`height` and `width` must be set if `format='xyxy'`.")
    boxes = clip_corners(ops.as_tensor(bounding_boxes["boxes"]), height, width)
    result = {**bounding_boxes, "boxes": boxes}
    if bounding_boxes.get("labels") is not None:
        area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
        result["labels"] = ops.where(area > 0, ops.as_tensor(bounding_boxes["labels"]), -1)
    return result


def mapped(boxes: Any, point: Any) -> Any:
    """The smallest ``xyxy`` boxes around the corners of the boxes, moved by ``point(x, y)``."""
    left, top, right, bottom = _columns(boxes)
    moved = [point(x, y) for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))]
    xs, ys = (ops.concat([corner[i] for corner in moved], axis=-1) for i in (0, 1))
    least, most = ([f(v, axis=-1, keepdims=True) for v in (xs, ys)] for f in (ops.min, ops.max))
    return _joined(*least, *most)


def affine_transform(
    boxes: Any,
    angle: Any,
    translate_x: Any,
    translate_y: Any,
    scale: Any,
    shear_x: Any,
    shear_y: Any,
    height: Any,
    width: Any,
    center_x: Any = None,
    center_y: Any = None,
    bounding_box_format: str = "xyxy",
) -> Any:
    """The boxes around what was in the boxes, after turning, slanting, scaling and shifting the image.

    Args:
        boxes: shape ``(batch, boxes, 4)``, left, top, right, bottom in pixels.
        angle: degrees, counter-clockwise, of shape ``(batch,)`` as all that follow.
        translate_x: shift to the left, as a share of the width.
        translate_y: shift up, as a share of the height.
        scale: factor.
        shear_x: slant of vertical lines, in degrees.
        shear_y: slant of horizontal lines, in degrees.
        height: the image's height in pixels.
        width: likewise.
        center_x: the point that stays, as a share of the width; default the middle.
        center_y: likewise.
        bounding_box_format: ``"xyxy"``.

    Returns:
        A Tensor of the same shape.
    """
    _only_corners("affine_transform", bounding_box_format)
    boxes = ops.as_tensor(boxes)
    dtype = boxes.dtype if is_float(boxes.dtype) else ops.as_tensor(0.0).dtype

    def each(value: Any, unit: float = 1.0) -> Any:
        return ops.reshape(ops.astype(ops.as_tensor(value), dtype), (-1, 1, 1)) * unit

    boxes = ops.astype(boxes, dtype)
    turn = each(angle, -math.pi / 180)
    slant_x, slant_y = each(shear_x, -math.pi / 180), each(shear_y, -math.pi / 180)
    across, down = (0.5 if c is None else c for c in (center_x, center_y))
    cx, cy = across * (width - 1), down * (height - 1)
    # The inverse of turn and slant; its determinant is 1.
    a = ops.cos(turn - slant_y) / ops.cos(slant_y)
    b = a * ops.tan(slant_x) + ops.sin(turn)
    c = -ops.sin(turn - slant_y) / ops.cos(slant_y)
    d = ops.cos(turn) - c * ops.tan(slant_x)
    x0, y0 = cx - each(translate_x) * (width - 1), cy - each(translate_y) * (height - 1)

    def point(x: Any, y: Any) -> tuple[Any, Any]:
        x, y = x - x0, y - y0
        return cx + (d * x - b * y) * each(scale), cy + (a * y - c * x) * each(scale)

    return mapped(boxes, point)


def crop(boxes: Any, top: Any, left: Any, height: Any, width: Any, bounding_box_format: str = "xyxy") -> Any:
    """The boxes within a part of the image, counted from that part's corner.

    Args:
        boxes: shape ``(..., 4)``, left, top, right, bottom in pixels.
        top: row where the part begins.
        left: column where it begins.
        height: its rows.
        width: its columns.
        bounding_box_format: ``"xyxy"``.

    Example:
        >>> import lamina
        >>> lamina.utils.bounding_boxes.crop([[10.0, 20.0, 50.0, 60.0]], top=10, left=20, height=40, width=20).tolist()
        [[0.0, 10.0, 20.0, 40.0]]
    """
    _only_corners("crop", bounding_box_format)
    return clip_corners(pad(boxes, -ops.as_tensor(top), -ops.as_tensor(left)), height, width)


def pad(
    boxes: Any, top: Any, left: Any, height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> Any:
    """The boxes after margins were added to the image at the top and at the left.

    Args:
        boxes: shape ``(..., 4)``, left, top, right, bottom in pixels.
        top: rows added.
        left: columns added.
        height: not needed.
        width: not needed.
        bounding_box_format: ``"xyxy"``.

    Example:
        >>> import lamina
        >>> lamina.utils.bounding_boxes.pad([[1.0, 2.0, 3.0, 4.0]], top=10, left=20).tolist()
        [[21.0, 12.0, 23.0, 14.0]]
    """
    _only_corners("pad", bounding_box_format)
    x1, y1, x2, y2 = _columns(ops.as_tensor(boxes))
    return _joined(x1 + left, y1 + top, x2 + left, y2 + top)


# --- overlaps ---------------------------------------------------------------------------------------
def _sizes(image_shape: Any) -> tuple[Any, Any]:
    return (None, None) if image_shape is None else (image_shape[0], image_shape[1])


def _needs_sizes(form: str, image_shape: Any) -> None:
    if "rel" in form.lower() and image_shape is None:
        raise ArgumentError(
            "When using relative bounding box formats (e.g. `rel_yxyx`) the `image_shape` argument must be provided. "
            f"Received `image_shape`: {image_shape}"
        )


def compute_iou(
    boxes1: Any,
    boxes2: Any,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: float = -1,
    image_shape: Any = None,
) -> Any:
    """Intersection over union of every box of one set with every box of another.

    Args:
        boxes1: shape ``(m, 4)`` or ``(batch, m, 4)``.
        boxes2: shape ``(n, 4)`` or ``(batch, n, 4)``.
        bounding_box_format: format of both (see ``convert_format``).
        use_masking: whether boxes that are padding (all numbers below 0) give ``mask_val``.
        mask_val: see there.
        image_shape: ``(height, width, channels)``, for formats that hold shares.

    Returns:
        A Tensor of shape ``(m, n)`` or ``(batch, m, n)``.

    Raises:
        ShapeError: a set has not 2 or 3 axes.
        ArgumentError: ``image_shape`` is missing.

    Example:
        >>> import lamina
        >>> iou = lamina.utils.bounding_boxes.compute_iou([[0.0, 0.0, 2.0, 2.0]], [[1.0, 0.0, 3.0, 2.0]], "xyxy")
        >>> round(iou.item(), 4)
        0.3333
    """
    one, two = ops.as_tensor(boxes1), ops.as_tensor(boxes2)
    if one.ndim not in (2, 3) or two.ndim not in (2, 3):
        raise ShapeError(
            "compute_iou() expects boxes1 and boxes2 to be batched, or to be unbatched (3 or 2 axes). "
            f"Received len(boxes1.shape)={one.ndim}, len(boxes2.shape)={two.ndim}."
        )
    _needs_sizes(bounding_box_format, image_shape)
    height, width = _sizes(image_shape)
    one, two = (convert_format(x, bounding_box_format, "xyxy", height, width) for x in (one, two))
    a = [ops.expand_dims(one[..., i], axis=-1) for i in range(4)]
    b = [ops.expand_dims(two[..., i], axis=-2) for i in range(4)]
    sides = [ops.maximum(ops.minimum(a[i + 2], b[i + 2]) - ops.maximum(a[i], b[i]), 0.0) for i in (0, 1)]
    common = sides[0] * sides[1]
    areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    result = common / (areas[0] + areas[1] - common + config.epsilon())
    if not use_masking:
        return result
    padding = [ops.max(x, axis=-1) < 0 for x in (one, two)]
    hidden = ops.logical_or(ops.expand_dims(padding[0], axis=-1), ops.expand_dims(padding[1], axis=-2))
    return ops.where(hidden, float(mask_val), result)


def compute_ciou(boxes1: Any, boxes2: Any, bounding_box_format: str, image_shape: Any = None) -> Any:
    """Complete IoU of boxes, pair by pair: ``iou - d²/c² - a·v``.

    ``d`` is the distance of the centres, ``c`` the diagonal of the box around both, ``v`` the difference of the
    ratios of width to height, and ``a = v / (1 - iou + v)``.

    Args:
        boxes1: shape ``(..., 4)``.
        boxes2: shape ``(..., 4)``, the same or one that broadcasts with it.
        bounding_box_format: format of both (see ``convert_format``).
        image_shape: ``(height, width, channels)``, for formats that hold shares.

    Returns:
        A Tensor of shape ``(...)``.

    Source: Zheng et al., "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression", AAAI 2020.

    Example:
        >>> import lamina
        >>> box = [0.0, 0.0, 2.0, 4.0]
        >>> round(lamina.utils.bounding_boxes.compute_ciou(box, box, "xyxy").item(), 4)
        1.0
    """
    _needs_sizes(bounding_box_format, image_shape)
    tiny = config.epsilon()
    height, width = _sizes(image_shape)
    one, two = (convert_format(x, bounding_box_format, "xyxy", height, width) for x in (boxes1, boxes2))
    a, b = ([x[..., i] for i in range(4)] for x in (one, two))
    common = ops.maximum(ops.minimum(a[2], b[2]) - ops.maximum(a[0], b[0]), 0.0)
    common = common * ops.maximum(ops.minimum(a[3], b[3]) - ops.maximum(a[1], b[1]), 0.0)
    (w1, h1), (w2, h2) = ((x[2] - x[0], x[3] - x[1] + tiny) for x in (a, b))
    iou = common / (w1 * h1 + w2 * h2 - common + 2 * tiny)
    around = [ops.maximum(a[i + 2], b[i + 2]) - ops.minimum(a[i], b[i]) for i in (0, 1)]
    apart = [(a[i] + a[i + 2] - b[i] - b[i + 2]) / 2 for i in (0, 1)]
    distance = (apart[0] ** 2 + apart[1] ** 2) / (around[0] ** 2 + around[1] ** 2 + tiny)
    v = (4 / math.pi**2) * ops.square(ops.atan(w2 / h2) - ops.atan(w1 / h1))
    return iou - distance - v * v / (v - iou + (1 + tiny))


# --- deltas -----------------------------------------------------------------------------------------
def _delta_arguments(encoding: str, variance: Any) -> Any:
    """The variance as a Tensor, or ``None``.

    Raises:
        ArgumentError: it has not four numbers, or the encoding is not one with centres.
    """
    if encoding not in ("center_xywh", "center_yxhw"):
        raise ArgumentError(f"`encoding_format` should be one of 'center_xywh' or 'center_yxhw', got {encoding}")
    if variance is None:
        return None
    variance = ops.as_tensor(variance, dtype="float32")
    if variance.ndim == 0 or variance.shape[-1] != 4:
        raise ArgumentError(f"`variance` must be length 4, got {variance}")
    return variance


def encode_box_to_deltas(
    anchors: Any,
    boxes: Any,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> Any:
    """What a detector is to predict: boxes as seen from anchors.

    ``((centre - anchor's centre) / anchor's size, log(size / anchor's size)) / variance``.

    Args:
        anchors: shape ``(n, 4)``.
        boxes: shape ``(n, 4)`` or ``(batch, n, 4)``.
        anchor_format: see ``convert_format``.
        box_format: likewise.
        encoding_format: order of the result: ``"center_yxhw"`` or ``"center_xywh"``.
        variance: four numbers that the result is divided by.
        image_shape: ``(height, width, channels)``, for formats that hold shares.

    Returns:
        A Tensor of the shape of ``boxes``.

    Example:
        >>> import lamina
        >>> box, anchor = [[1.0, 1.0, 3.0, 3.0]], [[0.0, 0.0, 2.0, 2.0]]
        >>> lamina.utils.bounding_boxes.encode_box_to_deltas(anchor, box, "xyxy", "xyxy").tolist()
        [[0.5, 0.5, 0.0, 0.0]]
    """
    variance = _delta_arguments(encoding_format, variance)
    height, width = _sizes(image_shape)
    anchors = convert_format(anchors, anchor_format, encoding_format, height, width)
    boxes = convert_format(boxes, box_format, encoding_format, height, width)
    size, anchor_size = (ops.maximum(x[..., 2:], config.epsilon()) for x in (boxes, anchors))
    deltas = ops.concat([(boxes[..., :2] - anchors[..., :2]) / anchor_size, ops.log(size / anchor_size)], axis=-1)
    return deltas if variance is None else deltas / variance


def decode_deltas_to_boxes(
    anchors: Any,
    boxes_delta: Any,
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> Any:
    """Boxes from what a detector predicted: the inverse of ``encode_box_to_deltas``.

    Args:
        anchors: shape ``(n, 4)``; or a dict of such, one for each level.
        boxes_delta: shape ``(n, 4)`` or ``(batch, n, 4)``; or a dict with the same keys.
        anchor_format: see ``convert_format``.
        box_format: format of the result.
        encoded_format: order of the deltas: ``"center_yxhw"`` or ``"center_xywh"``.
        variance: four numbers that the deltas are multiplied by.
        image_shape: ``(height, width, channels)``, for formats that hold shares.

    Returns:
        A Tensor of the shape of ``boxes_delta``, or a dict.

    Example:
        >>> import lamina
        >>> anchor, delta = [[0.0, 0.0, 2.0, 2.0]], [[0.5, 0.5, 0.0, 0.0]]
        >>> lamina.utils.bounding_boxes.decode_deltas_to_boxes(anchor, delta, "xyxy", "xyxy").tolist()
        [[1.0, 1.0, 3.0, 3.0]]
    """
    if isinstance(anchors, dict):
        rest = (anchor_format, box_format, encoded_format, variance, image_shape)
        return {level: decode_deltas_to_boxes(anchors[level], boxes_delta[level], *rest) for level in anchors}
    variance = _delta_arguments(encoded_format, variance)
    height, width = _sizes(image_shape)
    anchor = convert_format(anchors, anchor_format, encoded_format, height, width)
    deltas = ops.as_tensor(boxes_delta)
    deltas = deltas if variance is None else deltas * variance
    size = ops.maximum(anchor[..., 2:], config.epsilon())
    boxes = ops.concat([deltas[..., :2] * size + anchor[..., :2], ops.exp(deltas[..., 2:]) * size], axis=-1)
    return convert_format(boxes, encoded_format, box_format, height, width)
