"""``Tensor``: an immutable n-dimensional array.  ``Variable``: named state that can be assigned."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.devices import CPU
from lamina.core.errors import ArgumentError, CaptureError, DTypeError, ShapeError
from lamina.core.primitive import (
    Primitive,
    Record,
    Spec,
    set_tensor_class,
    state,
    tensor_subclass,
    unsupported,
    user_location,
    wrap,
)
from lamina.core.storage import padded_zeros, row_pitch  # noqa: F401  row_pitch: for the native backend
from lamina.tensor_methods import TensorMethods

ndarray = np.ndarray


class Tensor(TensorMethods):
    """An immutable n-dimensional array of one dtype.

    Made by ``lamina.tensor``, by the creation functions and by every op.  Inside
    ``@lamina.function`` a Tensor stands for a value that the graph will compute: it has a shape
    and a dtype, and asking for its numbers raises ``CaptureError``.  It has the methods of
    NumPy's ``ndarray`` that neither write in place nor deal in bytes (``tensor_methods.py``).

    Example:
        >>> import lamina
        >>> x = lamina.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> (x + 1).sum(axis=0).numpy()
        array([6., 8.], dtype=float32)
    """

    __slots__ = ("_data", "__weakref__")
    __array_priority__ = 100  # NumPy arrays defer to our operators
    _data: Any

    def __init__(self, value: Any, dtype: Any = None) -> None:
        self._data = ops.creation.to_data(value, None if dtype is None else dtypes.as_dtype(dtype))

    def __init_subclass__(cls) -> None:
        """A subclass gives its results: ``_results(primitive, inputs, outputs, params, single)``, as ``bind`` says."""
        tensor_subclass()

    @classmethod
    def _of(cls, data: Any) -> Any:
        """A tensor of this class on an array or a graph's value: in functions tensors keep their class."""
        return wrap(data)

    @staticmethod
    def _results(
        primitive: Primitive, inputs: tuple[Any, ...], outputs: tuple[Any, ...], params: dict[str, Any], single: bool
    ) -> tuple[Any, ...]:
        """What becomes of the outputs of an op that a tensor of this class went into: here they stay as they are."""
        return outputs

    # --- what it is -------------------------------------------------------------------------
    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._data.dtype

    @property
    def ndim(self) -> int:
        return len(self._data.shape)

    @property
    def size(self) -> int:
        n = 1
        for d in self._data.shape:
            n *= d
        return n

    @property
    def device(self) -> str:
        return CPU

    @property
    def is_symbolic(self) -> bool:
        """Whether this stands for a value of a graph that is being captured."""
        return type(self._data) is not ndarray

    @property
    def T(self) -> Tensor:
        """The transpose of a matrix (2-D only, as in the array API)."""
        if self.ndim != 2:
            raise ShapeError(f"x.T takes a matrix and got shape {self.shape}. Use x.mT or lamina.permute_dims.")
        return ops.shape.permute_dims(self, (1, 0))

    @property
    def mT(self) -> Tensor:
        """The transpose of the last two dimensions."""
        return ops.shape.matrix_transpose(self)

    # --- out to NumPy and Python --------------------------------------------------------------
    def _concrete(self, what: str) -> ndarray:
        data = self._data
        if type(data) is not ndarray:
            raise CaptureError(
                f"{what} needs the numbers of a tensor of shape {self.shape} while a graph is being captured "
                f"(at {user_location()}). "
                "Use lamina.where or lamina.cond for a branch, lamina.while_loop or lamina.scan for a loop, "
                "or return the tensor and look at it outside the function."
            )
        return data

    def numpy(self) -> ndarray:
        """The values as a NumPy array (a copy, so that the Tensor stays immutable)."""
        return self._concrete("Tensor.numpy()").copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> ndarray:
        data = self._concrete("Turning into a NumPy array")
        if dtype is not None and np.dtype(dtype) != data.dtype:
            if copy is False:
                raise ValueError(f"Changing the dtype from {data.dtype} to {np.dtype(dtype)} needs a copy.")
            return data.astype(dtype)
        if copy:
            return data.copy()
        view = data.view()
        view.flags.writeable = False
        return view

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Hand the memory to another library, marked read-only.  What ignores the mark must not write to it."""
        data = self._concrete("DLPack export")
        if max_version is None or max_version[0] < 1:
            # Before version 1 the protocol could not say that memory is read-only: give a copy.
            if copy is False:
                raise BufferError("A Tensor is read-only, which DLPack below version 1.0 cannot say; allow a copy.")
            return data.copy().__dlpack__(stream=stream, dl_device=dl_device)
        view = data.view()
        view.flags.writeable = False
        return view.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # kDLCPU

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        from lamina import array_api

        if api_version not in (None, "2021.12", "2022.12", "2023.12", "2024.12"):
            raise ValueError(f"Unknown version {api_version!r}; the newest here is {array_api.__array_api_version__}.")
        return array_api

    def to_device(self, device: Any, /, *, stream: Any = None) -> Tensor:
        """This tensor on another device.  There is only ``"cpu"``."""
        if device != "cpu" or stream is not None:
            raise ArgumentError(f"There is one device, 'cpu', without streams; got {device!r}, stream={stream!r}.")
        return self

    def item(self) -> Any:
        """The one value of a tensor of size 1, as a Python number."""
        data = self._concrete("Tensor.item()")
        if data.size != 1:
            raise ArgumentError(f"item() takes a tensor with one element and got shape {self.shape}.")
        return data.item()

    def tolist(self) -> Any:
        return self._concrete("Tensor.tolist()").tolist()

    def __bool__(self) -> bool:
        data = self._concrete("A Python branch (if, while, and, or, not)")
        if data.size != 1:
            raise ArgumentError(
                f"The truth of a tensor of shape {self.shape} is ambiguous. Use lamina.any(x) or lamina.all(x)."
            )
        return bool(data.item())

    def __int__(self) -> int:
        return int(self._scalar("int()"))

    def __float__(self) -> float:
        return float(self._scalar("float()"))

    def __complex__(self) -> complex:
        return complex(self._scalar("complex()"))

    def __index__(self) -> int:
        data = self._concrete("An index")
        if data.dtype.kind not in "iu" or data.size != 1:
            raise DTypeError(f"Only an integer tensor with one element is an index; got {self.shape} {self.dtype}.")
        return int(data.item())

    def _scalar(self, what: str) -> Any:
        data = self._concrete(what)
        if data.size != 1:
            raise ArgumentError(f"{what} takes a tensor with one element and got shape {self.shape}.")
        return data.item()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("A 0-d tensor has no length.")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise TypeError("A 0-d tensor cannot be iterated over.")
        return (self[i] for i in range(self.shape[0]))

    def __contains__(self, value: Any) -> bool:
        return bool(ops.reduction.any(self == value))

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        data = self._data
        if type(data) is not ndarray:
            return f"Tensor(<symbolic>, shape={self.shape}, dtype={self.dtype})"
        text = np.array2string(data, separator=", ", prefix="Tensor(", threshold=200, edgeitems=3)
        return f"Tensor({text}, shape={self.shape}, dtype={self.dtype})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __copy__(self) -> Tensor:
        return self

    def __deepcopy__(self, memo: Any) -> Tensor:
        return self

    def __reduce__(self) -> Any:
        return Tensor, (self.numpy(),)

    # --- indexing ---------------------------------------------------------------------------
    def __getitem__(self, key: Any) -> Tensor:
        return ops.indexing.getitem(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError(
            "A Tensor is immutable. Use lamina.where, lamina.scatter_update(x, key, values) for a changed copy, "
            "or a lamina.Variable for state."
        )

    # --- operators --------------------------------------------------------------------------
    def __add__(self, other: Any) -> Tensor:
        return ops.add(self, other)

    def __sub__(self, other: Any) -> Tensor:
        return ops.subtract(self, other)

    def __mul__(self, other: Any) -> Tensor:
        return ops.multiply(self, other)

    def __truediv__(self, other: Any) -> Tensor:
        return ops.divide(self, other)

    def __floordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide(self, other)

    def __mod__(self, other: Any) -> Tensor:
        return ops.remainder(self, other)

    def __pow__(self, other: Any) -> Tensor:
        return ops.pow(self, other)

    def __matmul__(self, other: Any) -> Tensor:
        return ops.matmul(self, other)

    def __and__(self, other: Any) -> Tensor:
        return ops.bitwise_and(self, other)

    def __or__(self, other: Any) -> Tensor:
        return ops.bitwise_or(self, other)

    def __xor__(self, other: Any) -> Tensor:
        return ops.bitwise_xor(self, other)

    def __lshift__(self, other: Any) -> Tensor:
        return ops.bitwise_left_shift(self, other)

    def __rshift__(self, other: Any) -> Tensor:
        return ops.bitwise_right_shift(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return ops.add(other, self)

    def __rsub__(self, other: Any) -> Tensor:
        return ops.subtract(other, self)

    def __rmul__(self, other: Any) -> Tensor:
        return ops.multiply(other, self)

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.divide(other, self)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide(other, self)

    def __rmod__(self, other: Any) -> Tensor:
        return ops.remainder(other, self)

    def __rpow__(self, other: Any) -> Tensor:
        return ops.pow(other, self)

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.matmul(other, self)

    def __rand__(self, other: Any) -> Tensor:
        return ops.bitwise_and(other, self)

    def __ror__(self, other: Any) -> Tensor:
        return ops.bitwise_or(other, self)

    def __rxor__(self, other: Any) -> Tensor:
        return ops.bitwise_xor(other, self)

    def __rlshift__(self, other: Any) -> Tensor:
        return ops.bitwise_left_shift(other, self)

    def __rrshift__(self, other: Any) -> Tensor:
        return ops.bitwise_right_shift(other, self)

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return ops.equal(self, other)

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return ops.not_equal(self, other)

    def __lt__(self, other: Any) -> Tensor:
        return ops.less(self, other)

    def __le__(self, other: Any) -> Tensor:
        return ops.less_equal(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return ops.greater(self, other)

    def __ge__(self, other: Any) -> Tensor:
        return ops.greater_equal(self, other)

    def __neg__(self) -> Tensor:
        return ops.negative(self)

    def __pos__(self) -> Tensor:
        return ops.positive(self)

    def __abs__(self) -> Tensor:
        return ops.abs(self)

    def __invert__(self) -> Tensor:
        return ops.bitwise_invert(self)


# A Variable that is read under a tape is recorded as this primitive, so that gradients reach it.
READ = Primitive(
    "read",
    shape=lambda x: Spec(x.shape, x.dtype),
    numpy=lambda x: x.view(),
    vjp=lambda ct, out, x: (ct,),
    native=unsupported("a variable's value is an input of the graph"),
)

_variable_names = itertools.count()


class Variable:
    """Mutable state: a named array with a fixed shape and dtype.

    Args:
        value: initial value, anything that ``lamina.tensor`` takes; or (also ``initializer=``) an initializer.
        dtype: dtype of the variable; default that of the value.
        name: a name for messages and files; default ``variable_<n>``.
        trainable: whether a ``GradientTape`` watches it and optimizers update it.
        shape: what the initializer is to make; default a scalar.
        autocast: whether layers that compute in another dtype see it in that one.
        aggregation, synchronization: kept as they are, for Keras's sake.

    Example:
        >>> import lamina
        >>> v = lamina.Variable([1.0, 2.0], name="v")
        >>> v.assign_add([1.0, 1.0])
        >>> v.numpy()
        array([2., 3.], dtype=float32)
    """

    __array_priority__ = 100
    regularizer: Any = None  # a penalty that joins the loss, where a layer gave the variable one
    constraint: Any = None  # applied by optimizers after each update
    _initializer: Any = None  # finds initializers, which stand above, by name: set in lamina/__init__.py
    overwrite_with_gradient = False  # whether optimizers set it to its gradient: statistics, not weights
    _origin: Any = None  # a function that gives the value again; ``None`` once something may have been written
    _version = 0  # counts the writes; what compiled code made of the value is good as long as it is the same
    _aliased = False  # whether arrays that are given out may be written to, which nobody counts

    def __init__(
        self,
        value: Any = None,
        dtype: Any = None,
        name: str | None = None,
        trainable: bool = True,
        *,
        shape: Sequence[int] | None = None,
        initializer: Any = None,
        autocast: bool = True,
        aggregation: str = "none",
        synchronization: str = "auto",
    ) -> None:
        if isinstance(dtype, tuple | list):  # the second argument of keras.Variable
            shape, dtype = dtype, None
        value = value if initializer is None else initializer
        if isinstance(value, str) or (callable(value) and not isinstance(value, Tensor)):
            value = type(self)._initializer(value)(tuple(shape or ()), dtype=dtype)
        if state.capture is not None:
            raise CaptureError(
                f"Variable {name or ''!r} is created inside a captured function (at {user_location()}), where every "
                "capture would make another one. Create it before the function is called and let the function use it."
            )
        tensor = value if isinstance(value, Tensor) else Tensor(value, dtype)
        data = tensor._concrete("The initial value of a Variable")
        if dtype is not None:
            data = data.astype(dtypes.as_dtype(dtype), copy=False)
        self._data = padded_zeros(data.shape, data.dtype)
        if not _is_one_zero(data):
            self._data[...] = data
        self._exposed = False  # whether a Tensor may share the storage: then a step copies first
        self.name = name if name is not None else f"variable_{next(_variable_names)}"
        self.path = "/".join((*state.scope, self.name))  # with the layer's name in front, where a layer owns it
        self.trainable, self.autocast, self.aggregation = trainable, autocast, aggregation
        self.synchronization = synchronization

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._data.dtype

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        return self._data.size

    @property
    def device(self) -> str:
        return CPU

    @property
    def value(self) -> Tensor:
        """The current value as a Tensor; inside a layer of mixed precision in the dtype that it computes in."""
        tensor, dtype = self._own_value(), state.autocast
        if dtype is None or not self.autocast or tensor.dtype == dtype or not dtypes.is_float(tensor.dtype):
            return tensor
        return ops.astype(tensor, dtype)

    def _as_tensor(self, data: Any) -> Any:
        """The Tensor that a read gives of what is stored; a subclass may choose its class and order of dimensions."""
        return wrap(data)

    def _as_stored(self, tensor: Any) -> Any:
        """The inverse of ``_as_tensor``."""
        return tensor

    def _companion(self, value: Any, name: str | None = None) -> Variable:
        """A new Variable for an optimizer's slot, stored as this one is."""
        return Variable(value, name=name, trainable=False)

    def _own_value(self) -> Tensor:
        capture = state.capture
        if capture is not None:
            tensor = self._as_tensor(capture.read(self))
        else:
            self._exposed = True
            tensor = self._as_tensor(self._data)
        for tape in state.tapes:
            if tape.wants((self,)):
                tape.record(Record(READ, (self,), (tensor,), {}, True))
        return tensor

    def __lamina_tensor__(self) -> Tensor:
        return self.value

    def assign(self, value: Any) -> None:
        """Set the value (same shape; the dtype is kept).

        Raises:
            ShapeError: the value has another shape.
        """
        tensor = ops.creation.as_tensor(value, like=self)
        if tensor.shape != self.shape:
            raise ShapeError(
                f"Variable {self.name!r} has shape {self.shape} and cannot take a value of shape {tensor.shape}."
            )
        if tensor.dtype != self.dtype:
            tensor = ops.astype(tensor, self.dtype)
        tensor = self._as_stored(tensor)
        capture = state.capture
        if capture is not None:
            capture.write(self, tensor)
            return
        data = tensor._concrete("Variable.assign()")
        self.written()  # before and after: an interrupt may come between, another thread may read meanwhile
        if self._is_shared() or np.may_share_memory(data, self._data):
            fresh = padded_zeros(data.shape, self.dtype)
            fresh[...] = data
            self._data, self._exposed = fresh, False
        else:
            self._data[...] = data
        self.written()

    def _is_shared(self) -> bool:
        """Whether a Tensor or an array may still look at the storage."""
        if self._exposed:  # a Tensor holds the array; views of it, the array that it is a view of
            held = sys.getrefcount(self._data) > 2 or sys.getrefcount(self._data.base) > 2
            self._exposed = held
        return self._exposed

    def assign_add(self, value: Any) -> None:
        """Add to the value."""
        self.assign(self._own_value() + value)

    def assign_sub(self, value: Any) -> None:
        """Subtract from the value."""
        self.assign(self._own_value() - value)

    def storage(self) -> ndarray:
        """The array that a compiled step may write to; no Tensor shares it afterwards.  Who wrote says ``written``."""
        self.written()
        if self._is_shared():
            fresh = padded_zeros(self._data.shape, self.dtype)
            fresh[...] = self._data
            self._data, self._exposed = fresh, False
        return self._data

    def written(self) -> None:
        """The storage is about to be written to, or has been."""
        self._origin = None
        self._version += 1

    def numpy(self) -> ndarray:
        """The current values as a NumPy array (a copy)."""
        return self._own_value().numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> ndarray:
        return self._own_value().__array__(dtype, copy)

    def __repr__(self) -> str:
        kind = "" if self.trainable else ", trainable=False"
        return f"Variable(name={self.name!r}, shape={self.shape}, dtype={self.dtype}{kind})"

    def __hash__(self) -> int:
        return id(self)

    def __getattr__(self, name: str) -> Any:
        # Everything else that a Tensor can do (methods, T, mT) works on the current value.
        if name.startswith("_") or not hasattr(Tensor, name):
            raise AttributeError(f"'Variable' object has no attribute {name!r}")
        return getattr(self.value, name)


def _is_one_zero(data: ndarray) -> bool:
    """Whether it is a zero repeated without memory for each: what storage holds from the start."""
    return data.size > 0 and not any(data.strides) and not data[(0,) * data.ndim].tobytes().strip(b"\0")


def _forward_operators() -> None:
    """Give Variable the operators of Tensor, applied to the current value."""
    names = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift"
    own = "eq ne lt le gt ge neg pos abs invert getitem len iter bool int float index contains"
    for name in [*names.split(), *(f"r{n}" for n in names.split()), *own.split()]:
        name = f"__{name}__"
        tensor_method = getattr(Tensor, name)

        def method(self: Variable, *args: Any, _method: Any = tensor_method) -> Any:
            return _method(self.value, *args)

        setattr(Variable, name, method)


_forward_operators()
set_tensor_class(Tensor)
