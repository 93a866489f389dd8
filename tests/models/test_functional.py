"""Functional models: graphs of layers, shared layers, nesting, several inputs and outputs, configuration."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, DTypeError, ShapeError
from lamina.serialization import custom_object_scope


def data(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.normal(size=s).astype("float32") for s in shapes]


def branched() -> lamina.Model:
    """Two inputs, a shared layer, a skip connection, two outputs."""
    a, b = layers.Input((4,), name="a"), layers.Input((4,), name="b")
    shared = layers.Dense(5, "tanh", name="shared")
    x, y = shared(a), shared(b)
    joined = layers.Concatenate(name="joined")([x, y])
    h = layers.Dense(5, name="h")(joined)
    out = layers.Add(name="out")([h, x])
    return lamina.Model([a, b], [out, layers.Dense(2, name="side")(joined)], name="branched")


def test_values_of_a_graph() -> None:
    model = branched()
    a, b = data((3, 4), (3, 4))
    w, c = model.get_layer("shared").get_weights()
    x, y = np.tanh(a @ w + c), np.tanh(b @ w + c)
    joined = np.concatenate([x, y], -1)
    hw, hc = model.get_layer("h").get_weights()
    sw, sc = model.get_layer("side").get_weights()
    out, side = model([a, b])
    np.testing.assert_allclose(out.numpy(), joined @ hw + hc + x, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(side.numpy(), joined @ sw + sc, rtol=1e-5, atol=1e-6)


def test_what_a_graph_knows() -> None:
    model = branched()
    assert [layer.name for layer in model.layers] == ["a", "b", "shared", "joined", "h", "out", "side"]
    assert model.input_names == ["a", "b"] and model.output_names == ["out", "side"]
    assert model.input_shape == [(None, 4), (None, 4)] and model.output_shape == [(None, 5), (None, 2)]
    assert len(model.weights) == 6 and model.count_params() == 25 + 55 + 22  # shared weights count once
    assert model.get_layer(index=-1).name == "side"
    with pytest.raises(ArgumentError, match="no layer 'c'. Its layers: a, b, shared"):
        model.get_layer("c")


def test_order_of_layers_and_weights_is_keras_order() -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras", reason="comparison with Keras, which is not installed")

    def build(api: Any, make: Any) -> Any:
        i, j = api.Input((4,), name="i"), api.Input((3,), name="j")
        x = api.Dense(3, name="x1")(i)
        y = api.Dense(3, name="y2")(api.Dense(3, name="y1")(j))
        skip = api.Dense(3, name="skip")(i)
        z = api.Add(name="z")([x, y])
        return make(
            [i, j], [api.Dense(1, name="one")(api.Concatenate(name="cat")([z, skip])), api.Dense(2, name="two")(y)]
        )

    ours, theirs = build(layers, lamina.Model), build(keras.layers, keras.Model)
    assert [x.name for x in ours.layers] == [x.name for x in theirs.layers]
    weights = theirs.get_weights()
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in weights]
    ours.set_weights(weights)
    x = data((5, 4), (5, 3))
    for a, b in zip(ours(x), theirs(x), strict=True):
        np.testing.assert_allclose(a.numpy(), np.asarray(b), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", ["from_config", "to_json", "clone"])
def test_configuration(make: str) -> None:
    model = branched()
    again = {
        "from_config": lambda: lamina.Model.from_config(model.get_config()),
        "to_json": lambda: lamina.models.model_from_json(model.to_json()),
        "clone": lambda: lamina.models.clone_model(model),
    }[make]()
    assert again.get_config() == model.get_config()
    again.set_weights(model.get_weights())
    inputs = data((3, 4), (3, 4))
    for x, y in zip(again(inputs), model(inputs), strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy())


def test_nested_models() -> None:
    inner = branched()
    p, q = layers.Input((4,)), layers.Input((4,))
    first, _ = inner([p, q])
    _, second = inner([q, p])  # used twice
    outer = lamina.Model({"p": p, "q": q}, {"sum": layers.Add()([first, layers.Dense(5)(second)])})
    assert outer.output_names == ["sum"] and len(outer.weights) == 8
    x, y = data((2, 4), (2, 4))
    wanted = inner([x, y])[0].numpy() + outer.layers[-2]([*inner([y, x])][1]).numpy()
    np.testing.assert_allclose(outer({"p": x, "q": y})["sum"].numpy(), wanted, rtol=1e-5, atol=1e-6)
    again = lamina.models.clone_model(outer)
    again.set_weights(outer.get_weights())
    np.testing.assert_array_equal(again({"q": y, "p": x})["sum"].numpy(), outer({"p": x, "q": y})["sum"].numpy())
    with pytest.warns(
        UserWarning, match="a dict with the keys 'p', 'q', and a list was given; its items are taken in this order"
    ):
        outer([x, y])


def test_a_model_from_the_middle_of_another() -> None:
    model = branched()
    features = lamina.Model(model.inputs, model.get_layer("joined").output)
    inputs = data((2, 4), (2, 4))
    assert features(inputs).shape == (2, 10)
    tail = lamina.Model(model.get_layer("joined").output, model.get_layer("side").output)
    np.testing.assert_allclose(tail(features(inputs)).numpy(), model(inputs)[1].numpy(), rtol=1e-6)
    again = lamina.models.clone_model(tail)
    again.set_weights(tail.get_weights())
    np.testing.assert_array_equal(again(features(inputs)).numpy(), tail(features(inputs)).numpy())


def test_operators_on_placeholders() -> None:
    x = layers.Input((4,))
    model = lamina.Model(x, abs(-(2 * x[:, 1:3] + 1) / 4 - x[:, :2]) ** 2)
    assert model.output_shape == (None, 2)
    again = lamina.models.model_from_json(model.to_json())
    (a,) = data((3, 4))
    wanted = (-(2 * a[:, 1:3] + 1) / 4 - a[:, :2]) ** 2
    for m in (model, again):
        np.testing.assert_allclose(m(a).numpy(), wanted, rtol=1e-5)


def test_comparisons_and_other_operators_of_placeholders() -> None:
    x = layers.Input((3,))
    inside = (x > 0.25) & ~(x >= 0.75)
    outside = (x <= 0.25) | (x > 0.75)
    model = lamina.Model(x, [inside, outside ^ inside, 7 // (x + 1), x % 0.5, 2.0**x, x < 2, 1 - x])
    a = np.array([[0.1, 0.5, 0.9]], "float32")
    wanted = [
        (a > 0.25) & (a < 0.75),
        np.ones_like(a, bool),
        7 // (a + 1),
        a % 0.5,
        2**a,
        a < 2,
        1 - a,
    ]
    again = lamina.models.model_from_json(model.to_json())
    for m in (model, again):
        for found, y in zip(m.predict(a, verbose=0), wanted, strict=True):
            assert found.dtype == y.dtype
            np.testing.assert_allclose(found, y, rtol=1e-6)
    assert x == x and x != layers.Input((3,))  # which of them it is, not a comparison of values


def test_unknown_sizes_beside_the_batch() -> None:
    x = layers.Input((None, 4))
    model = lamina.Model(x, layers.BatchNormalization()(layers.Dense(3)(x)))
    assert model.output_shape == (None, None, 3)
    assert model(np.ones((2, 5, 4))).shape == (2, 5, 3) and model(np.ones((1, 7, 4))).shape == (1, 7, 3)


def test_shapes_of_own_layers_are_found_out() -> None:
    class Odd(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.dense = layers.Dense(3)

        def call(self, x: Any) -> Any:
            y = self.dense(x)
            return {"rows": y.sum(axis=0), "pair": (y, lamina.ones((7, 2)))}

    result = Odd()(layers.Input((4,)))
    assert result["rows"].shape == (3,) and result["pair"][0].shape == (None, 3)
    assert result["pair"][1].shape == (7, 2)


def test_inputs_are_matched_in_rank_and_dtype() -> None:
    x, ids = layers.Input((1,)), layers.Input((3,), dtype="int32")
    model = lamina.Model(
        [x, ids], layers.Add()([layers.Dense(2)(x), layers.Flatten()(layers.Embedding(5, 2)(ids))[:, :2]])
    )
    assert model([np.ones(4), np.ones((4, 3))]).shape == (4, 2)  # a missing last axis; floats for integers
    pixels = layers.Input((2, 2))
    images = lamina.Model(pixels, layers.Flatten()(pixels))
    assert images(np.full((1, 2, 2), 255, np.uint8)).dtype == np.float32


def test_wrong_graphs() -> None:
    a, b = layers.Input((2,), name="a"), layers.Input((2,), name="b")
    for call, words in (
        (lambda: lamina.Model(a, layers.Add()([a, b])), "depends on the input 'b', which is not among"),
        (lambda: lamina.Model(a, np.ones(2)), "must be KerasTensors: placeholders"),
        (lambda: lamina.Model(a), "both inputs and outputs"),
        (
            lambda: lamina.Model(a, layers.Dense(1, name="d")(layers.Dense(1, name="d")(a))),
            "unique within a model; 'd' is used twice",
        ),
    ):
        with pytest.raises(ArgumentError, match=words):
            call()
    with pytest.raises(ShapeError, match=r"expected 2 inputs \(a \(None, 4\), b \(None, 4\)\), got 1"):
        branched()([np.ones((2, 4))])
    with pytest.raises(ShapeError, match=r"Model branched: input 'b' expected shape \(None, 4\), got \(2, 3\)"):
        branched()([np.ones((2, 4)), np.ones((2, 3))])


def test_subclasses() -> None:
    class Net(lamina.Model):
        def __init__(self, units: int = 3) -> None:
            super().__init__()
            self.hidden = layers.Dense(units, "relu")
            self.drop = layers.Dropout(0.5)
            self.out = layers.Dense(1)

        def call(self, x: Any, training: bool = False) -> Any:
            return self.out(self.drop(self.hidden(x), training=training))

    net = Net(4)
    assert net(np.ones((2, 5))).shape == (2, 1)
    assert [type(x) for x in net.layers] == [layers.Dense, layers.Dropout, layers.Dense]
    assert net.count_params() == 24 + 5
    built = Net()
    built.build((None, 5))
    assert built.count_params() == 18 + 4
    net.compile("adam", "mse")
    history = net.fit(np.ones((40, 5)), np.ones((40, 1)), epochs=30, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]

    class Both(lamina.Model):
        def __init__(self) -> None:
            x = layers.Input((2,))
            super().__init__(x, layers.Dense(1)(x))

    assert Both()(np.ones((3, 2))).shape == (3, 1)
    with pytest.raises(NotImplementedError, match="neither inputs and outputs nor a call"):
        lamina.Model()(np.ones((1, 2)))


class Optional(layers.Layer):
    """Adds a second input if there is one."""

    def call(self, x: Any, other: Any = None) -> Any:
        return x if other is None else x + other


def test_inputs_that_may_be_left_out() -> None:
    a, b = layers.Input((2,), name="a"), layers.Input((2,), name="b", optional=True)
    model = lamina.Model({"a": a, "b": b}, layers.Dense(1, kernel_initializer="ones")(Optional()(a, b)))
    x = np.ones((6, 2), np.float32)
    assert model.predict({"a": x, "b": None}, verbose=0)[0].tolist() == [2.0]
    assert model.predict({"a": x, "b": x}, verbose=0)[0].tolist() == [4.0]
    model.compile("sgd", "mse")
    assert model.evaluate({"b": None, "a": x}, x[:, :1], verbose=0) == pytest.approx(1.0)
    assert len(model.fit({"a": x, "b": None}, x[:, :1], epochs=2, verbose=0).history["loss"]) == 2
    with custom_object_scope({"Optional": Optional}):
        again = lamina.models.clone_model(model)
    assert [t.node.layer.optional for t in again.inputs] == [False, True]
    with pytest.raises(DTypeError, match="input 'a' is a NoneType"):
        model({"a": None, "b": x})


def test_operators_are_no_layers() -> None:
    a, b = layers.Input((2,), name="a"), layers.Input((2,), name="b")
    model = lamina.Model([a, b], layers.Dense(1, name="last")(a + b))
    assert [layer.name for layer in model.layers] == ["a", "b", "last"] and len(model.operations) == 4


def test_only_graphs_have_inputs() -> None:
    model = lamina.Sequential([layers.Dense(2)])
    assert not hasattr(model, "inputs") and not hasattr(model, "outputs")
    model.build((None, 3))
    assert [t.shape for t in model.inputs] == [(None, 3)]


def test_a_dict_of_inputs_whose_order_says_nothing() -> None:
    q, p = layers.Input((2,)), layers.Input((2,))
    model = lamina.Model({"q": q, "p": p}, q - p)
    with pytest.raises(ArgumentError, match="The structure of `inputs` doesn't match the expected structure"):
        model([np.ones((1, 2)), np.ones((1, 2))])


def test_input_arguments() -> None:
    tensor = lamina.layers.SymbolicTensor((2, 3), "int32")
    layer = layers.InputLayer(input_tensor=tensor, shape=(3,), batch_size=2, dtype="int32")
    assert layer.output is tensor and layer.batch_shape == (2, 3) and layer.dtype == "int32"
    for arguments, words in [
        ({"shape": (4,)}, "incompatible `shape`"),
        ({"batch_shape": (2, 4)}, "incompatible `batch_shape`"),
        ({"batch_size": 5}, "incompatible `batch_size`"),
        ({"dtype": "float16"}, "incompatible `dtype`"),
        ({"ragged": True}, "incompatible `sparse`"),
    ]:
        with pytest.raises(ArgumentError, match=words):
            layers.InputLayer(input_tensor=tensor, **arguments)
    for arguments, words in [
        ({"shape": (2,), "sparse": True}, "`sparse=True` is not supported"),
        ({"shape": (2,), "ragged": True}, "`ragged=True` is not supported.*mask"),
        ({"shape": (2,), "batch_shape": (1, 2)}, "both `shape` and `batch_shape`"),
        ({"batch_size": 3, "batch_shape": (1, 2)}, "both `batch_size` and `batch_shape`"),
        ({"tensor": np.ones(3)}, "must be a KerasTensor"),
    ]:
        with pytest.raises(ArgumentError, match=words):
            lamina.Input(**arguments)
    with pytest.warns(UserWarning, match="`input_shape` is deprecated"):
        assert lamina.Input(input_shape=(3,)).shape == (None, 3)


def test_a_square_of_unknown_size_among_the_inputs() -> None:
    """A mask of (steps, steps): its two sizes are the same, though neither is known yet."""
    x, mask = layers.Input((None, 8)), layers.Input((None, None), dtype="bool")
    y = layers.MultiHeadAttention(2, 4)(x, x, attention_mask=mask)
    assert y.shape == (None, None, 8)
    model = lamina.Model([x, mask], y)
    values = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    full, own = np.ones((2, 5, 5), bool), np.tile(np.eye(5, dtype=bool), (2, 1, 1))
    changed = values.copy()
    changed[:, 0] += 1
    assert not np.allclose(model([values, full])[:, 1], model([changed, full])[:, 1])
    np.testing.assert_array_equal(model([values, own])[:, 1], model([changed, own])[:, 1])
