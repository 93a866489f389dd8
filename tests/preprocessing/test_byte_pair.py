"""Byte-pair encoding: pieces, any text there and back, files, errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lamina.core.errors import ArgumentError, FileFormatError
from lamina.preprocessing.text import BytePairTokenizer

tokenizers = pytest.importorskip("tokenizers", reason="byte-pair encoding needs the extra 'text'")

TEXTS = ["the cat sat on the mat", "the cat and the hat", "a cat is no hat"] * 3
HARD = ["the cat", "", "  two  blanks\n\ttab", "Café ☕ 日本語", "\x00\x7f", "zebra<end>"]


def fitted(size: int = 300) -> BytePairTokenizer:
    tokenizer = BytePairTokenizer(size, special_tokens=["<pad>", "<end>"])
    tokenizer.fit_on_texts(iter(TEXTS))
    return tokenizer


def test_frequent_words_become_pieces() -> None:
    tokenizer = fitted()
    assert tokenizer.tokenize("the cat sat") == ["the", " cat", " sat"]
    assert tokenizer.tokenize("cats<end>") == ["cat", "s", "<end>"]  # without its blank
    assert tokenizer.encode("<pad><end>") == [0, 1] and tokenizer.token_to_id("<end>") == 1
    assert 258 < tokenizer.vocab_size <= 300 and fitted(258).vocab_size == 258


def test_pairs_are_joined_by_how_often_they_stand_together() -> None:
    """The first pair of the algorithm, counted by hand: "aab" 3 times, "ab" once: a-b stands together most often."""
    tokenizer = BytePairTokenizer(257)
    tokenizer.fit_on_texts(["aab", "aab", "aab", "ab"])
    assert tokenizer.tokenize("aab") == ["a", "ab"]


@pytest.mark.parametrize("text", HARD)
def test_every_text_comes_back(text: str, tmp_path: Path) -> None:
    tokenizer = fitted()
    numbers = tokenizer.encode(text)
    assert tokenizer.decode(numbers) == text
    tokenizer.save(tmp_path / "pieces.json")
    again = BytePairTokenizer.load(tmp_path / "pieces.json")
    assert again.encode(text) == numbers and again.decode(numbers) == text
    assert again.special_tokens == ["<pad>", "<end>"] and again.vocab_size == tokenizer.vocab_size
    assert tokenizers.Tokenizer.from_file(str(tmp_path / "pieces.json")).encode(text).ids == numbers


def test_many_texts() -> None:
    tokenizer = fitted()
    sequences = tokenizer.texts_to_sequences(HARD)
    assert sequences == [tokenizer.encode(text) for text in HARD]
    assert tokenizer.sequences_to_texts(sequences) == HARD
    assert tokenizer.decode(tokenizer.encode("a cat<end>"), skip_special_tokens=True) == "a cat"


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="at least 257, for the 256 bytes and 1 special"):
        BytePairTokenizer(256, ["<end>"])
    with pytest.raises(ArgumentError, match="list of different texts"):
        BytePairTokenizer(special_tokens="<end>")
    with pytest.raises(ArgumentError, match="put a single one into a list"):
        BytePairTokenizer().fit_on_texts("text")
    with pytest.raises(ArgumentError, match="knows no pieces yet"):
        BytePairTokenizer().encode("text")
    with pytest.raises(ArgumentError, match="no piece number 9999"):
        fitted().decode([9999])
    with pytest.raises(ArgumentError, match="'<start>' is no special token; they are '<pad>', '<end>'"):
        fitted().token_to_id("<start>")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(FileFormatError, match="is no tokenizer"):
        BytePairTokenizer.load(tmp_path / "broken.json")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a"))
    (tmp_path / "words.json").write_text(json.dumps(json.loads(words.to_str())))
    with pytest.raises(FileFormatError, match="of the kind WordLevel, not BPE"):
        BytePairTokenizer.load(tmp_path / "words.json")
    with pytest.raises(FileNotFoundError):
        BytePairTokenizer.load(tmp_path / "none.json")


def test_the_extra_is_named_where_it_is_missing() -> None:
    code = (
        "import sys; sys.modules['tokenizers'] = None\n"
        "from lamina.preprocessing.text import BytePairTokenizer, Tokenizer\n"
        "try:\n    BytePairTokenizer()\nexcept ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'lamina[text]'" in done.stdout
