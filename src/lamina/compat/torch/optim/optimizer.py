"""``Optimizer``: groups of parameters, their state, ``step`` and ``zero_grad``; subclasses add the formula."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from lamina import ops
from lamina.compat.torch.autograd import enable_grad, no_grad, zeroed
from lamina.compat.torch.tensor import adopt
from lamina.core.errors import ArgumentError, StateDictError
from lamina.core.primitive import outside_capture, wrap
from lamina.tensor import Tensor as _Tensor
from lamina.tensor import Variable


class Group(dict[str, Any]):
    """A group of parameters and its settings.  The learning rate is a Variable, so that compiled steps follow it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        with outside_capture():
            self.rate = Variable(np.asarray(float(settings["lr"]), np.float64), name="lr", trainable=False)
        self.update(settings)

    def __setitem__(self, key: str, value: Any) -> None:
        if key == "lr":
            value = float(value)
            with outside_capture():
                self.rate.assign(np.asarray(value, np.float64))
        super().__setitem__(key, value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value


class Optimizer:
    """Base class of optimizers.

    A subclass gives its settings to ``__init__`` and its formula in ``_update(group, w, g, slot, step)``, where
    ``slot(name, fill)`` gives the state of the parameter by name and returns the new value of ``w``.

    Args:
        params: parameters; or dicts with ``params`` and settings of their own.
        defaults: the settings of all other groups.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        for name in ("lr", "weight_decay", "momentum", "eps", "lr_decay"):
            if name in defaults and not defaults[name] >= 0:
                raise ArgumentError(f"{type(self).__name__}: {name} is at least 0; got {defaults[name]}.")
        if isinstance(params, _Tensor | Variable):
            raise TypeError("An optimizer takes an iterable of parameters or dicts; got one tensor: write [tensor].")
        given = list(params)
        if not given:
            raise ArgumentError("optimizer got an empty parameter list")
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: dict[Any, dict[str, Any]] = defaultdict(dict)
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Let the optimizer update more parameters.

        Args:
            param_group: ``params`` and settings that differ from the defaults.
        """
        params = param_group["params"]
        params = [params] if isinstance(params, _Tensor | Variable) else list(params)
        if params and isinstance(params[0], tuple):  # named_parameters()
            params = [p for _, p in params]
        seen = {id(p) for group in self.param_groups for p in group["params"]}
        for p in params:
            if not isinstance(p, _Tensor | Variable):
                raise TypeError(f"An optimizer updates tensors; got {type(p).__name__}.")
            if not getattr(p, "is_leaf", True):
                raise ArgumentError("can't optimize a non-leaf Tensor: it was computed from others.")
            if id(p) in seen:
                raise ArgumentError("some parameters appear in more than one parameter group")
            seen.add(id(p))
        self.param_groups.append(Group({**self.defaults, **param_group, "params": params}))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters (or make them zeros)."""
        zeroed()
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none or p.grad is None:
                    p.grad = None
                else:
                    p.grad = adopt(np.zeros(tuple(p.shape), p.dtype))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters that have a gradient.

        Args:
            closure: computes the loss anew and calls ``backward``; what it returns is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._step_one(group, p)
        return loss

    def _step_one(self, group: Group, p: Any) -> None:
        # Weights, gradients and slots are worked on as they are stored; only the edges see PyTorch's order.
        stored = p._as_stored if isinstance(p, Variable) else lambda x: x
        g, w = (wrap(stored(wrap(ops.as_tensor(x)._data))._data) for x in (p.grad, p))
        g = g if g.dtype == w.dtype else ops.astype(g, w.dtype)
        g = ops.negative(g) if group.get("maximize") else g
        slots = self.state[p]

        def slot(name: str, fill: float = 0.0, shape: Any = None, dtype: Any = None) -> Variable:
            if name not in slots:
                with outside_capture():
                    value = np.full(w.shape if shape is None else shape, fill, dtype or w.dtype)
                    slots[name] = Variable(value, name=name, trainable=False)
            return slots[name]

        def number() -> Any:
            """1, 2, ... in float64, counted for each parameter."""
            count = slot("step", 0, (), np.float64)
            count.assign(ops.add(count.value, 1.0))
            return count.value

        new = self._update(group, w, g, slot, number)
        if isinstance(p, Variable):
            p.assign(wrap(p._as_tensor(new._data)._data))
        else:
            p._set(wrap(new._data))

    def _update(self, group: Group, w: Any, g: Any, slot: Callable[..., Variable], number: Callable[[], Any]) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not implement _update.")

    # --- state ------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """The state of all parameters by their number, and the groups."""
        numbers = {id(p): i for i, p in enumerate(p for group in self.param_groups for p in group["params"])}
        state = {
            numbers[id(p)]: {name: adopt(np.array(_seen(p, value))) for name, value in slots.items()}
            for p, slots in self.state.items()
            if id(p) in numbers and slots
        }
        groups = [{**group, "params": [numbers[id(p)] for p in group["params"]]} for group in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned.

        Raises:
            StateDictError: the groups have other sizes.
        """
        saved = state_dict["param_groups"]
        sizes = [len(g["params"]) for g in saved], [len(g["params"]) for g in self.param_groups]
        if sizes[0] != sizes[1]:
            raise StateDictError(f"The saved optimizer has groups of {sizes[0]} parameters, this one of {sizes[1]}.")
        params = [p for group in self.param_groups for p in group["params"]]
        numbers = [n for group in saved for n in group["params"]]
        for group, old in zip(self.param_groups, saved, strict=True):
            group.update({k: tuple(v) if isinstance(v, list) else v for k, v in old.items() if k != "params"})
        states = {int(n): slots for n, slots in state_dict["state"].items()}
        for p, n in zip(params, numbers, strict=True):
            for name, value in states.get(n, {}).items():
                array = np.asarray(value)
                if array.ndim and isinstance(p, Variable):
                    array = np.asarray(p._as_stored(wrap(array)))
                if name in self.state[p]:
                    self.state[p][name].assign(array)
                elif value is not None:
                    self.state[p][name] = Variable(array, name=name, trainable=False)

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return f"{type(self).__name__} (\n" + "\n".join(lines) + "\n)"


def _seen(p: Any, slot: Variable) -> Any:
    """A slot with the dimensions in the order of its parameter's."""
    return p._as_tensor(np.asarray(slot)) if slot.shape and isinstance(p, Variable) else slot
