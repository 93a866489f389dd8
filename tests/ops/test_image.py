"""Images as tensors, beside formulas of NumPy and beside Keras."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.core.errors import ArgumentError, ShapeError
from lamina.ops import image, patches, sampling
from lamina.ops.rearranging import rearrange

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(2, 6, 5, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    return pytest.importorskip("keras")


def close(got: Any, expected: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("mode", sampling.FILL_MODES)
@pytest.mark.parametrize("order", [0, 1])
def test_coordinates_outside_are_filled_as_keras_does(keras: Any, mode: str, order: int) -> None:
    x = RNG.normal(size=(4, 5)).astype(np.float32)
    places = RNG.uniform(-6, 9, size=(2, 30)).astype(np.float32)
    got = sampling.map_coordinates(x, places, order, mode, 0.5)
    close(got, keras.ops.image.map_coordinates(x, places, order, mode, 0.5))


def test_coordinates_of_integers_round() -> None:
    got = sampling.map_coordinates(np.array([0, 10], np.uint8), [[0.26, 0.74]])
    assert got.dtype == "uint8"
    assert got.tolist() == [3, 7]


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("size", [(3, 4), (12, 10), (4, 11)])
def test_resize(keras: Any, method: str, antialias: bool, size: tuple[int, int]) -> None:
    if method == "nearest" and antialias:
        antialias = False
    got = image.resize(IMAGES, size, method, antialias)
    close(got, keras.ops.image.resize(IMAGES, size, method, antialias), 1e-4)


def test_resize_keeps_proportions(keras: Any) -> None:
    for kind in ("crop_to_aspect_ratio", "pad_to_aspect_ratio"):
        got = image.resize(IMAGES, (4, 9), **{kind: True})
        close(got, keras.ops.image.resize(IMAGES, (4, 9), **{kind: True}), 1e-5)
    with pytest.raises(ArgumentError, match="Only one of"):
        image.resize(IMAGES, (4, 9), crop_to_aspect_ratio=True, pad_to_aspect_ratio=True)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_an_affine_map_reads_where_its_numbers_say(interpolation: str, data_format: str) -> None:
    moved = IMAGES if data_format == "channels_last" else IMAGES.transpose(0, 3, 1, 2)
    shift = [1.0, 0.0, 2.0, 0.0, 1.0, 1.0, 0.0, 0.0]  # reads two to the right, one below
    got = image.affine_transform(moved, shift, interpolation, fill_value=7, data_format=data_format)
    expected = np.full_like(IMAGES, 7.0)
    expected[:, :-1, :-2] = IMAGES[:, 1:, 2:]
    close(got if data_format == "channels_last" else np.asarray(got).transpose(0, 2, 3, 1), expected)


def test_a_perspective_moves_its_points(keras: Any) -> None:
    start = np.array([[0, 0], [4, 0], [0, 5], [4, 5]], np.float32)
    end = np.array([[1, 0], [4, 1], [0, 4], [3, 5]], np.float32)
    got = image.perspective_transform(IMAGES, start, end)
    close(got[:, 0, 1], IMAGES[:, 0, 0], 1e-3)
    close(got[:, 5, 3], IMAGES[:, 5, 4], 1e-3)
    close(got[0], keras.ops.image.perspective_transform(IMAGES[0], start, end), 1e-3)
    close(image.perspective_transform(IMAGES, start, start), IMAGES, 1e-4)


def test_colours(keras: Any) -> None:
    ours = image.rgb_to_hsv(IMAGES)
    close(ours, keras.ops.image.rgb_to_hsv(IMAGES))
    close(image.hsv_to_rgb(ours), IMAGES)
    close(image.rgb_to_grayscale(IMAGES), keras.ops.image.rgb_to_grayscale(IMAGES))
    with pytest.raises(ShapeError, match="3 channels"):
        image.rgb_to_hsv(IMAGES[..., :2])


def test_filters(keras: Any) -> None:
    big = RNG.uniform(size=(2, 16, 16, 3)).astype(np.float32)
    other = np.clip(big + RNG.normal(size=big.shape).astype(np.float32) * 0.1, 0, 1)
    across, down = (np.exp(-0.5 * (np.arange(-1, 2) / s) ** 2) for s in (1.0, 0.5))
    window = np.outer(down / down.sum(), across / across.sum())
    wide = np.pad(big, [(0, 0), (1, 1), (1, 1), (0, 0)])
    blurred = sum(window[i, j] * wide[:, i : i + 16, j : j + 16] for i in range(3) for j in range(3))
    close(image.gaussian_blur(big, (3, 3), (1.0, 0.5)), blurred)
    close(image.sobel_edges(big), keras.ops.image.sobel_edges(big), 1e-4)
    close(image.ssim(big, other), keras.ops.image.ssim(big, other), 1e-4)
    close(image.ssim(big, big), [1.0, 1.0])


def test_edges_are_added_and_taken() -> None:
    padded = image.pad_images(IMAGES, top_padding=1, left_padding=2, target_height=9, target_width=9)
    assert padded.shape == (2, 9, 9, 3)
    close(padded[:, 1:7, 2:7], IMAGES)
    back = image.crop_images(padded, top_cropping=1, left_cropping=2, target_height=6, target_width=5)
    close(back, IMAGES)
    with pytest.raises(ArgumentError, match="exactly two"):
        image.pad_images(IMAGES, top_padding=1)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_patches(keras: Any, padding: str) -> None:
    got = image.extract_patches(IMAGES, (2, 3), (2, 1), 1, padding)
    close(got, keras.ops.image.extract_patches(IMAGES, (2, 3), (2, 1), 1, padding))
    x = RNG.normal(size=(2, 3, 6, 5)).astype(np.float32)
    columns = patches.unfold(x, (2, 3), padding=1)
    counts = patches.fold(patches.unfold(np.ones_like(x), (2, 3), padding=1), (6, 5), (2, 3), padding=1)
    close(patches.fold(columns, (6, 5), (2, 3), padding=1), x * np.asarray(counts))
    blocks = patches.space_to_depth(IMAGES[:, :, :4], 2)
    assert blocks.shape == (2, 3, 2, 12)
    close(patches.depth_to_space(blocks, 2), IMAGES[:, :, :4])


def test_gradients_reach_images_and_numbers() -> None:
    shift = lamina.tensor(np.array([1.0, 0, 0.3, 0, 1.0, 0.2, 0, 0]))
    x = lamina.tensor(IMAGES.astype(np.float64))

    def total(numbers: Any) -> Any:
        return lamina.sum(image.affine_transform(x, numbers) ** 2)

    slope = lamina.grad(total)(shift).numpy()
    step = np.zeros(8)
    step[2] = 1e-6
    expected = (total(shift + step) - total(shift - step)).item() / 2e-6
    np.testing.assert_allclose(slope[2], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("pattern", "sizes", "shape"),
    [
        ("b h w c -> b (h w) c", {}, (2, 30, 3)),
        ("b (h p) w c -> b h (p w c)", {"p": 2}, (2, 3, 30)),
        ("b ... -> ... b", {}, (6, 5, 3, 2)),
    ],
)
def test_rearrange(pattern: str, sizes: dict[str, int], shape: tuple[int, ...]) -> None:
    got = rearrange(IMAGES, pattern, **sizes)
    assert got.shape == shape
    np.testing.assert_allclose(np.sort(got.numpy(), axis=None), np.sort(IMAGES, axis=None))


def test_rearrange_refuses_what_does_not_fit() -> None:
    with pytest.raises(ArgumentError, match="each axis once"):
        rearrange(IMAGES, "b h w c -> b h w")
    with pytest.raises(ShapeError, match="does not divide"):
        rearrange(IMAGES, "b (h p) w c -> b h p w c", p=4)


@pytest.mark.parametrize("compiled", [False, True])
def test_an_infinite_pixel_changes_only_those_that_it_counts_in(compiled: bool) -> None:
    x = np.arange(10.0, dtype="float32").reshape(1, 5, 2)
    x[0, 4, 0], x[0, 1, 1] = np.inf, np.nan

    def both(x: Any) -> Any:
        return lamina.nn.adaptive_average_pool(x, 2), lamina.nn.resize(x, 10)

    pooled, resized = (lamina.function(both) if compiled else both)(lamina.tensor(x))
    np.testing.assert_array_equal(pooled[0], [[2.0, np.nan], [np.inf, 7.0]])
    assert np.isfinite(resized.numpy()[0, :, 0]).tolist() == [True] * 7 + [False] * 3
    assert np.isfinite(resized.numpy()[0, :, 1]).tolist() == [True] + [False] * 4 + [True] * 5


@pytest.mark.parametrize("far", [2.0**32, -(2.0**32), 1e20, -1e20])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_far_outside_is_not_inside(far, channels):
    images = lamina.ones((1, 4, 4, channels))
    moved = [1.0, 0.0, far, 0.0, 1.0, 0.0, 0.0, 0.0]
    found = lamina.function(lambda x: lamina.ops.image.affine_transform(x, moved, fill_value=7.0))(images)
    assert (found.numpy() == 7).all()
