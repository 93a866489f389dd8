"""Layers: the building blocks of models."""

from __future__ import annotations

from lamina.layers.base import Layer
from lamina.layers.core import Activation, Dense, Dropout, Embedding, Flatten, Input, InputLayer, Reshape
from lamina.layers.merging import (
    Add,
    Average,
    Concatenate,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    maximum,
    minimum,
    multiply,
    subtract,
)
from lamina.layers.normalization import BatchNormalization
from lamina.layers.spec import InputSpec
from lamina.layers.symbolic import SymbolicTensor
from lamina.serialization import deserialize, serialize

__all__ = [
    "Activation",
    "Add",
    "Average",
    "BatchNormalization",
    "Concatenate",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "Input",
    "InputLayer",
    "InputSpec",
    "Layer",
    "Maximum",
    "Minimum",
    "Multiply",
    "Reshape",
    "Subtract",
    "SymbolicTensor",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "maximum",
    "minimum",
    "multiply",
    "serialize",
    "subtract",
]
