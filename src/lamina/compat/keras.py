"""Keras's names: ``from lamina.compat import keras`` in place of ``import keras``."""

from __future__ import annotations

from types import SimpleNamespace

from lamina import (
    activations,
    callbacks,
    config,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    random,
)
from lamina.initializers import Initializer
from lamina.layers import Input, InputLayer, Layer, SymbolicTensor
from lamina.losses import Loss
from lamina.metrics import Metric
from lamina.models import Model, Sequential
from lamina.optimizers import Optimizer
from lamina.serialization import (
    custom_object_scope,
    deserialize,
    register_serializable,
    serialize,
)
from lamina.tensor import Variable
from lamina.version import __version__

KerasTensor = SymbolicTensor

backend = SimpleNamespace(
    backend=lambda: "lamina",
    clear_session=config.clear_session,
    epsilon=config.epsilon,
    floatx=config.floatx,
    set_epsilon=config.set_epsilon,
    set_floatx=config.set_floatx,
)

saving = SimpleNamespace(
    custom_object_scope=custom_object_scope,
    deserialize_keras_object=deserialize,
    load_model=models.load_model,
    register_keras_serializable=register_serializable,
    save_model=models.save_model,
    serialize_keras_object=serialize,
)

utils = SimpleNamespace(
    clear_session=config.clear_session,
    custom_object_scope=custom_object_scope,
    register_keras_serializable=register_serializable,
    set_random_seed=random.seed,
)

__all__ = [
    "Initializer",
    "Input",
    "InputLayer",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Sequential",
    "Variable",
    "__version__",
    "activations",
    "backend",
    "callbacks",
    "config",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "random",
    "saving",
    "utils",
]
