"""Clusters on features that were learned without labels."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import data_folder
from example_files import load_example
from test_examples import needs

MNIST = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")


def test_features_make_better_clusters_than_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn", reason="the example's k-means is scikit-learn's")
    needs(*MNIST)
    monkeypatch.setenv("LAMINA_DATA", str(data_folder()))
    example = load_example("learning/clusters")
    (x_train, y_train), (x_test, y_test) = example.data()
    example.data = lambda: ((x_train[:3000], y_train[:3000]), (x_test, y_test))  # type: ignore[attr-defined]
    example.BATCH = 100  # type: ignore[attr-defined]
    _, history = example.train(8, verbose=0)
    _, of_pixels = example.cluster(x_test, y_test)
    assert history["val_rand"][-1] > of_pixels["rand"] + 0.1
    assert history["val_purity"][-1] > of_pixels["purity"] + 0.05
    # By chance the copy is one of 199 others.
    assert history["loss"][-1] < 0.75 * np.log(199) and history["loss"][-1] < history["loss"][0]


def test_clusters_are_measured(rng: np.random.Generator) -> None:
    pytest.importorskip("sklearn", reason="the example's k-means is scikit-learn's")
    example = load_example("learning/clusters")
    labels = np.repeat(np.arange(10), 30)
    apart = np.eye(10)[labels] * 5 + rng.normal(0, 0.1, (300, 10))
    found, measured = example.cluster(apart, labels)
    assert measured == {"purity": 1.0, "rand": 1.0}
    assert all(len(set(found[labels == k])) == 1 for k in range(10))
    assert abs(example.cluster(rng.normal(size=(300, 10)), labels)[1]["rand"]) < 0.05
