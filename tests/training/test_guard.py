"""NaN and infinity in training: the step is found, named and kept, and can be repeated to the bit elsewhere."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting import tell

import lamina
from lamina import layers
from lamina.core.errors import FileFormatError, NonFiniteError
from lamina.training import guard, replay
from lamina.training.replay import changed_by_steps

RNG = np.random.default_rng(0)
X = RNG.uniform(0.5, 1.0, size=(64, 4)).astype("float32")
Y = RNG.normal(size=(64, 1)).astype("float32")


@lamina.register_serializable("tests")
class Log(layers.Layer):
    """log(x): no number below 0, and no gradient at 0."""

    def call(self, inputs: Any) -> Any:
        return lamina.ops.log(inputs)


@lamina.register_serializable("tests")
class Root(layers.Layer):
    """sqrt(x), whose gradient at 0 is infinite."""

    def call(self, inputs: Any) -> Any:
        return lamina.ops.sqrt(inputs)


def regression(inner: Any, rate: float = 0.01, eager: bool = False, **compile: Any) -> Any:
    model = lamina.Sequential(
        [layers.Input((4,)), inner, layers.Dense(8, "relu", name="hidden"), layers.Dropout(0.1), layers.Dense(1)],
        name="net",
    )
    model.compile(lamina.optimizers.Adam(rate), "mse", metrics=["mae"], run_eagerly=eager, **compile)
    return model


def stopped(model: Any, *data: Any, **arguments: Any) -> NonFiniteError:
    with pytest.raises(NonFiniteError) as caught:
        model.fit(*data, **{"batch_size": 8, "epochs": 3, "verbose": 0, **arguments})
    return caught.value


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_sample_that_has_no_logarithm(eager: bool, shuffle: bool, tmp_path: Path) -> None:
    x = X.copy()
    x[[37, 39], 2] = -1.0
    lamina.random.seed(4)
    model = regression(Log(name="log"), eager=eager)
    error = stopped(model, x, Y, shuffle=shuffle)
    finding = error.finding
    assert (finding.op, finding.value, finding.direction) == ("log", "NaN", "forward")
    assert finding.layer == "net/log"
    assert error.epoch == 0 and error.rows is not None and set(error.rows) <= {37, 39}
    if not shuffle:
        assert error.step == 4 and error.rows == [37, 39] and finding.samples == [5, 7]
    assert "'log' in 'net/log' gave NaN (forward) for sample" in str(error)
    assert "To repeat the step: lamina replay " in str(error)
    assert all(np.isfinite(w).all() for w in model.get_weights())
    again = replay(error.replay)
    assert again.equal and again.finding == finding
    assert "repeated with the same bits" in str(again) and "of the data" in str(again)


def test_the_model_is_as_it_was_before_the_step() -> None:
    """As after the steps before it, to the bit."""
    x = X.copy()
    x[45] = -1.0
    results = []
    for limit in (None, 5):
        lamina.random.seed(1)
        model = regression(Log())
        if limit is None:
            assert stopped(model, x, Y, shuffle=False).step == 5
        else:
            model.fit(x[:40], Y[:40], batch_size=8, shuffle=False, verbose=0)
        results.append([*model.get_weights(), *[v.numpy() for v in model.optimizer.variables]])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_gradient_that_is_infinite() -> None:
    x = X.copy()
    x[3, 1] = 0.0
    first = layers.Dense(4, use_bias=False)
    model = lamina.Sequential([layers.Input((4,)), first, Root(name="root")], name="net")
    model.compile("sgd", "mse")
    model.layers[0].set_weights([np.eye(4)])
    error = stopped(model, x, X.copy(), shuffle=False)
    assert error.step == 0 and error.finding.direction == "backward" and error.finding.layer == "net/root"
    assert error.rows == [3]
    assert replay(error.replay).equal


def test_an_overflow_of_the_learning_rate() -> None:
    model = regression(layers.Activation("linear"), rate=1e20)
    error = stopped(model, X, Y, epochs=20)
    assert error.finding is not None and error.finding.direction in ("forward", "backward")
    assert replay(error.replay).equal


def test_a_step_late_in_a_long_run() -> None:
    """Found among thousands of steps that ran in few calls, with a learning rate that a callback changes."""
    lamina.random.seed(2)
    model = lamina.Sequential([layers.Input((4,)), layers.Dense(8, "relu"), layers.Dropout(0.5), layers.Dense(1)])
    model.compile(lamina.optimizers.SGD(0.001), "mse")
    rates = lamina.callbacks.LearningRateScheduler(lambda epoch: 0.001 * (epoch + 1) if epoch < 3 else 50.0)
    error = stopped(model, np.tile(X, (50, 1)), np.tile(Y, (50, 1)), callbacks=[rates], epochs=5)
    assert error.epoch == 3 and error.step >= 2
    assert replay(error.replay).equal


def test_batches_that_come_one_after_the_other(tmp_path: Path) -> None:
    x = X.copy()
    x[19] = -1.0
    batches = [(x[i : i + 8], Y[i : i + 8]) for i in range(0, 64, 8)]

    class Source:
        def __iter__(self) -> Any:
            return iter(batches)

    model = regression(Log())
    error = stopped(model, Source(), checkpoint=tmp_path, batch_size=None)
    assert (error.epoch, error.step, error.finding.samples) == (0, 2, [3])
    assert error.replay.parent == tmp_path
    assert replay(error.replay).equal


def test_a_weight_that_no_loss_tells_of() -> None:
    """The last step makes the weights infinite; no loss follows."""
    model = lamina.Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False)])
    model.compile(lamina.optimizers.SGD(1e30), "mse")
    model.layers[0].set_weights([np.array([[1e5]], "float32")])
    error = stopped(model, np.full((1, 1), 1e5, "float32"), np.zeros((1, 1)), epochs=1)
    assert error.finding.direction in ("update", "backward")
    assert replay(error.replay).equal


def test_a_step_and_a_loss_of_the_users_own() -> None:
    class OwnStep(lamina.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

        def train_step(self, data: Any) -> Any:
            x, y = data
            with lamina.GradientTape() as tape:
                loss = lamina.mean(lamina.ops.log(x) * (self(x, training=True) - y) ** 2)
            self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
            return {"loss": loss}

    def build() -> Any:
        model = OwnStep()
        model.compile("adam")
        return model

    x = X.copy()
    x[9] = -1.0
    error = stopped(build(), x, Y, shuffle=False)
    assert error.step == 1 and error.finding.op == "log" and error.rows == [9] and __file__ in error.finding.source
    with pytest.raises((FileFormatError, lamina.LaminaError), match="is not a registered class"):
        replay(error.replay)
    assert replay(error.replay, model=build()).equal
    assert replay(error.replay, custom_objects={"OwnStep": OwnStep}).equal


def test_who_wants_to_go_on() -> None:
    x = X.copy()
    x[3] = -1.0
    history = regression(Log()).fit(x, Y, epochs=2, verbose=0, stop_on_nan=False).history
    assert np.isnan(history["loss"]).all()
    stopping = lamina.callbacks.TerminateOnNaN()
    assert len(regression(Log()).fit(x, Y, epochs=2, verbose=0, callbacks=[stopping]).history["loss"]) == 1


def test_a_state_too_large_to_be_kept_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamina.training.guard.machine_memory", lambda: 1000)
    x = X.copy()
    x[40] = -1.0
    error = stopped(regression(Log()), x, Y)
    assert error.finding is None and error.replay is None and "the loss or a weight is NaN" in str(error)


def test_masked_infinities_are_no_reason_to_stop() -> None:
    """Minus infinity in a mask is meant; the culprit of a later NaN is not the mask."""
    x = layers.Input((5, 4))
    attended = layers.MultiHeadAttention(2, 4, name="attention")(x, x, use_causal_mask=True)
    out = layers.Dense(1)(layers.Flatten()(layers.Activation("exponential", name="grow")(attended)))
    model = lamina.Model(x, out)
    model.compile("adam", "mse")
    data = RNG.normal(size=(32, 5, 4)).astype("float32")
    model.fit(data, Y[:32], verbose=0, epochs=2)
    data[7] *= 1e30
    error = stopped(model, data, Y[:32], shuffle=False)
    assert error.rows == [7] or 7 in (error.rows or [])


COMMAND = [sys.executable, "-m", "lamina.cli", "replay"]


def test_the_command_in_a_fresh_process(tmp_path: Path) -> None:
    x = X.copy()
    x[30, 0] = 1e6
    first = layers.Dense(9, "exponential")
    model = lamina.Sequential(
        [layers.Input((4,)), first, layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(1)]
    )
    model.compile(lamina.optimizers.Adam(lamina.optimizers.schedules.CosineDecay(0.1, 30)), "mse", metrics=["mae"])
    error = stopped(model, x, Y, checkpoint=tmp_path)
    done = subprocess.run([*COMMAND, str(error.replay)], capture_output=True, text=True, timeout=6000)
    assert done.returncode == 0, done.stderr
    assert "repeated with the same bits as in the run" in done.stdout and "row" in done.stdout
    done = subprocess.run([*COMMAND, str(tmp_path / "none")], capture_output=True, text=True, timeout=600)
    assert done.returncode == 2 and "there is no such file" in done.stderr
    path = tmp_path / "classes.py"
    path.write_text(
        "import lamina\n"
        "class Log(lamina.layers.Layer):\n    def call(self, x):\n        return lamina.ops.log(x)\n"
        "Log = lamina.register_serializable('tests')(Log)\n"
    )
    x[30, 0] = -1.0
    error = stopped(regression(Log(name="log")), x, Y)
    done = subprocess.run([*COMMAND, str(error.replay)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 2 and "'tests>Log' is not a registered class" in done.stderr
    command = [*COMMAND, str(error.replay), "--code", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and "'log' in 'net/log' gave NaN (forward)" in done.stdout, done.stderr


def test_watching_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 2 % of the CPU time of ``fit``."""
    from lamina.training.guard import Guard

    spent = [0.0]

    def timed(name: str) -> None:
        method = getattr(Guard, name)

        def run(*args: Any, **kwargs: Any) -> Any:
            started = time.thread_time()
            try:
                return method(*args, **kwargs)
            finally:
                spent[0] += time.thread_time() - started

        monkeypatch.setattr(Guard, name, run)

    for name in ("__init__", "before", "after", "epoch_begins", "steps_ended"):
        timed(name)
    x, y = RNG.normal(size=(20_000, 64)).astype("float32"), RNG.normal(size=(20_000, 1))
    model = lamina.Sequential(
        [layers.Input((64,)), layers.Dense(64, "relu"), layers.Dropout(0.1), layers.Dense(64, "relu"), layers.Dense(1)]
    )
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(x, y, verbose=0)
    shares = []
    for _ in range(12):  # what other programs do to the caches only adds to it: the least tells
        spent[0], started = 0.0, time.process_time()
        model.fit(x, y, verbose=0, epochs=8)
        shares.append(spent[0] / (time.process_time() - started))
        if len(shares) >= 3 and min(shares) < 0.02:
            break
    tell(f"watching for NaN: {min(shares):.2%} of CPU time")
    assert min(shares) < 0.02


def test_a_large_copy_lies_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step is found and repeated as it is with a copy in memory."""
    findings = []
    for most in (1 << 30, 0):
        monkeypatch.setattr(guard, "IN_MEMORY", most)
        x = X.copy()
        x[9] = -1.0
        lamina.random.seed(0)
        model = regression(Log())
        model.set_weights(model.get_weights())  # numbers that no initializer gives again
        error = stopped(model, x, Y, shuffle=False, epochs=2)
        findings.append((error.step, error.rows, error.finding.op, [w.tobytes() for w in model.get_weights()]))
        assert replay(error.replay).equal
    assert findings[0] == findings[1]


@pytest.mark.parametrize("most", [1 << 30, 0])
def test_new_weights_and_slots_are_drawn_again(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an initializer gave is not copied, and comes back to the bit; what was assigned is copied."""
    monkeypatch.setattr(guard, "IN_MEMORY", most)
    model = lamina.Sequential(
        [
            layers.Input((1024,)),
            layers.Dense(1024, kernel_initializer="he_normal"),  # so large that it is drawn by compiled code
            layers.BatchNormalization(),
            layers.Dense(5, kernel_initializer="orthogonal", bias_initializer=lamina.initializers.Constant(2.0)),
            layers.Dense(1, kernel_initializer=lambda shape, dtype: RNG.normal(size=shape).astype(dtype)),
        ]
    )
    model.compile(lamina.optimizers.SGD(0.01, momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    assigned = model.layers[1].gamma
    assigned.assign(assigned + 1.0)
    found = changed_by_steps(model, model._training.compiled)
    before = [np.array(v._data) for v in found]
    copy = guard._Copy(found)
    assert copy.take() > 0.99 * sum(a.nbytes for a in before)
    x = RNG.normal(size=(16, 1024)).astype("float32")
    for _ in range(2):
        model.fit(x, x[:, :1], verbose=0, stop_on_nan=False)
        changed = [not np.array_equal(v._data, a) for v, a in zip(found, before, strict=True)]
        assert sum(changed) > len(found) / 2
        copy.put_back()
        for variable, array in zip(found, before, strict=True):
            np.testing.assert_array_equal(variable._data, array)
    assert copy.take() == 0  # nobody knows any more where the numbers come from


def test_the_first_copy_of_drawn_weights_is_due_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one has to write them, so as much time must pass as if the first had."""
    monkeypatch.setattr(guard, "RATE", 1.0)
    copies: list[int] = []
    take = guard._Copy.take
    monkeypatch.setattr(guard._Copy, "take", lambda self: copies.append(0) or take(self))
    model = regression(layers.Activation("linear"))
    model.fit(X, Y, batch_size=8, epochs=20, verbose=0)
    assert len(copies) == 1
