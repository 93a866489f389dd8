"""Forecasts of a series beside those that need no learning."""

from __future__ import annotations

import numpy as np
import pytest
from example_files import load_example

from lamina.datasets import mauna_loa


def test_windows_and_what_comes_after() -> None:
    example = load_example("learning/forecasting")
    before, after = mauna_loa.load_data()
    train, test = ([np.concatenate(parts) for parts in zip(*batches, strict=True)] for batches in example.data())
    assert len(train[0]) == len(before) - 104 - 13 + 1 and len(test[0]) == len(after)
    np.testing.assert_array_equal(test[1][:, 0], after)  # every later value is forecast, and nothing else
    whole = np.concatenate([before, after])
    for i in (0, 100, len(after) - 1):
        end = len(before) + i - 13  # the last week that is seen
        np.testing.assert_array_equal(test[0][i], whole[end - 103 : end + 1])
    assert train[1].max() <= before.max() and set(np.unique(train[1])) <= set(before)


def test_the_simple_forecasts() -> None:
    example = load_example("learning/forecasting")
    before, after = mauna_loa.load_data()
    whole = np.concatenate([before, after]).astype(np.float64)
    now = np.arange(len(before) - 13, len(whole) - 13)
    errors = example.without_learning()
    assert errors["nothing changes"] == pytest.approx(np.abs(whole[now] - after).mean(), rel=1e-4)
    a_year_ago = whole[now] + whole[now - 52 + 13] - whole[now - 52]
    assert errors["the change of a year ago"] == pytest.approx(np.abs(a_year_ago - after).mean(), rel=1e-4)


@pytest.mark.parametrize("kind", ["lstm", "convolution"])
def test_a_network_soon_forecasts_better_than_nothing_changes(kind: str) -> None:
    example = load_example("learning/forecasting")
    _, history = example.train(4, verbose=0, kind=kind)
    # Without learning the error is about that of "nothing changes", 3 ppm.
    assert history["val_loss"][-1] < 0.4 * example.without_learning()["nothing changes"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lstm", "convolution"])
def test_a_network_forecasts_better_than_what_needs_no_learning(kind: str) -> None:
    example = load_example("learning/forecasting")
    for seed in range(2):
        _, history = example.train(20, verbose=0, seed=seed, kind=kind)
        assert history["val_loss"][-1] < 0.95 * min(example.without_learning().values())
