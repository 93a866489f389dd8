"""Skip-gram with negative sampling: vectors of words from the words around them (Mikolov et al., 2013).

Two words that stand near each other in a speech of Shakespeare's are a true pair; a word and any other are a false one.
A word's vector times the other's, and a number for how frequent the other is, say which it is.  200,000 words are
little, where a billion are usual, yet words of a kind find together: near "king" are "henry" and "throne", near "three"
are "two" and "five", near "romeo" are "tybalt" and "juliet".
"""

from __future__ import annotations

import argparse

import numpy as np

import lamina
from lamina import layers
from lamina.datasets import shakespeare
from lamina.inspection import nearest
from lamina.preprocessing.sequence import make_sampling_table, skipgrams
from lamina.preprocessing.text import Tokenizer

LEAST = 20  # times that a word occurs
WINDOW, NEGATIVE = 4, 4
UNITS = 48
BATCH, RATE = 2_048, 5e-3
Pairs = tuple[np.ndarray, np.ndarray]


def data() -> tuple[Pairs, Pairs, list[str]]:
    """Pairs of words int32 (n, 2) and whether they are true; those of later speeches to test; and the vocabulary."""
    # A speech begins with the speaker's name and a colon.
    x_train, x_test = (
        [speech.partition(":\n")[2] for speech in text.split("\n\n")] for text in shakespeare.load_data(0.1)
    )
    counted = Tokenizer()
    counted.fit_on_texts(x_train)
    size = 1 + sum(count >= LEAST for count in counted.word_counts.values())
    counted.num_words = size
    keep = make_sampling_table(size, 1e-3)
    rng = np.random.default_rng(0)

    def pairs(texts: list[str]) -> Pairs:
        found = [
            skipgrams(sequence, size, WINDOW, NEGATIVE, sampling_table=keep, seed=rng)
            for sequence in counted.texts_to_sequences(texts)
        ]
        couples, labels = zip(*found, strict=True)
        return np.concatenate(couples), np.concatenate(labels).astype(np.float32)

    return pairs(x_train), pairs(x_test), ["", *(counted.index_word[i] for i in range(1, size))]


def network(words: int) -> lamina.Model:
    """Pairs (2,) in, the logit of a true pair out."""
    pair = layers.Input((2,), dtype="int32")
    word, other = pair[:, 0], pair[:, 1]
    vector = layers.Embedding(words, UNITS, name="vectors")(word)
    around = layers.Embedding(words, UNITS, embeddings_initializer="zeros")(other)
    frequency = layers.Embedding(words, 1, embeddings_initializer="zeros")(other)
    return lamina.Model(pair, layers.Dot(axes=-1)([vector, around]) + frequency)


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[lamina.Model, dict[str, list[float]]]:
    """Train.  Returns the model and the history; ``val_loss`` is that of pairs from speeches not trained on."""
    lamina.random.seed(seed)
    train, test, vocabulary = data()
    model = network(len(vocabulary))
    schedule = lamina.optimizers.schedules.CosineDecay(RATE, epochs * -(-len(train[0]) // BATCH))
    model.compile(lamina.optimizers.Adam(schedule), loss=lamina.losses.BinaryCrossentropy(from_logits=True))
    history = model.fit(*train, batch_size=BATCH, epochs=epochs, validation_data=test, verbose=verbose)
    return model, history.history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--words", nargs="*", default=["king", "thou", "romeo", "three", "blood", "go"])
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    model, history = train(options.epochs)
    print(f"\nLoss of pairs not trained on: {history['val_loss'][-1]:.4f}\n")
    vectors, vocabulary = model.get_layer("vectors").get_weights()[0], data()[2]
    for word in options.words:
        near = nearest(vectors, word, 6, vocabulary)
        print(f"{word:>10}: " + ", ".join(f"{other} {cosine:.2f}" for other, cosine in near))


if __name__ == "__main__":
    main()
