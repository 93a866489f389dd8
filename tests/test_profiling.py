"""``lamina.profile``: times add up, counts are right, rows say where they come from."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina import layers, ops
from lamina.backends.native.peak import measure_peak
from lamina.backends.native.threads import set_num_threads

RNG = np.random.default_rng(0)


def normal(*shape, dtype="float32"):
    return RNG.normal(size=shape).astype(dtype)


def measure(function, *arrays):
    return lamina.profile(function, *arrays, seconds=0.01, verbose=False)


def only(found, **wanted):
    rows = [r for r in found.rows if all(getattr(r, k) == v for k, v in wanted.items())]
    assert len(rows) == 1, [r.ops for r in found.rows]
    return rows[0]


def test_a_product_is_counted_as_the_field_counts_it():
    found = measure(lambda a, b: a @ b, normal(64, 100), normal(100, 48))
    row = only(found, kind="contract")
    assert row.flops == 2 * 64 * 100 * 48
    assert row.bytes == 4 * (64 * 100 + 100 * 48 + 64 * 48)
    assert row.gflops == pytest.approx(row.flops / row.seconds / 1e9)
    assert 0 < row.of_peak < 4 and 0 <= row.waiting < 1


@pytest.mark.parametrize("shape", [(8, 14, 14, 16), (4, 28, 28, 1)])
def test_a_convolution_and_its_gradients_are_each_counted_whole(shape):
    kernel = (3, 3, shape[-1], 8)

    @lamina.function
    def gradients(x, w):
        with lamina.GradientTape() as tape:
            tape.watch((x, w))
            y = lamina.nn.conv(x, w, padding="same")
        return y, *tape.gradient(y, (x, w))

    found = measure(gradients, normal(*shape), normal(*kernel))
    rows = [r for r in found.rows if r.kind == "contract"]
    expected = 2 * shape[0] * shape[1] * shape[2] * 9 * shape[-1] * 8
    assert len(rows) == 3
    for row in rows:
        assert row.flops == pytest.approx(expected, rel=0.05)


def test_elementwise_kernels_count_elements_and_each_value_once():
    x = normal(1000, 100)
    row = only(measure(lambda x: ops.exp(x) * 2 + x, x))
    assert row.flops == 3 * x.size and row.bytes == 2 * x.nbytes
    rows = np.arange(10)
    assert only(measure(lambda x, i: ops.take(x, i, axis=0), x, rows)).bytes == 2 * 10 * 400 + rows.nbytes


def test_times_add_up_and_come_in_order():
    found = measure(lambda x: (ops.softmax(x @ x), ops.sum(x, axis=0)), normal(200, 200))
    assert found.total == pytest.approx(sum(r.seconds for r in found.rows))
    assert sum(r.share for r in found.rows) == pytest.approx(1)
    assert [r.seconds for r in found.rows] == sorted((r.seconds for r in found.rows), reverse=True)
    assert 0 < found.total < 1


def test_the_profile_of_one_thread_has_no_waiting_to_speak_of():
    try:
        set_num_threads(1)
        found = measure(lambda x: x @ x, normal(300, 300))
    finally:
        set_num_threads(None)
    assert found.threads == 1
    assert only(found, kind="contract").waiting < 0.2


def test_what_runs_in_numpy_stands_out():
    found = measure(lambda x: ops.sort(ops.exp(x), axis=0) + 1, normal(50, 40))
    row = only(found, kind="numpy")
    assert "vectorised" in row.reason and row.ops == ("argsort",) and row.seconds > 0
    assert "runs in NumPy" in str(found)
    half = only(measure(lambda x: ops.searchsorted(x, x), np.arange(12)), kind="numpy")
    assert half.reason


def small_model(**arguments):
    model = lamina.Sequential(
        [
            lamina.Input((12,)),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.Dense(3, activation="softmax", name="answer"),
        ],
        name="small",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **arguments)
    return model


def test_a_training_step_names_layers_and_leaves_the_model_as_it_is():
    model = small_model()
    x, y = normal(100, 12), RNG.integers(0, 3, 100)
    before = [v.numpy() for v in model.weights]
    found = model.profile(x, y, batch_size=25, seconds=0.01, verbose=False)
    for a, v in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(a, v.numpy())
    assert int(model.optimizer.iterations.numpy()) == 0
    seen = set(found.by_layer())
    assert {"small/hidden", "small/hidden/gradient", "small/answer", "small/answer/gradient"} <= seen
    assert any(layer in ("loss", "loss/gradient", "metrics", "batch") for layer in seen)
    assert all("test_profiling.py" in r.source for r in found.rows if r.layer.startswith("small"))
    model.fit(x, y, batch_size=25, epochs=1, verbose=0)
    assert int(model.optimizer.iterations.numpy()) == 4


def test_without_targets_it_is_the_prediction():
    found = small_model().profile(normal(10, 12), seconds=0.01, verbose=False)
    assert found.name == "predict_step"
    assert set(found.by_layer()) == {"small/hidden", "small/answer"}


def test_the_printed_table(capsys):
    found = small_model().profile(normal(10, 12), RNG.integers(0, 3, 10), seconds=0.01)
    out = capsys.readouterr().out
    for text in ("GFLOP/s", "of peak", "hidden/gradient", "matmul", "measured peak"):
        assert text in out and text in str(found)
    assert "small/hidden" not in out  # the model's own name would stand in every line
    assert max(len(line) for line in str(found).splitlines()) <= 150
    assert repr(found).startswith("<profile of train_step: ")
    assert found.table(limit=1).row_count == 2


def test_state_survives_an_error_in_the_step():
    v = lamina.Variable(np.zeros(3, "float32"))

    @lamina.function
    def broken(x):
        v.assign(v.value + 1)
        return lamina.linalg.cholesky(x)

    with pytest.raises(lamina.LinAlgError):
        measure(broken, -np.eye(3))
    np.testing.assert_array_equal(v.numpy(), 0)


def test_what_cannot_be_profiled():
    with pytest.raises(lamina.ArgumentError, match="eager"):
        measure(lamina.function(lambda x: x + 1, backend="eager"), normal(3))
    with pytest.raises(lamina.CaptureError, match="captured"):
        lamina.function(lambda x: measure(lambda y: y + 1, x))(normal(3))
    with pytest.raises(lamina.ArgumentError, match="eagerly"):
        small_model(run_eagerly=True).profile(normal(10, 12), RNG.integers(0, 3, 10))
    model = lamina.Sequential([lamina.Input((3,)), layers.Dense(2)])
    with pytest.raises(lamina.ArgumentError, match="not compiled"):
        model.profile(normal(4, 3), normal(4, 2))
    with pytest.raises(lamina.ArgumentError, match="takes a lamina.function or another function; got int"):
        measure(3)


def test_peaks():
    one = measure_peak(1)
    assert 1e9 < one.flops < 1e13 and 1e8 < one.bytes < 1e13
    assert measure_peak(1) is one
    assert one.flops_for(8) == one.flops / 2
    with pytest.raises(lamina.ArgumentError, match="threads"):
        measure_peak(200)


def test_text_is_text_in_a_notebook_too(monkeypatch: pytest.MonkeyPatch) -> None:
    found = small_model().profile(normal(10, 12), RNG.integers(0, 3, 10), seconds=0.01, verbose=False)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert "contract" in str(found)
    lines: list[str] = []
    small_model().summary(print_fn=lines.append)
    assert "Total params" in lines[0]
