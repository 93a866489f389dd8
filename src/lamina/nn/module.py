"""``Module``: parameters and modules are found by attribute; ``forward`` computes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from lamina.core import dtypes
from lamina.core.errors import ArgumentError, StateDictError
from lamina.core.primitive import outside_capture, scope
from lamina.tensor import Tensor, Variable


class Parameter(Variable):
    """A Variable that a Module counts among its parameters even while it is frozen.

    Example:
        >>> import lamina
        >>> lamina.nn.Parameter([1.0, 2.0]).trainable
        True
    """


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict`` did not find a place for."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """A function of tensors with parameters of its own, written as in PyTorch.

    A subclass makes its parts in ``__init__`` (after ``super().__init__()``) and computes in ``forward``.  What is
    set as an attribute is found: a trainable Variable or a ``Parameter`` is a parameter, another Variable a buffer,
    a Module a part.

    Example:
        >>> import lamina
        >>> class Affine(lamina.nn.Module):
        ...     def __init__(self, inputs, outputs):
        ...         super().__init__()
        ...         self.weight = lamina.Variable(lamina.ones((inputs, outputs)))
        ...         self.bias = lamina.Variable(lamina.zeros((outputs,)))
        ...     def forward(self, x):
        ...         return x @ self.weight + self.bias
        >>> model = Affine(2, 3)
        >>> model(lamina.ones((1, 2))).tolist()
        [[2.0, 2.0, 2.0]]
        >>> [name for name, _ in model.named_parameters()]
        ['weight', 'bias']
    """

    training: bool
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]
    _not_saved: set[str]
    _forward_hooks: list[Callable[..., Any]]

    def __init__(self) -> None:
        own = self.__dict__
        own["training"] = True
        own["_parameters"], own["_buffers"], own["_modules"] = {}, {}, {}
        own["_not_saved"], own["_forward_hooks"] = set(), []

    # --- attributes -------------------------------------------------------------------------------
    def __setattr__(self, name: str, value: Any) -> None:
        places = self.__dict__
        if "_modules" not in places:
            if isinstance(value, Module | Variable):
                raise AttributeError(
                    f"{type(self).__name__}.{name} is set before the module is ready: "
                    "call super().__init__() first in __init__."
                )
            object.__setattr__(self, name, value)
            return
        if isinstance(value, Module):
            self._place("_modules", name, value)
        elif isinstance(value, Parameter) or (isinstance(value, Variable) and value.trainable):
            self._place("_parameters", name, value)
        elif isinstance(value, Variable):
            self._place("_buffers", name, value)
        elif name in self._parameters or name in self._modules:
            if value is not None:
                kind = "parameter" if name in self._parameters else "module"
                raise TypeError(f"{type(self).__name__}.{name} is a {kind} and cannot become a {type(value).__name__}.")
            (self._parameters if name in self._parameters else self._modules)[name] = None
        elif name in self._buffers:
            if value is None or self._buffers[name] is None:
                self._buffers[name] = None if value is None else self._make_buffer(value)
            else:
                self._buffers[name].assign(value)  # the same Variable, so that compiled steps follow
        else:
            if hasattr(type(value), "trainable_weights"):
                raise TypeError(
                    f"{type(self).__name__}.{name} would be a layer of lamina.layers, whose weights a Module does not "
                    "find. Layers are parts of models (lamina.Model); parts of a Module are Modules, for example those "
                    "of lamina.compat.torch.nn, and Variables."
                )
            object.__setattr__(self, name, value)

    def _place(self, where: str, name: str, value: Any) -> None:
        for other in ("_parameters", "_buffers", "_modules"):
            if other != where:
                self.__dict__[other].pop(name, None)
        self.__dict__.pop(name, None)
        self.__dict__[where][name] = value

    def __getattr__(self, name: str) -> Any:
        places = self.__dict__
        for where in ("_parameters", "_buffers", "_modules"):
            if name in places.get(where, ()):
                return places[where][name]
        hint = "" if "_modules" in places else " (was super().__init__() called?)"
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def __delattr__(self, name: str) -> None:
        for where in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__[where]:
                del self.__dict__[where][name]
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def register_parameter(self, name: str, param: Any) -> None:
        """Make a Variable (or ``None``) the parameter ``name``."""
        if param is not None and not isinstance(param, Variable):
            raise TypeError(f"A parameter is a Variable; got {type(param).__name__}. Wrap it: Parameter(value).")
        self._place("_parameters", name, param)

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Make a tensor (or ``None``) state that is no parameter: statistics, constants.

        Args:
            name: name of the attribute.
            tensor: its first value; it is held in a Variable, so that compiled steps can change it.
            persistent: whether ``state_dict`` holds it.
        """
        self._place("_buffers", name, None if tensor is None else self._make_buffer(tensor))
        (self._not_saved.discard if persistent else self._not_saved.add)(name)

    def _make_buffer(self, value: Any) -> Any:
        if isinstance(value, Variable):
            return value
        with outside_capture():
            return Variable(value, trainable=False)

    def add_module(self, name: str, module: Any) -> None:
        """Make a Module (or ``None``) the part ``name``."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"A part of a module is a Module; got {type(module).__name__}.")
        if "." in name or not name:
            raise KeyError(f"The name of a module is not empty and holds no dot; got {name!r}.")
        self._place("_modules", name, module)

    register_module = add_module

    # --- calling ----------------------------------------------------------------------------------
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; the subclass's formula."""
        raise NotImplementedError(f"Module {type(self).__name__} does not implement forward(self, ...).")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with scope(type(self).__name__):
            result = self.forward(*args, **kwargs)
        for hook in list(self._forward_hooks):
            found = hook(self, args, result)
            result = result if found is None else found
        return result

    def register_forward_hook(self, hook: Callable[..., Any]) -> Any:
        """Call ``hook(module, args, output)`` after each ``forward``; what it returns, if anything, is the output.

        Returns:
            A handle whose ``remove()`` ends it.
        """
        self._forward_hooks.append(hook)
        return _Handle(self._forward_hooks, hook)

    # --- walking ----------------------------------------------------------------------------------
    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are attributes of this one, each once."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """``named_children`` without the names."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, outermost first, by their dotted names."""
        seen = set() if memo is None else memo
        if remove_duplicate:
            if self in seen:
                return
            seen.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(seen, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """``named_modules`` without the names."""
        return (module for _, module in self.named_modules())

    def _named(
        self, where: str, prefix: str, recurse: bool, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in module.__dict__[where].items():
                if value is not None and (id(value) not in seen or not remove_duplicate):
                    seen.add(id(value))
                    yield f"{path}.{name}" if path else name, value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """The parameters with their dotted names, each once."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        """The parameters: those of this module, then of the modules in it."""
        return (value for _, value in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """The buffers with their dotted names, each once."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Any]:
        """``named_buffers`` without the names."""
        return (value for _, value in self.named_buffers(recurse=recurse))

    @property
    def trainable_variables(self) -> list[Any]:
        """The parameters that training changes, as models have them: for tapes and optimizers."""
        return [p for p in self.parameters() if p.trainable]

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted name; ``""`` is this one.

        Raises:
            AttributeError: there is none.
        """
        module = self
        for name in target.split(".") if target else ():
            found = module._modules.get(name)
            if found is None:
                raise AttributeError(
                    f"{type(module).__name__} has no module {name!r}; it has {', '.join(module._modules) or 'none'}."
                )
            module = found
        return module

    def get_parameter(self, target: str) -> Any:
        """The parameter at a dotted name."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if owner._parameters.get(name) is None:
            raise AttributeError(f"{type(owner).__name__} has no parameter {name!r}.")
        return owner._parameters[name]

    def apply(self, fn: Callable[[Module], Any]) -> Any:
        """Call ``fn`` with every module below this one and then with this one; returns this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # --- modes ------------------------------------------------------------------------------------
    def train(self, mode: bool = True) -> Any:
        """Let this module and all below it compute as in training (dropout drops, statistics move)."""
        if not isinstance(mode, bool):
            raise ValueError("train() takes True or False.")
        for module in self.modules():
            module.__dict__["training"] = mode
        return self

    def eval(self) -> Any:
        """Let this module and all below it compute as in inference."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Say whether training changes the parameters."""
        for parameter in self.parameters():
            parameter.trainable = requires_grad
        return self

    # --- dtype and device ---------------------------------------------------------------------------
    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Give the floating-point parameters and buffers another dtype: ``to("float64")``.

        A device may be named, too; there is one, ``"cpu"``.  Where the dtype changes, parameters are new objects:
        make the optimizer afterwards.

        Raises:
            ArgumentError: another device.
        """
        dtype = None
        for value in (*args, *(kwargs[k] for k in ("device", "dtype") if kwargs.get(k) is not None)):
            text = str(value)
            if text.split(":")[0] in _DEVICES:
                if not text.startswith("cpu"):
                    raise ArgumentError(f"Lamina computes on the CPU; there is no device {text!r}. Use 'cpu'.")
            elif not isinstance(value, bool):  # non_blocking
                dtype = dtypes.as_dtype(getattr(value, "dtype", value))
        return self if dtype is None else self._cast(dtype)

    def _cast(self, dtype: Any) -> Any:
        if not dtypes.is_float(dtype):
            raise ArgumentError(f"Module.to() takes a floating-point dtype; got {dtype}.")
        made: dict[int, Any] = {}
        for module in self.modules():
            for where in ("_parameters", "_buffers"):
                places = module.__dict__[where]
                for name, old in places.items():
                    if old is not None and dtypes.is_float(old.dtype) and old.dtype != dtype:
                        if id(old) not in made:
                            made[id(old)] = self._converted(old, dtype)
                        places[name] = made[id(old)]
        return self

    def _converted(self, old: Any, dtype: Any) -> Any:
        """The same Variable in another dtype."""
        return type(old)(old.numpy(), dtype=dtype, trainable=old.trainable)

    def float(self) -> Any:
        """``to("float32")``."""
        return self._cast(dtypes.float32)

    def double(self) -> Any:
        """``to("float64")``."""
        return self._cast(dtypes.float64)

    def half(self) -> Any:
        """``to("float16")``."""
        return self._cast(dtypes.float16)

    def cpu(self) -> Any:
        """This module: there is no other device."""
        return self

    def cuda(self, device: Any = None) -> Any:
        """Raises ``ArgumentError``: Lamina computes on the CPU."""
        return self.to("cuda")

    # --- state --------------------------------------------------------------------------------------
    def state_dict(self, prefix: str = "") -> dict[str, Any]:
        """Copies of all parameters and persistent buffers by their dotted names."""
        state = OrderedDict()
        for path, module in self.named_modules(prefix=prefix.rstrip("."), remove_duplicate=False):
            for name, value in module._own_state():
                state[f"{path}.{name}" if path else name] = self._saved(value)
        return state

    def _own_state(self) -> Iterator[tuple[str, Variable]]:
        for name, value in (*self._parameters.items(), *self._buffers.items()):
            if value is not None and name not in self._not_saved:
                yield name, value

    def _saved(self, value: Variable) -> Any:
        return Tensor(value.numpy())

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Set parameters and buffers from a dict as ``state_dict`` returns it.

        Args:
            state_dict: anything that becomes an array, by dotted name.
            strict: whether names that are missing or not known are an error.
            assign: as in PyTorch; values are copied either way.

        Returns:
            The names that were missing and those that are not known.

        Raises:
            StateDictError: names (if ``strict``) or shapes do not agree; then nothing has been changed.
        """
        own = {
            f"{path}.{name}" if path else name: value
            for path, module in self.named_modules(remove_duplicate=False)
            for name, value in module._own_state()
        }
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        problems = []
        if strict and missing:
            problems.append(f"Missing key(s) in state_dict: {', '.join(map(repr, missing))}.")
        if strict and unexpected:
            problems.append(f"Unexpected key(s) in state_dict: {', '.join(map(repr, unexpected))}.")
        values = {name: np.asarray(state_dict[name]) for name in own if name in state_dict}
        problems += [
            f"size mismatch for {name}: the state has shape {tuple(value.shape)}, the model {tuple(own[name].shape)}."
            for name, value in values.items()
            if tuple(value.shape) != tuple(own[name].shape)
        ]
        if problems:
            lines = "\n    ".join(problems)
            raise StateDictError(f"Error(s) in loading state_dict for {type(self).__name__}:\n    {lines}")
        for name, value in values.items():
            own[name].assign(Tensor(value))
        return IncompatibleKeys(missing, unexpected)

    # --- text ---------------------------------------------------------------------------------------
    def extra_repr(self) -> str:
        """What stands between the brackets of ``repr``."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        parts = [f"({name}): " + repr(module).replace("\n", "\n  ") for name, module in self._modules.items()]
        if not parts:
            return f"{self._get_name()}({extra})"
        lines = [*extra.split("\n"), *parts] if extra else parts
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


class _Handle:
    """Ends a hook."""

    def __init__(self, hooks: list[Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self._hooks, self._hook = hooks, hook

    def remove(self) -> None:
        """Call the hook no more."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)


_DEVICES = ("cpu", "cuda", "mps", "xpu", "meta")
