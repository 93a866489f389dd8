"""``keras.ops.image``: Lamina's functions with the default data format of the configuration."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from lamina import config, ops, random
from lamina.core.errors import ArgumentError
from lamina.ops import image, sampling
from lamina.ops.image import map_coordinates as map_coordinates
from lamina.ops.image import scale_and_translate as scale_and_translate


def _with_format(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose ``data_format`` is by default that of the configuration."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("data_format") is None:
            kwargs["data_format"] = config.image_data_format()
        return function(*args, **kwargs)

    return call


affine_transform = _with_format(image.affine_transform)
crop_images = _with_format(image.crop_images)
extract_patches = _with_format(image.extract_patches)
extract_patches_3d = _with_format(image.extract_patches_3d)
gaussian_blur = _with_format(image.gaussian_blur)
hsv_to_rgb = _with_format(image.hsv_to_rgb)
pad_images = _with_format(image.pad_images)
perspective_transform = _with_format(image.perspective_transform)
resize = _with_format(image.resize)
rgb_to_grayscale = _with_format(image.rgb_to_grayscale)
rgb_to_hsv = _with_format(image.rgb_to_hsv)
sobel_edges = _with_format(image.sobel_edges)
ssim = _with_format(image.ssim)


def elastic_transform(
    images: Any,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> Any:
    """Images whose pixels are displaced by smooth random distances of about ``alpha``."""
    sampling.one_of("interpolation", interpolation, ("nearest", "bilinear"))
    sampling.one_of("fill_mode", fill_mode, sampling.FILL_MODES)
    if alpha < 0 or sigma <= 0:
        raise ArgumentError(f"elastic_transform: alpha >= 0 and sigma > 0; got {alpha} and {sigma}.")
    batch, back = sampling.image_batch("elastic_transform", images, data_format or config.image_data_format())
    shape = (*batch.shape[:3], 1)
    size = 6 * max(int(sigma), 1) + 1
    moved = []
    for key in random.split(seed if seed is not None else random.default_generator(), 2):
        noise = random.normal(shape, stddev=1.0, key=key)
        smooth = image.gaussian_blur(noise, (size, size), (sigma, sigma))
        moved.append(ops.squeeze(ops.multiply(smooth, alpha), -1))
    return back(sampling.displaced(batch, moved[0], moved[1], interpolation, fill_mode, fill_value))
