"""``Tensor`` and ``Parameter``: Lamina's with PyTorch's methods, a history of how they came about, in-place ops."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina import nn, ops, random
from lamina.compat.torch import autograd, printing
from lamina.compat.torch.autograd import no_grad, recording
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DifferentiationError, ShapeError
from lamina.core.primitive import Primitive, ndarray, wrap
from lamina.tensor import Tensor as _Tensor
from lamina.tensor import Variable


class Size(tuple[int, ...]):
    """The shape of a tensor: a tuple that prints as PyTorch's."""

    def numel(self) -> int:
        """The number of elements."""
        return int(np.prod(self, dtype=np.int64))

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    __str__ = __repr__


class _Count(int):
    """The number of elements, as Lamina asks for it; called, the shape, as PyTorch does."""

    shape: Size

    def __call__(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]


class device(str):  # noqa: N801  PyTorch's name
    """A device: there is one, ``"cpu"``.

    Raises:
        ArgumentError: another device.
    """

    type: str
    index: int | None  # type: ignore[assignment]

    def __new__(cls, type: Any, index: int | None = None) -> device:
        kind = str(type).split(":")[0]
        if kind != "cpu":
            raise ArgumentError(
                f"Lamina computes on the CPU; there is no device {type!r}. "
                "torch.cuda.is_available() and the like are False."
            )
        self = str.__new__(cls, "cpu")
        self.type, self.index = kind, index
        return self

    def __repr__(self) -> str:
        return f"device(type={self.type!r})"


CPU = device("cpu")


class _InPlace:
    """What changes a tensor in place.  All of it goes through ``_set``."""

    def _set(self, value: Any) -> Any:
        raise NotImplementedError

    def zero_(self) -> Any:
        """Fill with zeros."""
        return self.fill_(0)

    def fill_(self, value: Any) -> Any:
        """Fill with a number."""
        return self._set(ops.full(tuple(self.shape), value, self.dtype) if _is_number(value) else value)  # type: ignore[attr-defined]

    def copy_(self, src: Any, non_blocking: bool = False) -> Any:
        """Take over the values of another tensor."""
        return self._set(src)

    def normal_(self, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Any:
        """Fill with normal random numbers."""
        return self._set(random.normal(tuple(self.shape), mean, std, self.dtype, key=generator))  # type: ignore[attr-defined]

    def uniform_(self, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Any:
        """Fill with uniform random numbers."""
        return self._set(random.uniform(tuple(self.shape), a, b, self.dtype, key=generator))  # type: ignore[attr-defined]

    def bernoulli_(self, p: float = 0.5, generator: Any = None) -> Any:
        """Fill with 1 (with probability ``p``) and 0."""
        return self._set(random.bernoulli(tuple(self.shape), p, generator))  # type: ignore[attr-defined]

    def scatter_(self, dim: int, index: Any, src: Any = None, value: Any = None, reduce: str | None = None) -> Any:
        """``self[..., index[..., j, ...], ...] = src[..., j, ...]`` along ``dim``."""
        source = src if value is None else value
        index = np.atleast_1d(np.asarray(index))
        values = np.broadcast_to(np.asarray(source, self.dtype), index.shape) if _is_number(source) else source  # type: ignore[attr-defined]
        values = np.asarray(values)[tuple(slice(n) for n in index.shape)]
        array = np.array(self._data if isinstance(self, _Tensor) else self)
        grid = list(np.indices(index.shape, sparse=True))
        grid[dim] = index
        if reduce is None:
            array[tuple(grid)] = values
        elif reduce in ("add", "multiply"):
            (np.add if reduce == "add" else np.multiply).at(array, tuple(grid), values)
        else:
            raise ArgumentError(f"reduce is 'add' or 'multiply'; got {reduce!r}.")
        return self._set(wrap(array))

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, list | tuple):
            value = np.asarray(value)
        self._set(_updated(self, key, value))

    def __iadd__(self, other: Any) -> Any:
        return self._set(ops.add(self, other))

    def __isub__(self, other: Any) -> Any:
        return self._set(ops.subtract(self, other))

    def __imul__(self, other: Any) -> Any:
        return self._set(ops.multiply(self, other))

    def __itruediv__(self, other: Any) -> Any:
        return self._set(ops.divide(self, other))

    def __ipow__(self, other: Any) -> Any:
        return self._set(ops.pow(self, other))


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float | np.generic)


def _updated(x: Any, key: Any, value: Any) -> Any:
    """``x`` with other values at ``x[key]``."""
    tensor = ops.as_tensor(x)
    value = ops.as_tensor(value, like=tensor) if not isinstance(value, ndarray) else wrap(value)
    wanted = recording.enabled and (getattr(value, "_wants", False) or getattr(tensor, "_wants", False))
    keys = key if isinstance(key, tuple) else (key,)
    symbolic = any(getattr(v, "is_symbolic", False) for v in (tensor, value, *keys))
    if not wanted and not symbolic:
        array = np.array(tensor._data)
        array[tuple(np.asarray(k) if isinstance(k, _Tensor | list | range) else k for k in keys)] = value._data
        return wrap(array)
    if len(keys) == 1 and getattr(key, "dtype", None) == np.bool_:
        mask = ops.as_tensor(key)
        return ops.where(ops.reshape(mask, (*mask.shape, *(1,) * (tensor.ndim - mask.ndim))), value, tensor)
    return ops.scatter_update(tensor, key, ops.astype(value, tensor.dtype))


class _TensorMeta(type):
    """A parameter, which here is a Variable, counts as a tensor in ``isinstance``."""

    def __instancecheck__(cls, instance: object) -> bool:
        return super().__instancecheck__(instance) or (cls.__name__ == "Tensor" and isinstance(instance, Parameter))


class Tensor(_InPlace, _Tensor, metaclass=_TensorMeta):
    """A Lamina Tensor with PyTorch's methods.

    Results of ops on it are of this class, too.  With ``requires_grad`` they know how they were computed, and
    ``backward()`` adds gradients to ``grad`` of the tensors at the beginning.

    Args:
        data: anything that becomes an array of float32; or sizes, for zeros of that shape.

    Example:
        >>> from lamina.compat import torch
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        tensor([2., 4.])
    """

    _wants = False  # whether a gradient is to be found for it
    _node: autograd.Node | None = None  # how it was computed, where it wants a gradient
    _leaf: Any = None  # the parameter of which it is the value
    _token: Any = None  # stands for the present value in histories
    _owner: Any = None  # what changes along with it: ``x`` for ``x.data``
    _grad: Any = None

    def __init__(self, *data: Any) -> None:
        if data and all(type(n) is int for n in data):  # a shape
            super().__init__(np.zeros(data, np.float32))
        else:
            super().__init__(np.array(data[0] if data else (), np.float32))

    @staticmethod
    def _results(
        primitive: Primitive, inputs: tuple[Any, ...], outputs: tuple[Any, ...], params: dict[str, Any], single: bool
    ) -> tuple[Any, ...]:
        return autograd.results(primitive, inputs, outputs, params, single, adopt)

    @classmethod
    def _of(cls, data: Any) -> Tensor:
        return adopt(data)

    def __lamina_tensor__(self) -> Tensor:
        return self

    # --- what it is ---------------------------------------------------------------------------------
    @property
    def shape(self) -> Size:
        return Size(self._data.shape)

    @property
    def size(self) -> Any:
        """``size()`` is the shape, ``size(dim)`` one size of it."""
        shape = self.shape
        count = _Count(shape.numel())
        count.shape = shape
        return count

    @property
    def device(self) -> device:
        return CPU

    @property
    def T(self) -> Any:
        """The dimensions in reverse order."""
        return ops.permute_dims(self, tuple(reversed(range(self.ndim))))

    @property
    def H(self) -> Any:
        """The transpose of a matrix of real numbers."""
        return ops.matrix_transpose(self)

    def stride(self, dim: int | None = None) -> Any:
        """Elements from one position to the next, by dimension."""
        steps = tuple(s // self._data.itemsize for s in self._concrete("stride()").strides)
        return steps if dim is None else steps[dim]

    def storage_offset(self) -> int:
        """Elements from the start of the memory to the first."""
        data = self._concrete("storage_offset()")
        root = autograd.memory_of(data)
        return (data.ctypes.data - root.ctypes.data) // data.itemsize

    def data_ptr(self) -> int:
        """Where the numbers lie in memory."""
        return int(self._concrete("data_ptr()").ctypes.data)

    def __repr__(self) -> str:
        return printing.text_of(self)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self._data.shape == () and spec else repr(self)

    def __deepcopy__(self, memo: Any) -> Tensor:
        fresh = adopt(np.array(self._concrete("A copy")))
        fresh._wants = self._wants and self._node is None
        return fresh

    def __reduce__(self) -> Any:
        return adopt, (np.array(self._concrete("Pickling")),)

    # --- differentiation ----------------------------------------------------------------------------
    @property
    def requires_grad(self) -> bool:
        """Whether ``backward`` finds its gradient; may be set on a leaf."""
        return self._wants

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for a gradient, or no longer; returns this tensor."""
        if self._node is not None and not requires_grad:
            raise DifferentiationError("Only leaves can be told not to require a gradient; use detach().")
        if requires_grad and not dtypes.is_float(self.dtype):
            raise DifferentiationError(f"Only floating-point tensors can require gradients; this one is {self.dtype}.")
        self._wants = bool(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it was not computed from a tensor that requires a gradient."""
        return self._node is None

    @property
    def grad_fn(self) -> Any:
        """How it was computed, or ``None``."""
        return self._node

    @property
    def grad(self) -> Any:
        """What ``backward`` has added up so far, or ``None``."""
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        self._grad = value

    def retain_grad(self) -> None:
        """Let ``backward`` keep the gradient of this tensor although it is no leaf."""
        if self._node is not None:
            self._node.retained.append((autograd.token_of(self), self))

    def backward(
        self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
    ) -> None:
        """See ``torch.autograd.backward``."""
        autograd.backward(self, None if gradient is None else [gradient], retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """The same numbers without the history."""
        return adopt(self._data)

    def detach_(self) -> Tensor:
        """Forget the history, in place."""
        self._node, self._token, self._wants = None, None, False
        return self

    @property
    def data(self) -> Tensor:
        """The same numbers without the history; changing them in place changes this tensor."""
        alias = adopt(self._data)
        alias._owner = self
        return alias

    @data.setter
    def data(self, value: Any) -> None:
        self._data, self._token = ops.as_tensor(value)._data, None

    def _set(self, value: Any) -> Any:
        """Take over a value of this shape, in place."""
        if self._wants and recording.enabled and self._node is None:
            raise DifferentiationError(
                "a leaf Variable that requires grad is being used in an in-place operation. "
                "Update it under torch.no_grad(), or compute a new tensor."
            )
        value = _fitting(value, self)
        if self._owner is not None:
            with no_grad():
                self._owner._set(value)
        data = value._data
        if getattr(value, "_wants", False) and recording.enabled:
            self._data, self._node, self._token, self._wants = data, value._node, value._token, True
            return self
        mine = self._data
        if type(data) is not ndarray or type(mine) is not ndarray:
            self._data = data
        elif mine.flags.writeable and not autograd.is_saved(mine):
            np.copyto(mine, data)
        else:
            self._data = np.array(data)
        if self._node is None:
            self._token = None
        return self

    # --- out of PyTorch -------------------------------------------------------------------------------
    def numpy(self, force: bool = False) -> ndarray:
        """The numbers as a NumPy array that shares their memory.

        Raises:
            DifferentiationError: the tensor requires a gradient (unless ``force``).
        """
        if self._wants and not force:
            raise DifferentiationError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            )
        return self._concrete("Tensor.numpy()")

    # --- Lamina's signatures and PyTorch's ------------------------------------------------------------
    def __getitem__(self, key: Any) -> Any:
        return ops.getitem(self, _plain_key(key))

    def __invert__(self) -> Any:
        return ops.logical_not(self) if self.dtype == np.bool_ else ops.bitwise_invert(self)


def _plain_key(key: Any) -> Any:
    """Lists and ranges of numbers index as arrays do."""
    if isinstance(key, tuple):
        return tuple(_plain_key(k) for k in key)
    return np.asarray(key) if isinstance(key, list | range) else key


def _fitting(value: Any, like: Any) -> Any:
    """A tensor with the shape and dtype of another."""
    value = ops.as_tensor(value, like=like)
    if tuple(value.shape) != tuple(like.shape):
        if len(value.shape) > len(like.shape) or np.broadcast_shapes(tuple(value.shape), tuple(like.shape)) != tuple(
            like.shape
        ):
            raise ShapeError(
                f"A tensor of shape {tuple(like.shape)} cannot take a value of shape {tuple(value.shape)} in place."
            )
        value = ops.broadcast_to(value, tuple(like.shape))
    return value if value.dtype == like.dtype else ops.astype(value, like.dtype)


def adopt(data: Any) -> Tensor:
    """An array (or a graph's value) as a Tensor, sharing its memory."""
    tensor: Tensor = Tensor.__new__(Tensor)
    tensor._data = data
    return tensor


def as_torch(x: Any) -> Any:
    """A Lamina Tensor, or anything that becomes one, with PyTorch's methods."""
    tensor = ops.as_tensor(x)
    return tensor if type(tensor) is Tensor else adopt(tensor._data)


class Parameter(_InPlace, nn.Parameter):
    """A tensor that belongs to a Module: a Variable with PyTorch's methods, so that compiled steps update it.

    Args:
        data: its first value.
        requires_grad: whether training changes it.

    Example:
        >>> from lamina.compat import torch
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> (3 * weight).sum().backward()
        >>> weight.grad
        tensor([3., 3.])
    """

    grad: Any = None
    is_leaf = True
    grad_fn = None
    _aliased = True  # ``detach()`` and ``detach().numpy()`` share its memory

    def __init__(
        self,
        data: Any = (),
        requires_grad: bool = True,
        dtype: Any = None,
        name: str | None = None,
        order: tuple[int, ...] | None = None,
    ) -> None:
        value = data.value if isinstance(data, Variable) else as_torch(data)
        self._order = order
        Variable.__init__(self, self._as_stored(wrap(value._concrete("A Parameter"))), dtype, name, requires_grad)

    # What is stored has the dimensions ``order`` of what is seen: compiled products want the rows of a layer's weight
    # to be its inputs, where PyTorch has its outputs first.
    def _as_tensor(self, data: Any) -> Tensor:
        stored = wrap(data)
        if self._order is not None:
            stored = ops.permute_dims(stored, tuple(self._order.index(d) for d in range(len(self._order))))
        tensor = adopt(stored._data)
        tensor._leaf, tensor._wants = self, self.trainable
        return tensor

    def _as_stored(self, tensor: Any) -> Any:
        return tensor if self._order is None else ops.permute_dims(tensor, self._order)

    def _companion(self, value: Any, name: str | None = None) -> Variable:
        return Buffer(value, name=name, order=self._order)

    @property
    def shape(self) -> Size:
        stored = self._data.shape
        return Size(stored if self._order is None else [stored[self._order.index(d)] for d in range(len(stored))])

    @property
    def size(self) -> Any:
        return self.value.size

    @property
    def device(self) -> device:
        return CPU

    @property
    def requires_grad(self) -> bool:
        """Whether training changes it."""
        return self.trainable

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.trainable = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Parameter:
        """Say whether training changes it; returns this parameter."""
        self.trainable = bool(requires_grad)
        return self

    @property
    def data(self) -> Tensor:
        """The numbers as a tensor without a history; changing it in place changes the parameter."""
        alias = adopt(self.value._data)
        alias._owner = self
        return alias

    @data.setter
    def data(self, value: Any) -> None:
        self.assign(ops.stop_gradient(ops.as_tensor(value)))

    def _set(self, value: Any) -> Parameter:
        if self.trainable and recording.enabled:
            raise DifferentiationError(
                "a leaf Variable that requires grad is being used in an in-place operation. "
                "Update it under torch.no_grad()."
            )
        self.assign(wrap(_fitting(value, self)._data))
        return self

    def numpy(self, force: bool = False) -> ndarray:
        return np.array(self.value._concrete("Parameter.numpy()"))

    def __repr__(self) -> str:
        body = printing.text_of(adopt(self.value._data))
        kind = "Parameter containing:\n" if type(self) is Parameter else ""
        return f"{kind}{body[:-1]}, requires_grad=True)" if self.trainable else kind + body

    def __deepcopy__(self, memo: Any) -> Any:
        fresh = type(self)(self.numpy(), self.trainable, order=self._order)
        fresh.grad = copy.deepcopy(self.grad, memo)
        memo[id(self)] = fresh
        return fresh

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(Tensor, name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.value, name)


class Buffer(Parameter):
    """State of a Module that is no parameter: statistics, constants."""

    def __init__(
        self,
        data: Any = (),
        requires_grad: bool = False,
        dtype: Any = None,
        name: str | None = None,
        order: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(data, False, dtype, name, order)


def numpy_names(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which takes NumPy's ``axis`` and ``keepdims`` for ``dim`` and ``keepdim`` too."""

    @functools.wraps(function)
    def named(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            for theirs, ours in (("axis", "dim"), ("keepdims", "keepdim")):
                if theirs in kwargs:
                    kwargs[ours] = kwargs.pop(theirs)
        return function(*args, **kwargs)

    return named


def give_methods(functions: dict[str, Callable[..., Any]], in_place: dict[str, Callable[..., Any]]) -> None:
    """Make functions of a tensor methods of ``Tensor``, and those ``in_place`` also methods ``name_``."""
    for name, function in functions.items():
        setattr(Tensor, name, function)
    for name, function in in_place.items():

        def method(self: Any, *args: Any, _function: Any = function, **kwargs: Any) -> Any:
            return self._set(_function(self, *args, **kwargs))

        method.__name__, method.__doc__ = f"{name}_", f"``{name}``, in place."
        setattr(_InPlace, f"{name}_", method)
