"""A small Transformer language model: blocks of causal attention read Shakespeare, letter by letter.

Each letter looks back at the letters before it, at most CONTEXT of them.  The loss is in nats for each letter of the
last tenth of the text.  When the model writes, the keys and values of earlier letters are kept, so that a new letter
costs one step and not a pass over the text; what it writes is the same.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import lamina
from lamina import layers
from lamina.datasets import shakespeare
from lamina.generation import generate

CONTEXT = 64  # letters that one can look back at
SIZE = 96  # of the vector of a letter
HEADS = 4
BLOCKS = 3
BATCH = 16
RATE = 3e-3
Data = tuple[np.ndarray, np.ndarray]


def data() -> tuple[Data, Data, str]:
    """Pieces of the text as numbers, int32 (n, CONTEXT), each with the piece one letter later; and the letters."""
    train, test = shakespeare.load_data()
    letters = "".join(sorted(set(train + test)))
    return pieces(encode(train, letters)), pieces(encode(test, letters)), letters


def encode(text: str, letters: str) -> np.ndarray:
    """A text as numbers of its letters."""
    return np.array([letters.index(letter) for letter in text], np.int32)


def pieces(numbers: np.ndarray) -> Data:
    end = (len(numbers) - 1) // CONTEXT * CONTEXT
    return numbers[:end].reshape(-1, CONTEXT), numbers[1 : end + 1].reshape(-1, CONTEXT)


def network(letters: int) -> lamina.Model:
    """Numbers of letters (steps,) in, logits of the next letter (steps, letters) out."""
    small = lamina.initializers.RandomNormal(stddev=0.02)
    numbers = layers.Input((None,), dtype="int32")
    x = layers.Embedding(letters, SIZE, small)(numbers)
    x = x + layers.PositionEmbedding(CONTEXT, small)(x)
    for _ in range(BLOCKS):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(HEADS, SIZE // HEADS)(y, y, use_causal_mask=True)
        y = layers.LayerNormalization()(x)
        x = x + layers.Dense(SIZE)(layers.Dense(4 * SIZE, activation="gelu")(y))
    return lamina.Model(numbers, layers.Dense(letters)(layers.LayerNormalization()(x)))


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    model, history = train(options.epochs)
    print(f"\nLoss for each letter of the last tenth of the text: {history['val_loss'][-1]:.3f} nats\n")

    letters = data()[2]
    beginning = encode("ROMEO:\n", letters)
    print("".join(letters[i] for i in generate(model, beginning, 500, temperature=0.8, seed=0)))
    print(f"\n{CONTEXT - len(beginning)} letters,")
    for cached in (True, False):
        started = time.perf_counter()
        generate(model, beginning, CONTEXT - len(beginning), seed=0, cached=cached)
        print(f"  {'with' if cached else 'without'} the cache: {1000 * (time.perf_counter() - started):.0f} ms")


if __name__ == "__main__":
    main()
