"""Integers as vectors: one-hot, multi-hot and counts; ``CategoryEncoding`` and ``Discretization``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina import config, ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError
from lamina.layers.base import Layer
from lamina.layers.symbolic import Shape, SymbolicTensor
from lamina.serialization import register_serializable
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")


def check_mode(layer: str, mode: str, allowed: Sequence[str]) -> str:
    """The output mode, if it is one of those allowed.

    Raises:
        ArgumentError: it is not.
    """
    if mode not in allowed:
        raise ArgumentError(
            f"Unknown arg for output_mode: {mode}. {layer} takes one of {', '.join(map(repr, allowed))}. "
            f"Received: output_mode={mode}"
        )
    return mode


def check_sparse(sparse: bool) -> None:
    """There are no sparse tensors.

    Raises:
        ArgumentError: one is asked for.
    """
    if sparse:
        raise ArgumentError("`sparse=True` cannot be used with backend lamina: there are no sparse tensors.")


def encode(indices: Any, mode: str, depth: int, dtype: Any, count_weights: Any = None) -> Any:
    """Integers as they are (``"int"``), or as vectors.

    Args:
        indices: integers; the second axis holds what belongs to one sample.
        mode: ``"int"``, ``"one_hot"`` (a vector for each), ``"multi_hot"`` or ``"count"`` (one for each sample).
        depth: length of the vectors.
        dtype: dtype of the result.
        count_weights: what each integer counts, for ``"count"``.
    """
    if mode == "int":
        return ops.astype(indices, dtype)
    if indices.ndim == 0:
        indices = ops.reshape(indices, (1,))
    if mode == "one_hot":
        if indices.ndim > 1 and indices.shape[-1] == 1:
            indices = ops.reshape(indices, indices.shape[:-1])
        return ops.one_hot(indices, depth, dtype=dtype)
    vectors = ops.one_hot(indices, depth, dtype=dtype)
    axis = 1 if indices.ndim > 1 else 0
    if mode == "multi_hot":
        return ops.minimum(ops.sum(vectors, axis=axis), 1)  # a maximum of nothing there is not
    if count_weights is not None:
        vectors = vectors * ops.expand_dims(ops.as_tensor(count_weights, dtype=dtype), axis=-1)
    return ops.sum(vectors, axis=axis)


def encoded_shape(shape: Shape, mode: str, depth: int | None) -> Shape:
    """The shape that ``encode`` gives for integers of this shape."""
    if mode == "int":
        return shape
    if mode == "one_hot":
        return (*shape[:-1], depth) if len(shape) > 1 and shape[-1] == 1 else (*shape, depth)
    return (shape[0], *shape[2:], depth) if len(shape) > 1 else (depth,)


def as_integers(x: Any) -> Any:
    """A Tensor of integers."""
    x = ops.as_tensor(x)
    return x if dtypes.is_integer(x.dtype) else ops.astype(x, "int32")


@_register
class CategoryEncoding(Layer):
    """Integers from 0 to ``num_tokens - 1`` as vectors.

    Args:
        num_tokens: length of the vectors.
        output_mode: ``"one_hot"`` (a vector for each integer), ``"multi_hot"`` (one for each sample, with ones
            where an integer occurs) or ``"count"`` (with the number of times).
        sparse: must be false.

    Raises:
        ArgumentError: an argument is none of these, or (eagerly) an integer is out of its range.

    Example:
        >>> import lamina
        >>> lamina.layers.CategoryEncoding(4, output_mode="count")([[0, 1], [2, 2]]).tolist()
        [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]
    """

    autocast = False

    def __init__(
        self, num_tokens: int | None = None, output_mode: str = "multi_hot", sparse: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        output_mode = "multi_hot" if output_mode == "binary" else output_mode
        if num_tokens is None:
            raise ArgumentError(
                "num_tokens must be set to use this layer. If the number of tokens is not known beforehand, use the "
                "IntegerLookup layer instead."
            )
        if num_tokens < 1:
            raise ArgumentError(f"`num_tokens` must be >= 1. Received: num_tokens={num_tokens}.")
        check_sparse(sparse)
        self.num_tokens, self.sparse = num_tokens, sparse
        self.output_mode = check_mode("CategoryEncoding", output_mode, ("count", "one_hot", "multi_hot"))
        self.built = True

    def call(self, inputs: Any, count_weights: Any = None) -> Tensor:
        indices = as_integers(inputs)
        if count_weights is not None and self.output_mode != "count":
            raise ArgumentError(
                "`count_weights` is not used when `output_mode` is not `'count'`. "
                f"Received `count_weights={count_weights}`."
            )
        if not indices.is_symbolic and indices.size:
            values = indices.__array__()
            if values.min() < 0 or values.max() >= self.num_tokens:
                raise ArgumentError(
                    f"Input values must be in the range 0 <= values < num_tokens with num_tokens={self.num_tokens}; "
                    f"got {values.min()} to {values.max()}."
                )
        return encode(indices, self.output_mode, self.num_tokens, self.compute_dtype, count_weights)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if not input_shape:
            return (self.num_tokens,)
        if self.output_mode == "one_hot":
            return encoded_shape(input_shape, "one_hot", self.num_tokens)
        return (*input_shape[:-1], self.num_tokens)

    def compute_output_spec(self, inputs: Any, count_weights: Any = None) -> Any:
        return SymbolicTensor(self.compute_output_shape(inputs.shape), self.compute_dtype, self.name)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_tokens": self.num_tokens, "output_mode": self.output_mode}


@_register
class Discretization(Layer):
    """The number of the interval that each value lies in.

    Args:
        bin_boundaries: increasing numbers; a value belongs to interval ``i`` if ``i`` of them are at most as large.
        num_bins: instead, find boundaries that make this many intervals equally full, by ``adapt``.
        epsilon: how exactly ``adapt`` finds them.
        output_mode: ``"int"``, ``"one_hot"``, ``"multi_hot"`` or ``"count"``.
        sparse: must be false.
        dtype: see ``Layer``.
        name: name of the layer.

    Example:
        >>> import lamina
        >>> lamina.layers.Discretization(bin_boundaries=[0.0, 1.0])([[-1.0, 0.5], [1.0, 9.0]]).tolist()
        [[0, 1], [2, 2]]
    """

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype=dtype, name=name, **kwargs)
        check_sparse(sparse)
        self.output_mode = check_mode("Discretization", output_mode, ("int", "one_hot", "multi_hot", "count"))
        if num_bins is not None and num_bins < 0:
            raise ArgumentError(f"`num_bins` must be greater than or equal to 0. Received: `num_bins={num_bins}`")
        if num_bins is not None and bin_boundaries is not None:
            raise ArgumentError(
                "Both `num_bins` and `bin_boundaries` should not be set. "
                f"Received: `num_bins={num_bins}` and `bin_boundaries={bin_boundaries}`"
            )
        if num_bins is None and bin_boundaries is None:
            raise ArgumentError("You need to set either `num_bins` or `bin_boundaries`.")
        self.bin_boundaries = None if bin_boundaries is None else [float(b) for b in bin_boundaries]
        self.num_bins, self.epsilon, self.sparse = num_bins, epsilon, sparse
        self.summary = np.zeros((2, 0), np.float32)  # values seen, and how many each stands for
        self.built = True

    # --- finding the boundaries ---------------------------------------------------------------------
    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find the boundaries from an array, or from an iterable of batches."""
        if self.num_bins is None:
            raise ArgumentError(
                "Cannot adapt a Discretization layer that has been initialized with `bin_boundaries`, "
                "use `num_bins` instead."
            )
        self.reset_state()
        for i, batch in enumerate(batches(data)):
            if steps is not None and i >= steps:
                break
            self.update_state(batch)
        self.finalize_state()

    def reset_state(self) -> None:
        """Forget what was seen."""
        self.summary = np.zeros((2, 0), np.float32)

    def update_state(self, data: Any) -> None:
        """Take a batch into account."""
        values = np.sort(np.asarray(data, np.float32).ravel())
        step = max(values.size * self.epsilon, 1)
        kept = values[int(step - 1) :: int(step)]
        merged = np.concatenate([self.summary, np.stack([kept, np.full_like(kept, step)])], axis=1)
        self.summary = _compressed(merged[:, np.argsort(merged[0])], self.epsilon)

    def finalize_state(self) -> None:
        """Set the boundaries from what was seen."""
        if self.num_bins is not None:
            self.bin_boundaries = _compressed(self.summary, 1.0 / self.num_bins)[0, :-1].tolist()

    # --- using them -----------------------------------------------------------------------------------
    def call(self, inputs: Any) -> Tensor:
        if self.bin_boundaries is None:
            raise ArgumentError(
                "You need to either pass the `bin_boundaries` argument at construction time or call `adapt(dataset)` "
                "before you can start using the `Discretization` layer."
            )
        x = ops.as_tensor(inputs)
        if not dtypes.is_float(x.dtype):
            x = ops.astype(x, config.floatx())
        boundaries = ops.as_tensor(self.bin_boundaries, dtype=x.dtype)
        reached = ops.greater_equal(ops.expand_dims(x, axis=-1), boundaries)
        indices = ops.sum(ops.astype(reached, "int32"), axis=-1)
        dtype = "int32" if self.output_mode == "int" else self.compute_dtype
        return encode(indices, self.output_mode, len(self.bin_boundaries) + 1, dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        depth = self.num_bins if self.bin_boundaries is None else len(self.bin_boundaries) + 1
        return encoded_shape(input_shape, self.output_mode, depth)

    def compute_output_spec(self, inputs: Any) -> Any:
        dtype = "int32" if self.output_mode == "int" else self.compute_dtype
        return SymbolicTensor(self.compute_output_shape(inputs.shape), dtype, self.name)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "bin_boundaries": self.bin_boundaries,
            "num_bins": self.num_bins,
            "epsilon": self.epsilon,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        if config.get("num_bins") is not None:  # boundaries that adapt found
            layer = cls(**{k: v for k, v in config.items() if k != "bin_boundaries"})
            layer.bin_boundaries = config.get("bin_boundaries")
            return layer
        return cls(**config)


def _compressed(summary: np.ndarray, epsilon: float) -> np.ndarray:
    """A summary of ``1 / epsilon`` values that stand for equally many, by interpolation."""
    if summary.shape[1] * epsilon < 1:
        return summary
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    sums = summary[1].cumsum()
    places = sums / sums[-1]
    values, upto = np.interp(shares, places, summary[0]), np.interp(shares, places, sums)
    return np.stack([values, np.diff(upto, prepend=0.0)]).astype(np.float32)


def batches(data: Any) -> Any:
    """An array as one batch; an iterable of batches as it is, of which a pair's first is taken."""
    if isinstance(data, np.ndarray | Tensor) or not hasattr(data, "__iter__") or isinstance(data, str):
        return [data]
    if isinstance(data, list | tuple) and not any(hasattr(x, "shape") for x in data):
        return [data]
    return (batch[0] if isinstance(batch, tuple) else batch for batch in data)
