"""``scan`` and ``map``: loops along the first axis of arrays, and their gradient.

The gradient is a second scan in the other direction.  Three things keep it as cheap as one that is
written by hand for a recurrent layer:

* what the second scan needs of the first (gates, states) is kept by the first: the loop that is
  differentiated is bound once more with more outputs, and a graph pass (``passes/loops.py``) puts
  the two into one;
* cheap elementwise values are computed again from those instead of being kept;
* a sum over the steps of products, which the gradient of every weight in the body is, becomes one
  product of all steps after the loop.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina import ops
from lamina.core.dtypes import is_float
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.lowering import Elementwise, Sweep, View
from lamina.core.primitive import Primitive, Spec, bind, ndarray, state
from lamina.core.trees import flatten, unflatten
from lamina.graph.bodies import (
    capture_body,
    check_same,
    float_cotangents,
    same_structure,
    specs_of,
    tensors_of,
)
from lamina.graph.interpret import body_runner
from lamina.graph.ir import Graph, Value, extract
from lamina.graph.replay import pull_back, replay
from lamina.ops.elementwise import ADD
from lamina.ops.matmul import MATMUL
from lamina.ops.reduction import SUM
from lamina.ops.shape import RESHAPE, TRANSPOSE


# --- the primitive ----------------------------------------------------------------------------------
# Inputs of SCAN: the carry, the arrays that are walked along their first axis, what the body takes from outside.
def _scan_shape(
    *inputs: Any, body: Graph, carried: int, walked: int, length: int, reverse: bool, extends: Graph | None
) -> list[Spec]:
    ys = body.outputs[carried:]
    return specs_of(inputs[:carried]) + [Spec((length, *y.shape), y.dtype) for y in ys]


def _scan_numpy(
    *arrays: ndarray, body: Graph, carried: int, walked: int, length: int, reverse: bool, extends: Graph | None
) -> tuple[ndarray, ...]:
    carry, xs, rest = list(arrays[:carried]), arrays[carried : carried + walked], arrays[carried + walked :]
    ys = [np.empty((length, *y.shape), y.dtype) for y in body.outputs[carried:]]
    step = body_runner(body)
    for t in reversed(range(length)) if reverse else range(length):
        outputs = step([*carry, *[x[t] for x in xs], *rest])
        carry = outputs[:carried]
        for whole, y in zip(ys, outputs[carried:], strict=True):
            whole[t] = y
    carry = [c.copy() if any(c is a for a in arrays) else c for c in carry]
    return (*carry, *ys)


def _scan_vjp(
    cotangents: Any,
    outputs: Any,
    *inputs: Any,
    body: Graph,
    carried: int,
    walked: int,
    length: int,
    reverse: bool,
    extends: Graph | None,
) -> Any:
    """A scan in the other direction that pulls cotangents through the body."""
    xs, rest = list(inputs[carried : carried + walked]), inputs[carried + walked :]
    end = [ct for ct in float_cotangents(cotangents[:carried], outputs[:carried]) if ct is not None]
    along = [ct if is_float(o.dtype) else None for ct, o in zip(cotangents[carried:], outputs[carried:], strict=True)]
    back = _Pullback(body, carried, walked, [ct is not None for ct in along])
    kept: list[Any] = []
    if back.kept:
        params = {"carried": carried, "walked": walked, "length": length, "reverse": reverse, "extends": body}
        kept = list(bind(SCAN, *inputs, body=back.forward, **params))[len(outputs) :]
    totals = [ops.zeros(v.shape, v.dtype) for v in back.totals]

    def turn(carry: Any, x: Any) -> Any:
        cts, sums = carry
        values = replay(back.backward, [*cts, *x, *rest])
        cts, values = values[: len(cts)], values[len(cts) :]
        return (cts, [ops.add(s, v) for s, v in zip(sums, values, strict=False)]), values[len(sums) :]

    walk = [*[ct for ct in along if ct is not None], *kept, *xs]
    (first, totals), stacks = scan(turn, (end, totals), walk, length=length, reverse=not reverse)
    stack_of = dict(zip([*back.stacked, *back.kept, *back.slices], [*stacks, *kept, *xs], strict=True))
    total_of = dict(zip(back.totals, totals, strict=True))
    result: list[Any] = [None] * len(inputs)
    for i, ct in zip([i for i, x in enumerate(inputs[:carried]) if is_float(x.dtype)], first, strict=True):
        result[i] = ct
    for i, parts in back.parts.items():
        made = [part(stack_of, total_of) for part in parts]
        result[i] = made[0] if len(made) == 1 else functools.reduce(ops.add, made)
    return result


Part = Callable[[dict[Value, Any], dict[Value, Any]], Any]


class _Pullback:
    """A body and its pull-back as one graph, cut in two where the loops are.

    Attributes:
        slices: the values of the joint graph that stand for slices of the arrays walked along.
        kept: values of the body that the way back needs at the same step.
        forward: the body, giving the values in ``kept`` besides its outputs.
        totals: values whose sum over the steps is wanted.
        stacked: values that are wanted for all steps.
        backward: from cotangents (of the carry, then of the outputs that have one), ``kept``, ``slices`` and
            what comes from outside to: cotangents of the carry, ``totals``, ``stacked``.
        parts: for inputs of the scan, functions of the stacks and of the totals (both by value) whose
            results add up to the cotangent.
    """

    def __init__(self, body: Graph, carried: int, walked: int, wanted: list[bool]) -> None:
        count, outputs = len(body.inputs), len(body.outputs)
        known: list[int] = []

        def both(*leaves: Any) -> list[Any]:
            at, cts = leaves[:count], iter(leaves[count:])
            carry_cts = [next(cts) if is_float(v.dtype) else None for v in body.outputs[:carried]]
            grads = pull_back(body, at, [*carry_cts, *[next(cts) if yes else None for yes in wanted]])
            for i in range(carried):
                if is_float(at[i].dtype) and grads[i] is None:
                    grads[i] = ops.zeros_like(at[i])
            known[:] = [i for i, g in enumerate(grads) if g is not None]
            return [*replay(body, at), *[grads[i] for i in known]]

        with_ct = [v for v in body.outputs[:carried] if is_float(v.dtype)]
        with_ct += [v for v, yes in zip(body.outputs[carried:], wanted, strict=True) if yes]
        joint, _, lifted = capture_body(both, specs_of([*body.inputs, *with_ct]), "pull_back")
        assert not lifted, "a body takes everything from outside through its inputs"
        given, cts = joint.inputs[:count], joint.inputs[count:]
        self.slices, outside = given[carried : carried + walked], given[carried + walked :]
        self._late = _dependent(joint, cts)
        self._each_step = _dependent(joint, joint.inputs[: carried + walked]) | self._late
        self.totals: list[Value] = []
        self.stacked: list[Value] = []
        self.parts: dict[int, list[Part]] = {}
        carry_cts = []
        for i, ct in zip(known, joint.outputs[outputs:], strict=True):
            if i < carried:
                carry_cts.append(ct)
            elif i < carried + walked:
                self.parts[i] = [self._stack(ct)]
            else:
                self.parts[i] = [self._part(term) for term in _terms(ct)]
        self.kept = self._choose_kept(joint, [*carry_cts, *self.totals, *self.stacked], [*self.slices, *outside])
        self.stacked = [v for v in self.stacked if v not in self.kept and v not in self.slices]
        self.forward = extract(joint, given, [*joint.outputs[:outputs], *self.kept])
        self.backward = extract(
            joint, [*cts, *self.kept, *self.slices, *outside], [*carry_cts, *self.totals, *self.stacked]
        )

    def _stack(self, value: Value) -> Part:
        if value not in self.stacked:
            self.stacked.append(value)
        return lambda stacks, totals: stacks[value]

    def _total(self, value: Value) -> Part:
        if value not in self.totals:
            self.totals.append(value)
        return lambda stacks, totals: totals[value]

    def _part(self, term: Value) -> Part:
        """The sum of a term over all steps: after the loop where it is a product or a sum, else in it."""
        node = term.node
        if node is not None and node.primitive is RESHAPE:
            whole = self._part(node.inputs[0])
            return lambda stacks, totals: ops.reshape(whole(stacks, totals), term.shape)
        if node is not None and node.primitive is SUM and node.inputs[0] in self._each_step:
            axes = (0, *(a + 1 for a in node.params["axis"]))
            stack = self._stack(node.inputs[0])
            return lambda stacks, totals: ops.sum(stack(stacks, totals), axis=axes)
        if node is not None and node.primitive is MATMUL and len(term.shape) == 2:
            left, right = node.inputs
            transposed = left.node
            if transposed is not None and transposed.primitive is TRANSPOSE:
                (source,) = transposed.inputs
                if source in self._each_step and right in self._each_step:
                    a, b = self._stack(source), self._stack(right)
                    return lambda stacks, totals: ops.matmul(
                        ops.matrix_transpose(_rows(a(stacks, totals))), _rows(b(stacks, totals))
                    )
        return self._total(term)

    def _choose_kept(self, joint: Graph, wanted: list[Value], at_hand: list[Value]) -> list[Value]:
        """The values to keep: those that are costly to compute, or cannot be had from what is kept anyway."""
        needed: set[Value] = set(wanted)
        for node in reversed(joint.nodes):
            if not needed.isdisjoint(node.outputs) and not self._late.isdisjoint(node.outputs):
                needed.update(node.inputs)
        order = list(joint.inputs) + [v for node in joint.nodes for v in node.outputs]
        early = [v for v in order if v in needed and v not in self._late and v not in at_hand]
        kept = [v for v in early if v in self._each_step and not _cheap(v)]
        free = set(at_hand) | set(kept)

        def makeable(value: Value) -> bool:
            if value in free or value.constant is not None or value not in self._each_step:
                return True
            return _cheap(value) and value.node is not None and all(makeable(v) for v in value.node.inputs)

        for value in early:
            if not makeable(value):
                kept.append(value)
                free.add(value)
        return kept


def _dependent(graph: Graph, sources: Sequence[Value]) -> set[Value]:
    """The values that depend on the sources, these included."""
    found = set(sources)
    for node in graph.nodes:
        if not found.isdisjoint(node.inputs):
            found.update(node.outputs)
    return found


def _cheap(value: Value) -> bool:
    """Whether a value of the body is better computed again than kept."""
    if value.node is None:
        return False
    native = value.node.primitive.native
    return isinstance(native, View) or (isinstance(native, Elementwise) and not native.expensive)


def _terms(value: Value) -> list[Value]:
    """The values that add up to this one."""
    node = value.node
    if node is not None and node.primitive is ADD and all(v.shape == value.shape for v in node.inputs):
        return [term for v in node.inputs for term in _terms(v)]
    return [value]


def _rows(stack: Any) -> Any:
    """Matrices of all steps below each other."""
    return ops.reshape(stack, (stack.shape[0] * stack.shape[1], stack.shape[2]))


SCAN = Primitive("scan", shape=_scan_shape, numpy=_scan_numpy, vjp=_scan_vjp, native=Sweep())


# --- the functions ----------------------------------------------------------------------------------
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
    carry, carry_structure = tensors_of(init)
    walked, xs_structure = tensors_of(xs)
    length = _scan_length(walked, length)
    ys_structure: Any = None

    def body(*leaves: Any) -> list[Any]:
        nonlocal ys_structure
        old = leaves[: len(carry)]
        result = f(unflatten(carry_structure, old), unflatten(xs_structure, leaves[len(carry) :]))
        if not isinstance(result, tuple) or len(result) != 2:
            raise ArgumentError(f"scan: the function returns a pair (carry, y); got {type(result).__name__}.")
        new, found = flatten(result[0])
        if not same_structure(carry_structure, found):
            raise ShapeError(f"scan: the carry has the structure {carry_structure}, a turn returns {found}.")
        new = [ops.as_tensor(n, like=o) for n, o in zip(new, old, strict=True)]
        for i, (n, o) in enumerate(zip(new, old, strict=True)):
            check_same("scan", f"carry {i}", o, n)
        ys, ys_structure = tensors_of(result[1])
        return [*new, *ys]

    slices = [Spec(x.shape[1:], x.dtype) for x in walked]
    if state.capture is None and length:
        results: list[list[Any]] = [[] for _ in range(length)]
        for t in reversed(range(length)) if reverse else range(length):
            outputs = body(*carry, *[x[t] for x in walked])
            carry, results[t] = outputs[: len(carry)], outputs[len(carry) :]
        stacked = [ops.stack(list(column)) for column in zip(*results, strict=True)]
    else:
        graph, _, lifted = capture_body(body, specs_of(carry) + slices, "body")
        counts = {"carried": len(carry), "walked": len(walked), "length": length, "reverse": reverse, "extends": None}
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
