"""Rows of pooling and resizing."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import nn
from op_table.case import Arguments, away, normal, row, whole


def windows(x: np.ndarray, sizes: Any, strides: Any, padding: str, first: bool, reduce: Any) -> np.ndarray:
    """Pooling by loops: ``reduce`` gets the real elements of a window, of shape ``(batch, *window, channels)``."""
    x = np.moveaxis(x, 1, -1) if first else x
    shape = x.shape[1:-1]
    if padding == "same":
        counts = [-(-n // s) for n, s in zip(shape, strides, strict=True)]
        pads = [max((c - 1) * s + k - n, 0) // 2 for n, k, s, c in zip(shape, sizes, strides, counts, strict=True)]
    else:
        counts = [(n - k) // s + 1 for n, k, s in zip(shape, sizes, strides, strict=True)]
        pads = [0] * len(shape)
    out = np.zeros((x.shape[0], *counts, x.shape[-1]), x.dtype)
    for place in np.ndindex(*counts):
        starts = [i * s - p for i, s, p in zip(place, strides, pads, strict=True)]
        window = tuple(slice(max(a, 0), a + k) for a, k in zip(starts, sizes, strict=True))
        part = x[(slice(None), *window)]
        out[(slice(None), *place)] = reduce(part, tuple(range(1, part.ndim - 1)))
    return np.moveaxis(out, -1, 1) if first else out


def pool_row(label: str, shape: tuple[int, ...], sizes: Any, strides: Any, padding: str, first: bool = False) -> None:
    data_format = "channels_first" if first else "channels_last"
    for name, function, reduce in (("max_pool", nn.max_pool, np.max), ("average_pool", nn.average_pool, np.mean)):
        row(
            f"nn.{name}/{label}",
            lambda x, f=function: f(x, sizes, strides, padding, data_format),
            lambda x, r=reduce: windows(x, sizes, strides, padding, first, r),
            away(shape),
            tolerance=64,
        )


pool_row("1d", (2, 7, 3), (2,), (2,), "valid")
pool_row("1d same", (2, 6, 2), (3,), (1,), "same")
pool_row("2d", (2, 4, 6, 2), (2, 2), (2, 2), "valid")
pool_row("2d cut", (1, 5, 7, 2), (2, 3), (2, 3), "valid")
pool_row("2d overlap", (1, 5, 5, 2), (3, 3), (2, 2), "same")
pool_row("2d gaps", (1, 7, 6, 2), (2, 1), (3, 2), "valid")
pool_row("2d first", (1, 2, 5, 4), (3, 2), (1, 2), "same", first=True)
pool_row("2d large", (1, 6, 7, 1), (5, 6), (1, 1), "same")
pool_row("3d", (1, 3, 4, 4, 2), (2, 2, 2), (1, 2, 2), "valid")
pool_row("runs", (1, 30, 1), (19,), (3,), "valid")
row(
    "nn.max_pool/integers",
    lambda x: nn.max_pool(x, 2, 1, "same"),
    lambda x: windows(x, (2, 2), (1, 1), "same", False, np.max),
    whole(-9, 9, (2, 3, 3, 2)),
    dtypes=("int32", "int8"),
    differentiable=False,
)


def equals(rng: np.random.Generator) -> Arguments:
    return (rng.integers(0, 2, (2, 6, 6, 2)).astype(np.float64),)


row(
    "nn.max_pool/equal elements",
    lambda x: nn.max_pool(x, 3, 2),
    lambda x: windows(x, (3, 3), (2, 2), "valid", False, np.max),
    equals,
    differentiable=False,
)

for _name, _global, _adaptive, _reduce in (
    ("max", nn.global_max_pool, nn.adaptive_max_pool, np.max),
    ("average", nn.global_average_pool, nn.adaptive_average_pool, np.mean),
):
    row(f"nn.global_{_name}_pool", _global, lambda x, r=_reduce: r(x, (1, 2)), away((2, 3, 4, 2)), tolerance=64)
    row(
        f"nn.global_{_name}_pool/first",
        lambda x, f=_global: f(x, "channels_first", keepdims=True),
        lambda x, r=_reduce: r(x, (2,), keepdims=True),
        away((2, 3, 4)),
        tolerance=64,
    )

    def adapted(x: np.ndarray, m: tuple[int, int], reduce: Any = _reduce) -> np.ndarray:
        n = x.shape[1:3]
        out = np.zeros((x.shape[0], *m, x.shape[3]), x.dtype)
        for i, j in np.ndindex(*m):
            rows = slice(i * n[0] // m[0], -(-(i + 1) * n[0] // m[0]))
            columns = slice(j * n[1] // m[1], -(-(j + 1) * n[1] // m[1]))
            out[:, i, j] = reduce(x[:, rows, columns], (1, 2))
        return out

    for _size in ((2, 3), (3, 3), (1, 7)):
        row(
            f"nn.adaptive_{_name}_pool/{_size}",
            lambda x, f=_adaptive, m=_size: f(x, m),
            lambda x, f=adapted, m=_size: f(x, m),
            away((2, 5, 6, 2)),
            tolerance=64,
        )


# --- resizing -------------------------------------------------------------------------------------
def linear(x: np.ndarray, axis: int, count: int) -> np.ndarray:
    """Linear interpolation between pixel centres along an axis, constant beyond the outermost ones."""
    n = x.shape[axis]
    places = (np.arange(count) + 0.5) * n / count - 0.5
    return np.apply_along_axis(lambda v: np.interp(places, np.arange(n), v), axis, x)


row("nn.upsample", lambda x: nn.upsample(x, (2, 3)), lambda x: x.repeat(2, 1).repeat(3, 2), normal((2, 2, 3, 2)))
row(
    "nn.upsample/first",
    lambda x: nn.upsample(x, 2, "bilinear", "channels_first"),
    lambda x: linear(linear(x, 2, 4), 3, 6),
    normal((2, 2, 2, 3)),
    tolerance=64,
)
row("nn.resize", lambda x: nn.resize(x, (5, 2)), lambda x: linear(linear(x, 1, 5), 2, 2), normal((1, 3, 4, 2)))
row("nn.resize/smaller", lambda x: nn.resize(x, 3), lambda x: linear(x, 1, 3), normal((1, 8, 2)))
row(
    "nn.resize/nearest",
    lambda x: nn.resize(x, 5, "nearest"),
    lambda x: x[:, [0, 0, 1, 2, 2]],
    normal((2, 3, 2)),
)
row(
    "nn.resize/first",
    lambda x: nn.resize(x, 3, data_format="channels_first"),
    lambda x: linear(x, 2, 3),
    normal((2, 3, 5)),
    tolerance=64,
)
