"""What every layer inherits: weights and their owners, freezing, losses, training, names, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, ShapeError


class Linear(layers.Layer):
    def __init__(self, units: int = 2, scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.scale = units, scale

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], self.units), "ones", name="kernel")
        self.calls = self.add_weight((), "zeros", dtype="int64", trainable=False, name="calls")

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            self.calls.assign_add(1)
        return lamina.ops.matmul(x, self.kernel) * self.scale


class Block(layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parts = [Linear(3), {"inner": Linear(2)}]
        self.shift = lamina.Variable(np.zeros(2, np.float32), name="shift")

    def call(self, x: Any) -> Any:
        return self.parts[1]["inner"](self.parts[0](x)) + self.shift


def test_weights_are_found_in_lists_and_dicts() -> None:
    block = Block()
    assert [v.name for v in block.weights] == ["shift"]
    assert block(np.ones((4, 5))).tolist() == [[15, 15]] * 4
    assert [v.path for v in block.weights] == [
        "shift",
        *[f"{block.name}/{p.name}/{n}" for p in block._sublayers() for n in ("kernel", "calls")],
    ]
    assert len(block.trainable_weights) == 3 and len(block.non_trainable_weights) == 2
    assert block.count_params() == 2 + 15 + 1 + 6 + 1
    block.parts.append(Linear(2))  # a layer that is added later belongs to it too
    block.parts[2](np.ones((1, 2)))
    assert len(block.weights) == 7


def test_freezing_reaches_inner_layers_and_comes_back_as_it_was() -> None:
    block = Block()
    block(np.ones((1, 5)))
    inner = block.parts[0]
    block.trainable = False
    assert not inner.trainable and block.trainable_weights == []
    inner.trainable = True  # the outer layer is still frozen
    assert block.trainable_weights == [] and len(inner.trainable_weights) == 1
    block.trainable = True
    assert len(block.trainable_weights) == 3 and not inner.calls.trainable


def test_layers_frozen_before_they_are_built() -> None:
    layer = Linear(trainable=False)
    layer(np.ones((1, 2)))
    assert layer.trainable_weights == [] and len(layer.weights) == 2
    layer.trainable = True
    assert [v.name for v in layer.trainable_weights] == ["kernel"]


def test_a_frozen_layer_has_no_gradient() -> None:
    layer = layers.Dense(2)
    layer(np.ones((1, 3)))
    layer.trainable = False
    with lamina.GradientTape() as tape:
        loss = layer(np.ones((1, 3))).sum()
    assert tape.gradient(loss, layer.weights) == [None, None]


def test_training_reaches_inner_layers() -> None:
    block = Block()
    block(np.ones((1, 2)), training=True)
    assert [int(p.calls) for p in block._sublayers()] == [1, 1]
    block(np.ones((1, 2)))
    block(np.ones((1, 2)), training=False)
    assert [int(p.calls) for p in block._sublayers()] == [1, 1]
    seen = []

    class Asking(layers.Layer):
        def call(self, x: Any, training: Any = None) -> Any:
            seen.append(training)
            return x

    asking = Asking()
    asking(np.ones(1)), asking(np.ones(1), True), asking(np.ones(1), training=False)
    assert seen == [None, True, False]


def test_losses_are_those_of_the_last_call() -> None:
    class Penalised(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(1, kernel_initializer="ones")

        def call(self, x: Any) -> Any:
            self.add_loss((x**2).sum())
            return self.dense(x)

    model = lamina.Sequential([layers.Input((2,)), Penalised()])
    assert model.losses == []  # placeholders add nothing
    model(np.full((1, 2), 2.0, np.float32))
    model(np.full((1, 2), 3.0, np.float32))
    assert [x.item() for x in model.losses] == [18]
    model.compile("sgd", "mse")
    assert model.evaluate(np.ones((1, 2)), np.full((1, 1), 2.0), verbose=0) == pytest.approx(2.0)


def test_set_weights_is_all_or_nothing() -> None:
    layer = layers.Dense(2)
    layer(np.ones((1, 3)))
    before = layer.get_weights()
    with pytest.raises(ShapeError, match=r"'dense.*/bias' has shape \(2,\); given was \(3,\)"):
        layer.set_weights([np.ones((3, 2)), np.ones(3)])
    with pytest.raises(ArgumentError, match="has 2 weights and was given 1 arrays"):
        layer.set_weights([np.ones((3, 2))])
    with pytest.raises(ArgumentError, match="not built yet"):
        layers.Dense(2).set_weights([np.ones((3, 2))])
    for a, b in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_configuration_of_a_subclass_is_automatic() -> None:
    lamina.register_serializable("tests")(Linear)
    layer = Linear(4, scale=0.5, name="mine", dtype="float64")
    config = layer.get_config()
    assert config == {"units": 4, "scale": 0.5, "name": "mine", "trainable": True, "dtype": "float64"}
    assert Linear.from_config(config).get_config() == config
    again = lamina.serialization.deserialize(lamina.serialization.serialize(layer))
    assert isinstance(again, Linear) and again.units == 4


def test_names() -> None:
    lamina.config.clear_session()
    assert [layers.Dense(1).name for _ in range(3)] == ["dense", "dense_1", "dense_2"]
    assert layers.BatchNormalization().name == "batch_normalization"
    with pytest.raises(ArgumentError, match="no '/'"):
        layers.Dense(1, name="a/b")


def test_inputs_become_tensors_of_the_layers_dtype() -> None:
    layer = layers.Activation("linear")
    assert layer(np.ones(2)).dtype == np.float32 and layer([1.0, 2.0]).dtype == np.float32
    assert layer(np.arange(2)).dtype == np.int64  # integers stay
    assert layers.Activation("linear", dtype="float64")(lamina.tensor([1.0])).dtype == np.float64
    lamina.config.set_floatx("float64")
    try:
        assert layers.Dense(2)(np.ones((1, 2))).dtype == np.float64
    finally:
        lamina.config.set_floatx("float32")


# --- errors -----------------------------------------------------------------------------------------
def test_shape_errors_name_the_layer_and_the_fix() -> None:
    model = lamina.Sequential([layers.Input((4,)), layers.Dense(3, name="hidden"), layers.Dense(2)], name="net")
    with pytest.raises(ShapeError, match=r"Model net: input .* expected shape \(None, 4\), got \(2, 5\)"):
        model(np.ones((2, 5)))
    with pytest.raises(ShapeError, match=r"Layer hidden: expected size 4 on axis -1, got 5: shape \(2, 5\)"):
        model.layers[0](np.ones((2, 5)))
    with pytest.raises(ShapeError, match=r"at least 2 dimensions, got 1.*x\[None\]"):
        layers.Dense(2)(np.ones(3))
    with pytest.raises(ShapeError, match="does not become"):
        layers.Reshape((5,))(np.ones((2, 4)))
    with pytest.raises(ShapeError, match="expected a list of tensors"):
        layers.Add()(np.ones((2, 2)))
    with pytest.raises(ShapeError, match=r"equal shape except on axis -1, got \(2, 2\), \(3, 2\)"):
        layers.Concatenate()([np.ones((2, 2)), np.ones((3, 2))])

    class Wrong(layers.Layer):
        def call(self, x: Any) -> Any:
            return x + np.ones((7,), np.float32)

    outer = lamina.Sequential([Wrong(name="wrong")], name="outer")
    with pytest.raises(ShapeError, match="Layer outer/wrong: add: shapes"):
        outer(np.ones((2, 5)))


def test_embedding_range() -> None:
    layer = layers.Embedding(5, 2)
    with pytest.raises(ArgumentError, match="an input is 5, expected integers from 0 to 4"):
        layer(np.array([[0, 5]]))
    with pytest.raises(ArgumentError, match="an input is -1"):
        layer(np.array([[0, -1]]))
    assert layer(np.array([[0.0, 4.0]])).shape == (1, 2, 2)  # floats that are integers are looked up


def test_wrong_arguments() -> None:
    for call, words in (
        (lambda: layers.Dense(0), "Received units=0.*positive integer"),
        (lambda: layers.Dense(3, activatoin="relu"), "no argument 'activatoin'.*activation"),
        (lambda: layers.Dropout(1.5), "between 0 and 1. Received: rate=1.5"),
        (lambda: layers.Dropout(0.5, noise_shape=3), "noise_shape"),
        (lambda: layers.Flatten("last"), "data_format"),
        (lambda: layers.Input(), "must pass a `shape` argument"),
        (lambda: layers.Dense(1).count_params(), "no weights yet"),
        (lambda: layers.Dense(1).output, "called on placeholders 0 times"),
    ):
        with pytest.raises(ArgumentError, match=words):
            call()
    with pytest.raises(ShapeError, match="at most one unknown dimension"):
        layers.Reshape((-1, -1))
    with pytest.raises(ArgumentError, match="Cannot convert 'float33'"):
        layers.Dense(1, dtype="float33")


def test_forgotten_super() -> None:
    class Forgetful(layers.Layer):
        def __init__(self) -> None:
            self.units = 3

    with pytest.raises(ArgumentError, match=r"Forgetful.__init__ does not call super\(\).__init__\(\)"):
        Forgetful()(np.ones(2))


def test_placeholders_are_no_tensors() -> None:
    x = layers.Input((3,))
    for use in (lambda: lamina.exp(x), lambda: np.sum(x), lambda: bool(x), lambda: len(x)):
        with pytest.raises(ArgumentError, match="placeholder of the functional API"):
            use()


def test_a_weight_cannot_depend_on_an_unknown_size() -> None:
    class PerStep(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight((input_shape[1], 1), name="w")

        def call(self, x: Any) -> Any:
            return x * self.w

    with pytest.raises(ShapeError, match=r"weight 'w' cannot have shape \(None, 1\)"):
        PerStep()(layers.Input((None, 4)))
    assert PerStep()(layers.Input((5, 4))).shape == (None, 5, 4)


# --- single layers ------------------------------------------------------------------------------------
def test_dropout_rates_and_scale() -> None:
    x = np.ones((200, 200), np.float32)
    y = layers.Dropout(0.25, seed=1)(x, training=True).numpy()
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.01)
    np.testing.assert_array_equal(layers.Dropout(0.25)(x).numpy(), x)
    assert layers.Dropout(1.0)(x, training=True).numpy().max() == 0
    layer = layers.Dropout(0.5, seed=2)
    first, second = layer(x, training=True).numpy(), layer(x, training=True).numpy()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(layers.Dropout(0.5, seed=2)(x, training=True).numpy(), first)
    rows = layers.Dropout(0.5, noise_shape=(None, 1))(x, training=True).numpy()
    assert (rows.min(1) == rows.max(1)).all() and 0 < (rows[:, 0] == 0).mean() < 1


@pytest.mark.parametrize(
    ("cls", "formula"),
    [
        (layers.Add, lambda a, b: a + b),
        (layers.Subtract, lambda a, b: a - b),
        (layers.Multiply, lambda a, b: a * b),
        (layers.Average, lambda a, b: (a + b) / 2),
        (layers.Maximum, np.maximum),
        (layers.Minimum, np.minimum),
        (layers.Concatenate, lambda a, b: np.concatenate([a, b], -1)),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_merging_formulas(rng: np.random.Generator, cls: Any, formula: Any) -> None:
    a, b = (rng.normal(size=(3, 4)).astype("float32") for _ in range(2))
    np.testing.assert_allclose(cls()([a, b]).numpy(), formula(a, b), rtol=1e-6)
    function = getattr(layers, cls.__name__.lower())
    np.testing.assert_array_equal(function([a, b]).numpy(), cls()([a, b]).numpy())


def test_batch_normalization_formula(rng: np.random.Generator) -> None:
    x = rng.normal(2, 3, size=(50, 4))
    layer = layers.BatchNormalization(momentum=0.9, dtype="float64")
    y = layer(x, training=True).numpy()
    mean, variance = x.mean(0), x.var(0)
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + 1e-3))
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.1 * mean)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.9 + 0.1 * variance)
    wanted = (x - 0.1 * mean) / np.sqrt(0.9 + 0.1 * variance + 1e-3)
    np.testing.assert_allclose(layer(x).numpy(), wanted)
    layer.trainable = False  # frozen: inference mode, also in training
    np.testing.assert_allclose(layer(x, training=True).numpy(), wanted)


def test_half_precision_is_normalised_in_float32() -> None:
    x = np.full((8, 2), 300.0, np.float16)
    x[::2] = -300
    y = layers.BatchNormalization(dtype="float16")(x, training=True)
    assert y.dtype == np.float16
    np.testing.assert_allclose(abs(y.numpy()), 1, rtol=1e-2)


def test_freezing_between_training_steps() -> None:
    bare = layers.BatchNormalization(scale=False, center=False)  # no trainable weight tells that it is frozen
    model = lamina.Sequential([layers.Input((3,)), bare, layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
    model.train_on_batch(x, x[:, :1])
    moving, kernel = bare.moving_mean.numpy(), model.layers[1].kernel.numpy()
    bare.trainable = False
    model.train_on_batch(x, x[:, :1])
    np.testing.assert_array_equal(bare.moving_mean.numpy(), moving)
    assert not np.array_equal(model.layers[1].kernel.numpy(), kernel)
    kernel = model.layers[1].kernel.numpy()
    bare.trainable, model.layers[1].trainable = True, False
    model.train_on_batch(x, x[:, :1])
    assert not np.array_equal(bare.moving_mean.numpy(), moving)
    np.testing.assert_array_equal(model.layers[1].kernel.numpy(), kernel)


class Mode(layers.Layer):
    """Adds one in its mode."""

    def __init__(self, register: bool = True) -> None:
        super().__init__()
        if register:
            self._register_call_context_args("mode")

    def call(self, x: Any, mode: bool | None = None) -> Any:
        return x + 1 if mode else x


class Around(layers.Layer):
    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        self._register_call_context_args("mode")

    def call(self, x: Any) -> Any:
        return self.inner(x)


def test_arguments_that_travel_inwards() -> None:
    x = np.zeros(1, np.float32)
    assert Around(Mode())(x, mode=True).item() == 1.0
    assert Around(Mode())(x).item() == 0.0
    assert Around(Around(Mode()))(x, mode=True).item() == 1.0
    assert Around(Mode(register=False))(x, mode=True).item() == 0.0
    model = lamina.Sequential([layers.Input((1,)), Mode(), Mode()])

    assert Around(model)(x[None], mode=True).item() == 2.0
    layer = Mode()
    layer(x)
    with pytest.raises(RuntimeError, match="after the layer has been called"):
        layer._register_call_context_args("other")


def test_build_with_wrong_arguments() -> None:
    class NoShape(layers.Layer):
        def build(self, a_shape: Any, b: Any) -> None:
            pass

        def call(self, a: Any, b: Any) -> Any:
            return a

    class Unknown(layers.Layer):
        def build(self, a_shape: Any, c_shape: Any) -> None:
            pass

        def call(self, a: Any, b: Any) -> Any:
            return a

    x = np.ones((2, 3))
    with pytest.raises(ArgumentError, match="`b`, which does not end in `_shape`"):
        NoShape()(x, x)
    with pytest.raises(ArgumentError, match=r"`c_shape`, but `call\(\)` does not have argument `c`"):
        Unknown()(x, x)


def test_shapes_of_nested_outputs() -> None:
    class Nested(layers.Layer):
        def call(self, x: Any) -> Any:
            raise AssertionError("not needed for the shapes")

        def compute_output_shape(self, input_shape: Any) -> Any:
            return {"a": input_shape, "b": (input_shape, [input_shape, (4,)])}

    spec = Nested().compute_output_spec(lamina.Input((3,)))
    assert spec["a"].shape == (None, 3) and isinstance(spec["b"], tuple) and spec["b"][1][1].shape == (4,)
    with pytest.raises(NotImplementedError, match="does not have a `compute_output_shape` method"):
        layers.Layer().compute_output_shape((2, 3))


def test_building_by_hand() -> None:
    class Outer(layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="outer")
            self.inner = layers.Dense(2, name="inner")

        def build(self, input_shape: Any) -> None:
            self.inner.build(input_shape)

        def call(self, x: Any) -> Any:
            return self.inner(x)

    layer = Outer()
    layer.build((None, 3))
    assert layer.built and layer.inner.built and layer.inner.path == "outer/inner"
    assert layer.inner.kernel.path == "outer/inner/kernel"
    assert layer.get_build_config() == {"input_shape": (None, 3)}
    again = Outer()
    again.build_from_config(layer.get_build_config() or {})
    assert [v.shape for v in again.weights] == [(3, 2), (2,)]
    store: dict[str, Any] = {}
    layer.inner.save_own_variables(store)
    again.inner.load_own_variables(store)
    np.testing.assert_array_equal(again.inner.kernel.numpy(), layer.inner.kernel.numpy())
    with pytest.raises(ArgumentError, match="has 2 variables and 1 are stored"):
        again.inner.load_own_variables({"0": store["0"]})


def test_weights_are_not_made_by_call() -> None:
    class Late(layers.Layer):
        def call(self, x: Any) -> Any:
            return x + self.add_weight(shape=())

    with pytest.raises(ArgumentError, match="cannot add new elements of state"):
        Late()(np.ones(2))


def test_positional_arguments_of_add_weight() -> None:
    layer = layers.Layer()
    assert layer.add_weight((2,), "ones", "int32").dtype == np.int32
    assert layer.add_variable((2,), "ones", name="more").path.endswith("/more")
    with pytest.raises(ArgumentError, match="name is a keyword argument"):
        layer.add_weight("matrix", shape=(2,))
    with pytest.raises(ArgumentError, match="`shape` was passed both positionally and as a keyword argument"):
        layer.add_weight((2,), shape=(2,))
    with pytest.raises(TypeError, match="takes at most 3 positional arguments"):
        layer.add_weight((2,), "ones", "int32", "name")


def test_a_list_that_holds_itself() -> None:
    layer = layers.Layer()
    layer.blocks = [layers.Dense(1)]
    layer.blocks.append(layer.blocks)
    assert len(layer._sublayers()) == 1


def test_names_that_libraries_for_keras_reach_for() -> None:
    class Changing(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.w = self.add_weight(shape=(2,))
            self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)
            self.inner = [layers.Dense(1)]
            self._build_at_init()

        def call(self, x: Any) -> Any:
            if len(self._weights) == 2:
                self.late = self.add_weight(shape=())
            return x

    layer = Changing()
    assert layer.built and len(layer._layers) == 1
    layer.trainable = False
    assert [v is layer.w for v in layer._trainable_variables] == [True]
    assert [v is layer.count for v in layer._non_trainable_variables] == [True]
    with pytest.raises(ArgumentError, match="cannot add new elements of state"):
        layer(np.ones(2))
    assert layer._tracker.locked
    layer._tracker.unlock()
    layer(np.ones(2))
    layer._tracker.lock()
    assert layer._tracker.locked and len(layer.weights) == 3
    layer.w = layer._untrack_variable(layer.w)
    assert len(layer.weights) == 2 and layer.w is None


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(layers.Add(), (None, 5, 3)), (layers.Concatenate(), (None, 5, 6)), (layers.Dot(axes=1), (None, 3, 3))],
)
def test_an_unknown_size_meets_a_known_one(layer: layers.Layer, shape: tuple[int | None, ...]) -> None:
    a, b = layers.Input((None, 3)), layers.Input((5, 3))
    joined = layer([a, b])
    assert joined.shape == shape
    x = lamina.ones((2, 5, 3))
    assert lamina.Model([a, b], joined)([x, x]).shape == (2, *shape[1:])
    with pytest.raises(lamina.ShapeError):
        layer([layers.Input((4, 3)), layers.Input((5, 2))])


@pytest.mark.parametrize("make", [lambda: layers.Conv2D(3, 2), layers.MaxPooling2D, layers.GlobalAveragePooling2D])
def test_output_shapes_of_inputs_with_other_dimensions_are_refused(make: Any) -> None:
    for shape in ((None, 4), (2, 6, 4), (2, 6, 6, 6, 4)):
        with pytest.raises(lamina.ShapeError, match="4 sizes"):
            make().compute_output_shape(shape)
