"""Callbacks with Keras's names: what they do, and the same epochs and learning rates as there."""

from __future__ import annotations

import csv
import http.server
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import callbacks, layers
from lamina.core.errors import ArgumentError, FileFormatError

RNG = np.random.default_rng(5)
X = RNG.standard_normal((40, 3)).astype(np.float32)
Y = (X @ np.array([[1.0], [-2.0], [0.5]], np.float32)).astype(np.float32)


def regressor(**options: Any) -> Any:
    model = lamina.Sequential(
        [lamina.Input((3,)), layers.Dropout(0.2, seed=1), layers.Dense(1, kernel_initializer="ones")]
    )
    model.compile(**{"optimizer": "adam", "loss": "mse", "metrics": ["mae"], **options})
    return model


def run(callback: callbacks.Callback, logs: list[dict[str, float]], model: Any = None) -> int:
    """Tell a callback of epochs with these logs; returns how many there were before training ended."""
    model = model or regressor()
    model.evaluate(X, Y, verbose=0)
    callback.set_model(model)
    callback.set_params({"epochs": len(logs)})
    model.stop_training = False
    callback.on_train_begin({})
    epoch = 0
    for epoch, entry in enumerate(logs):
        callback.on_epoch_begin(epoch, {})
        callback.on_epoch_end(epoch, entry)
        if model.stop_training:
            break
    callback.on_train_end({})
    return epoch + 1


LOSSES = [5.0, 4.0, 4.5, 4.2, 3.9, 4.1, 4.0, 3.95, 3.94, 3.93, 3.2]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 2},
        {"patience": 2, "min_delta": 0.5},
        {"patience": 3, "baseline": 3.5},
        {"patience": 1, "start_from_epoch": 4},
        {"patience": 1, "mode": "max"},
    ],
)
def test_early_stopping_ends_where_keras_does(options: dict[str, Any]) -> None:
    keras = pytest.importorskip("keras")
    logs = [{"val_loss": v} for v in LOSSES]
    theirs = keras.callbacks.EarlyStopping(**options)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    theirs.set_model(model)
    theirs.on_train_begin()
    model.stop_training = False
    epoch = 0
    for epoch, entry in enumerate(logs):
        theirs.on_epoch_end(epoch, entry)
        if model.stop_training:
            break
    assert run(callbacks.EarlyStopping(**options), logs) == epoch + 1


def test_early_stopping_restores_the_best_weights() -> None:
    model = regressor(optimizer=lamina.optimizers.SGD(1.5))  # too large: the loss grows
    stopping = callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True)
    kept: list[Any] = []
    keep = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.get_weights()))
    history = model.fit(X, Y, epochs=10, callbacks=[keep, stopping], verbose=0)
    best = int(np.argmin(history.history["loss"]))
    assert len(history.epoch) == best + 3 == stopping.stopped_epoch + 1
    np.testing.assert_array_equal(model.get_weights()[0], kept[best][0])


def test_which_way_is_better() -> None:
    model = regressor(metrics=["mae", lamina.metrics.R2Score(name="fit"), lambda a, b: lamina.mean(a)])
    for name, more in (("loss", False), ("val_mae", False), ("fit", True), ("val_fit", True)):
        callback = callbacks.MonitorCallback(name)
        model.evaluate(X, Y, verbose=0)
        callback.set_model(model)
        callback._set_monitor_op()
        assert (callback.monitor_op is np.greater) == more, name
    with pytest.raises(ArgumentError, match="mode='max' or mode='min'"):
        run(callbacks.EarlyStopping("something"), [{}], model)
    with pytest.warns(UserWarning, match="'val_loss', which is not in the logs; those hold: loss"):
        run(callbacks.EarlyStopping(), [{"loss": 1.0}])


@pytest.mark.parametrize("options", [{"patience": 2}, {"patience": 1, "cooldown": 2}, {"patience": 1, "min_lr": 0.2}])
def test_learning_rates_on_a_plateau_are_those_of_keras(options: dict[str, Any]) -> None:
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    theirs = keras.callbacks.ReduceLROnPlateau(factor=0.5, **options)
    theirs.set_model(model)
    theirs.on_train_begin()
    expected: list[dict[str, float]] = [{"val_loss": v} for v in LOSSES]
    for epoch, entry in enumerate(expected):
        theirs.on_epoch_end(epoch, entry)
    logs = [{"val_loss": v} for v in LOSSES]
    run(callbacks.ReduceLROnPlateau(factor=0.5, **options), logs, regressor(optimizer=lamina.optimizers.SGD(1.0)))
    assert [e["learning_rate"] for e in logs] == pytest.approx([e["learning_rate"] for e in expected])


def test_learning_rate_scheduler() -> None:
    model = regressor(optimizer=lamina.optimizers.SGD(0.1))
    rates = callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5 if epoch else rate)
    history = model.fit(X, Y, epochs=3, callbacks=[rates], verbose=0)
    assert history.history["learning_rate"] == pytest.approx([0.1, 0.05, 0.025])
    model.fit(X, Y, callbacks=[callbacks.LearningRateScheduler(lambda epoch: 0.5)], verbose=0)
    assert float(model.optimizer.learning_rate) == 0.5
    with pytest.raises(ArgumentError, match="gives a float"):
        model.fit(X, Y, callbacks=[callbacks.LearningRateScheduler(lambda epoch, rate: "fast")], verbose=0)


def test_checkpoints(tmp_path: Path) -> None:
    model = regressor()
    every = callbacks.ModelCheckpoint(tmp_path / "all" / "{epoch:02d}-{val_loss:.1f}.safetensors")
    best = callbacks.ModelCheckpoint(tmp_path / "best.safetensors", "loss", save_best_only=True, save_weights_only=True)
    history = model.fit(X, Y, epochs=3, validation_data=(X, Y), callbacks=[every, best], verbose=0).history
    names = [f"{i + 1:02d}-{v:.1f}.safetensors" for i, v in enumerate(history["val_loss"])]
    assert sorted(p.name for p in (tmp_path / "all").iterdir()) == names
    again = lamina.models.load_model(tmp_path / "all" / names[-1])
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    regressor().load_weights(tmp_path / "best.safetensors")
    assert best.best == min(history["loss"])
    steps = callbacks.ModelCheckpoint(tmp_path / "steps" / "{epoch}-{batch}.safetensors", save_freq=3)
    model.fit(X, Y, batch_size=10, epochs=3, callbacks=[steps], verbose=0)
    assert sorted(p.name for p in (tmp_path / "steps").iterdir()) == [
        "1-3.safetensors",
        "2-2.safetensors",
        "3-1.safetensors",
        "3-4.safetensors",
    ]


def test_checkpoints_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="must end in `.keras`"):
        callbacks.ModelCheckpoint("model.png")
    with pytest.raises(ArgumentError, match="must end in `.weights.h5`"):
        callbacks.ModelCheckpoint("model.keras", save_weights_only=True)
    with pytest.raises(ArgumentError, match="save_freq"):
        callbacks.ModelCheckpoint("model.keras", save_freq="batch")
    with pytest.raises(KeyError, match="'val_loss' is not in the logs, which hold: loss, mae"):
        regressor().fit(X, Y, callbacks=[callbacks.ModelCheckpoint("{val_loss}.safetensors")], verbose=0)
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    with pytest.raises(IsADirectoryError, match="non-directory"):
        regressor().fit(X, Y, callbacks=[callbacks.ModelCheckpoint(folder)], verbose=0)


def test_a_table_of_the_epochs(tmp_path: Path) -> None:
    path, model = tmp_path / "log.csv", regressor()
    model.fit(X, Y, epochs=2, callbacks=[callbacks.CSVLogger(path)], verbose=0)
    second = model.fit(X, Y, callbacks=[callbacks.CSVLogger(path, append=True)], verbose=0)
    rows = list(csv.DictReader(path.open(newline="")))
    assert [r["epoch"] for r in rows] == ["0", "1", "0"]
    assert list(rows[0]) == ["epoch", "loss", "mae", "val_loss", "val_mae"] and rows[0]["val_mae"] == "NA"
    assert float(rows[2]["loss"]) == second.history["loss"][0]
    model.fit(X, Y, callbacks=[callbacks.CSVLogger(path, separator=";")], verbose=0)
    assert path.read_text().splitlines()[0] == "epoch;loss;mae;val_loss;val_mae"


def test_numbers_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    bad = Y.copy()
    bad[15] = np.inf
    stop = callbacks.TerminateOnNaN()
    seen: list[int] = []
    watch = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    history = regressor().fit(X, bad, batch_size=10, epochs=5, shuffle=False, callbacks=[stop, watch], verbose=0)
    assert len(history.epoch) == 1 and seen == [0, 1] and "Batch 1: the loss is inf" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="NaN or Inf loss encountered at batch 1"):
        regressor().fit(
            X, bad, batch_size=10, shuffle=False, callbacks=[callbacks.TerminateOnNaN(raise_error=True)], verbose=0
        )


def test_functions_as_callbacks() -> None:
    events: list[str] = []
    names = ["on_train_begin", "on_epoch_begin", "on_test_begin", "on_test_batch_end", "on_epoch_end", "on_train_end"]
    callback = callbacks.LambdaCallback(**{n: lambda *args, n=n: events.append(n) for n in names})  # type: ignore[misc]
    regressor().fit(X, Y, validation_data=(X, Y), batch_size=40, callbacks=[callback], verbose=0)
    assert events == names
    with pytest.raises(ArgumentError, match="no event 'on_lunch'"):
        callbacks.LambdaCallback(on_lunch=print)


def test_averaged_weights() -> None:
    model = regressor(optimizer=lamina.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    inside: list[Any] = []
    look = callbacks.LambdaCallback(on_test_end=lambda logs: inside.append(model.get_weights()[0].copy()))
    swap = callbacks.SwapEMAWeights()
    model.fit(X, Y, batch_size=10, validation_data=(X, Y), callbacks=[look, swap], verbose=0)
    np.testing.assert_allclose(inside[0], model.get_weights()[0])  # the end of fit sets the weights to the average
    with pytest.raises(ArgumentError, match="use_ema=True"):
        regressor().fit(X, Y, validation_data=(X, Y), callbacks=[callbacks.SwapEMAWeights()], verbose=0)


class Crash(callbacks.Callback):
    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            raise RuntimeError("power cut")


def test_training_goes_on_after_a_crash(tmp_path: Path) -> None:
    whole = regressor()
    whole.fit(X, Y, batch_size=16, epochs=5, shuffle=False, verbose=0)
    options = {"batch_size": 16, "epochs": 5, "shuffle": False, "verbose": 0}
    with pytest.raises(RuntimeError, match="power cut"):
        regressor().fit(X, Y, callbacks=[callbacks.BackupAndRestore(tmp_path / "b"), Crash(3)], **options)
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["latest.safetensors"]
    again = regressor()
    history = again.fit(X, Y, callbacks=[callbacks.BackupAndRestore(tmp_path / "b")], **options)
    assert history.epoch == [3, 4] and not (tmp_path / "b").exists()
    np.testing.assert_array_equal(again.get_weights()[0], whole.get_weights()[0])


def test_a_damaged_backup(tmp_path: Path) -> None:
    for double in (False, True):
        folder = tmp_path / str(double)
        with pytest.raises(RuntimeError, match="power cut"):
            regressor().fit(
                X, Y, epochs=5, verbose=0,
                callbacks=[callbacks.BackupAndRestore(folder, double_checkpoint=double), Crash(3)],
            )  # fmt: skip
        latest = folder / "latest.safetensors"
        latest.write_bytes(latest.read_bytes()[:-7])
        backup = callbacks.BackupAndRestore(folder)
        if double:
            assert regressor().fit(X, Y, epochs=5, callbacks=[backup], verbose=0).epoch == [2, 3, 4]
        else:
            with pytest.raises(FileFormatError):
                regressor().fit(X, Y, epochs=5, callbacks=[backup], verbose=0)


def test_a_server_hears_of_the_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    got: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        root = f"http://127.0.0.1:{server.server_port}"
        monitor = callbacks.RemoteMonitor(root, send_as_json=True)
        history = regressor().fit(X, Y, epochs=2, callbacks=[monitor], verbose=0).history
    finally:
        server.shutdown()
        server.server_close()
    assert [json.loads(body)["loss"] for _, body in got] == history["loss"]
    assert got[0][0] == "/publish/epoch/end/"
    with pytest.warns(UserWarning, match="Could not reach"):
        run(callbacks.RemoteMonitor(root), [{"loss": 1.0}])
