"""Movie reviews, favourable or not: which words occur, as a vector of zeros and ones, through 16, 16 and 1 units."""

from __future__ import annotations

import argparse

import numpy as np
from at_hand import reviews

from lamina.compat.tensorflow import keras
from lamina.compat.tensorflow.keras import layers

WORDS = 10_000


def multi_hot(sequences: np.ndarray, dimension: int = WORDS) -> np.ndarray:
    """A row for each review with 1 in the columns of the words that occur."""
    rows = np.zeros((len(sequences), dimension), dtype="float32")
    for i, sequence in enumerate(sequences):
        rows[i, sequence] = 1.0
    return rows


def network() -> keras.Sequential:
    """Two layers of 16 units, and one unit for the probability of praise."""
    return keras.Sequential(
        [
            layers.Dense(16, activation="relu"),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    keras.utils.set_random_seed(1)

    (train_data, train_labels), (test_data, test_labels), word_index = reviews(WORDS)
    words = {number: word for word, number in word_index.items()}
    print("a review:", " ".join(words.get(n - 3, "?") for n in train_data[0])[:70], "...", train_labels[0])

    x_train, x_test = multi_hot(train_data), multi_hot(test_data)
    y_train, y_test = np.asarray(train_labels).astype("float32"), np.asarray(test_labels).astype("float32")
    held = len(x_train) * 2 // 5
    x_valid, x_part = x_train[:held], x_train[held:]
    y_valid, y_part = y_train[:held], y_train[held:]

    model = network()
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(
        x_part, y_part, epochs=options.epochs, batch_size=512, validation_data=(x_valid, y_valid), verbose=0
    ).history
    best = int(np.argmin(history["val_loss"])) + 1
    print(f"the validation loss is lowest after {best} of {options.epochs} epochs; then reviews are learned by heart")

    model = network()  # a fresh one, for as long as was good
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=best, batch_size=512, verbose=0)
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"Test accuracy: {accuracy:.3f} (loss {loss:.3f})")

    predictions = model.predict(x_test, verbose=0)
    print("how sure it is:", predictions[:5].round(2).ravel(), "of", predictions.shape)


if __name__ == "__main__":
    main()
