"""``torch.nn.Module``: Lamina's, with parameters, buffers and states that are PyTorch's tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from lamina import nn as _nn
from lamina.compat.torch.autograd import zeroed
from lamina.compat.torch.tensor import Buffer, Parameter, adopt
from lamina.core.primitive import outside_capture


class Module(_nn.Module):
    """A ``lamina.nn.Module`` whose buffers and saved states have PyTorch's methods.

    Example:
        >>> from lamina.compat import torch
        >>> class Scale(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.factor = torch.nn.Parameter(torch.ones(3))
        ...     def forward(self, x):
        ...         return x * self.factor
        >>> Scale()(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """

    def _make_buffer(self, value: Any) -> Any:
        if isinstance(value, Buffer):
            return value
        with outside_capture():
            return Buffer(value)

    def _converted(self, old: Any, dtype: Any) -> Any:
        return type(old)(old.numpy(), old.trainable, dtype, order=old._order)

    def _saved(self, value: Any) -> Any:
        return adopt(np.array(value))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters (or make them zeros)."""
        zeroed()
        for parameter in self.parameters():
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad = adopt(np.zeros_like(np.asarray(parameter.grad)))

    def share_memory(self) -> Module:
        """This module: nothing is shared between processes here."""
        return self


class Sequential(_nn.Sequential, Module):
    """Modules applied one after the other.

    Args:
        args: the modules; or one ordered dict of them by name.
    """


class ModuleList(_nn.ModuleList, Module):
    """A list of modules that belong to the module that holds it."""


class ModuleDict(_nn.ModuleDict, Module):
    """Modules by name that belong to the module that holds it."""


class ParameterList(Module):
    """A list of parameters that belong to the module that holds it.

    Args:
        values: the first parameters.
    """

    def __init__(self, values: Iterable[Any] = ()) -> None:
        super().__init__()
        for value in values or ():
            self.append(value)

    def append(self, value: Any) -> ParameterList:
        """Add a parameter at the end."""
        self.register_parameter(str(len(self)), value if isinstance(value, Parameter) else Parameter(value))
        return self

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Any:
        return iter(list(self._parameters.values()))

    def __getitem__(self, index: int) -> Any:
        return list(self._parameters.values())[index]


class Identity(Module):
    """Its input, whatever the arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        """The input."""
        return input
