"""``lamina.function``: a Python function captured as a graph for each kind of arguments, and compiled."""

from __future__ import annotations

import functools
import inspect
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, overload

from lamina.backends.base import Executable, get_backend
from lamina.core.errors import ArgumentError, CaptureError, DifferentiationError, RecompileError
from lamina.core.primitive import bind, ndarray, state, wrap
from lamina.core.trees import flatten, unflatten
from lamina.graph.call import CALL, make_pullback
from lamina.graph.capture import capturing
from lamina.graph.ir import Graph, Value
from lamina.graph.passes import optimize
from lamina.graph.signature import (
    Arguments,
    Described,
    analyse,
    describe,
    differences,
    is_array,
    leaf_names,
    parameter_names,
)
from lamina.tensor import Tensor

_functions: weakref.WeakSet[Function] = weakref.WeakSet()


class Specialization:
    """One capture of a function: its graph, its executable and the shape of its result."""

    def __init__(self, captured: Graph, structure: Any, results: list[Any], backend: str | None) -> None:
        self.captured = captured  # as the Python code wrote it; differentiation replays this one
        self.structure = structure
        self.results = results  # for each leaf: the index of an output, or the object itself in a 1-tuple
        self.single = len(results) == 1 and type(results[0]) is int and unflatten(structure, [True]) is True
        self.constants: list[tuple[Any, Value]] = []  # closed-over Tensors that a tape might watch
        self.hidden: list[Any] = []  # such Tensors inside the bodies of control flow
        self.reread: list[Any] = []  # variables that are used after they were assigned
        self.keep: list[Any] = []  # static arguments whose identity is part of the key
        self.wrap: Callable[[Any], Any] = wrap  # an array as a result, of a subclass of Tensor where the capture's was
        self._backend = backend
        self._executable: Executable | None = None
        self._pullback: Function | None = None
        self._lock = threading.Lock()

    @functools.cached_property
    def graph(self) -> Graph:
        """The graph after all passes, made when first asked for: a program that was compiled before runs without."""
        return optimize(self.captured.clone())

    @property
    def pullback(self) -> Function:
        """The compiled vector-Jacobian product, made when first asked for (see ``make_pullback``)."""
        if self._pullback is None:
            function = make_pullback(self.captured, [v for _, v in self.constants])
            self._pullback = Function(function, self._backend, f"{self.captured.name}_vjp")
        return self._pullback

    def executable(self, backend: str) -> Executable:
        """The compiled graph, compiling it on the first call."""
        if self._executable is None:
            with self._lock:
                if self._executable is None:
                    self._executable = get_backend(backend).compile(self.captured, lambda: self.graph)
        return self._executable

    def build(self, outputs: Sequence[Any]) -> Any:
        """The function's result from the graph's output Tensors."""
        leaves = [outputs[r] if type(r) is int else r[0] for r in self.results]
        return unflatten(self.structure, leaves)

    def watched(self) -> bool:
        """Whether an active tape wants a variable or closed-over Tensor of the graph."""
        sources = [v for v, _ in self.captured.reads] + [t for t, _ in self.constants] + self.hidden
        return any(tape.wants(sources) for tape in state.tapes)


class Function:
    """What ``@lamina.function`` makes of a Python function.  Call it like the function itself."""

    def __init__(
        self,
        function: Callable[..., Any],
        backend: str | None = None,
        name: str | None = None,
        max_recompiles: int | None = None,
    ) -> None:
        if backend not in (None, "native", "eager"):
            get_backend(backend)  # raises the error that lists the backends
        if max_recompiles is not None and max_recompiles < 0:
            raise ArgumentError(f"max_recompiles is at least 0, got {max_recompiles}.")
        self.python_function = function
        self.name: str = name or getattr(function, "__name__", None) or type(function).__name__
        self.max_recompiles = max_recompiles
        self._backend = backend
        self._cache: dict[Any, Specialization] = {}
        self._fast: dict[tuple[Any, ...], tuple[Specialization, Executable]] = {}  # plain positional arrays only
        self._pending: dict[Any, threading.RLock] = {}
        self._lock = threading.Lock()
        self._described: list[dict[str, Described]] = []
        self._reasons: list[list[str]] = []
        self._bound: dict[int, tuple[Any, Function]] = {}
        self._signature: inspect.Signature | None
        try:
            self._signature = inspect.signature(function)
        except (TypeError, ValueError):  # some builtins
            self._signature = None
        self._defaults = _defaults(self._signature)
        functools.update_wrapper(self, function, updated=())
        _functions.add(self)

    @property
    def backend(self) -> str:
        """Name of the backend: ``LAMINA_BACKEND`` from the environment, else as given, else ``"native"``."""
        return os.environ.get("LAMINA_BACKEND") or self._backend or "native"

    def __repr__(self) -> str:
        return f"<lamina.function {self.name!r}, {len(self._cache)} captures>"

    def __reduce__(self) -> Any:
        """Copies and pickles start with an empty cache."""
        return Function, (self.python_function, self._backend, self.name, self.max_recompiles)

    # --- calling --------------------------------------------------------------------------------
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if state.capture is not None:  # inside another captured function: part of that graph
            return self.python_function(*args, **kwargs)
        key: list[Any] = []
        arrays: list[Any] = []
        for x in args:
            if type(x) is not ndarray:
                x = x._data if isinstance(x, Tensor) else None
                if type(x) is not ndarray:
                    break
            key.append(x.shape)
            key.append(x.dtype)
            arrays.append(x)
        found = self._fast.get(tuple(key)) if len(arrays) == len(args) and not kwargs else None
        if found is None:
            special, executable, arrays = self._find(args, kwargs)
        else:
            special, executable = found
        if state.tapes and (any(t.wants(_tensors(args, kwargs)) for t in state.tapes) or special.watched()):
            return self._call_under_tape(special, executable, args, kwargs)
        outputs = executable.run(arrays)
        if special.single:
            return special.wrap(outputs[special.results[0]])
        return special.build([special.wrap(o) for o in outputs])

    def repeat(self, times: int, *args: Any, **kwargs: Any) -> Any:
        """Run the compiled graph ``times`` times in a row on the same arguments, in one call.

        Variables keep what each run assigned, so a function that advances a counter Variable walks
        through its arguments.

        Returns:
            The result of the last run.

        Raises:
            ArgumentError: ``times`` is less than 1.
            DifferentiationError: an active tape watches something that the function uses.
        """
        if state.capture is not None:
            raise CaptureError("Function.repeat() runs a compiled graph and cannot be part of another one.")
        if times < 1:
            raise ArgumentError(f"times is at least 1, got {times}.")
        special, executable, arrays = self._find(args, kwargs)
        if state.tapes and (any(t.wants(_tensors(args, kwargs)) for t in state.tapes) or special.watched()):
            raise DifferentiationError(
                f"{self.name}.repeat() is not recorded by a GradientTape. Call the function in a Python loop instead."
            )
        return special.build([special.wrap(o) for o in executable.run(arrays, times)])

    def _call_under_tape(
        self, special: Specialization, executable: Executable, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call as one primitive, so that tapes can differentiate through it."""
        if any(tape.wants(special.hidden) for tape in state.tapes):
            raise DifferentiationError(
                f"{self.name} uses a watched tensor inside cond, while_loop or scan that it was not given. "
                "Pass that tensor as an argument."
            )
        for variable in special.reread:
            if any(tape.wants((variable,)) for tape in state.tapes):
                raise DifferentiationError(
                    f"{self.name} assigns variable {variable.name!r} and then uses its new value; the gradient for the "
                    "variable would be incomplete. Take the gradient inside the function, or assign after the last use."
                )
        inputs = [x if isinstance(x, Tensor) else wrap(a) for x, a in _pairs(*self._normalized(args, kwargs))]
        inputs += [variable._as_stored(variable.value) for variable, _ in special.captured.reads]
        inputs += [tensor for tensor, _ in special.constants]
        outputs = bind(CALL, *inputs, special=special, executable=executable) if special.captured.outputs else ()
        if not special.captured.outputs:
            executable.run([x._data for x in inputs[: len(special.captured.inputs)]])
        return special.build(outputs)

    # --- looking inside ---------------------------------------------------------------------------
    def graph(self, *args: Any, **kwargs: Any) -> Graph:
        """The optimized graph for these arguments, captured if need be and not run.

        Example:
            >>> import lamina
            >>> @lamina.function
            ... def double(x):
            ...     return x + x
            >>> print(double.graph(lamina.ones((2,))))
            graph double:
              input     %x: float32[2]
              %v0: float32[2] = add(%x, %x)
              return    %v0
        """
        return self._specialize(*self._normalized(args, kwargs))[0].graph

    def captured(self, *args: Any, **kwargs: Any) -> Graph:
        """The graph for these arguments as the Python code wrote it, before any pass; not run."""
        return self._specialize(*self._normalized(args, kwargs))[0].captured

    def executable(self, *args: Any, **kwargs: Any) -> Executable:
        """The compiled graph for these arguments, compiled if need be and not run."""
        return self._find(args, kwargs)[1]

    def lowered(self, *args: Any, **kwargs: Any) -> tuple[Graph, list[ndarray]]:
        """The optimized graph for these arguments, and the arrays to run it on."""
        special, call = self._specialize(*self._normalized(args, kwargs))
        return special.graph, call.arrays

    def prepare(self, *args: Any, **kwargs: Any) -> None:
        """Capture and compile for these arguments without running; safe to call from another thread."""
        self._find(args, kwargs)

    @property
    def captures(self) -> list[list[str]]:
        """Why each capture happened, oldest first."""
        return [list(reasons) for reasons in self._reasons]

    # --- the cache ------------------------------------------------------------------------------
    def _normalized(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments as if all that can be were positional and defaults were given."""
        if self._signature is None:
            return args, kwargs
        if not kwargs and self._defaults is not None:  # the common case, without inspect's detours
            missing = len(self._signature.parameters) - len(args)
            if missing == 0:
                return args, kwargs
            if 0 < missing <= len(self._defaults):
                return args + self._defaults[-missing:], kwargs
        bound = self._signature.bind(*args, **kwargs)  # a TypeError here is the one the call itself would raise
        bound.apply_defaults()
        return bound.args, bound.kwargs

    def _find(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Specialization, Executable, list[ndarray]]:
        plain = not kwargs and all(
            isinstance(x._data, ndarray) if isinstance(x, Tensor) else type(x) is ndarray and x.dtype.isnative
            for x in args
        )
        special, call = self._specialize(*self._normalized(args, kwargs))
        executable = special.executable(self.backend)
        if plain and len(call.arrays) == len(args):
            key: list[Any] = []
            for a in call.arrays:
                key += [a.shape, a.dtype]
            self._fast[tuple(key)] = special, executable
        return special, executable, call.arrays

    def _specialize(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Specialization, Arguments]:
        call = analyse(args, kwargs)
        if call.symbolic:
            raise CaptureError(
                f"{self.name} was called with a symbolic tensor outside of the capture that made it. "
                "Symbolic tensors live only inside that call: return them from the function instead of storing them."
            )
        special = self._cache.get(call.key)
        if special is None:
            with self._lock:
                lock = self._pending.setdefault(call.key, threading.RLock())
            with lock:  # one capture for each key; other keys need not wait for it
                special = self._cache.get(call.key)
                if special is None:
                    names = leaf_names(call.structure, parameter_names(self.python_function))
                    described = describe(call, names)
                    with self._lock:
                        reasons = self._explain(described)
                        self._check_recompiles(reasons)
                    special = self._capture(call, names)
                    with self._lock:
                        self._described.append(described)
                        self._reasons.append(reasons)
                        self._cache[call.key] = special
                        self._pending.pop(call.key, None)
        return special, call

    def _explain(self, described: dict[str, Described]) -> list[str]:
        """Why these arguments need a new capture: the differences from the nearest earlier one."""
        if not self._described:
            return ["first call"]
        found = [differences(old, described) for old in reversed(self._described)]
        return min(found, key=len) or ["the arguments are nested in another way (or another object of the same look)"]

    def _check_recompiles(self, reasons: list[str]) -> None:
        if self.max_recompiles is not None and len(self._described) > self.max_recompiles:
            count = len(self._described)
            raise RecompileError(
                f"{self.name} was captured {count} time{'s' if count > 1 else ''} and "
                f"max_recompiles={self.max_recompiles} allows no more. Now: {'; '.join(reasons)}. "
                "Give arguments of the same shapes and dtypes (pad the last batch), pass changing numbers as tensors, "
                "or raise max_recompiles."
            )

    def _capture(self, call: Arguments, names: Sequence[str]) -> Specialization:
        with capturing(self.name) as capture:
            leaves = [
                _like(leaf, capture.input(leaf.shape, call_dtype, name)) if call_dtype is not None else leaf
                for leaf, call_dtype, name in zip(call.leaves, _dtypes(call), names, strict=True)
            ]
            args, kwargs = unflatten(call.structure, leaves)
            results, structure = flatten(self.python_function(*args, **kwargs))
            outputs = [r for r in results if isinstance(r, Tensor)]
            graph = capture.finish(outputs)
            places = iter(range(len(outputs)))
            plan = [next(places) if isinstance(r, Tensor) else (r,) for r in results]
        special = Specialization(graph, structure, plan, self._backend)
        special.constants = [(t, v) for t, v in capture.closed_over() if v.dtype.kind not in "biu"]
        special.hidden = capture.hidden
        special.reread = capture.read_after_assignment()
        special.keep = [leaf for leaf in call.leaves if not is_array(leaf)]
        if outputs and len({type(r) for r in outputs}) == 1:
            special.wrap = _maker(outputs[0])
        return special

    # --- methods --------------------------------------------------------------------------------
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """A decorated method: each instance has a function (and a cache) of its own, which does not keep it alive."""
        if instance is None:
            return self
        found = self._bound.get(id(instance))
        if found is None:
            method, place = self.python_function, id(instance)

            def forget(_: Any) -> None:
                self._bound.pop(place, None)

            reference = weakref.ref(instance, forget)

            def call(*args: Any, **kwargs: Any) -> Any:
                return method(reference(), *args, **kwargs)

            call.__signature__ = _without_first(method)  # type: ignore[attr-defined]
            bound = Function(call, self._backend, self.name, self.max_recompiles)
            found = self._bound[id(instance)] = reference, bound
        return _Method(found[1], instance)


class _Method:
    """A function bound to an instance, which it keeps alive: ``Model().step(x)`` runs too."""

    def __init__(self, function: Function, instance: Any) -> None:
        self.__wrapped__, self.__self__ = function, instance

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)


def _defaults(signature: inspect.Signature | None) -> tuple[Any, ...] | None:
    """Default values of the last parameters; ``None`` where some parameters are not plain positional ones."""
    if signature is None:
        return None
    parameters = signature.parameters.values()
    if any(p.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD for p in parameters):
        return None
    return tuple(p.default for p in parameters if p.default is not inspect.Parameter.empty)


def _without_first(function: Callable[..., Any]) -> inspect.Signature:
    signature = inspect.signature(function)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _maker(tensor: Any) -> Callable[[Any], Any]:
    """What makes tensors of the same class."""
    return wrap if type(tensor) is Tensor else type(tensor)._of


def _like(leaf: Any, tensor: Any) -> Any:
    """The symbolic Tensor of an argument, of the argument's class."""
    return tensor if not isinstance(leaf, Tensor) or type(leaf) is Tensor else type(leaf)._of(tensor._data)


def _dtypes(call: Arguments) -> list[Any]:
    """For each leaf the dtype of its array, or ``None`` where it is static."""
    arrays = iter(call.arrays)
    return [next(arrays).dtype if is_array(leaf) else None for leaf in call.leaves]


def _tensors(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    return [x for x in flatten((args, kwargs))[0] if isinstance(x, Tensor)]


def _pairs(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[Any, Any]]:
    """``(leaf, array)`` for every array leaf."""
    call = analyse(args, kwargs)
    return list(zip([leaf for leaf in call.leaves if is_array(leaf)], call.arrays, strict=True))


@overload
def function(f: Callable[..., Any], /) -> Function: ...


@overload
def function(
    f: None = None, /, *, backend: str | None = None, name: str | None = None, max_recompiles: int | None = None
) -> Callable[[Callable[..., Any]], Function]: ...


def function(
    f: Callable[..., Any] | None = None,
    /,
    *,
    backend: str | None = None,
    name: str | None = None,
    max_recompiles: int | None = None,
) -> Any:
    """Capture a Python function as a graph and run it compiled.

    The function runs as Python once for each new combination of argument structure, array shapes
    and dtypes, and static values; after that the compiled graph runs instead.  Tensors and NumPy
    arrays are inputs of the graph (arrays are used without copying).  Every other Python value is
    static: the graph is specialised on it.  Variables, whether arguments or not, are read and
    assigned in place by each call.

    Args:
        f: the function; with only keyword arguments, a decorator is returned.
        backend: ``"native"`` (the default) or ``"eager"``; the environment variable
            ``LAMINA_BACKEND`` overrides it.
        name: name of the graph; default that of the function.
        max_recompiles: how many captures after the first are allowed; default any number.

    Returns:
        A ``Function``, called like ``f``.

    Raises:
        CaptureError: on capture, if the Python code needs the numbers of a tensor.
        RecompileError: on a capture beyond ``max_recompiles``.

    Example:
        >>> import lamina
        >>> @lamina.function
        ... def affine(x, w, b):
        ...     return x * w + b
        >>> affine(lamina.ones((2,)), 3.0, 1.0).numpy()
        array([4., 4.], dtype=float32)
    """

    def decorate(f: Callable[..., Any]) -> Function:
        if not callable(f):
            raise ArgumentError(f"lamina.function takes a function and got {type(f).__name__}.")
        return Function(f, backend, name, max_recompiles)

    return decorate if f is None else decorate(f)


class Explanation(str):
    """Text that shows itself without quotes in an interactive session."""

    def __repr__(self) -> str:
        return str(self)


def explain_recompiles() -> Explanation:
    """Why each captured function was captured, and captured again.

    Example:
        >>> import lamina
        >>> @lamina.function(name="twice")
        ... def twice(x):
        ...     return x + x
        >>> _ = twice(lamina.ones((2,))), twice(lamina.ones((3,)))
        >>> "dimension 0 was 2, is now 3" in lamina.explain_recompiles()
        True
    """
    lines = []
    for f in sorted(_functions, key=lambda f: f.name):
        reasons = f.captures
        if reasons:
            lines.append(f"{f.name}: captured {len(reasons)} time{'s' if len(reasons) > 1 else ''}")
            lines += [f"  {i}. {'; '.join(why)}" for i, why in enumerate(reasons, 1)]
    return Explanation("\n".join(lines) or "No function has been captured yet.")
