"""Text as numbers: words split, counted, and numbered by how often they occur."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from lamina.core.errors import ArgumentError
from lamina.preprocessing.byte_pair import BytePairTokenizer as BytePairTokenizer

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
        self.word_counts: dict[str, int] = {}
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}

    def fit_on_texts(self, texts: Iterable[str | Sequence[str]]) -> None:
        """Count the words of texts, in addition to those counted before, and number them anew.

        Args:
            texts: texts, or lists of words.
        """
        counts = Counter(self.word_counts)
        for text in texts:
            counts.update(self._words(text))
        self.word_counts = dict(counts)
        ordered = sorted(counts, key=lambda word: -counts[word])  # equal ones stay in their order
        if self.oov_token is not None:
            ordered.insert(0, self.oov_token)
        self.word_index = {}
        for word in ordered:
            self.word_index.setdefault(word, len(self.word_index) + 1)
        self.index_word = {index: word for word, index in self.word_index.items()}

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
