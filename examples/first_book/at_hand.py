"""The data of the examples: the set that a listing names, or without a network the nearest one that is there."""

from __future__ import annotations

import numpy as np

from lamina.compat.tensorflow import keras
from lamina.datasets import digits, mnist, movie_reviews
from lamina.datasets.files import MissingDataError
from lamina.preprocessing.text import Tokenizer

Arrays = tuple[np.ndarray, np.ndarray]


def clothes() -> tuple[Arrays, Arrays, list[str]]:
    """Fashion-MNIST, or digits in its place: images uint8 (n, 28, 28), labels uint8 (n,), names of the classes."""
    names = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]
    try:
        train, test = keras.datasets.fashion_mnist.load_data()
        return train, test, names
    except MissingDataError:
        print("Fashion-MNIST is not here: handwritten digits stand in for it.")
    return *numerals(), [str(n) for n in range(10)]


def numerals() -> tuple[Arrays, Arrays]:
    """MNIST, or what there is of it, or scikit-learn's digits enlarged: images uint8 (n, 28, 28), labels uint8 (n,)."""
    try:
        return mnist.load_data()
    except MissingDataError:
        print("MNIST's training files are not here.")
    try:
        images, labels = mnist.load_test_images()
        return (images[:8000], labels[:8000]), (images[8000:], labels[8000:])
    except MissingDataError:
        print("Nor are its test files: scikit-learn's digits are enlarged.")
    return tuple((_enlarged(x), y) for x, y in digits.load_data())  # type: ignore[return-value]


def _enlarged(images: np.ndarray) -> np.ndarray:
    """Images of 8 x 8 pixels and 16 shades as 28 x 28 of 256."""
    large = images.repeat(3, axis=1).repeat(3, axis=2) * 15
    return np.pad(large, ((0, 0), (2, 2), (2, 2))).astype(np.uint8)


def reviews(num_words: int) -> tuple[Arrays, Arrays, dict[str, int]]:
    """IMDB, or sentences in its place: lists of words' numbers, labels, and the number of each word (3 less)."""
    try:
        train, test = keras.datasets.imdb.load_data(num_words=num_words)
        return train, test, keras.datasets.imdb.get_word_index()
    except MissingDataError:
        print("IMDB is not here: single sentences from movie reviews stand in for it.")
    try:
        (x_train, y_train), (x_test, y_test) = movie_reviews.load_data()
    except MissingDataError:
        print("Nor are those: made-up sentences have to do.")
        x_train, y_train = made_up_reviews(2000, seed=0)
        x_test, y_test = made_up_reviews(500, seed=1)
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(x_train)
    parts = []
    for texts, labels in ((x_train, y_train), (x_test, y_test)):
        rows = np.empty(len(texts), object)
        for i, numbers in enumerate(tokenizer.texts_to_sequences(texts)):
            rows[i] = [1] + [n + 3 if n + 3 < num_words else 2 for n in numbers]
        parts.append((rows, labels.astype(np.int64)))
    return parts[0], parts[1], tokenizer.word_index


def made_up_reviews(count: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Sentences of random words, among them some of praise or of blame."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    plain = [f"word{i}" for i in range(200)]
    telling = (["dull", "slow", "flat", "tired", "noisy"], ["moving", "clever", "warm", "fresh", "funny"])
    texts = []
    for label in labels:
        own = rng.choice(telling[label], 3)
        other = rng.choice(telling[1 - label], 1)
        texts.append(" ".join(rng.permutation([*rng.choice(plain, 12), *own, *other])))
    return texts, labels
