"""A neural Turing machine learns to copy: it reads rows of random bits, and then writes them down from memory.

Graves, Wayne and Danihelka, "Neural Turing Machines" (2014).  The machine is a cell of a recurrent layer whose states
are a memory and where its two heads were; a head goes to what looks like its key (content) and from there, or from
where it was, one place on or back (location).  It learns from sequences of 1 to 10 rows and also copies 20, which says
that it has learned to copy, and not sequences by heart.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import lamina
from lamina import Tensor, layers, nn

BITS, SHORTEST, LONGEST, LONGER = 8, 1, 10, 20
SLOTS, WIDTH, UNITS = 32, 16, 64  # places of the memory, numbers in each; units of the controller
SHIFTS = 3  # a head may go back, stay, or go on
BATCH, BATCHES, RATE = 32, 250, 4e-3  # BATCHES in an epoch
CLIP = 0.1  # greatest norm of the gradient of a variable
ADDRESS = WIDTH + 1 + 1 + SHIFTS + 1  # what says where a head goes: key, its strength, gate, shift, sharpening
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


class TuringMachineCell(layers.Layer):
    """One step: read the input and what was read before, write into the memory, read from it, say what to put out."""

    state_size = (SLOTS * WIDTH, WIDTH, SLOTS, SLOTS)
    output_size = BITS

    def build(self, input_shape: Any) -> None:
        self.controller = layers.Dense(UNITS, activation="tanh")
        self.heads = layers.Dense(2 * ADDRESS + 2 * WIDTH)
        self.output_layer = layers.Dense(BITS, activation="sigmoid")

    def get_initial_state(self, batch_size: int) -> list[Tensor]:
        """An empty memory, nothing read, and both heads at its beginning."""
        at_start = lamina.broadcast_to(lamina.eye(1, SLOTS), (batch_size, SLOTS))
        memory = lamina.full((batch_size, SLOTS, WIDTH), 1e-6)
        return [memory, lamina.zeros((batch_size, WIDTH)), at_start, at_start]

    def call(self, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        memory, seen, reading, writing = states
        hidden = self.controller(lamina.concat([inputs, seen], axis=-1))
        to_write, to_read, erased, added = lamina.split(
            self.heads(hidden), [ADDRESS, 2 * ADDRESS, 2 * ADDRESS + WIDTH], axis=-1
        )
        writing = self.address(to_write, memory, writing)
        place = writing[:, :, None]
        memory = memory * (1 - place * nn.sigmoid(erased)[:, None]) + place * lamina.tanh(added)[:, None]
        reading = self.address(to_read, memory, reading)
        seen = lamina.sum(reading[:, :, None] * memory, axis=1)
        return self.output_layer(lamina.concat([hidden, seen], axis=-1)), [memory, seen, reading, writing]

    def address(self, command: Tensor, memory: Tensor, before: Tensor) -> Tensor:
        """How much a head is at each slot (batch, SLOTS), given what it is told and where it was."""
        key, strength, gate, shift, sharpness = lamina.split(
            command, [WIDTH, WIDTH + 1, WIDTH + 2, WIDTH + 2 + SHIFTS], axis=-1
        )
        likeness = lamina.sum(unit(memory) * unit(lamina.tanh(key))[:, None], axis=-1)
        content = nn.softmax(nn.softplus(strength) * likeness)
        gate = nn.sigmoid(gate)
        mixed = gate * content + (1 - gate) * before
        shift = nn.softmax(shift)
        moved = sum(lamina.roll(mixed, i - 1, axis=1) * shift[:, i : i + 1] for i in range(SHIFTS))
        return nn.softmax((1 + nn.softplus(sharpness)) * lamina.log(moved + 1e-8))  # moved ** (1 + ...)


def unit(x: Tensor) -> Tensor:
    """Vectors along the last axis of length 1."""
    return x / lamina.sqrt(lamina.sum(x**2, axis=-1, keepdims=True) + 1e-8)


def sequences(count: int, shortest: int, longest: int, seed: int) -> Arrays:
    """Inputs (count, steps, BITS + 1), what is to be put out (count, steps, BITS), and in which steps that counts.

    The rows of bits, the sign that they have ended, and then nothing, while the machine has to write.
    """
    rng = np.random.default_rng(seed)
    steps = 2 * longest + 1
    x, y = np.zeros((count, steps, BITS + 1), np.float32), np.zeros((count, steps, BITS), np.float32)
    lengths = rng.integers(shortest, longest + 1, count)
    for row, length in enumerate(lengths):
        bits = rng.integers(0, 2, (length, BITS))
        x[row, :length, :BITS], x[row, length, BITS] = bits, 1
        y[row, length + 1 : 2 * length + 1] = bits
    step = np.arange(steps)
    counts = (step > lengths[:, None]) & (step <= 2 * lengths[:, None])
    return x, y, counts.astype(np.float32)


def training_sequences(epoch: int, seed: int) -> Arrays:
    """New ones in each epoch."""
    return sequences(BATCH * BATCHES, SHORTEST, LONGEST, seed=1_000 * seed + epoch)


def test_sequences() -> Arrays:
    """Longer than those of the training."""
    return sequences(200, LONGER, LONGER, seed=1_000_000)


def network() -> lamina.Model:
    """Sequences of any number of steps in, probabilities of the bits out."""
    return lamina.Sequential([layers.Input((None, BITS + 1)), layers.RNN(TuringMachineCell(), return_sequences=True)])


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[lamina.Model, dict[str, list[float]]]:
    """Train.  Returns the model and by epoch the losses and the shares of bits that are right, those of longer
    sequences than it learns from under ``val_``."""
    lamina.random.seed(seed)
    model = network()
    schedule = lamina.optimizers.schedules.CosineDecay(RATE, epochs * BATCHES)
    optimizer = lamina.optimizers.Adam(schedule, clipnorm=CLIP)
    model.compile(optimizer, "binary_crossentropy", weighted_metrics=["binary_accuracy"])
    test = test_sequences()
    history: dict[str, list[float]] = {}
    for epoch in range(epochs):
        x, y, counts = training_sequences(epoch, seed)
        done = model.fit(x, y, BATCH, 1, sample_weight=counts, validation_data=test, verbose=verbose)
        for name, values in done.history.items():
            history.setdefault(name, []).extend(values)
    return model, history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    model, history = train(options.epochs)
    print(f"\nOf sequences of {LONGER} rows {history['val_binary_accuracy'][-1]:.1%} of the bits are right.")
    x, y, _ = sequences(1, LONGER, LONGER, seed=1)
    copied = model.predict(x, verbose=0)
    for name, bits in (("given", y), ("copied", copied)):
        for line in bits[0, LONGER + 1 :].T > 0.5:
            print(f"{name:>7}  " + "".join("#" if bit else "." for bit in line))
        print()


if __name__ == "__main__":
    main()
