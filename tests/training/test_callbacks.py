"""Callbacks, Ctrl-C, and what fit shows."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import numpy as np
import pytest
from training_helpers import blobs, classifier, line, regressor

import lamina
from lamina.callbacks import Callback
from lamina.core.errors import ArgumentError
from lamina.core.primitive import state


class Recorder(Callback):
    """Notes epoch and run events."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.events.append("train begin")

    def on_train_end(self, logs: Any = None) -> None:
        self.events.append(("train end", sorted(logs)))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.events.append(("epoch begin", epoch))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.events.append(("epoch end", epoch, sorted(logs)))

    def on_test_begin(self, logs: Any = None) -> None:
        self.events.append("test begin")

    def on_test_end(self, logs: Any = None) -> None:
        self.events.append("test end")


class BatchRecorder(Callback):
    """Notes batch events."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.events.append(("begin", batch))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.events.append(("end", batch, logs["loss"]))

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self.events.append(("predict", batch, logs["outputs"].shape))


def test_epoch_events_in_order() -> None:
    x, y = line(20)
    recorder, model = Recorder(), regressor()
    model.fit(x, y, epochs=2, validation_data=(x, y), verbose=0, callbacks=[recorder])
    names = ["loss", "val_loss"]
    assert recorder.events == [
        "train begin",
        ("epoch begin", 0), "test begin", "test end", ("epoch end", 0, names),
        ("epoch begin", 1), "test begin", "test end", ("epoch end", 1, names),
        ("train end", names),
    ]  # fmt: skip
    assert recorder.model is model and recorder.params["epochs"] == 2 and recorder.params["steps"] == 1


@pytest.mark.parametrize("at_once", [1, 2])
def test_batch_events(at_once: int) -> None:
    x, y = line(50)
    recorder = BatchRecorder()
    model = regressor(steps_per_execution=at_once)
    plain = regressor()
    model.fit(x, y, batch_size=10, shuffle=False, verbose=0, callbacks=[recorder])
    plain.fit(x, y, batch_size=10, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], plain.get_weights()[0])
    begun = [e[1] for e in recorder.events if e[0] == "begin"]
    ended = [e[1] for e in recorder.events if e[0] == "end"]
    assert (begun, ended) == (([0, 1, 2, 3, 4], [0, 1, 2, 3, 4]) if at_once == 1 else ([0, 2, 4], [1, 3, 4]))
    assert recorder.events[-1][2] == pytest.approx(model.history.history["loss"][0])


def test_predict_events() -> None:
    recorder = BatchRecorder()
    regressor().predict(line(25)[0], batch_size=10, verbose=0, callbacks=[recorder])
    assert recorder.events == [("predict", 0, (10, 1)), ("predict", 1, (10, 1)), ("predict", 2, (5, 1))]


def test_stop_training() -> None:
    class Stop(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = epoch == 1

    x, y = line(20)
    model = regressor()
    assert model.fit(x, y, epochs=10, verbose=0, callbacks=[Stop()]).epoch == [0, 1]
    assert model.fit(x, y, epochs=1, verbose=0).epoch == [0], "the next fit starts afresh"


def test_a_callback_may_change_the_learning_rate() -> None:
    class Halve(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) / 2

    x, y = line(20)
    model = regressor()
    model.fit(x, y, epochs=3, verbose=0, callbacks=[Halve()])
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05 / 8)


def test_what_is_no_callback() -> None:
    x, y = line(20)
    with pytest.raises(ArgumentError, match="add \\(\\)"):
        regressor().fit(x, y, verbose=0, callbacks=[Recorder])
    with pytest.raises(ArgumentError, match="callbacks is a list"):
        regressor().fit(x, y, verbose=0, callbacks=3)


# --- Ctrl-C ---------------------------------------------------------------------------------------
class PressAt(Callback):
    """Sends the process the signal of Ctrl-C when an epoch begins."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_keeps_model_and_history() -> None:
    x, y = line(64)
    model, reference = regressor(optimizer="adam"), regressor(optimizer="adam")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, epochs=10, shuffle=False, verbose=0, callbacks=[PressAt(3)])
    assert signal.getsignal(signal.SIGINT) is before
    assert model.history.epoch == [0, 1, 2] and len(model.history.history["loss"]) == 3
    # Interrupted between two steps: some steps of the fourth epoch are done, and whole ones.
    steps = int(model.optimizer.iterations.numpy())
    reference.fit(x, y, epochs=3, shuffle=False, verbose=0)
    for i in range(steps - 6):
        reference.train_on_batch(x[i * 32 : (i + 1) * 32], y[i * 32 : (i + 1) * 32])
    np.testing.assert_allclose(model.get_weights()[0], reference.get_weights()[0], rtol=1e-6)
    model.fit(x, y, epochs=1, verbose=0)  # and it goes on


def test_ctrl_c_in_the_middle_of_a_long_epoch() -> None:
    x, y = blobs(20_000)
    model = classifier()
    model.fit(x[:64], y[:64], verbose=0)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    begun = lamina.callbacks.LambdaCallback(on_train_begin=lambda logs: timer.start())
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, batch_size=4, epochs=10_000, verbose=0, callbacks=[begun])
    timer.join()
    assert len(model.history.epoch) < 1000  # it was not only heard in the end
    assert all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.parametrize("call", [1, 2, 3], ids=["the first row", "the checks", "the first step"])
def test_ctrl_c_before_the_first_step_leaves_no_trace(call: int) -> None:
    """``fit`` calls the model to look at it, and puts back what that writes: Ctrl-C waits until all of it is back."""

    class Press(lamina.layers.Layer):
        calls = ended = -9  # building the model calls it too

        def call(self, x: Any) -> Any:
            Press.calls += 1
            if Press.calls == call:
                os.kill(os.getpid(), signal.SIGINT)
            Press.ended += 1
            return x

    inner = [lamina.layers.BatchNormalization(), Press(), lamina.layers.Dropout(0.5), lamina.layers.Dense(1)]
    model = lamina.Sequential([lamina.Input((3,)), *inner])
    model.compile("sgd", "mse", run_eagerly=True)
    Press.calls = Press.ended = 0
    before = [v.numpy() for v in model.variables]
    with pytest.raises(KeyboardInterrupt):
        model.fit(np.eye(3).repeat(4, axis=0), np.arange(12.0), batch_size=12, verbose=0)
    after = [v.numpy() for v in model.variables]
    assert Press.calls == Press.ended == call and not state.tapes
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)) == (call < 3)


def test_a_handler_of_the_program_is_left_alone() -> None:
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        x, y = line(64)
        model = regressor()
        model.fit(x, y, epochs=3, verbose=0, callbacks=[PressAt(1)])
        assert pressed == [signal.SIGINT] and model.history.epoch == [0, 1, 2]
    finally:
        signal.signal(signal.SIGINT, before)


def test_fit_in_another_thread() -> None:
    x, y = line(64)
    model = regressor()
    thread = threading.Thread(target=model.fit, args=(x, y), kwargs={"epochs": 2, "verbose": 0})
    thread.start()
    thread.join()
    assert model.history.epoch == [0, 1]


# --- what is shown ------------------------------------------------------------------------------------
def test_one_line_per_epoch_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = blobs(100)
    classifier().fit(x, y, epochs=2, validation_split=0.2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("Epoch 2/2 - 3/3 - ")
    names = [part.split(":")[0] for part in lines[1].split(" - ")[4:]]
    assert names == ["loss", "accuracy", "val_loss", "val_accuracy"]


def test_verbose_0_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = blobs(40)
    model = classifier()
    model.fit(x, y, verbose=0)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    assert capsys.readouterr() == ("", "")


def test_history_repr() -> None:
    x, y = line(20)
    history = regressor().fit(x, y, epochs=2, verbose=0)
    assert repr(history).startswith("History(2 epochs; last: loss=")
    assert lamina.callbacks.History.__doc__
