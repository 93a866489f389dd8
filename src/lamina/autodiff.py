"""Differentiation: one reverse pass over recorded primitives, and what is built on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DifferentiationError, ShapeError
from lamina.core.primitive import Primitive, Record, Spec, Unsupported, state, unsupported, wrap
from lamina.core.trees import flatten, map_tree, unflatten
from lamina.tensor import Tensor, Variable


def leading_to(records: Sequence[Record], sources: Sequence[Any]) -> set[int]:
    """Ids of the sources and of everything that was computed from them."""
    found = {id(s) for s in sources}
    for record in records:
        for x in record.inputs:
            if id(x) in found:
                found.update([id(o) for o in record.outputs])
                break
    return found


def backward(records: Sequence[Record], cotangents: dict[int, Tensor], sources: Sequence[Any]) -> None:
    """Walk records backwards, adding up cotangents in place.

    Args:
        records: executed primitives in order of execution.
        cotangents: cotangent of each tensor, by ``id`` of the Tensor or Variable; seeded with those
            of the outputs, and afterwards holding those of the sources too.
        sources: what gradients are wanted of; nothing is computed that does not lead to them.

    Raises:
        DifferentiationError: a primitive on the way has no gradient.
    """
    wanted = leading_to(records, sources)
    capture, scope = state.capture, state.scope
    source = capture.source if capture is not None else None
    try:
        for record in reversed(records):
            needed = [id(x) in wanted for x in record.inputs]
            if True not in needed:
                continue
            if capture is not None:
                _enter_origin(record, source, scope)
            _pull_back(record, needed, cotangents)
    finally:
        if capture is not None:
            capture.source, state.scope = source, scope


def _pull_back(record: Record, needed: Sequence[bool], cotangents: dict[int, Tensor]) -> None:
    """From the cotangents of a record's outputs to those of its inputs, where they are needed."""
    primitive, inputs, outputs, params, single = record
    found: Any = cotangents.get(id(outputs[0])) if single else tuple([cotangents.get(id(o)) for o in outputs])
    if found is None or (not single and all(ct is None for ct in found)):
        return
    vjp = primitive.vjp
    if isinstance(vjp, Unsupported):
        reached = (found,) if single else found
        if any(dtypes.is_float(o.dtype) and ct is not None for o, ct in zip(outputs, reached, strict=True)):
            raise DifferentiationError(
                f"The gradient of {primitive.name!r} does not exist: {vjp.reason}. "
                "Use lamina.stop_gradient on its input if none should flow."
            )
        return
    output = outputs[0] if single else outputs
    grads = vjp(found, output, *inputs, **params) if params else vjp(found, output, *inputs)
    for x, grad, need in zip(inputs, grads, needed, strict=True):
        if grad is None or not need or not dtypes.is_float(x._data.dtype):
            continue
        if type(grad) is FunctionType:
            grad = grad()
        before = cotangents.get(id(x))
        cotangents[id(x)] = grad if before is None else ops.add(before, grad)


def _enter_origin(record: Record, source: str | None, scope: tuple[str, ...]) -> None:
    """In a capture the nodes of a gradient carry the layer and the line of the op whose gradient they are."""
    node = getattr(record.outputs[0]._data, "node", None)
    if node is not None:
        source = node.source
        scope = node.scope if node.scope[-1:] in ((), ("gradient",)) else (*node.scope, "gradient")
    state.capture.source, state.scope = source, scope


def _ones(x: Tensor) -> Tensor:
    """The cotangent of a target: ones, without the way through an op where there is no graph."""
    data = x._data
    return wrap(np.ones(data.shape, data.dtype)) if type(data) is np.ndarray else ops.ones_like(x)


def alias(x: Tensor) -> Tensor:
    """The same value as another Tensor object, which active tapes see as computed from ``x``.

    Transforms differentiate with respect to an alias, so that the same Tensor reached another way
    (as a second argument, or through a closure) does not count.
    """
    capture = state.capture
    # In the body of a loop or branch, what lies outside comes in as x itself, whose history is known there.
    data = x._data if capture is None or not x.is_symbolic else capture.value_of(x)
    fresh: Tensor = type(x)._of(data) if isinstance(x, Tensor) else wrap(data)
    for tape in state.tapes:
        if tape.wants((x,)):
            tape.record(Record(ALIAS, (x,), (fresh,), {}, True))
    return fresh


ALIAS = Primitive(
    "alias",
    shape=lambda x: Spec(x.shape, x.dtype),
    numpy=lambda x: x.view(),
    vjp=lambda ct, out, x: (ct,),
    native=unsupported("it is recorded by tapes only and never becomes a node"),
)


class GradientTape:
    """Records the ops on watched tensors so that gradients can be taken afterwards.

    Trainable Variables that are read inside the ``with`` block are watched by themselves;
    tensors by ``watch``.  Tapes nest: taking a gradient inside an outer tape is itself
    recorded, which gives higher derivatives.

    Args:
        persistent: allow several calls of ``gradient``; else the records are freed by the first.
        watch_accessed_variables: whether trainable Variables are watched by themselves.

    Example:
        >>> import lamina
        >>> x = lamina.tensor(3.0)
        >>> with lamina.GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = x * x
        >>> tape.gradient(y, x).item()
        6.0
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self.persistent = persistent
        self._watch_variables = watch_accessed_variables
        self._watched: set[int] = set()
        self._records: list[Record] | None = []
        self._keep: list[Any] = []  # watched objects stay alive, so that ids are not reused

    def __enter__(self) -> GradientTape:
        state.tapes = (*state.tapes, self)
        return self

    def __exit__(self, *exc: object) -> None:
        state.tapes = tuple(t for t in state.tapes if t is not self)

    def watch(self, tensor: Any) -> None:
        """Record what happens to this Tensor or Variable (or to each in a nested structure)."""
        for leaf in flatten(tensor)[0]:
            if not isinstance(leaf, Tensor | Variable):
                raise ArgumentError(f"tape.watch takes Tensors and Variables and got {type(leaf).__name__}.")
            if not dtypes.is_float(leaf.dtype):
                raise DifferentiationError(
                    f"Only floating-point tensors can be watched; got dtype {leaf.dtype}. "
                    "Cast it first: x.astype('float32')."
                )
            self._watched.add(id(leaf))
            self._keep.append(leaf)

    def watched_variables(self) -> tuple[Variable, ...]:
        """The Variables that are watched, in the order in which they were first met."""
        return tuple({id(x): x for x in self._keep if isinstance(x, Variable)}.values())

    def reset(self) -> None:
        """Forget everything that was recorded and watched."""
        self._watched.clear()
        self._keep.clear()
        self._records = []

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Nothing that happens inside is recorded: no gradient flows through it."""
        before = state.tapes
        state.tapes = tuple(t for t in before if t is not self)
        try:
            yield
        finally:
            state.tapes = before

    # --- called by bind ---------------------------------------------------------------------------
    def wants(self, inputs: Sequence[Any]) -> bool:
        watched = self._watched
        for x in inputs:
            if id(x) in watched:
                return True
            if self._watch_variables and type(x) is not Tensor and getattr(x, "trainable", False):
                watched.add(id(x))
                self._keep.append(x)
                return True
        return False

    def record(self, record: Record) -> None:
        if self._records is not None:
            self._records.append(record)
            for output in record.outputs:
                self._watched.add(id(output))

    # --- asking ---------------------------------------------------------------------------------
    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: str = "none",
    ) -> Any:
        """Gradient of ``target`` (summed over all its elements) with respect to ``sources``.

        Args:
            target: a Tensor, or a nested structure of Tensors whose gradients add up.
            sources: a Tensor or Variable, or a nested structure of them.
            output_gradients: cotangents of the targets, same structure; default ones.
            unconnected_gradients: ``"none"`` gives ``None`` for a source that the target does not
                depend on, ``"zero"`` gives zeros.

        Returns:
            Gradients in the structure of ``sources``.

        Raises:
            DifferentiationError: the tape was used up, or an op on the way has no gradient.
        """
        if unconnected_gradients not in ("none", "zero"):
            raise ArgumentError(f"unconnected_gradients is 'none' or 'zero', not {unconnected_gradients!r}.")
        records = self._take_records()
        leaves, structure = flatten(sources)
        targets = flatten(target)[0]
        seeds = flatten(output_gradients)[0] if output_gradients is not None else [None] * len(targets)
        cotangents: dict[int, Tensor] = {}
        for t, seed in zip(targets, seeds, strict=True):
            ct = _ones(t) if seed is None else ops.as_tensor(seed, dtype=t.dtype)
            cotangents[id(t)] = ct if id(t) not in cotangents else ops.add(cotangents[id(t)], ct)
        before = state.tapes
        state.tapes = self._others()
        try:
            backward(records, cotangents, leaves)
        finally:
            state.tapes = before
        grads = []
        for leaf in leaves:
            grad = cotangents.get(id(leaf))
            if grad is None and unconnected_gradients == "zero":
                grad = ops.zeros_like(leaf)
            grads.append(grad)
        return unflatten(structure, grads)

    def jacobian(self, target: Tensor, sources: Any, unconnected_gradients: str = "none") -> Any:
        """All partial derivatives of ``target``'s elements: one reverse pass for each element.

        Args:
            target: a Tensor.
            sources: a Tensor or Variable, or a nested structure of them.
            unconnected_gradients: as in ``gradient``.

        Returns:
            Tensors of shape ``target.shape + source.shape`` in the structure of ``sources``.

        Example:
            >>> import lamina
            >>> x = lamina.tensor([1.0, 2.0])
            >>> with lamina.GradientTape() as tape:
            ...     tape.watch(x)
            ...     y = x * x
            >>> tape.jacobian(y, x).numpy()
            array([[2., 0.],
                   [0., 4.]], dtype=float32)
        """
        leaves, structure = flatten(sources)
        rows = self.pull(target, basis(target), leaves)
        return unflatten(structure, _jacobians([target], leaves, rows, unconnected_gradients == "zero")[0])

    def pull(self, target: Tensor, seeds: Iterable[Tensor], sources: Sequence[Any]) -> list[list[Any]]:
        """For each cotangent of the target those of the sources (``None`` where unconnected)."""
        records = self._take_records()
        before = state.tapes
        state.tapes = self._others()
        try:
            return [_pull(records, [target], [seed], sources) for seed in seeds]
        finally:
            state.tapes = before

    def _take_records(self) -> list[Record]:
        """What was recorded, used up unless the tape is persistent."""
        if self._records is None:
            raise DifferentiationError(
                "This tape was already asked for a gradient. Use GradientTape(persistent=True) to ask again."
            )
        records = list(self._records) if self.persistent else self._records
        if not self.persistent:
            self._records = None
        return records

    def _others(self) -> tuple[GradientTape, ...]:
        """The tapes that see how this one walks back: not itself, unless it is persistent and inside its ``with``."""
        return state.tapes if self.persistent else tuple([t for t in state.tapes if t is not self])


# --- transforms -----------------------------------------------------------------------------------
def _pull(records: Sequence[Record], targets: Sequence[Any], seeds: Sequence[Any], sources: Sequence[Any]) -> list[Any]:
    """Cotangents of the sources (``None`` where unconnected) for cotangents of the targets."""
    cotangents: dict[int, Tensor] = {}
    for t, seed in zip(targets, seeds, strict=True):
        if seed is not None:
            cotangents[id(t)] = seed if id(t) not in cotangents else ops.add(cotangents[id(t)], seed)
    backward(records, cotangents, sources)
    return [cotangents.get(id(s)) for s in sources]


def basis(target: Tensor) -> Iterator[Tensor]:
    """One cotangent for each element: 1 there and 0 elsewhere."""
    for i in range(target.size):
        row = np.zeros(target.size, target.dtype)
        row[i] = 1
        yield wrap(row.reshape(target.shape))


def _jacobians(
    targets: Sequence[Tensor], sources: Sequence[Any], rows: Sequence[Sequence[Any]], zeros: bool
) -> list[list[Any]]:
    """Stack the rows (one for each element of each target in turn) into Jacobians: ``[target][source]``."""
    result, start = [], 0
    for target in targets:
        block = rows[start : start + target.size]
        start += target.size
        found: list[Any] = []
        for j, source in enumerate(sources):
            column = [row[j] for row in block]
            if all(ct is None for ct in column) and not zeros:
                found.append(None)
                continue
            column = [ops.zeros_like(source) if ct is None else ct for ct in column]
            shape = (*target.shape, *source.shape)
            found.append(ops.reshape(ops.stack(column), shape) if column else ops.zeros(shape, source.dtype))
        result.append(found)
    return result


class _Traced:
    """One run of a function under a tape of its own, which watches chosen arguments."""

    def __init__(
        self, name: str, f: Callable[..., Any], argnums: Any, args: tuple[Any, ...], kwargs: Any, has_aux: bool
    ) -> None:
        chosen = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        for n in chosen:
            if not -len(args) <= n < len(args):
                raise ArgumentError(
                    f"{name}: argnums={argnums}, and the function was called with {len(args)} arguments."
                )
        new = list(args)
        for n in chosen:
            new[n] = map_tree(_source, args[n])
        self.sources, self.structure = flatten(
            new[argnums] if isinstance(argnums, int) else tuple(new[n] for n in chosen)
        )
        self.tape = GradientTape(persistent=True, watch_accessed_variables=False)
        with self.tape:
            self.tape.watch(self.sources)
            self.result = f(*new, **kwargs)
        self.aux = None
        if has_aux:
            if not isinstance(self.result, tuple) or len(self.result) != 2:
                raise ArgumentError(f"{name}: with has_aux=True the function returns a pair (result, aux).")
            self.result, self.aux = self.result

    def scalar(self, name: str) -> Tensor:
        """The result, which has to be one float."""
        result = self.result
        if not isinstance(result, Tensor) or result.shape != () or not dtypes.is_float(result.dtype):
            what = f"{result.dtype} of shape {result.shape}" if isinstance(result, Tensor) else type(result).__name__
            raise DifferentiationError(
                f"{name} takes a function that returns one float (a Tensor of shape ()); this one returned {what}. "
                "Reduce it, e.g. with lamina.sum or lamina.mean, or use lamina.jacobian or lamina.vjp."
            )
        return result

    def pull(self, targets: Sequence[Any], seeds: Sequence[Any]) -> list[Any]:
        """Cotangents of the sources, zeros where unconnected."""
        records = self.tape._records or []
        found = _pull(records, targets, seeds, self.sources)
        return [ops.zeros_like(s) if ct is None else ct for s, ct in zip(self.sources, found, strict=True)]


def _source(x: Any) -> Any:
    """An argument to differentiate with respect to."""
    if isinstance(x, Variable):
        return x
    x = ops.as_tensor(x)
    if not dtypes.is_float(x.dtype):
        raise DifferentiationError(
            f"Only floating-point arguments have gradients; got dtype {x.dtype}. Cast it first: x.astype('float32')."
        )
    return alias(x)


def value_and_grad(f: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns ``f``'s value together with its gradient.

    Args:
        f: function that returns a float Tensor of shape ``()``, or with ``has_aux`` a pair of it and
            anything else.
        argnums: position of the argument to differentiate with respect to, or a tuple of positions.
            Each may be a nested structure of Tensors and Variables.
        has_aux: see ``f``.

    Returns:
        A function with ``f``'s arguments that returns ``(value, gradient)``, or
        ``((value, aux), gradient)``.  The gradient has the structure of the argument (a tuple of them
        for several ``argnums``).

    Example:
        >>> import lamina
        >>> value, slope = lamina.value_and_grad(lambda x: x * x)(3.0)
        >>> value.item(), slope.item()
        (9.0, 6.0)
    """

    def differentiated(*args: Any, **kwargs: Any) -> Any:
        traced = _Traced("value_and_grad", f, argnums, args, kwargs, has_aux)
        result = traced.scalar("value_and_grad")
        grads = unflatten(traced.structure, traced.pull([result], [_ones(result)]))
        return ((result, traced.aux), grads) if has_aux else (result, grads)

    return differentiated


def grad(f: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The gradient of a function that returns one float.  ``grad`` of ``grad`` gives higher derivatives.

    Args:
        f, argnums, has_aux: as in ``value_and_grad``.

    Returns:
        A function with ``f``'s arguments that returns the gradient, or ``(gradient, aux)``.

    Raises:
        DifferentiationError: on a call, ``f`` returns something other than a float of shape ``()``, or an
            argument is not of floats.

    Example:
        >>> import lamina
        >>> lamina.grad(lamina.grad(lambda x: x * x * x))(2.0).item()
        12.0
    """

    def differentiated(*args: Any, **kwargs: Any) -> Any:
        traced = _Traced("grad", f, argnums, args, kwargs, has_aux)
        result = traced.scalar("grad")
        grads = unflatten(traced.structure, traced.pull([result], [_ones(result)]))
        return (grads, traced.aux) if has_aux else grads

    return differentiated


def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Run ``f`` and get the function that pulls cotangents back through it.

    Args:
        f: function of the primals that returns Tensors in any nesting (with ``has_aux``: a pair of these and
            anything else).
        primals: the arguments; nested structures of float Tensors and Variables.

    Returns:
        ``(result, pullback)`` or ``(result, pullback, aux)``.  ``pullback(cotangents)`` takes the structure of
        the result and returns a tuple with one cotangent structure for each primal.  It can be called
        again and again.

    Example:
        >>> import lamina
        >>> y, pullback = lamina.vjp(lambda x: x * x, lamina.tensor([1.0, 2.0]))
        >>> pullback(lamina.tensor([1.0, 10.0]))[0].numpy()
        array([ 2., 40.], dtype=float32)
    """
    traced = _Traced("vjp", f, tuple(range(len(primals))), primals, {}, has_aux)
    outputs, _ = flatten(traced.result)

    def pullback(cotangents: Any) -> Any:
        seeds = flatten(cotangents)[0]
        if len(seeds) != len(outputs):
            raise ArgumentError(f"The pullback takes {len(outputs)} cotangents, one for each output; got {len(seeds)}.")
        seeds = [ops.as_tensor(ct, dtype=o.dtype) for ct, o in zip(seeds, outputs, strict=True)]
        for ct, o in zip(seeds, outputs, strict=True):
            if ct.shape != o.shape:
                raise ShapeError(f"The cotangent of an output of shape {o.shape} has shape {ct.shape}.")
        return unflatten(traced.structure, traced.pull(outputs, seeds))

    return (traced.result, pullback, traced.aux) if has_aux else (traced.result, pullback)


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Run ``f`` and push tangents forward through it: ``(f(x), J(x) @ t)``.

    The product is the derivative of the pullback, which is linear, with respect to its cotangent:
    two reverse passes.

    Args:
        f: function of the primals that returns Tensors in any nesting.
        primals: the arguments.
        tangents: a direction for each primal, of the same structure and shapes.

    Returns:
        ``(result, tangent of the result)``.

    Example:
        >>> import lamina
        >>> lamina.jvp(lambda x: x * x, (3.0,), (1.0,))[1].item()
        6.0
    """
    traced = _Traced("jvp", f, tuple(range(len(primals))), tuple(primals), {}, False)
    outputs, structure = flatten(traced.result)
    directions = flatten(tuple(tangents))[0]
    if len(directions) != len(traced.sources):
        raise ArgumentError(f"jvp takes one tangent for each primal; got {len(directions)} for {len(traced.sources)}.")
    directions = [ops.as_tensor(d, dtype=s.dtype) for d, s in zip(directions, traced.sources, strict=True)]
    for d, s in zip(directions, traced.sources, strict=True):
        if d.shape != s.shape:
            raise ShapeError(f"jvp: the tangent of an argument of shape {s.shape} has shape {d.shape}.")
    seeds = [ops.zeros_like(o) for o in outputs]
    second = GradientTape(watch_accessed_variables=False)
    with second:
        second.watch([s for s in seeds if dtypes.is_float(s.dtype)])
        grads = traced.pull(outputs, seeds)
    pushed = second.gradient(grads, seeds, directions, unconnected_gradients="zero")
    return traced.result, unflatten(structure, pushed)


def jacobian(f: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """All partial derivatives of ``f``'s result: one reverse pass for each of its elements.

    Args:
        f: function that returns a Tensor, or a nested structure of them (with ``has_aux``: a pair of this
            and anything else).
        argnums: as in ``value_and_grad``.

    Returns:
        A function with ``f``'s arguments.  For each Tensor of the result, in the result's structure, it
        returns the structure of the argument with Tensors of shape ``result.shape + argument.shape``.

    Example:
        >>> import lamina
        >>> lamina.jacobian(lambda x: x * x)(lamina.tensor([1.0, 2.0])).numpy()
        array([[2., 0.],
               [0., 4.]], dtype=float32)
    """

    def differentiated(*args: Any, **kwargs: Any) -> Any:
        traced = _Traced("jacobian", f, argnums, args, kwargs, has_aux)
        outputs, structure = flatten(traced.result)
        records = traced.tape._records or []
        rows = [_pull(records, [o], [row], traced.sources) for o in outputs for row in basis(o)]
        blocks = _jacobians(outputs, traced.sources, rows, zeros=True)
        result = unflatten(structure, [unflatten(traced.structure, block) for block in blocks])
        return (result, traced.aux) if has_aux else result

    return differentiated


def hessian(f: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """All second derivatives of a function that returns one float.

    Args:
        f, argnums, has_aux: as in ``value_and_grad``.

    Returns:
        A function with ``f``'s arguments.  For an argument that is one Tensor it returns a Tensor of shape
        ``x.shape + x.shape``; for nested arguments, the structure of the argument at each of its leaves.

    Example:
        >>> import lamina
        >>> lamina.hessian(lambda x: lamina.sum(x * x * x))(lamina.tensor([1.0, 2.0])).numpy()
        array([[ 6.,  0.],
               [ 0., 12.]], dtype=float32)
    """
    return jacobian(grad(f, argnums, has_aux), argnums, has_aux)
