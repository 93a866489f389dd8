"""A character language model: an LSTM reads Shakespeare and says which letter comes next.

The text is 1.1 million characters of 65 kinds.  The loss is in nats for each character: guessing gives
log 65 = 4.17, the frequencies of single letters 3.3.  After three epochs the network is at 1.65 and writes
lines with speakers' names, of words and of what could be words.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import lamina
from lamina import layers
from lamina.datasets import shakespeare
from lamina.generation import generate

STEPS = 64  # characters in a piece of the text
EMBEDDING = 64
UNITS = 192
BATCH = 32
RATE = 0.01
Data = tuple[np.ndarray, np.ndarray]


def data() -> tuple[Data, Data, str]:
    """Pieces of the text as numbers, int32 (n, STEPS), each with the piece one letter later; and the letters."""
    train, test = shakespeare.load_data()
    letters = "".join(sorted(set(train + test)))
    return pieces(encode(train, letters)), pieces(encode(test, letters)), letters


def encode(text: str, letters: str) -> np.ndarray:
    """A text as numbers of its letters."""
    return np.array([letters.index(letter) for letter in text], np.int32)


def pieces(numbers: np.ndarray) -> Data:
    end = (len(numbers) - 1) // STEPS * STEPS
    return numbers[:end].reshape(-1, STEPS), numbers[1 : end + 1].reshape(-1, STEPS)


def network(letters: int) -> lamina.Sequential:
    """Numbers of letters (steps,) in, logits of the next letter (steps, letters) out."""
    return lamina.Sequential(
        [
            layers.Input((None,), dtype="int32"),
            layers.Embedding(letters, EMBEDDING),
            layers.LSTM(UNITS, return_sequences=True),
            layers.Dense(letters),
        ]
    )


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[lamina.Model, dict[str, list[float]]]:
    """Train.  Returns the model, and losses by epoch, those of the last tenth of the text under ``val_loss``."""
    lamina.random.seed(seed)
    (x_train, y_train), test, letters = data()
    model = network(len(letters))
    rate = lamina.optimizers.schedules.CosineDecay(RATE, epochs * -(-len(x_train) // BATCH))
    loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(lamina.optimizers.Adam(rate), loss)
    history = model.fit(x_train, y_train, batch_size=BATCH, epochs=epochs, validation_data=test, verbose=verbose)
    return model, history.history


def write(model: lamina.Model, letters: str, beginning: str, count: int, **choice: Any) -> str:
    """``beginning``, and so many letters that the model writes after it."""
    numbers = generate(model, encode(beginning, letters), count, seed=0, **choice)
    return "".join(letters[i] for i in numbers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    model, history = train(options.epochs)
    print(f"\nLoss for each character of the last tenth of the text: {history['val_loss'][-1]:.3f} nats")
    letters = data()[2]
    for choice in ({"temperature": 0.5}, {"temperature": 1.0}, {"temperature": 1.0, "top_k": 5}):
        print(f"\n--- {', '.join(f'{name} {value}' for name, value in choice.items())} ---")
        print(write(model, letters, "ROMEO:\n", 300, **choice))


if __name__ == "__main__":
    main()
