"""Dtype policies and training in mixed precision, by themselves and against Keras."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina import dtype_policies, layers, ops
from lamina.compat import keras as compat
from lamina.core.errors import ArgumentError
from lamina.training.state import training_of

pytest.importorskip("ml_dtypes")

POLICIES = ("float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
MIXED = ("mixed_float16", "mixed_bfloat16")


@pytest.fixture(autouse=True)
def default_policy():
    yield
    lamina.config.set_dtype_policy(None)


# --- policies ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", POLICIES)
def test_policies_are_those_of_keras(name):
    keras = pytest.importorskip("keras")
    policy, theirs = dtype_policies.DTypePolicy(name), keras.DTypePolicy(name)
    for attribute in ("name", "compute_dtype", "variable_dtype"):
        assert getattr(policy, attribute) == getattr(theirs, attribute)
    assert policy.get_config() == theirs.get_config()
    assert repr(policy) == repr(theirs)


def test_policies_from_everything():
    policy = dtype_policies.DTypePolicy("mixed_bfloat16")
    for identifier in (policy, "mixed_bfloat16", dtype_policies.serialize(policy)):
        assert dtype_policies.get(identifier) == policy
    assert dtype_policies.get(np.float32).name == dtype_policies.get(None).name == "float32"
    assert policy != dtype_policies.DTypePolicy("bfloat16") and policy != "mixed_bfloat16"
    assert {policy, dtype_policies.FloatDTypePolicy("mixed_bfloat16")} == {policy}
    for wrong in ("mixed_float8", 3):
        with pytest.raises(ArgumentError, match="policy|must be a string"):
            dtype_policies.DTypePolicy(wrong)
    with pytest.raises(ArgumentError, match="no dtype policy"):
        dtype_policies.deserialize({"class_name": "Dense"})


def test_the_default_policy():
    lamina.config.set_dtype_policy("mixed_bfloat16")
    assert lamina.config.dtype_policy().name == dtype_policies.DTypePolicy().name == "mixed_bfloat16"
    assert layers.Dense(2).dtype_policy.name == "mixed_bfloat16"
    assert layers.Dense(2, dtype="float32").compute_dtype == "float32"
    assert lamina.Input((3,)).dtype == "float32"  # data is not in mixed precision
    lamina.mixed_precision.set_global_policy(None)
    assert lamina.config.dtype_policy().name == "float32"


def test_names_of_keras():
    assert compat.mixed_precision.Policy is compat.DTypePolicy is compat.dtype_policies.DTypePolicy
    assert compat.config.dtype_policy().name == "float32"
    assert compat.mixed_precision.LossScaleOptimizer is compat.optimizers.LossScaleOptimizer


# --- layers -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", POLICIES)
def test_dtypes_of_a_layer_are_those_of_keras(name):
    keras = pytest.importorskip("keras")
    x = np.ones((2, 3), np.float32)
    for make in (lambda k: k.Dense(2, dtype=name), lambda k: k.LayerNormalization(dtype=name)):
        layer, theirs = make(layers), make(keras.layers)
        out = layer(x)
        theirs.build(x.shape)  # a call would show the dtypes of Keras's backend, and jax has no float64 unless told
        assert str(out.dtype) == theirs.compute_dtype
        assert [str(v.dtype) for v in layer.weights] == [v.dtype for v in theirs.weights]
        for attribute in ("dtype", "compute_dtype", "variable_dtype", "input_dtype"):
            assert getattr(layer, attribute) == getattr(theirs, attribute)
    placeholder = layers.Dense(2, dtype=name)(lamina.Input((3,)))
    assert placeholder.dtype == dtype_policies.DTypePolicy(name).compute_dtype


@pytest.mark.parametrize("name", MIXED)
def test_weights_are_seen_in_the_dtype_of_the_computation(name):
    seen = {}

    class Probe(layers.Layer):
        def build(self, input_shape):
            self.cast, self.kept = self.add_weight((3,), "ones"), self.add_weight((3,), "ones", autocast=False)
            self.count = self.add_weight((), "zeros", dtype="int32", trainable=False)
            self.inner = layers.Dense(2, dtype="float32")

        def call(self, inputs):
            seen.update(inputs=inputs.dtype, cast=self.cast.value.dtype, kept=self.kept.value.dtype)
            seen.update(count=self.count.value.dtype, inner=self.inner(inputs).dtype, own=self.cast.dtype)
            self.cast.assign_add(np.full(3, 1e-4, np.float32))  # 1 + 1e-4 is 1 in half precision
            return inputs * self.cast

    layer = Probe(dtype=name)
    out = layer(np.ones((2, 3)))
    half = dtype_policies.DTypePolicy(name).compute_dtype
    assert {k: str(v) for k, v in seen.items()} == {
        "inputs": half, "cast": half, "kept": "float32", "count": "int32", "inner": "float32", "own": "float32",
    }  # fmt: skip
    assert out.dtype == half and layer.cast.value.dtype == np.float32
    np.testing.assert_allclose(layer.cast.numpy(), 1.0001, rtol=1e-6)


@pytest.mark.parametrize("name", MIXED)
def test_gradients_come_in_the_dtype_of_the_weights(name):
    layer = layers.Dense(2, dtype=name)
    with lamina.GradientTape() as tape:
        total = ops.sum(layer(np.ones((4, 3), np.float32)))
    gradients = tape.gradient(total, layer.trainable_weights)
    assert [g.dtype for g in gradients] == [np.float32] * 2
    np.testing.assert_array_equal(gradients[1].numpy(), [4, 4])


def test_statistics_stay_in_float32():
    layer = layers.BatchNormalization(dtype="mixed_bfloat16", momentum=0.999)
    x = np.random.default_rng(0).normal(3, 2, (64, 5)).astype(np.float32)
    for _ in range(3):
        out = layer(x, training=True)
    assert out.dtype == lamina.bfloat16
    exact = layers.BatchNormalization(momentum=0.999)
    for _ in range(3):
        exact(x, training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), exact.moving_mean.numpy(), rtol=0.01)
    np.testing.assert_allclose(layer.moving_variance.numpy(), exact.moving_variance.numpy(), rtol=1e-3)


def test_a_policy_is_set_before_the_weights_are_made():
    layer = layers.Dense(2)
    layer.dtype_policy = "mixed_bfloat16"
    assert layer(np.ones((1, 3))).dtype == lamina.bfloat16
    layer.dtype_policy = "float32"  # the weights fit this one too
    assert layer(np.ones((1, 3))).dtype == np.float32
    with pytest.raises(ArgumentError, match="before the layer is built"):
        layer.dtype_policy = "float64"


def test_losses_and_metrics_of_half_precision_are_computed_in_float32():
    y_pred = lamina.tensor([[0.25], [0.5]]).astype("bfloat16")
    loss = lamina.losses.MeanSquaredError()([[1.001], [0.5]], y_pred)
    assert loss.dtype == np.float32
    np.testing.assert_allclose(loss.item(), 0.751**2 / 2, rtol=1e-5)
    metric = lamina.metrics.MeanSquaredError()
    metric.update_state(np.float32([[1.001], [0.5]]), y_pred)
    np.testing.assert_allclose(float(metric.result()), 0.751**2 / 2, rtol=1e-5)


# --- models -----------------------------------------------------------------------------------------
def digits():
    """Ten noisy patterns of 8 x 8 pixels and their numbers."""
    rng = np.random.default_rng(0)
    patterns = rng.normal(size=(10, 8, 8, 2)).astype(np.float32)
    y = rng.integers(0, 10, 512)
    return patterns[y] + 0.7 * rng.normal(size=(512, 8, 8, 2)).astype(np.float32), y


def mlp():
    return lamina.Sequential(
        [
            lamina.Input((8, 8, 2)),
            layers.Flatten(),
            layers.Dense(48, activation="relu"),
            layers.Dropout(0.1),
            layers.Dense(10, activation="softmax", dtype="float32"),
        ]
    )


def cnn():
    return lamina.Sequential(
        [
            lamina.Input((8, 8, 2)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def trained(make, policy, eager=False, epochs=6):
    lamina.random.seed(3)
    lamina.config.set_dtype_policy(policy)
    model = make()
    logits = make is cnn
    model.compile(
        lamina.optimizers.Adam(0.01),
        lamina.losses.SparseCategoricalCrossentropy(from_logits=logits),
        metrics=["accuracy"],
        run_eagerly=eager,
    )
    x, y = digits()
    history = model.fit(x, y, batch_size=64, epochs=epochs, verbose=0).history
    return model, history


@pytest.mark.parametrize("make", [mlp, cnn])
@pytest.mark.parametrize("policy", MIXED)
def test_training_learns_as_in_float32(make, policy):
    # Loss scaling leaves the first steps out until it has found its scale.
    model, history = trained(make, policy, epochs=12 if policy == "mixed_float16" else 6)
    assert history["accuracy"][-1] > 0.9
    assert {v.dtype for v in model.weights} == {np.dtype(np.float32)}
    if policy == "mixed_bfloat16":
        _, exact = trained(make, "float32", epochs=1)
        assert abs(history["loss"][0] - exact["loss"][0]) < 0.1 * exact["loss"][0]
    scaled = isinstance(model.optimizer, lamina.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")


@pytest.mark.parametrize("make", [mlp, cnn])
def test_compiled_training_is_eager_training(make):
    results = [trained(make, "mixed_bfloat16", eager, epochs=1)[1]["loss"][-1] for eager in (False, True)]
    assert abs(results[0] / results[1] - 1) < 0.02


@pytest.mark.parametrize("make", [mlp, cnn])
def test_nothing_of_a_step_runs_in_numpy(make):
    model, _ = trained(make, "mixed_bfloat16", epochs=1)
    x, y = digits()
    report = model.profile(x[:64], y[:64], batch_size=64, seconds=0.01, verbose=False)
    kinds = {row.kind for row in report.rows}
    assert "contract" in kinds and "numpy" not in kinds


def test_recurrent_layers_and_embeddings():
    lamina.config.set_dtype_policy("mixed_bfloat16")
    rng = np.random.default_rng(0)
    x = rng.integers(1, 20, (256, 7))
    y = (x == 3).any(1).astype(np.float32)[:, None]
    model = lamina.Sequential([layers.Embedding(20, 8), layers.LSTM(16), layers.Dense(1, dtype="float32")])
    model.compile(lamina.optimizers.Adam(0.02), lamina.losses.BinaryCrossentropy(from_logits=True))
    history = model.fit(x, y, batch_size=64, epochs=25, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert model.layers[0](x).dtype == model.layers[1](model.layers[0](x)).dtype == lamina.bfloat16


def test_a_saved_model_keeps_its_policy(tmp_path):
    model, _ = trained(mlp, "mixed_bfloat16", epochs=1)
    lamina.config.set_dtype_policy(None)
    model.save(tmp_path / "model.safetensors")
    again = lamina.models.load_model(tmp_path / "model.safetensors")
    assert [layer.dtype_policy.name for layer in again.layers] == [layer.dtype_policy.name for layer in model.layers]
    assert again.layers[1].dtype_policy.name == "mixed_bfloat16"
    x, _ = digits()
    np.testing.assert_array_equal(again.predict(x[:9], verbose=0), model.predict(x[:9], verbose=0))


def test_training_state_is_not_disturbed_by_errors():
    class Broken(layers.Layer):
        def call(self, inputs):
            raise ArgumentError("as asked")

    with pytest.raises(ArgumentError, match="as asked"):
        Broken(dtype="mixed_bfloat16")(np.ones((1, 2)))
    assert lamina.Variable([1.0]).value.dtype == np.float32
    assert training_of(mlp()).float_dtype == np.float32


def test_policies_by_path() -> None:
    policies = lamina.dtype_policies.DTypePolicyMap("float32", {"block/first": "float16"})
    policies["block/se.*"] = lamina.dtype_policies.DTypePolicy("mixed_bfloat16")
    assert policies["block/first"].name == "float16" and policies["other"].name == "float32"
    assert policies["block/second"].name == "mixed_bfloat16" and policies["block/second/x"].name == "mixed_bfloat16"
    assert "block/second" not in policies and list(policies) == ["block/first", "block/se.*"] and len(policies) == 2
    assert policies.name == "map_float32" and "('block/first', 'float16')" in repr(policies)
    again = lamina.dtype_policies.deserialize(lamina.dtype_policies.serialize(policies))
    assert again == policies and hash(again) == hash(policies)
    policies["block/second.*"] = "float64"
    with pytest.raises(ArgumentError, match="matches multiple dtype policy"):
        policies["block/second"]
    with pytest.raises(ArgumentError, match="block/first already exist"):
        policies["block/first"] = "float32"
    with pytest.raises(ArgumentError, match="Cannot interpret the assigned value"):
        policies["new"] = 3
    assert policies.pop("block/first").name == "float16"
    with pytest.raises(KeyError):
        policies.pop("block/first")
    with pytest.raises(TypeError, match="must be a dict"):
        lamina.dtype_policies.DTypePolicyMap(policy_map=3)


def test_layers_take_the_policy_of_their_path() -> None:
    policies = lamina.dtype_policies.DTypePolicyMap("float32", {"block/first": "mixed_bfloat16", ".*second": "float64"})

    class Block(lamina.layers.Layer):
        def __init__(self, dtype=None):
            super().__init__(dtype=dtype, name="block")
            self.first = lamina.layers.Dense(2, dtype=dtype, name="first")
            self.second = lamina.layers.Dense(2, dtype=dtype, name="second")

        def call(self, x):
            return self.second(self.first(x))

    block = Block(policies)
    assert block(np.ones((1, 3), np.float32)).dtype == np.float64
    assert block.first.compute_dtype == "bfloat16" and block.first.kernel.dtype == np.float32
    assert block.second.kernel.dtype == np.float64 and block.compute_dtype == "float32"
    layer = lamina.layers.Dense.from_config(block.first.get_config())
    assert layer._policies == policies
    block.first.dtype_policy = "mixed_float16"
    assert policies["block/first"].name == "mixed_float16" and block.first.compute_dtype == "float16"
