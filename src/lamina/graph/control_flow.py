"""Control flow: ``cond``, ``while_loop``, ``scan`` and ``map``.

Eagerly these are plain Python, and tapes see every op inside.  In a captured function they become
one primitive each, holding the captured bodies as sub-graphs.  They live here and not in ``ops``
because they capture their bodies: ``graph`` stands above ``ops`` and above ``autodiff``, and the
gradients below are the one reverse pass, run over the sub-graphs replayed under a tape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina import ops
from lamina.core.dtypes import is_float
from lamina.core.errors import ArgumentError, DifferentiationError, DTypeError, ShapeError
from lamina.core.primitive import Primitive, Spec, bind, ndarray, state, unsupported, wrap
from lamina.core.trees import flatten, unflatten
from lamina.graph.capture import capture_nested
from lamina.graph.interpret import Program
from lamina.graph.ir import Graph
from lamina.graph.passes import optimize
from lamina.graph.replay import pull_back, replay

_IN_PLACE = unsupported("loops and branches over sub-graphs run node by node")


def _specs(values: Sequence[Any]) -> list[Spec]:
    return [Spec(tuple(v.shape), v.dtype) for v in values]


def _body(function: Callable[..., Any], specs: Sequence[Any], name: str) -> tuple[Graph, Any, list[Any]]:
    graph, structure, lifted = capture_nested(function, specs, name)
    return optimize(graph, differentiable=True), structure, lifted


def _tensors(tree: Any) -> tuple[list[Any], Any]:
    leaves, structure = flatten(tree)
    return [ops.as_tensor(leaf) for leaf in leaves], structure


def _float_cotangents(cotangents: Sequence[Any], outputs: Sequence[Any]) -> list[Any]:
    """Cotangents of the float outputs with zeros where none came; ``None`` for the others."""
    return [
        (ops.zeros_like(o) if ct is None else ct) if is_float(o.dtype) else None
        for ct, o in zip(cotangents, outputs, strict=True)
    ]


# --- cond -------------------------------------------------------------------------------------------
def _cond_numpy(pred: ndarray, *arrays: ndarray, true: Graph, false: Graph) -> tuple[ndarray, ...]:
    n = len(true.inputs)
    if pred.item():
        return tuple(Program.of(true).run(arrays[:n]))
    return tuple(Program.of(false).run(arrays[n:]))


def _cond_vjp(cotangents: Any, outputs: Any, pred: Any, *inputs: Any, true: Graph, false: Graph) -> Any:
    n = len(true.inputs)
    places = [i for i, x in enumerate(inputs) if is_float(x.dtype)]
    cts = _float_cotangents(cotangents, outputs)

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
    shape=lambda pred, *inputs, true, false: _specs(true.outputs),
    numpy=_cond_numpy,
    vjp=_cond_vjp,
    native=_IN_PLACE,
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
    true, structure, from_true = _body(lambda: true_fn(*operands), (), "true")
    false, other, from_false = _body(lambda: false_fn(*operands), (), "false")
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
    check, step = Program.of(test), Program.of(body)
    turns = 0
    while (maximum is None or turns < maximum) and check.run([*values, *for_test])[0].item():
        values = step.run([*values, *for_body])
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

    return pull_back(forward, inputs, _float_cotangents(cotangents, outputs))


def _truth(value: Any) -> Any:
    value = value if value.dtype.kind == "b" else ops.not_equal(value, 0)
    return ops.reshape(value, ()) if value.shape else value


WHILE = Primitive(
    "while_loop",
    shape=lambda *inputs, test, body, count, maximum: _specs(inputs[:count]),
    numpy=_while_numpy,
    vjp=_while_vjp,
    native=_IN_PLACE,
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
    values, structure = _tensors(loop_vars if many else (loop_vars,))

    def test(*leaves: Any) -> Any:
        return cond_fn(*unflatten(structure, leaves))

    def body(*leaves: Any) -> list[Any]:
        result = body_fn(*unflatten(structure, leaves))
        new, found = flatten(result if many else (result,))
        if len(new) != len(leaves) or (many and not _same(structure, found)):
            raise ShapeError(f"while_loop: the loop variables have the structure {structure}, a turn returns {found}.")
        new = [ops.as_tensor(n, like=old) for n, old in zip(new, leaves, strict=True)]
        for i, (n, old) in enumerate(zip(new, leaves, strict=True)):
            _check_same("while_loop", f"loop variable {i}", old, n)
        return new

    if state.capture is None:
        turns = 0
        while (maximum_iterations is None or turns < maximum_iterations) and bool(test(*values)):
            values = body(*values)
            turns += 1
    else:
        specs = _specs(values)
        test_graph, _, for_test = _body(test, specs, "test")
        if len(test_graph.outputs) != 1 or test_graph.outputs[0].size != 1:
            raise ShapeError("while_loop: cond_fn returns one truth value.")
        body_graph, _, for_body = _body(body, specs, "body")
        params = {"test": test_graph, "body": body_graph, "count": len(values), "maximum": maximum_iterations}
        values = list(bind(WHILE, *values, *for_test, *for_body, **params)) if values else []
    result = unflatten(structure, values)
    return result if many else result[0]


def _same(a: Any, b: Any) -> bool:
    """Equal structures, a list counting as a tuple."""
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b) == 2 and a[0] in ("list", "tuple"):
        return (
            b[0] in ("list", "tuple")
            and len(a[1]) == len(b[1])
            and all(_same(x, y) for x, y in zip(a[1], b[1], strict=True))
        )
    return bool(a == b)


def _check_same(name: str, what: str, old: Any, new: Any) -> None:
    if new.shape != old.shape:
        raise ShapeError(f"{name}: {what} has shape {old.shape} before a turn and {new.shape} after it.")
    if new.dtype != old.dtype:
        raise DTypeError(
            f"{name}: {what} has dtype {old.dtype} before a turn and {new.dtype} after it. "
            f"Cast the start value or the new one."
        )


# --- scan -------------------------------------------------------------------------------------------
# Inputs of SCAN: the carry, the arrays that are walked along their first axis, what the body takes from outside.
def _scan_shape(*inputs: Any, body: Graph, carried: int, walked: int, length: int, reverse: bool) -> list[Spec]:
    ys = body.outputs[carried:]
    return _specs(inputs[:carried]) + [Spec((length, *y.shape), y.dtype) for y in ys]


def _scan_numpy(
    *arrays: ndarray, body: Graph, carried: int, walked: int, length: int, reverse: bool
) -> tuple[ndarray, ...]:
    carry, xs, rest = list(arrays[:carried]), arrays[carried : carried + walked], arrays[carried + walked :]
    ys = [np.empty((length, *y.shape), y.dtype) for y in body.outputs[carried:]]
    step = Program.of(body)
    for t in reversed(range(length)) if reverse else range(length):
        outputs = step.run([*carry, *[x[t] for x in xs], *rest])
        carry = outputs[:carried]
        for whole, y in zip(ys, outputs[carried:], strict=True):
            whole[t] = y
    carry = [c.copy() if any(c is a for a in arrays) else c for c in carry]
    return (*carry, *ys)


def _scan_vjp(
    cotangents: Any, outputs: Any, *inputs: Any, body: Graph, carried: int, walked: int, length: int, reverse: bool
) -> Any:
    """Walk forward again keeping every carry, then backward pulling cotangents through the body."""
    first, xs, rest = list(inputs[:carried]), list(inputs[carried : carried + walked]), inputs[carried + walked :]
    cts = _float_cotangents(cotangents, outputs)
    end, steps = cts[:carried], cts[carried:]
    smooth_carry = [i for i, c in enumerate(first) if is_float(c.dtype)]
    smooth_xs = [i for i, x in enumerate(xs) if is_float(x.dtype)]
    smooth_rest = [i for i, r in enumerate(rest) if is_float(r.dtype)]

    def keep(carry: Any, x: Any) -> Any:
        return replay(body, [*carry, *x, *rest])[:carried], carry

    _, carries = scan(keep, first, xs, length=length, reverse=reverse)

    def pull(state: Any, x: Any) -> Any:
        ct_carry, ct_rest = state
        carry, now, ct_ys = x
        ct: list[Any] = [None] * carried
        for i, c in zip(smooth_carry, ct_carry, strict=True):
            ct[i] = c
        at = [*carry, *now, *rest]
        grads = pull_back(body, at, [*ct, *ct_ys])
        grads = [ops.zeros_like(a) if g is None and is_float(a.dtype) else g for g, a in zip(grads, at, strict=True)]
        back, along, outside = grads[:carried], grads[carried : carried + walked], grads[carried + walked :]
        total = [ops.add(old, outside[i]) for old, i in zip(ct_rest, smooth_rest, strict=True)]
        return ([back[i] for i in smooth_carry], total), [along[i] for i in smooth_xs]

    start = [end[i] for i in smooth_carry], [ops.zeros_like(rest[i]) for i in smooth_rest]
    (ct_first, ct_rest), ct_xs = scan(pull, start, (carries, xs, steps), length=length, reverse=not reverse)
    result: list[Any] = [None] * len(inputs)
    for i, ct in zip(smooth_carry, ct_first, strict=True):
        result[i] = ct
    for i, ct in zip(smooth_xs, ct_xs, strict=True):
        result[carried + i] = ct
    for i, ct in zip(smooth_rest, ct_rest, strict=True):
        result[carried + walked + i] = ct
    return result


SCAN = Primitive("scan", shape=_scan_shape, numpy=_scan_numpy, vjp=_scan_vjp, native=_IN_PLACE)


def scan(
    f: Callable[[Any, Any], Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Walk along the first axis of ``xs``, carrying a state: ``carry, ys[t] = f(carry, xs[t])``.

    Args:
        f: function of the carry and one slice of ``xs`` that returns the new carry (same structure, shapes
            and dtypes) and an output.
        init: the first carry: tensors in any nesting.
        xs: tensors in any nesting, all with the same size along the first axis; ``None`` for none.
        length: number of turns; needed where ``xs`` is ``None``.
        reverse: walk from the last slice to the first (``ys[t]`` still belongs to ``xs[t]``).

    Returns:
        ``(carry, ys)``: the last carry, and the outputs stacked along a new first axis.

    Raises:
        ShapeError, DTypeError: a turn changes the carry's shapes or dtypes.

    Example:
        >>> import lamina
        >>> last, sums = lamina.scan(lambda total, x: (total + x, total + x), 0.0, lamina.tensor([1.0, 2.0, 3.0]))
        >>> sums.numpy()
        array([1., 3., 6.], dtype=float32)
    """
    carry, carry_structure = _tensors(init)
    walked, xs_structure = _tensors(xs)
    length = _scan_length(walked, length)
    ys_structure: Any = None

    def body(*leaves: Any) -> list[Any]:
        nonlocal ys_structure
        old = leaves[: len(carry)]
        result = f(unflatten(carry_structure, old), unflatten(xs_structure, leaves[len(carry) :]))
        if not isinstance(result, tuple) or len(result) != 2:
            raise ArgumentError(f"scan: the function returns a pair (carry, y); got {type(result).__name__}.")
        new, found = flatten(result[0])
        if not _same(carry_structure, found):
            raise ShapeError(f"scan: the carry has the structure {carry_structure}, a turn returns {found}.")
        new = [ops.as_tensor(n, like=o) for n, o in zip(new, old, strict=True)]
        for i, (n, o) in enumerate(zip(new, old, strict=True)):
            _check_same("scan", f"carry {i}", o, n)
        ys, ys_structure = _tensors(result[1])
        return [*new, *ys]

    slices = [Spec(x.shape[1:], x.dtype) for x in walked]
    if state.capture is None and length:
        results: list[list[Any]] = [[] for _ in range(length)]
        for t in reversed(range(length)) if reverse else range(length):
            outputs = body(*carry, *[x[t] for x in walked])
            carry, results[t] = outputs[: len(carry)], outputs[len(carry) :]
        stacked = [ops.stack(list(column)) for column in zip(*results, strict=True)]
    else:
        graph, _, lifted = _body(body, _specs(carry) + slices, "body")
        counts = {"carried": len(carry), "walked": len(walked), "length": length, "reverse": reverse}
        outputs = list(bind(SCAN, *carry, *walked, *lifted, body=graph, **counts)) if graph.outputs else []
        carry, stacked = outputs[: len(carry)], outputs[len(carry) :]
    return unflatten(carry_structure, carry), unflatten(ys_structure, stacked)


def _scan_length(xs: list[Any], length: int | None) -> int:
    if any(not x.shape for x in xs):
        raise ShapeError("scan: xs has a scalar in it, which has no axis to walk along.")
    sizes = {int(x.shape[0]) for x in xs}
    if len(sizes) > 1:
        raise ShapeError(f"scan: the arrays of xs have different first sizes: {sorted(sizes)}.")
    found = next(iter(sizes), length)
    if found is None:
        raise ArgumentError("scan: give length= where there is no xs.")
    if length is not None and length != found:
        raise ShapeError(f"scan: length={length}, and xs has {found} slices.")
    return found


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """``f`` on each slice of ``xs`` along the first axis, the results stacked.

    Args:
        f: function of one slice.
        xs: tensors in any nesting, all with the same size along the first axis.

    Example:
        >>> import lamina
        >>> lamina.map(lambda row: row.sum(), lamina.tensor([[1.0, 2.0], [3.0, 4.0]])).numpy()
        array([3., 7.], dtype=float32)
    """
    if not flatten(xs)[0]:
        raise ArgumentError("map takes at least one tensor to walk along.")
    return scan(lambda carry, x: (carry, f(x)), (), xs)[1]
