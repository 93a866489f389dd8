"""How much a model computes: floating-point operations of a forward pass, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lamina.core.errors import LaminaError
from lamina.core.primitive import Spec, state
from lamina.core.trees import flatten, unflatten
from lamina.graph.capture import capture_graph
from lamina.layers.symbolic import SymbolicTensor
from lamina.models.base import Model


@dataclass
class Work:
    """Operations for one sample.

    Attributes:
        by_path: operations by the path of the layer that they are part of, without the model's own name.
        assumed: what was taken for sizes that are not known; empty if all are.
    """

    by_path: dict[tuple[str, ...], int]
    assumed: str = ""

    @property
    def total(self) -> int:
        """All operations."""
        return sum(self.by_path.values())

    def of(self, path: tuple[str, ...]) -> int:
        """Operations of the layer at this path and of those inside."""
        return sum(count for found, count in self.by_path.items() if found[: len(path)] == path)


def work_of(model: Model) -> Work | None:
    """The operations of a forward pass on one sample; ``None`` where the inputs are not known.

    A multiplication with an addition counts as two operations; moving values counts as none.

    Args:
        model: a built model.

    Example:
        >>> import lamina
        >>> model = lamina.Sequential([lamina.Input((8,)), lamina.layers.Dense(4, use_bias=False)])
        >>> work_of(model).total
        64
    """
    from lamina.profiling import count_flops

    placeholders, structure = _inputs(model)
    if not model.built or not placeholders or state.capture is not None:
        return None
    unknown = any(n is None for t in placeholders for n in t.shape[1:])
    specs = [Spec((1, *(1 if n is None else n for n in t.shape[1:])) if t.shape else (), t.dtype) for t in placeholders]

    def run(*tensors: Any) -> Any:
        return model(*unflatten(structure, tensors), training=False)

    try:
        graph = capture_graph(run, specs, name=model.name)[0]
    except (LaminaError, TypeError, ValueError):  # a call of the user's own that wants more than this
        return None
    found: dict[tuple[str, ...], int] = {}
    for node in graph.nodes:
        path = tuple(node.scope[1:])
        found[path] = found.get(path, 0) + count_flops(node)
    return Work(found, "unknown sizes as 1" if unknown else "")


def _inputs(model: Model) -> tuple[list[SymbolicTensor], Any]:
    """Placeholders of the arguments, and their structure."""
    if model._graph is not None:
        return model._graph.inputs, flatten([unflatten(model._graph.input_structure, model._graph.inputs)])[1]
    if model._seen is None:
        return [], None
    leaves, structure = flatten(list(model._seen[0]))
    return ([], None) if not all(isinstance(t, SymbolicTensor) for t in leaves) else (leaves, structure)
