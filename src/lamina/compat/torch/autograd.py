"""The history of tensors and ``backward``: PyTorch's front on Lamina's one reverse pass.

Every result of an op on a tensor that requires a gradient keeps a ``Node``: the record of the op, as a tape would keep
it, and the nodes before it.  ``backward`` collects the records that lead to a result and hands them to
``lamina.autodiff.backward``.  Nothing else differentiates here.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lamina import autodiff, ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DifferentiationError, ShapeError
from lamina.core.primitive import NOT_DIFFERENTIABLE, Primitive, Record, ndarray, wrap


class _Mode(threading.local):
    """Whether ops on tensors that require gradients are recorded in this thread."""

    enabled = True


recording = _Mode()


class _Trace(threading.local):
    """What a compiled step in the making did with gradients (see ``compiling``)."""

    active = False
    zeroed = False  # whether it cleared gradients
    owners: list[Any]  # whose ``grad`` it set


trace = _Trace()


def zeroed() -> None:
    """Note that gradients are cleared at this point."""
    trace.zeroed = True


_order = itertools.count()
_saved: Counter[int] = Counter()  # memory that live histories hold: what is computed in place keeps off it


def memory_of(array: ndarray) -> ndarray:
    """The array whose memory this one is a view of."""
    while isinstance(array.base, ndarray):
        array = array.base
    return array


def is_saved(array: ndarray) -> bool:
    """Whether some history still needs the numbers in this memory."""
    return _saved[id(memory_of(array))] > 0


class Node:
    """How a result came about.

    ``record`` holds plain Tensors, which stand for the values at the time: ``token`` of each input.
    """

    __slots__ = ("__weakref__", "_memory", "_name", "leaves", "order", "parents", "record", "retained")

    def __init__(self, record: Record, parents: list[Node], leaves: list[tuple[Any, Any]]) -> None:
        self.record: Record | None = record
        self._name = record.primitive.name
        self.parents = parents
        self.leaves = leaves  # (token, the tensor or parameter that takes its gradient)
        self.order = next(_order)
        self.retained: list[tuple[Any, Any]] = []  # results that were asked to keep their gradient
        arrays = [x._data for x in (*record.inputs, *record.outputs)]
        self._memory = [memory_of(a) for a in arrays if type(a) is ndarray]
        _saved.update(map(id, self._memory))

    def free(self) -> None:
        """Forget the values; a second ``backward`` through here is refused."""
        self.record, self.parents, self.leaves = None, [], []
        for array in self._memory:
            _saved[id(array)] -= 1
            if not _saved[id(array)]:
                del _saved[id(array)]
        self._memory = []

    def __del__(self) -> None:
        self.free()

    def __repr__(self) -> str:
        return f"<{''.join(part.capitalize() for part in self._name.split('_'))}Backward0>"


def token_of(x: Any) -> Any:
    """The plain Tensor that stands for a tensor's present value in histories."""
    token = getattr(x, "_token", None)
    if token is None:
        token = wrap(x._data)
        if hasattr(x, "_token"):
            x._token = token
    return token


def results(
    primitive: Primitive,
    inputs: tuple[Any, ...],
    outputs: tuple[Any, ...],
    params: dict[str, Any],
    single: bool,
    adopt: Callable[[Any], Any],
) -> tuple[Any, ...]:
    """The outputs of an op as PyTorch's tensors, with their history if one of the inputs requires a gradient."""
    made = tuple([adopt(o._data) for o in outputs])
    if not recording.enabled or primitive.vjp is NOT_DIFFERENTIABLE:
        return made
    wanting = [x for x in inputs if getattr(x, "_wants", False)]
    floats = [i for i, o in enumerate(outputs) if dtypes.is_float(o.dtype)]
    if not wanting or not floats:
        return made
    parents, leaves = [], []
    for x in wanting:
        if x._node is not None:
            parents.append(x._node)
        else:
            leaves.append((token_of(x), x if x._leaf is None else x._leaf))
    node = Node(Record(primitive, tuple([token_of(x) for x in inputs]), outputs, params, single), parents, leaves)
    for i in floats:
        made[i]._wants, made[i]._node, made[i]._token = True, node, outputs[i]
    return made


def _history(roots: Iterable[Any]) -> list[Node]:
    """The nodes that lead to these tensors, oldest first."""
    found: dict[int, Node] = {}
    stack = [x._node for x in roots if x._node is not None]
    while stack:
        node = stack.pop()
        if id(node) not in found:
            if node.record is None:
                raise DifferentiationError(
                    "Trying to backward through the graph a second time: the saved values were freed by the first "
                    "backward(). Compute the loss again, or give retain_graph=True to the first backward()."
                )
            found[id(node)] = node
            stack.extend(node.parents)
    return sorted(found.values(), key=lambda n: n.order)


def _walk_back(
    roots: Sequence[Any], seeds: Sequence[Any], sources: Sequence[Any], nodes: Sequence[Node], create_graph: bool
) -> list[Any]:
    """Cotangents of the source tokens, ``None`` where there is none."""
    records = [n.record for n in nodes if n.record is not None]
    stand_in = _stand_ins(nodes) if create_graph else {}

    def at(token: Any) -> Any:
        return stand_in.get(id(token), token)

    if create_graph:
        records = [r._replace(inputs=tuple(map(at, r.inputs)), outputs=tuple(map(at, r.outputs))) for r in records]
    cotangents: dict[int, Any] = {}
    for root, seed in zip(roots, seeds, strict=True):
        key = id(at(token_of(root)))
        cotangents[key] = seed if key not in cotangents else ops.add(cotangents[key], seed)
    before, recording.enabled = recording.enabled, create_graph
    try:
        autodiff.backward(records, cotangents, [at(s) for s in sources])
    finally:
        recording.enabled = before
    return [cotangents.get(id(at(s))) for s in sources]


def _stand_ins(nodes: Sequence[Node]) -> dict[int, Any]:
    """For each token a tensor with its history, so that the walk back is recorded itself."""
    from lamina.compat.torch.tensor import adopt

    found: dict[int, Any] = {}

    def stand(token: Any, node: Node | None, leaf: Any) -> None:
        if id(token) not in found and dtypes.is_float(token.dtype):
            tensor = found[id(token)] = adopt(token._data)
            tensor._token, tensor._node, tensor._leaf, tensor._wants = token, node, leaf, True

    for node in nodes:
        for token, leaf in node.leaves:
            stand(token, None, leaf)
        for output in node.record.outputs if node.record is not None else ():
            stand(output, node, None)
    return found


def _seed(root: Any, gradient: Any) -> Any:
    if not getattr(root, "_wants", False):
        raise DifferentiationError(
            "This tensor does not require a gradient and has no history: nothing in it was computed from a tensor "
            "with requires_grad=True, or it was computed under no_grad() or detach()ed."
        )
    if gradient is None:
        if int(np.prod(root.shape)) != 1:
            raise DifferentiationError(
                f"grad can be implicitly created only for scalar outputs; this tensor has shape {tuple(root.shape)}. "
                "Sum or average it first, or give backward() a gradient of that shape."
            )
        return wrap(np.ones(tuple(root.shape), root.dtype))
    seed = ops.as_tensor(gradient)
    if tuple(seed.shape) != tuple(root.shape):
        raise ShapeError(f"The gradient has shape {tuple(seed.shape)} and the tensor {tuple(root.shape)}.")
    return seed


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradient of the tensors' sum to ``grad`` of every leaf that they were computed from.

    Args:
        tensors: a tensor of one element, or several; of any shape if ``grad_tensors`` is given.
        grad_tensors: cotangents, one for each tensor.
        retain_graph: keep what was saved for another ``backward``; default ``create_graph``.
        create_graph: record how the gradients are computed, so that they can be differentiated.
        inputs: the leaves whose ``grad`` is wanted; default all.

    Raises:
        DifferentiationError: nothing requires a gradient, the graph was freed, or a tensor has several elements.
    """
    roots = _value_list(tensors)
    given = [None] * len(roots) if grad_tensors is None else _listed(grad_tensors)
    seeds = [_seed(root, g) for root, g in zip(roots, given, strict=True)]
    nodes = _history(roots)
    targets: dict[int, tuple[Any, Any]] = {}
    for node in nodes:
        for token, owner in (*node.leaves, *node.retained):
            targets[id(token)] = token, owner
    for root in roots:
        if root._node is None:
            targets[id(token_of(root))] = token_of(root), root if root._leaf is None else root._leaf
    if inputs is not None:
        wanted = {id(x) for x in _listed(inputs)}
        targets = {k: pair for k, pair in targets.items() if id(pair[1]) in wanted}
    pairs = list(targets.values())
    found = _walk_back(roots, seeds, [token for token, _ in pairs], nodes, create_graph)
    taken: set[int] = set()
    for (_, owner), gradient in zip(pairs, found, strict=True):
        if gradient is not None:
            _accumulate(owner, gradient, taken, create_graph)
    if not (create_graph if retain_graph is None else retain_graph):
        for node in nodes:
            node.free()


def _accumulate(owner: Any, gradient: Any, taken: set[int], recorded: bool) -> None:
    from lamina.compat.torch.tensor import adopt

    before = owner.grad
    if before is not None:
        with set_grad_enabled(recorded):
            gradient = ops.add(before, gradient)
    data = gradient._data
    if trace.active:
        trace.owners.append(owner)
    if not recorded:
        if type(data) is ndarray and (data.base is not None or not data.flags.writeable or id(data) in taken):
            data = data.copy()  # so that it can be changed in place without changing anything else
        taken.add(id(data))
        gradient = adopt(data)
    owner.grad = gradient


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """Gradients of the outputs' sum with respect to the inputs; no ``grad`` attribute changes.

    Args:
        outputs: a tensor, or several.
        inputs: a tensor, or several: leaves or anything on the way.
        grad_outputs: cotangents of the outputs.
        retain_graph: keep what was saved; default ``create_graph``.
        create_graph: record how the gradients are computed.
        allow_unused: give ``None`` for an input that the outputs do not depend on, instead of an error.

    Returns:
        One gradient for each input.
    """
    from lamina.compat.torch.tensor import adopt

    roots, wanted = _value_list(outputs), _listed(inputs)
    given = [None] * len(roots) if grad_outputs is None else _listed(grad_outputs)
    seeds = [_seed(root, g) for root, g in zip(roots, given, strict=True)]
    nodes = _history(roots)
    tokens: list[list[Any]] = []
    for x in wanted:
        if hasattr(x, "_token"):
            tokens.append([token_of(x)])
        else:  # a parameter: every read of it is a token
            own = {id(t): t for n in nodes for t, owner in n.leaves if owner is x}
            tokens.append(list(own.values()))
    flat = [t for group in tokens for t in group]
    found = iter(_walk_back(roots, seeds, flat, nodes, create_graph))
    result = []
    for x, group in zip(wanted, tokens, strict=True):
        parts = [g for g in [next(found) for _ in group] if g is not None]
        if not parts and not allow_unused:
            raise DifferentiationError(
                f"One of the differentiated tensors (shape {tuple(x.shape)}) was not used in the graph. "
                "Give allow_unused=True if that is meant."
            )
        total = functools.reduce(ops.add, parts) if parts else None
        result.append(total if total is None or create_graph else adopt(total._data))
    if not (create_graph if retain_graph is None else retain_graph):
        for node in nodes:
            node.free()
    return tuple(result)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _value_list(value: Any) -> list[Any]:
    """Tensors; of a parameter its value."""
    return [x if hasattr(x, "_node") else ops.as_tensor(x) for x in _listed(value)]


class set_grad_enabled:  # noqa: N801  PyTorch's name
    """Record operations from now on, or not; as a context manager for a block, as a decorator for a function.

    Args:
        mode: whether to record.
    """

    def __init__(self, mode: bool) -> None:
        self._before, self._now = recording.enabled, bool(mode)
        recording.enabled = self._now

    def __enter__(self) -> None:
        recording.enabled = self._now

    def __exit__(self, *exc: object) -> None:
        recording.enabled = self._before


class _Block:
    """A context manager and decorator that sets the mode."""

    _now = True

    def __init__(self, mode: bool = True) -> None:
        if not isinstance(mode, bool):
            raise ArgumentError(f"{type(self).__name__} as a decorator is written with brackets.")
        self._stack: list[bool] = []

    def __new__(cls, function: Any = None) -> Any:
        if callable(function):  # @torch.no_grad without brackets
            return object.__new__(cls)._wrapped(function)
        return object.__new__(cls)

    def __enter__(self) -> None:
        self._stack.append(recording.enabled)
        recording.enabled = self._now

    def __exit__(self, *exc: object) -> None:
        recording.enabled = self._stack.pop()

    def _wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        now = self._now

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            before, recording.enabled = recording.enabled, now
            try:
                return function(*args, **kwargs)
            finally:
                recording.enabled = before

        return wrapped

    __call__ = _wrapped


class no_grad(_Block):  # noqa: N801  PyTorch's name
    """Record nothing inside a block or a function: for evaluation, and for updates written by hand."""

    _now = False


class inference_mode(_Block):  # noqa: N801  PyTorch's name
    """The same as ``no_grad``."""

    _now = False


class enable_grad(_Block):  # noqa: N801  PyTorch's name
    """Record again inside a ``no_grad`` block."""


def is_grad_enabled() -> bool:
    """Whether operations are recorded at this point."""
    return recording.enabled
