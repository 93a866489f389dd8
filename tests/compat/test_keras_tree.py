"""``keras.tree`` of ``lamina.compat`` beside Keras's own."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.compat import keras

T = keras.tree
NESTED: Any = {"b": [1, (2, None)], "a": {"c": 3, "d": ()}}


@pytest.fixture(scope="module")
def theirs() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    return pytest.importorskip("keras").tree


def test_leaves_and_paths(theirs: Any) -> None:
    assert T.flatten(NESTED) == theirs.flatten(NESTED)
    assert T.flatten_with_path(NESTED) == theirs.flatten_with_path(NESTED)
    T.assert_same_paths([0, 1], (2, 3))
    with pytest.raises(ValueError, match="same paths"):
        T.assert_same_paths([0, 1], [0])


def test_maps(theirs: Any) -> None:
    shapes = {"x": (2, None), "y": [(3,), (4, 5)]}
    assert T.map_shape_structure(len, shapes) == theirs.map_shape_structure(len, shapes)
    shallow, deep = {"a": 0, "b": [0, 0]}, {"a": [1, 2], "b": [{"c": 3}, 4]}
    assert T.map_structure_up_to(shallow, str, deep) == theirs.map_structure_up_to(shallow, str, deep)
    with pytest.raises(ValueError, match="same structure"):
        T.map_structure_up_to([0, 0], str, [1])


@pytest.mark.parametrize("top_down", [True, False])
def test_traverse(theirs: Any, top_down: bool) -> None:
    def change(tree: Any, module: Any) -> Any:
        if isinstance(tree, tuple):
            return list(tree)
        return module.MAP_TO_NONE if tree == 3 else None

    got = T.traverse(lambda t: change(t, T), NESTED, top_down)
    assert got == theirs.traverse(lambda t: change(t, theirs), NESTED, top_down)


def test_helpers_keep_tensors() -> None:
    x = lamina.tensor([[3.0, 4.0], [0.0, 0.0]])
    found = keras.utils.normalize(x)
    assert isinstance(found, lamina.Tensor)
    np.testing.assert_allclose(found.numpy(), [[0.6, 0.8], [0.0, 0.0]])
    assert isinstance(keras.utils.to_categorical(lamina.tensor([0, 2])), lamina.Tensor)


def test_one_seed_for_all_generators() -> None:
    drawn = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        drawn.append((np.random.rand(), keras.random.uniform(()).item()))
    assert drawn[0] == drawn[1]
