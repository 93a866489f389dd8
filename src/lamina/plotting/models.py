"""``plot_model``: a drawing of the layers of a model and how they are connected."""

from __future__ import annotations

import os
from typing import Any

from lamina.core.errors import ArgumentError
from lamina.plotting.network import Wanted, network_of
from lamina.plotting.picture import Picture, compose, dot_of

DIRECTIONS = ("TB", "LR", "BT", "RL")


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int | None = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Picture:
    """The drawing of a model; arguments as those of ``plot_model``.

    Returns:
        A ``Picture``: ``svg()`` is its SVG, ``dot`` its description for Graphviz, ``save(path)`` writes a file, and a
        notebook shows it.
    """
    if kwargs:
        given = ", ".join(kwargs)
        raise ArgumentError(f"Unrecognized keyword arguments: {given}. help(plot_model) tells of those there are.")
    if rankdir not in DIRECTIONS:
        raise ArgumentError(f"rankdir is one of {', '.join(map(repr, DIRECTIONS))}; got {rankdir!r}.")
    wanted = Wanted(
        bool(show_shapes), bool(show_dtype), bool(show_layer_names), bool(expand_nested),
        bool(show_layer_activations), bool(show_trainable),
    )  # fmt: skip
    network = network_of(model, wanted)
    picture = compose(network, rankdir)
    picture.dpi, picture.dot = dpi, dot_of(network, rankdir)
    return picture


def plot_model(
    model: Any,
    to_file: str | os.PathLike[str] | None = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int | None = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Picture:
    """Draw the layers of a model and how they are connected.  Graphviz is not needed.

    Args:
        model: a built model.  One that is no graph of layers is a single box.
        to_file: where to write the drawing: ``.svg`` and ``.dot`` need nothing else, ``.png``, ``.pdf`` and other
            formats need matplotlib (the extra ``plot``); ``None`` to write nothing.
        show_shapes: show the shapes of inputs and outputs.
        show_dtype: show the dtypes of inputs and outputs.
        show_layer_names: show the names of the layers beside their classes.
        rankdir: how lines run: ``"TB"`` (top to bottom), ``"LR"``, ``"BT"`` or ``"RL"``.
        expand_nested: show what is inside models that are layers.
        dpi: dots per inch of pictures.
        show_layer_activations: show the activations of layers that have one.
        show_trainable: show which layers with weights are trained and which are frozen.
        splines: accepted for Keras's sake; lines are curves.

    Returns:
        A ``Picture``, which a notebook shows.

    Raises:
        ArgumentError: the model is not built, an argument is unknown, or the ending of the file is.
        MissingExtraError: matplotlib is needed and not installed.

    Example:
        >>> import lamina
        >>> model = lamina.Sequential([lamina.Input((4,)), lamina.layers.Dense(2)])
        >>> picture = plot_model(model, to_file=None, show_shapes=True)
        >>> "(None, 4) → (None, 2)" in picture.svg()
        True
    """
    picture = model_to_dot(
        model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi, False, show_layer_activations,
        show_trainable, splines, **kwargs,
    )  # fmt: skip
    if to_file is not None:
        picture.save(to_file)
    return picture
