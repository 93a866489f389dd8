"""Variables, tapes and functions with TensorFlow's arguments."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lamina
from lamina import autodiff, config
from lamina.compat.tensorflow._arrays import tensor_scatter_nd_add, tensor_scatter_nd_update
from lamina.compat.tensorflow._convert import convert_to_tensor
from lamina.core import dtypes
from lamina.core.devices import parse_device
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.primitive import state
from lamina.core.trees import flatten, map_tree
from lamina.data import TensorSpec
from lamina.graph.function import Function
from lamina.layers import Layer
from lamina.tensor import Tensor
from lamina.tensor import Variable as _Variable


class _Part(Tensor):
    """A part of a variable: a Tensor of its numbers, and the place to assign to."""

    __slots__ = ("_key", "_plain", "_variable")

    def __init__(self, variable: Variable, key: Any) -> None:
        self._variable, self._key, self._plain = variable, key, variable.value[key]
        self._data = self._plain._data

    def __lamina_tensor__(self) -> Tensor:
        return self._plain

    def assign(self, value: Any, use_locking: Any = None, name: str | None = None, read_value: bool = True) -> Variable:
        """Set this part; returns the variable."""
        values = lamina.ops.astype(convert_to_tensor(value, dtype_hint=self.dtype), self.dtype)
        changed: Variable = self._variable.assign(lamina.ops.scatter_update(self._variable.value, self._key, values))
        return changed


class _VariableType(type):
    """Every Variable of Lamina, a layer's too, is an instance of ``tf.Variable``."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _Variable)


class Variable(_Variable, metaclass=_VariableType):
    """``tf.Variable``: TensorFlow's order of arguments and dtypes, and assignments that return the variable.

    Args:
        initial_value: the value, or a function that makes it.
        trainable: whether tapes watch it by themselves; default true for floats.
        name, dtype: as usual.
        constraint: applied by optimizers after each update.
        shape: the shape that it must have.

    Example:
        >>> Variable([1, 2]).assign_add([1, 1]).numpy()
        array([2, 3], dtype=int32)
    """

    def __init__(
        self,
        initial_value: Any = None,
        trainable: bool | None = None,
        validate_shape: bool = True,
        caching_device: Any = None,
        name: str | None = None,
        variable_def: Any = None,
        dtype: Any = None,
        import_scope: Any = None,
        constraint: Any = None,
        synchronization: Any = None,
        aggregation: Any = None,
        shape: Any = None,
        experimental_enable_variable_lifting: bool = True,
    ) -> None:
        if initial_value is None:
            raise ArgumentError("A Variable needs an initial value.")
        value = initial_value() if callable(initial_value) else initial_value
        value = lamina.ops.as_tensor(value, dtype=dtype) if dtype is not None else convert_to_tensor(value)
        if shape is not None and tuple(shape) != value.shape:
            raise ShapeError(f"Variable: the initial value has shape {value.shape}, not {tuple(shape)}.")
        super().__init__(value, name=name, trainable=True if trainable is None else trainable)
        self.constraint = constraint

    def assign(self, value: Any, use_locking: Any = None, name: str | None = None, read_value: bool = True) -> Any:
        """Set the value; returns the variable."""
        super().assign(value)
        return self

    def assign_add(self, delta: Any, use_locking: Any = None, name: str | None = None, read_value: bool = True) -> Any:
        """Add to the value; returns the variable."""
        super().assign_add(delta)
        return self

    def assign_sub(self, delta: Any, use_locking: Any = None, name: str | None = None, read_value: bool = True) -> Any:
        """Subtract from the value; returns the variable."""
        super().assign_sub(delta)
        return self

    def __getitem__(self, key: Any) -> Any:
        return _Part(self, key)

    def scatter_nd_update(self, indices: Any, updates: Any, name: str | None = None) -> Any:
        """Set the places that the rows of ``indices`` name; returns the variable."""
        return self.assign(tensor_scatter_nd_update(self.value, indices, updates))

    def scatter_nd_add(self, indices: Any, updates: Any, name: str | None = None) -> Any:
        """Add at the places that the rows of ``indices`` name; returns the variable."""
        return self.assign(tensor_scatter_nd_add(self.value, indices, updates))

    def read_value(self) -> Any:
        """The value as a Tensor."""
        return self.value

    def initialized_value(self) -> Any:
        """The value as a Tensor."""
        return self.value


class UnconnectedGradients:
    """What gradients are where the target does not depend on the source."""

    NONE = "none"
    ZERO = "zero"


class GradientTape(autodiff.GradientTape):
    """``tf.GradientTape``: ``lamina.GradientTape`` with TensorFlow's arguments."""

    def watch(self, tensor: Any) -> None:
        """Record what happens to tensors and variables; those of integers are left out with a warning."""
        leaves = [t._plain if isinstance(t, _Part) else t for t in flatten(tensor)[0]]
        whole = [t for t in leaves if isinstance(t, Tensor | _Variable) and not dtypes.is_float(t.dtype)]
        if whole:
            warnings.warn(f"Only tensors of floats have gradients; got {whole[0].dtype}. tf.cast it.", stacklevel=2)
        super().watch([t for t in leaves if not any(t is w for w in whole)])

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: str = UnconnectedGradients.NONE,
    ) -> Any:
        """Gradient of the target with respect to the sources, as of ``lamina.GradientTape``."""
        target = map_tree(lambda t: t._plain if isinstance(t, _Part) else t, target)
        return super().gradient(target, sources, output_gradients, unconnected_gradients)

    def jacobian(
        self,
        target: Any,
        sources: Any,
        unconnected_gradients: str = UnconnectedGradients.NONE,
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """All partial derivatives of the target's elements."""
        return super().jacobian(target, sources, unconnected_gradients)

    def batch_jacobian(
        self,
        target: Any,
        source: Any,
        unconnected_gradients: str = UnconnectedGradients.NONE,
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """The partial derivatives of each example's outputs with respect to the same example's inputs.

        Args:
            target: a Tensor ``(batch, ...)`` whose rows depend on the same row of ``source`` only.
            source: a Tensor or Variable ``(batch, ...)``.

        Returns:
            Tensor of shape ``(batch, *target.shape[1:], *source.shape[1:])``.

        Raises:
            ShapeError: the batches are of different sizes.
        """
        if not target.shape or target.shape[:1] != tuple(source.shape[:1]):
            raise ShapeError(f"batch_jacobian: target {target.shape} and source {source.shape} have no common batch.")
        total = lamina.ops.zeros((1, *target.shape[1:]), dtype=target.dtype)
        seeds = [lamina.ops.broadcast_to(row, target.shape) for row in autodiff.basis(total)]
        rows = [row for (row,) in self.pull(target, seeds, [source])]
        if unconnected_gradients == "none" and all(row is None for row in rows):
            return None
        rows = [lamina.ops.zeros_like(source) if row is None else row for row in rows]
        return lamina.ops.reshape(lamina.ops.stack(rows, axis=1), (*target.shape, *source.shape[1:]))


def _conform(spec: TensorSpec, value: Any) -> Any:
    """The value as a tensor of this shape and dtype."""
    tensor = convert_to_tensor(value, dtype_hint=spec.dtype)
    fits = spec.shape is None or (
        len(tensor.shape) == len(spec.shape) and all(a in (None, b) for a, b in zip(spec.shape, tensor.shape))
    )
    if not fits or tensor.dtype != spec.dtype:
        raise ArgumentError(f"The function takes {spec.dtype} {spec.shape}, and got {tensor.dtype} {tensor.shape}.")
    return tensor


class _Signed(Function):
    """A function whose arguments are first turned into the tensors of a signature."""

    signature: tuple[TensorSpec, ...] = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) > len(self.signature):
            raise ArgumentError(f"{self.name} takes {len(self.signature)} arguments, got {len(args)}.")
        return super().__call__(*[_conform(s, a) for s, a in zip(self.signature, args)], **kwargs)


def function(
    func: Callable[..., Any] | None = None,
    input_signature: Any = None,
    autograph: bool = True,
    jit_compile: bool | None = None,
    reduce_retracing: bool = False,
    experimental_implements: Any = None,
    experimental_autograph_options: Any = None,
    experimental_attributes: Any = None,
    experimental_relax_shapes: Any = None,
    experimental_compile: Any = None,
    experimental_follow_type_hints: Any = None,
) -> Any:
    """``tf.function``: capture a Python function as a graph and run it compiled (``lamina.function``).

    Args:
        func: the function; without it a decorator is returned.
        input_signature: a ``TensorSpec`` for each argument, to which it is converted.
        autograph: without effect: a Python ``if`` or loop over tensors raises an error that names ``tf.cond``,
            ``tf.while_loop`` and ``tf.where``.
        jit_compile, reduce_retracing: without effect: graphs are always compiled, once for each shape.
    """

    def decorate(func: Callable[..., Any]) -> Any:
        @functools.wraps(func)
        def values(*args: Any, **kwargs: Any) -> Any:  # a variable that is returned counts by its value of now
            return map_tree(lambda x: x.value if isinstance(x, _Variable) else x, func(*args, **kwargs))

        if input_signature is None:
            return lamina.function(values)
        found = _Signed(values)
        found.signature = tuple(input_signature)
        return found

    return decorate if func is None else decorate(func)


def executing_eagerly() -> bool:
    """Whether ops run at once; not inside a captured function."""
    return state.capture is None


@contextmanager
def device(device_name: Any) -> Iterator[None]:
    """What is computed inside runs on this device, or where it is missing on the CPU.

    Raises:
        ArgumentError: it is no name of a device.
    """
    if isinstance(device_name, str) and device_name:
        parse_device(device_name)
    yield


@contextmanager
def name_scope(name: str) -> Iterator[str]:
    """Variables made inside have ``name/`` before their path."""
    outer, state.scope = state.scope, (*state.scope, name)
    try:
        yield "/".join(state.scope) + "/"
    finally:
        state.scope = outer


class Module:
    """``tf.Module``: finds the variables in its attributes, in those of modules and layers there, and in lists.

    Example:
        >>> class Scale(Module):
        ...     def __init__(self):
        ...         super().__init__(name="scale")
        ...         self.factor = Variable(2.0)
        ...     def __call__(self, x):
        ...         return self.factor * x
        >>> scale = Scale()
        >>> scale(3.0).item(), len(scale.trainable_variables)
        (6.0, 1)
    """

    _name: str | None = None

    def __init__(self, name: str | None = None) -> None:
        self._name = name

    @property
    def name(self) -> str:
        """Its name, by default that of its class."""
        return config.snake_case(type(self).__name__) if self._name is None else self._name

    @property
    def name_scope(self) -> Any:
        """A context in which variables get this name in front of their path."""
        return name_scope(self.name)

    @property
    def variables(self) -> tuple[Any, ...]:
        """All variables, each once, by the names of the attributes."""
        return tuple({id(v): v for v in _found(self, set()) if isinstance(v, _Variable)}.values())

    @property
    def trainable_variables(self) -> tuple[Any, ...]:
        """The variables that tapes watch by themselves."""
        return tuple(v for v in self.variables if v.trainable)

    @property
    def non_trainable_variables(self) -> tuple[Any, ...]:
        """The others."""
        return tuple(v for v in self.variables if not v.trainable)

    @property
    def submodules(self) -> tuple[Any, ...]:
        """The modules and layers in its attributes, and in theirs."""
        return tuple({id(m): m for m in _found(self, set()) if isinstance(m, Module | Layer)}.values())

    @classmethod
    def with_name_scope(cls, method: Callable[..., Any]) -> Callable[..., Any]:
        """A decorator: the method runs in the module's ``name_scope``."""

        @functools.wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            with self.name_scope:
                return method(self, *args, **kwargs)

        return call


def _found(owner: Any, seen: set[int]) -> Iterator[Any]:
    """The variables, modules and layers that an object holds, and those that these hold."""
    if isinstance(owner, Layer):
        yield from owner.variables
        return
    if isinstance(owner, list | tuple):
        values: Any = owner
    else:
        values = [value for _, value in sorted((owner if isinstance(owner, dict) else vars(owner)).items(), key=str)]
    for value in values:
        if isinstance(value, _Variable):
            yield value
        elif isinstance(value, Module | Layer | list | tuple | dict) and id(value) not in seen:
            seen.add(id(value))
            if isinstance(value, Module | Layer):
                yield value
            yield from _found(value, seen)
