"""``torch.save`` and ``torch.load``: nested dicts and lists of tensors and numbers, as ``.safetensors`` files.

The names of the tensors of a plain state dict are those of the file, so that ``safetensors.torch`` reads it.  Reading
never runs code; PyTorch's own files are pickles, which can, and are refused.
"""

from __future__ import annotations

import json
import math
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from lamina import nn as _nn
from lamina.compat.torch.tensor import adopt
from lamina.core.errors import ArgumentError, FileFormatError
from lamina.models.file_format import read_tensors, write_tensors
from lamina.tensor import Tensor as _Tensor
from lamina.tensor import Variable

_KEY = "lamina.torch"


def save(obj: Any, f: Any) -> None:
    """Write a state dict, or any nesting of dicts, lists and tuples of tensors, numbers and strings.

    Args:
        obj: what is to be saved.  Of a model save ``model.state_dict()``.
        f: path of the file.

    Raises:
        ArgumentError: there is something else in it.
    """
    if isinstance(obj, _nn.Module):
        raise ArgumentError(
            "torch.save() writes tensors and numbers, no code: save model.state_dict(), and load it into a model that "
            "your code has made."
        )
    arrays: dict[str, np.ndarray] = {}
    structure = _taken_apart(obj, "", arrays)
    plain = isinstance(obj, dict) and list(arrays) == list(obj)
    metadata = {"format": "pt"} if plain else {"format": "pt", _KEY: json.dumps(structure)}
    write_tensors(Path(os.fspath(f)), arrays, metadata)


def _taken_apart(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, _Tensor | Variable | np.ndarray):
        arrays[path or "value"] = np.array(value)
        return {"tensor": path or "value"}
    if value is None or isinstance(value, bool | int | str):
        return {"value": value}
    if isinstance(value, float | np.generic):
        number = value.item() if isinstance(value, np.generic) else value
        return {"value": number} if not isinstance(number, float) or math.isfinite(number) else {"float": str(number)}
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str | int) or isinstance(key, bool):
                raise ArgumentError(f"torch.save(): the keys of dicts are strings or integers; got {key!r}.")
        items = [[k, _taken_apart(v, f"{path}.{k}" if path else str(k), arrays)] for k, v in value.items()]
        return {"dict": items}
    if isinstance(value, list | tuple):
        items = [_taken_apart(v, f"{path}.{i}" if path else str(i), arrays) for i, v in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": items}
    raise ArgumentError(
        f"torch.save(): {path or 'the object'} is a {type(value).__name__}; only dicts, lists and tuples of tensors, "
        "numbers and strings can be saved."
    )


def _put_together(structure: Any, arrays: dict[str, np.ndarray]) -> Any:
    (kind, content), *_ = structure.items()
    if kind == "tensor":
        return adopt(np.array(arrays[content]))
    if kind == "value":
        return content
    if kind == "float":
        return float(content)
    if kind == "dict":
        return {k: _put_together(v, arrays) for k, v in content}
    items = [_put_together(v, arrays) for v in content]
    return items if kind == "list" else tuple(items)


def load(f: Any, map_location: Any = None, weights_only: bool = True, **kwargs: Any) -> Any:
    """What ``save`` wrote, or the tensors by name of another ``.safetensors`` file.

    Args:
        f: path of the file.
        map_location: accepted; there is one device.
        weights_only: accepted; files hold nothing but tensors and numbers.
        kwargs: PyTorch's other arguments, which say nothing here.

    Raises:
        FileFormatError: the file is damaged, or a pickle as PyTorch writes it.
    """
    path = Path(os.fspath(f))
    arrays, metadata = read_tensors(path)  # refuses pickles
    if _KEY not in metadata:
        return OrderedDict((name, adopt(np.array(a))) for name, a in arrays.items())
    try:
        return _put_together(json.loads(metadata[_KEY]), arrays)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise FileFormatError(f"{path}: its description of what it holds is damaged ({error}).") from None
