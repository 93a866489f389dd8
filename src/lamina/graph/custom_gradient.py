"""``custom_gradient``: a function whose gradient is given by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from lamina import ops
from lamina.core.errors import DifferentiationError, ShapeError
from lamina.core.primitive import Primitive, Spec, bind, state, unsupported
from lamina.core.trees import flatten, unflatten
from lamina.graph.capture import capture_nested
from lamina.graph.ir import Graph
from lamina.graph.replay import replay
from lamina.tensor import Tensor, Variable


# Inputs: the `count` results, the arguments, then (in a graph) what the gradient function uses.
def _vjp(
    cotangents: Any, outputs: Any, *inputs: Any, pull: Graph | Callable[..., list[Any]], count: int, given: int
) -> list[Any]:
    cts = [ops.zeros_like(o) if ct is None else ct for ct, o in zip(cotangents, outputs, strict=True)]
    used = inputs[count + given :]
    grads = replay(pull, [*cts, *used]) if isinstance(pull, Graph) else pull(*cts)
    return [*[None] * count, *grads, *[None] * len(used)]


CUSTOM_GRADIENT = Primitive(
    "custom_gradient",
    shape=lambda *inputs, pull, count, given: [Spec(tuple(x.shape), x.dtype) for x in inputs[:count]],
    numpy=lambda *arrays, pull, count, given: tuple([a.view() for a in arrays[:count]]),
    vjp=_vjp,
    native=unsupported("it matters to differentiation only and is dropped before a graph is compiled"),
)


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function's gradient by hand.

    Args:
        f: called with the arguments; returns ``(result, gradient)``, where ``gradient`` takes the
            cotangent of the result (in the result's structure) and returns the cotangent of the
            argument, or a tuple with one for each positional argument.  It may use anything that
            ``f`` computed, and is differentiated itself for higher derivatives.

    Returns:
        A function with ``f``'s result.  No gradient reaches Variables that ``f`` uses without
        being given them.

    Example:
        >>> import lamina
        >>> @lamina.custom_gradient
        ... def clipped_square(x):
        ...     return x * x, lambda ct: ct * lamina.clip(2 * x, -1.0, 1.0)
        >>> lamina.grad(clipped_square)(3.0).item()
        1.0
    """

    @functools.wraps(f)
    def wrapped(*args: Any) -> Any:
        leaves, structure = flatten(args)
        is_given = [isinstance(leaf, Tensor | Variable) for leaf in leaves]
        leaves = [ops.as_tensor(leaf) if given else leaf for leaf, given in zip(leaves, is_given, strict=True)]
        sources = [leaf for leaf, given in zip(leaves, is_given, strict=True) if given]
        result, gradient = f(*unflatten(structure, leaves))
        outputs, result_structure = flatten(result)
        outputs = [ops.as_tensor(o) for o in outputs]

        def pull(*cotangents: Any) -> list[Any]:
            found = flatten(gradient(unflatten(result_structure, cotangents)))[0]
            if len(found) != len(sources):
                raise DifferentiationError(
                    f"{f.__name__}: its gradient function returned {len(found)} cotangents for {len(sources)} tensor "
                    "arguments. Return one for each (zeros where there is none), and None for other arguments."
                )
            found = [ops.as_tensor(g) for g in found]
            for g, x in zip(found, sources, strict=True):
                if g.shape != x.shape:
                    raise ShapeError(
                        f"{f.__name__}: the cotangent of an argument of shape {x.shape} has shape {g.shape}."
                    )
            return found

        counts = {"count": len(outputs), "given": len(sources)}
        if state.capture is not None and state.capture.wants([*outputs, *sources]):
            graph, _, used = capture_nested(pull, [Spec(o.shape, o.dtype) for o in outputs], f"{f.__name__}_gradient")
            fresh = bind(CUSTOM_GRADIENT, *outputs, *sources, *used, pull=graph, **counts)
        else:
            fresh = bind(CUSTOM_GRADIENT, *outputs, *sources, pull=pull, **counts)
        return unflatten(result_structure, fresh)

    return wrapped
