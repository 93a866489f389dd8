"""Beam search: as by going through all texts, with a cache and without, and in batches."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from language_models import MODELS, WORDS, transformer

import lamina
from lamina.core.errors import ArgumentError, ShapeError
from lamina.generation import beam_search, generate


def probability(model: Any, text: np.ndarray, first: int) -> float:
    """The logarithm of the probability of what follows the first tokens."""
    logs = lamina.nn.log_softmax(model(text[None, :-1])).numpy()[0]
    return float(sum(logs[i - 1, text[i]] for i in range(first, len(text))))


def test_enough_beams_find_the_likeliest_of_all_texts() -> None:
    model = MODELS["attention"]()
    found = beam_search(model, [3, 1], 3, beams=WORDS**2)
    everything = [np.array([3, 1, *rest], np.int32) for rest in itertools.product(range(WORDS), repeat=3)]
    logs = lamina.nn.log_softmax(model(np.stack(everything)[:, :-1])).numpy()
    rows = np.arange(len(everything))
    scores = sum(logs[rows, i - 1, np.stack(everything)[:, i]] for i in (2, 3, 4))
    order = np.argsort(-scores)[:5]
    assert [text.tolist() for text in found.texts[:5]] == [everything[i].tolist() for i in order]
    np.testing.assert_allclose(found.scores[:5], scores[order] / 3, rtol=1e-4)


@pytest.mark.parametrize("name", ["attention", "LSTM", "causal convolutions"])
def test_with_a_cache_and_without(name: str) -> None:
    model = MODELS[name]()
    prompts = [[1, 2, 3], [5], [7, 7, 7, 2]]
    cached = beam_search(model, prompts, 6, beams=3, cached=True)
    plain = beam_search(model, prompts, 6, beams=3, cached=False)
    for prompt, a, b in zip(prompts, cached, plain, strict=True):
        assert len(a.texts) == 3 and (np.diff(a.scores) <= 0).all()
        for x, y, score in zip(a.texts, b.texts, a.scores, strict=True):
            np.testing.assert_array_equal(x, y)
            assert x[: len(prompt)].tolist() == prompt and len(x) == len(prompt) + 6
            assert score * 6 == pytest.approx(probability(model, x, len(prompt)), rel=1e-4)
        alone = beam_search(model, prompt, 6, beams=3)  # the other prompts of the batch change nothing
        assert [t.tolist() for t in alone.texts] == [t.tolist() for t in a.texts]
        assert len({tuple(t.tolist()) for t in a.texts}) == 3


def test_one_beam_is_greedy() -> None:
    model = MODELS["LSTM"]()
    found = beam_search(model, [4, 9], 8, beams=1)
    np.testing.assert_array_equal(found.texts[0], generate(model, [4, 9], 8, temperature=0))


def test_texts_end_with_the_end_token_and_lengths_are_weighed() -> None:
    # After 0: end (1) with 0.6, or 2 with 0.4, which is followed by 2 and 2 surely.
    follow = np.log(np.array([[1e-6, 0.6, 0.4], [0.3, 0.3, 0.4], [1e-6, 1e-6, 1]], np.float32))
    model = lambda tokens: lamina.take(follow, tokens, axis=0)  # noqa: E731
    whole = beam_search(model, [0], 3, beams=2, end=1, length_penalty=0.0)
    assert [t.tolist() for t in whole.texts] == [[0, 1], [0, 2, 2, 2]]
    np.testing.assert_allclose(np.exp(whole.scores), [0.6, 0.4], rtol=1e-4)
    mean = beam_search(model, [0], 3, beams=2, end=1, length_penalty=1.0)
    assert [t.tolist() for t in mean.texts] == [[0, 2, 2, 2], [0, 1]]
    np.testing.assert_allclose(np.exp(mean.scores), [0.4 ** (1 / 3), 0.6], rtol=1e-4)


def test_mistakes_are_named() -> None:
    model = transformer(length=6)
    with pytest.raises(ShapeError, match="the model takes 6 tokens; prompt and steps are 7"):
        beam_search(model, [1, 2], 5)
    with pytest.raises(ArgumentError, match="beams is a positive int; got 0"):
        beam_search(model, [1], 2, beams=0)
    with pytest.raises(ArgumentError, match=f"end is a token from 0 to {WORDS - 1}; got 99"):
        beam_search(model, [1], 2, end=99)
