"""Numbers of tokens that an ``Embedding`` has no row for: compiled code, which cannot stop, would take the nearest."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.errors import DataError
from lamina.core.trees import unflatten
from lamina.layers import Embedding
from lamina.training.arrays import Data


def embedded_inputs(model: Any, data: Data) -> list[tuple[int, Embedding]]:
    """The inputs of a functional or sequential model that go straight into an ``Embedding``.

    Args:
        model: any model.
        data: its inputs.

    Returns:
        The place of each among ``data.x``, and the layer.
    """
    graph = getattr(model, "_graph", None)
    if graph is None or len(graph.inputs) != len(data.x):
        return []
    nested = unflatten(data.x_structure, list(range(len(data.x))))
    by_name = isinstance(nested, dict)
    places = {id(t): nested.get(t.name) if by_name else i for i, t in enumerate(graph.inputs)}
    return [
        (place, layer)
        for layer in model._flatten_layers()
        if isinstance(layer, Embedding)
        for node in layer._nodes
        for tensor in node.inputs
        if isinstance(place := places.get(id(tensor)), int)
    ]


def check_tokens(data: Data, embedded: list[tuple[int, Embedding]]) -> None:
    """Raise if an input has a number that its ``Embedding`` has no row for.

    Raises:
        DataError: says which, in which sample, and how many rows there are.
    """
    for place, layer in embedded:
        tokens, rows = data.x[place], layer.input_dim
        if not tokens.size or tokens.dtype.kind not in "iuf" or (tokens.max() < rows and tokens.min() >= -rows):
            continue
        wrong = (tokens >= rows) | (tokens < -rows)
        if not wrong.any():  # NaN
            continue
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        worst = max(int(tokens.max()), 0)
        advice = f"Give it input_dim={worst + 1}, or map what is rare to one number" if worst >= rows else "Shift them"
        raise DataError(
            f"x has the number {int(tokens[where])} in row {where[0]}, and the table of layer {layer.name!r} has the "
            f"rows 0 to {rows - 1} (input_dim={rows}). {advice}."
        )
