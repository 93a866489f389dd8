"""Byte-pair encoding: texts as numbers of frequent pieces of words, through the package ``tokenizers``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from lamina.core.disk import write_blocks
from lamina.core.errors import ArgumentError, FileFormatError
from lamina.core.optional import require

_BYTES = 256


def _package() -> Any:
    return require("tokenizers", "text", "byte-pair encoding")


class BytePairTokenizer:
    """Texts as numbers of pieces of words, and back without loss.

    It begins with the 256 bytes as pieces and joins, again and again, the two neighbours that stand together most
    often in the texts, never across words.  Frequent words get a number of their own, rare ones several, and since all
    bytes are there, no text is unknown.

    Args:
        vocab_size: how many pieces there may be, the 256 bytes and the special tokens among them.
        special_tokens: pieces with a meaning of their own, such as ``"<end>"``.  They get the first numbers, and are
            never cut.

    Example:
        >>> import pytest
        >>> _ = pytest.importorskip("tokenizers")
        >>> tokenizer = BytePairTokenizer(300, special_tokens=["<end>"])
        >>> tokenizer.fit_on_texts(["the cat sat on the mat", "the cat and the hat"])
        >>> tokenizer.tokenize("the cat!<end>")
        ['the', ' cat', '!', '<end>']
        >>> tokenizer.decode(tokenizer.encode("Caf\u00e9 \u2615"))
        'Caf\u00e9 \u2615'

    Source: Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword units", ACL 2016; bytes
    instead of letters: Radford et al., "Language models are unsupervised multitask learners", 2019.
    """

    def __init__(self, vocab_size: int = 8_000, special_tokens: Sequence[str] = ()) -> None:
        if isinstance(special_tokens, str) or len(set(special_tokens)) < len(special_tokens):
            raise ArgumentError(f"special_tokens is a list of different texts; got {special_tokens!r}.")
        least = _BYTES + len(special_tokens)
        if isinstance(vocab_size, bool) or not isinstance(vocab_size, int) or vocab_size < least:
            raise ArgumentError(
                f"vocab_size is an int of at least {least}, for the {_BYTES} bytes"
                f"{f' and {len(special_tokens)} special tokens' if special_tokens else ''}; got {vocab_size!r}."
            )
        package = _package()
        self.special_tokens = list(special_tokens)
        self._most = vocab_size
        self._inner: Any = package.Tokenizer(package.models.BPE())
        self._inner.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
        self._inner.decoder = package.decoders.ByteLevel()

    def fit_on_texts(self, texts: Iterable[str]) -> None:
        """Find the pieces; those found before are forgotten.

        Args:
            texts: texts; they are read one after the other and need not fit into memory.

        Raises:
            ArgumentError: ``texts`` is a single text.
        """
        if isinstance(texts, str):
            raise ArgumentError("fit_on_texts takes several texts; put a single one into a list.")
        package = _package()
        trainer = package.trainers.BpeTrainer(
            vocab_size=self._most,
            special_tokens=self.special_tokens,
            initial_alphabet=package.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        self._inner.train_from_iterator(texts, trainer)

    @property
    def vocab_size(self) -> int:
        """How many pieces there are: numbers go from 0 to one less."""
        return int(self._inner.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """The numbers of a text's pieces."""
        self._check_fitted()
        return list(self._inner.encode(text, add_special_tokens=False).ids)

    def decode(self, numbers: Iterable[int], skip_special_tokens: bool = False) -> str:
        """The text of some numbers.

        Args:
            numbers: numbers of pieces.
            skip_special_tokens: whether to leave special tokens out.

        Raises:
            ArgumentError: a number is not that of a piece.
        """
        self._check_fitted()
        found = [int(number) for number in numbers]
        for number in found:
            if not 0 <= number < self.vocab_size:
                raise ArgumentError(f"There is no piece number {number}; they go from 0 to {self.vocab_size - 1}.")
        return str(self._inner.decode(found, skip_special_tokens=skip_special_tokens))

    def tokenize(self, text: str) -> list[str]:
        """The pieces of a text; where one is part of a letter's bytes it reads ``\ufffd``."""
        return [self.decode([number]) for number in self.encode(text)]

    def texts_to_sequences(self, texts: Iterable[str]) -> list[list[int]]:
        """The numbers of each text's pieces; many texts are encoded at the same time."""
        self._check_fitted()
        return [list(found.ids) for found in self._inner.encode_batch(list(texts), add_special_tokens=False)]

    def sequences_to_texts(self, sequences: Iterable[Iterable[int]]) -> list[str]:
        """The text of each sequence of numbers."""
        return [self.decode(sequence) for sequence in sequences]

    def token_to_id(self, token: str) -> int:
        """The number of a special token.

        Raises:
            ArgumentError: there is none of this name.
        """
        if token not in self.special_tokens:
            raise ArgumentError(f"{token!r} is no special token; they are {', '.join(map(repr, self.special_tokens))}.")
        return int(self._inner.token_to_id(token))

    def save(self, filepath: str | PathLike[str]) -> None:
        """Write it to a file, the ``tokenizer.json`` of the package ``tokenizers``, which other libraries read too."""
        self._check_fitted()
        write_blocks(Path(filepath), [self._inner.to_str().encode()])

    @classmethod
    def load(cls, filepath: str | PathLike[str]) -> BytePairTokenizer:
        """A tokenizer from a file that ``save``, or the package ``tokenizers``, has written.

        Raises:
            FileFormatError: the file holds no byte-pair tokenizer.
        """
        package = _package()
        try:
            inner = package.Tokenizer.from_str(Path(filepath).read_text(encoding="utf-8"))
        except OSError:
            raise
        except Exception as error:  # the package raises plain ones
            raise FileFormatError(f"{filepath} is no tokenizer in the format of 'tokenizers': {error}.") from error
        if type(inner.model).__name__ != "BPE":
            raise FileFormatError(f"{filepath} holds a tokenizer of the kind {type(inner.model).__name__}, not BPE.")
        found = cls.__new__(cls)
        found._inner, found._most = inner, inner.get_vocab_size()
        special = {number: token.content for number, token in inner.get_added_tokens_decoder().items() if token.special}
        found.special_tokens = [special[number] for number in sorted(special)]
        return found

    def _check_fitted(self) -> None:
        if self.vocab_size == 0:
            raise ArgumentError("The tokenizer knows no pieces yet: call fit_on_texts, or load one from a file.")
