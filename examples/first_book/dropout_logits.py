"""Dropout against learning by heart, a loss of logits, and probabilities by a layer put on top afterwards."""

from __future__ import annotations

import argparse

from at_hand import numerals

from lamina.compat import tensorflow as tf


def network() -> tf.keras.Sequential:
    """Images in, ten logits out; a fifth of the hidden units is left out in each step of training."""
    return tf.keras.models.Sequential(
        [
            tf.keras.layers.Input(shape=(28, 28)),
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(128, activation="relu"),
            tf.keras.layers.Dropout(0.2),
            tf.keras.layers.Dense(10),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    tf.random.set_seed(7)

    (x_train, y_train), (x_test, y_test) = numerals()
    x_train, x_test = x_train / 255.0, x_test / 255.0

    model = network()
    before = model(x_train[:1]).numpy()
    print("probabilities before training:", tf.nn.softmax(before).numpy().round(2))

    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    print("its loss:", round(float(loss(y_train[:1], before)), 2), "- guessing would be about 2.3")
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=options.epochs, verbose=2)
    _, accuracy = model.evaluate(x_test, y_test, verbose=2)
    print(f"Test accuracy: {accuracy:.3f}")

    probabilities = tf.keras.Sequential([model, tf.keras.layers.Softmax()])
    some = probabilities(x_test[:5])
    print("taken for", tf.argmax(some, axis=1).numpy(), "are", y_test[:5])
    print("each row adds up to 1:", tf.reduce_sum(some, axis=1).numpy().round(4))


if __name__ == "__main__":
    main()
