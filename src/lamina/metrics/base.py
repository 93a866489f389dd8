"""``Metric``: state that is updated batch by batch, and a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lamina import config, dtype_policies, initializers, ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError
from lamina.core.masks import get_mask
from lamina.core.primitive import outside_capture
from lamina.core.trees import flatten
from lamina.losses.base import align, broadcast_weights, mask_weights
from lamina.serialization import deserialize, is_serialized, serialize
from lamina.tensor import Tensor, Variable


class Metric:
    """Base class: subclasses implement ``update_state``, ``result`` and, as a rule, nothing else.

    Args:
        dtype: dtype of the state; default ``lamina.config.floatx()``.
        name: name for logs; default from the class.

    Example:
        >>> import lamina
        >>> class Largest(lamina.metrics.Metric):
        ...     def __init__(self, name="largest"):
        ...         super().__init__(name=name)
        ...         self.value = self.add_variable((), name="value")
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         self.value.assign(lamina.maximum(self.value, lamina.max(y_pred)))
        ...     def result(self):
        ...         return self.value.value
        >>> metric = Largest()
        >>> metric([0.0], [3.0]).item()
        3.0
    """

    _role = "metric"

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or config.auto_name(type(self).__name__)
        self._dtype = dtypes.as_dtype(config.floatx() if dtype is None else dtype_policies.get(dtype).compute_dtype)
        self._variables: list[tuple[Variable, Any]] = []  # each with its initializer, for reset_state

    @property
    def dtype(self) -> str:
        """Name of the dtype of the state."""
        return self._dtype.name

    @property
    def variables(self) -> list[Variable]:
        """The state."""
        found = {id(v): v for v, _ in self._variables}
        for item in self._parts():
            for v in item.variables if isinstance(item, Metric) else [item]:
                found.setdefault(id(v), v)
        return list(found.values())

    def _parts(self) -> list[Any]:
        """The Variables and metrics that are attributes, or in lists or dicts that are."""
        leaves = [x for value in vars(self).values() if value is not self._variables for x in flatten(value)[0]]
        return [x for x in leaves if isinstance(x, Metric | Variable)]

    def add_variable(
        self, shape: Sequence[int] = (), initializer: Any = "zeros", dtype: Any = None, name: str | None = None
    ) -> Variable:
        """Make a state Variable."""
        make = initializers.get(initializer)
        with outside_capture():  # made with a value even inside a captured function
            value = make(tuple(shape), dtype=dtypes.as_dtype(dtype) if dtype is not None else self._dtype)
            variable = Variable(value, name=name or "variable", trainable=False)
        variable.path = f"{self.name}/{variable.name}"
        self._variables.append((variable, make))
        return variable

    add_weight = add_variable

    def reset_state(self) -> None:
        """Set the state to its initial values."""
        for variable, make in self._variables:
            variable.assign(make(variable.shape, dtype=variable.dtype))
        for part in self._parts():
            if isinstance(part, Metric):
                part.reset_state()

    def _with_values(self, values: Sequence[Any], work: Callable[[], Any]) -> tuple[Any, list[Any]]:
        """What ``work`` returns and the state it leaves, when it starts from these values; the state is put back."""
        variables = self.variables
        if len(values) != len(variables):
            raise ArgumentError(
                f"Argument `metric_variables` must be a list of tensors corresponding 1:1 to the {len(variables)} "
                f"variables of {type(self).__name__}; got {len(values)}."
            )
        before = [v.value for v in variables]
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        result = work()
        after = [v.value for v in variables]
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        return result, after

    def stateless_update_state(self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """The state after ``update_state``, from a state given as values; the metric's own does not change."""
        return self._with_values(metric_variables, lambda: self.update_state(*args, **kwargs))[1]

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """``result`` for a state given as values."""
        return self._with_values(metric_variables, self.result)[0]

    def stateless_reset_state(self) -> list[Any]:
        """The initial state; the metric's own does not change."""
        return self._with_values([v.value for v in self.variables], self.reset_state)[1]

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take a batch into account."""
        raise NotImplementedError(f"{type(self).__name__} does not implement update_state(y_true, y_pred).")

    def result(self) -> Any:
        """The metric over all batches since the last ``reset_state``."""
        raise NotImplementedError(f"{type(self).__name__} does not implement result().")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """``update_state``, then ``result``."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A metric from what ``get_config`` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def samplewise(values: Any, sample_weight: Any, reduce: Callable[..., Any], dtype: Any) -> tuple[Any, Any]:
    """Values reduced to one for each sample and multiplied by their weights, and those weights.

    Args:
        values: one or more values for each sample.
        sample_weight: weights that broadcast against them, or ``None``.
        reduce: ``ops.mean`` or ``ops.sum``, applied over all axes but the first.
        dtype: dtype of the result.
    """
    values = ops.as_tensor(values)
    if values.dtype != dtype:
        values = ops.astype(values, dtype)
    if sample_weight is not None:
        values, sample_weight = align(values, ops.as_tensor(sample_weight, dtype=dtype))
        ndim = sample_weight.ndim
        if values.ndim > ndim:
            values = reduce(values, axis=tuple(range(ndim, values.ndim)))
        values, sample_weight = broadcast_weights(sample_weight, values)
        sample_weight = ops.broadcast_to(sample_weight, values.shape)
        values = ops.multiply(values, sample_weight)
        if sample_weight.ndim > 1:
            sample_weight = reduce(sample_weight, axis=tuple(range(1, sample_weight.ndim)))
    if values.ndim > 1:
        values = reduce(values, axis=tuple(range(1, values.ndim)))
    return values, sample_weight


def divide_no_nan(x: Any, y: Any) -> Tensor:
    """``x / y``, and 0 where ``y`` is 0."""
    zero = ops.equal(y, 0)
    return ops.where(zero, 0.0, ops.divide(x, ops.where(zero, 1.0, y)))


class Sum(Metric):
    """The (weighted) sum of all values.

    Args:
        name: name for logs.
        dtype: see ``Metric``.
    """

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values, _ = samplewise(values, sample_weight, ops.sum, self._dtype)
        self.total.assign_add(ops.sum(values))

    def result(self) -> Tensor:
        return self.total.value


class Mean(Metric):
    """The (weighted) mean of all values.

    Args:
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> mean = lamina.metrics.Mean()
        >>> mean.update_state([1.0, 3.0])
        >>> mean.update_state([5.0])
        >>> mean.result().item()
        3.0
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), name="total")
        self.count = self.add_variable((), name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values, weights = samplewise(values, sample_weight, ops.mean, self._dtype)
        self.total.assign_add(ops.sum(values))
        if weights is None:
            self.count.assign_add(values.shape[0] if values.ndim else 1)
        else:
            self.count.assign_add(ops.sum(weights))

    def result(self) -> Tensor:
        return divide_no_nan(self.total, self.count)

    def _number(self) -> float:
        """What ``result`` gives, without ops: ``fit`` asks for it after each step where a callback wants to know."""
        total, count = self.total._data, self.count._data
        return float(total / count) if count else 0.0


def current_value(metric: Metric) -> Any:
    """``metric.result()`` outside captured functions, for means as a number."""
    return metric._number() if type(metric).result is Mean.result else metric.result()  # type: ignore[attr-defined]


class MeanMetricWrapper(Mean):
    """The mean of a function ``fn(y_true, y_pred, **kwargs)`` that gives one value for each sample.

    Where ``y_pred`` carries a mask, values at positions where it is false do not count.

    Args:
        fn: the function.
        name: name for logs; default the function's.
        dtype: see ``Metric``.
        kwargs: further arguments of ``fn``.
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name or getattr(fn, "__name__", None), dtype)
        self._fn, self._arguments = fn, kwargs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        mask = get_mask(y_pred)
        if mask is not None:
            sample_weight = mask_weights(sample_weight, ops.astype(mask, self._dtype))
        y_pred = ops.as_tensor(y_pred)
        if dtypes.is_float(y_pred.dtype) and y_pred.dtype.itemsize == 2:
            y_pred = ops.astype(y_pred, self._dtype)
        super().update_state(self._fn(y_true, y_pred, **self._arguments), sample_weight)

    def get_config(self) -> dict[str, Any]:
        base = super().get_config()
        if type(self) is MeanMetricWrapper:
            return {"fn": serialize(self._fn), **base, **serialize(self._arguments)}
        return base

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**{k: deserialize(v) if is_serialized(v) else v for k, v in config.items()})
