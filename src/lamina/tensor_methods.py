"""The methods of ``Tensor`` that are functions of ``lamina`` too: those of NumPy's ``ndarray``.

``x.name(...)`` is ``lamina.name(x, ...)``, with NumPy's names of the arguments where they differ, because functions of
NumPy, such as ``np.std(x)``, call the methods.  What ``ndarray`` does in place, or with its bytes, a Tensor does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamina import ops
from lamina.core.errors import ArgumentError

if TYPE_CHECKING:
    from lamina.tensor import Tensor


def _no_out(out: Any) -> None:
    if out is not None:  # NumPy's functions, such as np.mean(x), call the methods with out=None
        raise ArgumentError("A Tensor is immutable: there is no out=. Use the result.")


class TensorMethods:
    """What ``Tensor`` inherits its methods from; a ``Variable`` forwards them to its value.

    It has no other subclass: what is ignored below is what the type checker cannot know of that.
    """

    __slots__ = ()

    # --- dtype and bytes ----------------------------------------------------------------------
    def astype(self, dtype: Any) -> Tensor:
        """The values in another dtype."""
        return ops.astype(self, dtype)

    def copy(self) -> Tensor:
        """The same tensor: nobody can change it, so that it needs no copy.  For an array to write to: ``numpy()``."""
        return self  # type: ignore[return-value]

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return int(self.dtype.itemsize)  # type: ignore[attr-defined]

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return int(self.size) * self.itemsize  # type: ignore[attr-defined]

    @property
    def real(self) -> Tensor:
        """The real part."""
        return ops.numeric.real(self)

    @property
    def imag(self) -> Tensor:
        """The imaginary part: zeros."""
        return ops.numeric.imag(self)

    def conj(self) -> Tensor:
        """The complex conjugate: the tensor itself."""
        return ops.numeric.conj(self)

    conjugate = conj

    # --- shape ----------------------------------------------------------------------------------
    def reshape(self, *shape: Any) -> Tensor:
        """The elements in another shape: ``x.reshape(2, -1)`` or ``x.reshape((2, -1))``."""
        return ops.reshape(self, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)

    def flatten(self, start_axis: int = 0) -> Tensor:
        """All dimensions from ``start_axis`` on joined into one."""
        return ops.flatten(self, start_axis)

    def ravel(self) -> Tensor:
        """All elements in one dimension."""
        return ops.ravel(self)

    def squeeze(self, axis: Any = None) -> Tensor:
        """Without dimensions of size 1: all of them, or those of ``axis``."""
        return ops.squeeze(self, axis)

    def transpose(self, *axes: Any) -> Tensor:
        """The dimensions in another order, ``x.transpose(0, 2, 1)`` or ``x.transpose((0, 2, 1))``; default reversed."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        return ops.permute_dims(self, order or None)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """Two axes exchanged."""
        return ops.swapaxes(self, axis1, axis2)

    def repeat(self, repeats: Any, axis: int | None = None) -> Tensor:
        """Each element repeated, along an axis or (``None``) of the flattened tensor."""
        return ops.repeat(self, repeats, axis)

    # --- selection and order ------------------------------------------------------------------
    def take(self, indices: Any, axis: int | None = None, out: None = None) -> Tensor:
        """The slices at integer positions along an axis, which may be left out for 1-D tensors only."""
        _no_out(out)
        return ops.take(self, indices, axis)

    def diagonal(self, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
        """The diagonals of the matrices in two axes."""
        return ops.diagonal(self, offset, axis1, axis2)

    def nonzero(self) -> tuple[Tensor, ...]:
        """The positions of elements that are not zero: one index tensor for each dimension."""
        return ops.nonzero(self)

    def sort(self, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
        """The sorted elements, as a new tensor."""
        return ops.sort(self, axis, descending, stable)

    def argsort(self, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
        """The indices that sort."""
        return ops.argsort(self, axis, descending, stable)

    def argpartition(self, kth: int, axis: int = -1) -> Tensor:
        """Indices that put the ``kth`` smallest element in its place."""
        return ops.argpartition(self, kth, axis)

    def searchsorted(self, v: Any, side: str = "left", sorter: Any = None) -> Tensor:
        """Where the elements of ``v`` would go in this sorted vector."""
        return ops.searchsorted(self, v, side, sorter)

    # --- arithmetic -------------------------------------------------------------------------------
    def clip(self, min: Any = None, max: Any = None, out: None = None) -> Tensor:
        """The values limited to ``[min, max]``."""
        _no_out(out)
        return ops.clip(self, min, max)

    def round(self, decimals: int = 0, out: None = None) -> Tensor:
        """Rounded to so many decimals; halves go to the even neighbour."""
        _no_out(out)
        return ops.round(self, decimals)

    def dot(self, other: Any) -> Tensor:
        """NumPy's ``dot``: over the last axis of this and the last but one of ``other``."""
        return ops.dot(self, other)

    def trace(self, offset: int = 0, axis1: int = -2, axis2: int = -1, dtype: Any = None, out: None = None) -> Tensor:
        """The sums of the diagonals of the matrices in two axes."""
        _no_out(out)
        return ops.sum(ops.diagonal(self, offset, axis1, axis2), axis=-1, dtype=dtype)

    # --- reductions -------------------------------------------------------------------------------
    def sum(self, axis: Any = None, keepdims: bool = False, dtype: Any = None, out: None = None) -> Tensor:
        """The sum over axes."""
        _no_out(out)
        return ops.sum(self, axis=axis, keepdims=keepdims, dtype=dtype)

    def prod(self, axis: Any = None, keepdims: bool = False, dtype: Any = None, out: None = None) -> Tensor:
        """The product over axes."""
        _no_out(out)
        return ops.prod(self, axis=axis, keepdims=keepdims, dtype=dtype)

    def mean(self, axis: Any = None, keepdims: bool = False, dtype: Any = None, out: None = None) -> Tensor:
        """The mean over axes."""
        _no_out(out)
        return ops.mean(_in(self, dtype), axis=axis, keepdims=keepdims)

    def var(
        self,
        axis: Any = None,
        correction: float = 0,
        keepdims: bool = False,
        dtype: Any = None,
        out: None = None,
        ddof: float = 0,
    ) -> Tensor:
        """The variance over axes: squared distances from the mean divided by ``n - correction`` (NumPy: ``ddof``)."""
        _no_out(out)
        return ops.var(_in(self, dtype), axis=axis, correction=correction or ddof, keepdims=keepdims)

    def std(
        self,
        axis: Any = None,
        correction: float = 0,
        keepdims: bool = False,
        dtype: Any = None,
        out: None = None,
        ddof: float = 0,
    ) -> Tensor:
        """The standard deviation over axes: the root of ``var``."""
        _no_out(out)
        return ops.std(_in(self, dtype), axis=axis, correction=correction or ddof, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False, out: None = None) -> Tensor:
        """The largest element over axes."""
        _no_out(out)
        return ops.max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False, out: None = None) -> Tensor:
        """The smallest element over axes."""
        _no_out(out)
        return ops.min(self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False, out: None = None) -> Tensor:
        """The position of the largest element along an axis, or (``None``) in the flattened tensor."""
        _no_out(out)
        return ops.argmax(self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, keepdims: bool = False, out: None = None) -> Tensor:
        """The position of the smallest element along an axis, or (``None``) in the flattened tensor."""
        _no_out(out)
        return ops.argmin(self, axis=axis, keepdims=keepdims)

    def all(self, axis: Any = None, keepdims: bool = False, out: None = None) -> Tensor:
        """Whether all elements over axes are true (not zero)."""
        _no_out(out)
        return ops.all(self, axis=axis, keepdims=keepdims)

    def any(self, axis: Any = None, keepdims: bool = False, out: None = None) -> Tensor:
        """Whether any element over axes is true (not zero)."""
        _no_out(out)
        return ops.any(self, axis=axis, keepdims=keepdims)

    def cumsum(self, axis: int | None = None, dtype: Any = None, out: None = None) -> Tensor:
        """The running sum along an axis; ``None``: of the flattened tensor."""
        _no_out(out)
        return ops.cumulative_sum(*_line(self, axis), dtype=dtype)

    def cumprod(self, axis: int | None = None, dtype: Any = None, out: None = None) -> Tensor:
        """The running product along an axis; ``None``: of the flattened tensor."""
        _no_out(out)
        return ops.cumulative_prod(*_line(self, axis), dtype=dtype)


def _in(x: Any, dtype: Any) -> Any:
    return x if dtype is None else ops.astype(x, dtype)


def _line(x: Any, axis: int | None) -> tuple[Any, int]:
    """What to accumulate, and along which axis: as in NumPy the flattened tensor where none is given."""
    return (ops.ravel(x), 0) if axis is None else (x, axis)
