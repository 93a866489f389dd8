"""Drawings of models, and what attends to what in a small one."""

from __future__ import annotations

from typing import Any

import numpy as np
from common import FOLDER, save

import lamina
from lamina import layers, plotting


def residual() -> lamina.Model:
    """A small network with two residual blocks."""

    def block(x: Any, project: bool) -> Any:
        y = layers.Conv2D(8, 3, padding="same")(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv2D(8, 3, padding="same")(y)
        return layers.ReLU()(layers.Add()([y, layers.Conv2D(8, 1)(x) if project else x]))

    inputs = layers.Input((16, 16, 8))
    x = block(block(inputs, False), True)
    return lamina.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def nested() -> lamina.Model:
    """A model with an encoder and a decoder as layers."""
    pixels, other = layers.Input((64,), name="pixels"), layers.Input((64,), name="other")
    hidden, code = layers.Dense(32, "relu", name="hidden"), layers.Dense(8, name="code")
    encoder = lamina.Sequential([layers.Input((64,)), hidden, code], name="encoder")
    short = layers.Input((8,), name="short")
    wide = layers.Dense(32, "relu", name="wide")(short)
    decoder = lamina.Model(short, layers.Dense(64, name="pixels_again")(wide), name="decoder")
    product = layers.Multiply(name="masked")([decoder(encoder(pixels)), other])
    return lamina.Model([pixels, other], layers.Subtract(name="error")([product, pixels]))


def reversal() -> None:
    """A layer of attention that learns to turn words around: it looks at the other end."""
    lamina.random.seed(0)
    rng = np.random.default_rng(0)
    letters = rng.integers(0, 26, (4000, 8))
    inputs = layers.Input((8,), dtype="int32")
    words = layers.Embedding(26, 24)(inputs)
    places = layers.PositionEmbedding(8)(words)
    look = layers.MultiHeadAttention(1, 24, name="attention")
    model = lamina.Model(inputs, layers.Dense(26)(look(places, words + places)))
    loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(lamina.optimizers.Adam(5e-3), loss, metrics=["accuracy"])
    history = model.fit(letters, letters[:, ::-1], batch_size=100, epochs=12, verbose=0)
    print(f"reversal: accuracy {history.history['accuracy'][-1]:.3f}")
    word = "notebook"
    codes = np.asarray([[ord(letter) - ord("a") for letter in word]])
    said = "".join(chr(ord("a") + i) for i in model.predict(codes, verbose=0)[0].argmax(-1))
    save(plotting.plot_attention(model, list(said), list(word), x=codes), "attention", 420)


def main() -> None:
    plotting.plot_model(residual(), FOLDER / "model-residual.svg", show_shapes=True)
    plotting.plot_model(
        nested(), FOLDER / "model-nested.svg", show_layer_names=True, expand_nested=True, rankdir="LR"
    )
    reversal()


if __name__ == "__main__":
    main()
