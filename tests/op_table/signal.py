"""Rows of Fourier transforms, of windows, and of the ops that NumPy has beside the array API."""

from __future__ import annotations

from typing import Any

import numpy as np

import lamina
from lamina import ops
from lamina.ops import numeric, segments
from op_table.case import S, V, away, both, fixed, normal, row, uniform

LOOSE = {"tolerance": 256}


def _pair(z: Any) -> Any:
    """A complex array, or a pair, as one array."""
    return np.stack([z.real, z.imag]) if isinstance(z, np.ndarray) else ops.stack(list(z))


# --- Fourier -------------------------------------------------------------------------------------------
row(
    "fft",
    lambda a, b: _pair(lamina.fft((a, b))),
    lambda a, b: _pair(np.fft.fft(a + 1j * b)),
    normal((2, 6), (2, 6)),
    **LOOSE,
)
row(
    "ifft2",
    lambda a, b: _pair(lamina.ifft2((a, b))),
    lambda a, b: _pair(np.fft.ifft2(a + 1j * b)),
    normal((3, 5), (3, 5)),
    **LOOSE,
)
row("rfft", lambda x: _pair(lamina.rfft(x, 8)), lambda x: _pair(np.fft.rfft(x, 8)), normal((2, 5)), **LOOSE)
row("rfft odd", lambda x: _pair(lamina.rfft(x)), lambda x: _pair(np.fft.rfft(x)), normal((2, 5)), **LOOSE)
row(
    "irfft",
    lambda a, b: lamina.irfft((a, b)),
    lambda a, b: np.fft.irfft(a + 1j * b),
    normal((2, 4), (2, 4)),
    **LOOSE,
)
row(
    "irfft odd",
    lambda a, b: lamina.irfft((a, b), 7),
    lambda a, b: np.fft.irfft(a + 1j * b, 7),
    normal((2, 4), (2, 4)),
    **LOOSE,
)
row(
    "istft of stft",
    lambda x: lamina.istft(lamina.stft(x, 8, 2, 8), 8, 2, 8)[:, 4:-4],  # all windows meet in the middle
    lambda x: x[:, 4:-4],
    normal((2, 24)),
    tolerance=2048,
)

# --- special functions -----------------------------------------------------------------------------------
row("cbrt", lamina.cbrt, np.cbrt, away(S), **LOOSE)
row("sinc", lamina.sinc, np.sinc, away(S), **LOOSE)
row("i0", lamina.i0, np.i0, uniform(-3, 3, S), **LOOSE)
row("logaddexp2", lamina.logaddexp2, np.logaddexp2, normal(S, (3,)), **LOOSE)
row("fmod", lamina.fmod, np.fmod, both(uniform(3.1, 3.9, S), uniform(1.6, 1.9, (3,))), **LOOSE)
row("heaviside", lamina.heaviside, np.heaviside, away(S, S))
row("gcd", lamina.gcd, np.gcd, fixed(np.arange(-6, 7), np.int64(4)), dtypes=None, differentiable=False)
row("lcm", lamina.lcm, np.lcm, fixed(np.arange(-6, 7), np.int64(4)), dtypes=None, differentiable=False)
row(
    "view",
    lambda x: numeric.view(x, "int16"),
    lambda x: x.view(np.int16),
    fixed(np.arange(6, dtype=np.int32).reshape(2, 3)),
    dtypes=None,
    differentiable=False,
)

# --- order statistics ---------------------------------------------------------------------------------------
for _method in ("linear", "lower", "higher", "midpoint", "nearest"):
    row(
        f"quantile {_method}",
        lambda x, m=_method: lamina.quantile(x, [0.1, 0.77], axis=1, method=m),
        lambda x, m=_method: np.quantile(x, [0.1, 0.77], axis=1, method=m),
        away((3, 5)),
        **LOOSE,
    )
row("median", lamina.median, np.median, away((3, 4)), **LOOSE)
row(
    "average", lambda x, w: lamina.average(x, 1, w), lambda x, w: np.average(x, 1, w), both(normal(S), uniform(1, 2, S))
)
row("corrcoef", lamina.corrcoef, np.corrcoef, normal((3, 6)), tolerance=1024)


def _holes(function: Any, oracle: Any) -> tuple[Any, Any]:
    """Both functions of an array in which every third element is NaN."""

    def punched(x: Any, module: Any) -> Any:
        hole = (np.arange(x.size) % 3 == 1).reshape(x.shape)
        return module.where(hole, np.nan, x)

    return lambda x: function(punched(x, lamina)), lambda x: oracle(punched(x, np))


for _name in ("nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin", "nanmedian"):
    row(_name, *_holes(getattr(lamina, _name), getattr(np, _name)), away((2, 4)), **LOOSE)

# --- arranging ------------------------------------------------------------------------------------------------
row("rot90", lambda x: lamina.rot90(x, -1), lambda x: np.rot90(x, -1), normal(S))
row("diag", lambda x: lamina.diag(x, -1), lambda x: np.diag(x, -1), normal(V))
row("kron", lamina.kron, np.kron, normal(S, (3,)))
row("vander", lambda x: lamina.vander(x, 3), lambda x: np.vander(x, 3), normal(V), **LOOSE)
row("diff", lambda x: lamina.diff(x, 2), lambda x: np.diff(x, 2), normal((2, 5)), **LOOSE)
row("trapezoid", lambda y, x: lamina.trapezoid(y, x), lambda y, x: np.trapezoid(y, x), normal((2, 4), (4,)), **LOOSE)
for _mode in ("valid", "same", "full"):
    row(
        f"correlate {_mode}",
        lambda x, y, m=_mode: lamina.correlate(x, y, m),
        lambda x, y, m=_mode: np.correlate(x, y, m),
        normal((4,), (7,)),
        **LOOSE,
    )

# --- segments ---------------------------------------------------------------------------------------------------
IDS = np.array([0, 2, 0, 2, 2])


def _by_segment(ufunc: Any, start: float) -> Any:
    def call(x: np.ndarray) -> np.ndarray:
        out = np.full((3, *x.shape[1:]), start)
        ufunc.at(out, IDS, x)
        return out

    return call


# segment 1 has no rows: what its result is there (an infinity) is left out
row(
    "segment_max",
    lambda x: segments.segment_max(x, IDS, 3)[::2],
    lambda x: _by_segment(np.maximum, -np.inf)(x)[::2],
    away((5, 2)),
)
row(
    "segment_min",
    lambda x: segments.segment_min(x, IDS, 3)[::2],
    lambda x: _by_segment(np.minimum, np.inf)(x)[::2],
    away((5, 2)),
)
row("segment_prod", lambda x: segments.segment_prod(x, IDS, 3), _by_segment(np.multiply, 1.0), away((5, 2)), **LOOSE)


# --- matrices -----------------------------------------------------------------------------------------------------
def _lu(shape: tuple[int, int]) -> Any:
    """Matrices whose pivots are the same wherever a number moves a little."""
    rows = shape[0]
    base = np.zeros(shape)
    for i in range(min(shape)):
        base[(i + 1) % rows, i] = 3.0 + i

    def make(rng: np.random.Generator) -> tuple[Any, ...]:
        return (base + rng.uniform(-0.3, 0.3, shape),)

    return make


def _packed(x: np.ndarray) -> np.ndarray:
    lu = x.copy()
    for k in range(min(lu.shape)):
        p = k + int(np.argmax(np.abs(lu[k:, k])))
        lu[[k, p]] = lu[[p, k]]
        for i in range(k + 1, lu.shape[0]):
            lu[i, k] /= lu[k, k]
            lu[i, k + 1 :] -= lu[i, k] * lu[k, k + 1 :]
    return lu


for _shape in ((3, 3), (2, 4), (4, 2)):
    row(f"lu_factor {_shape}", lambda x: lamina.linalg.lu_factor(x)[0], _packed, _lu(_shape), tolerance=1024)
row(
    "solve_triangular",
    lambda a, b: lamina.linalg.solve_triangular(a + 3 * lamina.eye(3, dtype=a.dtype), b),
    lambda a, b: np.linalg.solve(np.triu(a + 3 * np.eye(3)), b),
    uniform(-0.4, 0.4, (3, 3), (3, 2)),
    tolerance=1024,
)
row(
    "lstsq",
    lambda a, b: lamina.linalg.lstsq(a, b),
    lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0],
    normal((5, 2), (5, 2)),
    tolerance=4096,
)
