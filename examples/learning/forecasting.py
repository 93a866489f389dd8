"""Forecasts of a time series: carbon dioxide over Mauna Loa 13 weeks ahead, from the two years before.

The series (Keeling and Whorf 2004, 1958 to 2001) swings with the seasons around a rising line.  Networks learn from its
first three quarters and forecast the last, whose values they have never seen: they see each window relative to its
last value, and forecast the change.  They have to beat two forecasts that need no learning: nothing changes, and the
change is what it was a year ago.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import lamina
from lamina import layers
from lamina.data import Pipeline
from lamina.datasets import mauna_loa
from lamina.utils import timeseries_dataset_from_array

YEAR, WINDOW, AHEAD = 52, 104, 13  # weeks
SCALE = 5.0  # ppm, about what a year's swing is
UNITS, BATCH, RATE = 32, 32, 2e-3


def data(seed: int = 0) -> tuple[Pipeline, Pipeline]:
    """Batches of windows (n, WINDOW) with the value AHEAD after each (n, 1), to train on and to test on, in ppm."""
    before, after = mauna_loa.load_data()
    after = np.concatenate([before[1 - WINDOW - AHEAD :], after])  # the first forecast is that of the first value
    return windows(before, shuffle=True, seed=seed), windows(after)


def windows(series: np.ndarray, **options: Any) -> Pipeline:
    """Batches of windows of a series, each with the value AHEAD after its last."""
    targets = series[WINDOW - 1 + AHEAD :, None]
    return timeseries_dataset_from_array(series[:-AHEAD], targets, WINDOW, batch_size=BATCH, **options)


def network(kind: str = "lstm") -> lamina.Model:
    """Windows (WINDOW,) in, forecasts (1,) out; ``kind`` is "lstm" or "convolution"."""
    window = layers.Input((WINDOW,))
    last = window[:, -1:]
    x = layers.Reshape((WINDOW, 1))((window - last) / SCALE)
    if kind == "lstm":
        x = layers.LSTM(UNITS)(x)
    else:
        for rate in (1, 3, 9):  # causal: each sees what came before; the last one 53 weeks
            x = layers.Conv1D(UNITS, 5, padding="causal", dilation_rate=rate, activation="relu")(x)
        x = x[:, -1]
    change = layers.Dense(1)(x)
    return lamina.Model(window, last + SCALE * change)


def train(
    epochs: int, verbose: int = 2, seed: int = 0, kind: str = "lstm"
) -> tuple[lamina.Model, dict[str, list[float]]]:
    """Train.  Returns the model, and by epoch the mean absolute errors in ppm, that of the test under ``val_loss``."""
    lamina.random.seed(seed)
    model = network(kind)
    before, after = data(seed)
    schedule = lamina.optimizers.schedules.CosineDecay(RATE, epochs * len(before))
    model.compile(lamina.optimizers.Adam(schedule), loss="mae")
    return model, model.fit(before, epochs=epochs, validation_data=after, verbose=verbose).history


def without_learning() -> dict[str, float]:
    """Mean absolute errors of the two simple forecasts on the test, in ppm."""
    seen, targets = (np.concatenate(parts) for parts in zip(*data()[1], strict=True))
    last = seen[:, -1:]
    a_year_ago = seen[:, [WINDOW - 1 - YEAR + AHEAD]] - seen[:, [WINDOW - 1 - YEAR]]
    forecasts = {"nothing changes": last, "the change of a year ago": last + a_year_ago}
    return {name: float(np.abs(forecast - targets).mean()) for name, forecast in forecasts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    errors = without_learning()
    for kind in ("lstm", "convolution"):
        errors[kind] = train(options.epochs, kind=kind)[1]["val_loss"][-1]
    print(f"\nMean absolute error of forecasts {AHEAD} weeks ahead, after 1991:")
    for name, error in errors.items():
        print(f"{name:>25}  {error:.2f} ppm")


if __name__ == "__main__":
    main()
