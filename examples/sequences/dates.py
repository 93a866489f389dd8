"""Sequence to sequence with attention: dates as people write them to ISO dates, "Sunday, May 3rd 1979" to 1979-05-03.

An encoder reads the characters in both directions, a decoder writes ten characters, and at each looks at those of the
date that matter (Bahdanau et al., 2015).  The dates are made here; no day that is tested on was trained on.  After
four epochs nearly all are right, and the attention shows where each character was read.
"""

from __future__ import annotations

import argparse
from datetime import date, timedelta
from typing import Any

import numpy as np

import lamina
from lamina import layers, ops
from lamina.utils import pad_sequences

TRAIN, TEST = 12_000, 2_000
FIRST, DAYS = date(1900, 1, 1), 73_049  # two centuries
ORDINALS = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}
SOURCE = "\0 ',./0123456789abcdefghijklmnopqrstuvwxyz"  # the first fills up to LENGTH
TARGET = "0123456789->"  # the last stands before the first character
LENGTH, STEPS = 30, 10
UNITS = 64
BATCH, RATE = 64, 4e-3
Arrays = tuple[np.ndarray, np.ndarray]


def written(day: date, rng: np.random.Generator) -> str:
    """A day as somebody might write it."""
    month, weekday, d, year = f"{day:%B}".lower(), f"{day:%A}".lower(), day.day, day.year
    ordinal = f"{d}{ORDINALS.get(d, 'th')}"
    forms = [
        f"{d} {month} {year}", f"{month} {d}, {year}", f"{weekday}, {month} {ordinal} {year}",
        f"{d}. {month[:3]} {year}", f"the {ordinal} of {month} {year}", f"{weekday[:3]} {d} {month[:3]} {year}",
        f"{day.month}/{d}/{year}", f"{d}.{day.month}.{year}", f"{year}, {month} {d}",
    ]  # fmt: skip
    if 1950 <= year < 2050:  # else two digits do not tell the century
        forms += [f"{month[:3]} {d} '{year % 100:02}", f"{day.month}/{d}/{year % 100:02}"]
    return forms[rng.integers(len(forms))]


def encode(texts: list[str]) -> np.ndarray:
    """Numbers of characters, int32 (n, LENGTH)."""
    return pad_sequences([[SOURCE.index(c) for c in text] for text in texts], LENGTH, padding="post")


def data() -> tuple[Arrays, Arrays, list[str]]:
    """Numbers of the dates' characters (n, LENGTH) and of the ISO dates' (n, STEPS), and the test dates as text."""
    rng = np.random.default_rng(0)
    days = [FIRST + timedelta(int(n)) for n in rng.permutation(DAYS)[: TRAIN + TEST]]
    texts = [written(day, rng) for day in days]
    x, y = encode(texts), np.array([[TARGET.index(c) for c in day.isoformat()] for day in days], np.int32)
    return (x[:TRAIN], y[:TRAIN]), (x[TRAIN:], y[TRAIN:]), texts[TRAIN:]


class Translator(lamina.Model):
    """Logits of each next character, of what was read and of the characters before it."""

    def __init__(self) -> None:
        super().__init__()
        self.characters = layers.Embedding(len(SOURCE), UNITS, mask_zero=True)
        self.reader = layers.Bidirectional(layers.GRU(UNITS, return_sequences=True, return_state=True))
        self.written = layers.Embedding(len(TARGET), UNITS)
        self.writer = layers.GRU(2 * UNITS, return_sequences=True, return_state=True)
        self.query, self.key = layers.Dense(UNITS), layers.Dense(UNITS)
        self.attention = layers.AdditiveAttention()
        self.head = layers.Dense(len(TARGET) - 1)

    def read(self, source: Any) -> tuple[Any, Any, Any]:
        """Features of each character, which of them are real, and the writer's first state."""
        embedded = self.characters(source)
        features, forward, backward = self.reader(embedded)
        return features, ops.not_equal(source, 0), ops.concat([forward, backward], axis=-1)

    def write(self, before: Any, state: Any, features: Any, mask: Any) -> tuple[Any, Any, Any]:
        """Logits (batch, steps, 11), the new state, and the attention (batch, steps, LENGTH)."""
        outputs, state = self.writer(self.written(before), initial_state=state)
        seen, weights = self.attention(
            [self.query(outputs), features, self.key(features)], mask=[None, mask], return_attention_scores=True
        )
        return self.head(ops.concat([outputs, seen], axis=-1)), state, weights

    def call(self, inputs: Any) -> Any:
        """Training: the right characters stand before each (teacher forcing)."""
        source, before = inputs
        features, mask, state = self.read(source)
        return self.write(before, state, features, mask)[0]


def shifted(y: np.ndarray) -> np.ndarray:
    """What stands before each character."""
    return np.concatenate([np.full_like(y[:, :1], TARGET.index(">")), y[:, :-1]], axis=1)


def translate(model: Translator, x: np.ndarray) -> Arrays:
    """Each time the likeliest character: numbers (n, STEPS), and where the model looked (n, STEPS, LENGTH)."""
    read, write = lamina.function(model.read), lamina.function(model.write)
    features, mask, state = read(lamina.Tensor(x))
    before, found, looked = ops.full((len(x), 1), TARGET.index(">"), dtype="int32"), [], []
    for _ in range(STEPS):
        logits, state, weights = write(before, state, features, mask)
        before = ops.astype(ops.argmax(logits, axis=-1), "int32")
        found.append(before)
        looked.append(weights)
    return ops.concat(found, axis=1).numpy(), ops.concat(looked, axis=1).numpy()


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[Translator, dict[str, list[float]]]:
    """Train.  Returns the model and the history; ``val_exact`` is the share of unseen dates written without fault."""
    lamina.random.seed(seed)
    (x, y), (x_test, y_test), _ = data()
    model = Translator()
    exact: list[float] = []

    def measure(epoch: int, logs: dict[str, float]) -> None:
        exact.append(float((translate(model, x_test)[0] == y_test).all(axis=1).mean()))
        if verbose:
            print(f"exact: {exact[-1]:.1%}")

    schedule = lamina.optimizers.schedules.CosineDecay(RATE, epochs * -(-len(x) // BATCH))
    model.compile(lamina.optimizers.Adam(schedule), loss=lamina.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(
        (x, shifted(y)), y, batch_size=BATCH, epochs=epochs, verbose=verbose,
        callbacks=[lamina.callbacks.LambdaCallback(on_epoch_end=measure)],
    )  # fmt: skip
    return model, {**history.history, "val_exact": exact}


def show(text: str, numbers: np.ndarray, weights: np.ndarray) -> None:
    """The attention in shades: a row for each character that was written."""
    print(f"\n     {text}")
    for number, row in zip(numbers, weights[:, : len(text)], strict=True):
        print(f"  {TARGET[number]}  " + "".join(" .:+*#"[int(5.99 * w)] for w in row / row.max()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--dates", nargs="*", type=str.lower, help="dates of yours")
    parser.add_argument("--picture", help="file to draw the attention of the first one into (extra matplotlib)")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    for text in options.dates or ():
        if len(text) > LENGTH or set(text) - set(SOURCE):
            parser.error(f"{text!r}: at most {LENGTH} of the characters{SOURCE[1:]}")
    model, history = train(options.epochs)
    print(f"\nUnseen dates written without fault: {history['val_exact'][-1]:.1%}")
    texts = options.dates or data()[2][:3]
    found, looked = translate(model, encode(texts))
    for text, numbers, weights in zip(texts, found, looked, strict=True):
        show(text, numbers, weights)
    if options.picture:
        written = [TARGET[number] for number in found[0]]
        lamina.plotting.plot_attention(looked[0, :, : len(texts[0])], written, list(texts[0]), options.picture)


if __name__ == "__main__":
    main()
