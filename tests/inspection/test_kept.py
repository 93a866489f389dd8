"""Explanations asked for again: compiled once, and never stale."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.inspection import activations, feature_maps, grad_cam, integrated_gradients, maximize_activation, saliency
from lamina.inspection.kept import KEPT


class Counting(layers.Layer):
    """Counts how often its Python code runs: for each capture, not for each compiled call."""

    runs = 0

    def call(self, inputs: Any) -> Any:
        type(self).runs += 1
        return inputs


def network() -> Any:
    return lamina.Sequential(
        [
            layers.Input((8, 8, 1)),
            Counting(),
            layers.Conv2D(3, 3, activation="tanh", name="maps"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(),
            layers.Dense(4, "softmax", name="scores"),
        ]
    )


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(5, 8, 8, 1)).astype(np.float32)


VIEWS: list[Callable[[Any, Any], Any]] = [
    lambda model, x: saliency(model, x, target=1),
    lambda model, x: saliency(model, x, logits=False),
    lambda model, x: grad_cam(model, x, target=[0, 1, 2, 3, 0]),
    lambda model, x: integrated_gradients(model, x, target=2, steps=3),
    lambda model, x: maximize_activation(model, "maps", [0, 2], steps=2),
    lambda model, x: np.stack(list(feature_maps(model, x).values())),
]


VIEWS_OF_SCALE = [VIEWS[2], VIEWS[5]]  # a scale after the maps changes nothing in them, nor in a normalized view


def fresh(model: Any) -> Any:
    """The same model, with which nothing is kept."""
    other = copy.deepcopy(model)
    assert vars(other).get("_explained") is None
    return other


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_asked_for_again_is_captured_no_more(view: Callable[[Any, Any], Any], images: np.ndarray) -> None:
    model = network()
    first = view(model, images)
    view(model, images)  # from here on listening to layers is compiled, too
    before = Counting.runs
    again, other = view(model, images), view(model, images * 2)
    assert Counting.runs == before
    np.testing.assert_allclose(again, first, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(other, view(fresh(model), images * 2), rtol=1e-3, atol=1e-5)


def test_few_samples_run_op_by_op_until_they_are_many(images: np.ndarray) -> None:
    model, runs = network(), []
    for i in range(6):
        before = Counting.runs
        saliency(model, images[i % 5], target=0)
        runs.append(Counting.runs - before)
    assert all(runs[:3]) and not any(runs[3:])


def change_weights(model: Any) -> None:
    model.compile(lamina.optimizers.SGD(0.3), "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(8, 8, 8, 1)).astype(np.float32)
    model.fit(x, np.arange(8) % 4, epochs=3, verbose=0)


def change_activation(model: Any) -> None:
    model.get_layer("maps").activation = lamina.activations.relu


def change_a_number(model: Any) -> None:
    model.get_layer("norm").epsilon = 3.0


def change_a_variable(model: Any) -> None:
    layer = model.get_layer("maps")
    layer.bias = layer.add_weight(shape=(3,), initializer="ones", name="other")


def change_the_layers(model: Any) -> None:
    model.pop()
    model.add(layers.Dense(4, "softmax", name="scores"))


def freeze(model: Any) -> None:
    model.trainable = False


CHANGES = [change_weights, change_activation, change_a_number, change_a_variable, change_the_layers, freeze]


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("view", [VIEWS[0], VIEWS[2], VIEWS[5]], ids=["saliency", "grad_cam", "feature_maps"])
def test_views_follow_changes(
    view: Callable[[Any, Any], Any], change: Callable[[Any], None], images: np.ndarray
) -> None:
    model = network()
    before = [view(model, images) for _ in range(3)][-1]
    change(model)
    now = view(model, images)
    del model._explained
    np.testing.assert_allclose(now, view(model, images), rtol=1e-3, atol=1e-5)
    unchanged = {freeze: VIEWS, change_a_number: VIEWS_OF_SCALE, change_the_layers: VIEWS[5:]}.get(change, [])
    assert np.allclose(now, before, rtol=1e-2, atol=1e-3) == (view in unchanged)


def test_a_layer_of_a_subclass_replaced(images: np.ndarray) -> None:
    class Two(lamina.Model):
        def __init__(self) -> None:
            super().__init__()
            self.parts = [layers.Flatten(), layers.Dense(3)]

        def call(self, x: Any) -> Any:
            for part in self.parts:
                x = part(x)
            return x

    model = Two()
    for _ in range(3):
        kernel = model(images[:1]) is not None and np.asarray(model.parts[1].kernel)
        gradient = saliency(model, images, target=1)
        np.testing.assert_allclose(gradient.reshape(5, -1), np.tile(kernel[:, 1], (5, 1)), rtol=1e-5)
        model.parts[1] = layers.Dense(3)


def test_a_function_as_target_is_not_kept(images: np.ndarray) -> None:
    model, wanted = network(), [0]
    kernels = []
    for i in range(2):
        wanted[0] = i
        kernels.append(saliency(model, images, target=lambda outputs: outputs[:, wanted[0]]))
        np.testing.assert_allclose(kernels[-1], saliency(model, images, target=i), rtol=1e-4, atol=1e-6)
    assert not np.allclose(*kernels)


def test_what_is_kept_stays_small_and_belongs_to_the_model(images: np.ndarray) -> None:
    model = network()
    for steps in range(KEPT + 3):
        maximize_activation(model, "maps", list(range(steps % 3 + 1)), steps=1, l2=float(steps))
    assert len(model._explained[1]) == KEPT
    assert pickle.loads(pickle.dumps(model))(images[:1]).shape == (1, 4)
    assert [w.name for w in model.weights][:2] == ["kernel", "bias"]  # the images that climbed are none
    seen = weakref.ref(model)
    del model
    gc.collect()
    assert seen() is None


def test_activations_of_a_call_that_looks_at_numbers() -> None:
    class Looking(layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs * 2 if float(lamina.sum(inputs)) > 0 else inputs

    model = lamina.Sequential([Looking(name="look")])
    for x in ([[1.0, 2.0]], [[-1.0, -2.0]], [[3.0, 4.0]]):
        want = np.asarray(x) * (2 if np.sum(x) > 0 else 1)
        np.testing.assert_array_equal(activations(model, x)["look"], want)
