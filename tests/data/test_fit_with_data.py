"""``fit``, ``evaluate`` and ``predict`` with loaders and pipelines."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import callbacks, layers
from lamina.core.errors import DataError
from lamina.data import DataLoader, Dataset, Pipeline, Subset, TensorDataset

RNG = np.random.default_rng(3)
X = RNG.standard_normal((42, 3)).astype(np.float32)
Y = (X @ np.array([[1.0], [-2.0], [0.5]], np.float32)).astype(np.float32)


def regressor() -> Any:
    model = lamina.Sequential([lamina.Input((3,)), layers.Dense(1, kernel_initializer="ones")])
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    return model


class Plain(Dataset):
    """The same samples, one by one."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> Any:
        return X[index], Y[index]


SOURCES = {
    "loader": lambda: DataLoader(TensorDataset(X, Y), 8),
    "samples": lambda: DataLoader(Plain(), 8),
    "pipeline": lambda: Pipeline.from_tensor_slices((X, Y)).batch(8).prefetch(1),
    "mapped": lambda: Pipeline.from_tensor_slices((X, Y)).map(lambda x, y: (x, y)).batch(8),
}


@pytest.mark.parametrize("source", SOURCES)
def test_training_is_that_on_arrays(source: str) -> None:
    one, other = regressor(), regressor()
    expected = one.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0, validation_data=(X, Y))
    given = SOURCES[source]()
    history = other.fit(given, epochs=3, verbose=0, validation_data=given)
    for name in expected.history:
        np.testing.assert_allclose(history.history[name], expected.history[name], rtol=1e-6)
    np.testing.assert_allclose(one.get_weights()[0], other.get_weights()[0], rtol=1e-6)
    assert other.evaluate(given, verbose=0) == pytest.approx(one.evaluate(X, Y, verbose=0, batch_size=8), rel=1e-6)
    np.testing.assert_allclose(other.predict(given, verbose=0), one.predict(X, verbose=0), rtol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: DataLoader(TensorDataset(X, Y), 8, shuffle=True, seed=4),
        lambda: DataLoader(TensorDataset(X, Y), 8, shuffle=True, seed=4, drop_last=True),
        lambda: DataLoader(Subset(TensorDataset(X, Y), range(3, 40)), 8, seed=4),
        lambda: Pipeline.from_tensor_slices((X, Y)).shuffle(10, seed=4).batch(8),
        lambda: Pipeline.from_tensor_slices((X, Y)).skip(2).take(30).cache().batch(7, drop_remainder=True).prefetch(2),
    ],
)
def test_arrays_as_a_whole_give_the_same_bits_as_batches(make: Any) -> None:
    whole, batches = make(), make()
    assert whole.in_memory() is not None
    one, other = regressor(), regressor()
    first = one.fit(whole, epochs=3, verbose=0).history
    stream = (batch for _ in range(3) for batch in batches)
    second = other.fit(stream, epochs=3, steps_per_epoch=len(batches), verbose=0)
    np.testing.assert_array_equal(one.get_weights()[0], other.get_weights()[0])
    np.testing.assert_allclose(first["loss"], second.history["loss"], rtol=1e-6)
    for a, b in zip(whole, batches, strict=True):  # the next epoch
        np.testing.assert_array_equal(a[0], b[0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: DataLoader(TensorDataset(X, Y), 8, shuffle=True, seed=4),
        lambda: Pipeline.from_tensor_slices((X, Y)).shuffle(10, seed=4).batch(8),
        lambda: DataLoader(Plain(), 8, shuffle=True, seed=4),
    ],
)
def test_the_state_is_right_in_the_middle_of_fit(make: Any) -> None:
    """A callback saves model and loader; with both another process goes on to the same weights."""
    saved: list[Any] = []

    class Save(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 2 and not saved:
                saved.append((source.state_dict(), self.model.get_weights()))
            if batch == 5 and len(saved) == 1:
                saved.append(self.model.get_weights())

    def model() -> Any:
        made = lamina.Sequential([lamina.Input((3,)), layers.Dense(1, kernel_initializer="ones")])
        made.compile(optimizer=lamina.optimizers.SGD(0.1), loss="mse")
        return made

    source = make()
    model().fit(source, verbose=0, callbacks=[Save()])
    (state, weights), end = saved
    again, other = make(), model()
    again.load_state_dict(state)
    other.set_weights(weights)
    other.fit(again, verbose=0)
    for a, b in zip(other.get_weights(), end, strict=True):
        np.testing.assert_array_equal(a, b)


def test_limits_of_steps() -> None:
    loader = DataLoader(TensorDataset(X, Y), 8, shuffle=True, seed=4)
    other = DataLoader(TensorDataset(X, Y), 8, shuffle=True, seed=4)
    one, two = regressor(), regressor()
    one.fit(loader, epochs=4, steps_per_epoch=3, verbose=0)
    two.fit((b for _ in range(2) for b in other), epochs=4, steps_per_epoch=3, verbose=0)
    np.testing.assert_array_equal(one.get_weights()[0], two.get_weights()[0])


@pytest.mark.parametrize("kind", ["loader", "pipeline", "samples"])
def test_a_run_that_was_killed_goes_on_to_the_bit(tmp_path: Any, kind: str) -> None:
    def source() -> Any:
        if kind == "loader":
            return DataLoader(TensorDataset(X, Y), 8, shuffle=True, seed=4)
        if kind == "samples":
            return DataLoader(Plain(), 8, shuffle=True, seed=4)
        return Pipeline.from_tensor_slices((X, Y)).shuffle(9, seed=4).batch(8)

    class Stop(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                raise KeyboardInterrupt

    whole = regressor()
    expected = whole.fit(source(), epochs=4, verbose=0, checkpoint=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        regressor().fit(source(), epochs=4, verbose=0, checkpoint=tmp_path / "killed", callbacks=[Stop()])
    rest = regressor()

    class Idle(Stop):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None: ...

    Idle.__name__ = "Stop"
    history = rest.fit(source(), epochs=4, verbose=0, checkpoint=tmp_path / "killed", resume=True, callbacks=[Idle()])
    np.testing.assert_array_equal(rest.get_weights()[0], whole.get_weights()[0])
    assert history.history["loss"] == expected.history["loss"]


def test_checks_look_at_the_whole_data() -> None:
    bad = X.copy()
    bad[30, 1] = np.nan
    with pytest.raises(DataError, match="30"):
        regressor().fit(DataLoader(TensorDataset(bad, Y), 8), verbose=0)


@pytest.mark.slow
def test_loaders_over_arrays_cost_no_more_than_the_arrays() -> None:
    x = np.random.default_rng(0).random((20_000, 64), np.float32)
    y = x[:, :1]
    model = lamina.Sequential([lamina.Input((64,)), layers.Dense(64, "relu"), layers.Dense(1)])
    model.compile("adam", "mse")
    ways = {
        "arrays": lambda: model.fit(x, y, verbose=0),
        "loader": lambda: model.fit(DataLoader(TensorDataset(x, y), 32, shuffle=True), verbose=0),
        "pipeline": lambda: model.fit(Pipeline.from_tensor_slices((x, y)).shuffle(20_000).batch(32), verbose=0),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(7):
        for name, way in ways.items():
            started = time.process_time()
            way()
            taken[name].append(time.process_time() - started)
    for name in ("loader", "pipeline"):
        assert min(taken[name][1:]) <= 1.10 * min(taken["arrays"][1:]), taken
