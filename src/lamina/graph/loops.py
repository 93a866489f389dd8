"""Loops and branches written with ``scan``, ``while_loop`` and ``cond``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from lamina import autodiff, ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.trees import flatten, map_tree, unflatten
from lamina.graph.control_flow import cond, while_loop
from lamina.graph.scan import map as map_slices
from lamina.ops.shape import normalize_axis, size_of


def fori_loop(lower: Any, upper: Any, body: Callable[[Any, Any], Any], init: Any) -> Any:
    """``init = body(i, init)`` for each ``i`` from ``lower`` to ``upper - 1``; the last result.

    Args:
        lower, upper: integers, or integer scalar tensors.
        body: function of the number of the turn and a nested structure of tensors that returns such a
            structure with the same shapes and dtypes.
        init: the first structure.

    Example:
        >>> import lamina
        >>> lamina.graph.loops.fori_loop(0, 4, lambda i, total: total + i, lamina.tensor(0)).item()
        6
    """
    count = upper - lower if isinstance(lower, int) and isinstance(upper, int) else None
    upper = ops.as_tensor(upper)
    start = (ops.astype(ops.as_tensor(lower), upper.dtype), map_tree(ops.as_tensor, init))
    return while_loop(
        lambda i, value: ops.less(i, upper),
        lambda i, value: (ops.add(i, 1), body(i, value)),
        start,
        None if count is None else max(count, 0),
    )[1]


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """``branches[index](*operands)``; an index outside takes the nearest branch.

    Example:
        >>> import lamina
        >>> branches = [lambda x: x + 1, lambda x: x * 10]
        >>> lamina.graph.loops.switch(1, branches, lamina.tensor(3.0)).item()
        30.0
    """
    if not branches:
        raise ArgumentError("switch takes at least one branch.")
    index = ops.clip(ops.as_tensor(index), 0, len(branches) - 1)
    if not index.is_symbolic:
        return branches[int(index)](*operands)
    if len(branches) == 1:
        return branches[0](*operands)
    return cond(
        ops.equal(index, 0),
        branches[0],
        lambda *xs: switch(ops.subtract(index, 1), branches[1:], *xs),
        *operands,
    )


def associative_scan(f: Callable[[Any, Any], Any], elements: Any, reverse: bool = False, axis: int = 0) -> Any:
    """All partial results of an associative function: ``x0, f(x0, x1), f(f(x0, x1), x2), ...``

    Made in about ``log2(n)`` rounds of pairs, each one call of ``f`` on many.

    Args:
        f: function of two nested structures of tensors, elementwise along ``axis``.
        elements: a nested structure of tensors of the same size along ``axis``.
        reverse: begin at the end.
        axis: the axis.

    Example:
        >>> import lamina
        >>> lamina.graph.loops.associative_scan(lambda a, b: a + b, lamina.arange(5)).tolist()
        [0, 1, 3, 6, 10]
    """
    if not callable(f):
        raise TypeError(f"`f` should be a callable. Received: f={f}")
    leaves, structure = flatten(map_tree(ops.as_tensor, elements))
    axes = [normalize_axis("associative_scan", axis, x.ndim) for x in leaves]
    sizes = {x.shape[a] for x, a in zip(leaves, axes, strict=True)}
    if len(sizes) != 1:
        raise ShapeError(f"Array inputs to associative_scan must have the same first dimension; got {sorted(sizes)}.")
    if reverse:
        leaves = [ops.flip(x, a) for x, a in zip(leaves, axes, strict=True)]

    def combine(first: list[Any], second: list[Any]) -> list[Any]:
        return flatten(f(unflatten(structure, first), unflatten(structure, second)))[0]

    def part(xs: list[Any], start: int, stop: int, step: int = 1) -> list[Any]:
        return [ops.indexing.narrow(x, a, start, stop, step) for x, a in zip(xs, axes, strict=True)]

    def walk(xs: list[Any]) -> list[Any]:
        n = xs[0].shape[axes[0]]
        if n < 2:
            return xs
        odd = walk(combine(part(xs, 0, n - 1, 2), part(xs, 1, n, 2)))  # results at 1, 3, 5, ...
        pairs = odd[0].shape[axes[0]]
        before = odd if n % 2 else part(odd, 0, pairs - 1)
        even = part(xs, 0, 1)
        if n > 2:
            later = combine(before, part(xs, 2, n, 2))
            even = [ops.concat([e, x], axis=a) for e, x, a in zip(even, later, axes, strict=True)]
        return [_interleaved(e, o, a) for e, o, a in zip(even, odd, axes, strict=True)]

    found = walk(leaves)
    if reverse:
        found = [ops.flip(x, a) for x, a in zip(found, axes, strict=True)]
    return unflatten(structure, found)


def _interleaved(even: Any, odd: Any, axis: int) -> Any:
    """``even[0], odd[0], even[1], odd[1], ...``"""
    pairs = odd.shape[axis]
    both = ops.stack([ops.indexing.narrow(even, axis, 0, pairs), odd], axis=axis + 1)
    joined = ops.reshape(both, (*odd.shape[:axis], 2 * pairs, *odd.shape[axis + 1 :]))
    if even.shape[axis] == pairs:
        return joined
    return ops.concat([joined, ops.indexing.narrow(even, axis, pairs, pairs + 1)], axis=axis)


def vectorize(
    function: Callable[..., Any], *, excluded: Any = None, signature: str | None = None
) -> Callable[..., Any]:
    """A function of small tensors as one of stacks of them, whose leading dimensions broadcast.

    Args:
        function: of tensors, that returns a tensor (a tuple where the signature says so).
        excluded: positions and names of arguments that are handed on as they are.
        signature: the dimensions that the function itself takes and returns, as in ``"(n),(n)->()"``;
            by default it takes and returns scalars.

    Raises:
        ArgumentError: the signature cannot be read.

    Example:
        >>> import lamina
        >>> dot = lamina.graph.loops.vectorize(lambda x, y: (x * y).sum(), signature="(n),(n)->()")
        >>> dot([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0]).tolist()
        [3.0, 7.0]
    """
    if not callable(function):
        raise TypeError(f"Expected argument `pyfunc` to be a callable. Received: pyfunc={function}")
    left_out = set(excluded or ())
    if any(not isinstance(e, str | int) for e in left_out):
        raise ArgumentError(f"excluded holds positions and names of arguments; got {excluded!r}.")
    ranks, results = _read_signature(signature) if signature is not None else (None, None)

    def call(*args: Any, **kwargs: Any) -> Any:
        fixed = {k: v for k, v in kwargs.items() if k in left_out}
        named = [k for k in kwargs if k not in left_out]
        places = [i for i in range(len(args)) if i not in left_out]
        tensors = [ops.as_tensor(args[i]) for i in places] + [ops.as_tensor(kwargs[k]) for k in named]
        own = [0] * len(tensors) if ranks is None else ranks
        if len(own) != len(tensors):
            raise ShapeError(f"vectorize: the signature names {len(own)} arguments; got {len(tensors)}.")
        for t, r in zip(tensors, own, strict=True):
            if t.ndim < r:
                raise ShapeError(f"vectorize: an argument of shape {t.shape} has fewer than {r} dimensions.")
        cores = [t.shape[t.ndim - r :] for t, r in zip(tensors, own, strict=True)]
        outer = [t.shape[: t.ndim - r] for t, r in zip(tensors, own, strict=True)]
        batch = ops.elementwise.broadcast_shapes("vectorize", (), *outer)

        def one(slices: Any) -> Any:
            values = list(args)
            for i, x in zip(places, slices, strict=False):
                values[i] = x
            return function(*values, **dict(zip(named, slices[len(places) :], strict=True)), **fixed)

        if not batch:
            return one(tensors)
        rows = [
            ops.reshape(ops.broadcast_to(t, (*batch, *core)), (size_of(batch), *core))
            for t, core in zip(tensors, cores, strict=True)
        ]
        found = map_slices(one, rows)
        if results is not None and results > 1 and not isinstance(found, tuple | list):
            raise ShapeError(f"vectorize: the signature names {results} results, and the function returns one.")
        return map_tree(lambda y: ops.reshape(y, (*batch, *y.shape[1:])), found)

    return call


def _read_signature(signature: str) -> tuple[list[int], int]:
    """How many dimensions each argument has, and how many results there are."""
    core = r"\(\s*(?:\w+(?:\s*,\s*\w+)*)?\s*\)"
    several = rf"\s*{core}(?:\s*,\s*{core})*\s*"
    if not re.fullmatch(rf"{several}->{several}", signature):
        raise ArgumentError(f"Not a valid gufunc signature: {signature!r}. Write it like '(n,m),(m)->(n)'.")
    given, made = signature.split("->")
    return [len(re.findall(r"\w+", c)) for c in re.findall(core, given)], len(re.findall(core, made))


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """``lamina.jvp`` of a function that may return, beside its value, something that is not differentiated.

    Returns:
        ``(value, tangent)``, or ``(value, tangent, aux)``.
    """
    if not has_aux:
        return autodiff.jvp(f, primals, tangents)
    seen: list[Any] = []

    def plain(*xs: Any) -> Any:
        value, extra = f(*xs)
        seen.append(extra)
        return value

    value, tangent = autodiff.jvp(plain, primals, tangents)
    return value, tangent, seen[0]
