"""Train a small network on handwritten digits, look at how it learned, save it, load it, use it.

Run it with ``make demo``.  The digits come with scikit-learn; nothing is downloaded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import lamina
from lamina import layers
from lamina.datasets import digits
from lamina.plotting import plot_history

OUTPUT = Path("demo-output")


def picture(image: np.ndarray) -> list[str]:
    """An 8x8 digit in characters, two for each pixel."""
    return ["".join(" .:-=+*#%@"[int(v) * 9 // 16] * 2 for v in row) for row in image]


def main() -> None:
    lamina.random.seed(0)
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    print(f"{len(x_train)} digits to learn from, {len(x_test)} to test on, each of {x_train[0].size} pixels")

    model = lamina.Sequential(
        [
            layers.Input((8, 8)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.summary()

    scale = np.float32(1 / 16)
    history = model.fit(x_train * scale, y_train, batch_size=32, epochs=20, validation_split=0.1)
    loss, accuracy = model.evaluate(x_test * scale, y_test, verbose=0)
    print(f"\nTest accuracy: {accuracy:.1%} (loss {loss:.4f})")

    OUTPUT.mkdir(exist_ok=True)
    curves = OUTPUT / "learning-curves.png"
    plot_history(history, curves, title="A small network learns handwritten digits")
    print(f"Learning curves: {curves}")

    saved = OUTPUT / "digits.safetensors"
    model.save(saved)
    again = lamina.models.load_model(saved)
    print(f"Saved model: {saved} ({saved.stat().st_size / 1000:.0f} kB), loaded again")

    probabilities = again.predict(x_test[:6] * scale, verbose=0)
    same = np.array_equal(probabilities, model.predict(x_test[:6] * scale, verbose=0))
    print(f"Its predictions are {'the same' if same else 'NOT the same'} as before saving.")
    print("Six digits it has never seen, what it takes them for, how sure it is, and what they are:\n")
    for lines in zip(*[picture(image) for image in x_test[:6]], strict=True):
        print("   ".join(lines))
    guesses = [f"{p.argmax()} ({p.max():.0%}), is {y}" for p, y in zip(probabilities, y_test[:6], strict=True)]
    print("   ".join(f"{guess:<16}" for guess in guesses))


if __name__ == "__main__":
    main()
