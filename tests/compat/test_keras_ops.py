"""``keras.ops`` and ``keras.random`` of ``lamina.compat``: on tensors, on placeholders, saved and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.compat import keras
from lamina.core.errors import ArgumentError
from lamina.graph import loops
from lamina.losses import alignment

K = keras.ops


def test_results_are_32_bits_wide_unless_something_is_wider() -> None:
    assert K.array([1, 2]).dtype == "int32"
    assert K.argmax([0.0, 1.0]).dtype == "int32"
    assert K.sum(K.ones((2,), "int8")).dtype == "int32"
    assert K.cast([1.5], "int64").dtype == "int64"
    assert K.sum(np.ones(2, np.float64)).dtype == "float64"
    assert K.add(x1=1, x2=K.array([1])).dtype == "int32"


def test_integers_stay_integers() -> None:
    assert K.relu6([8, -1, 3]).tolist() == [6, 0, 3] and K.relu6([8]).dtype == "int32"
    assert K.hard_tanh(np.array([3, -2, 0], "int8")).tolist() == [1, -1, 0] and K.hard_tanh([3]).dtype == "int32"
    assert K.sign([True, False]).tolist() == [True, False]
    assert K.square([True, False]).tolist() == [1, 0] and K.square([True]).dtype == "int32"


def test_products_of_bools_are_bools() -> None:
    a, b = np.array([[True, False], [False, False]]), np.array([[True, True], [False, True]])
    for function, expected in ((K.matmul, a @ b), (K.dot, a.dot(b)), (K.inner, np.inner(a, b)), (K.vdot, True)):
        found = function(a, b)
        assert found.dtype == "bool" and found.tolist() == np.asarray(expected).tolist()
    assert K.tensordot(a, b, 1).tolist() == np.tensordot(a, b, 1).tolist()
    assert K.matmul(keras.KerasTensor((None, 2), "bool"), b).dtype == "bool"


def test_sizes_are_integers() -> None:
    for call in (lambda: K.eye(2.0), lambda: K.eye(2, 2.5), lambda: K.array_split(np.ones(4), [1, 2])):
        with pytest.raises(TypeError, match="must be"):
            call()
    assert K.eye(K.array(2), np.int64(3)).shape == (2, 3)


@pytest.mark.parametrize(
    ("call", "shape"),
    [
        (lambda x: K.mean(x, axis=1), (None, 5)),
        (lambda x: K.concatenate([x, x], axis=-1), (None, 4, 10)),
        (lambda x: K.reshape(x, (-1, 20)), (None, 20)),
        (lambda x: K.reshape(x, (2, 2, 20)), (2, 2, 20)),
        (lambda x: K.diag(x[:, :, 0]), (None,)),
        (lambda x: K.diagonal(x), (5, None)),
        (lambda x: K.diagonal(x, 1, 1, 2), (None, 4)),
        (lambda x: K.split(x, 2, axis=0)[1], (None, 4, 5)),
        (lambda x: K.add(x, keras.KerasTensor((2, 4, None))), (2, 4, 5)),
        (lambda x: K.image.resize(K.expand_dims(x, -1), (8, 8)), (None, 8, 8, 1)),
        (lambda x: K.top_k(x, 2).values if hasattr(K.top_k(x, 2), "values") else K.top_k(x, 2)[0], (None, 4, 2)),
    ],
)
def test_shapes_on_placeholders(call: Any, shape: tuple[int | None, ...]) -> None:
    assert call(keras.KerasTensor((None, 4, 5))).shape == shape


def test_functions_are_part_of_a_model_that_is_saved(tmp_path: Path) -> None:
    inputs = keras.Input((6,))
    x = keras.layers.Dense(4)(inputs)
    x = K.concatenate([K.relu(x), K.square(x)], axis=1)
    model = keras.Model(inputs, K.sum(x, axis=-1, keepdims=True))
    data = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    expected = model(data).numpy()
    model.compile("sgd", "mse")
    model.fit(data, np.zeros((3, 1)), epochs=1, verbose=0)
    after = model(data).numpy()
    assert not np.allclose(expected, after)
    model.save(tmp_path / "model.safetensors")
    again = keras.saving.load_model(tmp_path / "model.safetensors")
    np.testing.assert_allclose(again(data).numpy(), after, rtol=1e-6)


def test_an_unknown_function_is_named_with_the_nearest() -> None:
    from lamina.layers.operation import Operation

    with pytest.raises(ArgumentError, match="Did you mean 'concat'"):
        Operation("concatt")


# --- loops -------------------------------------------------------------------------------------------------
def test_loops() -> None:
    assert K.fori_loop(0, 5, lambda i, v: v + i, K.array(0)).item() == 10
    assert K.switch(K.array(5), [lambda x: x, lambda x: -x], K.array(2.0)).item() == -2.0
    carry, ys = K.scan(lambda c, x: (c + x, c), K.array(0.0), K.array([1.0, 2.0, 3.0]))
    assert carry.item() == 6.0
    assert ys.tolist() == [0.0, 1.0, 3.0]


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan_is_a_cumulative_sum(n: int, reverse: bool) -> None:
    x = np.random.default_rng(n).normal(size=(2, n))
    got = loops.associative_scan(lamina.add, x, reverse, axis=1).numpy()
    expected = np.cumsum(x[:, ::-1], 1)[:, ::-1] if reverse else np.cumsum(x, 1)
    np.testing.assert_allclose(got, expected)


def test_switch_is_captured() -> None:
    @lamina.function
    def f(i: Any, x: Any) -> Any:
        return loops.switch(i, [lambda x: x, lambda x: x * 2, lambda x: x * 3], x)

    assert [f(lamina.tensor(i), lamina.tensor(1.0)).item() for i in (-1, 0, 1, 2, 9)] == [1.0, 1.0, 2.0, 3.0, 3.0]


def test_vectorize_with_a_signature() -> None:
    f = K.vectorize(lambda a, b: lamina.matmul(a, b), signature="(n,m),(m)->(n)")
    a, b = np.random.default_rng(0).normal(size=(5, 2, 3)), np.ones(3)
    np.testing.assert_allclose(f(a, b).numpy(), a.sum(-1))
    with pytest.raises(ArgumentError, match="gufunc signature"):
        K.vectorize(lambda a: a, signature="(n->n")


# --- CTC ---------------------------------------------------------------------------------------------------
def _all_paths(log_p: np.ndarray, labels: list[int], blank: int) -> float:
    """The loss by adding up every path."""
    steps, classes = log_p.shape
    total = -np.inf
    for path in np.ndindex(*(classes,) * steps):
        merged = [c for i, c in enumerate(path) if i == 0 or c != path[i - 1]]
        if [c for c in merged if c != blank] == labels:
            total = np.logaddexp(total, sum(log_p[t, c] for t, c in enumerate(path)))
    return float(-total)


@pytest.mark.parametrize("blank", [0, 2])
def test_ctc_adds_up_all_paths(blank: int) -> None:
    logits = np.random.default_rng(0).normal(size=(2, 5, 3))
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    a, b = [c for c in range(3) if c != blank]
    targets, lengths, steps = np.array([[a, b, b], [b, a, a]]), [3, 1], [5, 3]
    got = alignment.ctc_loss(targets, logits, lengths, steps, blank).numpy()
    expected = [_all_paths(log_p[i, : steps[i]], targets[i, : lengths[i]].tolist(), blank) for i in range(2)]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_wide_beam_finds_the_most_probable_labels() -> None:
    logits = np.random.default_rng(1).normal(size=(1, 4, 3))
    paths, scores = alignment.ctc_decode(logits, [4], "beam_search", beam_width=100, top_paths=2)
    log_p = logits[0] - np.log(np.exp(logits[0]).sum(-1, keepdims=True))
    for rank in range(2):
        labels = [c for c in paths[rank, 0].tolist() if c >= 0]
        np.testing.assert_allclose(scores[0, rank].item(), -_all_paths(log_p, labels, 0), rtol=1e-6)
    greedy, _ = alignment.ctc_decode(np.eye(3)[[1, 1, 0, 2]][None] * 9.0, [4])
    assert greedy[0, 0].tolist() == [1, 2, -1, -1]


# --- random numbers ------------------------------------------------------------------------------------------
def test_random_numbers_in_keras_arguments() -> None:
    x = keras.random.uniform((1000,), minval=2, maxval=3, seed=1)
    assert float(x.min()) >= 2
    assert float(x.max()) <= 3
    generator = keras.random.SeedGenerator(7)
    a, b = (keras.random.normal((4,), seed=generator).numpy() for _ in range(2))
    assert not np.allclose(a, b)
    np.testing.assert_array_equal(a, keras.random.normal((4,), seed=keras.random.SeedGenerator(7)).numpy())
    assert keras.random.categorical([[0.0, 100.0]], 3).tolist() == [[1, 1, 1]]
    with pytest.raises(ValueError, match="floating point"):
        keras.random.normal((2,), dtype="int32")


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.5])
def test_gamma_numbers_have_their_moments(alpha: float) -> None:
    x = lamina.random.gamma((40000,), alpha, key=3).numpy()
    assert x.min() >= 0
    np.testing.assert_allclose([x.mean(), x.var()], [alpha, alpha], rtol=0.05)


@pytest.mark.parametrize(("n", "p"), [(3, 0.2), (40, 0.7), (1000, 0.05), (7, 0.0), (7, 1.0)])
def test_binomial_numbers_have_their_moments(n: int, p: float) -> None:
    x = lamina.random.binomial((20000,), n, p, key=5).numpy()
    assert (x == np.round(x)).all()
    assert x.min() >= 0
    assert x.max() <= n
    np.testing.assert_allclose([x.mean(), x.var()], [n * p, n * p * (1 - p)], rtol=0.05)


def test_beta_numbers_have_their_moments() -> None:
    x = lamina.random.beta((40000,), 2.0, 6.0, key=0).numpy()
    np.testing.assert_allclose([x.mean(), x.var()], [0.25, 12 / (64 * 9)], rtol=0.05)
