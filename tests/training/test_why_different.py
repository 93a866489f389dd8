"""``fit(record=...)`` and ``lamina why-different``: each cause is sown and has to be named, with step and layer."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting import tell

import lamina
from lamina import layers
from lamina.cli import main
from lamina.core.errors import ArgumentError, FileFormatError, NonFiniteError
from lamina.training import Recorder, record_header, why_different

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 6)).astype(np.float32)
Y = (X[:, 0] * X[:, 1]).astype(np.float32)


class Scaled(layers.Layer):
    """Multiplies by a number that no configuration shows."""

    def call(self, inputs: Any) -> Any:
        return inputs * Scaled.by()

    @staticmethod
    def by() -> float:
        return 1.25


@lamina.custom_gradient
def kept(x: Any) -> Any:
    """The value itself, its gradient multiplied."""
    return x, lambda upstream: upstream * Scaled.by()


class Backward(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return kept(inputs)


def run(
    folder: Path,
    seed: int = 1,
    x: Any = X,
    y: Any = Y,
    units: int = 8,
    activation: str = "relu",
    rate: float = 1e-2,
    inner: Any = None,
    epochs: int = 2,
    every: int = 20,
    **options: Any,
) -> Path:
    """Train and record."""
    lamina.random.seed(seed)
    middle = [inner()] if inner is not None else [layers.Dropout(0.2)]
    first, last = layers.Dense(units, activation, name="first"), layers.Dense(1, name="last")
    model = lamina.Sequential([layers.Input((6,)), first, *middle, layers.Dense(4, "tanh", name="second"), last])
    model.compile(lamina.optimizers.SGD(rate), "mse")
    arguments = {"batch_size": 16, "epochs": epochs, "verbose": 0, "record": Recorder(folder, every), **options}
    model.fit(x, y, **arguments)
    return folder


NAMED: set[str] = set()


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return run(tmp_path / "plain")


def test_the_same_run_twice(plain: Path, tmp_path: Path) -> None:
    found = why_different(plain, run(tmp_path / "again"))
    assert found.same and found.steps == 12 and str(found) == "No difference in 12 steps."
    assert main(["why-different", str(plain), str(tmp_path / "again")]) == 0


def sown() -> dict[str, tuple[str, dict[str, Any], Any]]:
    """What is changed in the second run, the cause that has to be named, and where: (epoch, step, layer, direction)."""
    late, last = X.copy(), Y.copy()
    late[50, 2] += 0.125
    last[3] += 1
    return {
        "data": ("data", {"x": late, "shuffle": False}, (0, 3, None, None)),
        "targets": ("data", {"y": last, "shuffle": False}, (0, 0, "loss", "forward")),
        "fewer samples": ("data", {"x": X[:80], "y": Y[:80], "shuffle": False}, None),
        "seed": ("seed", {"seed": 2}, (None, None, "sequential/first", None)),
        "units": ("code", {"units": 9}, (None, None, "sequential/first", None)),
        "activation": ("code", {"activation": "tanh"}, (0, 0, "sequential/first", "forward")),
        "learning rate": ("code", {"rate": 2e-2}, (0, 0, "optimizer", "update")),
        "another layer": ("code", {"inner": lambda: layers.GaussianNoise(0.1)}, None),
        "batch size": ("settings", {"batch_size": 24}, (0, 0, None, None)),
        "order": ("settings", {"shuffle": True}, (0, 0, None, None)),
    }


@pytest.mark.parametrize("name", sown())
def test_causes(name: str, tmp_path: Path) -> None:
    cause, change, where = sown()[name]
    base = {"shuffle": False} if "shuffle" in change else {}
    found = why_different(run(tmp_path / "a", **base), run(tmp_path / "b", **{**base, **change}))
    assert not found.same and found.cause == cause, str(found)
    if where is not None:
        epoch, step, layer, direction = where
        assert (found.epoch, found.step) == (epoch, step), str(found)
        assert layer is None or (found.layer, found.direction) == (layer, direction), str(found)
    NAMED.add(name)


def test_where_in_the_data(tmp_path: Path) -> None:
    x = X.copy()
    x[50, 2] += 0.125
    found = why_different(run(tmp_path / "a", shuffle=False), run(tmp_path / "b", x=x, shuffle=False))
    assert "x has other values, first in rows 50 to 51" in found.explanation[0]
    assert "in epoch 1, step 4" in str(found)


SOURCES = ("threads", "version", "machine")


@pytest.mark.parametrize("cause", SOURCES)
def test_what_the_machine_is(cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that hangs on the threads, the version or the machine, in a layer whose code and settings are equal."""
    first = run(tmp_path / "a", inner=Scaled)
    if cause == "threads":
        monkeypatch.setattr(record_header, "get_num_threads", lambda: 64)
    elif cause == "version":
        monkeypatch.setattr(record_header, "__version__", "99.0")
    else:
        monkeypatch.setattr(record_header.platform, "system", lambda: "Plan 9")
    same = why_different(first, run(tmp_path / "same", inner=Scaled))
    assert same.same and same.others[0][0] == cause and "made no difference" in str(same)
    monkeypatch.setattr(Scaled, "by", staticmethod(lambda: 1.25 + 2**-20))
    found = why_different(first, run(tmp_path / "b", inner=Scaled))
    assert (found.cause, found.layer, found.direction) == (cause, "sequential/scaled", "forward"), str(found)
    NAMED.add(cause)


def test_a_gradient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(tmp_path / "a", inner=Backward)
    monkeypatch.setattr(Scaled, "by", staticmethod(lambda: 1.5))
    found = why_different(first, run(tmp_path / "b", inner=Backward))
    assert (found.layer, found.direction, found.cause) == ("sequential/backward", "backward", "unknown"), str(found)


def test_something_in_the_middle_of_a_run(plain: Path, tmp_path: Path) -> None:
    class Meddles(lamina.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                bias = self.model.layers[-2].bias
                bias.assign(bias + 2.0**-12)

    class Nothing(lamina.callbacks.Callback):
        pass

    Nothing.__name__ = "Meddles"
    first = run(tmp_path / "a", callbacks=[Nothing()])
    found = why_different(first, run(tmp_path / "b", callbacks=[Meddles()]))
    assert (found.epoch, found.step, found.cause) == (1, 0, "unknown") and "callback" in str(found)
    draws = lamina.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch and lamina.random.normal(()))
    quiet = lamina.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: None)
    a, b = run(tmp_path / "c", callbacks=[quiet]), run(tmp_path / "d", callbacks=[draws])
    found = why_different(a, b)
    assert (found.epoch, found.step, found.cause) == (1, 0, "seed") and "drew random numbers" in str(found)


def test_generators(tmp_path: Path) -> None:
    def batches(x: np.ndarray) -> Any:
        return ((x[i : i + 16], Y[i : i + 16]) for i in range(0, 96, 16))

    x = X.copy()
    x[70, 1] += 1
    first = run(tmp_path / "a", x=batches(X), y=None, epochs=1)
    assert why_different(first, run(tmp_path / "b", x=batches(X), y=None, epochs=1)).same
    found = why_different(first, run(tmp_path / "c", x=batches(x), y=None, epochs=1))
    assert (found.epoch, found.step, found.cause) == (0, 4, "data"), str(found)


def test_a_script_and_the_source_of_a_class(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        import numpy as np
        import lamina
        from lamina import layers

        class Own(layers.Layer):
            def call(self, inputs):
                return inputs * 2.0

        lamina.random.seed(0)
        model = lamina.Sequential([layers.Input((3,)), Own(), layers.Dense(1)])
        model.compile("sgd", "mse")
        x = np.arange(60, dtype="float32").reshape(20, 3) / 60
        model.fit(x, x[:, 0], verbose=0, record=sys.argv[1])
        """
    )
    for folder, text in (("a", script), ("b", script.replace("* 2.0", "* 3.0"))):
        (tmp_path / "train.py").write_text(text)
        subprocess.run([sys.executable, str(tmp_path / "train.py"), str(tmp_path / folder)], check=True)
    found = why_different(tmp_path / "a", tmp_path / "b")
    assert found.cause == "code" and "The source of Own differs." in found.explanation
    assert "train.py differs, first in line 9." in found.explanation
    assert (found.layer, found.direction) == ("sequential/own", "forward")


# --- the file -------------------------------------------------------------------------------------------
def test_recording_changes_nothing(tmp_path: Path) -> None:
    def weights(**options: Any) -> Any:
        lamina.random.seed(5)
        inner = [layers.BatchNormalization(), layers.Dropout(0.5)]
        model = lamina.Sequential([layers.Input((6,)), layers.Dense(8, "relu"), *inner, layers.Dense(1)])
        model.compile("adam", "mse", metrics=["mae"])
        history = model.fit(X, Y, 16, 3, 0, validation_split=0.25, **options)
        return history.history, model.get_weights()

    (plain, w), (recorded, v) = weights(), weights(record=tmp_path / "a")
    assert plain == recorded and all(np.array_equal(a, b) for a, b in zip(w, v, strict=True))


def test_a_run_that_goes_on(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", epochs=4)
    folder = tmp_path / "b"

    class Dies(lamina.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if Dies.alive and epoch == 2:
                raise KeyboardInterrupt

    Dies.alive = True
    options = {"epochs": 4, "callbacks": [Dies()], "checkpoint": tmp_path / "state"}
    with pytest.raises(KeyboardInterrupt):
        run(folder, **options)
    (folder / "record.jsonl").write_bytes((folder / "record.jsonl").read_bytes()[:-37])  # as after a loss of power
    Dies.alive = False
    run(folder, **options, resume=True)
    found = why_different(whole, folder)
    assert found.same and found.steps == 24, str(found)
    with pytest.raises(ArgumentError, match="record of an earlier run"):
        run(folder)


def test_nan_is_recorded(tmp_path: Path) -> None:
    y = Y.copy()
    model_rate = 1e30
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in "ab":
            with pytest.raises(NonFiniteError):
                run(tmp_path / name, y=y, rate=model_rate)
    assert why_different(tmp_path / "a", tmp_path / "b").same


def test_lines_thin_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamina.training.recorder.LINES", 8)
    folder = run(tmp_path / "a", epochs=20)
    lines = (folder / "record.jsonl").read_text().splitlines()
    assert 8 + 3 * 4 < len(lines) < 8 + 8 * 4 + 5 < 120  # of 120 steps
    assert why_different(folder, run(tmp_path / "b", epochs=20)).same
    found = why_different(folder, run(tmp_path / "c", epochs=20, rate=2e-2))
    assert (found.epoch, found.step) == (0, 0)


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            pass

        def tell(self) -> int:
            return 0

    monkeypatch.setattr("lamina.training.recorder.open", lambda *a, **k: Full(), raising=False)
    with pytest.warns(UserWarning, match="No space left.*Training goes on"):
        run(tmp_path / "a")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello\n", "is no record of a run"),
        (b"[1,2,3]\n", "is no record of a run"),
        (b'{"record": 1}\n', "is no record of a run"),
        (b'{"record": 99, "header": {}, "names": []}\n', "is no record of a run|format 99"),
        (b'{"record": 1, "header": {}, "names": []}\n', "the header is damaged"),
        (b'{"record": 1, "header": {"weights": 3}, "names": []}\n', "the header is damaged"),
        (b"[" * 100_000, "is no record of a run"),
        (b'{"record": 1, "header": {"__import__": "os"}, "names": ["a", 3]}\n', "is no record of a run"),
    ],
)
def test_other_files(content: bytes, message: str, plain: Path, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "other.jsonl"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        why_different(plain, path)
    assert main(["why-different", str(path), str(plain)]) == 2
    assert "lamina why-different: " in capsys.readouterr().err


def test_damaged_lines(plain: Path, tmp_path: Path) -> None:
    """Every byte of the steps may be another one: the file is refused, or read without the line."""
    text = (plain / "record.jsonl").read_bytes()
    begin = text.index(b"\n", text.index(b"probe")) + 1
    path = tmp_path / "damaged.jsonl"
    read = 0
    for place in [*range(0, begin, max(1, begin // 300)), *range(begin, len(text), 3)]:
        for byte in (b"\xff", b'"', b"}"):
            path.write_bytes(text[:place] + byte + text[place + 1 :])
            try:
                why_different(plain, path)
                read += 1
            except FileFormatError:
                pass
    assert read
    with pytest.raises(FileFormatError, match="does not exist"):
        why_different(plain, tmp_path / "nothing")


def test_arguments(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="record is a folder"):
        run(tmp_path, record=3)
    with pytest.raises(ArgumentError, match="every"):
        Recorder(tmp_path, 0)
    assert json.loads((run(tmp_path / "a") / "record.jsonl").read_text().splitlines()[0])["record"] == 1


def test_the_causes_that_were_named() -> None:
    tell(f"why-different: {len(NAMED)} of {len(sown()) + len(SOURCES)} sown causes named")


class Halving(lamina.Model):
    """Trains by a step of its own, and is built by its first batch."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)

    def train_step(self, data: Any) -> Any:
        x, y = data
        with lamina.GradientTape() as tape:
            loss = 0.5 * lamina.mean((self(x, training=True)[:, 0] - y) ** 2)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


def halving(eager: bool) -> Any:
    model = Halving()
    model.compile("adam", run_eagerly=eager)
    return model


def two_inputs(eager: bool) -> Any:
    a, b = layers.Input((6,), name="a"), layers.Input((6,), name="b")
    model = lamina.Model({"a": a, "b": b}, layers.Dense(1)(layers.Dropout(0.5)(layers.Concatenate()([a, b]))))
    model.compile("adam", "mse", metrics=["mae"], run_eagerly=eager)
    return model


def recurrent(eager: bool) -> Any:
    inner = [layers.Reshape((3, 2)), layers.GRU(4, dtype="mixed_bfloat16"), layers.Dense(1, dtype="float32")]
    model = lamina.Sequential([layers.Input((6,)), *inner])
    model.compile("adam", "mse", run_eagerly=eager)
    return model


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("make", [halving, two_inputs, recurrent])
@pytest.mark.parametrize("batches", [False, True])
def test_all_kinds_of_models(make: Any, eager: bool, batches: bool, tmp_path: Path) -> None:
    def train(name: str, x: np.ndarray) -> Path:
        lamina.random.seed(0)
        given = {"a": x, "b": x} if make is two_inputs else x
        if batches:
            source = [({k: v[i : i + 32] for k, v in given.items()} if isinstance(given, dict) else given[i : i + 32],
                       Y[i : i + 32]) for i in (0, 32, 64)]  # fmt: skip
            make(eager).fit(iter(source), verbose=0, record=tmp_path / name)
        else:
            make(eager).fit(given, Y, verbose=0, shuffle=False, record=tmp_path / name)
        return tmp_path / name

    other = X.copy()
    other[40] += 1
    first = train("a", X)
    assert why_different(first, train("b", X)).same
    found = why_different(first, train("c", other))
    assert (found.epoch, found.step, found.cause) == (0, 1, "data"), str(found)
