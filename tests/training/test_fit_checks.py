"""``fit`` looks by itself: how many of the mistakes it finds, no false alarm, and nothing changes by looking."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import preflight_mistakes  # noqa: F401  (fills the table)
import preflight_sound  # noqa: F401
import pytest
from conftest import ROOT, data_folder
from counting import tell
from preflight_parts import MISTAKES, SOUND, classes, compiled, mlp, table

import lamina
from lamina import layers
from lamina.core.errors import DataError, DTypeError, LaminaError, PreflightWarning, ShapeError
from lamina.datasets.files import MissingDataError
from lamina.training import loop

REFUSED = (DataError, ShapeError, DTypeError)


def told(name: str, case: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What ``fit`` says before the first step: the messages of its warnings, or of its error."""
    monkeypatch.setattr(loop, "_train", lambda *_: None)
    seed = zlib.crc32(name.encode())
    lamina.random.seed(seed)
    model, arguments = case(np.random.default_rng(seed))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            model.fit(**arguments, verbose=0)
        except REFUSED as error:
            return [f"error {error}"]
    return [str(w.message) for w in seen]


def right(kinds: str, messages: list[str]) -> bool:
    """Whether one of them is of the right kind."""
    return any(
        m.startswith("error ") if kind == "data" else f"[{kind};" in m or (kind == "classes" and "The split" in m)
        for m in messages
        for kind in kinds.split("|")
    )


def test_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {name: told(name, case, monkeypatch) for name, (case, _) in MISTAKES.items()}
    missed = {name: messages for name, messages in found.items() if not right(MISTAKES[name][1], messages)}
    tell(f"fit: {len(MISTAKES) - len(missed)} of {len(MISTAKES)} mistakes named before the first step")
    assert len(MISTAKES) - len(missed) >= 0.9 * len(MISTAKES), missed


def test_sound_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    alarms = {name: messages for name, case in SOUND.items() if (messages := told(name, case, monkeypatch))}
    tell(f"fit: {len(alarms)} false alarms over {len(SOUND)} sound scripts")
    assert not alarms


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_other_seeds(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    alarms = {n: m for n, case in SOUND.items() if (m := told(f"{n} {seed}", case, monkeypatch))}
    missed = [n for n, (case, k) in MISTAKES.items() if not right(k, told(f"{n} {seed}", case, monkeypatch))]
    assert not alarms and len(missed) <= 5, missed


def test_looking_changes_nothing() -> None:
    def run(preflight: bool) -> Any:
        lamina.random.seed(4)
        x, y = classes(np.random.default_rng(0))
        inner = [layers.BatchNormalization(), layers.Dropout(0.5)]
        model = compiled(mlp(8, 3, "softmax", "relu", *inner), "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x, y, epochs=2, verbose=0, validation_split=0.2, preflight=preflight)
        return history.history, model.get_weights()

    (one, weights), (other, others) = run(True), run(False)
    assert one == other and all(np.array_equal(a, b) for a, b in zip(weights, others, strict=True))


def scaled(rng: Any) -> tuple[Any, Any, Any]:
    x, y = table(rng)
    return compiled(mlp(8, 1), "mse", lamina.optimizers.SGD(1e-9)), x * 500 + 2000, y


def test_each_kind_is_told_once_and_can_be_silenced(rng: np.random.Generator) -> None:
    model, x, y = scaled(rng)
    with pytest.warns(PreflightWarning, match="inputs of 'dense") as seen:
        [model.fit(x, y, verbose=0) for _ in range(3)]
    kinds = [str(w.message).partition("[")[2].partition(";")[0] for w in seen]
    assert len(set(kinds)) == len(kinds) and "scale" in kinds and "learning_rate" in kinds
    assert {w.filename for w in seen} == {__file__} and "fit(preflight=False) does not look" in str(seen[0].message)
    model, x, y = scaled(rng)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(x, y, verbose=0, preflight=False)
        warnings.simplefilter("ignore", PreflightWarning)
        scaled(rng)[0].fit(x, y, verbose=0)


def test_the_first_batch_of_a_generator(rng: np.random.Generator) -> None:
    x, y = classes(rng)
    loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
    with pytest.warns(PreflightWarning, match="applied twice") as seen:
        compiled(mlp(8, 3, "softmax"), loss).fit(((x[i : i + 30], y[i : i + 30]) for i in range(0, 300, 30)), verbose=0)
    assert len(seen) == 1
    sorted_batches = [(x[y == k], y[y == k]) for k in range(3)]  # one class in each: that is no finding
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled(mlp(8, 3), loss).fit(iter(sorted_batches), verbose=0)


def test_large_models_are_run_on_one_row_only(rng: np.random.Generator) -> None:
    calls: list[Any] = []

    class Watching(layers.Dense):
        def call(self, inputs: Any) -> Any:
            if not inputs.is_symbolic:
                calls.append(inputs.shape)
            return super().call(inputs)

    model = lamina.Sequential(
        [layers.Input((28, 28, 1)), layers.Conv2D(64, 5, activation="relu"), layers.Flatten(), Watching(4, "softmax")]
    )
    loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
    x, y = 255 * rng.uniform(size=(64, 28, 28, 1)).astype("float32"), np.arange(64) % 4
    with pytest.warns(PreflightWarning) as seen:
        compiled(model, loss).fit(x, y, verbose=0)
    assert {str(w.message).partition("[")[2][:5] for w in seen} == {"scale", "logit"}
    assert [shape[0] for shape in calls] == [1]


def test_it_takes_milliseconds(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[float] = []
    plain = loop.look

    def timed(*args: Any, **kwargs: Any) -> Any:
        started = time.thread_time()
        found = plain(*args, **kwargs)
        times.append(time.thread_time() - started)
        return found

    monkeypatch.setattr(loop, "look", timed)
    monkeypatch.setattr(loop, "_train", lambda *_: None)
    x, y = rng.normal(size=(60_000, 100)).astype("float32"), rng.integers(0, 10, 60_000)
    for _ in range(4):
        model = compiled(mlp(100, 10, "softmax"), "sparse_categorical_crossentropy")
        model.fit(x, y, verbose=0, validation_split=0.1)
    assert min(times) < 0.05, "some 5 ms of CPU time, with a factor for a slow machine"
    before = len(times)
    model.fit(x, y, verbose=0, validation_split=0.1)
    assert len(times) == before, "the same arrays are not looked at again"
    for _ in range(8):
        model.fit(x[:100].copy(), y[:100], verbose=0)
    assert before < len(times) <= before + 3, "nor ever more in a loop around fit"


def test_a_model_that_cannot_be_run_op_by_op_is_trained(rng: np.random.Generator) -> None:
    class Compiled(layers.Layer):
        def call(self, inputs: Any) -> Any:
            if not inputs.is_symbolic and inputs.shape[0] > 1:
                raise LaminaError("not here")
            return inputs

    x, y = table(rng)
    compiled(lamina.Sequential([layers.Input((8,)), Compiled(), layers.Dense(1)]), "mse").fit(x, y, verbose=0)


EXAMPLES = [p for p in sorted((ROOT / "examples").rglob("*.py")) if re.search(r"def train\(\s*epochs", p.read_text())]


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_no_false_alarm_over_the_examples(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They learn, so what fit would say of them before the first step is wrong."""
    if data_folder() is None:
        pytest.skip("needs the folder LAMINA_DATA or ../shared/data")
    monkeypatch.setenv("LAMINA_DATA", str(data_folder()))
    monkeypatch.syspath_prepend(str(path.parent))

    class FirstStepError(Exception):
        pass

    def stop(*_: Any) -> None:
        raise FirstStepError

    monkeypatch.setattr(loop, "_train", stop)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        spec.loader.exec_module(module)
        with contextlib.suppress(FirstStepError, MissingDataError):
            module.train(1, verbose=0)
    alarms = [str(w.message) for w in seen if issubclass(w.category, PreflightWarning)]
    assert not alarms, alarms


def test_a_residual_branch_may_begin_with_zeros() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200, 16)).astype(np.float32), rng.integers(0, 3, 200)
    inputs = layers.Input((16,))
    first = layers.Dense(16, activation="relu")(inputs)
    branch = layers.Dense(16, kernel_initializer="zeros")(layers.Dense(32, activation="relu")(first))
    outputs = layers.Dense(3, activation="softmax")(layers.Add()([first, branch]))
    model = lamina.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(x, y, verbose=0)
