"""Clothes told apart by a Sequential model: one hidden layer, then a larger model with two."""

from __future__ import annotations

import argparse

import numpy as np
from at_hand import clothes

from lamina.compat import tensorflow as tf
from lamina.compat.tensorflow import keras


def small() -> keras.Sequential:
    """One hidden layer of 128 units."""
    return keras.Sequential(
        [
            keras.layers.Input(shape=(28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def large() -> keras.Sequential:
    """Two hidden layers, of 300 and 100 units, added one after the other."""
    model = keras.models.Sequential()
    model.add(keras.layers.Input(shape=[28, 28]))
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(300, activation="relu"))
    model.add(keras.layers.Dense(100, activation="relu"))
    model.add(keras.layers.Dense(10, activation="softmax"))
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    tf.random.set_seed(42)

    (train_images, train_labels), (test_images, test_labels), names = clothes()
    print(train_images.shape, train_labels.shape, "pixels from", train_images.min(), "to", train_images.max())
    train_images, test_images = train_images / 255.0, test_images / 255.0

    model = small()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train_images, train_labels, epochs=options.epochs, verbose=2)
    loss, accuracy = model.evaluate(test_images, test_labels, verbose=0)
    print(f"small: test loss {loss:.3f}, test accuracy {accuracy:.3f}")

    held = len(train_images) // 10
    x_valid, x_train = train_images[:held], train_images[held:]
    y_valid, y_train = train_labels[:held], train_labels[held:]
    model = large()
    model.summary()
    weights, biases = model.layers[1].get_weights()
    print("first hidden layer:", weights.shape, biases.shape)
    model.compile(
        loss="sparse_categorical_crossentropy",
        optimizer=keras.optimizers.SGD(learning_rate=0.05),
        metrics=["accuracy"],
    )
    history = model.fit(x_train, y_train, epochs=options.epochs, validation_data=(x_valid, y_valid), verbose=2)
    print("curves of", sorted(history.history), "over", len(history.epoch), "epochs")
    loss, accuracy = model.evaluate(test_images, test_labels, verbose=0)
    print(f"large: test loss {loss:.3f}, test accuracy {accuracy:.3f}")

    probabilities = model.predict(test_images[:3], verbose=0)
    print(probabilities.round(2))
    for row, label in zip(probabilities, test_labels, strict=False):
        print(f"taken for {names[np.argmax(row)]}, is {names[label]}")


if __name__ == "__main__":
    main()
