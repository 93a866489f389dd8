"""Drawings of models: where boxes and lines go, and what they say."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError
from lamina.plotting import model_to_dot, plot_model
from lamina.plotting.layout import LINE_GAP, arrange


# --- the layout -------------------------------------------------------------------------------------
@st.composite
def acyclic_graphs(draw: Any) -> tuple[list[tuple[float, float]], list[tuple[int, int]]]:
    count = draw(st.integers(1, 14))
    sizes = draw(st.lists(st.tuples(st.floats(5, 200), st.floats(5, 60)), min_size=count, max_size=count))
    pairs = [(a, b) for b in range(count) for a in range(b)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=24)) if pairs else []
    return sizes, edges


@settings(max_examples=150, deadline=None)
@given(acyclic_graphs())
def test_boxes_are_apart_and_lines_run_forward(graph: Any) -> None:
    sizes, edges = graph
    found = arrange(sizes, edges)
    extents = [
        (u - w / 2, v - h / 2, u + w / 2, v + h / 2) for (u, v), (w, h) in zip(found.centers, sizes, strict=True)
    ]
    for i, a in enumerate(extents):
        assert a[0] >= -1e-6 and a[1] >= -1e-6 and a[2] <= found.size[0] + 1e-6 and a[3] <= found.size[1] + 1e-6
        for b in extents[i + 1 :]:
            assert a[2] <= b[0] + 1e-6 or b[2] <= a[0] + 1e-6 or a[3] <= b[1] + 1e-6 or b[3] <= a[1] + 1e-6
    for (a, b), line in zip(edges, found.lines, strict=True):
        assert line[0] == (found.centers[a][0], pytest.approx(extents[a][3]))
        assert line[-1] == (found.centers[b][0], pytest.approx(extents[b][1]))
        assert all(p[1] <= q[1] + 1e-6 for p, q in pairwise(line))
        for p, q in pairwise(line):  # where a line passes a rank it touches no box
            for i, (left, top, right, bottom) in enumerate(extents):
                if i not in (a, b) and p[0] == q[0] and p[1] < bottom and q[1] > top:
                    assert not left - LINE_GAP / 2 < p[0] < right + LINE_GAP / 2


def test_chains_are_straight_and_siblings_stand_to_both_sides() -> None:
    chain = arrange([(50.0, 20.0), (120.0, 20.0), (80.0, 20.0), (60.0, 20.0)], [(0, 1), (1, 2), (2, 3), (0, 3)])
    assert len({u for u, _ in chain.centers}) == 1
    passing = chain.lines[3]
    assert len({u for u, _ in passing[1:-1]}) == 1 and abs(passing[1][0] - chain.centers[1][0]) >= 60 + LINE_GAP
    fork = arrange([(50.0, 20.0)] * 4, [(0, 1), (0, 2), (1, 3), (2, 3)])
    (top, _), (left, _), (right, _), (bottom, _) = fork.centers
    assert top == bottom == pytest.approx((left + right) / 2)


def test_crossings_are_undone() -> None:
    found = arrange([(30.0, 10.0)] * 6, [(0, 5), (1, 4), (2, 3)])
    order = lambda boxes: sorted(boxes, key=lambda i: found.centers[i][0])  # noqa: E731
    assert [{0: 5, 1: 4, 2: 3}[i] for i in order([0, 1, 2])] == order([3, 4, 5])


def test_circles_are_refused() -> None:
    with pytest.raises(ValueError, match="circle"):
        arrange([(1.0, 1.0)] * 2, [(0, 1), (1, 0)])


# --- models -------------------------------------------------------------------------------------------
def network() -> lamina.Model:
    inner = lamina.Sequential([layers.Input((4,)), layers.Dense(3, "tanh", name="deep")], name="block")
    a, b = layers.Input((4,), name="a"), layers.Input((4,), name="b")
    left, right = inner(a), inner(b)
    inner.trainable = False
    merged = layers.Concatenate(name="join")([left, right])
    return lamina.Model(
        [a, b], [layers.Dense(2, "softmax", name="kind")(merged), layers.Dropout(0.5)(merged)], name="m"
    )


def texts(picture: Any) -> list[str]:
    root = ElementTree.fromstring(picture.svg())
    return [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}text")]


def test_what_is_shown() -> None:
    model = network()
    plain = texts(plot_model(model, None))
    assert sorted(plain) == ["Concatenate", "Dense", "Dropout", "InputLayer", "InputLayer", "Sequential"]
    shown = texts(
        plot_model(
            model, None, show_shapes=True, show_dtype=True, show_layer_names=True, show_layer_activations=True,
            show_trainable=True, expand_nested=True,
        )
    )  # fmt: skip
    for text in (
        "kind", "deep", "block", "(None, 4) → (None, 3)", "(None, 3), (None, 3) → (None, 6)", "activation  softmax",
        "activation  tanh", "frozen", "trainable", "float32",
    ):  # fmt: skip
        assert text in shown, text


@pytest.mark.parametrize("rankdir", ["TB", "LR", "BT", "RL"])
def test_directions_and_what_is_inside(rankdir: str) -> None:
    picture = model_to_dot(network(), rankdir=rankdir, expand_nested=True, show_shapes=True)
    outer = next(r for r in picture.rects if r.fill == "#fafbfc")
    within = [
        r for r in picture.rects
        if outer.x < r.x and outer.y < r.y and r.x + r.width < outer.x + outer.width
        and r.y + r.height < outer.y + outer.height
    ]  # fmt: skip
    assert len(within) == 1 and len(picture.rects) == 7
    assert all(0 <= r.x <= r.x + r.width <= picture.width for r in picture.rects)
    assert all(0 <= r.y <= r.y + r.height <= picture.height for r in picture.rects)
    where = {t.text: (t.x, t.y) for t in picture.texts}
    axis, sign = {"TB": (1, 1), "BT": (1, -1), "LR": (0, 1), "RL": (0, -1)}[rankdir]
    assert sign * (where["join"][axis] - where["a"][axis]) > 0
    starts = {p.points[0] for p in picture.paths}
    ends = {p.points[-1] for p in picture.paths}
    assert all(0 <= x <= picture.width and 0 <= y <= picture.height for x, y in starts | ends)


def test_texts_fit_their_boxes() -> None:
    pytest.importorskip("matplotlib", reason="pictures need the extra 'plot'")
    picture = model_to_dot(network(), show_shapes=True, show_dtype=True)
    figure = picture.figure()
    axes = figure.axes[0]
    for text in axes.texts:
        box = text.get_window_extent().transformed(axes.transData.inverted())
        x, y = sorted((box.x0, box.x1)), sorted((box.y0, box.y1))
        assert any(
            r.x <= x[0] and x[1] <= r.x + r.width and r.y <= y[0] and y[1] <= r.y + r.height for r in picture.rects
        ), text.get_text()


@pytest.mark.parametrize(
    ("ending", "magic"),
    [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<svg"), ("dot", b"digraph"), ("jpg", b"\xff\xd8")],
)
def test_files(tmp_path: Path, ending: str, magic: bytes) -> None:
    if ending not in ("svg", "dot"):
        pytest.importorskip("matplotlib", reason="pictures need the extra 'plot'")
    picture = plot_model(network(), tmp_path / f"model.{ending}")
    assert (tmp_path / f"model.{ending}").read_bytes().startswith(magic)
    assert picture._repr_svg_() == picture.svg()


def test_dots_per_inch(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="reads the picture back")
    picture = plot_model(network(), tmp_path / "a.png", dpi=96)
    picture.save(tmp_path / "b.png", dpi=192)
    small, large = image.open(tmp_path / "a.png").size, image.open(tmp_path / "b.png").size
    assert abs(small[0] - picture.width) <= 1 and abs(large[0] - 2 * small[0]) <= 2


def test_dot_connects_what_is_inside() -> None:
    text = model_to_dot(network(), expand_nested=True).to_string()
    assert "rankdir=TB" in text and "subgraph cluster_" in text
    inner = next(line.split()[0] for line in text.splitlines() if "deep" in line)
    joined = next(line.split()[0] for line in text.splitlines() if "join" in line)
    assert f"{inner} -> {joined};" in text and text.count(f"-> {inner};") == 2


def test_a_layer_applied_to_its_own_output() -> None:
    inputs = layers.Input((3,))
    dense = layers.Dense(3, name="twice")
    model = lamina.Model(inputs, dense(dense(inputs)))
    assert texts(plot_model(model, None, show_layer_names=True)).count("twice") == 2


def test_functions_between_layers() -> None:
    inputs = layers.Input((4,))
    model = lamina.Model(inputs, layers.Dense(2)(inputs * 2.0 + 1.0))
    assert texts(plot_model(model, None)) == ["InputLayer", "Multiply", "Add", "Dense"]


def test_sequential_subclassed_and_without_graph() -> None:
    model = lamina.Sequential([layers.Dense(3), layers.ReLU()])
    with pytest.raises(ArgumentError, match="has not yet been built"):
        plot_model(model, None)
    model(lamina.ones((2, 4)))
    picture = plot_model(model, None, show_shapes=True)
    assert len(picture.rects) == 2 and len(picture.paths) == 1 and "(None, 4) → (None, 3)" in texts(picture)

    class Own(lamina.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

    own = Own()
    own(lamina.ones((1, 3)))
    assert texts(plot_model(own, None, show_shapes=True)) == ["Own", "(None, 3) → (None, 2)"]


def test_many_layers_are_quick() -> None:
    x = inputs = layers.Input((8,))
    for _ in range(120):
        x = layers.Add()([layers.ReLU()(layers.ReLU()(x)), x])
    model = lamina.Model(inputs, x)
    started = time.thread_time()
    picture = plot_model(model, None)
    assert time.thread_time() - started < 5
    assert len(picture.rects) == 361


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="'TB', 'LR'"):
        plot_model(network(), None, rankdir="UP")
    with pytest.raises(ArgumentError, match="layer_range"):
        plot_model(network(), None, layer_range=("a", "b"))
    with pytest.raises(ArgumentError, match=r"lamina\.Model; got Dense"):
        plot_model(layers.Dense(3), None)
    pytest.importorskip("matplotlib", reason="asks matplotlib for the formats")
    with pytest.raises(ArgumentError, match=r"\.dot, .*\.svg, "):
        plot_model(network(), tmp_path / "model.xyz")


def test_a_picture_in_a_notebook_and_in_a_terminal() -> None:
    model = lamina.Sequential([lamina.Input((4,)), lamina.layers.Dense(2)])
    picture = plot_model(model, to_file=None)
    assert picture._repr_html_().startswith("<div style='overflow:auto") and picture.svg() in picture._repr_html_()
    assert repr(picture).startswith(f"<Picture of {len(picture.rects)} box") and len(repr(picture)) < 80
