"""Scripts without a mistake, over which ``preflight`` should raise no alarm."""

from __future__ import annotations

from typing import Any

import numpy as np
from preflight_parts import BINARY, CATEGORICAL, SPARSE, classes, compiled, images, mlp, one_hot, sound, table

import lamina
from lamina import layers


@sound
def regression(rng: Any) -> Any:
    x, y = table(rng)
    return compiled(mlp(8, 1), "mse", metrics=["mae"]), {"x": x, "y": y, "validation_split": 0.2}


@sound
def classification(rng: Any) -> Any:
    x, y = classes(rng)
    return compiled(mlp(8, 3, "softmax"), SPARSE, metrics=["accuracy"]), {"x": x, "y": y, "validation_split": 0.2}


@sound
def with_logits(rng: Any) -> Any:
    x, y = classes(rng)
    loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
    return compiled(mlp(8, 3), loss, "sgd"), {"x": x, "y": y}


@sound
def one_hot_targets(rng: Any) -> Any:
    x, y = classes(rng)
    return compiled(mlp(8, 3, "softmax"), CATEGORICAL, "rmsprop"), {"x": x, "y": one_hot(y, 3)}


@sound
def two_classes(rng: Any) -> Any:
    x, y = classes(rng, count=2)
    return compiled(mlp(8, 1, "sigmoid"), BINARY, metrics=["accuracy"]), {"x": x, "y": y, "validation_split": 0.3}


@sound
def several_labels_at_once(rng: Any) -> Any:
    x, _ = table(rng)
    y = (x[:, :4] + rng.normal(size=(300, 4)) > 0).astype("float32")
    return compiled(mlp(8, 4, "sigmoid"), BINARY), {"x": x, "y": y}


@sound
def convolutional(rng: Any) -> Any:
    x, y = images(rng)
    model = lamina.Sequential(
        [
            layers.Input((12, 12, 1)), layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(),
            layers.Conv2D(16, 3, activation="relu"), layers.Flatten(), layers.Dropout(0.5), layers.Dense(4, "softmax"),
        ]
    )  # fmt: skip
    return compiled(model, SPARSE, metrics=["accuracy"]), {"x": x, "y": y, "validation_split": 0.1}


@sound
def pixels_that_the_model_scales(rng: Any) -> Any:
    x, y = images(rng)
    first = layers.Rescaling(1 / 255)
    rest = [layers.Flatten(), layers.Dense(32, "relu"), layers.Dense(4)]
    model = lamina.Sequential([layers.Input((12, 12, 1)), first, *rest])
    loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
    return compiled(model, loss), {"x": (255 * x).astype("uint8"), "y": y}


@sound
def flat_digits(rng: Any) -> Any:
    x, y = images(rng, rows=250)
    model = lamina.Sequential([layers.Input((144,)), layers.Dense(64, "relu"), layers.Dense(4, "softmax")])
    return compiled(model, SPARSE, "rmsprop"), {"x": x.reshape(250, 144), "y": y, "batch_size": 128}


@sound
def normalized_columns(rng: Any) -> Any:
    x, y = table(rng)
    x = x * 500 + 2000
    scale = layers.Normalization()
    scale.adapt(x)
    model = lamina.Sequential([layers.Input((8,)), scale, layers.Dense(32, "relu"), layers.Dense(1)])
    return compiled(model, "mse"), {"x": x, "y": y}


@sound
def batch_normalization_first(rng: Any) -> Any:
    x, y = table(rng)
    model = lamina.Sequential(
        [layers.Input((8,)), layers.BatchNormalization(), layers.Dense(32, "relu"), layers.Dense(1)]
    )
    return compiled(model, "mse"), {"x": x * 100, "y": y}


@sound
def words(rng: Any) -> Any:
    x = rng.integers(0, 200, (150, 12))
    y = (x < 30).any(axis=1).astype(int)
    model = lamina.Sequential(
        [layers.Input((12,)), layers.Embedding(200, 16), layers.LSTM(16), layers.Dense(1, "sigmoid")]
    )
    return compiled(model, BINARY, metrics=["accuracy"]), {"x": x, "y": y, "validation_split": 0.2}


@sound
def next_character(rng: Any) -> Any:
    text = rng.integers(0, 20, 400)
    x = np.lib.stride_tricks.sliding_window_view(text, 10)[:200]
    inner = [layers.Embedding(20, 8), layers.GRU(16)]
    model = lamina.Sequential([layers.Input((10,)), *inner, layers.Dense(20, "softmax")])
    return compiled(model, SPARSE), {"x": x, "y": text[10:210]}


@sound
def a_straight_line(rng: Any) -> Any:
    x = rng.uniform(-1, 1, (200, 1)).astype("float32")
    model = lamina.Sequential([layers.Input((1,)), layers.Dense(1)])
    return compiled(model, "mse", lamina.optimizers.SGD(0.1)), {"x": x, "y": 3 * x + 2}


@sound
def logistic_regression(rng: Any) -> Any:
    x, y = classes(rng, count=2)
    model = lamina.Sequential([layers.Input((8,)), layers.Dense(1, "sigmoid")])
    return compiled(model, BINARY, "sgd"), {"x": x, "y": y}


@sound
def exclusive_or(rng: Any) -> Any:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
    model = lamina.Sequential([layers.Input((2,)), layers.Dense(8, "tanh"), layers.Dense(1, "sigmoid")])
    return compiled(model, BINARY, lamina.optimizers.Adam(0.05)), {"x": x, "y": np.array([0, 1, 1, 0])}


@sound
def autoencoder(rng: Any) -> Any:
    x, _ = images(rng)
    x = x.reshape(200, 144)
    model = lamina.Sequential(
        [layers.Input((144,)), layers.Dense(32, "relu"), layers.Dense(8, "relu"), layers.Dense(144, "sigmoid")]
    )
    return compiled(model, BINARY), {"x": x, "y": x, "validation_split": 0.2}


@sound
def a_narrow_linear_layer(rng: Any) -> Any:
    x, y = table(rng, columns=40)
    model = lamina.Sequential([layers.Input((40,)), layers.Dense(4), layers.Dense(40, "relu"), layers.Dense(1)])
    return compiled(model, "mse"), {"x": x, "y": y}


@sound
def houses(rng: Any) -> Any:
    x, y = table(rng, rows=400, columns=13)
    return compiled(mlp(13, 1), "mse", metrics=["mae"]), {"x": x, "y": 22 + 9 * y, "validation_split": 0.2}


@sound
def rare_class(rng: Any) -> Any:
    x, y = classes(rng, rows=500, count=2)
    y = ((y == 1) & (rng.uniform(size=500) < 0.1)).astype(int)
    y[:3] = y[-3:] = 1
    return compiled(mlp(8, 1, "sigmoid"), BINARY), {"x": x, "y": y, "class_weight": {0: 1.0, 1: 12.0}}


@sound
def weighted_samples(rng: Any) -> Any:
    x, y = table(rng)
    return compiled(mlp(8, 1), "huber"), {"x": x, "y": y, "sample_weight": rng.uniform(0, 2, 300)}


@sound
def yes_and_no_columns(rng: Any) -> Any:
    x = rng.integers(0, 2, (400, 6)).astype("float32")  # few different rows: repeats are bound to be
    y = (x.sum(axis=1) > 3).astype(int)
    return compiled(mlp(6, 1, "sigmoid"), BINARY), {"x": x, "y": y, "validation_split": 0.25}


@sound
def two_inputs(rng: Any) -> Any:
    x, y = table(rng)
    a, b = layers.Input((8,)), layers.Input((3,))
    both = layers.Concatenate()([layers.Dense(16, "relu")(a), layers.Dense(16, "relu")(b)])
    model = lamina.Model([a, b], layers.Dense(1)(both))
    return compiled(model, "mse"), {"x": [x, rng.normal(size=(300, 3))], "y": y}


@sound
def residual(rng: Any) -> Any:
    x, y = classes(rng)
    a = layers.Input((8,))
    h = layers.Dense(16, "relu")(a)
    for _ in range(6):
        h = layers.Add()([h, layers.Dense(16)(layers.Dense(16, "relu")(h))])
    return compiled(lamina.Model(a, layers.Dense(3, "softmax")(h)), SPARSE), {"x": x, "y": y}


@sound
def attention(rng: Any) -> Any:
    x = rng.normal(size=(120, 6, 8)).astype("float32")
    a = layers.Input((6, 8))
    h = layers.LayerNormalization()(a + layers.MultiHeadAttention(2, 4)(a, a))
    model = lamina.Model(a, layers.Dense(1)(layers.GlobalAveragePooling1D()(h)))
    return compiled(model, "mse"), {"x": x, "y": x[:, :, 0].max(axis=1)}


@sound
def frozen_first_layers(rng: Any) -> Any:
    x, y = classes(rng)
    model = mlp(8, 3, "softmax")
    model.layers[0].trainable = False
    return compiled(model, SPARSE, lamina.optimizers.Adam(1e-4)), {"x": x, "y": y}


@sound
def a_schedule_and_momentum(rng: Any) -> Any:
    x, y = classes(rng)
    rate = lamina.optimizers.schedules.ExponentialDecay(0.05, 100, 0.9)
    return compiled(mlp(8, 3, "softmax"), SPARSE, lamina.optimizers.SGD(rate, 0.9, nesterov=True)), {"x": x, "y": y}


@sound
def penalties_and_dropout(rng: Any) -> Any:
    x, y = classes(rng)
    inner = [layers.Dropout(0.5), layers.Dense(32, "elu", kernel_regularizer="l2")]
    return compiled(mlp(8, 3, "softmax", "elu", *inner), SPARSE, "nadam"), {"x": x, "y": y}


@sound
def time_series(rng: Any) -> Any:
    t = np.arange(400)
    series = (np.sin(t / 10) + 0.1 * rng.normal(size=400)).astype("float32")
    x = np.lib.stride_tricks.sliding_window_view(series, 20)[:300, :, None]
    first = layers.Conv1D(8, 5, activation="relu")
    model = lamina.Sequential([layers.Input((20, 1)), first, layers.GRU(8), layers.Dense(1)])
    return compiled(model, "mse"), {"x": x, "y": series[20:320], "shuffle": False}


@sound
def sixty_thousand_rows(rng: Any) -> Any:
    x, y = classes(rng, rows=60_000, columns=4)
    return compiled(mlp(4, 3, "softmax"), SPARSE), {"x": x, "y": y, "validation_split": 0.1, "batch_size": 512}
