"""``Pipeline.map`` of layers and of what ``lamina.function`` made: compiled, with the numbers of code that is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import CaptureError
from lamina.data import Pipeline

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
LABELS = np.arange(40)


def augment() -> Any:
    parts = [layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomBrightness(0.2), layers.Rescaling(1 / 255)]
    return layers.Pipeline(parts)


def batches(function: Any, threads: int | None = None, size: int = 16) -> Pipeline:
    shuffled = Pipeline.from_tensor_slices((IMAGES, LABELS)).shuffle(40, seed=1).batch(size)
    return shuffled.map(function, num_parallel_calls=threads, seed=2)


def drawn(pipeline: Pipeline, passes: int = 2) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(x.numpy(), y.numpy()) for _ in range(passes) for x, y in pipeline]


class Counting(layers.Layer):
    """Doubles, and counts how often its Python code runs."""

    calls = 0

    def call(self, inputs: Any) -> Any:
        self.calls += 1
        return 2 * inputs


def test_a_layer_draws_what_it_draws_in_python() -> None:
    layer = augment()
    wanted = drawn(batches(lambda x, y: (layer(x), y)))
    assert len(wanted) == 6 and np.abs(wanted[0][0] - wanted[3][0]).max() > 0.1  # each pass anew
    for threads in (None, 3):
        for (x, y), (x_wanted, y_wanted) in zip(drawn(batches(layer, threads)), wanted, strict=True):
            np.testing.assert_allclose(x, x_wanted, atol=1e-4)
            np.testing.assert_array_equal(y, y_wanted)


def test_a_function_of_all_parts() -> None:
    layer = augment()

    @lamina.function
    def prepare(x: Any, y: Any) -> Any:
        noise = lamina.random.normal(x.shape, stddev=0.1)
        return layer(x) + noise, lamina.astype(y, "float32") * 2

    compiled, plain = drawn(batches(prepare)), drawn(batches(lambda x, y: prepare.python_function(x, y)))
    for (x, y), (x_wanted, y_wanted) in zip(compiled, plain, strict=True):
        np.testing.assert_allclose(x, x_wanted, atol=1e-4)
        np.testing.assert_array_equal(y, y_wanted)
        assert y.dtype == np.float32


def test_the_code_runs_once_for_each_shape() -> None:
    layer = Counting()
    results = drawn(batches(layer), passes=3)
    assert layer.calls <= 4 and len(results) == 9  # built, two sizes of batches
    for x, y in results:
        np.testing.assert_array_equal(x, 2 * IMAGES[y])


def test_ever_new_shapes_are_not_compiled() -> None:
    layer = Counting()
    ragged = Pipeline.from_generator(lambda: (np.ones(n, np.float32) for n in range(1, 31))).map(layer)
    assert [int(x.numpy().sum()) for x in ragged] == [2 * n for n in range(1, 31)]
    assert layer.calls >= 22


def test_a_layer_that_looks_at_values_runs_as_it_is() -> None:
    class Looking(layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs + 1 if float(lamina.sum(inputs)) > 0 else inputs

    data = Pipeline.from_tensor_slices(np.array([[1.0], [-1.0], [2.0]], np.float32)).map(Looking())
    assert [x.tolist() for x in data] == [[2.0], [-1.0], [3.0]]

    @lamina.function
    def looks(x: Any) -> Any:
        return x if float(x) > 0 else -x

    with pytest.raises(CaptureError):
        list(Pipeline.range(3).map(looks))


def test_words_and_dicts() -> None:
    words = layers.StringLookup(vocabulary=["a", "b"])
    assert [int(x) for x in Pipeline.from_tensor_slices(np.array(["b", "c"])).map(words)] == [2, 0]
    data = {"images": IMAGES.astype(np.float32), "labels": np.eye(40, dtype=np.float32)}
    mixed = next(iter(Pipeline.from_tensor_slices(data).batch(8).map(layers.MixUp(), seed=0)))
    assert mixed["images"].shape == (8, 8, 8, 3)
    np.testing.assert_allclose(mixed["labels"].numpy().sum(1), 1, rtol=1e-5)
    assert ((mixed["labels"].numpy() > 0).sum(1) == 2).any()


def test_a_model_maps_as_it_predicts() -> None:
    model = lamina.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dropout(0.5), layers.Dense(4)])
    for x, y in drawn(batches(model), passes=1):
        np.testing.assert_allclose(x, model.predict(IMAGES[y], verbose=0), rtol=1e-4, atol=1e-3)


def test_fit_takes_augmented_batches() -> None:
    model = lamina.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(40, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(batches(augment()), epochs=2, verbose=0).history
    assert len(history["loss"]) == 2 and np.isfinite(history["loss"]).all()


def test_image_layers_have_native_code() -> None:
    parts = [layers.Resizing(16, 16), layers.RandomCrop(12, 12), layers.CenterCrop(10, 10), layers.RandomFlip(),
             layers.RandomRotation(0.1), layers.RandomZoom(0.2), layers.RandomTranslation(0.1, 0.1),
             layers.RandomBrightness(0.2), layers.RandomContrast(0.2), layers.RandomHue(0.1),
             layers.RandomSaturation(0.3), layers.RandomErasing(), layers.RandomGaussianBlur(),
             layers.Normalization(mean=[100.0, 100, 100], variance=[50.0, 50, 50])]  # fmt: skip
    prepare = lamina.function(layers.Pipeline(parts).call)
    rows = lamina.profile(prepare, lamina.asarray(IMAGES[:8], "float32"), seconds=0.02, verbose=False).rows
    assert rows and [row.reason for row in rows if row.kind == "numpy"] == []
