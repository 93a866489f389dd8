"""One contract that every layer keeps: shapes, dtypes, configuration, files, gradients, training, compilation."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layer_table import ATTENTION, FURTHER, IMAGES, RECURRENT, SPATIAL, Case

import lamina
from lamina import layers
from lamina.core.trees import flatten, map_tree
from lamina.layers import base
from lamina.layers.preprocessing.data import DataLayer

CASES = [
    Case("dense", layers.Dense, {"units": 5}, output=(4, 5), weights=2),
    Case("dense-tanh", layers.Dense, {"units": 5, "activation": "tanh", "use_bias": False}, output=(4, 5), weights=1),
    Case("dense-3d", layers.Dense, {"units": 5, "activation": "softmax"}, (4, 3, 6), (4, 3, 5), weights=2),
    Case("flatten", layers.Flatten, {}, (4, 2, 3), (4, 6)),
    Case("flatten-first", layers.Flatten, {"data_format": "channels_first"}, (4, 2, 3), (4, 6)),
    Case("reshape", layers.Reshape, {"target_shape": (3, -1)}, output=(4, 3, 2)),
    Case("activation", layers.Activation, {"activation": "gelu"}, output=(4, 6)),
    Case("dropout", layers.Dropout, {"rate": 0.5, "seed": 3}, output=(4, 6), random=True),
    Case(
        "dropout-noise",
        layers.Dropout,
        {"rate": 0.5, "noise_shape": (None, 1, 3), "seed": 3},
        (4, 2, 3),
        (4, 2, 3),
        random=True,
    ),
    Case("embedding", layers.Embedding, {"input_dim": 7, "output_dim": 3}, (4, 5), (4, 5, 3), integers=7, weights=1),
    Case("batchnorm", layers.BatchNormalization, {}, output=(4, 6), weights=4, frozen=2),
    Case(
        "batchnorm-axis1",
        layers.BatchNormalization,
        {"axis": 1, "momentum": 0.8, "epsilon": 1e-2},
        (4, 3, 2),
        (4, 3, 2),
        weights=4,
        frozen=2,
    ),
    Case(
        "batchnorm-bare",
        layers.BatchNormalization,
        {"center": False, "scale": False},
        output=(4, 6),
        weights=2,
        frozen=2,
    ),
    Case(
        "batchnorm-renorm",
        layers.BatchNormalization,
        {"renorm": True, "renorm_clipping": {"rmax": 3.0, "rmin": 0.3, "dmax": 5.0}, "renorm_momentum": 0.9},
        output=(4, 6),
        weights=7,
        frozen=5,
        random=True,
    ),
    Case("layernorm-rms", layers.LayerNormalization, {"rms_scaling": True}, output=(4, 6), weights=1),
    Case("concatenate", layers.Concatenate, {}, [(4, 2), (4, 3)], (4, 5)),
    Case("concatenate-axis", layers.Concatenate, {"axis": 1}, [(4, 2, 3), (4, 1, 3)], (4, 3, 3)),
    Case("add", layers.Add, {}, [(4, 3), (4, 3), (4, 1)], (4, 3)),
    Case("add-ranks", layers.Add, {}, [(4, 2, 3), (4, 3)], (4, 2, 3)),
    Case("subtract", layers.Subtract, {}, [(4, 3), (4, 3)], (4, 3)),
    Case("multiply", layers.Multiply, {}, [(4, 3), (4, 3)], (4, 3)),
    Case("average", layers.Average, {}, [(4, 3), (4, 3)], (4, 3)),
    Case("maximum", layers.Maximum, {}, [(4, 3), (4, 3)], (4, 3)),
    Case("minimum", layers.Minimum, {}, [(4, 3), (4, 3)], (4, 3)),
    *SPATIAL,
    *FURTHER,
    *IMAGES,
    *RECURRENT,
    *ATTENTION,
]


# Bases, and the cells of recurrent layers, which are called with states.
NO_LAYERS_ALONE = {
    layers.Layer,
    layers.InputLayer,
    layers.Wrapper,
    layers.SimpleRNNCell,
    layers.LSTMCell,
    layers.GRUCell,
    layers.StackedRNNCells,
}


def inputs_of(case: Case, dtype: str = "float64") -> Any:
    rng = np.random.default_rng(5)

    def make(shape: tuple[int, ...]) -> np.ndarray:
        if case.integers is not None:
            return rng.integers(0, case.integers, shape)
        return rng.normal(size=shape).astype(dtype)

    return [make(s) for s in case.shapes] if isinstance(case.shapes, list) else make(case.shapes)


def placeholders(case: Case) -> Any:
    dtype = "int64" if case.integers is not None else "float32"
    if isinstance(case.shapes, list):
        return [layers.Input(s[1:], dtype=dtype) for s in case.shapes]
    return layers.Input(case.shapes[1:], dtype=dtype)


def make(case: Case, **more: Any) -> Any:
    """The layer; arguments that are functions are layers, made anew in the dtype."""
    arguments = {k: v(more.get("dtype")) if inspect.isfunction(v) else v for k, v in case.arguments.items()}
    return case.cls(**arguments, **more)


def on(case: Case, layer: Any) -> Any:
    """What to call on the inputs: the layer, or one that hands it the list's tensors as arguments."""
    return (lambda data, **options: layer(*data, **options)) if case.apart else layer


def parametrize() -> Any:
    return pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)


def test_every_layer_is_under_the_contract() -> None:
    ours = {
        value
        for value in vars(layers).values()
        if inspect.isclass(value) and issubclass(value, layers.Layer) and value not in NO_LAYERS_ALONE
    }
    ours = {cls for cls in ours if not issubclass(cls, DataLayer)}  # tests/layers/test_preprocessing.py
    assert ours == {c.cls for c in CASES}


@parametrize()
def test_shape_dtype_and_weights(case: Case) -> None:
    layer = make(case)
    y = on(case, layer)(inputs_of(case))
    assert y.shape == case.output
    assert y.dtype == np.float32  # the layer's dtype, whatever came in
    assert layer.built
    assert len(layer.weights) == case.weights and len(layer.non_trainable_weights) == case.frozen
    assert layer.count_params() == sum(v.size for v in layer.weights)
    assert all(v.dtype == np.float32 for v in layer.weights)
    for training in (False, True):
        assert on(case, layer)(inputs_of(case, "float32"), training=training).shape == case.output


@parametrize()
def test_placeholders_have_the_shape_of_tensors(case: Case) -> None:
    layer = make(case)
    x = placeholders(case)
    y = on(case, layer)(x)
    assert y.shape == (None, *case.output[1:]) and y.dtype == np.float32
    model = lamina.Model(x, y)
    data = inputs_of(case, "float32")
    assert model(data).shape == case.output
    shapes = [s if len(s) == 0 else (None, *s[1:]) for s in case.shapes] if isinstance(case.shapes, list) else None
    infer = make(case).compute_output_shape
    found = infer(*shapes) if case.apart else infer(shapes if shapes is not None else (None, *case.shapes[1:]))
    assert tuple(found) == (None, *case.output[1:])


@parametrize()
def test_float64(case: Case) -> None:
    layer = make(case, dtype="float64")
    assert on(case, layer)(inputs_of(case)).dtype == np.float64
    assert all(v.dtype == np.float64 for v in layer.weights)


@parametrize()
def test_configuration_round_trip(case: Case) -> None:
    layer = make(case, name="mine", trainable=False)
    again = case.cls.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert again.name == "mine" and again.trainable is False and again.dtype == "float32"
    layer, again = make(case), lamina.serialization.deserialize(lamina.serialization.serialize(make(case)))
    assert type(again) is case.cls
    on(case, layer)(inputs_of(case))
    on(case, again)(inputs_of(case))
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(on(case, again)(inputs_of(case)).numpy(), on(case, layer)(inputs_of(case)).numpy())


@parametrize()
def test_save_and_load(case: Case, tmp_path: Path) -> None:
    x = placeholders(case)
    model = lamina.Model(x, on(case, make(case))(x))
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    model.save(tmp_path / "model.safetensors")
    again = lamina.models.load_model(tmp_path / "model.safetensors")
    data = inputs_of(case, "float32")
    for training in (False, True):
        np.testing.assert_array_equal(again(data, training=training).numpy(), model(data, training=training).numpy())
    for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@parametrize()
def test_gradients_against_differences(case: Case) -> None:
    """In float64: the derivative of a random projection of the output along a random direction."""
    layer = make(case, dtype="float64")
    data = inputs_of(case)
    on(case, layer)(data)
    rng = np.random.default_rng(2)
    projection = rng.normal(size=case.output)
    variables = layer.trainable_variables
    sources = [] if case.integers is not None else flatten(data)[0]
    training = not case.random
    start = [v.numpy() for v in layer.weights]

    def value(step: float, directions: list[np.ndarray]) -> float:
        layer.set_weights(start)  # batch normalization moves its statistics in every call
        for v, d in zip(variables, directions, strict=False):
            v.assign(v.numpy() + step * d)
        moved = iter(directions[len(variables) :])
        shifted = map_tree(lambda a: a + step * next(moved), data) if sources else data
        return float((on(case, layer)(shifted, training=training).numpy() * projection).sum())

    directions = [rng.normal(size=v.shape) for v in variables] + [rng.normal(size=a.shape) for a in sources]
    tensors = map_tree(lamina.Tensor, data)
    with lamina.GradientTape() as tape:
        if sources:
            tape.watch(tensors)
        output = (on(case, layer)(tensors, training=training) * projection).sum()
    watched = [*variables, *(flatten(tensors)[0] if sources else [])]
    if not watched:
        return
    grads = tape.gradient(output, watched, unconnected_gradients="zero")
    exact = sum(float((g.numpy() * d).sum()) for g, d in zip(grads, directions, strict=True))
    step = 1e-6
    measured = (value(step, directions) - value(-step, directions)) / (2 * step)
    assert measured == pytest.approx(exact, rel=1e-6, abs=1e-7)


@parametrize()
def test_eager_equals_compiled(case: Case) -> None:
    data = map_tree(lamina.Tensor, inputs_of(case, "float32"))
    for training in (False, True):
        eager, compiled = make(case), make(case)
        on(case, eager)(data)
        on(case, compiled)(data)
        compiled.set_weights(eager.get_weights())
        run = lamina.function(lambda x, layer=compiled, training=training: on(case, layer)(x, training=training))
        for _ in range(2):  # the second call draws other random numbers and reads changed statistics
            expected = on(case, eager)(data, training=training).numpy()
            np.testing.assert_allclose(run(data).numpy(), expected, rtol=1e-5, atol=1e-6)
        for a, b in zip(compiled.get_weights(), eager.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*does not support masking")  # Flatten, after layers that make masks
@parametrize()
def test_a_training_step(case: Case) -> None:
    x = placeholders(case)
    h = layers.Flatten()(on(case, make(case))(x))
    model = lamina.Model(x, layers.Dense(1)(h))
    model.compile("sgd", "mse")
    data = inputs_of(case, "float32")
    before = model.get_weights()
    trained = {id(v) for v in model.trainable_weights}
    loss = model.train_on_batch(data, np.ones((4, 1), np.float32))
    assert np.isfinite(loss)
    for v, old in zip(model.weights, before, strict=True):
        if id(v) in trained and v.path.split("/")[-1] not in ("embeddings", "bias", "beta"):
            assert not np.array_equal(v.numpy(), old), v.path


@parametrize()
def test_freezing_takes_effect_at_once(case: Case) -> None:
    layer = make(case)
    on(case, layer)(inputs_of(case))
    trainable = len(layer.trainable_weights)
    layer.trainable = False
    assert layer.trainable_weights == [] and len(layer.non_trainable_weights) == case.weights
    assert all(not v.trainable for v in layer.weights)
    before = layer.get_weights()
    on(case, layer)(inputs_of(case), training=True)
    for a, b in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    layer.trainable = True
    assert len(layer.trainable_weights) == trainable == case.weights - case.frozen


@parametrize()
def test_weights_are_made_with_values_inside_a_captured_function(case: Case) -> None:
    layer = make(case)
    data = map_tree(lamina.Tensor, inputs_of(case, "float32"))
    assert lamina.function(lambda x: on(case, layer)(x))(data).shape == case.output
    assert all(np.isfinite(w).all() for w in layer.get_weights())


def test_calls_leave_no_trace() -> None:
    assert base.calls.depth == 0 and base.calls.training is None and not base.calls.inferring
