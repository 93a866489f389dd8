"""Tensors as text, the way PyTorch shows them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.primitive import ndarray

_options: dict[str, Any] = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}


def set_printoptions(**options: Any) -> None:
    """Change how tensors are shown: ``precision``, ``threshold``, ``edgeitems``, ``linewidth``, ``sci_mode``."""
    unknown = set(options) - set(_options)
    if unknown:
        raise TypeError(f"set_printoptions takes {', '.join(_options)}; got {', '.join(sorted(unknown))}.")
    _options.update({k: v for k, v in options.items() if v is not None})


def text_of(tensor: Any) -> str:
    """``tensor([...])`` with what is worth knowing beside the numbers."""
    data = tensor._data
    if type(data) is not ndarray:
        return f"tensor(<symbolic>, size={tuple(data.shape)}, dtype={data.dtype})"
    notes = []
    if data.size == 0 and data.ndim > 1:
        notes.append(f"size={tuple(data.shape)}")
    if data.dtype.name not in ("float32", "int64", "bool") or (data.size == 0 and data.dtype.name != "float32"):
        notes.append(f"dtype=torch.{data.dtype}")
    if tensor._node is not None:
        notes.append(f"grad_fn={tensor._node!r}")
    elif tensor._wants:
        notes.append("requires_grad=True")
    return f"tensor({', '.join([_numbers(data), *notes])})"


def _numbers(data: ndarray) -> str:
    layout: dict[str, Any] = {
        "separator": ", ",
        "prefix": "tensor(",
        "threshold": _options["threshold"],
        "edgeitems": _options["edgeitems"],
        "max_line_width": _options["linewidth"],
    }
    if data.dtype.kind == "b":
        width = max((len(str(x)) for x in _shown_ones(data)), default=0) if data.ndim else 0
        return np.array2string(data, formatter={"bool": lambda x: str(x).rjust(width)}, **layout)
    if data.dtype.kind in "iu":
        return np.array2string(data, **layout).replace(", ..., ", ",  ..., ")
    shown = data.astype(np.float64)
    finite = np.abs(shown[np.isfinite(shown)])
    nonzero = finite[finite > 0]
    precision = _options["precision"]
    if finite.size and (finite == np.trunc(finite)).all():
        scientific = bool(nonzero.size and (nonzero.max() / nonzero.min() > 1000 or nonzero.max() > 1e8))
        form = "e" if scientific else "whole"
    else:
        scientific = bool(
            nonzero.size and (nonzero.max() / nonzero.min() > 1000 or nonzero.max() > 1e8 or nonzero.min() < 1e-4)
        )
        form = "e" if scientific else "f"
    if _options["sci_mode"] is not None and finite.size:
        form = "e" if _options["sci_mode"] else "f"

    def digit(x: float) -> str:
        if form == "whole":
            return f"{x:.0f}." if np.isfinite(x) else f"{x}"
        return f"{x:.{precision}{form}}"

    width = max((len(digit(x)) for x in _shown_ones(shown) if np.isfinite(x) and x != 0), default=0)
    formatter: Any = {"float_kind": lambda x: digit(x).rjust(width)}
    text = np.array2string(shown, formatter=formatter, **layout)
    return text.replace(", ..., ", ",  ..., ")


def _shown_ones(data: ndarray) -> ndarray:
    """The numbers that are not left out."""
    edge = _options["edgeitems"]
    if data.size > _options["threshold"]:
        for axis, size in enumerate(data.shape):
            if size > 2 * edge:
                data = np.take(data, [*range(edge), *range(size - edge, size)], axis)
    return data.ravel()
