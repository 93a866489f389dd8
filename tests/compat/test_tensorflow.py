"""``lamina.compat.tensorflow`` beyond single functions: gradients, functions, variables, seeds, devices, imports."""

from __future__ import annotations

import gzip
import importlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.compat import tensorflow as ours
from lamina.core.devices import device, list_devices, parse_device
from lamina.core.errors import ArgumentError, DTypeError, LaminaError, ShapeError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="module")
def theirs() -> Any:
    return pytest.importorskip("tensorflow")


# --- gradients: each function gets tf and returns what both libraries must agree on ------------------
def of_a_constant(tf: Any) -> Any:
    x = tf.constant([1.0, 2.0, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(tf.square(x) * tf.sin(x))
    return tape.gradient(y, x)


def of_variables(tf: Any) -> Any:
    w, b = tf.Variable([[1.0, 2.0], [3.0, -1.0]]), tf.Variable([0.5, -0.5])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.softmax(tf.matmul([[1.0, 2.0]], w) + b)[:, 0])
    return tape.gradient(loss, [w, b])


def in_a_dict(tf: Any) -> Any:
    w = {"a": tf.Variable(2.0), "b": tf.Variable(3.0)}
    with tf.GradientTape() as tape:
        y = w["a"] * w["b"] ** 2
    found = tape.gradient(y, w)
    return [found["a"], found["b"]]


def persistent(tf: Any) -> Any:
    x = tf.constant([1.0, 3.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    return [tape.gradient(z, x), tape.gradient(y, x)]


def nested(tf: Any) -> Any:
    x = tf.Variable(2.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = x**3
        first = inner.gradient(y, x)
    return [first, outer.gradient(first, x)]


def unconnected(tf: Any) -> Any:
    x, y = tf.Variable([1.0, 2.0]), tf.Variable(1.0)
    with tf.GradientTape() as tape:
        z = y * 2
    return tape.gradient(z, [x, y], unconnected_gradients=tf.UnconnectedGradients.ZERO)


def with_output_gradients(tf: Any) -> Any:
    x = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        y = x * x
    return tape.gradient(y, x, output_gradients=tf.constant([10.0, 1.0]))


def watching_one_only(tf: Any) -> Any:
    x, y = tf.Variable(2.0), tf.Variable(3.0)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        z = x * y
    assert len(tape.watched_variables()) == 1
    return tape.gradient(z, x)


def not_recorded(tf: Any) -> Any:
    x = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = x * x
        with tape.stop_recording():
            z = x * 100.0
        total = y + z
    return tape.gradient(total, x)


def after_reset(tf: Any) -> Any:
    x = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = x * x
        tape.reset()
        y = x * 3.0
    return tape.gradient(y, x)


def jacobian(tf: Any) -> Any:
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = tf.reduce_sum(x * x * x, axis=1)
    return tape.jacobian(y, x, experimental_use_pfor=False)


def batch_jacobian(tf: Any) -> Any:
    x = tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.concat([x * x, tf.reduce_sum(x, axis=1, keepdims=True)], axis=1)
    return tape.batch_jacobian(y, x)


def stopped(tf: Any) -> Any:
    x = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = x * tf.stop_gradient(x)
    return tape.gradient(y, x)


def of_gather_and_where(tf: Any) -> Any:
    x = tf.constant([1.0, -2.0, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(tf.where(x > 0, x * x, 0.0)) + tf.reduce_sum(tf.gather(x, tf.constant([0, 0, 2])))
    return tf.convert_to_tensor(tape.gradient(y, x))


def of_parts_of_a_variable(tf: Any) -> Any:
    w = tf.Variable([1.0, 2.0, 3.0])
    with tf.GradientTape(persistent=True) as tape:
        y = w[0] * w[1] + tf.square(w[2:])[0]
        z = w[1]
    w[0].assign(5.0)
    return [tape.gradient(y, w), tape.gradient(z, w), w.read_value()]


def own_gradient(tf: Any) -> Any:
    @tf.custom_gradient
    def f(x: Any) -> Any:
        return x * x, lambda upstream: upstream * 100.0

    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, x)


def through_a_function(tf: Any) -> Any:
    w = tf.Variable([1.0, 2.0])

    @tf.function
    def loss(x: Any) -> Any:
        return tf.reduce_sum(w * x**2)

    with tf.GradientTape() as tape:
        y = loss(tf.constant([3.0, 4.0]))
    return tape.gradient(y, w)


def inside_a_function(tf: Any) -> Any:
    w = tf.Variable([1.0, 2.0])

    @tf.function
    def step(x: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((w * x - 1.0) ** 2)
        w.assign_sub(0.1 * tape.gradient(loss, w))
        return loss

    return [step(tf.constant([3.0, 4.0])), step(tf.constant([3.0, 4.0])), w.read_value()]


def a_counter(tf: Any) -> Any:
    v = tf.Variable(1)

    @tf.function
    def count() -> Any:
        return v.assign_add(1)

    return [count(), count(), v.read_value()]


def a_line_fitted_by_hand(tf: Any) -> Any:
    x = tf.linspace(-1.0, 1.0, 20)
    y = 3.0 * x + 2.0
    w, b = tf.Variable(5.0), tf.Variable(0.0)
    for _ in range(10):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(y - (w * x + b)))
        dw, db = tape.gradient(loss, [w, b])
        w.assign_sub(0.1 * dw)
        b.assign_sub(0.1 * db)
    return [loss, w.read_value(), b.read_value()]


def with_an_optimizer(tf: Any) -> Any:
    w = tf.Variable([1.0, -2.0])
    optimizer = tf.keras.optimizers.Adam(learning_rate=0.1)
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(w * w)
        optimizer.apply_gradients(zip(tape.gradient(loss, [w]), [w]))
    return tf.convert_to_tensor(w)


@pytest.mark.parametrize(
    "program",
    [
        of_a_constant, of_variables, in_a_dict, persistent, nested, unconnected, with_output_gradients,
        watching_one_only, not_recorded, after_reset, jacobian, batch_jacobian, stopped, of_gather_and_where,
        of_parts_of_a_variable, own_gradient, through_a_function, inside_a_function, a_counter, a_line_fitted_by_hand,
        with_an_optimizer,
    ],
)  # fmt: skip
def test_program(theirs: Any, program: Callable[[Any], Any]) -> None:
    for x, y in zip(_leaves(program(ours)), _leaves(program(theirs)), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        if x.dtype.kind == "S":
            assert x.tolist() == y.tolist()
        else:
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def _leaves(value: Any) -> list[np.ndarray]:
    return [np.asarray(v) for v in (value if isinstance(value, list) else [value])]


def test_gradients_can_be_asked_for_once_and_of_nothing() -> None:
    x, other = ours.Variable(1.0), ours.Variable(1.0)
    with ours.GradientTape() as tape:
        y = x * x
    assert tape.gradient(y, other) is None
    with pytest.raises(LaminaError, match="persistent"):
        tape.gradient(y, x)
    with ours.GradientTape() as tape:
        tape.watch(y)
        z = y + ours.ones([3])
    with pytest.raises(ShapeError, match="no common batch"):
        tape.batch_jacobian(z, x)


def test_integers_are_not_watched() -> None:
    x = ours.constant(10)
    with ours.GradientTape() as tape:
        with pytest.warns(UserWarning, match="floats have gradients; got int32"):
            tape.watch(x)
        y = x * x
    assert tape.gradient(y, x) is None


# --- functions -----------------------------------------------------------------------------------------
def test_function_captures_once_for_each_shape() -> None:
    calls = []

    @ours.function(reduce_retracing=True, jit_compile=True)
    def double(x: Any) -> Any:
        calls.append(x.shape)
        return x * 2

    assert double(ours.constant([1.0, 2.0])).numpy().tolist() == [2, 4]
    double(ours.constant([3.0, 4.0]))
    double(ours.constant([1.0]))
    assert calls == [(2,), (1,)]


def test_function_with_a_signature() -> None:
    @ours.function(input_signature=[ours.TensorSpec([None, 2], ours.float32)])
    def total(x: Any) -> Any:
        return ours.reduce_sum(x)

    assert total([[1, 2], [3, 4]]).item() == 10
    with pytest.raises(ArgumentError, match=r"takes float32 \(None, 2\)"):
        total([[1.0, 2.0, 3.0]])
    with pytest.raises(ArgumentError, match="takes 1 arguments"):
        total([[1.0, 2.0]], 1)


def test_branches_on_tensors_are_refused_in_functions() -> None:
    @ours.function
    def branch(x: Any) -> Any:
        return x if x > 0 else -x

    with pytest.raises(lamina.CaptureError, match=r"lamina\.cond"):
        branch(ours.constant(1.0))


# --- variables -----------------------------------------------------------------------------------------
def test_variables() -> None:
    v = ours.Variable([1, 2], name="v", trainable=False)
    assert v.dtype == ours.int32 and v.name == "v" and not v.trainable
    assert v.assign([5, 6]) is v and v.numpy().tolist() == [5, 6]
    layer = ours.keras.layers.Dense(1)
    layer.build((None, 2))
    assert isinstance(layer.kernel, ours.Variable) and not isinstance(ours.constant(1), ours.Variable)
    with pytest.raises(ArgumentError, match="initial value"):
        ours.Variable()
    with pytest.raises(ShapeError, match=r"not \(3,\)"):
        ours.Variable([1.0], shape=(3,))
    with pytest.raises(DTypeError, match=r"tf\.cast"):
        ours.convert_to_tensor(v, dtype=ours.float32)


def test_module() -> None:
    class Block(ours.Module):
        def __init__(self, units: int) -> None:
            super().__init__()
            self.w = ours.Variable(ours.ones([2, units]))
            self.steps = ours.Variable(0, trainable=False)

        @ours.Module.with_name_scope
        def make(self) -> Any:
            return ours.Variable(1.0, name="inner")

    class Net(ours.Module):
        def __init__(self) -> None:
            super().__init__(name="net")
            self.blocks = [Block(3), {"last": Block(1)}]
            self.again = self.blocks[0]
            self.dense = ours.keras.layers.Dense(2)
            self.dense.build((None, 3))

    class Bare(ours.Module):  # a subclass that does not call the constructor
        def __init__(self) -> None:
            self.w = ours.Variable(1.0)

    assert Bare().name == "bare" and len(Bare().variables) == 1
    net = Net()
    assert net.name == "net" and net.blocks[0].name == "block"
    assert len(net.variables) == 6 and len(net.trainable_variables) == 4 and len(net.non_trainable_variables) == 2
    assert {type(m).__name__ for m in net.submodules} == {"Block", "Dense"} and len(net.submodules) == 3
    assert net.blocks[0].make().path == "block/inner"


# --- random numbers --------------------------------------------------------------------------------------
def draws(start: int, seed: int | None = None) -> list[list[float]]:
    ours.random.set_seed(start)
    return [ours.random.uniform([3], seed=seed).tolist() for _ in range(2)]


def test_seeds() -> None:
    first, second = draws(1)
    assert first != second
    assert draws(1) == [first, second] != draws(2)
    with_op = draws(1, seed=7)
    assert with_op[0] != with_op[1] and with_op == draws(1, seed=7) and with_op != draws(1, seed=8)
    assert draws(2, seed=7) != with_op
    a = ours.random.stateless_normal([4], seed=[1, 2])
    assert a.tolist() == ours.random.stateless_normal([4], seed=(1, 2)).tolist()
    assert a.tolist() != ours.random.stateless_normal([4], seed=(2, 1)).tolist()


def test_generator() -> None:
    g = ours.random.Generator.from_seed(3)
    a, b = g.normal([5]).tolist(), g.normal([5]).tolist()
    assert a != b
    g.reset_from_seed(3)
    assert g.normal([5]).tolist() == a
    whole = g.uniform([1000], 5, 8, dtype=ours.int64)
    assert set(whole.tolist()) == {5, 6, 7} and whole.dtype == ours.int64
    assert abs(g.truncated_normal([1000])).max().item() <= 2
    assert ours.random.Generator.from_non_deterministic_state().uniform([2]).shape == (2,)


def test_global_generator() -> None:
    ours.random.set_global_generator(ours.random.Generator.from_seed(3))
    first = ours.random.get_global_generator().normal([3]).tolist()
    assert first == ours.random.Generator.from_seed(3).normal([3]).tolist()
    assert ours.random.get_global_generator().normal([3]).tolist() != first
    assert ours.random.get_global_generator().make_seeds(4).shape == (2, 4)


def test_random_images() -> None:
    image = np.arange(60, dtype=np.float32).reshape(5, 4, 3)
    places = {ours.image.random_crop(image, [2, 2, 3], seed=4).numpy()[0, 0, 0] for _ in range(60)}
    assert places == {12.0 * r + 3 * c for r in range(4) for c in range(3)}
    moved = [ours.image.random_brightness(image, 2.0, seed=5).numpy() - image for _ in range(20)]
    assert all(abs(m - m[0, 0, 0]).max() < 1e-4 and abs(m[0, 0, 0]) <= 2.0001 for m in moved)
    assert len({float(m[0, 0, 0]) for m in moved}) == 20
    stretched = ours.image.random_contrast(image, 0.5, 1.5, seed=1).numpy()
    assert 0.5 <= stretched.std() / image.std() <= 1.5
    with pytest.raises(ArgumentError, match="lower < upper"):
        ours.image.random_contrast(image, 2.0, 1.0)
    with pytest.raises(ShapeError, match="does not lie in"):
        ours.image.random_crop(image, [6, 2, 3])


def test_random_ranges() -> None:
    x = ours.random.uniform([2000], minval=-2, maxval=3).numpy()
    assert x.min() >= -2 and x.max() <= 3 and abs(x.mean() - 0.5) < 0.15 and x.dtype == np.float32
    x = ours.random.normal([4000], mean=4.0, stddev=0.5).numpy()
    assert abs(x.mean() - 4) < 0.05 and abs(x.std() - 0.5) < 0.05
    dropped = ours.nn.dropout(ours.ones([1000]), rate=0.25, seed=1).numpy()
    assert 0.2 < (dropped == 0).mean() < 0.3 and np.allclose(dropped[dropped > 0], 4 / 3)
    flips = ours.image.random_flip_left_right(np.tile(np.arange(4.0).reshape(1, 1, 4, 1), (200, 1, 1, 1)), seed=2)
    assert 60 < (flips.numpy()[:, 0, 0, 0] == 3).sum() < 140
    with pytest.raises(ArgumentError, match="maxval"):
        ours.random.uniform([2], dtype=ours.int32)
    with pytest.raises(ArgumentError, match="batch, classes"):
        ours.random.categorical([0.0, 1.0], 2)


# --- devices -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("cpu", ("cpu", 0)), ("CPU:0", ("cpu", 0)), ("/CPU:0", ("cpu", 0)), ("/device:GPU:1", ("gpu", 1)),
        ("/job:localhost/replica:0/task:0/device:CPU:0", ("cpu", 0)), ("cuda:2", ("gpu", 2)), ("/GPU:*", ("gpu", 0)),
    ],
)  # fmt: skip
def test_names_of_devices(name: str, found: tuple[str, int]) -> None:
    assert parse_device(name) == found


def test_devices() -> None:
    with ours.device("/GPU:0"):  # placed on the CPU, as TensorFlow does where there is no GPU
        assert ours.add(1, 2).item() == 3
    with ours.device("CPU"), device(list_devices()[0]) as place:
        assert place.name == "cpu:0"
    for wrong in ("nonsense", "cpu:x", "/device:TOASTER:0"):
        with pytest.raises(ArgumentError, match="no name of a device"), ours.device(wrong):
            pass
    with pytest.raises(ArgumentError, match=r"no device 'gpu:0' here, only cpu:0"), device("gpu:0"):
        pass
    x = ours.zeros([2])
    assert x.device == "cpu" and x.device.endswith("CPU:0") and not x.device.endswith("GPU:0")
    ours.config.set_visible_devices([], "GPU")
    ours.config.experimental.set_memory_growth(ours.config.list_physical_devices()[0], True)
    with pytest.raises(ArgumentError, match="uses all devices"):
        ours.config.set_visible_devices([], "CPU")


# --- data ---------------------------------------------------------------------------------------------------
def elements(tf: Any) -> Any:
    data = tf.data.Dataset.from_tensor_slices(([1, 2, 3, 4, 5], [[1.0], [2.0], [3.0], [4.0], [5.0]]))
    data = data.map(lambda i, x: (i * 2, x + 1), num_parallel_calls=tf.data.AUTOTUNE).batch(2).prefetch(1)
    assert isinstance(data, tf.data.Dataset) and len(data) == 3
    return [part for pair in data for part in pair]


def counted(tf: Any) -> Any:
    data = tf.data.Dataset.range(3).concatenate(tf.data.Dataset.range(10, 20, 5)).repeat(2).skip(1)
    return list(data) + list(tf.data.Dataset.from_tensors({"x": [1, 2]}).map(lambda d: d["x"]))


def generated(tf: Any) -> Any:
    def numbers() -> Any:
        yield from ((i, [i, i + 0.5]) for i in range(3))

    kinds = (tf.TensorSpec(shape=(), dtype=tf.int32), tf.TensorSpec(shape=(2,), dtype=tf.float32))
    data = tf.data.Dataset.from_generator(numbers, output_signature=kinds)
    return [part for pair in data.filter(lambda i, x: i > 0) for part in pair]


def lines(tf: Any) -> Any:
    folder = Path(tempfile.mkdtemp())
    (folder / "a").write_bytes(b"Line 1\nLine 2\r\n\nlast")
    (folder / "b.gz").write_bytes(gzip.compress(b"packed\n"))
    data = tf.data.TextLineDataset([str(folder / "a")]), tf.data.TextLineDataset(str(folder / "b.gz"), "GZIP")
    return [np.array([line if isinstance(line, bytes) else line.numpy() for line in d]) for d in data]


@pytest.mark.parametrize("program", [elements, counted, generated, lines])
def test_data(theirs: Any, program: Callable[[Any], Any]) -> None:
    test_program(theirs, program)


# --- the rest ------------------------------------------------------------------------------------------------
def test_imports_from_what_looks_like_submodules() -> None:
    from lamina.compat.tensorflow import keras
    from lamina.compat.tensorflow.keras import layers
    from lamina.compat.tensorflow.keras.layers import Dense
    from lamina.compat.tensorflow.keras.optimizers.schedules import ExponentialDecay
    from lamina.compat.tensorflow.math import reduce_std

    assert layers.Dense is Dense is lamina.layers.Dense and keras.Sequential is lamina.Sequential
    assert ExponentialDecay is lamina.optimizers.schedules.ExponentialDecay
    assert reduce_std([1.0, 3.0]).item() == 1
    text = importlib.import_module("lamina.compat.tensorflow.keras.preprocessing.text")
    assert text.Tokenizer is lamina.preprocessing.text.Tokenizer
    older = importlib.import_module("lamina.compat.tensorflow.python.client")
    assert [d.device_type for d in older.device_lib.list_local_devices()] == ["CPU"]
    ours.get_logger().setLevel("ERROR")
    with pytest.raises(ImportError):
        importlib.import_module("lamina.compat.tensorflow.nothing")


def test_checks() -> None:
    ours.debugging.assert_less([1, 2], 3)
    ours.debugging.assert_near(1.0, 1.0 + 1e-7)
    ours.debugging.assert_rank(ours.zeros([2, 2]), 2)
    assert ours.debugging.check_numerics([1.0], "x").shape == (1,)
    ours.debugging.assert_positive([1.0])
    ours.debugging.assert_non_negative([0.0])
    ours.debugging.assert_integer(1)
    for call in (
        lambda: ours.debugging.assert_negative([0.0]),
        lambda: ours.debugging.assert_non_positive([1.0]),
        lambda: ours.debugging.assert_integer(1.0),
        lambda: ours.debugging.assert_scalar([1.0]),
        lambda: ours.ensure_shape([1, 2], [3]),
        lambda: ours.nn.pool(ours.ones([1, 4, 4, 1]), [2, 2], "SUM"),
        lambda: ours.config.set_soft_device_placement(False),
        lambda: ours.debugging.assert_equal([1, 2], [1, 3], message="labels"),
        lambda: ours.debugging.assert_near(1.0, 1.1),
        lambda: ours.debugging.assert_all_finite([np.nan], "x"),
        lambda: ours.debugging.assert_rank(1, 2),
        lambda: ours.debugging.assert_type(1, ours.float32),
        lambda: ours.matmul([1, 2], [3, 4]),
        lambda: ours.split([1, 2, 3], [1, 1]),
        lambda: ours.where([True], [1]),
        lambda: ours.nn.max_pool2d(ours.ones([1, 4, 4, 1]), [2, 2, 2, 1], 2, "VALID"),
    ):
        with pytest.raises(ours.errors.InvalidArgumentError):
            call()


def test_decompositions(theirs: Any) -> None:
    """Signs of vectors are free, so what is compared is what they make."""
    a = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    s, u, v = ours.linalg.svd(a)
    assert [x.shape for x in (s, u, v)] == [tuple(x.shape) for x in theirs.linalg.svd(a)]
    np.testing.assert_allclose((u * s) @ ours.transpose(v), a, atol=1e-5)
    for full in (False, True):
        q, r = ours.linalg.qr(a, full_matrices=full)
        assert q.shape == tuple(theirs.linalg.qr(a, full_matrices=full)[0].shape)
        np.testing.assert_allclose(q @ r, a, atol=1e-5)
    values, vectors = ours.linalg.eigh(a.T @ a)
    np.testing.assert_allclose(values, theirs.linalg.eigh(a.T @ a)[0], rtol=1e-4)
    np.testing.assert_allclose(a.T @ a @ vectors.numpy(), vectors.numpy() * values.numpy(), atol=1e-4)
