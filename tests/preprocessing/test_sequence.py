"""pad_sequences: as Keras's, and with errors that say which sequence is wrong."""

from __future__ import annotations

import itertools
import os
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.core.errors import ArgumentError, ShapeError
from lamina.preprocessing.sequence import pad_sequences

SEQUENCES: list[Any] = [
    [[1], [2, 3], [4, 5, 6, 7]],
    [[], [1, 2]],
    [np.ones((2, 3)), np.zeros((0, 3)), np.full((4, 3), 2.0)],
    [(1.5, 2.5), range(5)],
    [],
]


@pytest.mark.parametrize(
    ("sequences", "maxlen", "padding", "truncating"),
    list(itertools.product(SEQUENCES[:4], [None, 1, 3, 6], ["pre", "post"], ["pre", "post"])),
)
def test_like_keras(sequences: Any, maxlen: int | None, padding: str, truncating: str) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    for dtype, value in (("int32", 0), ("float32", -1.5)):
        arguments: Any = dict(maxlen=maxlen, dtype=dtype, padding=padding, truncating=truncating, value=value)
        own, peer = pad_sequences(sequences, **arguments), keras.utils.pad_sequences(sequences, **arguments)
        assert own.dtype == peer.dtype
        np.testing.assert_array_equal(own, peer)


def test_nothing_to_pad() -> None:
    assert pad_sequences([]).shape == (0, 0)
    assert pad_sequences([[], []]).shape == (2, 0)
    assert pad_sequences([[1, 2]], maxlen=0).shape == (1, 0)


def test_under_its_name_in_keras() -> None:
    assert lamina.utils.pad_sequences is pad_sequences


@pytest.mark.parametrize("sequences", [[1, 2, 3], [[1], 5], ["text", [1]]])
def test_elements_are_sequences(sequences: Any) -> None:
    with pytest.raises(ArgumentError, match="expected sequences of numbers, element"):
        pad_sequences(sequences)


def test_elements_have_one_shape() -> None:
    with pytest.raises(ShapeError, match="sequence 1 have shape \\(3,\\)"):
        pad_sequences([np.ones((2, 2)), np.ones((2, 3))])


def test_sides_are_pre_or_post() -> None:
    with pytest.raises(ArgumentError, match="truncating is 'pre' or 'post'"):
        pad_sequences([[1]], truncating="both")
