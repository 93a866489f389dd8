"""``CALL``: a compiled function as one primitive, which is how tapes see it from outside."""

from __future__ import annotations

from typing import Any

from lamina.core.primitive import Primitive, Spec, unsupported
from lamina.graph.replay import pull_back, replay


def _shape(*specs: Any, special: Any, executable: Any) -> list[Spec]:
    return [Spec(v.shape, v.dtype) for v in special.captured.outputs]


def _numpy(*arrays: Any, special: Any, executable: Any) -> tuple[Any, ...]:
    # Variables and closed-over Tensors are inputs only so that gradients reach them.
    return tuple(executable.run(list(arrays[: len(special.captured.inputs)])))


def _vjp(cotangents: Any, outputs: Any, *inputs: Any, special: Any, executable: Any) -> Any:
    return special.pullback(list(inputs), list(cotangents))


CALL = Primitive(
    "call",
    shape=_shape,
    numpy=_numpy,
    vjp=_vjp,
    native=unsupported("a captured function called inside another becomes part of its graph"),
)


def make_pullback(graph: Any, constants: list[Any]) -> Any:
    """The vector-Jacobian product of a graph as a function on Tensors, the forward computed anew.

    Args:
        graph: the graph as it was captured.
        constants: values of the graph's constants that count as inputs too.

    Returns:
        ``pullback(inputs, cotangents)``; inputs are those of the graph, its variables and the constants.
    """
    n_inputs, n_reads = len(graph.inputs), len(graph.reads)

    def forward(*tensors: Any) -> list[Any]:
        closed = {id(v): t for v, t in zip(constants, tensors[n_inputs + n_reads :], strict=True)}
        return replay(graph, tensors[:n_inputs], tensors[n_inputs : n_inputs + n_reads], closed)

    return lambda inputs, cotangents: pull_back(forward, inputs, cotangents)
