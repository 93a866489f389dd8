"""The language models of letters learn more than how often letters occur, and write with what they learned."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from conftest import data_folder
from example_files import load_example

import lamina
from lamina.generation import generate

LETTERS_ALONE = 3.3  # nats for each letter: the loss of a model that knows how often each occurs


def needs_shakespeare() -> None:
    folder = data_folder()
    if folder is None or not (folder / "tinyshakespeare.txt").exists():
        pytest.skip("needs tinyshakespeare.txt in the folder LAMINA_DATA or in ../shared/data")


def on_little_text(name: str, monkeypatch: pytest.MonkeyPatch, pieces: int, **sizes: int | float) -> ModuleType:
    """The example with a text of so many pieces, and smaller networks."""
    needs_shakespeare()
    monkeypatch.setenv("LAMINA_DATA", str(data_folder()))
    example = load_example(name)
    for size, value in sizes.items():
        assert hasattr(example, size)
        setattr(example, size, value)
    train, test, letters = example.data()
    parts = tuple(x[:pieces] for x in train), tuple(x[:100] for x in test), letters
    monkeypatch.setattr(example, "data", lambda: parts)
    return example


def test_the_lstm_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    example = on_little_text("sequences/character_model", monkeypatch, 2_500, UNITS=64, EMBEDDING=32)
    model, history = example.train(2, verbose=0)
    assert history["val_loss"][-1] < 2.65 < LETTERS_ALONE
    letters = example.data()[2]
    text = example.write(model, letters, "ROMEO:\n", 40, temperature=0.5)
    assert (
        text.startswith("ROMEO:\n")
        and len(text) == 47
        and text == example.write(model, letters, "ROMEO:\n", 40, temperature=0.5)
    )


def test_the_transformer_learns_and_its_cache_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    example = on_little_text("sequences/transformer_model", monkeypatch, 2_500, SIZE=32, BLOCKS=2)
    model, history = example.train(2, verbose=0)
    assert history["val_loss"][-1] < 2.65 < LETTERS_ALONE
    beginning = example.encode("ROMEO:\n", example.data()[2])
    for choice in ({"temperature": 0.0}, {"temperature": 0.8, "top_k": 10}):
        cached = generate(model, beginning, 50, seed=0, cached=True, **choice)
        np.testing.assert_array_equal(cached, generate(model, beginning, 50, seed=0, cached=False, **choice))


def test_pieces_follow_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("character_model", "transformer_model"):
        example = on_little_text(f"sequences/{name}", monkeypatch, 10)
        (x, y), _, letters = example.data()
        text = lamina.datasets.shakespeare.load_text()
        assert "".join(letters[i] for i in x.ravel()) == text[: x.size]
        assert "".join(letters[i] for i in y.ravel()) == text[1 : x.size + 1]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "epochs", "loss"), [("character_model", 3, 1.68), ("transformer_model", 2, 1.82)])
def test_they_reach_what_is_documented(name: str, epochs: int, loss: float, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_shakespeare()
    monkeypatch.setenv("LAMINA_DATA", str(data_folder()))
    _, history = load_example(f"sequences/{name}").train(epochs, verbose=0)
    assert history["val_loss"][-1] < loss
