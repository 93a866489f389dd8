"""Text as numbers: words split, counted, and numbered by how often they occur."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, FileFormatError
from lamina.preprocessing.byte_pair import BytePairTokenizer as BytePairTokenizer
from lamina.preprocessing.sequence import multi_hot

PUNCTUATION = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'


def text_to_word_sequence(text: str, filters: str = PUNCTUATION, lower: bool = True, split: str = " ") -> list[str]:
    """The words of a text.

    Args:
        text: the text.
        filters: characters that count as separators.
        lower: whether to turn letters into lower case.
        split: what separates words.

    Example:
        >>> text_to_word_sequence("It's slow, but good.")
        ["it's", 'slow', 'but', 'good']
    """
    if lower:
        text = text.lower()
    separators: dict[str, str | int | None] = dict.fromkeys(filters, split)
    return [word for word in text.translate(str.maketrans(separators)).split(split) if word]


def hashing_trick(
    text: str,
    n: int,
    hash_function: str | Callable[[str], int] | None = "md5",
    filters: str = PUNCTUATION,
    lower: bool = True,
    split: str = " ",
    analyzer: Callable[[str], list[str]] | None = None,
) -> list[int]:
    """Numbers of words without a vocabulary: ``hash(word) % (n - 1) + 1``.  Two words may have the same number.

    Args:
        text: the text.
        n: the numbers are from 1 to ``n - 1``.
        hash_function: ``"md5"``, which is the same in every program; ``"hash"`` (or ``None``) for Python's, which is
            not; or a function of a word.
        filters, lower, split: as in ``text_to_word_sequence``.
        analyzer: instead, a function that makes words of a text.

    Raises:
        ArgumentError: ``n`` is less than 2, or the hash function is unknown.

    Example:
        >>> hashing_trick("The cat saw the dog", 1000)
        [132, 759, 624, 132, 168]
    """
    if n < 2:
        raise ArgumentError(f"hashing_trick: n is at least 2; got {n}.")
    if hash_function in (None, "hash"):
        hash_function = hash
    elif hash_function == "md5":
        hash_function = _md5
    elif not callable(hash_function):
        raise ArgumentError(f"hashing_trick: hash_function is 'md5', 'hash' or a function; got {hash_function!r}.")
    words = text_to_word_sequence(text, filters, lower, split) if analyzer is None else analyzer(text)
    return [hash_function(word) % (n - 1) + 1 for word in words]


def one_hot(text: str, n: int, **options: Any) -> list[int]:
    """The same as ``hashing_trick``; a name of Keras, which gives numbers and not vectors.

    Args:
        text: the text.
        n: the numbers are from 1 to ``n - 1``.
        options: more arguments of ``hashing_trick``.

    Example:
        >>> one_hot("The cat saw the dog", 1000) == hashing_trick("The cat saw the dog", 1000)
        True
    """
    return hashing_trick(text, n, **options)


def _md5(word: str) -> int:
    return int(hashlib.md5(word.encode(), usedforsecurity=False).hexdigest(), 16)


class Tokenizer:
    """Numbers words by how often they occur: the most frequent is 1, and 0 is left free for padding.

    Args:
        num_words: only the words with numbers below this are used in sequences.
        filters: characters that count as separators.
        lower: whether to turn letters into lower case.
        split: what separates words.
        char_level: number characters instead of words.
        oov_token: a word that stands for all that are not known or not used.  It gets the number 1.
            Without it, such words are left out.

    Attributes:
        word_counts: how often each word occurred, in the order of first occurrence.
        word_index: number of each word, all of them, whatever ``num_words``.
        index_word: the other way round.
        word_docs, index_docs: in how many texts each word occurred, by word and by number.
        document_count: how many texts there were.

    Example:
        >>> tokenizer = Tokenizer(oov_token="?")
        >>> tokenizer.fit_on_texts(["the cat sat", "the dog"])
        >>> tokenizer.word_index
        {'?': 1, 'the': 2, 'cat': 3, 'sat': 4, 'dog': 5}
        >>> tokenizer.texts_to_sequences(["the bird sat"])
        [[2, 1, 4]]
        >>> tokenizer.sequences_to_texts([[2, 5]])
        ['the dog']
    """

    def __init__(
        self,
        num_words: int | None = None,
        filters: str = PUNCTUATION,
        lower: bool = True,
        split: str = " ",
        char_level: bool = False,
        oov_token: str | None = None,
    ) -> None:
        if num_words is not None and num_words < 1:
            raise ArgumentError(f"Tokenizer: num_words is a positive number or None, got {num_words!r}.")
        self.num_words = num_words
        self.filters = filters
        self.lower = lower
        self.split = split
        self.char_level = char_level
        self.oov_token = oov_token
        self.document_count = 0
        self.word_counts: dict[str, int] = {}
        self.word_docs: dict[str, int] = {}
        self.index_docs: dict[int, int] = {}
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}

    def fit_on_texts(self, texts: Iterable[str | Sequence[str]]) -> None:
        """Count the words of texts, in addition to those counted before, and number them anew.

        Args:
            texts: texts, or lists of words.
        """
        counts, documents = Counter(self.word_counts), Counter(self.word_docs)
        for text in texts:
            words = list(self._words(text))
            counts.update(words)
            documents.update(set(words))
            self.document_count += 1
        self.word_counts, self.word_docs = dict(counts), dict(documents)
        ordered = sorted(counts, key=lambda word: -counts[word])  # equal ones stay in their order
        if self.oov_token is not None:
            ordered.insert(0, self.oov_token)
        self.word_index = {}
        for word in ordered:
            self.word_index.setdefault(word, len(self.word_index) + 1)
        self.index_word = {index: word for word, index in self.word_index.items()}
        self.index_docs = {self.word_index[word]: count for word, count in self.word_docs.items()}

    def fit_on_sequences(self, sequences: Iterable[Iterable[int]]) -> None:
        """Count in how many sequences each number occurs, for ``sequences_to_matrix(mode="tfidf")``.

        Args:
            sequences: sequences of numbers.
        """
        documents = Counter(self.index_docs)
        for sequence in sequences:
            documents.update(set(map(int, sequence)))
            self.document_count += 1
        self.index_docs = dict(documents)

    def texts_to_sequences(self, texts: Iterable[str | Sequence[str]]) -> list[list[int]]:
        """The numbers of the words of each text.

        Args:
            texts: texts, or lists of words.
        """
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(self, texts: Iterable[str | Sequence[str]]) -> Iterator[list[int]]:
        """``texts_to_sequences``, one text at a time."""
        other = self.word_index.get(self.oov_token) if self.oov_token is not None else None
        for text in texts:
            found = []
            for word in self._words(text):
                index = self.word_index.get(word)
                if index is None or (self.num_words is not None and index >= self.num_words):
                    index = other
                if index is not None:
                    found.append(index)
            yield found

    def sequences_to_texts(self, sequences: Iterable[Iterable[int]]) -> list[str]:
        """The words of each sequence of numbers, with blanks between them; padding is left out."""
        return [" ".join(self._known(sequence)) for sequence in sequences]

    def texts_to_matrix(self, texts: Iterable[str | Sequence[str]], mode: str = "binary") -> np.ndarray:
        """A row for each text and a column for each word: see ``sequences_to_matrix``.

        Example:
            >>> tokenizer = Tokenizer()
            >>> tokenizer.fit_on_texts(["a b a"])
            >>> tokenizer.texts_to_matrix(["a a b", "c"], mode="count").tolist()
            [[0.0, 2.0, 1.0], [0.0, 0.0, 0.0]]
        """
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(self, sequences: Sequence[Sequence[int]], mode: str = "binary") -> np.ndarray:
        """A row for each sequence and a column for each number, up to ``num_words``.

        Args:
            sequences: sequences of numbers.
            mode: ``"binary"`` (1 where it occurs), ``"count"`` (how often), ``"freq"`` (which share of the sequence it
                is), or ``"tfidf"``: ``(1 + log(count)) * log(1 + texts / (1 + texts with it))``.

        Returns:
            float64 ``(len(sequences), columns)``.

        Raises:
            ArgumentError: the mode is unknown, or what it takes was not counted before.
        """
        if mode not in ("binary", "count", "freq", "tfidf"):
            raise ArgumentError(f"Tokenizer: mode is 'binary', 'count', 'freq' or 'tfidf'; got {mode!r}.")
        if not self.num_words and not self.word_index:
            raise ArgumentError("Tokenizer: give num_words, or call fit_on_texts before sequences_to_matrix.")
        if mode == "tfidf" and not self.document_count:
            raise ArgumentError("Tokenizer: call fit_on_texts or fit_on_sequences before mode 'tfidf'.")
        size = self.num_words or len(self.word_index) + 1
        kept = [[int(i) for i in sequence if int(i) < size] for sequence in sequences]
        counts = multi_hot(kept, size, count=mode != "binary").astype(np.float64)
        if mode == "freq":
            return counts / np.maximum([[len(sequence)] for sequence in sequences], 1)
        if mode == "tfidf":
            documents = np.array([self.index_docs.get(i, 0) for i in range(size)])
            weights = np.log(1 + self.document_count / (1 + documents))
            return np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * weights
        return counts

    def get_config(self) -> dict[str, Any]:
        """The arguments, and what was counted, the latter as JSON texts (as Keras has it)."""
        counted = ("word_counts", "word_docs", "index_docs", "index_word", "word_index")
        return {
            "num_words": self.num_words,
            "filters": self.filters,
            "lower": self.lower,
            "split": self.split,
            "char_level": self.char_level,
            "oov_token": self.oov_token,
            "document_count": self.document_count,
            **{name: json.dumps(getattr(self, name)) for name in counted},
        }

    def to_json(self, **options: Any) -> str:
        """The tokenizer as text, for ``tokenizer_from_json``.

        Args:
            options: arguments of ``json.dumps``.
        """
        return json.dumps({"class_name": "Tokenizer", "config": self.get_config()}, **options)

    def _known(self, sequence: Iterable[int]) -> Iterator[str]:
        for index in map(int, sequence):
            word = self.index_word.get(index)
            if word is None or (self.num_words is not None and index >= self.num_words):
                word = self.oov_token if index else None
            if word is not None:
                yield word

    def _words(self, text: str | Sequence[str]) -> Sequence[str]:
        if not isinstance(text, str):
            return [word.lower() for word in text] if self.lower else text
        if self.char_level:
            return text.lower() if self.lower else text
        return text_to_word_sequence(text, self.filters, self.lower, self.split)


def tokenizer_from_json(json_string: str) -> Tokenizer:
    """The tokenizer that ``Tokenizer.to_json``, here or in Keras, wrote.

    Args:
        json_string: what it wrote.

    Raises:
        FileFormatError: it is something else.

    Example:
        >>> tokenizer = Tokenizer()
        >>> tokenizer.fit_on_texts(["the cat"])
        >>> tokenizer_from_json(tokenizer.to_json()).texts_to_sequences(["cat the"])
        [[2, 1]]
    """
    try:
        config = dict(json.loads(json_string)["config"])
        counted = {name: json.loads(config.pop(name)) for name in ("word_counts", "word_docs", "word_index")}
        by_index = {name: json.loads(config.pop(name)) for name in ("index_docs", "index_word")}
        count = int(config.pop("document_count", 0))
        made = Tokenizer(**config)
        for name, value in counted.items():
            setattr(made, name, dict(value))
        for name, value in by_index.items():
            setattr(made, name, {int(index): what for index, what in value.items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileFormatError(f"This is no tokenizer that Tokenizer.to_json wrote ({error}).") from error
    made.document_count = count
    return made
