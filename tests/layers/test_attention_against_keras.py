"""Attention layers beside Keras: values, gradients, masks, weights, defaults."""

from __future__ import annotations

import inspect
import os
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras", reason="comparison with Keras, which is not installed")
jax = pytest.importorskip("jax", reason="Keras computes its gradients with JAX, which is not installed")
pytestmark = pytest.mark.slow
if keras.backend.backend() != "jax":
    pytest.skip("Keras computes its gradients with JAX here", allow_module_level=True)

RNG = np.random.default_rng(0)
Q, V, K = ((3, 5, 6), (3, 7, 4), (3, 7, 6))
QUERY_MASK = np.arange(5) < np.array([[5], [3], [4]])
VALUE_MASK = np.arange(7) < np.array([[4], [7], [1]])
FULL_MASK = RNG.random((3, 5, 7)) > 0.3
FULL_MASK[..., 0] = True  # every query sees something
MULTI = {"num_heads": 2, "key_dim": 3}
GROUPED = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}

CASES: dict[str, tuple[str, dict[str, Any], list[tuple[int, ...]], dict[str, Any]]] = {
    "attention": ("Attention", {}, [Q, K], {}),
    "attention-key": ("Attention", {"use_scale": True}, [Q, V, K], {}),
    "attention-causal": ("Attention", {}, [Q, V, K], {"use_causal_mask": True}),
    "attention-masks": ("Attention", {"use_scale": True}, [Q, V, K], {"mask": [QUERY_MASK, VALUE_MASK]}),
    "attention-both": ("Attention", {}, [Q, K], {"mask": [None, VALUE_MASK], "use_causal_mask": True}),
    "attention-scores": ("Attention", {}, [Q, K], {"return_attention_scores": True, "use_causal_mask": True}),
    "attention-concat": ("Attention", {"score_mode": "concat", "use_scale": True}, [Q, V, K], {}),
    "additive": ("AdditiveAttention", {}, [Q, V, K], {"mask": [QUERY_MASK, VALUE_MASK]}),
    "additive-bare": ("AdditiveAttention", {"use_scale": False}, [Q, K], {"return_attention_scores": True}),
    "multi": ("MultiHeadAttention", MULTI, [Q, V], {}),
    "multi-self": ("MultiHeadAttention", MULTI, [Q, Q], {"use_causal_mask": True}),
    "multi-mask": ("MultiHeadAttention", {**MULTI, "output_shape": 9}, [Q, V, K], {"attention_mask": FULL_MASK}),
    "multi-padding": (
        "MultiHeadAttention",
        {**MULTI, "use_bias": False},
        [Q, V, K],
        {"value_mask": VALUE_MASK, "attention_mask": FULL_MASK},
    ),
    "multi-scores": (
        "MultiHeadAttention",
        {**MULTI, "value_dim": 5},
        [Q, V],
        {"return_attention_scores": True, "value_mask": VALUE_MASK},
    ),
    "multi-axes": (
        "MultiHeadAttention",
        {**MULTI, "attention_axes": (1, 2), "output_shape": (2, 3)},
        [(2, 3, 4, 6), (2, 3, 5, 6)],
        {"return_attention_scores": True},
    ),
    "multi-axis": ("MultiHeadAttention", {**MULTI, "attention_axes": 2}, [(2, 3, 4, 6), (2, 3, 5, 6)], {}),
    "grouped": ("GroupQueryAttention", GROUPED, [Q, V], {}),
    "grouped-causal": ("GroupQueryAttention", GROUPED, [Q, V, K], {"use_causal_mask": True}),
    "grouped-masks": (
        "GroupQueryAttention",
        {**GROUPED, "use_bias": False},
        [Q, V, K],
        {"value_mask": VALUE_MASK, "key_mask": VALUE_MASK, "attention_mask": FULL_MASK},
    ),
}
for _name, _class, _arguments in (
    ("multi", "MultiHeadAttention", MULTI),
    ("grouped", "GroupQueryAttention", GROUPED),
):
    _options = {"sliding_window": 2, "use_gate": True}
    if set(_options) <= set(inspect.signature(getattr(keras.layers, _class)).parameters):
        CASES[f"{_name}-window-gate"] = (_class, {**_arguments, **_options}, [Q, V, K], {"use_causal_mask": False})


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str) -> None:
    cls, arguments, shapes, options = CASES[name]
    rng = np.random.default_rng(3)
    data = [rng.normal(size=s).astype(np.float32) for s in shapes]
    ours, theirs = getattr(layers, cls)(**arguments), getattr(keras.layers, cls)(**arguments)
    apart = cls in ("MultiHeadAttention", "GroupQueryAttention")
    # Rows where all is hidden mean nothing; Keras averages over what is hidden, Lamina gives zeros.
    ours(*data) if apart else ours(data)
    theirs(*data, **options) if apart else theirs(data, **options)
    assert [w.path.split("/")[1:] for w in ours.weights] == [w.path.split("/")[1:] for w in theirs.weights]
    weights = [rng.normal(size=w.shape).astype(np.float32) for w in theirs.weights]
    ours.set_weights(weights)
    theirs.set_weights(weights)

    def first(output: Any) -> Any:
        return output[0] if isinstance(output, list | tuple) else output

    def loss(weights: Any, data: Any) -> Any:
        rest = [v.value for v in theirs.non_trainable_variables]
        output, _ = theirs.stateless_call(weights, rest, *(data if apart else [data]), **options)
        return (first(output) * projection).sum(), output

    tensors = [lamina.tensor(x) for x in data]
    projection = rng.normal(size=first(ours(*tensors) if apart else ours(tensors)).shape).astype(np.float32)
    grads, expected = jax.grad(loss, argnums=(0, 1), has_aux=True)([v.value for v in theirs.trainable_variables], data)

    def run(*tensors: Any) -> Any:
        with lamina.GradientTape() as tape:
            tape.watch(tensors)
            output = ours(*tensors, **options) if apart else ours(list(tensors), **options)
            total = (first(output) * projection).sum()
        found = tape.gradient(total, [*ours.trainable_variables, *tensors])
        return output, found

    for function in (run, lamina.function(run)):
        output, found = function(*tensors)
        pairs = zip(output, expected, strict=True) if isinstance(output, tuple) else [(output, first(expected))]
        for got, want in pairs:
            np.testing.assert_allclose(got.numpy(), np.asarray(want), rtol=2e-4, atol=2e-5)
        for got, want in zip(found, [*grads[0], *grads[1]], strict=True):
            np.testing.assert_allclose(got.numpy(), np.asarray(want), rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("cls", ["Attention", "AdditiveAttention", "MultiHeadAttention", "GroupQueryAttention"])
def test_arguments_and_defaults(cls: str) -> None:
    ours, theirs = (inspect.signature(getattr(m.layers, cls)).parameters for m in (lamina, keras))
    own = {"kwargs"} | {f"{w}_{k}" for w in ("kernel", "bias", "activity") for k in ("regularizer", "constraint")}
    for name, parameter in theirs.items():
        if name not in own:
            assert name in ours, name
            assert ours[name].default == parameter.default, name
    ours, theirs = (inspect.signature(getattr(m.layers, cls).call).parameters for m in (lamina, keras))
    assert list(ours) == list(theirs)


def test_initial_kernels_have_keras_variance() -> None:
    x = np.zeros((1, 2, 300), np.float32)
    ours, theirs = layers.MultiHeadAttention(8, 40), keras.layers.MultiHeadAttention(8, 40)
    ours(x, x)
    theirs(x, x)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        a, b = a.numpy(), np.asarray(b)
        assert a.shape == b.shape
        np.testing.assert_allclose(np.abs(a).max(), np.abs(b).max(), rtol=1e-3)
        np.testing.assert_allclose(a.std(), b.std(), rtol=0.03)
    assert not np.array_equal(ours.weights[0].numpy(), ours.weights[2].numpy())  # each has its own numbers
