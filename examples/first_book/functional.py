"""The functional API: digits through two hidden layers, trained by RMSprop with a part held back for validation."""

from __future__ import annotations

import argparse

from at_hand import numerals

from lamina.compat import tensorflow as tf
from lamina.compat.tensorflow import keras
from lamina.compat.tensorflow.keras import layers


def network() -> keras.Model:
    """784 pixels in, the logits of ten digits out."""
    inputs = keras.Input(shape=(784,), name="pixels")
    x = layers.Dense(64, activation="relu", name="hidden_1")(inputs)
    x = layers.Dense(64, activation="relu", name="hidden_2")(x)
    outputs = layers.Dense(10, name="logits")(x)
    return keras.Model(inputs=inputs, outputs=outputs, name="digits")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    tf.random.set_seed(0)

    (x_train, y_train), (x_test, y_test) = numerals()
    x_train = x_train.reshape(-1, 784).astype("float32") / 255
    x_test = x_test.reshape(-1, 784).astype("float32") / 255

    model = network()
    model.summary()
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.RMSprop(),
        metrics=["accuracy"],
    )
    history = model.fit(x_train, y_train, batch_size=64, epochs=options.epochs, validation_split=0.2, verbose=2)
    print("validation accuracy by epoch:", [f"{a:.3f}" for a in history.history["val_accuracy"]])

    scores = model.evaluate(x_test, y_test, verbose=2)
    print("Test loss:", round(scores[0], 4))
    print("Test accuracy:", round(scores[1], 4))

    # A part of the graph is a model, too: what the second hidden layer makes of a digit.
    hidden = keras.Model(model.input, model.get_layer("hidden_2").output)
    print("features of three digits:", hidden(x_test[:3]).shape)


if __name__ == "__main__":
    main()
