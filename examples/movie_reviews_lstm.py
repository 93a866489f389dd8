"""An LSTM reads sentences from movie reviews and says whether they praise.

10,662 sentences, four fifths to learn from.  Without pretrained word vectors some three quarters of the
others are judged rightly; then the network begins to learn the sentences by heart.
"""

from __future__ import annotations

import argparse

import numpy as np

import lamina
from lamina import layers
from lamina.datasets import movie_reviews
from lamina.preprocessing.text import Tokenizer
from lamina.utils import pad_sequences

WORDS = 8_000  # the most frequent ones
STEPS = 40
UNITS = 32  # of the embedding and of the LSTM
DROPOUT = 0.4  # of the words' features
BATCH = 64
RATE = 3e-4
Data = tuple[np.ndarray, np.ndarray]


def data() -> tuple[Data, Data, Tokenizer]:
    """Numbers of words int32 (n, STEPS), filled up with 0 in front, and labels; what numbered the words."""
    (x_train, y_train), (x_test, y_test) = movie_reviews.load_data()
    tokenizer = Tokenizer(WORDS, oov_token="<?>")
    tokenizer.fit_on_texts(x_train)
    train, test = (pad_sequences(tokenizer.texts_to_sequences(x), STEPS) for x in (x_train, x_test))
    return (train, y_train), (test, y_test), tokenizer


def network() -> lamina.Sequential:
    """Numbers of words (STEPS,) in, probability of praise out."""
    return lamina.Sequential(
        [
            layers.Input((STEPS,), dtype="int32"),
            layers.Embedding(WORDS, UNITS),
            layers.SpatialDropout1D(DROPOUT),
            layers.LSTM(UNITS),
            layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[lamina.Model, dict[str, list[float]]]:
    """Train.  Returns the model, and losses and accuracies by epoch, those of the test sentences under ``val_``."""
    lamina.random.seed(seed)
    model = network()
    if verbose:
        model.summary()
    (x_train, y_train), (x_test, y_test), _ = data()
    model.compile(lamina.optimizers.Adam(RATE), loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(
        x_train, y_train, batch_size=BATCH, epochs=epochs, validation_data=(x_test, y_test), verbose=verbose
    )
    return model, history.history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    model, history = train(options.epochs)
    losses = ", ".join(f"{loss:.3f}" for loss in history["val_loss"])
    print(f"\nTest accuracy: {history['val_accuracy'][-1]:.2%} (losses by epoch: {losses})")

    own = ["a warm , funny and touching film", "dull , slow and far too long"]
    numbers = pad_sequences(data()[2].texts_to_sequences(own), STEPS)
    for sentence, praise in zip(own, model.predict(numbers, verbose=0)[:, 0], strict=True):
        print(f"  {praise:.0%} praise: {sentence}")


if __name__ == "__main__":
    main()
