"""Callbacks: stop when nothing gets better, keep the model of every epoch, write curves for TensorBoard."""

from __future__ import annotations

import argparse
from pathlib import Path

from at_hand import numerals

from lamina.compat import tensorflow as tf


def network() -> tf.keras.Sequential:
    """A small network for digits."""
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input((28, 28)),
            tf.keras.layers.Rescaling(1 / 255),
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(64, activation="relu"),
            tf.keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--folder", type=Path, default=Path("callbacks-output"))
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    tf.random.set_seed(0)
    (x_train, y_train), (x_test, y_test) = numerals()

    model = network()
    callbacks = [
        tf.keras.callbacks.EarlyStopping(monitor="val_loss", patience=2, restore_best_weights=True),
        tf.keras.callbacks.ModelCheckpoint(filepath=options.folder / "model.{epoch:02d}-{val_loss:.2f}.keras"),
        tf.keras.callbacks.TensorBoard(log_dir=options.folder / "logs"),
        tf.keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch + 1, f"{logs['val_loss']:.3f}")),
    ]
    history = model.fit(
        x_train, y_train, epochs=options.epochs, validation_split=0.1, callbacks=callbacks, verbose=0
    )
    print(f"stopped after {len(history.epoch)} of at most {options.epochs} epochs")

    files = sorted(options.folder.glob("model.*.keras"))
    print(f"{len(files)} models were kept, the last as {files[-1].name}")
    again = tf.keras.models.load_model(files[-1])
    print("it is a model as before:", again.evaluate(x_test, y_test, verbose=0, return_dict=True))
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"Test accuracy of the best weights: {accuracy:.3f}")
    print("for TensorBoard:", sorted(path.name for path in (options.folder / "logs").iterdir()))


if __name__ == "__main__":
    main()
