"""Tokenizer: counts and numbers words as Keras's does."""

from __future__ import annotations

import itertools
import os
from typing import Any

import numpy as np
import pytest

from lamina import layers
from lamina.core.errors import ArgumentError, FileFormatError
from lamina.preprocessing.text import (
    Tokenizer,
    hashing_trick,
    one_hot,
    text_to_word_sequence,
    tokenizer_from_json,
)

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


def legacy() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    pytest.importorskip("keras")
    return pytest.importorskip("keras.src.legacy.preprocessing.text")


@pytest.mark.parametrize("arguments", [{}, {"num_words": 5, "oov_token": "<?>"}])
def test_matrices_like_keras(arguments: dict[str, Any]) -> None:
    own, peer = Tokenizer(**arguments), legacy().Tokenizer(**arguments)
    own.fit_on_texts(TEXTS)
    peer.fit_on_texts(TEXTS)
    assert own.word_docs == dict(peer.word_docs) and own.index_docs == dict(peer.index_docs)
    assert own.document_count == peer.document_count
    for mode in ("binary", "count", "freq", "tfidf"):
        np.testing.assert_allclose(own.texts_to_matrix(NEW, mode), peer.texts_to_matrix(NEW, mode), rtol=1e-12)
    sequences = [[1, 2, 2, 4], [3], [1, 1]]
    own.fit_on_sequences(sequences)
    peer.fit_on_sequences(sequences)
    wanted = peer.sequences_to_matrix(sequences, "tfidf")
    np.testing.assert_allclose(own.sequences_to_matrix(sequences, "tfidf"), wanted, rtol=1e-12)


def test_as_json_like_keras() -> None:
    peers = legacy()
    own, peer = Tokenizer(oov_token="<?>"), peers.Tokenizer(oov_token="<?>")
    own.fit_on_texts(TEXTS)
    peer.fit_on_texts(TEXTS)
    wanted = own.texts_to_matrix(NEW, "tfidf")
    for text in (own.to_json(), peer.to_json()):
        again = tokenizer_from_json(text)
        np.testing.assert_array_equal(again.texts_to_matrix(NEW, "tfidf"), wanted)
        assert again.index_word == own.index_word and again.word_counts == own.word_counts
    theirs = peers.tokenizer_from_json(own.to_json())
    np.testing.assert_allclose(theirs.texts_to_matrix(NEW, "tfidf"), wanted)
    for wrong in ("", "{}", "[]", '{"config": {"word_counts": 3}}'):
        with pytest.raises(FileFormatError, match="no tokenizer"):
            tokenizer_from_json(wrong)


def test_numbers_by_hashes() -> None:
    peers = legacy()
    text = TEXTS[0]
    assert hashing_trick(text, 50) == peers.hashing_trick(text, 50, "md5") == one_hot(text, 50)
    assert hashing_trick(text, 9, lambda word: len(word)) == peers.hashing_trick(text, 9, lambda word: len(word))
    assert hashing_trick(text, 50, "hash") == peers.hashing_trick(text, 50)
    assert hashing_trick("a-b", 50, analyzer=lambda t: t.split("-")) == hashing_trick("a b", 50)
    with pytest.raises(ArgumentError, match="at least 2"):
        hashing_trick(text, 1)
    with pytest.raises(ArgumentError, match="'md5', 'hash'"):
        hashing_trick(text, 5, "sha")


def test_matrices_need_what_they_count() -> None:
    with pytest.raises(ArgumentError, match="num_words"):
        Tokenizer().sequences_to_matrix([[1]])
    with pytest.raises(ArgumentError, match="before mode 'tfidf'"):
        Tokenizer(5).sequences_to_matrix([[1]], "tfidf")
    with pytest.raises(ArgumentError, match="'freq'"):
        Tokenizer(5).sequences_to_matrix([[1]], "frequency")


@pytest.mark.parametrize("mode", ["int", "multi_hot", "count", "tf_idf"])
def test_text_vectorization_like_keras(mode: str) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    pytest.importorskip("tensorflow", reason="Keras's layer works with it")
    texts = ["The cat sat on the mat.", "the dog! ate; the cat's food", "", "a cat a cat"]
    for ngrams, split, most, fill in itertools.product(
        (None, 2, (1, 3)), ("whitespace", "character"), (None, 8), (False, True)
    ):
        if fill and (most is None or mode == "int"):
            continue
        options = {"output_mode": mode, "ngrams": ngrams, "split": split, "max_tokens": most, "pad_to_max_tokens": fill}
        own, peer = layers.TextVectorization(**options), keras.layers.TextVectorization(**options)
        own.adapt(texts)
        peer.adapt(texts)
        assert own.get_vocabulary() == [str(word) for word in peer.get_vocabulary()]
        np.testing.assert_allclose(own([*texts, "new cat"]), np.asarray(peer([*texts, "new cat"])), rtol=1e-5)


def test_text_vectorization_modes_by_hand() -> None:
    texts = ["a b a", ""]
    made = {mode: layers.TextVectorization(output_mode=mode, vocabulary=["a", "b"], **more) for mode, more in (
        ("int", {}), ("multi_hot", {}), ("count", {}), ("tf_idf", {"idf_weights": [0.5, 2.0]})
    )}  # fmt: skip
    assert made["int"](texts).tolist() == [[2, 3, 2], [0, 0, 0]]
    assert made["multi_hot"](texts).tolist() == [[0, 1, 1], [0, 0, 0]]
    assert made["count"](texts).tolist() == [[0, 2, 1], [0, 0, 0]]
    assert made["tf_idf"](texts).tolist() == [[0, 1, 2], [0, 0, 0]]
    assert made["multi_hot"]("").tolist() == [0, 0, 0]
