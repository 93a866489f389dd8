"""Matrix products and what is written with them."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DTypeError, ShapeError
from lamina.core.lowering import Contraction
from lamina.core.primitive import Primitive, Spec, bind, ndarray
from lamina.ops.creation import as_tensor, operands
from lamina.ops.shape import normalize_axis, size_of


def _matmul_shape(x: Any, y: Any) -> Spec:
    if dtypes.is_bool(x.dtype):
        raise DTypeError("matmul takes numbers and got bools. Cast them first: x.astype('int64').")
    if x.shape[-1] != y.shape[-2]:
        raise ShapeError(
            f"matmul: shapes {tuple(x.shape)} and {tuple(y.shape)} do not fit: "
            f"the last size of the first ({x.shape[-1]}) must equal the last but one of the second ({y.shape[-2]})."
        )
    return Spec((*x.shape[:-1], y.shape[-1]), x.dtype)


def _matmul_numpy(x: ndarray, y: ndarray) -> ndarray:
    if x.dtype.itemsize == 2 and dtypes.is_float(x.dtype):  # half precision adds up in float32
        return np.matmul(x.astype(np.float32), y.astype(np.float32)).astype(x.dtype)
    if x.dtype.kind == "b":
        _matmul_shape(x, y)
    return np.matmul(x, y)


MATMUL = Primitive(
    "matmul",
    shape=_matmul_shape,
    numpy=_matmul_numpy,
    vjp=lambda ct, out, x, y: (
        lambda: matmul(ct, ops.matrix_transpose(y)),
        lambda: matmul(ops.matrix_transpose(x), ct),
    ),
    native=Contraction(),
)


def matmul(x: Any, y: Any) -> Any:
    """The matrix product: ``out[..., i, j]`` is the sum over ``k`` of ``x[..., i, k] * y[..., k, j]``.

    Args:
        x: shape (..., m, k) or (k,).
        y: shape (..., k, n) or (k,).  Leading dimensions broadcast.

    Returns:
        Shape (..., m, n), without the dimension that a vector does not have.

    Raises:
        ShapeError: the sizes ``k`` differ, or an argument is a scalar.

    Example:
        >>> import lamina
        >>> lamina.matmul([[1, 2], [3, 4]], [1, 1]).tolist()
        [3, 7]
    """
    x, y = operands(x, y)
    if len(x._data.shape) == 2 == len(y._data.shape):
        return bind(MATMUL, x, y)
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError(f"matmul takes no scalars; got shapes {x.shape} and {y.shape}. Use * for scaling.")
    if x.shape[-1] != y.shape[max(y.ndim - 2, 0)]:
        raise ShapeError(
            f"matmul: shapes {x.shape} and {y.shape} do not fit: the last size of the first ({x.shape[-1]}) "
            f"must equal the {'last but one' if y.ndim > 1 else 'size'} of the second ({y.shape[max(y.ndim - 2, 0)]})."
        )
    if x.ndim == 1 and y.ndim == 1:
        return ops.reshape(bind(MATMUL, ops.reshape(x, (1, -1)), ops.reshape(y, (-1, 1))), ())
    if x.ndim == 1:
        return ops.squeeze(matmul(ops.expand_dims(x, 0), y), -2)
    if y.ndim == 1:
        return ops.squeeze(matmul(x, ops.expand_dims(y, -1)), -1)
    if y.ndim == 2:  # one product of two matrices, not many
        flat = bind(MATMUL, ops.reshape(x, (size_of(x.shape[:-1]), x.shape[-1])), y)
        return ops.reshape(flat, (*x.shape[:-1], y.shape[-1]))
    batch = ops.elementwise.broadcast_shapes("matmul", x.shape[:-2], y.shape[:-2])
    x = ops.broadcast_to(x, batch + x.shape[-2:])
    y = ops.broadcast_to(y, batch + y.shape[-2:])
    return bind(MATMUL, x, y)


def tensordot(x: Any, y: Any, axes: int | Sequence[Any] = 2) -> Any:
    """Sum of products over pairs of axes; the result has the axes of ``x`` that are left, then those of ``y``.

    Args:
        x, y: tensors of any shape.
        axes: a number ``n`` (the last ``n`` of ``x`` with the first ``n`` of ``y``), or a pair of axes
            or of lists of axes.

    Raises:
        ShapeError: paired axes differ in size.

    Example:
        >>> import lamina
        >>> lamina.tensordot(lamina.ones((2, 3, 4)), lamina.ones((4, 3)), axes=([1, 2], [1, 0])).tolist()
        [12.0, 12.0]
    """
    x, y = operands(x, y)
    if isinstance(axes, int | np.integer):
        if not 0 <= axes <= min(x.ndim, y.ndim):
            raise ArgumentError(f"tensordot: axes={axes} does not fit shapes {x.shape} and {y.shape}.")
        left, right = list(range(x.ndim - int(axes), x.ndim)), list(range(int(axes)))
    else:
        if len(axes) != 2:
            raise ArgumentError(f"tensordot: axes is a number or a pair; got {axes!r}.")
        pair: list[list[Any]] = [[a] if isinstance(a, int | np.integer) else list(a) for a in axes]
        left = [normalize_axis("tensordot", a, x.ndim) for a in pair[0]]
        right = [normalize_axis("tensordot", a, y.ndim) for a in pair[1]]
    if len(left) != len(right) or any(x.shape[a] != y.shape[b] for a, b in zip(left, right, strict=False)):
        raise ShapeError(f"tensordot: axes {left} of shape {x.shape} and {right} of shape {y.shape} do not pair.")
    x_free = [d for d in range(x.ndim) if d not in left]
    y_free = [d for d in range(y.ndim) if d not in right]
    k = size_of([x.shape[a] for a in left])
    m, n = size_of([x.shape[a] for a in x_free]), size_of([y.shape[a] for a in y_free])
    a = ops.reshape(ops.permute_dims(x, x_free + left), (m, k))
    b = ops.reshape(ops.permute_dims(y, right + y_free), (k, n))
    shape = [x.shape[d] for d in x_free] + [y.shape[d] for d in y_free]
    return ops.reshape(bind(MATMUL, a, b), shape)


def outer(x: Any, y: Any) -> Any:
    """``out[i, j] = x[i] * y[j]`` for two vectors.

    Example:
        >>> import lamina
        >>> lamina.outer([1, 2], [3, 4]).tolist()
        [[3, 4], [6, 8]]
    """
    x, y = operands(x, y)
    if x.ndim != 1 or y.ndim != 1:
        raise ShapeError(f"outer takes two vectors; got shapes {x.shape} and {y.shape}.")
    return ops.multiply(ops.expand_dims(x, 1), y)


def vecdot(x: Any, y: Any, axis: int = -1) -> Any:
    """The sum of ``x * y`` along one axis; the other dimensions broadcast.

    Example:
        >>> import lamina
        >>> lamina.vecdot([[1, 2], [3, 4]], [1, 1]).tolist()
        [3, 7]
    """
    x, y = operands(x, y)
    if not -min(x.ndim, y.ndim) <= axis < max(x.ndim, y.ndim):
        raise ShapeError(f"vecdot: axis {axis} does not exist in shapes {x.shape} and {y.shape}.")
    shape = ops.elementwise.broadcast_shapes("vecdot", x.shape, y.shape)
    axis = normalize_axis("vecdot", axis, len(shape))
    sizes = [t.shape[axis - len(shape)] if axis - len(shape) >= -t.ndim else 0 for t in (x, y)]
    if sizes[0] != sizes[1]:
        raise ShapeError(f"vecdot: shapes {x.shape} and {y.shape} differ along axis {axis}.")
    return ops.sum(ops.multiply(x, y), axis=axis, dtype=x.dtype)


def dot(x: Any, y: Any) -> Any:
    """NumPy's ``dot``: the last axis of ``x`` with the last but one (or only) axis of ``y``; scalars multiply.

    Example:
        >>> import lamina
        >>> lamina.dot([[1, 2], [3, 4]], [1, 1]).tolist()
        [3, 7]
    """
    x, y = operands(x, y)
    if x.ndim == 0 or y.ndim == 0:
        return ops.multiply(x, y)
    return tensordot(x, y, axes=(-1, max(y.ndim - 2, 0)))


# --- einsum ---------------------------------------------------------------------------------------
def einsum(equation: str, *tensors: Any) -> Any:
    """Einstein's summation: products of tensors, summed over every letter that the output lacks.

    Args:
        equation: one letter for each dimension, commas between the tensors, and ``->`` before the
            letters of the result.  ``...`` stands for the dimensions that have no letter; these
            broadcast, and are summed over too where the result leaves them out.  Without ``->`` the
            result has the letters that occur once, in alphabetical order.  A letter that comes twice
            in one tensor takes its diagonal.
        tensors: as many as the equation names.

    Raises:
        ArgumentError: the equation cannot be read.
        ShapeError: it does not fit the shapes.

    Example:
        >>> import lamina
        >>> lamina.einsum("ij,jk->ik", [[1, 2], [3, 4]], [[1, 0], [0, 1]]).tolist()
        [[1, 2], [3, 4]]
        >>> lamina.einsum("ii", [[1, 2], [3, 4]]).item()
        5
    """
    found = [as_tensor(t) for t in tensors]
    terms, output = _parse_equation(equation, [t.ndim for t in found])
    common = found[0].dtype
    for t in found[1:]:
        common = dtypes.promote(common, t.dtype)
    sizes: dict[str, int] = {}
    for term, t in zip(terms, found, strict=True):
        for letter, n in zip(term, t.shape, strict=True):
            if sizes.setdefault(letter, n) not in (1, n) and n != 1:
                raise ShapeError(
                    f"einsum: {letter!r} has size {sizes[letter]} and {n} in {equation!r} "
                    f"(shapes {', '.join(str(x.shape) for x in found)})."
                )
            sizes[letter] = max(sizes[letter], n) if 0 not in (sizes[letter], n) else 0
    work = [_single(ops.astype(t, common), term, sizes) for term, t in zip(terms, found, strict=True)]
    while len(work) > 1:
        i, j = _cheapest_pair(work, output, sizes)
        (y, y_letters), (x, x_letters) = work.pop(j), work.pop(i)
        needed = set(output).union(*(letters for _, letters in work))
        work.append(_contract(x, x_letters, y, y_letters, needed))
    x, letters = work[0]
    x, letters = _sum_out(x, letters, set(output))
    present = [c for c in output if c in letters]
    x = ops.permute_dims(x, [letters.index(c) for c in present])
    x = ops.reshape(x, [sizes[c] if c in letters else 1 for c in output])
    return ops.broadcast_to(x, [sizes[c] for c in output])


def _parse_equation(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """The letters of each tensor and of the result, with ``...`` written out in unused letters."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks) or not ranks:
        raise ArgumentError(f"einsum: {equation!r} names {len(terms)} tensors and {len(ranks)} are given.")
    for term in [*terms, right]:
        rest = term.replace("...", "", 1)
        if not all(c in string.ascii_letters for c in rest):
            raise ArgumentError(f"einsum: {equation!r} holds something that is not a letter, a comma, '...' or '->'.")
    spare = [c for c in string.ascii_letters if c not in text]
    widest, dotted = 0, [False] * len(terms)
    for i, (term, rank) in enumerate(zip(terms, ranks, strict=True)):
        dotted[i] = "..." in term
        named = len(term.replace("...", ""))
        if rank < named or (rank > named and not dotted[i]):
            raise ShapeError(f"einsum: {term!r} in {equation!r} does not fit a tensor of {rank} dimensions.")
        widest = max(widest, rank - named)
    if widest > len(spare):
        raise ArgumentError(f"einsum: {equation!r} has more dimensions than there are letters.")
    dots = "".join(spare[:widest])
    full = []
    for term, rank in zip(terms, ranks, strict=True):
        n = rank - len(term.replace("...", ""))
        full.append(term.replace("...", dots[widest - n :]))
    if arrow:
        output = right.replace("...", dots)
        if len(set(output)) != len(output):
            raise ArgumentError(f"einsum: a letter comes twice in the result of {equation!r}.")
        unknown = [c for c in output if not any(c in t for t in full)]
        if unknown:
            raise ArgumentError(f"einsum: {unknown[0]!r} in the result of {equation!r} is in no tensor.")
    else:
        once = sorted(c for c in set(left) if c in string.ascii_letters and left.count(c) == 1)
        output = dots + "".join(once)
    return full, output


def _single(x: Any, term: str, sizes: dict[str, int]) -> tuple[Any, str]:
    """Diagonals of repeated letters taken, and dimensions that only broadcast dropped."""
    while len(set(term)) < len(term):
        letter = next(c for c in term if term.count(c) > 1)
        a = term.index(letter)
        b = term.index(letter, a + 1)
        if x.shape[a] != x.shape[b]:
            raise ShapeError(f"einsum: {letter!r} comes twice in one tensor, with sizes {x.shape[a]} and {x.shape[b]}.")
        x = ops.diagonal(x, 0, a, b)
        term = term[:a] + term[a + 1 : b] + term[b + 1 :] + letter
    spread = [d for d, (c, n) in enumerate(zip(term, x.shape, strict=True)) if n == 1 and sizes[c] != 1]
    return ops.squeeze(x, spread) if spread else x, "".join(c for d, c in enumerate(term) if d not in spread)


def _sum_out(x: Any, letters: str, needed: set[str]) -> tuple[Any, str]:
    """Summed over the letters that nobody needs any more."""
    axes = tuple(d for d, c in enumerate(letters) if c not in needed)
    return (ops.sum(x, axis=axes) if axes else x), "".join(c for c in letters if c in needed)


def _cheapest_pair(work: list[tuple[Any, str]], output: str, sizes: dict[str, int]) -> tuple[int, int]:
    """The two tensors whose product has the fewest elements (the earliest such pair)."""
    best: tuple[int, int, int] | None = None
    for i in range(len(work)):
        for j in range(i + 1, len(work)):
            others = set(output).union(*(w[1] for k, w in enumerate(work) if k not in (i, j)))
            both = set(work[i][1]) | set(work[j][1])
            cost = (size_of([sizes[c] for c in both & others]), i, j)
            best = cost if best is None or cost < best else best
    assert best is not None
    return best[1], best[2]


def _contract(x: Any, x_letters: str, y: Any, y_letters: str, needed: set[str]) -> tuple[Any, str]:
    """The product of two tensors, summed over the letters that nobody else needs."""
    x, x_letters = _sum_out(x, x_letters, needed | set(y_letters))
    y, y_letters = _sum_out(y, y_letters, needed | set(x_letters))
    shared = [c for c in x_letters if c in y_letters]
    batch, inner = [c for c in shared if c in needed], [c for c in shared if c not in needed]
    rows, columns = [c for c in x_letters if c not in shared], [c for c in y_letters if c not in shared]
    size = dict(zip(x_letters, x.shape, strict=True)) | dict(zip(y_letters, y.shape, strict=True))

    def arranged(t: Any, letters: str, groups: Sequence[Sequence[str]]) -> Any:
        t = ops.permute_dims(t, [letters.index(c) for group in groups for c in group])
        return ops.reshape(t, [size[c] for c in batch] + [size_of([size[c] for c in g]) for g in groups[1:]])

    if inner:
        a, b = arranged(x, x_letters, (batch, rows, inner)), arranged(y, y_letters, (batch, inner, columns))
        product = matmul(a, b)
    else:
        a, b = arranged(x, x_letters, (batch, rows)), arranged(y, y_letters, (batch, columns))
        product = ops.multiply(ops.expand_dims(a, -1), ops.expand_dims(b, -2))
    letters = "".join(batch + rows + columns)
    return ops.reshape(product, [size[c] for c in letters]), letters
