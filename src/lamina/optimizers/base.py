"""``Optimizer``: learning rate, step count, slots, clipping, weight decay; subclasses add the update rule."""

from __future__ import annotations

import functools
import inspect
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from lamina import config, initializers, ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ArgumentTypeError, DifferentiationError
from lamina.core.limits import spend
from lamina.core.messages import did_you_mean
from lamina.core.primitive import outside_capture
from lamina.core.trees import map_tree
from lamina.optimizers.schedules import LearningRateSchedule
from lamina.serialization import deserialize, is_serialized, serialize
from lamina.tensor import Tensor, Variable


class Optimizer:
    """Base class of optimizers.

    A subclass makes its slots in ``build(variables)`` with ``add_optimizer_variables`` and assigns in
    ``update_step(gradient, variable, learning_rate)``.  All state is held in Variables, so a step
    can be captured and compiled.

    Args:
        learning_rate: a number, a ``LearningRateSchedule``, or a function of no arguments.
        weight_decay: if set, each step first multiplies the variables by ``1 - weight_decay * learning_rate``.
        clipnorm: if set, each gradient is scaled down to at most this norm.
        clipvalue: if set, each gradient's elements are clipped to ``[-clipvalue, clipvalue]``.
        global_clipnorm: if set, all gradients together are scaled down to at most this norm.
        use_ema: whether to keep an exponential moving average of the variables.
        ema_momentum: how slowly that average follows.
        ema_overwrite_frequency: after how many steps the variables are set to the average, or ``None``.
        loss_scale_factor: the loss is multiplied by it (see ``scale_loss``), the gradients divided.
        gradient_accumulation_steps: if set, gradients of that many steps are averaged for one update.
        name: name of the optimizer.
    """

    _role = "optimizer"

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            own = [vars(kind)["__init__"] for kind in type(self).__mro__ if "__init__" in vars(kind)]
            known = [name for function in own for name in inspect.signature(function).parameters]
            raise ArgumentError(
                f"{type(self).__name__} has no argument {', '.join(map(repr, kwargs))}."
                f"{did_you_mean(next(iter(kwargs)), known)}"
            )
        if sum(c is not None for c in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ArgumentError("Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set.")
        if use_ema and not 0 <= ema_momentum <= 1:
            raise ArgumentError(f"ema_momentum is between 0 and 1; got {ema_momentum}.")
        if gradient_accumulation_steps is not None and gradient_accumulation_steps < 2:
            raise ArgumentError(f"gradient_accumulation_steps is at least 2; got {gradient_accumulation_steps}.")
        self.name = name or config.auto_name(type(self).__name__)
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema, self.ema_momentum = use_ema, ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.built = False
        self._variables: list[Variable] = []
        self._trainable_variables: list[Variable] = []
        self._index: dict[int, int] = {}
        self._no_decay: tuple[set[int], re.Pattern[str] | None] = (set(), None)
        self._iterations = self.add_variable((), dtype="int64", name="iteration")
        self._learning_rate: Any
        if isinstance(learning_rate, LearningRateSchedule):
            self._learning_rate = learning_rate
        elif is_serialized(learning_rate):
            self._learning_rate = deserialize(learning_rate)
        elif callable(learning_rate):
            self._learning_rate = learning_rate
        elif isinstance(learning_rate, bool) or not isinstance(learning_rate, int | float | np.floating | np.integer):
            raise ArgumentError(
                f"learning_rate is a number, a LearningRateSchedule or a function; got {learning_rate!r}."
            )
        else:
            self._learning_rate = self.add_variable(
                (), initializers.Constant(float(learning_rate)), dtype=config.floatx(), name="learning_rate"
            )

    # --- state --------------------------------------------------------------------------------------
    @property
    def iterations(self) -> Any:
        """The number of updates done (a Variable; a Tensor with gradient accumulation)."""
        if self.gradient_accumulation_steps:
            return ops.floor_divide(self._iterations, self.gradient_accumulation_steps)
        return self._iterations

    @property
    def variables(self) -> list[Variable]:
        """Everything that is to be saved: step count, learning rate, slots."""
        return list(self._variables)

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the next step.  Setting a number takes effect at once."""
        rate = self._learning_rate
        if isinstance(rate, LearningRateSchedule):
            return rate(self._iterations)
        return rate if isinstance(rate, Variable) else rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if callable(value):
            if isinstance(self._learning_rate, Variable):
                self._variables = [v for v in self._variables if v is not self._learning_rate]
            self._learning_rate = value
        elif isinstance(self._learning_rate, LearningRateSchedule):
            raise ArgumentTypeError(
                "This optimizer was created with a `LearningRateSchedule`, so its learning rate cannot be set to a "
                "number. Make it with a number, or set another schedule."
            )
        elif isinstance(self._learning_rate, Variable):
            self._learning_rate.assign(value)
        else:
            raise ArgumentError("This optimizer's learning rate is a function and cannot be set to a number.")

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: Any = None,
        name: str | None = None,
        like: Any = None,
    ) -> Variable:
        """Make a Variable that belongs to the optimizer's state, stored as ``like`` is if that is a Variable."""
        spend(shape, dtypes.as_dtype(dtype or config.floatx()))
        with outside_capture():  # made with a value even inside a captured function
            initializer, dtype = initializers.get(initializer), dtypes.as_dtype(dtype or config.floatx())
            make = like._companion if isinstance(like, Variable) else partial(Variable, trainable=False)
            variable = make(initializers.filling(initializer, tuple(shape), dtype), name=name)
        variable._origin = initializers.repeated(initializer, shape, dtype)
        variable.path = f"{self.name}/{variable.name}"
        self._variables.append(variable)
        return variable

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str = "var", initializer: Any = "zeros"
    ) -> Variable:
        """Make a slot with the shape and dtype of a model's variable."""
        path = getattr(reference_variable, "path", reference_variable.name).replace("/", "_")
        variable = reference_variable
        return self.add_variable(variable.shape, initializer, variable.dtype, f"{path}_{name}", like=variable)

    def add_optimizer_variables(
        self, trainable_variables: Iterable[Variable], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """A slot of each name for each variable: a list, or a tuple of lists for several names."""
        names = [name] if isinstance(name, str) else list(name)
        makers = initializer if isinstance(initializer, list | tuple) else [initializer] * len(names)
        slots: tuple[list[Variable], ...] = tuple([] for _ in names)
        for variable in trainable_variables:
            for slot, slot_name, make in zip(slots, names, makers, strict=True):
                slot.append(self.add_variable_from_reference(variable, slot_name, make))
        return slots[0] if isinstance(name, str) else slots

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the slots for these variables; called by the first ``apply``."""
        self._trainable_variables = list(variables)
        self._index = {id(v): i for i, v in enumerate(self._trainable_variables)}
        if self.use_ema:
            self._model_variables_moving_average = self.add_optimizer_variables(variables, "average")
        if self.gradient_accumulation_steps:
            self._accumulated_gradients = self.add_optimizer_variables(variables, "gradient_accumulator")
        self.built = True

    def _get_variable_index(self, variable: Variable) -> int:
        return self._index[id(variable)]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set ``variables`` from arrays in the same order.

        Raises:
            ArgumentError: their number is another.
        """
        variables = self.variables
        if len(weights) != len(variables):
            missing = "" if self.built else "You are calling set_weights() before optimizer.build(variables). "
            raise ArgumentError(
                f"{missing}Optimizer {self.name!r} has {len(variables)} variables and was given {len(weights)} arrays."
            )
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(weight)

    # --- one step -----------------------------------------------------------------------------------
    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        """Assign the variable's new value and the slots'; the subclass's formula.

        Args:
            gradient: of the variable's shape and dtype.
            variable: the variable.
            learning_rate: what ``step_size`` returned, in the variable's dtype.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement update_step.")

    def step_size(self, learning_rate: Any) -> Any:
        """The factor of the update, or a tuple of factors, worked out once a step for all variables."""
        return learning_rate

    def _step_number(self, learning_rate: Any) -> Any:
        """1, 2, ... in the dtype of the learning rate."""
        return ops.astype(self.iterations + 1, learning_rate.dtype)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Any:
        """Like ``apply``, from pairs of gradient and variable."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self._iterations

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None) -> None:
        """Update the variables with their gradients.

        Args:
            grads: one gradient for each variable; ``None`` leaves a variable as it is.
            trainable_variables: the variables; default those the optimizer was built with.

        Raises:
            ArgumentError: a variable that the optimizer was not built with, or too few gradients.
            DifferentiationError: every gradient is ``None``.
        """
        grads = list(grads)
        if not grads:
            return
        if trainable_variables is None:
            if not self.built:
                raise ArgumentError("Give the variables with the gradients: optimizer.apply(grads, variables).")
            trainable_variables = self._trainable_variables
        variables = list(trainable_variables)
        if not self.built:
            self.build(variables)
        if len(grads) != len(variables):
            raise ArgumentError(f"There are {len(grads)} gradients for {len(variables)} variables.")
        for variable in variables:
            if id(variable) not in self._index:
                raise ArgumentError(
                    f"Optimizer {self.name!r} was built without variable {variable.path!r}. "
                    "Make a new optimizer for another set of variables (after thawing layers, compile again)."
                )
        found = [(ops.as_tensor(g), v) for g, v in zip(grads, variables, strict=True) if g is not None]
        if not found:
            raise DifferentiationError(
                "No gradients provided for any variable. The loss does not depend on any of "
                f"{', '.join(v.path for v in variables[:3])}{', ...' if len(variables) > 3 else ''}."
            )
        if len(found) < len(variables):
            without = [v.path for g, v in zip(grads, variables, strict=True) if g is None]
            warnings.warn(
                f"The loss does not depend on {', '.join(without)}: left as they are. Is a loss or an output missing?",
                stacklevel=2,
            )
        found = [(g if g.dtype == v.dtype else ops.astype(g, v.dtype), v) for g, v in found]
        self._overwrite([(g, v) for g, v in found if v.overwrite_with_gradient])
        found = [(g, v) for g, v in found if not v.overwrite_with_gradient]
        grads, variables = [g for g, _ in found], [v for _, v in found]
        if self.loss_scale_factor is not None:
            grads = [g / self.loss_scale_factor for g in grads]
        if self.gradient_accumulation_steps and grads:
            self._accumulate(grads, variables, self.gradient_accumulation_steps)
        elif grads:
            self._update(grads, variables)
        if self.use_ema:
            self._follow_average()
        for variable in variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable.value))
        self._iterations.assign_add(1)

    def stateless_apply(
        self, optimizer_variables: Sequence[Any], grads: Sequence[Any], trainable_variables: Sequence[Any]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The new values that ``apply`` would give, from values instead of variables; changes nothing.

        Args:
            optimizer_variables: a value for each of ``variables``.
            grads: the gradients.
            trainable_variables: a value for each variable that the optimizer was built with.

        Returns:
            New values of the variables, and of the optimizer's variables.

        Raises:
            ArgumentError: the optimizer is not built, or there are more or fewer values than variables.
        """
        if not self.built:
            raise ArgumentError("stateless_apply() is called after optimizer.build(trainable_variables).")
        variables = [*self._trainable_variables, *self.variables]
        values = [*trainable_variables, *optimizer_variables]
        if len(values) != len(variables):
            raise ArgumentError(f"There are {len(values)} values for {len(variables)} variables.")
        before = [v.value for v in variables]
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.apply(grads, self._trainable_variables)
        after = [v.value for v in variables]
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        count = len(self._trainable_variables)
        return after[:count], after[count:]

    def _update(self, grads: list[Any], variables: list[Variable]) -> None:
        grads = self._clip_gradients(grads)
        rate = ops.as_tensor(self.learning_rate)
        # In float64 where a variable is: the rounding of 1 - beta ** t would show in its digits.
        rate = ops.astype(rate, functools.reduce(dtypes.promote, [v.dtype for v in variables], rate.dtype))
        size = self.step_size(rate)
        in_dtype: dict[Any, tuple[Any, Any]] = {}  # the scalars, cast once for each dtype of variables
        for gradient, variable in zip(grads, variables, strict=True):
            dtype = variable.dtype
            if dtype not in in_dtype:
                in_dtype[dtype] = ops.astype(rate, dtype), map_tree(lambda s, d=dtype: ops.astype(s, d), size)
            rate_here, size_here = in_dtype[dtype]
            decay = self._decay_of(variable)
            if decay is not None:
                variable.assign(variable.value - variable.value * decay * rate_here)
            self.update_step(gradient, variable, size_here)

    def _accumulate(self, grads: list[Any], variables: list[Variable], steps: int) -> None:
        """Add to the accumulators; at every ``steps``-th call update with their mean and clear them."""
        due = ops.equal(ops.remainder(self._iterations.value + 1, steps), 0)
        sums = [
            g + self._accumulated_gradients[self._get_variable_index(v)] for g, v in zip(grads, variables, strict=True)
        ]
        fixed = {id(v) for v in (*self._accumulated_gradients, self._iterations, self._learning_rate)}
        kept = [v for v in self._variables if id(v) not in fixed] + variables
        with only_if(due, kept):
            self._update([s / steps for s in sums], variables)
        for variable, total in zip(variables, sums, strict=True):
            self._accumulated_gradients[self._get_variable_index(variable)].assign(ops.where(due, 0.0, total))

    def _overwrite(self, pairs: list[tuple[Any, Variable]]) -> None:
        """The gradient, or the largest of those accumulated, becomes the value of variables that ask for it."""
        for gradient, variable in pairs:
            steps = self.gradient_accumulation_steps
            if not steps:
                variable.assign(gradient)
                continue
            due = ops.equal(ops.remainder(self._iterations.value + 1, steps), 0)
            slot = self._accumulated_gradients[self._get_variable_index(variable)]
            largest = ops.maximum(gradient, slot)
            variable.assign(ops.where(due, largest, variable))
            slot.assign(ops.where(due, 0.0, largest))

    def _follow_average(self) -> None:
        first = ops.equal(self.iterations, 0)
        for variable in self._trainable_variables:
            average = self._model_variables_moving_average[self._get_variable_index(variable)]
            momentum = ops.astype(ops.where(first, 0.0, self.ema_momentum), variable.dtype)
            average.assign(momentum * average + (1 - momentum) * variable)
            if self.ema_overwrite_frequency:
                due = ops.equal(ops.remainder(self.iterations + 1, self.ema_overwrite_frequency), 0)
                variable.assign(ops.where(due, average, variable))

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """Set the variables to their moving average (with ``use_ema``); called at the end of ``fit``."""
        if self.use_ema and self.built:
            for variable in var_list:
                variable.assign(self._model_variables_moving_average[self._get_variable_index(variable)])

    def _clip_gradients(self, grads: list[Any]) -> list[Any]:
        if self.clipnorm:
            return [g * _norm_factor(ops.sum(ops.square(g)), self.clipnorm) for g in grads]
        if self.global_clipnorm:
            total = sum((ops.sum(ops.square(g)) for g in grads[1:]), ops.sum(ops.square(grads[0])))
            factor = _norm_factor(total, self.global_clipnorm)
            return [g * factor for g in grads]
        if self.clipvalue:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in grads]
        return grads

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave variables out of the weight decay; call it before the first step.

        Args:
            var_list: variables to leave out.
            var_names: words; a variable with one of them in its path is left out: ``["bias"]``.

        Raises:
            ArgumentError: the optimizer is built already.
        """
        if self.built:
            raise ArgumentError("exclude_from_weight_decay() is called before the optimizer is built.")
        words = list(var_names or ())
        pattern = re.compile("|".join(re.escape(w) for w in words)) if words else None
        self._no_decay = ({id(v) for v in var_list or ()}, pattern)

    def _without_decay(self, variable: Variable) -> bool:
        excluded, pattern = self._no_decay
        return id(variable) in excluded or (pattern is not None and pattern.search(variable.path) is not None)

    def _decay_of(self, variable: Variable) -> float | None:
        return None if self._without_decay(variable) else self.weight_decay

    def scale_loss(self, loss: Any) -> Any:
        """The loss times ``loss_scale_factor``, if there is one."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    # --- configuration --------------------------------------------------------------------------------
    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        rate = self._learning_rate
        return {
            "name": self.name,
            "learning_rate": float(rate.numpy()) if isinstance(rate, Variable) else serialize(rate),
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """An optimizer from what ``get_config`` returned; its state starts anew."""
        rate = config.get("learning_rate")
        if is_serialized(rate):
            config = {**config, "learning_rate": deserialize(rate, custom_objects)}
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


@contextmanager
def only_if(condition: Any, variables: Iterable[Variable]) -> Iterator[None]:
    """Undo what is assigned to the variables inside the block where the condition does not hold.

    The work is done either way and chosen by ``where``, so that the step is one straight-line graph.
    """
    before = [(v, v.value) for v in variables]
    yield
    for variable, old in before:
        variable.assign(ops.where(condition, variable, old))


def _norm_factor(squares: Any, norm: float) -> Any:
    """What to multiply by so that a vector with this sum of squares has at most this norm."""
    return ops.divide(norm, ops.maximum(ops.sqrt(squares), norm))
