"""The numbers in the pictures of planes, networks, attributions and embeddings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers, plotting
from lamina.core.errors import ArgumentError, MissingExtraError, ShapeError
from lamina.inspection import activations, grad_cam, kernels, optimizer_path, pca, saliency
from lamina.inspection.surfaces import Grid

pytest.importorskip("matplotlib", reason="plotting needs the extra 'plot'")


def drawn(panel: Any, number: int = 0) -> np.ndarray:
    return np.asarray(panel.images[number].get_array())


@pytest.fixture
def network() -> Any:
    return lamina.Sequential(
        [
            layers.Input((12, 12, 3)),
            layers.Conv2D(6, 3, activation="relu", name="c1"),
            layers.Conv2D(5, 3, activation="relu", name="c2"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, "softmax"),
        ]
    )


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.random((2, 12, 12, 3)).astype(np.float32)


# --- planes and surfaces ---------------------------------------------------------------------------------
class TestDecisionBoundary:
    POINTS = np.asarray([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])

    def test_one_output_has_a_line_where_it_changes_sides(self, tmp_path: Path) -> None:
        figure = plotting.plot_decision_boundary(
            lambda p: p[:, 0] - 0.3, self.POINTS, [0, 1, 0, 1], ["left", "right"], tmp_path / "plane.png"
        )
        panel, bar = figure.axes
        [line] = [c for c in panel.collections if type(c).__name__ == "QuadContourSet"]
        vertices = np.concatenate([path.vertices for path in line.get_paths()])
        np.testing.assert_allclose(vertices[:, 0], 0.3, atol=1e-6)
        assert bar.get_ylabel() == "score" and (tmp_path / "plane.png").stat().st_size > 5000
        named = [c for c in panel.collections if c.get_label() in ("left", "right")]
        samples = {c.get_label(): c.get_offsets().tolist() for c in named}
        assert samples == {"left": [[0, 0], [0, 1]], "right": [[1, 0], [1, 1]]}

    def test_probabilities_change_sides_at_one_half(self) -> None:
        figure = plotting.plot_decision_boundary(lambda p: np.clip(p[:, 1], 0, 1), self.POINTS, resolution=121)
        [line] = [c for c in figure.axes[0].collections if type(c).__name__ == "QuadContourSet"]
        np.testing.assert_allclose(np.concatenate([p.vertices for p in line.get_paths()])[:, 1], 0.5, atol=1e-6)
        assert figure.axes[1].get_ylabel() == "probability of class 1"

    def test_areas_have_the_colours_of_their_classes(self) -> None:
        def model(p: np.ndarray) -> np.ndarray:
            return np.stack([p[:, 0] < 0.5, (p[:, 0] >= 0.5) & (p[:, 1] < 0.5), (p[:, 0] >= 0.5) & (p[:, 1] >= 0.5)], 1)

        figure = plotting.plot_decision_boundary(model, self.POINTS, [0, 1, 0, 2], resolution=40)
        image = drawn(figure.axes[0])
        from matplotlib.colors import to_rgb

        for place, number in (((20, 2), 0), ((2, 38), 1), ((38, 38), 2)):
            missing = 1 - np.asarray(to_rgb(plotting.figures.PALETTE[number]))  # a paler shade of it
            faded = (1 - image[place]) / missing
            assert faded.std() < 1e-6 and faded.mean() > 0.1

    def test_regression(self) -> None:
        y = [0.5, 1.5, 2.25, 3.0]
        figure = plotting.plot_decision_boundary(lambda p: p.sum(1), self.POINTS, y)
        assert figure.axes[1].get_ylabel() == "prediction"
        samples = [c for c in figure.axes[0].collections if type(c).__name__ == "PathCollection"]
        np.testing.assert_allclose(samples[-1].get_array(), y)

    def test_what_is_refused(self) -> None:
        with pytest.raises(ShapeError, match="4 samples in x and 2 in y"):
            plotting.plot_decision_boundary(lambda p: p[:, 0], self.POINTS, [0, 1])
        with pytest.raises(ArgumentError, match="the model has 2, from 0"):
            plotting.plot_decision_boundary(lambda p: p[:, 0], self.POINTS, [0, 1, 2, 3])


def test_surfaces() -> None:
    figure = plotting.plot_surface(lambda x, y: x + 10 * y, x=(0, 1), y=(0, 2), resolution=5)
    [panel] = figure.axes
    assert panel.get_zlim()[0] <= 0 and panel.get_zlim()[1] >= 21 and panel.get_zlabel() == "f"
    walls = plotting.plot_surface("rosenbrock", logarithmic=True, resolution=20).axes[0]
    assert walls.get_zlim()[1] < 10
    model = lamina.Sequential([layers.Input((2,)), layers.Dense(1)])
    assert plotting.plot_surface(model, points=[[0, 0, 1]], resolution=6).axes[0].name == "3d"
    with pytest.raises(ShapeError, match="draws one output"):
        plotting.plot_surface(Grid(np.arange(2), np.arange(2), np.zeros((2, 2, 3))))
    with pytest.raises(ArgumentError, match="first < last"):
        plotting.plot_surface("bowl", x=(1, 1))


def test_ways_of_optimizers() -> None:
    slow = lamina.optimizers.SGD(0.001)
    figure = plotting.plot_optimizer_paths("beale", {"slow": slow, "adam": "adam"}, steps=10)
    plane, curves = figure.axes
    way = optimizer_path("beale", slow, 10)
    np.testing.assert_allclose(np.stack(plane.lines[0].get_data(), 1), way[:, :2])
    np.testing.assert_allclose(curves.lines[0].get_ydata(), way[:, 2])
    assert [t.get_text() for t in curves.get_legend().get_texts()] == ["slow", "adam", "start", "minimum"]
    with pytest.raises(ArgumentError, match="at least one"):
        plotting.plot_optimizer_paths("beale", [])


# --- inside a network --------------------------------------------------------------------------------------
def test_kernels_are_drawn_in_the_range_of_each(network: Any) -> None:
    figure = plotting.plot_kernels(network, "c1")
    filters = kernels(network, "c1")
    for panel, kernel in zip(figure.axes, filters, strict=True):
        reach = np.abs(kernel).max()
        np.testing.assert_allclose(drawn(panel), (kernel + reach) / (2 * reach), atol=1e-6)
    assert figure.get_suptitle() == "6 kernels of 3 × 3 over 3 channels, c1"
    one = plotting.plot_kernels(network, "c2", channel=4, most=2)
    np.testing.assert_array_equal(drawn(one.axes[1]), kernels(network, "c2")[1, ..., 4])
    assert one.axes[0].images[0].get_clim()[0] == -one.axes[0].images[0].get_clim()[1]
    first = kernels(network, "c2")[0]
    strongest = np.abs(first).sum((0, 1)).argmax()
    np.testing.assert_array_equal(drawn(plotting.plot_kernels(network, "c2").axes[0]), first[..., strongest])
    with pytest.raises(ArgumentError, match="3 channels, from 0; got channel 3"):
        plotting.plot_kernels(network, channel=3)


def test_feature_maps(network: Any, images: np.ndarray, tmp_path: Path) -> None:
    figure = plotting.plot_feature_maps(network, images[0], path=tmp_path / "maps.png", most=3)
    found = activations(network, images[:1], "c2")["c2"][0]
    row = [panel for panel in figure.axes if panel.images and panel.images[0].get_array().shape == (8, 8)]
    chosen = [int(panel.get_title()) for panel in row]
    assert chosen == sorted(np.argsort(-found.std((0, 1)), kind="stable")[:3])
    for panel, channel in zip(row, chosen, strict=True):
        np.testing.assert_allclose(drawn(panel), found[..., channel], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(drawn(figure.axes[0]), images[0])
    assert (tmp_path / "maps.png").stat().st_size > 3000
    assert [p.get_title() for p in plotting.plot_feature_maps(network, images, "c1", most=2, strongest=False).axes] == [
        "image", "0", "1"]  # fmt: skip


def test_attention() -> None:
    weights = np.asarray([[[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], [[0.3, 0.7], [0.6, 0.4], [1.0, 0.0]]])
    figure = plotting.plot_attention(weights, list("abc"), list("xy"))
    heads = [panel for panel in figure.axes if panel.images]
    np.testing.assert_array_equal([drawn(panel) for panel in heads], weights)
    assert [t.get_text() for t in heads[0].get_xticklabels()] == ["x", "y"]
    np.testing.assert_array_equal(drawn(plotting.plot_attention(weights, average=True).axes[0]), weights.mean(0))
    inputs = layers.Input((4, 6))
    model = lamina.Model(inputs, layers.MultiHeadAttention(2, 3, name="look")(inputs, inputs))
    figure = plotting.plot_attention(model, x=lamina.ones((1, 4, 6)))
    titles = [p.get_title(loc="left") for p in figure.axes if p.images]
    assert titles == ["look head 0", "look head 1"]
    with pytest.raises(ShapeError, match="3 queries and 2 names"):
        plotting.plot_attention(weights, list("ab"))
    with pytest.raises(ShapeError, match=r"\(heads, queries, keys\)"):
        plotting.plot_attention(np.ones(3))


# --- attributions --------------------------------------------------------------------------------------------
def test_saliency_and_grad_cam(network: Any, images: np.ndarray) -> None:
    figure = plotting.plot_saliency(network, images, target=1, titles=["a", "b"], title="two")
    np.testing.assert_allclose(drawn(figure.axes[0]), images[0], rtol=1e-6)
    heat = np.abs(saliency(network, images, 1)).max(-1)
    np.testing.assert_allclose(drawn(figure.axes[3]), np.clip(heat[1] / np.quantile(heat[1], 0.99), 0, 1), rtol=1e-4)
    signed = plotting.plot_saliency(network, images[0], 1, signed=True, method="integrated_gradients", steps=4)
    assert signed.axes[1].images[0].get_clim() == (-1, 1) and drawn(signed.axes[1]).min() < 0
    maps = grad_cam(network, images, 2)
    figure = plotting.plot_grad_cam(network, images, 2, pictures=images[..., 0])
    np.testing.assert_allclose(drawn(figure.axes[1]), maps[0], rtol=1e-5)
    np.testing.assert_array_equal(drawn(figure.axes[2], 0), images[0, ..., 0])
    np.testing.assert_allclose(figure.axes[2].images[1].get_alpha(), 0.7 * np.sqrt(maps[0]), rtol=1e-5)
    for options, message in (
        ({"method": "magic"}, "method is one of saliency"), ({"titles": ["one"]}, "2 images and 1 titles"),
        ({"pictures": images[:1]}, "2 images and 1 pictures"),
    ):  # fmt: skip
        with pytest.raises((ArgumentError, ShapeError), match=message):
            plotting.plot_saliency(network, images, 1, **options)


def test_maximized_activations(network: Any) -> None:
    figure = plotting.plot_maximized_activations(network, "c1", [3, 5], steps=3, value_range=(-1, 1), columns=1)
    assert [panel.get_title() for panel in figure.axes] == ["3", "5"]
    assert all(0 <= drawn(panel).min() < drawn(panel).max() <= 1 for panel in figure.axes)


# --- embeddings ----------------------------------------------------------------------------------------------
def test_embeddings(rng: np.random.Generator, tmp_path: Path) -> None:
    x = rng.normal(size=(12, 5))
    classes = np.repeat([0, 1, 2], 4)
    figure = plotting.plot_embeddings(x, classes, labels=["ant", "bee", "cow"], path=tmp_path / "points.svg")
    groups = {c.get_label(): c.get_offsets() for c in figure.axes[0].collections}
    points = pca(x).points
    assert list(groups) == ["ant", "bee", "cow"]
    np.testing.assert_allclose(groups["bee"], points[4:8])
    assert "% of the variance" in figure.axes[0].get_xlabel() and (tmp_path / "points.svg").stat().st_size > 5000
    plane = plotting.plot_embeddings(x[:, :2], rng.random(12))
    np.testing.assert_allclose(plane.axes[0].collections[0].get_offsets(), x[:, :2])
    assert len(plane.axes) == 2  # a scale of colours for a range of numbers
    names = plotting.plot_embeddings(x, np.asarray(["u", "v", "w"])[classes])
    assert [c.get_label() for c in names.axes[0].collections] == ["u", "v", "w"]
    for options, message in (
        ({"method": "umap"}, "'pca' or 'tsne'"), ({"texts": ["a"]}, "12 vectors and 1 texts"),
        ({"classes": [1]}, "12 vectors and 1 classes"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=message):
            plotting.plot_embeddings(x, **options)


def test_words_stand_beside_their_points_and_not_on_each_other(rng: np.random.Generator) -> None:
    words = [f"word{i}" for i in range(30)]
    figure = plotting.plot_embeddings(rng.normal(size=(30, 2)), texts=words)
    figure.draw_without_rendering()
    panel = figure.axes[0]
    boxes = [text.get_window_extent() for text in panel.texts]
    assert [text.get_text() for text in panel.texts] == words
    covered = sum(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert covered <= 3
    places = panel.transData.transform([text.xy for text in panel.texts])
    for box, (x, y) in zip(boxes, places, strict=True):
        assert abs((box.x0 + box.x1) / 2 - x) < 60 and abs((box.y0 + box.y1) / 2 - y) < 25


def test_neighbors() -> None:
    vectors = np.asarray([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [-1.0, 0.0]])
    figure = plotting.plot_neighbors(vectors, ["king", "tree"], ["king", "queen", "tree", "sea"], count=2)
    panel = figure.axes[0]
    assert panel.get_title(loc="left") == "king"
    assert [t.get_text() for t in panel.get_yticklabels()] == ["queen", "tree"]
    np.testing.assert_allclose([bar.get_width() for bar in panel.patches], [1 / np.hypot(1, 0.1), 0], atol=1e-9)
    with pytest.raises(ArgumentError, match="Did you mean 'king'"):
        plotting.plot_neighbors(vectors, "kimg", ["king", "queen", "tree", "sea"])


# --- histograms ------------------------------------------------------------------------------------------------
class TestHistograms:
    @pytest.fixture
    def trained(self, rng: np.random.Generator, tmp_path: Path) -> tuple[Any, Any, Path]:
        x = rng.normal(size=(40, 3)).astype(np.float32)
        y = x @ np.asarray([[1.0], [2.0], [3.0]], np.float32)
        model = lamina.Sequential([layers.Input((3,)), layers.Dense(8, name="a"), layers.Dense(1, name="b")], name="m")
        model.compile(lamina.optimizers.SGD(0.01), "mse")
        watch = lamina.callbacks.Histograms((x, y), bins=20)
        kept = [watch]
        if pytest.importorskip("tensorboard", reason="needs the extra 'tensorboard'"):
            kept.append(lamina.callbacks.TensorBoard(tmp_path, histogram_freq=1, samples=(x, y)))
        model.fit(x, y, epochs=3, verbose=0, callbacks=kept)
        return model, watch, tmp_path

    def test_what_is_kept(self, trained: tuple[Any, Any, Path]) -> None:
        model, watch, _ = trained
        paths = [w.path for w in model.weights]
        assert list(watch.weights) == list(watch.gradients) == paths
        assert [epoch for epoch, _, _ in watch.weights[paths[0]]] == [-1, 0, 1, 2]
        _, edges, counts = watch.weights[paths[0]][-1]
        values = model.weights[0].numpy()
        np.testing.assert_allclose([edges[0], edges[-1]], [values.min(), values.max()], rtol=1e-6)
        np.testing.assert_array_equal(counts, np.histogram(values.astype(np.float64), 20)[0])

    def test_a_resumed_run_goes_on(self, trained: tuple[Any, Any, Path]) -> None:
        _, watch, _ = trained
        other = lamina.callbacks.Histograms()
        other.load_state_dict(watch.state_dict())
        for name, rows in watch.gradients.items():
            for (e, a, b), (f, c, d) in zip(rows, other.gradients[name], strict=True):
                assert e == f and np.array_equal(a, c) and np.array_equal(b, d)

    def test_a_run_that_is_checkpointed_and_one_that_begins_later(self, tmp_path: Path) -> None:
        x = np.ones((8, 2), np.float32)

        def epochs(**options: Any) -> list[int]:
            lamina.random.seed(0)
            model = lamina.Sequential([layers.Input((2,)), layers.Dense(1, name="d")], name="m")
            model.compile("sgd", "mse")
            watch = lamina.callbacks.Histograms((x, x[:, :1]))
            model.fit(x, x[:, :1], verbose=0, callbacks=[watch], **options)
            assert list(watch.gradients) == list(watch.weights)
            return [epoch for epoch, _, _ in watch.gradients["m/d/bias"]]

        assert epochs(epochs=2, checkpoint=tmp_path / "run", resume=True) == [-1, 0, 1]
        assert epochs(epochs=4, checkpoint=tmp_path / "run", resume=True) == [-1, 0, 1, 2, 3]
        assert epochs(epochs=5, initial_epoch=3) == [2, 3, 4]

    def test_drawing(self, trained: tuple[Any, Any, Path]) -> None:
        _, watch, _ = trained
        figure = watch.plot(names=["a/kernel", "b/kernel"])
        assert [p.get_title(loc="left") for p in figure.axes] == ["a/kernel", "b/kernel"]
        assert len(figure.axes[0].collections) == 4  # before training and after each epoch
        last = figure.axes[0].collections[-1].get_paths()[0].vertices
        assert last[:, 1].min() == -2  # the third epoch stands lowest
        assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["start", "1", "2", "3"]
        page = watch._repr_html_()
        assert page.count("<img") == 2 and "train first" in lamina.callbacks.Histograms()._repr_html_()
        with pytest.raises(ArgumentError, match="Did you mean"):
            watch.plot(names=["a/kernal"])
        with pytest.raises(ArgumentError, match="kind is one of"):
            watch.plot(kind="biases")
        with pytest.raises(ArgumentError, match=r"Gradients need Histograms\(samples"):
            plotting.plot_histograms(lamina.callbacks.Histograms(), kind="gradients")

    def test_from_what_tensorboard_has_written(self, trained: tuple[Any, Any, Path]) -> None:
        model, watch, folder = trained
        found = lamina.tensorboard.read_histograms(folder)
        assert sorted(found) == sorted(w.path for w in model.weights)
        step, edges, counts = found[model.weights[0].path][-1]
        assert step == 2 and counts.sum() == 24
        np.testing.assert_allclose(edges[0], watch.weights[model.weights[0].path][-1][1][0], rtol=1e-6)
        assert len(plotting.plot_histograms(found, names=["a/bias"]).axes) == 1
        assert lamina.tensorboard.read_histograms(folder / "train", "/gradient")
        with pytest.raises(ArgumentError, match="no histograms"):
            lamina.tensorboard.read_histograms(folder, "/nothing")
        with pytest.raises(ArgumentError, match="no event files"):
            lamina.tensorboard.read_histograms(folder / "nowhere")

    def test_what_is_refused(self) -> None:
        with pytest.raises(ArgumentError, match="freq is a number"):
            lamina.callbacks.Histograms(freq=0)
        with pytest.raises(ArgumentError, match=r"samples are \(x, y\)"):
            lamina.callbacks.Histograms(np.ones((3, 2)))
        model = lamina.Sequential([layers.Input((1,)), layers.Dense(1)])
        model.compile("sgd", "mse")
        with pytest.raises(ArgumentError, match="no weight 'c'"):
            model.fit(np.ones((2, 1)), np.ones((2, 1)), verbose=0, callbacks=[lamina.callbacks.Histograms(names=["c"])])


# --- all of them ---------------------------------------------------------------------------------------------
def test_every_view_shows_itself_and_needs_the_extra(
    network: Any, images: np.ndarray, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    edges = np.linspace(0, 1, 4)
    views = {
        "attention": lambda: plotting.plot_attention(np.eye(3)),
        "boundary": lambda: plotting.plot_decision_boundary(lambda p: p[:, 0], rng.random((5, 2)), resolution=10),
        "embeddings": lambda: plotting.plot_embeddings(rng.random((5, 3))),
        "kernels": lambda: plotting.plot_kernels(network),
        "surface": lambda: plotting.plot_surface("bowl", resolution=8),
        "histograms": lambda: plotting.plot_histograms({"a": [(0, edges, [1, 2, 1])]}),
        "cam": lambda: plotting.plot_grad_cam(network, images[:1], 1),
    }
    for name, view in views.items():
        page = view()._repr_html_()
        assert page.startswith("<img alt=") and len(page) > 2000, name
    for name in [m for m in sys.modules if m.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name, view in views.items():
        with pytest.raises(MissingExtraError, match=r"lamina\[plot\]"):
            pytest.fail(f"{name} was drawn: {view()}")
