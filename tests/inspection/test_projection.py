"""Vectors in two dimensions, neighbours, histograms, grids over a plane, ways of optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers, optimizers
from lamina.core.errors import ArgumentError, ShapeError
from lamina.inspection import decision_grid, histogram, nearest, optimizer_path, pca, tsne
from lamina.inspection.surfaces import SURFACES


def test_principal_components_beside_scikit_learn(rng: np.random.Generator) -> None:
    peer = pytest.importorskip("sklearn.decomposition").PCA(3)
    x = rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6)) + 5
    want = peer.fit_transform(x)
    points, axes, explained = pca(x, 3)
    signs = np.sign((axes * peer.components_).sum(1))
    np.testing.assert_allclose(points, want * signs, atol=1e-8)
    np.testing.assert_allclose(axes, peer.components_ * signs[:, None], atol=1e-8)
    np.testing.assert_allclose(explained, peer.explained_variance_ratio_, rtol=1e-8)
    assert (axes[np.arange(3), np.abs(axes).argmax(1)] > 0).all()
    assert not pca(np.ones((3, 2))).explained.any()
    with pytest.raises(ShapeError, match="no 7 components"):
        pca(x, 7)
    with pytest.raises(ShapeError, match="n >= 2"):
        pca(x[:1])


def test_groups_stay_together_in_tsne(rng: np.random.Generator) -> None:
    pytest.importorskip("sklearn", reason="t-SNE needs the extra 'sklearn'")
    groups = np.repeat([0, 1], 15)
    x = rng.normal(size=(30, 8)) + 12 * groups[:, None]
    points = tsne(x, perplexity=50)
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1) + np.diag(np.full(30, np.inf))
    assert (groups[apart.argmin(1)] == groups).all()


def test_nearest(rng: np.random.Generator) -> None:
    x = rng.normal(size=(20, 5))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = unit @ unit[4]
    cosines[4] = -2
    found = nearest(x, 4, count=3)
    assert [i for i, _ in found] == np.argsort(-cosines)[:3].tolist()
    np.testing.assert_allclose([c for _, c in found], np.sort(cosines)[::-1][:3])
    names = [f"word{i}" for i in range(20)]
    assert nearest(x, "word4", 1, names)[0][0] == f"word{found[0][0]}"
    assert nearest(x, x[4], 1)[0] == (4, pytest.approx(1))
    with pytest.raises(ArgumentError, match="'wort4' is none of the 20 labels. Did you mean 'word4'"):
        nearest(x, "wort4", 1, names)
    with pytest.raises(ArgumentError, match="no number 20"):
        nearest(x, 20)
    with pytest.raises(ArgumentError, match="20 vectors and 1 labels"):
        nearest(x, "a", labels=["a"])


def test_histograms() -> None:
    edges, counts = histogram([0.0, 1.0, 1.0, 4.0, np.inf, np.nan], bins=4)
    assert edges.tolist() == [0, 1, 2, 3, 4] and counts.tolist() == [1, 2, 0, 1]
    edges, counts = histogram(np.full(7, 3.0), bins=5)
    assert edges[0] < 3 < edges[-1] and counts.sum() == 7 and np.count_nonzero(counts) == 1
    assert not histogram([], bins=3)[1].any()


class TestDecisionGrid:
    def test_places_and_values(self) -> None:
        grid = decision_grid(lambda p: p[:, 0] + 10 * p[:, 1], [[0, 0], [4, 2]], resolution=3, margin=0)
        assert grid.x.tolist() == [0, 2, 4] and grid.y.tolist() == [0, 1, 2]
        assert grid.values.tolist() == [[0, 2, 4], [10, 12, 14], [20, 22, 24]]
        wide = decision_grid(lambda p: p[:, :1], [[0, 0], [4, 2]], resolution=2, margin=0.5)
        assert wide.x.tolist() == [-2, 6] and wide.values.shape == (2, 2)

    def test_models_and_estimators(self, rng: np.random.Generator) -> None:
        model = lamina.Sequential([layers.Input((2,)), layers.Dense(3, "softmax")])
        grid = decision_grid(model, [[0, 0], [1, 1]], resolution=4)
        corner = model(np.asarray([[grid.x[-1], grid.y[0]]], np.float32)).numpy()[0]
        np.testing.assert_allclose(grid.values[0, -1], corner, rtol=1e-5)
        sklearn = pytest.importorskip("sklearn.linear_model")
        x, y = rng.normal(size=(30, 2)), rng.integers(0, 2, 30)
        estimator = sklearn.LogisticRegression().fit(x, y)
        assert decision_grid(estimator, x, 5).values.shape == (5, 5, 2)

    def test_what_is_refused(self) -> None:
        with pytest.raises(ShapeError, match=r"pca\(x\).points"):
            decision_grid(lambda p: p, np.ones((4, 3)))
        model = lamina.Sequential([layers.Input((4,)), layers.Dense(1)], name="four")
        with pytest.raises(ShapeError, match=r"'four' takes inputs of shape \(4,\)"):
            decision_grid(model, np.ones((4, 2)))
        with pytest.raises(ShapeError, match="one row for each"):
            decision_grid(lambda p: 3.0, np.ones((4, 2)))


class TestOptimizerPaths:
    def test_gradient_descent_by_hand(self) -> None:
        path = optimizer_path("bowl", optimizers.SGD(0.02), steps=5, start=(3.0, 1.0))
        steps = np.arange(6)
        np.testing.assert_allclose(path[:, 0], 3 * 0.98**steps, rtol=1e-5)
        np.testing.assert_allclose(path[:, 1], 0.6**steps, rtol=1e-5)
        np.testing.assert_allclose(path[:, 2], (path[:, 0] ** 2 + 20 * path[:, 1] ** 2) / 2, rtol=1e-5)

    @pytest.mark.parametrize("name", SURFACES)
    def test_the_minima_are_minima(self, name: str) -> None:
        surface = SURFACES[name]
        around = np.random.default_rng(0).normal(0, 0.05, (50, 2))
        for minimum in surface.minima:
            least = surface.function(*minimum)
            assert all(surface.function(minimum[0] + a, minimum[1] + b) > least - 1e-6 for a, b in around)
            assert surface.x[0] < minimum[0] < surface.x[1] and surface.y[0] < minimum[1] < surface.y[1]

    def test_optimizers_are_copied(self) -> None:
        optimizer = optimizers.Adam(0.1)
        first = optimizer_path("beale", optimizer, steps=30)
        np.testing.assert_array_equal(optimizer_path("beale", optimizer, steps=30), first)
        assert first[-1, 2] < first[0, 2] and not optimizer.built

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: optimizer_path("rosenbruck", "sgd"), "Did you mean 'rosenbrock'"),
            (lambda: optimizer_path("bowl", "sgdd"), "sgdd"),
            (lambda: optimizer_path("bowl", "sgd", steps=0), "steps >= 1"),
        ],
    )
    def test_what_is_refused(self, call: Any, message: str) -> None:
        with pytest.raises(ArgumentError, match=message):
            call()
