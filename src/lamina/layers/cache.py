"""``Cache``: what layers keep of the steps before, so that a sequence can be read piece by piece.

Attention keeps the keys and values of all steps, a recurrent layer its states, a layer of positions only the number
of steps read.  None of them gets another argument: while ``Cache.read`` calls a model, its layers find the cache
(``calls.cache``) and compute what they would compute for these steps inside the whole sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamina import ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.primitive import outside_capture
from lamina.core.trees import flatten, map_tree
from lamina.layers.calls import calls
from lamina.tensor import Tensor, Variable


class Cache:
    """What the layers of a model keep of the steps before, for a batch of sequences.

    All of it are Variables of fixed shape, and the place in the sequence is one of them, so that one compiled function
    serves every step.  The cache of a layer is made when it first meets this object.

    Args:
        batch_size: number of sequences.
        length: how many steps there can be.

    Attributes:
        position: an int32 Variable, the number of steps read so far.
        allowed: the most steps that the layers met so far can take; ``None`` if any number.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.LSTM(3, return_sequences=True)
        >>> x = lamina.random.normal((2, 5, 4), key=0)
        >>> cache = lamina.layers.Cache(batch_size=2, length=5)
        >>> pieces = [cache.read(layer, x[:, :2]), cache.read(layer, x[:, 2:])]
        >>> bool(lamina.allclose(lamina.concat(pieces, axis=1), layer(x), atol=1e-6))
        True
    """

    def __init__(self, batch_size: int, length: int) -> None:
        for name, value in (("batch_size", batch_size), ("length", length)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(f"Cache: {name} is a positive int; got {value!r}.")
        self.batch_size, self.length = batch_size, length
        self.allowed: int | None = None
        with outside_capture():
            self.position = Variable(0, dtype="int32", name="position", trainable=False)
        self._kept: dict[tuple[Any, int], CallCache] = {}
        self._met: dict[int, int] = {}

    @property
    def limit(self) -> int:
        """The most steps: ``length``, or fewer if a layer takes fewer."""
        return self.length if self.allowed is None else min(self.length, self.allowed)

    def reset(self) -> None:
        """Begin new sequences."""
        self.position.assign(ops.zeros((), dtype="int32"))

    def read(self, model: Callable[..., Any], steps: Any, **kwargs: Any) -> Any:
        """``model(steps)``, as if the steps read before stood before them; then they count as read.

        Args:
            model: a model, a layer, or a function that calls some.  What it does with the steps before has to be the
                work of layers that keep them: recurrent layers, attention with ``use_causal_mask``, causal
                convolutions and positions.
            steps: tensor of shape ``(batch, n, ...)``.
            kwargs: further arguments of the model.

        Returns:
            What the model returns.

        Raises:
            ShapeError: it is another batch, or too many steps.  (Compiled code, which cannot stop, writes what is too
                much over the last step.)
        """
        steps = ops.as_tensor(steps)
        if steps.ndim < 2 or steps.shape[0] != self.batch_size or steps.shape[1] > self.length:
            raise ShapeError(
                f"This cache reads ({self.batch_size}, n) with n up to {self.length}; got shape {steps.shape}."
            )
        if not self.position.value.is_symbolic and self.position.value.item() + steps.shape[1] > self.limit:
            raise ShapeError(
                f"The sequence gets longer than {self.limit} steps: {self.position.value.item()} are read and "
                f"{steps.shape[1]} come. Make the cache longer, or reset() it to begin a new sequence."
            )
        # What was compiled without a cache knows nothing of it: call the Python function behind it.
        model = getattr(model, "python_function", model)
        outer, calls.cache = calls.cache, self
        self._met = {}
        try:
            outputs = model(steps, **kwargs)
        finally:
            calls.cache = outer
        self.position.assign(ops.add(self.position.value, steps.shape[1]))
        return outputs

    def of(self, layer: Any) -> CallCache:
        """What ``layer`` keeps; a layer that a model calls several times has one for each call."""
        number = self._met.get(id(layer), 0)
        self._met[id(layer)] = number + 1
        found = self._kept.get((layer, number))
        if found is None:
            found = self._kept[layer, number] = CallCache(self)
        return found

    def take(self, rows: Any) -> None:
        """Put the sequences into another order, or some in the place of others.

        Args:
            rows: int tensor of shape ``(batch_size,)``: which sequence each row continues.
        """
        for kept in self._kept.values():
            for axis, variable in kept.variables:
                variable.assign(ops.take(variable.value, rows, axis=axis))


class CallCache:
    """What one call of a layer in a model keeps."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.variables: list[tuple[int, Variable]] = []  # with the axis of the batch
        self._histories: dict[str, Variable] = {}
        self._states: Any = None

    @property
    def position(self) -> Tensor:
        """The number of steps read before this call."""
        return self.cache.position.value

    def history(self, name: str, new: Any) -> Any:
        """All steps so far, with the new ones behind them: shape ``(batch, length, ...)``.

        What stands beyond is left from other sequences; ``visible`` says what counts.

        Args:
            name: which tensor of the layer this is.
            new: the new steps, shape ``(batch, n, ...)``.
        """
        # Steps come first in memory: so one is added without touching the others.
        variable = self._histories.get(name)
        if variable is None:
            shape = (self.cache.length, new.shape[0], *new.shape[2:])
            variable = self._histories[name] = self._variable(1, shape, new.dtype, name)
        places = ops.add(self.position, ops.arange(new.shape[1], dtype="int32"))
        steps = ops.permute_dims(new, (1, 0, *range(2, new.ndim)))
        variable.assign(ops.scatter_update(variable.value, places, steps))
        return ops.permute_dims(variable.value, (1, 0, *range(2, new.ndim)))

    def visible(self, steps: int, window: int | None = None, **masks: Any) -> Any:
        """Which of the history each new step may look at, for attention.

        Args:
            steps: number of new steps.
            window: how many steps back it may look, itself included; default all.
            masks: bools of shape ``(batch, steps)`` or ``None``, by name: which of the new steps can be looked at.

        Returns:
            Bools of shape ``(steps, length)``, with masks ``(batch, steps, length)``.
        """
        rows = ops.expand_dims(ops.add(self.position, ops.arange(steps, dtype="int32")), 1)
        columns = ops.arange(self.cache.length, dtype="int32")
        seen = ops.less_equal(columns, rows)
        if window is not None:
            seen = ops.logical_and(seen, ops.less(ops.subtract(rows, columns), window))
        for name, mask in masks.items():
            if mask is not None:
                seen = ops.logical_and(seen, ops.expand_dims(self.history(name, mask), 1))
        return seen

    def states(self, first: Any) -> Any:
        """The states after the steps before; at the beginning ``first``."""
        if self._states is None:
            self._states = map_tree(lambda x: self._variable(0, x.shape, x.dtype, "state"), first)
        begins = ops.equal(self.position, 0)
        return map_tree(lambda x, v: ops.where(begins, x, v.value), first, self._states)

    def keep(self, states: Any) -> None:
        """Keep the states for the steps that come."""
        variables = flatten(self._states)[0]
        for variable, x in zip(variables, flatten(states)[0], strict=True):
            variable.assign(ops.astype(x, variable.dtype))

    def allow(self, steps: int) -> None:
        """Say that the layer can read no more than so many steps."""
        self.cache.allowed = steps if self.cache.allowed is None else min(self.cache.allowed, steps)

    def _variable(self, batch_axis: int, shape: tuple[int, ...], dtype: Any, name: str) -> Variable:
        with outside_capture():
            variable = Variable(ops.zeros(shape, dtype=dtype), name=f"cache/{name}", trainable=False)
        self.variables.append((batch_axis, variable))
        return variable
