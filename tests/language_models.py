"""Small language models of all kinds, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lamina
from lamina import layers

WORDS, SIZE = 11, 8


def transformer(attention: Any = None, length: int = 16) -> Any:
    tokens = layers.Input((None,), dtype="int32")
    x = layers.Embedding(WORDS, SIZE)(tokens)
    x = x + layers.PositionEmbedding(length)(x)
    for _ in range(2):
        h = layers.LayerNormalization()(x)
        layer = layers.MultiHeadAttention(2, 4) if attention is None else attention()
        x = x + layer(h, h, use_causal_mask=True)
    return lamina.Model(tokens, layers.Dense(WORDS)(x))


def stacked(*inner: Any, steps: int | None = None, mask: bool = False, batch: int | None = None) -> Any:
    start = layers.Input((steps,), dtype="int32", batch_size=batch)
    return lamina.Sequential([start, layers.Embedding(WORDS, SIZE, mask_zero=mask), *inner, layers.Dense(WORDS)])


def luong(layer: Any) -> Any:
    tokens = layers.Input((None,), dtype="int32")
    x = layers.Embedding(WORDS, SIZE, mask_zero=True)(tokens)
    x = layers.Add()([x, layer([x, x], use_causal_mask=True)])
    return lamina.Model(tokens, layers.Dense(WORDS)(x))


MODELS: dict[str, Callable[[], Any]] = {
    "attention": transformer,
    "sliding window": lambda: transformer(lambda: layers.MultiHeadAttention(2, 4, sliding_window=3)),
    "gated, all weights": lambda: transformer(
        lambda: layers.MultiHeadAttention(2, 4, value_dim=3, use_gate=True, flash_attention=False)
    ),
    "grouped queries": lambda: transformer(lambda: layers.GroupedQueryAttention(4, 4, 2)),
    "dot products, padding": lambda: luong(layers.Attention(use_scale=True)),
    "additive": lambda: luong(layers.AdditiveAttention()),
    "LSTM": lambda: stacked(layers.LSTM(5, return_sequences=True), layers.LSTM(6, return_sequences=True)),
    "GRU of fixed steps": lambda: stacked(layers.GRU(5, return_sequences=True), steps=12),
    "stateful": lambda: stacked(layers.LSTM(5, return_sequences=True, stateful=True), batch=3),
    "cells": lambda: stacked(
        layers.RNN([layers.LSTMCell(5), layers.SimpleRNNCell(4)], return_sequences=True),
    ),
    "padding": lambda: stacked(layers.LSTM(5, return_sequences=True), mask=True),
    "causal convolutions": lambda: stacked(
        layers.Conv1D(6, 3, padding="causal", activation="relu"),
        layers.Conv1D(6, 2, padding="causal", dilation_rate=4),
        layers.Conv1D(6, 1),
    ),
}
