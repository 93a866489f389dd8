"""Strings or integers to indices of a vocabulary and back: ``StringLookup`` and ``IntegerLookup``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, DataError
from lamina.core.limits import refuse_path
from lamina.layers.preprocessing.data import DataLayer
from lamina.layers.preprocessing.encoding import batches, check_mode, check_sparse, encode
from lamina.layers.preprocessing.fingerprint import fingerprint64
from lamina.layers.preprocessing.hashing import as_bytes
from lamina.serialization import register_serializable
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")
MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")


class IndexLookup(DataLayer):
    """What both lookups have in common; see ``StringLookup``.

    The indices begin with 0 for ``mask_token`` (if there is one and the mode is ``"int"``), then come
    ``num_oov_indices`` for what is not in the vocabulary, then the vocabulary.
    """

    integers = False

    def __init__(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        name = type(self).__name__
        if max_tokens is not None and max_tokens <= 1:
            raise ArgumentError(f"{name}: If set, `max_tokens` must be greater than 1. Received: {max_tokens=}")
        if pad_to_max_tokens and max_tokens is None:
            raise ArgumentError(f"{name}: If pad_to_max_tokens is True, must set `max_tokens`.")
        if num_oov_indices < 0:
            raise ArgumentError(f"{name}: `num_oov_indices` must be greater than or equal to 0; got {num_oov_indices}.")
        if invert and output_mode != "int":
            raise ArgumentError(f"{name}: output_mode must be 'int' when `invert` is true; got {output_mode!r}.")
        if invert and num_oov_indices > 1:
            raise ArgumentError(f"{name}: `num_oov_indices` must be 0 or 1 when `invert` is true.")
        check_sparse(sparse)
        self.output_mode = check_mode(name, {"binary": "multi_hot"}.get(output_mode, output_mode), MODES)
        self.max_tokens, self.num_oov_indices, self.invert = max_tokens, num_oov_indices, invert
        self.mask_token, self.oov_token = mask_token, oov_token
        self.pad_to_max_tokens, self.sparse = pad_to_max_tokens, sparse
        self._oov_start = 1 if mask_token is not None and self.output_mode == "int" else 0
        self._token_start = self._oov_start + num_oov_indices
        self._tokens: list[Any] = []
        self._index: dict[Any, int] = {}
        self.idf_weights: np.ndarray | None = None
        self._given = vocabulary is not None
        self._adapted = False
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)
        elif idf_weights is not None:
            raise ArgumentError("`idf_weights` come with a `vocabulary`.")
        self.reset_state()

    def _convert(self, token: Any) -> Any:
        return int(token) if self.integers else token.decode() if isinstance(token, bytes) else str(token)

    # --- vocabulary -----------------------------------------------------------------------------------
    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The tokens in the order of their indices."""
        special = [self.mask_token] * self._oov_start + [self.oov_token] * self.num_oov_indices
        return (special if include_special_tokens else []) + self._tokens

    def vocabulary_size(self) -> int:
        """The number of indices."""
        return self._token_start + len(self._tokens)

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Set the vocabulary.

        Args:
            vocabulary: tokens, each once, with or without the special ones in front; or a file with one on each line.
            idf_weights: for ``"tf_idf"``, a weight for each token.

        Raises:
            ArgumentError: a token occurs twice, or there are too many.
        """
        if self.output_mode == "tf_idf" and idf_weights is None:
            raise ArgumentError("`idf_weights` must be set if output_mode is 'tf_idf'.")
        if self.output_mode != "tf_idf" and idf_weights is not None:
            raise ArgumentError(
                "`idf_weights` should only be set if output_mode is `'tf_idf'`. "
                f"Received: output_mode={self.output_mode} and idf_weights={idf_weights}"
            )
        if isinstance(vocabulary, str | PathLike):
            refuse_path(vocabulary)
            vocabulary = Path(vocabulary).read_text(encoding="utf-8").splitlines()
        given = [self._convert(t) for t in np.asarray(vocabulary).ravel().tolist()]
        if not given:
            raise ArgumentError(f"Cannot set an empty vocabulary. Received: vocabulary={vocabulary}")
        special = [self.mask_token] * self._oov_start + [self.oov_token] * self.num_oov_indices
        with_special = given[: len(special)] == special
        tokens = given[len(special) :] if with_special else given
        twice = [t for t, count in Counter(tokens).items() if count > 1]
        if twice:
            raise ArgumentError(
                "The passed vocabulary has at least one repeated term. Please uniquify your dataset. "
                f"The repeated terms are: {twice}"
            )
        for kind, token in (("mask", self.mask_token), ("OOV", self.oov_token if self.invert else None)):
            if token is not None and token in tokens:
                raise ArgumentError(
                    f"Found reserved {kind} token at unexpected location in `vocabulary`: {token!r}. Leave the special "
                    f"tokens out, or put them in front in precisely this order: {special}."
                )
        size = self._token_start + len(tokens)
        if self.max_tokens is not None and size > self.max_tokens:
            raise ArgumentError(
                "Attempted to set a vocabulary larger than the maximum vocab size. "
                f"Received vocabulary size is {size}; `max_tokens` is {self.max_tokens}."
            )
        weights = None
        if idf_weights is not None:
            weights = np.asarray(idf_weights, np.float32)
            if weights.ndim != 1 or len(weights) != len(given):
                raise ArgumentError(
                    f"`idf_weights` must be the same length as vocabulary. len(idf_weights) is {len(weights)}; "
                    f"len(vocabulary) is {len(given)}"
                )
            if not with_special:  # nothing is known of the special ones
                weights = np.concatenate([np.full(self._token_start, weights.mean(), np.float32), weights])
        self._set_tokens(tokens, weights)

    def _set_tokens(self, tokens: Sequence[Any], weights: np.ndarray | None) -> None:
        self._tokens = list(tokens)
        self._index = {token: i for i, token in enumerate(self._tokens, self._token_start)}
        if weights is not None and self.pad_to_max_tokens and self.max_tokens is not None:
            weights = np.pad(weights, (0, self.max_tokens - len(weights)))
        self.idf_weights = weights

    # --- finding it -----------------------------------------------------------------------------------
    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find the vocabulary: the tokens of the data, the most frequent first.

        Args:
            data: an array or list of tokens (a row is one document), or an iterable of such.
            steps: how many batches of an iterable to take.
        """
        self.reset_state()
        for i, batch in enumerate(batches(data)):
            if steps is not None and i >= steps:
                break
            self.update_state(batch)
        self.finalize_state()

    def reset_state(self) -> None:
        """Forget what was counted."""
        self._counts: Counter[Any] = Counter()
        self._documents: Counter[Any] = Counter()
        self._num_documents = 0

    def update_state(self, data: Any) -> None:
        """Count a batch."""
        if self._given:
            raise ArgumentError(
                f"Cannot adapt layer '{self.name}' after setting a static vocabulary via `vocabulary` argument or "
                "`set_vocabulary()` method."
            )
        array = self.prepare(data)
        rows = array.reshape(-1, 1) if array.ndim == 1 else array.reshape(len(array), -1) if array.ndim else [[array]]
        for row in rows:
            tokens = [self._convert(t) for t in (row.tolist() if hasattr(row, "tolist") else row)]
            self._counts.update(tokens)
            self._documents.update(set(tokens))
        self._num_documents += len(rows)

    def finalize_state(self) -> None:
        """Set the vocabulary from what was counted."""
        counts = {t: n for t, n in self._counts.items() if t not in (self.mask_token, self.oov_token)}
        if self._given or not counts:
            return
        tokens = sorted(counts, key=lambda t: (counts[t], t), reverse=True)
        if self.max_tokens is not None:
            tokens = tokens[: self.max_tokens - self._token_start]
        weights = None
        if self.output_mode == "tf_idf":
            seen = np.asarray([self._documents[t] for t in tokens], np.float32)
            weights = np.log1p(self._num_documents / (1 + seen)).astype(np.float32)
            weights = np.concatenate([np.full(self._token_start, weights.mean(), np.float32), weights])
        self._set_tokens(tokens, weights)
        self._adapted = True
        self.reset_state()

    # --- using it -------------------------------------------------------------------------------------
    def _lookup(self, token: Any) -> int:
        if self._oov_start and token == self.mask_token:
            return 0
        found = self._index.get(token)
        if found is not None:
            return found
        if self.num_oov_indices == 0:
            raise DataError(
                f"When `num_oov_indices=0` all inputs should be in vocabulary, found OOV value {token!r}; "
                "consider setting `num_oov_indices=1`."
            )
        if self.num_oov_indices == 1:
            return self._oov_start
        hashed = token if self.integers else fingerprint64(as_bytes(token))
        return self._oov_start + int(hashed % self.num_oov_indices)

    def call(self, inputs: Any) -> Any:
        values = inputs.ravel().tolist()
        if self.invert:
            names = self.get_vocabulary()
            words = [names[i] if 0 <= i < len(names) else self.oov_token for i in values]
            if self.integers:
                return Tensor(np.asarray(words, np.int64).reshape(inputs.shape))
            return np.asarray(words, dtype=object).astype(str).reshape(inputs.shape)
        indices = Tensor(np.asarray([self._lookup(self._convert(v)) for v in values], np.int64).reshape(inputs.shape))
        return self.encode_indices(indices)

    def encode_indices(self, indices: Any) -> Tensor:
        """Indices in the layer's output mode."""
        if self.output_mode == "int":
            return indices
        depth = self.max_tokens if self.pad_to_max_tokens else self.vocabulary_size()
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        vectors = encode(indices, mode, int(depth or 0), self.compute_dtype)
        if self.output_mode == "tf_idf":
            if self.idf_weights is None:
                raise ArgumentError("With output_mode='tf_idf' call adapt() first, or give idf_weights.")
            vectors = vectors * Tensor(self.idf_weights)
        return vectors

    def get_config(self) -> dict[str, Any]:
        tokens = self._tokens if self._given or self._adapted else None
        weights = None
        if tokens is not None and self.idf_weights is not None:  # with those of the special tokens
            tokens, weights = self.get_vocabulary(), self.idf_weights[: self.vocabulary_size()].tolist()
        return {
            **super().get_config(),
            "max_tokens": self.max_tokens,
            "num_oov_indices": self.num_oov_indices,
            "mask_token": self.mask_token,
            "oov_token": self.oov_token,
            "vocabulary": tokens,
            "idf_weights": weights,
            "invert": self.invert,
            "output_mode": self.output_mode,
            "pad_to_max_tokens": self.pad_to_max_tokens,
            "sparse": self.sparse,
        }


@_register
class StringLookup(IndexLookup):
    """Strings to indices of a vocabulary, or back with ``invert``.

    Works on data, before a model: strings are no dtype of tensors.

    Args:
        max_tokens: largest number of indices, with the special ones.
        num_oov_indices: number of indices for strings that are not in the vocabulary.
        mask_token: a string that gets index 0 (in mode ``"int"``); ``None`` for none.
        oov_token: what unknown indices become with ``invert``.
        vocabulary: the strings, or a file with one on each line; else use ``adapt``.
        idf_weights: for ``"tf_idf"``, a weight for each string of the vocabulary.
        invert: whether indices are turned into strings.
        output_mode: ``"int"``, ``"one_hot"``, ``"multi_hot"``, ``"count"`` or ``"tf_idf"`` (counts times
            ``log(1 + documents / (1 + documents with the string))``).
        pad_to_max_tokens: whether vectors have length ``max_tokens`` even if the vocabulary is smaller.
        sparse: must be false.
        encoding: of byte strings; ``"utf-8"``.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.StringLookup(vocabulary=["a", "b", "c"])
        >>> layer([["a", "c"], ["z", "b"]]).tolist()
        [[1, 3], [0, 2]]
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary,
            idf_weights,
            invert,
            output_mode,
            pad_to_max_tokens,
            sparse,
            **kwargs,
        )
        self.encoding = encoding

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "encoding": self.encoding}


@_register
class IntegerLookup(IndexLookup):
    """Integers to indices of a vocabulary, or back with ``invert``.

    Works on data, before a model.

    Args:
        max_tokens: see ``StringLookup``.
        num_oov_indices: see ``StringLookup``.
        mask_token: an integer that gets index 0 (in mode ``"int"``); ``None`` for none.
        oov_token: what unknown indices become with ``invert``.
        vocabulary: the integers; else use ``adapt``.
        vocabulary_dtype: ``"int64"`` or ``"int32"``.
        idf_weights: see ``StringLookup``.
        invert: see ``StringLookup``.
        output_mode: see ``StringLookup``.
        pad_to_max_tokens: see ``StringLookup``.
        sparse: must be false.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.IntegerLookup()
        >>> layer.adapt([[12, 1138, 42], [42, 1000, 36]])
        >>> layer.get_vocabulary()
        [-1, 42, 1138, 1000, 36, 12]
    """

    integers = True

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        if vocabulary_dtype not in ("int64", "int32"):
            raise ArgumentError(f"vocabulary_dtype is 'int64' or 'int32'; got {vocabulary_dtype!r}.")
        self.vocabulary_dtype = vocabulary_dtype
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary,
            idf_weights,
            invert,
            output_mode,
            pad_to_max_tokens,
            sparse,
            **kwargs,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "vocabulary_dtype": self.vocabulary_dtype}
