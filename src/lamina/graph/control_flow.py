"""Control flow: ``cond`` and ``while_loop`` (``scan`` and ``map`` are in ``scan.py``).

Eagerly these are plain Python, and tapes see every op inside.  In a captured function they become
one primitive each, holding the captured bodies as sub-graphs.  They live here and not in ``ops``
because they capture their bodies: ``graph`` stands above ``ops`` and above ``autodiff``, and the
gradients below are the one reverse pass, run over the sub-graphs replayed under a tape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina import ops
from lamina.core.dtypes import is_float
from lamina.core.errors import ArgumentError, DifferentiationError, DTypeError, ShapeError
from lamina.core.primitive import Primitive, bind, ndarray, state, wrap
from lamina.core.trees import flatten, unflatten
from lamina.graph.bodies import (
    IN_PLACE,
    capture_body,
    check_same,
    float_cotangents,
    same_structure,
    specs_of,
    tensors_of,
)
from lamina.graph.interpret import body_runner
from lamina.graph.ir import Graph
from lamina.graph.replay import pull_back, replay
from lamina.graph.scan import scan


# --- cond -------------------------------------------------------------------------------------------
def _cond_numpy(pred: ndarray, *arrays: ndarray, true: Graph, false: Graph) -> tuple[ndarray, ...]:
    n = len(true.inputs)
    if pred.item():
        return tuple(body_runner(true)(arrays[:n]))
    return tuple(body_runner(false)(arrays[n:]))


def _cond_vjp(cotangents: Any, outputs: Any, pred: Any, *inputs: Any, true: Graph, false: Graph) -> Any:
    n = len(true.inputs)
    places = [i for i, x in enumerate(inputs) if is_float(x.dtype)]
    cts = float_cotangents(cotangents, outputs)

    def pull(graph: Graph, first: int, last: int) -> Callable[[], list[Any]]:
        def branch() -> list[Any]:
            found: list[Any] = [None] * len(inputs)
            found[first:last] = pull_back(graph, inputs[first:last], cts)
            return [ops.zeros_like(inputs[i]) if found[i] is None else found[i] for i in places]

        return branch

    grads = cond(pred, pull(true, 0, n), pull(false, n, len(inputs)))
    result: list[Any] = [None] * (1 + len(inputs))
    for i, grad in zip(places, grads, strict=True):
        result[1 + i] = grad
    return result


COND = Primitive(
    "cond",
    shape=lambda pred, *inputs, true, false: specs_of(true.outputs),
    numpy=_cond_numpy,
    vjp=_cond_vjp,
    native=IN_PLACE,
)


def cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], *operands: Any) -> Any:
    """``true_fn(*operands)`` if ``pred`` holds, else ``false_fn(*operands)``; only that one runs.

    Args:
        pred: a bool, or a scalar tensor (numbers count as true unless 0).
        true_fn, false_fn: functions of the operands that return Tensors in the same structure, with
            the same shapes and dtypes.  They may use tensors from outside.
        operands: what the functions are called with.

    Returns:
        What the chosen function returns.

    Raises:
        ShapeError, DTypeError: in a captured function, the branches return different things.

    Example:
        >>> import lamina
        >>> x = lamina.tensor(-2.0)
        >>> lamina.cond(x > 0, lambda v: v, lambda v: -v, x).item()
        2.0
    """
    if isinstance(pred, bool | int):
        return true_fn(*operands) if pred else false_fn(*operands)
    pred = ops.as_tensor(pred)
    if pred.size != 1:
        raise ShapeError(f"cond takes one truth value; got shape {pred.shape}. Use lamina.where to choose by element.")
    if not pred.is_symbolic:
        return true_fn(*operands) if bool(pred) else false_fn(*operands)
    true, structure, from_true = capture_body(lambda: true_fn(*operands), (), "true")
    false, other, from_false = capture_body(lambda: false_fn(*operands), (), "false")
    if structure != other:
        raise ShapeError(f"cond: the branches return different structures: {structure} and {other}.")
    for i, (a, b) in enumerate(zip(true.outputs, false.outputs, strict=True)):
        if a.shape != b.shape or a.dtype != b.dtype:
            error = ShapeError if a.shape != b.shape else DTypeError
            raise error(
                f"cond: output {i} is {a.dtype}{list(a.shape)} in the first branch and {b.dtype}{list(b.shape)} "
                "in the second. Both branches must return the same shapes and dtypes."
            )
    if not true.outputs:
        return unflatten(structure, [])
    return unflatten(structure, bind(COND, pred, *from_true, *from_false, true=true, false=false))


# --- while_loop ---------------------------------------------------------------------------------------
# Inputs of WHILE: the loop variables, then what `test` and then what `body` take from outside.
def _while_numpy(*arrays: ndarray, test: Graph, body: Graph, count: int, maximum: int | None) -> tuple[ndarray, ...]:
    between = len(test.inputs)
    values, for_test, for_body = list(arrays[:count]), arrays[count:between], arrays[between:]
    check, step = body_runner(test), body_runner(body)
    turns = 0
    while (maximum is None or turns < maximum) and check([*values, *for_test])[0].item():
        values = step([*values, *for_body])
        turns += 1
    return tuple(v.copy() if any(v is a for a in arrays) else v for v in values)


def _while_vjp(
    cotangents: Any, outputs: Any, *inputs: Any, test: Graph, body: Graph, count: int, maximum: int | None
) -> Any:
    if maximum is None:
        raise DifferentiationError(
            "The gradient of while_loop needs to know how many turns there can be: give maximum_iterations=, or use "
            "lamina.scan."
        )

    def forward(*tensors: Any) -> list[Any]:
        """The same loop as a scan whose turns after the last one do nothing."""
        between = len(test.inputs)
        for_test, for_body = tensors[count:between], tensors[between:]

        def turn(carry: Any, _: Any) -> Any:
            going, values = carry
            going = ops.logical_and(going, _truth(replay(test, [*values, *for_test])[0]))
            return (going, cond(going, lambda: replay(body, [*values, *for_body]), lambda: list(values))), ()

        (_, values), _ = scan(turn, (wrap(np.asarray(True)), list(tensors[:count])), None, length=maximum)
        return values

    return pull_back(forward, inputs, float_cotangents(cotangents, outputs))


def _truth(value: Any) -> Any:
    value = value if value.dtype.kind == "b" else ops.not_equal(value, 0)
    return ops.reshape(value, ()) if value.shape else value


WHILE = Primitive(
    "while_loop",
    shape=lambda *inputs, test, body, count, maximum: specs_of(inputs[:count]),
    numpy=_while_numpy,
    vjp=_while_vjp,
    native=IN_PLACE,
)


def while_loop(
    cond_fn: Callable[..., Any],
    body_fn: Callable[..., Any],
    loop_vars: Any,
    maximum_iterations: int | None = None,
) -> Any:
    """Repeat ``loop_vars = body_fn(*loop_vars)`` while ``cond_fn(*loop_vars)`` holds.

    Args:
        cond_fn: function of the loop variables that returns a bool or a scalar tensor.
        body_fn: function of the loop variables that returns their new values, with the same structure,
            shapes and dtypes.
        loop_vars: a tuple or list of (nested structures of) tensors, or one tensor.
        maximum_iterations: a bound on the number of turns.  In a captured function gradients need it.

    Returns:
        The loop variables after the last turn, in the structure of ``loop_vars``.

    Raises:
        ShapeError, DTypeError: a turn changes a loop variable's shape or dtype.

    Example:
        >>> import lamina
        >>> i, total = lamina.while_loop(lambda i, s: i < 4, lambda i, s: (i + 1, s + i), (0, 0))
        >>> total.item()
        6
    """
    if maximum_iterations is not None and maximum_iterations < 0:
        raise ArgumentError(f"maximum_iterations is at least 0; got {maximum_iterations}.")
    many = isinstance(loop_vars, list | tuple)
    values, structure = tensors_of(loop_vars if many else (loop_vars,))

    def test(*leaves: Any) -> Any:
        return cond_fn(*unflatten(structure, leaves))

    def body(*leaves: Any) -> list[Any]:
        result = body_fn(*unflatten(structure, leaves))
        new, found = flatten(result if many else (result,))
        if len(new) != len(leaves) or (many and not same_structure(structure, found)):
            raise ShapeError(f"while_loop: the loop variables have the structure {structure}, a turn returns {found}.")
        new = [ops.as_tensor(n, like=old) for n, old in zip(new, leaves, strict=True)]
        for i, (n, old) in enumerate(zip(new, leaves, strict=True)):
            check_same("while_loop", f"loop variable {i}", old, n)
        return new

    if state.capture is None:
        turns = 0
        while (maximum_iterations is None or turns < maximum_iterations) and bool(test(*values)):
            values = body(*values)
            turns += 1
    else:
        specs = specs_of(values)
        test_graph, _, for_test = capture_body(test, specs, "test")
        if len(test_graph.outputs) != 1 or test_graph.outputs[0].size != 1:
            raise ShapeError("while_loop: cond_fn returns one truth value.")
        body_graph, _, for_body = capture_body(body, specs, "body")
        params = {"test": test_graph, "body": body_graph, "count": len(values), "maximum": maximum_iterations}
        values = list(bind(WHILE, *values, *for_test, *for_body, **params)) if values else []
    result = unflatten(structure, values)
    return result if many else result[0]
