"""Differentiation: one reverse pass over recorded primitives, and what is built on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DifferentiationError
from lamina.core.primitive import Primitive, Record, Spec, Unsupported, state, unsupported, wrap
from lamina.core.trees import flatten, unflatten
from lamina.tensor import Tensor, Variable


def backward(records: Sequence[Record], cotangents: dict[int, Tensor], stop_at: set[int] = frozenset()) -> None:  # type: ignore[assignment]
    """Walk records backwards, adding up cotangents in place.

    Args:
        records: executed primitives in order of execution.
        cotangents: cotangent of each tensor, by ``id`` of the Tensor or Variable; seeded with those
            of the outputs, and afterwards holding those of everything they depend on.
        stop_at: ids whose producers are not walked into.

    Raises:
        DifferentiationError: a primitive on the way has no gradient.
    """
    for record in reversed(records):
        outputs = record.outputs
        found = [cotangents.get(id(o)) if id(o) not in stop_at else None for o in outputs]
        if all(ct is None for ct in found):
            continue
        vjp = record.primitive.vjp
        if isinstance(vjp, Unsupported):
            if any(dtypes.is_float(o.dtype) and ct is not None for o, ct in zip(outputs, found, strict=True)):
                raise DifferentiationError(
                    f"The gradient of {record.primitive.name!r} does not exist: {vjp.reason}. "
                    "Use lamina.stop_gradient on its input if none should flow."
                )
            continue
        if record.single:
            grads = vjp(found[0], outputs[0], *record.inputs, **record.params)
        else:
            grads = vjp(tuple(found), outputs, *record.inputs, **record.params)
        for x, grad in zip(record.inputs, grads, strict=True):
            if grad is None or not dtypes.is_float(x.dtype):
                continue
            before = cotangents.get(id(x))
            cotangents[id(x)] = grad if before is None else ops.add(before, grad)


def alias(x: Tensor) -> Tensor:
    """The same value as another Tensor object, which active tapes see as computed from ``x``.

    Transforms differentiate with respect to an alias, so that the same Tensor reached another way
    (as a second argument, or through a closure) does not count.
    """
    fresh = wrap(x._data)
    for tape in state.tapes:
        if tape.wants((x,)):
            tape.record(Record(ALIAS, (x,), (fresh,), {}, True))
    return fresh  # type: ignore[no-any-return]


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
        if self._records is None:
            raise DifferentiationError(
                "This tape was already asked for a gradient. Use GradientTape(persistent=True) to ask again."
            )
        targets = flatten(target)[0]
        seeds = flatten(output_gradients)[0] if output_gradients is not None else [None] * len(targets)
        cotangents: dict[int, Tensor] = {}
        for t, seed in zip(targets, seeds, strict=True):
            ct = ops.ones_like(t) if seed is None else ops.as_tensor(seed, dtype=t.dtype)
            cotangents[id(t)] = ct if id(t) not in cotangents else ops.add(cotangents[id(t)], ct)
        records = self._records
        if not self.persistent:
            self._records = None
        # While this tape walks back it must not grow, unless it is still inside its own `with`.
        paused = state.tapes
        if not self.persistent:
            state.tapes = tuple(t for t in state.tapes if t is not self)
        try:
            backward(list(records), cotangents)
        finally:
            state.tapes = paused
        leaves, structure = flatten(sources)
        grads = []
        for leaf in leaves:
            grad = cotangents.get(id(leaf))
            if grad is None and unconnected_gradients == "zero":
                grad = ops.zeros_like(leaf)
            grads.append(grad)
        return unflatten(structure, grads)
