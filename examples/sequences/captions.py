"""One to many: a convolutional network looks at a picture, a GRU says what it sees, word by word.

The pictures show one or two of MNIST's digits, the captions are "a seven", "a three above an eight", "two fives".
In training the decoder is given the right words up to each (teacher forcing); then it goes on from its own.  Every
word but "a" and "of" can only be known from the picture.  After five epochs more than nine of ten captions are right in
every word, of pictures with digits never seen before.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import lamina
from lamina import layers, ops
from lamina.datasets import mnist
from lamina.preprocessing.text import Tokenizer
from lamina.utils import pad_sequences

TRAIN, TEST = 16_000, 2_000  # pictures; the digits on them are from the first 8,000 and the last 2,000 of the file
SIZE, DIGIT = 48, 24
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
START, END = "<start>", "<end>"
LONGEST = 7  # words, the end included
UNITS = 128
BATCH, RATE = 64, 2e-3
WORDS = Tokenizer(filters="")  # 0 fills up
WORDS.fit_on_texts([START, END, "a an left of above two", " ".join(NAMES), " ".join(f"{n}s" for n in NAMES), "sixes"])


def one(digit: int) -> str:
    """With its article."""
    return ("an " if NAMES[digit] == "eight" else "a ") + NAMES[digit]


def pictures(images: np.ndarray, labels: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Pictures float32 (count, SIZE, SIZE, 1) with one digit, two side by side, or two one above the other."""
    rng = np.random.default_rng(seed)
    x, captions = np.zeros((count, SIZE, SIZE, 1), np.float32), []
    for picture in x:
        first, second = rng.integers(len(images), size=2)
        kind = rng.integers(3)
        places = [(12, 12)] if kind == 0 else [(12, 2), (12, 22)] if kind == 1 else [(2, 12), (22, 12)]
        for which, (row, column) in zip((first, second), places, strict=False):
            row, column = row + rng.integers(-2, 3), column + rng.integers(-2, 3)
            seen = picture[row : row + DIGIT, column : column + DIGIT, 0]
            np.maximum(seen, images[which, 2:-2, 2:-2] / 255, out=seen)
        a, b = labels[first], labels[second]
        if kind == 0:
            captions.append(one(a))
        elif a == b:
            captions.append("two sixes" if a == 6 else f"two {NAMES[a]}s")
        else:
            captions.append(f"{one(a)} {'left of' if kind == 1 else 'above'} {one(b)}")
    return x, captions


def data() -> tuple[tuple[np.ndarray, list[str]], tuple[np.ndarray, list[str]]]:
    """Pictures and captions, to train and to test."""
    images, labels = mnist.load_test_images()
    return pictures(images[:8000], labels[:8000], TRAIN, 0), pictures(images[8000:], labels[8000:], TEST, 1)


def numbers(captions: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the words before each, and of the words, int32 (n, LONGEST)."""
    before, after = ([f"{START} {c}" for c in captions], [f"{c} {END}" for c in captions])
    return tuple(pad_sequences(WORDS.texts_to_sequences(t), LONGEST, padding="post") for t in (before, after))  # type: ignore[return-value]


def network() -> tuple[lamina.Model, lamina.Model, lamina.Model]:
    """The model to train, and its two halves: picture to state, and (word, state) to (logits, state)."""
    convolutions = [
        layer
        for filters in (16, 32, 64)
        for layer in (layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.MaxPooling2D())
    ]
    encoder = lamina.Sequential(
        [
            layers.Input((SIZE, SIZE, 1)),
            *convolutions,
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(UNITS, activation="tanh"),
        ],
        name="encoder",
    )
    word, state = layers.Input((None,), dtype="int32"), layers.Input((UNITS,))
    embedded = layers.Embedding(len(WORDS.word_index) + 1, UNITS, mask_zero=True)(word)
    outputs, last = layers.GRU(UNITS, return_sequences=True, return_state=True)(embedded, initial_state=state)
    decoder = lamina.Model([word, state], [layers.Dense(len(WORDS.word_index) + 1)(outputs), last], name="decoder")
    picture, before = layers.Input((SIZE, SIZE, 1)), layers.Input((LONGEST,), dtype="int32")
    return lamina.Model([picture, before], decoder([before, encoder(picture)])[0]), encoder, decoder


def describe(encoder: lamina.Model, decoder: lamina.Model, x: np.ndarray) -> list[str]:
    """The likeliest word each time, up to the end."""
    step = lamina.function(lambda word, state: decoder([word, state]))
    state: Any = lamina.Tensor(encoder.predict(x, batch_size=500, verbose=0))
    word: Any = ops.full((len(x), 1), WORDS.word_index[START], dtype="int32")
    said = []
    for _ in range(LONGEST):
        logits, state = step(word, state)
        word = ops.astype(ops.argmax(logits, axis=-1), "int32")
        said.append(word)
    texts = WORDS.sequences_to_texts(ops.concat(said, axis=1).numpy())
    return [text.split(END)[0].strip() for text in texts]


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[Any, dict[str, list[float]]]:
    """Train.  Returns encoder and decoder, and the history: ``val_exact`` is the share of captions without fault."""
    lamina.random.seed(seed)
    (x, captions), (x_test, captions_test) = data()
    before, after = numbers(captions)
    model, encoder, decoder = network()
    exact: list[float] = []

    def measure(epoch: int, logs: dict[str, float]) -> None:
        said = describe(encoder, decoder, x_test)
        exact.append(float(np.mean([a == b for a, b in zip(said, captions_test, strict=True)])))
        if verbose:
            print(f"exact: {exact[-1]:.1%}")

    schedule = lamina.optimizers.schedules.CosineDecay(RATE, epochs * -(-len(x) // BATCH))
    loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    model.compile(lamina.optimizers.Adam(schedule), loss=loss)
    history = model.fit(
        [x, before], after, batch_size=BATCH, epochs=epochs, verbose=verbose,
        callbacks=[lamina.callbacks.LambdaCallback(on_epoch_end=measure)],
    )  # fmt: skip
    return (encoder, decoder), {**history.history, "val_exact": exact}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    (encoder, decoder), history = train(options.epochs)
    print(f"\nCaptions without fault: {history['val_exact'][-1]:.1%}\n")
    x, captions = data()[1]
    for picture, said, right in zip(x[:4], describe(encoder, decoder, x[:4]), captions, strict=False):
        for row in picture[::2, :, 0]:  # a character is twice as high as wide
            print("".join(" .:*#"[int(4.99 * ink)] for ink in row).rstrip())
        print(f"  --> {said}" + ("" if said == right else f"   (right: {right})"))


if __name__ == "__main__":
    main()
