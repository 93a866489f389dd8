"""Text to integers or vectors: ``TextVectorization``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.layers.preprocessing.data import DataLayer
from lamina.layers.preprocessing.encoding import batches
from lamina.layers.preprocessing.lookup import StringLookup
from lamina.serialization import deserialize, is_serialized, register_serializable, serialize
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")
_PUNCTUATION = re.compile(r"""[!"#$%&()\*\+,\-./:;<=>?@\[\\\]^_`{|}~']""")

STANDARDIZE: dict[str, Callable[[str], str]] = {
    "lower_and_strip_punctuation": lambda s: _PUNCTUATION.sub("", s.lower()),
    "lower": str.lower,
    "strip_punctuation": lambda s: _PUNCTUATION.sub("", s),
}
SPLIT: dict[str, Callable[[str], list[str]]] = {"whitespace": str.split, "character": list}


@_register
class TextVectorization(DataLayer):
    """Texts to integers (one for each word) or vectors (one for each text), by a vocabulary.

    A text is standardised, split into words, put together to n-grams, looked up, and padded with 0.  Works on
    data, before a model: strings are no dtype of tensors.

    Args:
        max_tokens: largest size of the vocabulary, with the special tokens.
        standardize: ``"lower_and_strip_punctuation"``, ``"lower"``, ``"strip_punctuation"``, ``None`` or a
            function of a string.
        split: ``"whitespace"``, ``"character"``, ``None`` (the text is one token) or a function of a string that
            returns a list.
        ngrams: an int (n-grams up to that length) or a tuple of lengths; ``None`` for words alone.
        output_mode: ``"int"``, ``"multi_hot"``, ``"count"`` or ``"tf_idf"``.
        output_sequence_length: in mode ``"int"``, pad or cut each row to this length.
        pad_to_max_tokens: whether vectors have length ``max_tokens`` even if the vocabulary is smaller.
        vocabulary: the vocabulary; else use ``adapt``.
        idf_weights: for ``"tf_idf"``, a weight for each word of the vocabulary.
        sparse: must be false.
        ragged: must be false.
        encoding: of byte strings; ``"utf-8"``.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.TextVectorization(output_sequence_length=4)
        >>> layer.adapt(["The cat sat.", "The dog!"])
        >>> layer.get_vocabulary()
        ['', '[UNK]', 'the', 'sat', 'dog', 'cat']
        >>> layer(["the cat ran"]).tolist()
        [[2, 5, 1, 0]]
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: Any = "lower_and_strip_punctuation",
        split: Any = "whitespace",
        ngrams: int | Sequence[int] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        standardize, split = (deserialize(f) if is_serialized(f) else f for f in (standardize, split))
        for what, given, known in (("standardize", standardize, STANDARDIZE), ("split", split, SPLIT)):
            if given is not None and not callable(given) and given not in known:
                raise ArgumentError(
                    f"TextVectorization: {what} is one of {', '.join(map(repr, known))}, None or a function; "
                    f"got {given!r}."
                )
        if ragged:
            raise ArgumentError("TextVectorization: `ragged=True` cannot be used: there are no ragged tensors.")
        if output_mode != "int" and output_sequence_length is not None:
            raise ArgumentError(
                f"`output_sequence_length` must not be set if `output_mode` is not 'int'; got {output_sequence_length}."
            )
        if output_sequence_length is not None and output_sequence_length <= 0:
            raise ArgumentError(f"`output_sequence_length` is positive; got {output_sequence_length}.")
        self.max_tokens, self.standardize, self.split = max_tokens, standardize, split
        if ngrams is not None and not isinstance(ngrams, int | list | tuple):
            raise ArgumentError(f"`ngrams` is an int, a tuple of ints or None; got {ngrams!r}.")
        self.ngrams = None if ngrams is None else range(1, ngrams + 1) if isinstance(ngrams, int) else tuple(ngrams)
        self._ngrams_argument = list(ngrams) if isinstance(ngrams, tuple) else ngrams
        self.output_mode, self.output_sequence_length = output_mode, output_sequence_length
        self.pad_to_max_tokens, self.sparse, self.encoding = pad_to_max_tokens, sparse, encoding
        self._lookup_layer = StringLookup(
            max_tokens=max_tokens,
            mask_token="",
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            output_mode=output_mode,
            pad_to_max_tokens=pad_to_max_tokens,
            sparse=sparse,
            dtype=kwargs.get("dtype"),
        )

    def tokens(self, text: Any) -> list[str]:
        """The tokens of one text."""
        s = text.decode(self.encoding) if isinstance(text, bytes) else str(text)
        if self.standardize is not None:
            s = (self.standardize if callable(self.standardize) else STANDARDIZE[self.standardize])(s)
        if self.split is None:
            return [s]
        words = list((self.split if callable(self.split) else SPLIT[self.split])(s))
        if self.ngrams is None:
            return words
        return [" ".join(words[i : i + n]) for n in self.ngrams for i in range(len(words) - n + 1)]

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Find the vocabulary of an array or list of texts, or of an iterable of batches of texts."""
        self.reset_state()
        for i, batch in enumerate(batches(data)):
            if steps is not None and i >= steps:
                break
            self.update_state(batch)
        self.finalize_state()

    def reset_state(self) -> None:
        """Forget what was counted."""
        self._lookup_layer.reset_state()

    def update_state(self, data: Any) -> None:
        """Count a batch of texts."""
        for text in self.prepare(data).ravel().tolist():
            self._lookup_layer.update_state(np.asarray([self.tokens(text)], dtype=object).reshape(1, -1))

    def finalize_state(self) -> None:
        """Set the vocabulary from what was counted."""
        self._lookup_layer.finalize_state()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The words in the order of their indices."""
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Set the vocabulary; see ``StringLookup.set_vocabulary``."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)

    def vocabulary_size(self) -> int:
        """The number of indices."""
        return self._lookup_layer.vocabulary_size()

    def call(self, inputs: Any) -> Tensor:
        rows = [[self._lookup_layer._lookup(t) for t in self.tokens(text)] for text in inputs.ravel().tolist()]
        if self.output_mode != "int":
            vectors = [self._lookup_layer.encode_indices(Tensor(np.asarray([r], np.int64))).numpy()[0] for r in rows]
            return Tensor(np.stack(vectors) if inputs.ndim else vectors[0])
        length = self.output_sequence_length or max(map(len, rows), default=0)
        padded = np.zeros((len(rows), length), np.int64)
        for target, row in zip(padded, rows, strict=True):
            target[: len(row)] = row[:length]
        return Tensor(padded if inputs.ndim else padded[0])

    def get_config(self) -> dict[str, Any]:
        lookup = self._lookup_layer.get_config()
        return {
            **super().get_config(),
            "max_tokens": self.max_tokens,
            "standardize": serialize(self.standardize),
            "split": serialize(self.split),
            "ngrams": self._ngrams_argument,
            "output_mode": self.output_mode,
            "output_sequence_length": self.output_sequence_length,
            "pad_to_max_tokens": self.pad_to_max_tokens,
            "vocabulary": lookup["vocabulary"],
            "idf_weights": lookup["idf_weights"],
            "sparse": self.sparse,
            "ragged": False,
            "encoding": self.encoding,
        }
