"""Grids of images: what is drawn where, in which range, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.core.errors import ArgumentError, ShapeError
from lamina.plotting import plot_images

pytest.importorskip("matplotlib", reason="plotting needs the extra 'plot'")


def drawn(figure: Any) -> list[np.ndarray]:
    return [np.asarray(panel.images[0].get_array()) for panel in figure.axes]


def test_grey_images_in_their_places(rng: np.random.Generator, tmp_path: Path) -> None:
    images = rng.random((5, 6, 8), np.float32)
    figure = plot_images(images, titles=range(5), columns=3, path=tmp_path / "grid.png", title="five")
    np.testing.assert_array_equal(drawn(figure), images)
    assert [panel.get_title() for panel in figure.axes] == ["0", "1", "2", "3", "4"]
    assert figure.axes[0].images[0].get_clim() == (0, 1) and figure.get_suptitle() == "five"
    boxes = [panel.get_position() for panel in figure.axes]
    assert boxes[0].y0 == boxes[2].y0 > boxes[3].y1 and boxes[0].x0 == boxes[3].x0 < boxes[4].x0
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")


def test_colours_and_ranges(rng: np.random.Generator) -> None:
    bytes_ = rng.integers(0, 256, (2, 6, 8, 3)).astype(np.uint8)
    np.testing.assert_allclose(drawn(plot_images(bytes_)), bytes_ / 255)
    np.testing.assert_allclose(drawn(plot_images(bytes_.transpose(0, 3, 1, 2), data_format="channels_first")),
                               bytes_ / 255)  # fmt: skip
    around_zero = np.asarray([[[-2.0, 0.0], [1.0, 2.0]]])
    assert plot_images(around_zero).axes[0].images[0].get_clim() == (-2, 2)
    assert plot_images(around_zero, value_range=(-4, 0)).axes[0].images[0].get_clim() == (-4, 0)
    tanh = around_zero[..., None].repeat(3, -1)
    np.testing.assert_allclose(drawn(plot_images(tanh))[0], (tanh[0] + 2) / 4)
    assert plot_images(np.zeros((4, 4), bool)).axes[0].images[0].get_clim() == (0, 1)
    assert np.isfinite(drawn(plot_images(np.full((1, 4, 4), np.nan)))).all()


def test_one_image_lists_and_tensors(rng: np.random.Generator) -> None:
    assert len(plot_images(rng.random((6, 8))).axes) == 1
    assert drawn(plot_images(rng.random((6, 8, 3))))[0].shape == (6, 8, 3)
    assert drawn(plot_images(rng.random((3, 6, 8)), data_format="channels_first"))[0].shape == (6, 8, 3)
    sizes = [image.shape for image in drawn(plot_images([rng.random((4, 4)), rng.random((5, 7, 1))]))]
    assert sizes == [(4, 4), (5, 7)]
    assert len(plot_images(lamina.ones((9, 4, 4, 1))).axes) == 9


@pytest.mark.parametrize(
    ("images", "options", "error", "message"),
    [
        (np.zeros((2, 4, 4, 5)), {}, ShapeError, r"got shape \(4, 4, 5\)"),
        (np.zeros((2, 3, 5, 5)), {}, ShapeError, "say data_format='channels_first'"),
        (np.zeros(4), {}, ShapeError, "An image is"),
        (np.zeros((0, 5, 5)), {}, ArgumentError, "got 0"),
        (np.zeros((401, 5, 5)), {}, ArgumentError, "Draw a part of them"),
        (np.zeros((2, 5, 5)), {"titles": "abc"}, ArgumentError, "2 images and 3 titles"),
        (np.zeros((2, 5, 5)), {"columns": 0}, ArgumentError, "at least 1"),
        (np.zeros((2, 5, 5)), {"value_range": (1, 1)}, ArgumentError, "black < white"),
        ("cat.png", {}, ArgumentError, "arrays of numbers"),
        (np.zeros((2, 5, 5)), {"path": "a.xyz"}, ArgumentError, "ends in none of"),
        (np.zeros((2, 5, 5)), {"data_format": "NCHW"}, ArgumentError, "channels_first"),
    ],
)
def test_what_is_refused(images: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot_images(images, **options)


def test_in_a_notebook() -> None:
    page = plot_images(np.eye(8), title="a 'line'")._repr_html_()
    assert page.startswith("<img alt='a &#x27;line&#x27;'") and "data:image/png;base64,iVBOR" in page
    copied = pickle.loads(pickle.dumps(plot_images(np.eye(8), title="kept")))
    assert copied._repr_html_().startswith("<img alt='kept'")


def test_titles_fit_above_small_images() -> None:
    words = "a title that is much longer than one small image is wide"
    figure = plot_images(np.zeros((3, 8, 8)), titles=[words[:30]] * 3, columns=3, title=words * 2)
    figure.draw_without_rendering()
    edge = figure.bbox.width
    assert figure._suptitle.get_window_extent().x1 <= edge
    boxes = [panel.title.get_window_extent() for panel in figure.axes]
    assert boxes[0].x1 < boxes[1].x0 and boxes[1].x1 < boxes[2].x0
