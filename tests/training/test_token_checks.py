"""Numbers of tokens that an Embedding has no row for are named before the first step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import DataError


def one_input() -> Any:
    return lamina.Sequential(
        [layers.Input((3,)), layers.Embedding(5, 2, name="words"), layers.Flatten(), layers.Dense(1)]
    )


def two_inputs() -> Any:
    words, numbers = layers.Input((3,), name="words_in", dtype="int32"), layers.Input((2,), name="numbers")
    x = layers.Flatten()(layers.Embedding(5, 2, name="words")(words))
    return lamina.Model([numbers, words], layers.Dense(1)(layers.Concatenate()([x, numbers])))


@pytest.mark.parametrize("way", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("form", ["one", "list", "dict"])
def test_a_number_too_large(way: str, form: str, rng: np.random.Generator) -> None:
    model = one_input() if form == "one" else two_inputs()
    model.compile("sgd", "mse")
    tokens, y = rng.integers(-5, 5, (40, 3)), rng.normal(size=(40, 1))
    numbers = rng.normal(size=(40, 2)) * 100

    def run() -> None:
        x: Any = tokens if form == "one" else [numbers, tokens]
        x = {"words_in": tokens, "numbers": numbers} if form == "dict" else x
        getattr(model, way)(x, **({} if way == "predict" else {"y": y}), verbose=0)

    run()  # every number has a row, those that count from the end too
    tokens[20, 1] = 7
    with pytest.raises(DataError, match=r"number 7 in row 20.*'words' has the rows 0 to 4.*input_dim=8"):
        run()
    tokens[20, 1] = -6
    with pytest.raises(DataError, match=r"number -6 in row 20.*Shift them"):
        run()
    tokens[20, 1] = 0
    run()


def test_other_inputs_are_left_alone(rng: np.random.Generator) -> None:
    inputs = layers.Input((3,))
    model = lamina.Model(inputs, layers.Embedding(5, 2)(layers.Rescaling(0.1)(inputs)))
    assert model.predict(np.full((40, 3), 30.0), verbose=0).shape == (40, 3, 2)
