"""``torch.compile``: functions and modules captured as graphs by ``lamina.function``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from lamina import nn as _nn
from lamina.compat.torch.autograd import recording, trace
from lamina.compat.torch.nn.module import Module
from lamina.core.errors import CaptureError
from lamina.core.primitive import Record, state
from lamina.graph.function import Function
from lamina.tensor import Variable


class _Through:
    """A tape that wants what requires a gradient and keeps nothing: the call itself goes into the history."""

    def wants(self, inputs: Sequence[Any]) -> bool:
        """Whether one of them requires a gradient."""
        return any(getattr(x, "_wants", False) or (isinstance(x, Variable) and x.trainable) for x in inputs)

    def record(self, record: Record) -> None:
        """Nothing: tensors keep their own history."""


class _Compiled:
    """A function that runs as a graph; calls are recorded for ``backward`` unless they update parameters themselves."""

    def __init__(self, function: Callable[..., Any], modules: Sequence[_nn.Module]) -> None:
        self._modules = [m for module in modules for m in module.modules()]
        self._captures, self._updates = 0, False

        @functools.wraps(function)
        def traced(*args: Any, **kwargs: Any) -> Any:
            trace.active, trace.zeroed, trace.owners = True, False, []
            try:
                result = function(*args, **kwargs)
                if not trace.zeroed and any(p.grad is not None for p in trace.owners):
                    raise CaptureError(
                        "The compiled step calls backward() and never clears gradients, so that they would add up from "
                        "call to call, which a compiled step cannot do. Call optimizer.zero_grad() in it."
                    )
                return result
            finally:
                for owner in trace.owners:
                    owner.grad = None
                trace.active, trace.owners = False, []

        traced.__dict__.pop("__wrapped__", None)
        self._traced = traced
        self._name = getattr(function, "__name__", type(function).__name__)
        self._functions: dict[Any, Function] = {}  # by the modes of the modules: another mode is another graph

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        modes = tuple([m.training for m in self._modules])
        function = self._functions.get(modes)
        if function is None:
            function = self._functions[modes] = Function(self._traced, name=self._name)
        if self._updates or state.capture is not None or not recording.enabled:
            return function(*args, **kwargs)
        before = state.tapes
        state.tapes = (*before, _Through())
        try:
            function.prepare(*args, **kwargs)
            if self._notice_updates(function):
                state.tapes = before
            return function(*args, **kwargs)
        finally:
            state.tapes = before

    def _notice_updates(self, function: Function) -> bool:
        """Whether a graph assigns parameters: it holds the whole step, and nothing is left to differentiate."""
        found = list(function._cache.values())
        if len(found) != self._captures:
            self._captures = len(found)
            self._updates = any(v.trainable for special in found for v, _ in special.captured.writes)
        return self._updates


class CompiledModule(Module):
    """A module whose ``forward`` runs as a graph; the module itself is ``_orig_mod``."""

    def __init__(self, module: _nn.Module) -> None:
        super().__init__()
        self._orig_mod = module
        self.__dict__["training"] = module.training
        self.__dict__["_compiled"] = _Compiled(module.__call__, [module])

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's output."""
        return self._compiled(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_modules"]["_orig_mod"], name)


def compile(model: Any = None, *, disable: bool = False, **settings: Any) -> Any:
    """Run a module's ``forward``, or a function, as a compiled graph.

    A function may hold a whole training step: forward, ``backward``, ``optimizer.step()``.  Then everything, the
    update too, is one graph, and it runs as fast as ``fit``.

    Args:
        model: a Module or a function; without one, a decorator is returned.
        disable: return the model as it is.
        settings: PyTorch's other arguments (``mode``, ``fullgraph``, ``dynamic``, ...), which change nothing here.

    Example:
        >>> from lamina.compat import torch
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> @torch.compile
        ... def step(x, y):
        ...     optimizer.zero_grad()
        ...     loss = torch.nn.functional.mse_loss(model(x), y)
        ...     loss.backward()
        ...     optimizer.step()
        ...     return loss
        >>> first = step(torch.ones(4, 2), torch.ones(4, 1)).item()
        >>> step(torch.ones(4, 2), torch.ones(4, 1)).item() < first
        True
    """
    if model is None:
        return lambda model: compile(model, disable=disable, **settings)
    if disable:
        return model
    if isinstance(model, _nn.Module):
        return CompiledModule(model)
    compiled = _Compiled(model, _modules_of(model))
    return functools.wraps(model)(lambda *args, **kwargs: compiled(*args, **kwargs))


def _modules_of(function: Callable[..., Any]) -> list[_nn.Module]:
    """The modules that a function uses by name."""
    try:
        used = inspect.getclosurevars(function)
    except TypeError:
        return []
    return [v for v in (*used.nonlocals.values(), *used.globals.values()) if isinstance(v, _nn.Module)]
