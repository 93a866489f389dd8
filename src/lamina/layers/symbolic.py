"""Placeholders of the functional API, and how the shape of a layer's output is found out.

``Input((784,))`` returns a ``SymbolicTensor``: a shape with ``None`` where the size is not known
yet, a dtype, and the layer call (a ``Node``) that produces it.  Calling a layer on one makes
another.  No op ever runs on them: a ``Model`` replays the nodes on real tensors.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lamina import config
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, LaminaError
from lamina.core.masks import get_mask, set_mask
from lamina.core.primitive import Spec
from lamina.core.trees import flatten, unflatten
from lamina.graph.capture import capture_graph

Shape = tuple[int | None, ...]

# Sizes that stand for an unknown one while a layer is traced: primes that no real layer has, one
# for each axis, and a second set to tell a size that follows the input from one that happens to agree.
STAND_INS = (
    (1000003, 1000033, 1000037, 1000039, 1000081, 1000099),
    (1000117, 1000121, 1000133, 1000151, 1000159, 1000171),
)
# For functions that fill arrays of these sizes, such as grids of pixels.
SMALL_STAND_INS = ((101, 103, 107, 109, 113, 127), (131, 137, 139, 149, 151, 157))


def _operator(function: str, swapped: bool = False) -> Callable[[SymbolicTensor, Any], Any]:
    """The method that applies a function of ``lamina.ops`` to a placeholder and another operand."""

    def method(self: SymbolicTensor, other: Any) -> Any:
        return self._operate(function, other, self) if swapped else self._operate(function, self, other)

    return method


class SymbolicTensor:
    """A tensor of the functional API: it has a shape and a dtype and no values.

    Attributes:
        shape: sizes, ``None`` where not known yet (the batch).
        dtype: a NumPy dtype.
        name: the name of the input or layer that makes it.
    """

    __slots__ = ("shape", "dtype", "name", "node", "index", "__weakref__")
    sparse = ragged = False  # as no tensor of Lamina is

    def __init__(self, shape: Sequence[int | None], dtype: Any = None, name: str = "") -> None:
        if isinstance(shape, str | int) or not hasattr(shape, "__iter__"):
            raise ArgumentError(f"A placeholder's shape is a tuple of sizes; got shape={shape!r}.")
        self.shape: Shape = tuple(shape)
        self.dtype: np.dtype[Any] = dtypes.as_dtype(dtype if dtype is not None else config.floatx())
        self.name = name
        self.node: Node | None = None  # the layer call that makes it
        self.index = 0  # which of that call's outputs it is

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __repr__(self) -> str:
        return f"SymbolicTensor(name={self.name!r}, shape={self.shape}, dtype={self.dtype})"

    def _refuse(self, what: str) -> Any:
        raise ArgumentError(
            f"{what} needs values, and {self!r} is a placeholder of the functional API. "
            "Use a layer (Activation, Add, Reshape, ...), or write a Layer whose call() does it, and apply that."
        )

    def __lamina_tensor__(self) -> Any:
        return self._refuse("An op of Lamina")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self._refuse("NumPy")

    def __bool__(self) -> bool:
        return bool(self._refuse("A Python branch"))

    def __iter__(self) -> Any:
        return self._refuse("Iteration")

    def __len__(self) -> int:
        return int(self._refuse("len()"))

    # Operators between two placeholders, or with a number, become small layers.
    def through(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """The placeholder of what the function of this name gives with this tensor as its first argument."""
        return self._operate(function, self, *args, **kwargs)

    def _operate(self, function: str, *operands: Any, **kwargs: Any) -> Any:
        from lamina.layers.operation import Operation

        return Operation(function)(*operands, **kwargs)

    # ``==`` and ``!=`` tell placeholders apart, as ``list.index`` wants it.
    __add__, __radd__ = _operator("add"), _operator("add", swapped=True)
    __sub__, __rsub__ = _operator("subtract"), _operator("subtract", swapped=True)
    __mul__, __rmul__ = _operator("multiply"), _operator("multiply", swapped=True)
    __truediv__, __rtruediv__ = _operator("divide"), _operator("divide", swapped=True)
    __floordiv__, __rfloordiv__ = _operator("floor_divide"), _operator("floor_divide", swapped=True)
    __mod__, __rmod__ = _operator("remainder"), _operator("remainder", swapped=True)
    __pow__, __rpow__ = _operator("pow"), _operator("pow", swapped=True)
    __matmul__, __rmatmul__ = _operator("matmul"), _operator("matmul", swapped=True)
    __and__, __rand__ = _operator("logical_and"), _operator("logical_and", swapped=True)
    __or__, __ror__ = _operator("logical_or"), _operator("logical_or", swapped=True)
    __xor__, __rxor__ = _operator("logical_xor"), _operator("logical_xor", swapped=True)
    __lt__, __le__ = _operator("less"), _operator("less_equal")
    __gt__, __ge__ = _operator("greater"), _operator("greater_equal")

    def __neg__(self) -> Any:
        return self._operate("negative", self)

    def __abs__(self) -> Any:
        return self._operate("abs", self)

    def __invert__(self) -> Any:
        return self._operate("logical_not", self)

    def __getitem__(self, key: Any) -> Any:
        from lamina.layers.operation import GetItem

        return GetItem(key)(self)


class Node:
    """One call of a layer on placeholders: its arguments and what it returned."""

    __slots__ = ("layer", "args", "kwargs", "inputs", "outputs", "structure")

    def __init__(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        self.layer, self.args, self.kwargs = layer, args, kwargs
        self.inputs: list[SymbolicTensor] = symbolic_leaves((args, kwargs))
        self.outputs, self.structure = flatten(result)
        for i, output in enumerate(self.outputs):
            output.node, output.index = self, i
        layer._nodes.append(self)

    def __repr__(self) -> str:
        return f"Node({self.layer.name})"


def symbolic_leaves(tree: Any) -> list[SymbolicTensor]:
    """The placeholders in a nested structure."""
    return [leaf for leaf in flatten(tree)[0] if isinstance(leaf, SymbolicTensor)]


def replace_symbolic(tree: Any, replace: Callable[[SymbolicTensor], Any]) -> Any:
    """The structure with each placeholder replaced."""
    leaves, structure = flatten(tree)
    return unflatten(structure, [replace(x) if isinstance(x, SymbolicTensor) else x for x in leaves])


Sizes = dict[tuple[int, int], int]  # (number of the placeholder, axis) -> a size for it
StandIns = tuple[tuple[int, ...], ...]


def _attempts(
    inputs: Sequence[SymbolicTensor], args: Any, kwargs: Any, guess: bool
) -> Iterator[tuple[StandIns, int, Sizes]]:
    """What to try where different sizes do not fit: stand-ins, a factor for them, and sizes in place of some."""
    if any(p.shape[1:].count(None) > 1 for p in inputs):  # such as a mask of (batch, steps, steps)
        yield tuple((first, *[second] * len(others)) for first, second, *others in STAND_INS), 1, {}
    if guess and len(inputs) > 1 and any(None in p.shape for p in inputs):  # such as a carry and rows of its size
        yield tuple((sizes[0],) * len(sizes) for sizes in STAND_INS), 1, {}
    if guess:
        numbers = [n for n in flatten((args, kwargs))[0] if type(n) is int and n > 1]
        for factor, sizes in _guesses(inputs, numbers):
            yield STAND_INS, factor, sizes


def _guesses(inputs: Sequence[SymbolicTensor], numbers: Sequence[int]) -> Iterator[tuple[int, Sizes]]:
    """What unknown sizes may be for the inputs to fit: a factor for stand-ins, and sizes in place of some.

    First multiples of small numbers, which can be divided into parts.  Then 1, which broadcasts, or a
    number that is given elsewhere; those that say the least come first.
    """
    unknown = [(i, d) for i, p in enumerate(inputs) for d, n in enumerate(p.shape) if n is None][:6]
    if unknown:
        yield 5040, {}
    known = sorted({1, *numbers, *(n for p in inputs for n in p.shape if n is not None)})[:5]
    for count in range(1, len(unknown) + 1):
        for places in itertools.combinations(unknown, count):
            for sizes in itertools.product(known, repeat=count):
                yield 1, dict(zip(places, sizes, strict=True))


def infer_outputs(
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], name: str, guess: bool = False
) -> Any:
    """The structure that ``call`` returns, with a ``SymbolicTensor`` for each tensor in it.

    Masks that the placeholders carry go in with them, and those of the outputs come out on the placeholders.
    The call is captured on stand-in sizes.  Where a size is unknown it is captured twice, and a
    size of the output that differs between the two is unknown too.

    Args:
        call: the layer's call.
        args: its positional arguments; placeholders stand for tensors.
        kwargs: its keyword arguments.
        name: name for the placeholders that are made.
        guess: if the inputs do not fit with stand-ins, try what unknown sizes could be, so that
            ``(None, 3)`` and ``(2, None)`` broadcast to ``(2, 3)``.
    """
    placeholders = symbolic_leaves((args, kwargs))
    masked = [(i, mask) for i, p in enumerate(placeholders) if (mask := get_mask(p)) is not None]
    inputs = [*placeholders, *[mask for _, mask in masked]]

    def trace(sizes: Sequence[int], given: Sizes) -> tuple[Any, Any]:
        def spec(i: int, p: SymbolicTensor) -> Spec:
            fill = (sizes[d % len(sizes)] if n is None else n for d, n in enumerate(p.shape))
            return Spec(tuple(given.get((i, d), n) for d, n in enumerate(fill)), p.dtype)

        def run(*tensors: Any) -> Any:
            for (i, _), mask in zip(masked, tensors[len(placeholders) :], strict=True):
                set_mask(tensors[i], mask)
            queue = iter(tensors)
            real_args, real_kwargs = replace_symbolic((args, kwargs), lambda _: next(queue))
            result = call(*real_args, **real_kwargs)
            return result, [get_mask(x) for x in flatten(result)[0]]

        return capture_graph(run, [spec(i, p) for i, p in enumerate(inputs)], name=name)

    stand_ins: StandIns = STAND_INS
    factor, given = 1, Sizes()
    try:
        first, structure = trace(STAND_INS[0], given)
    except (LaminaError, MemoryError) as error:
        if isinstance(error, LaminaError):
            attempts = _attempts(inputs, args, kwargs, guess)
        else:
            attempts = iter([(SMALL_STAND_INS, 1, Sizes())] if guess else [])
        for stand_ins, factor, given in attempts:
            try:
                first, structure = trace([n * factor for n in stand_ins[0]], given)
                break
            except (LaminaError, MemoryError):
                pass
        else:
            raise
    shapes: list[Shape] = [v.shape for v in first.outputs]
    if any(None in p.shape for p in placeholders):
        second, _ = trace([n * factor for n in stand_ins[1]], given)
        shapes = [
            tuple(a if a == b else None for a, b in zip(v.shape, w.shape, strict=True))
            for v, w in zip(first.outputs, second.outputs, strict=True)
        ]
    made = [SymbolicTensor(shape, v.dtype, name) for shape, v in zip(shapes, first.outputs, strict=True)]
    result, masks = unflatten(structure, made)
    for x, mask in zip(flatten(result)[0], masks, strict=True):
        set_mask(x, mask)
    return result


def show_unknown_sizes(message: str) -> str:
    """A message in which stand-in sizes read ``None``."""
    return re.sub("|".join(str(n) for sizes in STAND_INS for n in sizes), "None", message)


def hide_stand_ins(shape: Sequence[int | None]) -> Shape:
    """A shape with ``None`` in place of the stand-in sizes, as ``build`` is to see it."""
    return tuple(None if n in STAND_INS[0] or n in STAND_INS[1] else n for n in shape)
