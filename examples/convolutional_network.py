"""A small convolutional network on handwritten digits: convolutions and pooling, then dense layers.

It is LeCun's LeNet-5 (1998) in today's form and fitted to images of 8 x 8 pixels.  The digits come
with scikit-learn; nothing is downloaded.
"""

from __future__ import annotations

import numpy as np

import lamina
from lamina import layers
from lamina.datasets import digits


def network() -> lamina.Sequential:
    """Images (8, 8, 1) in, probabilities of the ten digits out."""
    return lamina.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def main() -> None:
    lamina.random.seed(0)
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    # Pixels from 0 to 1, and an axis for the one channel of a grey image.
    x_train, x_test = (x[..., None].astype(np.float32) / 16 for x in (x_train, x_test))

    model = network()
    model.compile(lamina.optimizers.Adam(3e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.summary()
    model.fit(x_train, y_train, batch_size=32, epochs=20, validation_split=0.1)

    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"\nTest accuracy: {accuracy:.1%} (loss {loss:.4f})")

    guesses = model.predict(x_test, verbose=0).argmax(axis=-1)
    wrong = np.flatnonzero(guesses != y_test)
    print(f"{len(wrong)} of {len(y_test)} digits are taken for another:")
    for i in wrong[:5]:
        print(f"  image {i} is {y_test[i]}, taken for {guesses[i]}")


if __name__ == "__main__":
    main()
