"""Keras's names: ``from lamina.compat import keras`` in place of ``import keras``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from lamina import (
    activations,
    callbacks,
    config,
    constraints,
    datasets,
    dtype_policies,
    initializers,
    layers,
    losses,
    metrics,
    mixed_precision,
    models,
    optimizers,
    regularizers,
)
from lamina import utils as _utils
from lamina.compat import _keras_applications as applications
from lamina.compat import _keras_core, _keras_ops, _trees
from lamina.compat import _keras_random as random
from lamina.compat import _wrappers as wrappers
from lamina.compat._keras_operation import Operation
from lamina.compat._modules import as_submodules
from lamina.constraints import Constraint
from lamina.core.masks import get_mask, set_mask
from lamina.core.primitive import state as _state
from lamina.dtype_policies import DTypePolicy, FloatDTypePolicy
from lamina.initializers import Initializer
from lamina.layers import Input, InputLayer, InputSpec, Layer, SymbolicTensor
from lamina.losses import Loss
from lamina.metrics import Metric
from lamina.models import Model, Sequential
from lamina.models.file_editor import KerasFileEditor as _KerasFileEditor
from lamina.models.graph_function import Function
from lamina.models.keras_config import from_keras as _from_keras
from lamina.optimizers import Optimizer
from lamina.preprocessing import image as _image
from lamina.preprocessing import sequence as _sequence
from lamina.preprocessing import text as _text
from lamina.regularizers import Regularizer
from lamina.serialization import (
    CustomObjectScope,
    custom_object_scope,
    deserialize,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_serializable,
    serialize,
)
from lamina.tensor import Tensor, Variable
from lamina.version import __version__

KerasTensor = SymbolicTensor


@contextmanager
def _name_scope(name: str, **_: Any) -> Iterator[None]:
    """Variables made inside have ``name/`` before their path."""
    outer, _state.scope = _state.scope, (*_state.scope, name)
    try:
        yield
    finally:
        _state.scope = outer


def _is_tensor(x: Any) -> bool:
    """Whether this is a Tensor."""
    return isinstance(x, Tensor)


def _shape(x: Any) -> tuple[int, ...]:
    """The shape of a tensor."""
    return tuple(x.shape)


def _to_numpy(x: Any) -> np.ndarray:
    """The values as a NumPy array."""
    return np.asarray(x)


def version() -> str:
    """The version of Lamina."""
    return __version__


backend = SimpleNamespace(
    result_type=_keras_core.result_type,
    standardize_dtype=_keras_core.standardize_dtype,
    is_float_dtype=_keras_core.is_float_dtype,
    is_int_dtype=_keras_core.is_int_dtype,
    is_keras_tensor=lambda x: isinstance(x, SymbolicTensor),
    Variable=Variable,
    backend=lambda: "lamina",
    convert_to_numpy=_to_numpy,
    convert_to_tensor=_keras_ops.ops_namespace.convert_to_tensor,
    is_tensor=_is_tensor,
    shape=_shape,
    name_scope=_name_scope,
    clear_session=config.clear_session,
    config=config,
    epsilon=config.epsilon,
    floatx=config.floatx,
    get_keras_mask=get_mask,
    get_uid=config.get_uid,
    random=random,
    image_data_format=config.image_data_format,
    set_epsilon=config.set_epsilon,
    set_floatx=config.set_floatx,
    set_keras_mask=set_mask,
    set_image_data_format=config.set_image_data_format,
)

ops = backend.numpy = _keras_ops.ops_namespace


def _deserialize(config: Any, custom_objects: dict[str, Any] | None = None, safe_mode: bool = True, **_: Any) -> Any:
    """The object of a configuration in Keras's form or Lamina's; no code is run from it."""
    return deserialize(_from_keras(config), custom_objects)


saving = SimpleNamespace(
    CustomObjectScope=CustomObjectScope,
    KerasFileEditor=_KerasFileEditor,
    custom_object_scope=custom_object_scope,
    get_custom_objects=get_custom_objects,
    get_registered_name=get_registered_name,
    get_registered_object=get_registered_object,
    deserialize_keras_object=_deserialize,
    load_model=models.load_model,
    load_weights=models.load_weights,
    register_keras_serializable=register_serializable,
    save_model=models.save_model,
    save_weights=models.save_weights,
    serialize_keras_object=serialize,
)

tree = SimpleNamespace(
    MAP_TO_NONE=_trees.MAP_TO_NONE,
    assert_same_paths=_trees.assert_same_paths,
    flatten_with_path=_trees.flatten_with_path,
    map_shape_structure=_trees.map_shape_structure,
    map_structure_up_to=_trees.map_structure_up_to,
    traverse=_trees.traverse,
    assert_same_structure=_trees.assert_same_structure,
    flatten=_trees.leaves,
    is_nested=_trees.is_nested,
    lists_to_tuples=_trees.lists_to_tuples,
    map_structure=_trees.map_structure,
    pack_sequence_as=_trees.pack_sequence_as,
)

utils = SimpleNamespace(
    Config=_utils.Config,
    Progbar=_utils.Progbar,
    FeatureSpace=_utils.FeatureSpace,
    PyDataset=_utils.PyDataset,
    disable_interactive_logging=config.disable_interactive_logging,
    enable_interactive_logging=config.enable_interactive_logging,
    get_file=_utils.get_file,
    get_source_inputs=_utils.get_source_inputs,
    is_interactive_logging_enabled=config.is_interactive_logging_enabled,
    is_keras_tensor=_utils.is_keras_tensor,
    pack_x_y_sample_weight=_utils.pack_x_y_sample_weight,
    standardize_dtype=_keras_core.standardize_dtype,
    unpack_x_y_sample_weight=_utils.unpack_x_y_sample_weight,
    Sequence=_utils.PyDataset,
    array_to_img=_utils.array_to_img,
    audio_dataset_from_directory=_utils.audio_dataset_from_directory,
    bounding_boxes=_utils.bounding_boxes,
    deserialize_keras_object=_deserialize,
    serialize_keras_object=serialize,
    clear_session=config.clear_session,
    CustomObjectScope=CustomObjectScope,
    custom_object_scope=custom_object_scope,
    get_custom_objects=get_custom_objects,
    get_registered_name=get_registered_name,
    get_registered_object=get_registered_object,
    image_dataset_from_directory=_utils.image_dataset_from_directory,
    img_to_array=_utils.img_to_array,
    load_img=_utils.load_img,
    model_to_dot=_utils.model_to_dot,
    normalize=_utils.normalize,
    pad_sequences=_utils.pad_sequences,
    plot_model=_utils.plot_model,
    register_keras_serializable=register_serializable,
    save_img=_utils.save_img,
    set_random_seed=random.set_random_seed,
    split_dataset=_utils.split_dataset,
    text_dataset_from_directory=_utils.text_dataset_from_directory,
    timeseries_dataset_from_array=_utils.timeseries_dataset_from_array,
    to_categorical=_utils.to_categorical,
)

preprocessing = SimpleNamespace(
    image=_image,
    image_dataset_from_directory=_utils.image_dataset_from_directory,
    sequence=_sequence,
    text=_text,  # Keras 2's, for the older books
    text_dataset_from_directory=_utils.text_dataset_from_directory,
    timeseries_dataset_from_array=_utils.timeseries_dataset_from_array,
)

__all__ = [
    "Constraint",
    "DTypePolicy",
    "FloatDTypePolicy",
    "Function",
    "Initializer",
    "Input",
    "InputLayer",
    "InputSpec",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Operation",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "Variable",
    "__version__",
    "activations",
    "applications",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "dtype_policies",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "ops",
    "optimizers",
    "random",
    "regularizers",
    "saving",
    "tree",
    "utils",
    "version",
    "wrappers",
]

as_submodules(__name__, {name: globals()[name] for name in __all__})
