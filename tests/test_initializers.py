"""Initializers: distributions, fans, seeds, and agreement with Keras's scales."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import initializers
from lamina.core.errors import ArgumentError, ShapeError

SHAPE = (300, 200)

# name -> (standard deviation, largest absolute value) for a matrix of 300 inputs and 200 outputs
SCALED = {
    "glorot_uniform": (np.sqrt(2 / 500), np.sqrt(6 / 500)),
    "glorot_normal": (np.sqrt(2 / 500), 2 * np.sqrt(2 / 500) / 0.8796),
    "he_uniform": (np.sqrt(2 / 300), np.sqrt(6 / 300)),
    "he_normal": (np.sqrt(2 / 300), 2 * np.sqrt(2 / 300) / 0.8796),
    "lecun_uniform": (np.sqrt(1 / 300), np.sqrt(3 / 300)),
    "lecun_normal": (np.sqrt(1 / 300), 2 * np.sqrt(1 / 300) / 0.8796),
    "random_normal": (0.05, np.inf),
    "random_uniform": (0.05 / np.sqrt(3), 0.05),
    "truncated_normal": (0.05 * 0.8796, 0.1),
}


@pytest.mark.parametrize("name", SCALED)
def test_distributions(name: str) -> None:
    lamina.random.seed(1)
    values = initializers.get(name)(SHAPE).numpy()
    stddev, largest = SCALED[name]
    assert values.shape == SHAPE and values.dtype == np.float32
    assert abs(values.mean()) < 4 * stddev / np.sqrt(values.size)
    assert values.std() == pytest.approx(stddev, rel=0.02)
    assert abs(values).max() <= largest * 1.0001
    if np.isfinite(largest):  # the range is used up to its end
        assert abs(values).max() > 0.95 * largest


def test_fans() -> None:
    assert initializers.compute_fans((5, 5, 3, 8)) == (75, 200)
    assert initializers.compute_fans((7,)) == (7, 7) and initializers.compute_fans(()) == (1, 1)
    kernel = initializers.HeUniform(seed=0)((5, 5, 30, 80)).numpy()
    assert abs(kernel).max() == pytest.approx(np.sqrt(6 / 750), rel=1e-2)


def test_against_keras() -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras", reason="comparison with Keras, which is not installed")
    lamina.random.seed(1)
    keras.utils.set_random_seed(1)
    quantiles = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
    for name in SCALED:
        ours = initializers.get(name)(SHAPE).numpy()
        theirs = np.asarray(keras.initializers.get(name)(SHAPE))
        found, expected = np.quantile(ours, quantiles), np.quantile(theirs, quantiles)
        np.testing.assert_allclose(found, expected, atol=0.08 * theirs.std(), err_msg=name)


def test_seeds() -> None:
    lamina.random.seed(5)
    a, b = initializers.GlorotUniform(), initializers.GlorotUniform()
    first, other = a((4, 4)).numpy(), b((4, 4)).numpy()
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(a((4, 4)).numpy(), first)  # one initializer gives the same numbers each time
    lamina.random.seed(5)
    np.testing.assert_array_equal(initializers.GlorotUniform()((4, 4)).numpy(), first)
    np.testing.assert_array_equal(
        initializers.HeNormal(seed=3)((4, 4)).numpy(), initializers.HeNormal(seed=3)((4, 4)).numpy()
    )
    flowing = initializers.RandomNormal(seed=lamina.random.Generator(1))
    assert not np.array_equal(flowing((4,)).numpy(), flowing((4,)).numpy())


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (2, 3, 4)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    q = initializers.Orthogonal(gain=2.0, seed=1)(shape, dtype="float64").numpy().reshape(-1, shape[-1]) / 2
    gram = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-12)


def test_fixed_values() -> None:
    assert initializers.Zeros()((2,)).tolist() == [0, 0] and initializers.Ones()((2,), dtype="int32").tolist() == [1, 1]
    assert initializers.Constant([1.0, 2.0])((2, 2)).tolist() == [[1, 2], [1, 2]]
    assert initializers.Identity(3.0)((2, 3)).tolist() == [[3, 0, 0], [0, 3, 0]]


@pytest.mark.parametrize(
    "made",
    [
        initializers.Constant(2.0),
        initializers.RandomNormal(mean=1.0, stddev=2.0, seed=4),
        initializers.VarianceScaling(scale=2.0, mode="fan_out", distribution="untruncated_normal", seed=1),
        initializers.LecunNormal(seed=2),
        initializers.Orthogonal(gain=0.5, seed=1),
    ],
    ids=lambda i: type(i).__name__,
)
def test_configurations(made: Any) -> None:
    again = initializers.get(initializers.serialize(made))
    assert type(again) is type(made) and again.get_config() == made.get_config()
    np.testing.assert_array_equal(again((3, 4)).numpy(), made((3, 4)).numpy())


def test_names_and_wrong_arguments() -> None:
    assert isinstance(initializers.get("HeNormal"), initializers.HeNormal)
    assert isinstance(initializers.get(initializers.Zeros), initializers.Zeros)
    assert initializers.get(None) is None
    for call, error, words in (
        (lambda: initializers.get("glorot"), ArgumentError, "no initializer named 'glorot'.*glorot_uniform"),
        (lambda: initializers.VarianceScaling(mode="fan"), ArgumentError, "mode is"),
        (lambda: initializers.VarianceScaling(scale=0.0), ArgumentError, "scale is positive"),
        (lambda: initializers.RandomNormal(seed="x"), ArgumentError, "seed is an int"),
        (lambda: initializers.Orthogonal()((3,)), ShapeError, "at least two dimensions"),
        (lambda: initializers.Identity()((3,)), ShapeError, "makes matrices"),
    ):
        with pytest.raises(error, match=words):
            call()


def test_arrays_and_generators() -> None:
    made = initializers.get(np.arange(4.0).reshape(2, 2))
    assert made((2, 2)).tolist() == [[0.0, 1.0], [2.0, 3.0]]
    with pytest.raises(ShapeError, match="Expected `shape`"):
        made((2, 3))
    flowing = initializers.RandomNormal(seed=lamina.random.Generator(7))
    again = initializers.deserialize(initializers.serialize(flowing))
    np.testing.assert_array_equal(again((3,)).numpy(), flowing((3,)).numpy())
    assert initializers.zeros is initializers.Zeros


@pytest.mark.parametrize("distribution", ["uniform", "truncated_normal", "untruncated_normal"])
def test_large_weights_are_drawn_by_compiled_code(distribution, monkeypatch):
    """The numbers are those that NumPy draws."""
    initializer = initializers.VarianceScaling(distribution=distribution, seed=3)
    compiled = initializer((1031, 1024)).numpy()
    assert initializers._compiled.cache_info().currsize > 0
    monkeypatch.setattr(initializers, "LARGE", 1 << 30)
    np.testing.assert_array_equal(compiled, initializer((1031, 1024)).numpy())


@pytest.mark.parametrize("name", [*SCALED, "zeros", "ones", "orthogonal"])
@pytest.mark.parametrize("shape", [(9, 7), (1100, 1000)])
def test_what_can_be_drawn_again(name: str, shape: tuple[int, ...]) -> None:
    """To the bit, whatever has been drawn in between; those of a generator or of the user's own give other numbers."""
    if name == "orthogonal" and shape != (9, 7):
        shape = (90, 70)
    initializer = initializers.get(name)
    first = initializer(shape, dtype="float32").numpy()
    again = initializers.repeated(initializer, shape, "float32")
    assert again is not None
    initializer.seed = 0  # what happens to it later changes nothing
    lamina.random.normal((3,))
    np.testing.assert_array_equal(again().numpy(), first)


def test_what_may_not_be_drawn_again() -> None:
    generator = lamina.random.SeedGenerator(1)

    class Own(initializers.Zeros):
        pass

    for initializer in (initializers.RandomNormal(seed=generator), Own(), lambda shape, dtype: np.zeros(shape)):
        assert initializers.repeated(initializer, (2,), "float32") is None
