"""Optimizers made of others: ``LossScaleOptimizer`` and ``MultiOptimizer``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from lamina import initializers, ops
from lamina.core.errors import ArgumentError, DTypeError
from lamina.optimizers.base import Optimizer, only_if
from lamina.optimizers.optimizers import known
from lamina.serialization import deserialize, is_serialized, serialize
from lamina.tensor import Variable


class LossScaleOptimizer(Optimizer):
    """Multiplies the loss by a scale that follows what half precision can hold.

    A step whose gradients are not all finite changes nothing and halves the scale; after
    ``dynamic_growth_steps`` good steps it is doubled.

    Args:
        inner_optimizer: what updates the variables.
        initial_scale: the first scale.
        dynamic_growth_steps: see above.
        name: name of the optimizer.

    Example:
        >>> import lamina
        >>> optimizer = lamina.optimizers.LossScaleOptimizer(lamina.optimizers.SGD(0.5), initial_scale=8.0)
        >>> w = lamina.Variable([1.0])
        >>> optimizer.apply([lamina.tensor([8.0])], [w])
        >>> w.numpy().tolist()
        [0.5]
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise ArgumentError(
                f"LossScaleOptimizer does not support arguments: {', '.join(f'`{k}`' for k in kwargs)}. "
                "Set what every optimizer takes on the `inner_optimizer`."
            )
        super().__init__(0.0, name=name)
        self.inner_optimizer = inner_optimizer
        self.initial_scale, self.dynamic_growth_steps = initial_scale, dynamic_growth_steps
        inner_optimizer.loss_scale_factor = None  # else gradients would be divided twice

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        self.step_counter = self.add_variable((), dtype="int32", name="step_counter")
        self.dynamic_scale = self.add_variable(
            (), initializers.Constant(self.initial_scale), dtype="float32", name="dynamic_scale"
        )
        self.inner_optimizer.build(variables)
        super().build(variables)

    @property
    def variables(self) -> list[Variable]:
        return self._variables + self.inner_optimizer.variables

    @property
    def iterations(self) -> Any:
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self) -> Any:
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None) -> None:
        if not self.built:
            if trainable_variables is None:
                raise ArgumentError("Give the variables with the gradients: optimizer.apply(grads, variables).")
            self.build(list(trainable_variables))
        variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
        given = [ops.as_tensor(g) for g in grads if g is not None]
        finite: Any = ops.all(ops.isfinite(given[0])) if given else True
        for g in given[1:]:
            finite = ops.logical_and(finite, ops.all(ops.isfinite(g)))
        scale = self.dynamic_scale.value
        unscaled = [
            g
            if g is None or getattr(v, "overwrite_with_gradient", False)
            else ops.as_tensor(g) / ops.astype(scale, ops.as_tensor(g).dtype)
            for g, v in zip(grads, variables, strict=True)
        ]
        with only_if(finite, [*self.inner_optimizer.variables, *variables]):
            self.inner_optimizer.apply(unscaled, variables)
        grows = ops.equal(self.step_counter.value, self.dynamic_growth_steps - 1)
        factor = ops.where(finite, ops.where(grows, 2.0, 1.0), 0.5)
        self.dynamic_scale.assign(scale * ops.astype(factor, scale.dtype))
        goes_on = ops.logical_and(finite, ops.logical_not(grows))
        self.step_counter.assign(ops.where(goes_on, self.step_counter.value + 1, 0))

    def scale_loss(self, loss: Any) -> Any:
        """The loss times the present scale."""
        return ops.multiply(loss, self.dynamic_scale.value if self.built else self.initial_scale)

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "inner_optimizer": serialize(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        return cls(**{**config, "inner_optimizer": deserialize(config["inner_optimizer"], custom_objects)})


class OptimizerMap:
    """Which optimizer updates which variable, by regular expressions that match the variables' whole paths.

    Args:
        default_optimizer: for variables that no expression matches.
        optimizer_map: optimizers by expression.
    """

    def __init__(self, default_optimizer: Optimizer, optimizer_map: dict[str, Optimizer] | None = None) -> None:
        if not isinstance(default_optimizer, Optimizer):
            raise DTypeError(f"default_optimizer must be an Optimizer instance; got {default_optimizer!r}.")
        if optimizer_map is not None and not isinstance(optimizer_map, dict):
            raise DTypeError(f"optimizer_map must be a dictionary; got {optimizer_map!r}.")
        self.default_optimizer = default_optimizer
        self._optimizer_map: dict[str, Optimizer] = optimizer_map or {}

    def __getitem__(self, key: str) -> Optimizer:
        if key in self._optimizer_map:
            return self._optimizer_map[key]
        found = [pattern for pattern in self._optimizer_map if re.fullmatch(pattern, key)]
        if len(found) > 1:
            raise ArgumentError(f"Multiple optimizers assigned to variable {key}: {', '.join(found)} all match.")
        return self._optimizer_map[found[0]] if found else self.default_optimizer

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if key in self._optimizer_map:
            raise ArgumentError(f"{key!r} already exists in the OptimizerMap. Delete it first.")
        if not isinstance(key, str):
            raise ArgumentError(f"key must be a string; got {key!r}.")
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"optimizer must be an Optimizer instance; got {optimizer!r}.")
        if isinstance(optimizer, LossScaleOptimizer | MultiOptimizer):
            raise ArgumentError(f"optimizer cannot be {type(optimizer).__name__}.")
        self._optimizer_map[key] = optimizer

    def __delitem__(self, key: str) -> None:
        del self._optimizer_map[key]

    def __len__(self) -> int:
        return len(self._optimizer_map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._optimizer_map)

    def values(self) -> Any:
        """The optimizers, without the default one."""
        return self._optimizer_map.values()

    def __call__(self, variable: Variable) -> Optimizer:
        return self[variable.path]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "default_optimizer": serialize(self.default_optimizer),
            "optimizer_map": serialize(self._optimizer_map),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> OptimizerMap:
        """A map from what ``get_config`` returned."""
        return cls(**{key: deserialize(value, custom_objects) for key, value in config.items()})


class MultiOptimizer(Optimizer):
    """Several optimizers, each for its own variables.

    Args:
        optimizer_map: an ``OptimizerMap``, or a function from a variable to an ``Optimizer``.
        loss_scale_factor: see ``Optimizer``.
        name: name of the optimizer.

    Example:
        >>> import lamina
        >>> from lamina.optimizers import SGD, MultiOptimizer, OptimizerMap
        >>> optimizer = MultiOptimizer(OptimizerMap(SGD(0.1), {".*embedding.*": SGD(1.0)}))
        >>> a, b = lamina.Variable([1.0], name="embedding"), lamina.Variable([1.0], name="kernel")
        >>> optimizer.apply([lamina.tensor([1.0])] * 2, [a, b])
        >>> a.numpy(), b.numpy()
        (array([0.], dtype=float32), array([0.9], dtype=float32))
    """

    def __init__(self, optimizer_map: Any, loss_scale_factor: float | None = None, name: str | None = None) -> None:
        self.optimizers: list[Optimizer] = []  # those in use, each once
        super().__init__(0.0, loss_scale_factor=loss_scale_factor, name=name)
        self._optimizer_map = optimizer_map
        values = optimizer_map.values() if hasattr(optimizer_map, "values") else ()
        for optimizer in (*values, getattr(optimizer_map, "default_optimizer", None)):
            if optimizer is not None:
                self._place_of(optimizer)

    def _place_of(self, optimizer: Optimizer) -> int:
        for i, known_one in enumerate(self.optimizers):
            if known_one is optimizer:
                return i
        optimizer.loss_scale_factor = self.loss_scale_factor
        self.optimizers.append(optimizer)
        return len(self.optimizers) - 1

    @property
    def loss_scale_factor(self) -> float | None:
        """Factor of the loss, that of every inner optimizer."""
        return self._loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, value: float | None) -> None:
        self._loss_scale_factor = value
        for optimizer in self.optimizers:
            optimizer.loss_scale_factor = value

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        places: dict[int, int] = {}
        for v in variables:
            optimizer = self._optimizer_map(v)
            if not isinstance(optimizer, Optimizer):
                raise ArgumentError(f"Optimizer for variable {v.path} is not an Optimizer instance: {optimizer!r}.")
            if isinstance(optimizer, LossScaleOptimizer | MultiOptimizer):
                raise ArgumentError(f"{type(optimizer).__name__} cannot be used inside an MultiOptimizer.")
            places[id(v)] = self._place_of(optimizer)
        self._places = places
        for i, optimizer in enumerate(self.optimizers):
            own = [v for v in variables if places[id(v)] == i]
            if own:
                optimizer.build(own)
        super().build(variables)

    @property
    def variables(self) -> list[Variable]:
        return self._variables + [v for optimizer in self.optimizers for v in optimizer.variables]

    @property
    def learning_rate(self) -> Any:
        raise AttributeError("A MultiOptimizer has no learning rate: those of its optimizers are in .optimizers.")

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        raise AttributeError("A MultiOptimizer has no learning rate: set those of its .optimizers.")

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None) -> None:
        if not grads:
            return
        if not self.built:
            if trainable_variables is None:
                raise ArgumentError("Give the variables with the gradients: optimizer.apply(grads, variables).")
            self.build(list(trainable_variables))
        variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
        if len(grads) != len(variables):
            raise ArgumentError(f"There are {len(grads)} gradients for {len(variables)} variables.")
        for i, optimizer in enumerate(self.optimizers):
            own = [(g, v) for g, v in zip(grads, variables, strict=True) if self._places[id(v)] == i]
            if own:
                optimizer.apply([g for g, _ in own], [v for _, v in own])
        self._iterations.assign_add(1)

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        for i, optimizer in enumerate(self.optimizers):
            own = [v for v in var_list if self._places[id(v)] == i]
            if own:
                optimizer.finalize_variable_values(own)

    def get_config(self) -> dict[str, Any]:
        return {
            "optimizer_map": serialize(self._optimizer_map),
            "loss_scale_factor": self.loss_scale_factor,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        given = config["optimizer_map"]
        return cls(**{**config, "optimizer_map": deserialize(given, custom_objects) if is_serialized(given) else given})


known.add(LossScaleOptimizer, "lossscaleoptimizer")
known.add(MultiOptimizer, "multioptimizer")
known.add(OptimizerMap)
