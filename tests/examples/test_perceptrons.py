"""Perceptrons: what one can learn, what it cannot, and what several layers of them can."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from example_files import load_example
from test_examples import run_example


def test_a_perceptron_learns_what_a_line_separates() -> None:
    pytest.importorskip("sklearn", reason="iris comes with scikit-learn")
    example = load_example("learning/perceptron")
    for seed in range(3):
        model, history = example.train(10, verbose=0, seed=seed)
        assert history["mistakes"][0] > 0 and history["mistakes"][-1] == 0
        assert history["val_accuracy"][-1] > 0.95
    # A constant answer is right for two thirds of the flowers.
    lines = example.picture(model, *example.data()[1]).splitlines()
    assert len(lines) == 14 and any("S" in line for line in lines) and any("o" in line for line in lines)


def test_its_rule_is_rosenblatts() -> None:
    """One epoch in the order of the data, with the rule written out."""
    example = load_example("learning/perceptron")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3)).astype(np.float32)
    y = (x @ [[1.0], [-2.0], [0.5]] > 0.3).astype(np.float32)
    weights, bias, mistakes = np.zeros(3), 0.0, 0
    for row, target in zip(x, y[:, 0], strict=True):
        said = float(row @ weights + bias >= 0)
        weights, bias = weights + (target - said) * row, bias + target - said
        mistakes += said != target
    model = example.Perceptron()
    model.compile()
    history = model.fit(x, y, batch_size=1, shuffle=False, verbose=0).history
    assert history["mistakes"] == [mistakes] and mistakes > 3
    np.testing.assert_allclose(model.dense.kernel.numpy()[:, 0], weights, rtol=1e-5)
    np.testing.assert_allclose(model.dense.bias.numpy()[0], bias)


def test_a_perceptron_never_learns_xor() -> None:
    example = load_example("learning/perceptron")
    xor = example.XOR_X, example.XOR_Y
    _, history = example.learn(xor, xor, 60, verbose=0, seed=0)
    assert min(history["mistakes"]) > 0 and max(history["val_accuracy"]) <= 0.75
    assert example.best_of_random_lines(*xor, 2_000) == 3
    y_and = np.array([[0], [0], [0], [1]], np.float32)
    assert example.best_of_random_lines(example.XOR_X, y_and, 2_000) == 4


def test_two_layers_learn_xor() -> None:
    example = load_example("learning/xor")
    model, history = example.train(200, verbose=0, seed=0)
    assert history["accuracy"][-1] == 1 and history["loss"][-1] < 0.01
    assert history["val_accuracy"][-1] > 0.98  # no line gets more than three quarters
    assert all(later < earlier for earlier, later in pairwise(history["loss"][50::50]))
    blocks = [[cell.strip() for cell in row.split(" | ")] for row in example.picture(model).splitlines()]
    assert blocks[0] == ["unit 0", "unit 1", "unit 2", "unit 3", "output"]
    output = [row[-1] for row in blocks[1:]]
    assert len(output) == 9 and {len(row) for row in output} == {17}
    # Beside the corners 0 1, 1 1 above and 0 0, 1 0 below: on where the answer is 1.
    assert [(output[2][4], output[2][3]), (output[2][12], output[2][13])] == [("1", "#"), ("0", ".")]
    assert [(output[6][4], output[6][3]), (output[6][12], output[6][13])] == [("0", "."), ("1", "#")]


def test_the_scripts_show_it(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="iris comes with scikit-learn")
    output = run_example("learning/perceptron.py", tmp_path)
    assert "the best gets 3 of the 4 points right" in output and output.count("S") > 5
    output = run_example("learning/xor.py", tmp_path)
    assert re.search(r"0 xor 1 is 1 with probability 0\.9\d+", output)
    assert re.search(r"1 xor 1 is 1 with probability 0\.0\d+", output)
