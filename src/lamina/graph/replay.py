"""Replaying a graph: its nodes bound again, on other tensors, to differentiate it by the one reverse pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lamina.autodiff import GradientTape, alias
from lamina.core.dtypes import is_float
from lamina.core.primitive import bind, state, wrap
from lamina.graph.ir import Graph


def replay(
    graph: Graph,
    inputs: Sequence[Any],
    variables: Sequence[Any] = (),
    constants: Mapping[int, Any] | None = None,
) -> list[Any]:
    """Run every node of a graph through ``bind``, so that captures and tapes see it.

    Args:
        graph: the graph.
        inputs: one Tensor for each input of the graph.
        variables: one Tensor for each variable that the graph reads.
        constants: Tensors to use in place of constants, by the ``id`` of the constant's value.

    Returns:
        The output Tensors.  Writes to variables are left out.
    """
    env: dict[int, Any] = {id(v): t for v, t in zip(graph.inputs, inputs, strict=True)}
    env.update({id(v): t for (_, v), t in zip(graph.reads, variables, strict=True)})
    env.update(constants or {})

    def get(value: Any) -> Any:
        tensor = env.get(id(value))
        if tensor is None:
            tensor = env[id(value)] = wrap(value.constant)
        return tensor

    capture, scope = state.capture, state.scope
    source = capture.source if capture is not None else None
    try:
        for node in graph.nodes:
            state.scope = node.scope
            if capture is not None:
                capture.source = node.source
            result = bind(node.primitive, *[get(v) for v in node.inputs], **node.params)
            if node.single:
                env[id(node.outputs[0])] = result
            else:
                env.update({id(v): t for v, t in zip(node.outputs, result, strict=True)})
    finally:
        state.scope = scope
        if capture is not None:
            capture.source = source
    return [get(v) for v in graph.outputs]


def pull_back(
    forward: Graph | Callable[..., Sequence[Any]], inputs: Sequence[Any], cotangents: Sequence[Any]
) -> list[Any]:
    """Vector-Jacobian product of a graph, or of a function of Tensors, computing the forward anew.

    Args:
        forward: a graph without variables, or a function of the inputs that returns a list.
        inputs: where to differentiate.
        cotangents: one for each output, ``None`` for none.

    Returns:
        One cotangent for each input, ``None`` where the outputs do not depend on it smoothly.
    """
    inputs = [alias(x) for x in inputs]  # one Tensor may be several of the inputs
    sources = [x for x in inputs if is_float(x.dtype)]
    with GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(sources)
        outputs = replay(forward, inputs) if isinstance(forward, Graph) else forward(*inputs)
    used = [(o, ct) for o, ct in zip(outputs, cotangents, strict=True) if ct is not None and is_float(o.dtype)]
    grads = iter(tape.gradient([o for o, _ in used], sources, [ct for _, ct in used]))
    return [next(grads) if is_float(x.dtype) else None for x in inputs]
