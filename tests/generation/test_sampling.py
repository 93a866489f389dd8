"""Choosing tokens: frequencies, top-k, top-p, temperature, and the same eagerly and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina.core.errors import ArgumentError, ShapeError
from lamina.generation import sample

PROBABILITIES = np.array([0.4, 0.3, 0.2, 0.1], np.float32)
MANY = 20_000


def frequencies(logits: np.ndarray, **options: Any) -> np.ndarray:
    rows = np.broadcast_to(logits, (MANY, logits.size)).astype(np.float32)
    return np.bincount(sample(rows, key=3, **options).numpy(), minlength=logits.size) / MANY


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_are_the_softmax(temperature: float) -> None:
    wanted = PROBABILITIES ** (1 / temperature)
    found = frequencies(np.log(PROBABILITIES), temperature=temperature)
    np.testing.assert_allclose(found, wanted / wanted.sum(), atol=0.015)  # four standard deviations


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"top_k": 1}, 1), ({"top_k": 3}, 3), ({"top_k": 9}, 4),
        ({"top_p": 0.3}, 1), ({"top_p": 0.65}, 2), ({"top_p": 0.85}, 3), ({"top_p": 1.0}, 4),
        ({"top_p": 0.65, "temperature": 3.0}, 3),  # flatter, so that more are needed
        ({"top_k": 2, "top_p": 0.9}, 2), ({"top_k": 3, "top_p": 0.7}, 2),
    ],
)  # fmt: skip
def test_only_the_likeliest_are_drawn(options: dict[str, Any], kept: int) -> None:
    found = frequencies(np.log(PROBABILITIES), **options)
    wanted = PROBABILITIES ** (1 / options.get("temperature", 1.0))
    wanted[kept:] = 0
    np.testing.assert_allclose(found, wanted / wanted.sum(), atol=0.015)


def test_greedy_takes_the_likeliest(rng: np.random.Generator) -> None:
    logits = rng.normal(size=(5, 7)).astype(np.float32)
    for options in ({}, {"top_k": 3}, {"top_p": 0.5}):
        np.testing.assert_array_equal(sample(logits, temperature=0, **options).numpy(), logits.argmax(-1))


def test_ties_with_the_last_one_are_kept() -> None:
    found = frequencies(np.array([1.0, 0.0, 0.0, -5.0]), top_k=2)
    assert found[3] == 0 and found[1] > 0.15 and found[2] > 0.15


def test_the_same_key_draws_the_same_compiled(rng: np.random.Generator) -> None:
    logits = rng.normal(size=(6, 30)).astype(np.float32)
    step = lamina.function(lambda x, t, k, p: sample(x, t, k, p, key=5))
    for t, k, p in ((1.0, 30, 2.0), (0.7, 5, 0.8)):
        compiled = step(logits, np.float32(t), np.int32(k), np.float32(p)).numpy()
        np.testing.assert_array_equal(compiled, sample(logits, t, k, min(p, 1.0), key=5).numpy())
    assert len(step.captures) == 1
    assert not np.array_equal(sample(logits, key=5).numpy(), sample(logits, key=6).numpy())


def test_bfloat16_logits_are_drawn_in_float32() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="bfloat16 is an extra")
    found = np.bincount(sample(np.zeros((MANY, 3), ml_dtypes.bfloat16), key=1).numpy(), minlength=3) / MANY
    np.testing.assert_allclose(found, 1 / 3, atol=0.015)


def test_mistakes_are_named() -> None:
    logits = np.zeros((2, 3), np.float32)
    for options, message in (
        ({"temperature": -1.0}, "temperature is 0"), ({"temperature": float("nan")}, "temperature is 0"),
        ({"top_k": 0}, "top_k is a positive int"), ({"top_k": 2.5}, "top_k is a positive int"),
        ({"top_p": 0.0}, "top_p is a probability"), ({"top_p": 1.5}, "top_p is a probability"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=message):
            sample(logits, **options)
    with pytest.raises(ShapeError, match="takes float logits"):
        sample(np.zeros((2, 3), np.int32))
