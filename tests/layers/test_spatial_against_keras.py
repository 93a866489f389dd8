"""Layers for images and sequences, normalization and activation beside Keras: values, gradients, defaults."""

from __future__ import annotations

import inspect
import os
from typing import Any

import numpy as np
import pytest
from layer_table import SPATIAL, Case

import lamina
from lamina import layers

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras", reason="comparison with Keras, which is not installed")
jax = pytest.importorskip("jax", reason="Keras computes its gradients with JAX, which is not installed")
pytestmark = pytest.mark.slow
if keras.backend.backend() != "jax":
    pytest.skip("Keras computes its gradients with JAX here", allow_module_level=True)


def both(case: Case) -> tuple[Any, Any, np.ndarray]:
    """The layer in both libraries, with the same random weights, and an input."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=case.shapes).astype(np.float32)
    ours = case.cls(**case.arguments)
    theirs = getattr(keras.layers, case.cls.__name__)(**case.arguments)
    ours(x)
    theirs.build(x.shape)
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    weights = [rng.normal(size=w.shape).astype(np.float32) for w in ours.weights]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs, x


@pytest.mark.parametrize("case", SPATIAL, ids=lambda c: c.name)
def test_values_and_gradients(case: Case) -> None:
    ours, theirs, x = both(case)
    projection = np.random.default_rng(4).normal(size=case.output).astype(np.float32)

    def loss(weights: Any, x: Any) -> Any:
        output, _ = theirs.stateless_call(weights, [v.value for v in theirs.non_trainable_variables], x)
        return (output * projection).sum(), output

    weights = [v.value for v in theirs.trainable_variables]
    grads, expected = jax.grad(loss, argnums=(0, 1), has_aux=True)(weights, x)
    tensor = lamina.tensor(x)
    with lamina.GradientTape() as tape:
        tape.watch(tensor)
        output = ours(tensor)
        total = (output * projection).sum()
    found = tape.gradient(total, [*ours.trainable_variables, tensor])
    np.testing.assert_allclose(output.numpy(), np.asarray(expected), rtol=2e-4, atol=2e-5)
    for got, want in zip(found, [*grads[0], grads[1]], strict=True):
        np.testing.assert_allclose(got.numpy(), np.asarray(want), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", SPATIAL, ids=lambda c: c.name)
def test_shapes_of_placeholders(case: Case) -> None:
    ours, theirs = case.cls(**case.arguments), getattr(keras.layers, case.cls.__name__)(**case.arguments)
    channel = case.arguments.get("data_format") == "channels_first"
    keep = 1 if channel else len(case.shapes) - 1
    unknown = tuple(n if axis == keep else None for axis, n in enumerate(case.shapes))
    shapes = [(None, *case.shapes[1:])]
    if "norm" not in case.name and "prelu" not in case.name:
        shapes.append(unknown)
    for shape in shapes:
        assert tuple(ours.compute_output_shape(shape)) == tuple(theirs.compute_output_shape(shape))


@pytest.mark.parametrize("name", sorted({c.cls.__name__ for c in SPATIAL}))
def test_defaults(name: str) -> None:
    """Arguments have Keras's names and defaults."""
    ours = inspect.signature(getattr(layers, name).__init__).parameters
    theirs = inspect.signature(getattr(keras.layers, name).__init__).parameters
    for key, parameter in theirs.items():
        if key.endswith(("_regularizer", "_constraint")) or key in ("self", "name", "dtype", "kwargs"):
            continue
        assert key in ours
        a, b = ours[key].default, parameter.default
        if isinstance(a, str):
            assert a.lower() == b.lower(), key
        elif isinstance(b, tuple):
            assert a in (b, b[0], b[0][0] if isinstance(b[0], tuple) else None), key
        else:
            assert a == b, key


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("strides", "dilation", "extra"), [(1, 1, None), (2, 1, None), (3, 1, 1), (2, 1, 0), (1, 2, None)]
)
def test_transposed_convolution(padding: str, kernel: int, strides: int, dilation: int, extra: int | None) -> None:
    arguments = {
        "filters": 2,
        "kernel_size": kernel,
        "strides": strides,
        "padding": padding,
        "dilation_rate": dilation,
        "output_padding": extra,
    }
    case = Case("", layers.Conv1DTranspose, arguments, (2, 5, 3))
    ours, theirs, x = both(case)
    expected = np.asarray(theirs(x))
    np.testing.assert_allclose(ours(x).numpy(), expected, rtol=1e-4, atol=1e-5)
    assert ours.compute_output_shape(x.shape) == expected.shape


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"])
def test_resize(interpolation: str) -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype(np.float32)
    for size in ((10, 18), (7, 4), (1, 6)):
        expected = np.asarray(keras.ops.image.resize(x, size, interpolation))
        np.testing.assert_allclose(lamina.nn.resize(x, size, interpolation).numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 20])
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_pooling_of_many_sizes(size: int, strides: int, padding: str) -> None:
    x = np.random.default_rng(0).normal(size=(2, 23, 2)).astype(np.float32)
    for ours, theirs in ((lamina.nn.max_pool, keras.ops.max_pool), (lamina.nn.average_pool, keras.ops.average_pool)):
        expected = np.asarray(theirs(x, size, strides, padding))
        np.testing.assert_allclose(ours(x, size, strides, padding).numpy(), expected, rtol=1e-4, atol=1e-6)
