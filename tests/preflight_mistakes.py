"""Scripts with a mistake in each, which ``preflight`` should find."""

from __future__ import annotations

from typing import Any

import numpy as np
from preflight_parts import BINARY, CATEGORICAL, SPARSE, classes, compiled, images, mistake, mlp, one_hot, table

import lamina
from lamina import layers


# --- labels, losses and outputs ---------------------------------------------------------------------------
@mistake("data")
def labels_from_one(rng: Any) -> Any:
    x, y = classes(rng)
    return compiled(mlp(8, 3, "softmax"), SPARSE), {"x": x, "y": y + 1}


@mistake("data")
def negative_label(rng: Any) -> Any:
    x, y = classes(rng)
    return compiled(mlp(8, 3, "softmax"), SPARSE), {"x": x, "y": np.where(y == 2, -1, y)}


@mistake("data")
def one_hot_for_a_sparse_loss(rng: Any) -> Any:
    x, y = classes(rng)
    return compiled(mlp(8, 3, "softmax"), SPARSE), {"x": x, "y": one_hot(y, 3)}


@mistake("data")
def numbers_for_a_categorical_loss(rng: Any) -> Any:
    x, y = classes(rng)
    return compiled(mlp(8, 3, "softmax"), CATEGORICAL), {"x": x, "y": y}


@mistake("logits")
def logits_for_a_loss_of_probabilities(rng: Any) -> Any:
    x, y = classes(rng)
    return compiled(mlp(8, 3), SPARSE), {"x": x, "y": y}


@mistake("logits")
def probabilities_for_a_loss_of_logits(rng: Any) -> Any:
    x, y = classes(rng)
    loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
    return compiled(mlp(8, 3, "softmax"), loss), {"x": x, "y": y}


@mistake("logits")
def sigmoid_and_logits(rng: Any) -> Any:
    x, y = classes(rng, count=2)
    loss = lamina.losses.BinaryCrossentropy(from_logits=True)
    return compiled(mlp(8, 1, "sigmoid"), loss), {"x": x, "y": y}


@mistake("activation|data")
def softmax_over_one_unit(rng: Any) -> Any:
    x, y = classes(rng, count=2)
    return compiled(mlp(8, 1, "softmax"), BINARY), {"x": x, "y": y}


@mistake("data")
def labels_of_plus_and_minus_one(rng: Any) -> Any:
    x, y = classes(rng, count=2)
    return compiled(mlp(8, 1, "sigmoid"), BINARY), {"x": x, "y": 2 * y - 1}


@mistake("activation")
def sigmoid_for_a_number(rng: Any) -> Any:
    x, y = table(rng)
    return compiled(mlp(8, 1, "sigmoid"), "mse"), {"x": x, "y": 10 * y}


@mistake("activation")
def relu_for_a_number_below_zero(rng: Any) -> Any:
    x, y = table(rng)
    return compiled(mlp(8, 1, "relu"), "mse"), {"x": x, "y": y}


@mistake("activation")
def tanh_for_a_large_number(rng: Any) -> Any:
    x, y = table(rng)
    return compiled(mlp(8, 1, "tanh"), "mae"), {"x": x, "y": 5 * y}


@mistake("data")
def targets_that_broadcast(rng: Any) -> Any:
    x, y = table(rng)
    return compiled(mlp(8, 4), "mse"), {"x": x, "y": y}


@mistake("loss")
def squares_for_classes(rng: Any) -> Any:
    x, y = classes(rng, count=5)
    return compiled(mlp(8, 1), "mse", metrics=["mean_squared_error", "binary_accuracy"]), {"x": x, "y": y}


@mistake("activation")
def sigmoid_for_exclusive_classes(rng: Any) -> Any:
    x, y = classes(rng)
    return compiled(mlp(8, 3, "sigmoid"), CATEGORICAL), {"x": x, "y": one_hot(y, 3)}


@mistake("loss")
def binary_loss_for_exclusive_classes(rng: Any) -> Any:
    x, y = classes(rng, count=4)
    return compiled(mlp(8, 4, "softmax"), BINARY), {"x": x, "y": one_hot(y, 4)}


@mistake("data")
def strings_as_labels(rng: Any) -> Any:
    x, y = classes(rng)
    return compiled(mlp(8, 3, "softmax"), SPARSE), {"x": x, "y": np.array(["a", "b", "c"])[y]}


@mistake("data")
def fractions_as_labels(rng: Any) -> Any:
    x, y = classes(rng)
    return compiled(mlp(8, 3, "softmax"), SPARSE), {"x": x, "y": y + 0.5}


@mistake("classes")
def classes_that_never_occur(rng: Any) -> Any:
    x, y = classes(rng, rows=600)
    return compiled(mlp(8, 10, "softmax"), SPARSE), {"x": x, "y": y}


# --- data -------------------------------------------------------------------------------------------------
@mistake("data")
def nan_in_the_inputs(rng: Any) -> Any:
    x, y = table(rng)
    x[17, 3] = np.nan
    return compiled(mlp(8, 1), "mse"), {"x": x, "y": y}


@mistake("data")
def infinite_target(rng: Any) -> Any:
    x, y = table(rng)
    y[5] = np.inf
    return compiled(mlp(8, 1), "mse"), {"x": x, "y": y}


@mistake("data")
def arrays_of_two_lengths(rng: Any) -> Any:
    x, y = table(rng)
    return compiled(mlp(8, 1), "mse"), {"x": x, "y": y[:-1]}


@mistake("scale")
def pixels_from_0_to_255(rng: Any) -> Any:
    x, y = images(rng)
    first = layers.Conv2D(8, 3, activation="relu")
    model = lamina.Sequential([layers.Input((12, 12, 1)), first, layers.Flatten(), layers.Dense(4, "softmax")])
    return compiled(model, SPARSE), {"x": 255 * x, "y": y}


@mistake("scale")
def raw_columns(rng: Any) -> Any:
    x, y = table(rng)
    return compiled(mlp(8, 1), "mse"), {"x": x * 500 + 2000, "y": y}


@mistake("scale")
def columns_of_very_different_size(rng: Any) -> Any:
    x, y = table(rng)
    return compiled(mlp(8, 1), "mse"), {"x": x * np.array([10, 1, 1e-3, 1, 1, 1, 1, 1], "float32"), "y": y}


@mistake("scale")
def tiny_inputs(rng: Any) -> Any:
    x, y = classes(rng)
    return compiled(mlp(8, 3, "softmax"), SPARSE), {"x": x * 1e-6, "y": y}


@mistake("scale")
def prices_as_targets(rng: Any) -> Any:
    x, y = table(rng)
    return compiled(mlp(8, 1), "mse"), {"x": x, "y": 250_000 + 80_000 * y}


@mistake("constant")
def the_same_row_again_and_again(rng: Any) -> Any:
    x, y = table(rng)
    return compiled(mlp(8, 1), "mse"), {"x": np.tile(x[:1], (300, 1)), "y": y}


@mistake("constant")
def a_column_that_tells_nothing(rng: Any) -> Any:
    x, y = table(rng)
    x[:, 4] = 7.5
    return compiled(mlp(8, 1), "mse"), {"x": x, "y": y}


@mistake("targets")
def all_targets_the_same(rng: Any) -> Any:
    x, y = table(rng)
    return compiled(mlp(8, 1), "mse"), {"x": x, "y": np.full_like(y, 0.3)}


@mistake("targets")
def one_class_only(rng: Any) -> Any:
    x, y = classes(rng)
    return compiled(mlp(8, 1, "sigmoid"), BINARY), {"x": x, "y": np.ones_like(y)}


@mistake("duplicates")
def validating_on_training_data(rng: Any) -> Any:
    x, y = table(rng)
    return compiled(mlp(8, 1), "mse"), {"x": x, "y": y, "validation_data": (x[:60], y[:60])}


@mistake("duplicates")
def rows_repeated_before_the_split(rng: Any) -> Any:
    x, y = classes(rng, rows=200)
    order = rng.permutation(400)
    x, y = np.concatenate([x, x])[order], np.concatenate([y, y])[order]
    return compiled(mlp(8, 3, "softmax"), SPARSE), {"x": x, "y": y, "validation_split": 0.2}


@mistake("leak")
def the_target_among_the_columns(rng: Any) -> Any:
    x, y = table(rng)
    x[:, 6] = y
    return compiled(mlp(8, 1), "mse"), {"x": x, "y": y}


@mistake("leak")
def the_label_among_the_columns(rng: Any) -> Any:
    x, y = classes(rng)
    x[:, 2] = y / 2 - 0.5
    return compiled(mlp(8, 3, "softmax"), SPARSE), {"x": x, "y": y}


@mistake("classes")
def sorted_before_the_split(rng: Any) -> Any:
    x, y = classes(rng)
    order = np.argsort(y, kind="stable")
    return compiled(mlp(8, 3, "softmax"), SPARSE), {"x": x[order], "y": y[order], "validation_split": 0.3}


@mistake("order")
def sorted_and_not_shuffled(rng: Any) -> Any:
    x, y = classes(rng)
    order = np.argsort(y, kind="stable")
    return compiled(mlp(8, 3, "softmax"), SPARSE), {"x": x[order], "y": y[order], "shuffle": False}


@mistake("weights")
def weights_of_zero(rng: Any) -> Any:
    x, y = table(rng)
    return compiled(mlp(8, 1), "mse"), {"x": x, "y": y, "sample_weight": np.zeros(300)}


@mistake("weights")
def a_weight_for_a_class_that_is_not_there(rng: Any) -> Any:
    x, y = classes(rng)
    return compiled(mlp(8, 3, "softmax"), SPARSE), {"x": x, "y": y, "class_weight": {0: 1.0, 1: 2.0, 2: 1.0, 3: 5.0}}


# --- the model --------------------------------------------------------------------------------------------
@mistake("frozen")
def frozen_model(rng: Any) -> Any:
    x, y = table(rng)
    model = mlp(8, 1)
    model.trainable = False
    return compiled(model, "mse"), {"x": x, "y": y}


@mistake("dead")
def units_that_start_dead(rng: Any) -> Any:
    x, y = table(rng)
    first = layers.Dense(32, "relu", bias_initializer=lamina.initializers.Constant(-50.0))
    return compiled(lamina.Sequential([layers.Input((8,)), first, layers.Dense(1)]), "mse"), {"x": x, "y": y}


@mistake("saturated")
def saturated_units(rng: Any) -> Any:
    x, y = table(rng)
    first = layers.Dense(32, "tanh", kernel_initializer=lamina.initializers.RandomNormal(stddev=100.0))
    return compiled(lamina.Sequential([layers.Input((8,)), first, layers.Dense(1)]), "mse"), {"x": x, "y": y}


@mistake("vanishing")
def many_sigmoids(rng: Any) -> Any:
    x, y = classes(rng)
    inner = [layers.Dense(16, "sigmoid") for _ in range(14)]
    model = lamina.Sequential([layers.Input((8,)), *inner, layers.Dense(3, "softmax")])
    return compiled(model, SPARSE), {"x": x, "y": y}


@mistake("exploding|loss|learning_rate")
def weights_that_start_too_large(rng: Any) -> Any:
    x, y = table(rng)
    normal = lamina.initializers.RandomNormal(stddev=5.0)
    inner = [layers.Dense(32, "relu", kernel_initializer=normal) for _ in range(4)]
    return compiled(lamina.Sequential([layers.Input((8,)), *inner, layers.Dense(1)]), "mse"), {"x": x, "y": y}


@mistake("symmetry|gradients")
def weights_that_start_equal(rng: Any) -> Any:
    x, y = table(rng)
    first = layers.Dense(32, "tanh", kernel_initializer="zeros")
    return compiled(lamina.Sequential([layers.Input((8,)), first, layers.Dense(1)]), "mse"), {"x": x, "y": y}


@mistake("unused")
def an_input_that_is_not_connected(rng: Any) -> Any:
    x, y = table(rng)
    a, b = layers.Input((8,)), layers.Input((3,))
    out = layers.Dense(1)(layers.Concatenate()([layers.Dense(8, "relu")(a), layers.Dense(4, "relu")(b * 0.0)]))
    model = lamina.Model([a, b], out)
    return compiled(model, "mse"), {"x": [x, rng.normal(size=(300, 3))], "y": y}


@mistake("activation")
def layers_without_activation(rng: Any) -> Any:
    x, y = table(rng)
    return compiled(mlp(8, 1, None, None), "mse"), {"x": x, "y": y}


@mistake("activation")
def softmax_in_the_middle(rng: Any) -> Any:
    x, y = table(rng)
    return compiled(mlp(8, 1, None, "softmax"), "mse"), {"x": x, "y": y}


@mistake("dropout")
def outputs_that_are_dropped(rng: Any) -> Any:
    x, y = table(rng)
    model = lamina.Sequential([layers.Input((8,)), layers.Dense(8, "relu"), layers.Dense(1), layers.Dropout(0.3)])
    return compiled(model, "mse"), {"x": x, "y": y}


@mistake("learning_rate")
def a_learning_rate_far_too_large(rng: Any) -> Any:
    x, y = table(rng)
    return compiled(mlp(8, 1), "mse", lamina.optimizers.SGD(100.0)), {"x": x, "y": y}


@mistake("learning_rate")
def a_learning_rate_far_too_small(rng: Any) -> Any:
    x, y = classes(rng)
    return compiled(mlp(8, 3, "softmax"), SPARSE, lamina.optimizers.Adam(1e-10)), {"x": x, "y": y}
