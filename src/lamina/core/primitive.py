"""Primitives, and ``bind``: the one door through which every operation passes.

A primitive stands in one block of code in its family's file under ``ops/``: the rule for its
output's shape and dtype, its NumPy meaning, its vector-Jacobian product and its native
lowering.  ``bind`` runs the NumPy meaning, or adds a node to the graph that is being captured,
and tells every active tape.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np

from lamina.core.errors import LaminaError, ShapeError

ndarray = np.ndarray


class Spec(NamedTuple):
    """Shape and dtype of an array: all that a shape rule may know of its inputs."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Unsupported:
    """Stands where a rule would stand and says why there is none."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"unsupported({self.reason!r})"


def unsupported(reason: str) -> Unsupported:
    """Declare that a primitive has no rule of this kind, and why."""
    return Unsupported(reason)


NOT_DIFFERENTIABLE = Unsupported("its output does not vary smoothly with its inputs")

PRIMITIVES: dict[str, Primitive] = {}


class Primitive:
    """One operation, with all its rules side by side.

    Args:
        name: unique name, also its name in a printed graph.
        shape: ``shape(*specs, **params)`` gives the ``Spec`` of the output, or a list of them.
            The arguments have ``.shape`` and ``.dtype``.  Raises ``ShapeError``/``DTypeError``.
        numpy: ``numpy(*arrays, **params)`` computes the output (or a tuple) with NumPy.  The
            result never *is* one of the inputs (return a view at least).
        vjp: ``vjp(cotangent, output, *inputs, **params)`` gives one cotangent or ``None`` per
            input, written in ops on Tensors so that it differentiates again.  A cotangent that costs
            something may be a ``lambda`` that computes it, called only if it is wanted.  With several
            outputs, ``cotangent`` (with ``None`` where unused) and ``output`` are tuples.
        native: how the native backend computes it (see ``lamina.core.lowering``), or
            ``unsupported(reason)``: then the NumPy meaning is called in place.
    """

    __slots__ = ("name", "shape", "numpy", "vjp", "native")

    def __init__(
        self,
        name: str,
        *,
        shape: Callable[..., Any],
        numpy: Callable[..., Any],
        vjp: Callable[..., Any] | Unsupported,
        native: Any,
    ) -> None:
        if name in PRIMITIVES:
            raise ValueError(f"There is already a primitive named {name!r}.")
        self.name, self.shape, self.numpy, self.vjp, self.native = name, shape, numpy, vjp, native
        PRIMITIVES[name] = self

    def __repr__(self) -> str:
        return f"Primitive({self.name!r})"


class Record(NamedTuple):
    """One executed primitive, as a tape remembers it.  Inputs and outputs are Tensors."""

    primitive: Primitive
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    params: dict[str, Any]
    single: bool


class Recorder(Protocol):
    """A tape: told of every primitive that runs while it is active."""

    def record(self, record: Record) -> None: ...

    def wants(self, inputs: Sequence[Any]) -> bool: ...


class _State(threading.local):
    """What is being recorded in this thread."""

    capture: Any = None  # the graph capture in progress
    tapes: tuple[Any, ...] = ()  # active tapes, outermost first
    scope: tuple[str, ...] = ()  # path of the layer that is running, outermost first
    autocast: Any = None  # the dtype in which float Variables are read, where it is not their own


state = _State()


@contextmanager
def outside_capture() -> Iterator[None]:
    """Run a block eagerly although a graph is being captured around it.

    Layers create and initialise their Variables in such a block when they are built by a first
    call that happens to be inside a captured function.
    """
    outer, tapes, autocast = state.capture, state.tapes, state.autocast
    state.capture, state.tapes, state.autocast = None, (), None
    try:
        yield
    finally:
        state.capture, state.tapes, state.autocast = outer, tapes, autocast


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Let the nodes of a block carry ``name`` in their path, as those of a layer carry its name."""
    outer, state.scope = state.scope, (*state.scope, name)
    try:
        yield
    finally:
        state.scope = outer


_tensor_class: Any = None  # set once by lamina.tensor, which stands above this file
_new: Any = None
_subclassed = False  # whether a subclass of Tensor has a say in the results of ops on its tensors


def set_tensor_class(cls: Any) -> None:
    """Tell ``bind`` which class its results are; called once, by ``lamina.tensor``."""
    global _tensor_class, _new
    _tensor_class, _new = cls, cls.__new__


def tensor_subclass() -> None:
    """A subclass of Tensor exists: from now on ``bind`` looks whether an input is of one."""
    global _subclassed
    _subclassed = True


def wrap(data: Any) -> Any:
    """Make a Tensor of an ndarray (or of a graph's value) without checks or copies."""
    tensor = _new(_tensor_class)
    tensor._data = data
    return tensor


def bind(primitive: Primitive, *inputs: Any, **params: Any) -> Any:
    """Apply ``primitive`` to Tensors.

    Returns:
        A Tensor, or a tuple of Tensors where the primitive has several outputs.

    Raises:
        ShapeError, DTypeError: the inputs break the primitive's shape rule.
    """
    capture = state.capture
    if capture is not None and capture.wants(inputs):
        result = capture.add(primitive, inputs, params)
    else:
        try:
            n = len(inputs)  # unpacking lists and dictionaries is what small arrays would feel
            if n == 2 and not params:
                x, y = inputs
                result = primitive.numpy(x._data, y._data)
            elif n == 1:
                x = inputs[0]._data
                result = primitive.numpy(x, **params) if params else primitive.numpy(x)
            else:
                result = primitive.numpy(*[x._data for x in inputs], **params)
        except LaminaError:
            raise
        except (ValueError, TypeError, IndexError) as error:
            explain(primitive, inputs, params, error)
    if type(result) is not ndarray:
        if type(result) is tuple or type(result) is list:
            outputs = tuple([wrap(r if type(r) is ndarray else _as_data(r)) for r in result])
            if _subclassed:
                outputs = _made_by_subclass(primitive, inputs, outputs, params, False)
            if state.tapes:
                _tell_tapes(primitive, inputs, outputs, params, False)
            return outputs
        result = _as_data(result)
    output = _new(_tensor_class)
    output._data = result
    if _subclassed:
        (output,) = _made_by_subclass(primitive, inputs, (output,), params, True)
    if state.tapes:
        _tell_tapes(primitive, inputs, (output,), params, True)
    return output


def _made_by_subclass(
    primitive: Primitive, inputs: tuple[Any, ...], outputs: tuple[Any, ...], params: dict[str, Any], single: bool
) -> tuple[Any, ...]:
    """What the subclass of Tensor to which one of the inputs belongs makes of the outputs."""
    for x in inputs:
        if type(x) is not _tensor_class:
            return type(x)._results(primitive, inputs, outputs, params, single)
    return outputs


def _as_data(result: Any) -> Any:
    """NumPy gives scalars for 0-d results; a graph's values pass as they are."""
    return np.asarray(result) if isinstance(result, (np.generic, int, float, bool)) else result


def _tell_tapes(
    primitive: Primitive, inputs: tuple[Any, ...], outputs: tuple[Any, ...], params: dict[str, Any], single: bool
) -> None:
    for tape in state.tapes:
        if tape.wants(inputs):
            tape.record(Record(primitive, inputs, outputs, params, single))


def explain(primitive: Primitive, inputs: Sequence[Any], params: dict[str, Any], error: Exception) -> None:
    """NumPy refused: let the shape rule say why in Lamina's words, else wrap NumPy's own."""
    primitive.shape(*[Spec(tuple(x._data.shape), x._data.dtype) for x in inputs], **params)
    shapes = ", ".join(f"{tuple(x._data.shape)} {x._data.dtype}" for x in inputs)
    raise ShapeError(f"{primitive.name}: {error} (inputs: {shapes})") from error


def user_location() -> str | None:
    """``file:line`` of the innermost frame outside Lamina itself."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name != "lamina" and not name.startswith("lamina."):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return None


def frames_to_user() -> int:
    """The ``stacklevel`` with which the caller's warning points at the innermost line outside Lamina itself."""
    frame, level = sys._getframe(1), 1
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name != "lamina" and not name.startswith("lamina."):
            return level
        frame, level = frame.f_back, level + 1  # type: ignore[assignment]
    return 1


def located(error: LaminaError, source: str | None) -> LaminaError:
    """The same error, its message ending in the user's line."""
    if source is not None and error.args and source not in str(error.args[0]):
        error.args = (f"{error.args[0]} (at {source})", *error.args[1:])
    return error
