"""Recurrent networks of the four shapes, and word vectors."""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np
import pytest
from conftest import data_folder
from example_files import load_example

import lamina
from lamina.inspection import nearest


@pytest.fixture
def digits(monkeypatch: pytest.MonkeyPatch, mnist_test_files: Any) -> None:
    """MNIST's test files are where the example looks."""
    monkeypatch.setenv("LAMINA_DATA", str(data_folder()))


@pytest.fixture
def plays(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is Shakespeare."""
    folder = data_folder()
    if folder is None or not (folder / "tinyshakespeare.txt").exists():
        pytest.skip("needs tinyshakespeare.txt in the folder LAMINA_DATA or in ../shared/data")
    monkeypatch.setenv("LAMINA_DATA", str(folder))


# --- captions: one to many ----------------------------------------------------------------------------
@pytest.mark.usefixtures("digits")
def test_captions_are_learned() -> None:
    example = load_example("sequences/captions")
    example.TRAIN, example.TEST, example.RATE = 2_500, 200, 4e-3
    pictures = example.pictures

    def of_one_digit(images: Any, labels: Any, count: int, seed: int) -> Any:
        x, captions = pictures(images, labels, 3 * count, seed)
        chosen = [i for i, caption in enumerate(captions) if len(caption.split()) == 2]
        return x[chosen], [captions[i] for i in chosen]

    example.pictures = of_one_digit
    _, history = example.train(3, verbose=0)
    assert history["val_exact"][-1] > 0.35  # without the picture, one of ten


@pytest.mark.slow
@pytest.mark.usefixtures("digits")
def test_captions_are_right() -> None:
    _, history = load_example("sequences/captions").train(5, verbose=0)
    assert history["val_exact"][-1] > 0.88


def test_captions_tell_what_is_in_the_picture() -> None:
    example = load_example("sequences/captions")
    labels = np.array([3, 8], np.uint8)
    images = np.stack([np.full((28, 28), ink, np.uint8) for ink in (51, 255)])  # a three is paler
    x, captions = example.pictures(images, labels, 60, seed=0)
    assert {"a three", "an eight", "two threes", "a three left of an eight", "an eight above a three"} <= set(captions)
    for picture, caption in zip(x[..., 0], captions, strict=True):
        inks = {round(float(ink), 1) for ink in np.unique(picture)} - {0.0}
        assert ("eight" in caption) == (1.0 in inks)
        digits = 1 if caption in ("a three", "an eight") else 2
        assert (picture > 0).sum() > (example.DIGIT**2 * 1.4 if digits == 2 else 0)
        if "left" in caption:
            assert (picture[:, :12].max() > 0.5) == caption.startswith("an eight")
        if "above" in caption:
            assert (picture[:12].max() > 0.5) == caption.startswith("an eight")
    before, after = example.numbers(captions)
    for b, a, caption in zip(before, after, captions, strict=True):
        count = len(caption.split())
        assert b[0] == example.WORDS.word_index[example.START] and a[count] == example.WORDS.word_index[example.END]
        assert (b[1 : count + 1] == a[:count]).all() and not b[count + 1 :].any() and not a[count + 1 :].any()
    longest = max(len(caption.split()) for caption in captions) + 1
    assert longest == example.LONGEST  # nothing is cut off


# --- dates: sequence to sequence ----------------------------------------------------------------------
def test_dates_are_learned() -> None:
    example = load_example("sequences/dates")
    example.TRAIN, example.TEST = 3_200, 100
    model, history = example.train(4, verbose=0)
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    (_, (x, y), texts) = example.data()
    found, weights = example.translate(model, x)
    assert (found == y).mean() > 0.7  # single characters; without the date, 0.4
    # Only characters that are there are attended to.
    lengths = np.array([len(text) for text in texts])
    behind = np.arange(example.LENGTH) >= lengths[:, None, None]
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-5)
    assert np.where(behind, weights, 0).max() == 0


@pytest.mark.slow
def test_dates_are_written_without_fault() -> None:
    _, history = load_example("sequences/dates").train(4, verbose=0)
    assert history["val_exact"][-1] > 0.95


def test_every_way_of_writing_tells_the_date() -> None:
    example = load_example("sequences/dates")
    (x, y), (_, y_test), texts = example.data()
    iso = ["".join(example.TARGET[i] for i in row) for row in y_test]
    for text, day in zip(texts, iso, strict=True):
        date = datetime.date.fromisoformat(day)
        numbers = [int(n) for n in re.findall(r"\d+", text)]
        assert date.day in numbers and {date.year, date.year % 100} & set(numbers)
        assert f"{date:%b}".lower() in text or date.month in numbers
        assert not re.search(r"[a-z]{6,}day", text) or f"{date:%A}".lower() in text
    train = {tuple(row) for row in y.tolist()}
    assert not train & {tuple(row) for row in y_test.tolist()}  # no day is in both
    assert max(map(len, texts)) <= example.LENGTH and x.max() < len(example.SOURCE)


def test_translating_step_by_step_is_what_was_trained() -> None:
    """With the written characters before each, all steps at once give the logits of the single steps."""
    example = load_example("sequences/dates")
    lamina.random.seed(1)
    model = example.Translator()
    x = example.encode(["3 may 1979", "the 21st of december 2013"])
    found, _ = example.translate(model, x)
    logits = model((x, example.shifted(found.astype(np.int32)))).numpy()
    assert (logits.argmax(axis=-1) == found).all()


# --- tagging: many to many of equal length -------------------------------------------------------------
def shorter(example: Any, lines: int, test: int) -> None:
    data = example.data
    example.data = lambda: (data()[0][:lines], data()[1][:test])


@pytest.mark.usefixtures("plays")
def test_vowels_are_learned() -> None:
    example = load_example("sequences/tagging")
    example.BUCKETS, example.RATE = 1, 1e-2  # one shape to compile
    shorter(example, 3_200, 100)
    model, history = example.train(2, verbose=0)
    assert history["val_vowels"][-1] > 0.48  # always "e": a third
    line = "To be, or not to be"
    restored = example.restored(model, line)
    assert len(restored) == len(line)
    assert all(a == b or (a in "aeiou" and b in "aeiou") for a, b in zip(restored, line.lower(), strict=True))


@pytest.mark.slow
@pytest.mark.usefixtures("plays")
def test_vowels_are_put_back() -> None:
    example = load_example("sequences/tagging")
    _, history = example.train(5, verbose=0)
    assert history["val_vowels"][-1] > 0.86


def test_padding_counts_for_nothing() -> None:
    """A line has the same logits by itself and padded, and the metric looks at vowels only."""
    example = load_example("sequences/tagging")
    lamina.random.seed(0)
    model = example.network()
    x, y = example.encode("Th' quality of mercy")
    alone = model(x[None]).numpy()[0]
    padded = model(np.pad(x, (0, 9))[None]).numpy()[0, : len(x)]
    np.testing.assert_allclose(padded, alone, atol=1e-6)
    metric = example.Vowels()
    logits = np.zeros((1, len(x), 6), np.float32)
    logits[0, :, 1] = 1  # "a" everywhere
    metric.update_state(y[None], logits)
    assert float(metric.result()) == pytest.approx((y == 1).sum() / (y > 0).sum())


# --- word vectors ----------------------------------------------------------------------------------------
@pytest.mark.usefixtures("plays")
def test_pairs_of_words_are_learned() -> None:
    example = load_example("sequences/word_vectors")
    data = example.data

    def fewer() -> Any:
        (x, y), (x_test, y_test), vocabulary = data()
        return (x[:300_000], y[:300_000]), (x_test[:50_000], y_test[:50_000]), vocabulary

    example.data = fewer
    _, history = example.train(2, verbose=0)
    # A fifth of the pairs is true: one number for all gives 0.500.
    assert history["val_loss"][-1] < 0.37


@pytest.mark.slow
@pytest.mark.usefixtures("plays")
def test_words_of_a_kind_are_near() -> None:
    example = load_example("sequences/word_vectors")
    model, history = example.train(4, verbose=0)
    assert history["val_loss"][-1] < 0.325
    vectors, vocabulary = model.get_layer("vectors").get_weights()[0], example.data()[2]

    def near(word: str) -> set[str]:
        return {other for other, _ in nearest(vectors, word, 10, vocabulary)}

    assert {"two", "four", "five", "twenty"} & near("three")
    assert {"wilt", "art", "hast", "dost", "thyself"} & near("thou")
    assert {"tybalt", "juliet"} & near("romeo")
    assert {"henry", "throne", "crown", "edward"} & near("king")
