"""What a row of the layer contract is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Case:
    """A layer to drive: how to make it and what to call it on."""

    name: str
    cls: type
    arguments: dict[str, Any]
    shapes: Any = (4, 6)  # of the input with the batch, or a list of shapes
    output: tuple[int, ...] = ()
    integers: int | None = None  # inputs are integers below this
    weights: int = 0
    frozen: int = 0  # weights that are not trained
    random: bool = False
    apart: bool = False  # the list of inputs is handed over as arguments of their own
