"""Making tensors: ``torch.tensor``, ``zeros``, ``arange``, ``randn`` and their like."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from lamina import ops, random
from lamina.compat.torch.tensor import Size, Tensor, adopt, as_torch
from lamina.core import dtypes
from lamina.core.errors import ArgumentError
from lamina.core.primitive import ndarray
from lamina.tensor import Tensor as _Tensor
from lamina.tensor import Variable

_default_dtype = [dtypes.float32]


def set_default_dtype(d: Any) -> None:
    """Let new floating-point tensors have this dtype."""
    _default_dtype[0] = dtypes.as_dtype(d)


def get_default_dtype() -> Any:
    """The dtype of new floating-point tensors."""
    return _default_dtype[0]


def _made(data: Any, requires_grad: bool = False) -> Tensor:
    made = adopt(data._data if isinstance(data, _Tensor) else data)
    return made.requires_grad_(True) if requires_grad else made


def _own(data: Any) -> Any:
    """An array that nobody else holds."""
    return np.array(data) if type(data) is ndarray else data


def _shape(size: tuple[Any, ...], named: Any = None) -> tuple[int, ...]:
    """Sizes given one by one, as one tuple, or as ``size=``."""
    size = size if named is None else (named,)
    sizes = size[0] if len(size) == 1 and not isinstance(size[0], int | np.integer | _Tensor) else size
    return tuple(int(n) for n in sizes)


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of the data.

    Args:
        data: a number, a nested list, an array or a tensor.
        dtype: default that of the data; Python's floats give the default dtype.
        device: ``"cpu"``.
        requires_grad: whether gradients are to be found for it.

    Example:
        >>> from lamina.compat import torch
        >>> torch.tensor([[1, 2], [3, 4]]).shape
        torch.Size([2, 2])
    """
    _check(device)
    if isinstance(data, list | tuple) and any(isinstance(v, _Tensor | Variable) for v in data):
        data = ops.stack([ops.as_tensor(v) for v in data])
    value = ops.tensor(data, dtype)
    if dtype is None and value.dtype == np.float32 and _default_dtype[0] != np.float32 and _is_python(data):
        value = ops.tensor(data, _default_dtype[0])
    return _made(_own(value._data), requires_grad)


def _is_python(data: Any) -> bool:
    return not hasattr(data, "dtype")


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor that shares the memory of an array if it can."""
    _check(device)
    if isinstance(data, ndarray) and data.dtype.isnative:
        found = from_numpy(data)
    else:
        found = as_torch(data)
    return found if dtype is None or found.dtype == dtypes.as_dtype(dtype) else as_torch(ops.astype(found, dtype))


def from_numpy(array: ndarray) -> Tensor:
    """A tensor that shares the memory of a NumPy array."""
    if not isinstance(array, ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    dtypes.as_dtype(array.dtype)
    return adopt(array)


asarray = as_tensor


def _check(device: Any) -> None:
    from lamina.compat.torch.tensor import device as known

    if device is not None:
        known(device)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor filled with one number."""
    _check(device)
    if dtype is None:
        kind = type(fill_value)
        dtype = np.bool_ if kind is builtins.bool else np.int64 if kind is int else _default_dtype[0]
    return _made(np.full(_shape((size,)), fill_value, dtypes.as_dtype(dtype)), requires_grad)


def zeros(*sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros: ``zeros(2, 3)`` or ``zeros((2, 3))``."""
    return full(_shape(sizes, size), 0.0, dtype=dtype or _default_dtype[0], device=device, requires_grad=requires_grad)


def ones(*sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return full(_shape(sizes, size), 1.0, dtype=dtype or _default_dtype[0], device=device, requires_grad=requires_grad)


def empty(*sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with numbers of no meaning: here zeros."""
    return zeros(_shape(sizes, size), dtype=dtype, device=device, requires_grad=requires_grad)


def _like(input: Any, dtype: Any) -> tuple[tuple[int, ...], Any]:
    return tuple(input.shape), dtype or input.dtype


def zeros_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape and dtype of another tensor."""
    shape, dtype = _like(input, dtype)
    return zeros(shape, dtype=dtype, device=device, requires_grad=requires_grad)


def ones_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape and dtype of another tensor."""
    shape, dtype = _like(input, dtype)
    return ones(shape, dtype=dtype, device=device, requires_grad=requires_grad)


empty_like = zeros_like


def full_like(
    input: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of the shape and dtype of another, filled with one number."""
    shape, dtype = _like(input, dtype)
    return full(shape, fill_value, dtype=dtype, device=device, requires_grad=requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """``start, start + step, ...`` up to, without, ``end``."""
    _check(device)
    start, end = (0, start) if end is None else (start, end)
    whole = all(isinstance(v, int | np.integer) for v in (start, end, step))
    found = dtypes.as_dtype(dtype) if dtype is not None else np.dtype(np.int64) if whole else _default_dtype[0]
    count = max(0, int(np.ceil((end - start) / step)))
    return _made((start + np.arange(count) * step).astype(found), requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """``steps`` numbers from ``start`` to ``end``, both included, at equal distances."""
    _check(device)
    return _made(np.linspace(start, end, steps).astype(dtype or _default_dtype[0]), requires_grad)


def logspace(
    start: float, end: float, steps: int, base: float = 10.0, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """``base ** linspace(start, end, steps)``."""
    return _made(np.logspace(start, end, steps, base=base).astype(dtype or _default_dtype[0]), requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal of a matrix of zeros."""
    _check(device)
    return _made(np.eye(n, m, dtype=dtypes.as_dtype(dtype or _default_dtype[0])), requires_grad)


# --- random ---------------------------------------------------------------------------------------
class Generator(random.Generator):
    """Random state of its own.

    Args:
        device: ``"cpu"``.
    """

    def __init__(self, device: Any = None) -> None:
        _check(device)
        super().__init__()

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed; returns the generator."""
        self.reset(seed)
        return self

    def seed(self) -> int:
        """Start again from a new seed, which is returned."""
        self.reset(random.make_seed())
        return self.initial_seed


def manual_seed(seed: int) -> random.Generator:
    """Seed the default generator.  The numbers are Lamina's, not PyTorch's."""
    random.seed(int(seed))
    return random.default_generator()


def initial_seed() -> int:
    """The seed of the default generator."""
    return random.default_generator().initial_seed


def _floats(draw: Any, size: Any, dtype: Any, device: Any, requires_grad: bool, generator: Any) -> Tensor:
    _check(device)
    return _made(draw(size, dtype=dtype or _default_dtype[0], key=generator), requires_grad)


def rand(
    *sizes: Any,
    size: Any = None,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform random numbers from 0 to 1."""
    return _floats(random.uniform, _shape(sizes, size), dtype, device, requires_grad, generator)


def randn(
    *sizes: Any,
    size: Any = None,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal random numbers."""
    return _floats(random.normal, _shape(sizes, size), dtype, device, requires_grad, generator)


def rand_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform random numbers in the shape and dtype of another tensor."""
    shape, dtype = _like(input, dtype)
    return rand(shape, dtype=dtype, device=device, requires_grad=requires_grad)


def randn_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Standard normal random numbers in the shape and dtype of another tensor."""
    shape, dtype = _like(input, dtype)
    return randn(shape, dtype=dtype, device=device, requires_grad=requires_grad)


def randint(
    low: Any, high: Any = None, size: Any = None, *, generator: Any = None, dtype: Any = None, device: Any = None
) -> Tensor:
    """Random integers from ``low`` to ``high - 1``: ``randint(high, size)`` or ``randint(low, high, size)``."""
    _check(device)
    if size is None:
        if not isinstance(high, tuple | list):
            raise ArgumentError("randint takes (high, size) or (low, high, size), where size is a tuple.")
        low, high, size = 0, low, high
    drawn = random.randint(_shape((size,)), int(low), int(high), key=generator)
    return _made(drawn if dtype is None else ops.astype(drawn, dtype))


def randperm(n: int, *, generator: Any = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The integers from 0 to ``n - 1`` in a random order."""
    _check(device)
    return _made(ops.astype(random.permutation(n, key=generator), dtype or np.int64))


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None, requires_grad: bool = False
) -> Tensor:
    """Normal random numbers; ``mean`` and ``std`` are numbers (with ``size``) or tensors."""
    if size is None:
        size = np.broadcast_shapes(np.shape(mean), np.shape(std))
    return _made(random.normal(_shape((size,)), mean, std, key=generator), requires_grad)


def bernoulli(input: Any, p: float | None = None, *, generator: Any = None) -> Any:
    """1 with the probability that ``input`` says (or ``p``), else 0."""
    drawn = random.bernoulli(tuple(input.shape), ops.as_tensor(input) if p is None else p, generator)
    return as_torch(ops.astype(drawn, input.dtype))


def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Any:
    """Indices drawn with probabilities in the proportions of each row of ``input``."""
    weights = np.asarray(input, np.float64)
    rows = np.atleast_2d(weights)
    if not replacement and ((rows > 0).sum(-1) < num_samples).any():
        raise ArgumentError(f"multinomial cannot draw {num_samples} different indices from fewer nonzero weights.")
    if replacement:
        below = np.cumsum(rows / rows.sum(-1, keepdims=True), -1)
        draws = np.asarray(random.uniform((len(rows), num_samples), dtype="float64", key=generator))
        found = np.stack([np.minimum(np.searchsorted(b, d, "right"), len(b) - 1) for b, d in zip(below, draws)])
    else:  # the largest of log-weights with Gumbel noise
        with np.errstate(divide="ignore"):
            keys = np.log(rows) + np.asarray(random.gumbel(rows.shape, "float64", generator))
        found = np.argsort(-keys, -1)[:, :num_samples]
    return _made((found if weights.ndim == 2 else found[0]).astype(np.int64))


__all__ = [
    "Generator",
    "Size",
    "arange",
    "as_tensor",
    "asarray",
    "bernoulli",
    "empty",
    "empty_like",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "get_default_dtype",
    "initial_seed",
    "linspace",
    "logspace",
    "manual_seed",
    "multinomial",
    "normal",
    "ones",
    "ones_like",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "set_default_dtype",
    "tensor",
    "zeros",
    "zeros_like",
]
