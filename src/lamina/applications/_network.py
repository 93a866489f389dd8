"""What the networks share: the size of their images, the layers at their end, weights from a file."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from lamina import layers
from lamina.applications import imagenet, pytorch
from lamina.core.errors import ArgumentError, ShapeError
from lamina.layers.symbolic import SymbolicTensor
from lamina.models import Model
from lamina.utils.inspecting import get_source_inputs

POOLINGS = (None, "avg", "max")
Weights = str | PathLike[str] | None


def image_input(
    network: str, input_shape: Sequence[int | None] | SymbolicTensor | None, default: int, least: int,
    include_top: bool = False,
) -> Any:  # fmt: skip
    """The input for images, three channels of ``default`` rows and columns where no shape is given.

    Args:
        network: its name, for errors.
        input_shape: (rows, columns, channels); rows and columns may be ``None`` where ``include_top`` is false.
            Or a symbolic tensor that the network is to continue.
        default: rows and columns of the published network.
        least: rows and columns that it needs at least.
        include_top: whether dense layers follow that need one size.

    Raises:
        ShapeError: it is no such shape, or too small.
    """
    before = input_shape if isinstance(input_shape, SymbolicTensor) else None
    given = input_shape if before is None else before.shape[1:]
    shape = (default, default, 3) if given is None else tuple(given)
    if len(shape) != 3 or shape[-1] is None:
        raise ShapeError(f"{network}: input_shape is (rows, columns, channels), got {shape}.")
    if include_top and None in shape:
        raise ShapeError(f"{network}: its dense layers need images of one size, got {shape}. Use include_top=False.")
    if any(size is not None and size < least for size in shape[:2]):
        raise ShapeError(f"{network}: images need at least {least} rows and columns, got {shape}.")
    return layers.Input(shape) if before is None else before


def finish(
    inputs: Any,
    x: Any,
    name: str,
    *,
    include_top: bool,
    pooling: str | None,
    classes: int,
    classifier_activation: Any,
    weights: Weights,
    averaged: bool = True,
    published: tuple[str, ...] = (),
) -> Model:
    """The model: with its classifier (after a mean over all places, if ``averaged``), or without and pooled.

    Args:
        inputs, x, name: as for ``Model``.
        include_top, pooling, classes, classifier_activation, weights: as for each network.
        averaged: whether the classifier sees a mean.
        published: the arguments of ``find_weights`` that say which published weights are its own.

    Raises:
        ArgumentError: an unknown ``pooling``, weights that are no file, or published weights for other classes.
    """
    if weights == "imagenet" and include_top and classes != imagenet.CLASSES:
        raise ArgumentError(
            f"{name}: weights='imagenet' with include_top=True has {imagenet.CLASSES} classes, got classes={classes}. "
            "Use include_top=False and put layers of your own behind it."
        )
    if pooling not in POOLINGS:
        raise ArgumentError(f"{name}: pooling is one of {POOLINGS}, got {pooling!r}.")
    if include_top:
        if averaged:
            x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    elif pooling == "avg":
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    elif pooling == "max":
        x = layers.GlobalMaxPooling2D(name="max_pool")(x)
    sources = get_source_inputs(inputs)
    model = Model(sources[0] if len(sources) == 1 else sources, x, name=name)
    if weights == "imagenet" and published:
        model.load_weights(imagenet.find_weights(published[0], include_top, *published[1:]))
    elif weights is not None:
        if not Path(weights).is_file():
            raise ArgumentError(
                f"{name}: weights is None or the path of a file with this network's weights (.safetensors as written "
                "by save_weights or with a PyTorch state dict, or Keras's .weights.h5, .h5 and .keras); there is no "
                f"file {str(weights)!r}. "
                f"By the name 'imagenet' there are those of: {', '.join(imagenet.WEIGHTS)}."
            )
        if pytorch.is_state_dict(weights):
            pytorch.load_state_dict(model, weights)
        else:
            model.load_weights(weights)
    return model
