"""State as a tree of plain data and arrays, and the tree as tensors and JSON: no code in it, and none is run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, FileFormatError
from lamina.core.limits import read_json
from lamina.models.file_format import CODES
from lamina.random import Generator, default_generator
from lamina.tensor import Tensor, Variable

LARGE = 1 << 16  # bytes of an array whose memory is used again
LONG = 64  # lists of more numbers than this are stored as an array


# --- trees to tensors and JSON ------------------------------------------------------------------------
def pack(tree: Any) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of a tree by name, and everything else as JSON.

    Args:
        tree: dicts, lists, tuples and sets of numbers, strings, ``None``, arrays, Tensors and Variables.

    Raises:
        ArgumentError: something else is in it; says where.

    Example:
        >>> tensors, text = pack({"step": 3, "w": np.zeros(2)})
        >>> text
        '{"step": 3, "w": {"$tensor": "w"}}'
        >>> unpack(tensors, text, "the example")["step"]
        3
    """
    tensors: dict[str, np.ndarray] = {}
    return tensors, json.dumps(_encode(tree, "", tensors), allow_nan=False)


def _encode(item: Any, path: str, tensors: dict[str, np.ndarray]) -> Any:
    if item is None or isinstance(item, bool | str) or type(item) is int:
        return item
    if type(item) is float:
        return item if math.isfinite(item) else {"$float": repr(item)}
    if isinstance(item, Variable):
        return {"$tensor": _store(item._data, path, tensors)}
    if isinstance(item, Tensor):
        return {"$tensor": _store(item.numpy(), path, tensors)}
    if isinstance(item, np.generic):
        return {"$scalar": _store(np.asarray(item), path, tensors)}
    if isinstance(item, np.ndarray):
        return {"$tensor": _store(item, path, tensors)}
    if isinstance(item, dict):
        if all(isinstance(key, str) and not key.startswith("$") for key in item):
            return {key: _encode(value, _join(path, key), tensors) for key, value in item.items()}
        pairs = [[key, value] for key, value in item.items()]
        return {"$dict": [[_encode(part, _join(path, i), tensors) for part in pair] for i, pair in enumerate(pairs)]}
    if isinstance(item, list):
        kind = _numbers(item)
        if kind is not None:
            return {f"${kind}s": _store(np.asarray(item, kind + "64"), path, tensors)}
        return [_encode(value, _join(path, i), tensors) for i, value in enumerate(item)]
    if isinstance(item, tuple | set | frozenset):
        if isinstance(item, tuple) and hasattr(item, "_fields"):
            raise ArgumentError(f"The state holds a {type(item).__name__} at {path!r}; a plain tuple can be saved.")
        name = "$tuple" if isinstance(item, tuple) else "$set"
        return {name: [_encode(value, _join(path, i), tensors) for i, value in enumerate(item)]}
    raise ArgumentError(
        f"The state holds a {type(item).__name__} at {path!r}. What can be saved: numbers, strings, None, arrays, "
        "and dicts, lists, tuples and sets of them."
    )


def _numbers(items: list[Any]) -> str | None:
    """``"float"`` or ``"int"`` for a long list of such numbers."""
    if len(items) < LONG:
        return None
    if all(type(x) is float for x in items):
        return "float"
    return "int" if all(type(x) is int and -(1 << 63) <= x < 1 << 63 for x in items) else None


def _join(path: str, key: Any) -> str:
    return f"{path}/{key}" if path else str(key)


def _store(array: np.ndarray, path: str, tensors: dict[str, np.ndarray]) -> str:
    if array.dtype.name not in CODES:
        raise ArgumentError(f"The state holds an array of {array.dtype} at {path!r}; files hold numbers and bools.")
    name, number = path or "value", 1
    while name in tensors or name == "__metadata__":
        number += 1
        name = f"{path}#{number}"
    tensors[name] = array
    return name


def unpack(tensors: dict[str, np.ndarray], text: str, where: str) -> Any:
    """The tree that ``pack`` took apart; its arrays are copies.

    Raises:
        FileFormatError: the two do not belong together.
    """
    return _decode(read_json(text, where), tensors, where)


def _decode(item: Any, tensors: dict[str, np.ndarray], where: str) -> Any:
    if isinstance(item, list):
        return [_decode(x, tensors, where) for x in item]
    if not isinstance(item, dict):
        return item
    if len(item) != 1 or not (name := next(iter(item))).startswith("$"):
        return {key: _decode(value, tensors, where) for key, value in item.items()}
    value = item[name]
    if name in ("$tuple", "$set", "$dict") and isinstance(value, list):
        parts = [_decode(x, tensors, where) for x in value]
        try:
            return tuple(parts) if name == "$tuple" else set(parts) if name == "$set" else dict(parts)
        except (TypeError, ValueError) as error:
            raise FileFormatError(f"{where} is damaged ({error}).") from None
    if name == "$float" and value in ("nan", "inf", "-inf"):
        return float(value)
    if name in ("$tensor", "$scalar", "$floats", "$ints") and isinstance(value, str) and value in tensors:
        array = tensors[value]
        if name == "$tensor":
            return array.copy()
        return array[()] if name == "$scalar" else array.tolist()
    raise FileFormatError(f"{where} is damaged: {name!r} with {str(value)[:80]!r} stands for nothing in the file.")


def own(tree: Any, spare: list[np.ndarray] | None = None) -> tuple[Any, list[np.ndarray]]:
    """The tree with arrays of its own, so that training can go on while it is written.

    Args:
        tree: the tree.
        spare: the large arrays of an earlier copy that nobody needs any longer; memory that is in use already is
            several times faster to fill.

    Returns:
        The copy, and its large arrays.
    """
    spare = spare or []
    large: list[np.ndarray] = []

    def copy(array: np.ndarray) -> np.ndarray:
        if array.nbytes < LARGE:
            return np.array(array)
        place = len(large)
        fits = place < len(spare) and (spare[place].shape, spare[place].dtype) == (array.shape, array.dtype)
        large.append(spare[place] if fits else np.empty(array.shape, array.dtype))
        np.copyto(large[-1], array)
        return large[-1]

    def visit(item: Any) -> Any:
        if isinstance(item, Variable):
            return copy(item._data)
        if isinstance(item, np.ndarray):
            return copy(item)
        if isinstance(item, dict):
            return {key: visit(value) for key, value in item.items()}
        if isinstance(item, list | tuple) and not hasattr(item, "_fields"):
            return type(item)(visit(value) for value in item)
        return set(item) if isinstance(item, set) else item

    return visit(tree), large


# --- random state ---------------------------------------------------------------------------------
def random_state(copy: bool = False) -> dict[str, Any]:
    """The state of Lamina's default generator, of Python's and NumPy's, and of PyTorch's where it is in use.

    Args:
        copy: whether Variables are to be copied.
    """
    import random
    import sys

    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002  (the one that others draw from)
    found = {
        "lamina": [np.array(v._data) if copy else v for v in default_generator().variables],
        "python": {"version": version, "words": np.asarray(words, np.int64), "gauss": gauss},
        "numpy": {
            "kind": kind,
            "keys": np.asarray(keys),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "cached": float(cached),
        },
    }
    torch = sys.modules.get("torch")  # not imported for this: only where the user's program draws from it
    if torch is not None and hasattr(torch, "get_rng_state"):
        found["torch"] = torch.get_rng_state().numpy()
    return found


def set_random_state(state: dict[str, Any]) -> None:
    """Put back what ``random_state`` gave."""
    import random
    import sys

    for variable, value in zip(default_generator().variables, state["lamina"], strict=True):
        variable.assign(np.asarray(value))
    python, numpy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(int(w) for w in python["words"]), python["gauss"]))
    np.random.set_state(  # noqa: NPY002
        (numpy["kind"], numpy["keys"], numpy["position"], numpy["has_gauss"], numpy["cached"])
    )
    torch = sys.modules.get("torch")
    if torch is not None and "torch" in state:
        torch.set_rng_state(torch.from_numpy(np.array(state["torch"], np.uint8)))


# --- variables and other parts --------------------------------------------------------------------------
def assign_all(variables: Iterable[Variable], values: list[Any], what: str, path: Path) -> None:
    """Set variables from arrays in order.

    Raises:
        FileFormatError: their number or a shape is another; nothing was set.
    """
    found = list(variables)
    shapes, given = [v.shape for v in found], [np.shape(value) for value in values]
    if shapes != given:
        raise FileFormatError(
            f"{path}: the state of {what} does not fit: {len(values)} arrays of shapes {_few(given)} in the file, "
            f"{len(found)} of shapes {_few(shapes)} here. Build it as it was when it was saved."
        )
    for variable, value in zip(found, values, strict=True):
        variable.assign(np.asarray(value))


def _few(shapes: list[Any]) -> str:
    return ", ".join(map(str, shapes[:4])) + (", ..." if len(shapes) > 4 else "")


def has_state(item: Any) -> bool:
    """Whether an object can give its state and take it back."""
    return callable(getattr(item, "state_dict", None)) and callable(getattr(item, "load_state_dict", None))


def capture(item: Any, path: str = "") -> Any:
    """The state of a model, optimizer, metric, Variable, generator or anything with ``state_dict``, as a tree.

    Raises:
        ArgumentError: it is none of these.
    """
    from lamina.layers import Layer
    from lamina.training.checkpoint_fit import layer_state, optimizer_state

    if isinstance(item, Layer):
        return layer_state(item)
    if getattr(item, "_role", None) == "metric" or isinstance(item, Generator):
        return list(item.variables)
    if hasattr(item, "apply_gradients") and hasattr(item, "variables"):
        return optimizer_state(item, None)
    if isinstance(item, Variable):
        return item
    if isinstance(item, np.random.Generator):
        return item.bit_generator.state
    if isinstance(item, dict):
        return {str(key): capture(value, _join(path, key)) for key, value in item.items()}
    if isinstance(item, list | tuple):
        return [capture(value, _join(path, i)) for i, value in enumerate(item)]
    if has_state(item):
        return item.state_dict()
    raise ArgumentError(
        f"{path!r} is a {type(item).__name__}, and its state is not known. What can be saved: models and layers, "
        "optimizers, metrics, Variables, generators, and objects with state_dict() and load_state_dict(state)."
    )


def restore(item: Any, tree: Any, what: str, path: Path) -> None:
    """Put back what ``capture`` gave.

    Raises:
        FileFormatError: the state is of something else.
    """
    from lamina.layers import Layer
    from lamina.training.checkpoint_fit import set_layer_state, set_optimizer_state

    if isinstance(item, Layer):
        set_layer_state(item, tree, path)
    elif getattr(item, "_role", None) == "metric" or isinstance(item, Generator):
        assign_all(item.variables, tree, what, path)
    elif hasattr(item, "apply_gradients") and hasattr(item, "variables"):
        set_optimizer_state(item, tree, None, path)
    elif isinstance(item, Variable):
        assign_all([item], [tree], what, path)
    elif isinstance(item, np.random.Generator):
        item.bit_generator.state = tree
    elif isinstance(item, dict | list | tuple):
        pairs = list(item.items()) if isinstance(item, dict) else [(i, x) for i, x in enumerate(item)]
        if len(pairs) != len(tree) or (isinstance(item, dict) and {str(k) for k in item} != set(tree)):
            raise FileFormatError(f"{path}: {what} has {len(pairs)} parts here and {len(tree)} in the file.")
        for key, value in pairs:
            restore(value, tree[str(key)] if isinstance(item, dict) else tree[key], f"{what}/{key}", path)
    else:
        item.load_state_dict(tree)


# --- attributes, for callbacks ----------------------------------------------------------------------------
def attributes(item: Any, left_out: tuple[str, ...]) -> dict[str, Any]:
    """The attributes of an object that can be saved: plain data, arrays, and what ``capture`` knows but layers."""
    from lamina.layers import Layer

    found: dict[str, Any] = {}
    for name, value in vars(item).items():
        if name in left_out or isinstance(value, Layer):
            continue
        if _is_plain(value):
            found[name] = value
        elif isinstance(value, Variable | Generator | np.random.Generator) or has_state(value):
            found[name] = {"$part": None, "state": capture(value, name)}
    return found


def _is_plain(value: Any, depth: int = 0) -> bool:
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        return type(value) in (type(None), bool, int, float, str) or isinstance(value, np.generic)
    if isinstance(value, np.ndarray):
        return value.dtype.name in CODES
    if isinstance(value, Tensor):
        return True
    if depth > 20 or not isinstance(value, list | tuple | dict | set | frozenset) or hasattr(value, "_fields"):
        return False
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    return all(_is_plain(part, depth + 1) for part in parts)


def set_attributes(item: Any, state: dict[str, Any]) -> None:
    """Put back what ``attributes`` gave.

    Raises:
        FileFormatError: a name in it is none of an attribute.
    """
    for name, value in state.items():
        if not name.isidentifier() or name.startswith("__") or callable(getattr(type(item), name, None)):
            raise FileFormatError(f"The state of a {type(item).__name__} cannot hold {name[:80]!r}.")
        if isinstance(value, dict) and set(value) == {"$part", "state"}:
            restore(getattr(item, name), value["state"], f"{type(item).__name__}.{name}", Path("checkpoint"))
        else:
            setattr(item, name, value)
