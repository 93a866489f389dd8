"""Tokenizer: counts and numbers words as Keras's does."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from lamina.core.errors import ArgumentError
from lamina.preprocessing.text import Tokenizer, text_to_word_sequence

TEXTS = [
    "The film is slow, but the music is good; the actors are good too.",
    "Slow?  No: THE film drags!\tIt's long.",
    "a b  c--d_e",
    "",
    ["The", "Actors", "are", "slow"],
]
NEW = ["the unknown film is not too long", "", "music music", ["Actors", "drag"]]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"num_words": 5},
        {"num_words": 5, "oov_token": "<?>"},
        {"oov_token": "<?>"},
        {"lower": False},
        {"char_level": True, "num_words": 12},
        {"filters": ",.", "split": " "},
    ],
)
def test_like_keras(arguments: dict[str, Any]) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    pytest.importorskip("keras")
    legacy = pytest.importorskip("keras.src.legacy.preprocessing.text")
    own, peer = Tokenizer(**arguments), legacy.Tokenizer(**arguments)
    for part in (TEXTS[:2], TEXTS[2:]):  # counts go on
        own.fit_on_texts(part)
        peer.fit_on_texts(part)
    assert own.word_index == peer.word_index and own.index_word == peer.index_word
    assert own.word_counts == dict(peer.word_counts)
    sequences = own.texts_to_sequences(NEW)
    assert sequences == peer.texts_to_sequences(NEW)
    assert own.sequences_to_texts(sequences) == peer.sequences_to_texts(sequences)


def test_words_by_frequency_then_by_appearance() -> None:
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(["b a b", "c a b"])
    assert tokenizer.word_index == {"b": 1, "a": 2, "c": 3}
    tokenizer.fit_on_texts(["c c c"])
    assert tokenizer.word_index == {"c": 1, "b": 2, "a": 3}


def test_padding_is_no_word() -> None:
    tokenizer = Tokenizer(oov_token="?")
    tokenizer.fit_on_texts(["good film"])
    assert tokenizer.sequences_to_texts(np.array([[0, 0, 2, 3], [0, 9, 1, 2]])) == ["good film", "? ? good"]


def test_splitting() -> None:
    assert text_to_word_sequence("One,two  three!") == ["one", "two", "three"]
    assert text_to_word_sequence("One;Two", filters="", lower=False, split=";") == ["One", "Two"]


def test_no_words_is_no_vocabulary() -> None:
    with pytest.raises(ArgumentError, match="num_words"):
        Tokenizer(num_words=0)
