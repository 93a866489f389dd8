"""What a captured function was called with: keys for its cache, and words for their differences."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina.core import dtypes
from lamina.core.primitive import ndarray
from lamina.core.trees import Leaf, flatten
from lamina.tensor import Tensor, Variable


class Arguments(NamedTuple):
    """The arguments of one call, taken apart."""

    key: tuple[Any, ...]  # equal keys share a graph
    structure: Any  # of (args, kwargs)
    leaves: list[Any]
    arrays: list[Any]  # the ndarrays of the array leaves, in order
    symbolic: bool  # whether a Tensor among them has no numbers (a mistake of the caller)


def is_array(leaf: Any) -> bool:
    """Whether an argument becomes an input of the graph (else it is static)."""
    return isinstance(leaf, Tensor | ndarray | np.generic)


def analyse(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """Split arguments into arrays and static values, and make the cache's key.

    Arrays count by shape and dtype, Variables by identity, other values by type and value (by
    identity where they cannot be hashed).
    """
    leaves, structure = flatten((args, kwargs))
    tokens: list[Any] = [structure]
    arrays: list[Any] = []
    symbolic = False
    for leaf in leaves:
        if type(leaf) is Tensor or isinstance(leaf, Tensor):
            data = leaf._data
            symbolic = symbolic or type(data) is not ndarray
            tokens.append((data.shape, data.dtype))
            arrays.append(data)
        elif isinstance(leaf, ndarray | np.generic):
            data = np.asarray(leaf)
            data = data.astype(dtypes.as_dtype(data.dtype), copy=False)
            tokens.append((data.shape, data.dtype))
            arrays.append(data)
        else:
            tokens.append(static_token(leaf))
    return Arguments(tuple(tokens), structure, leaves, arrays, symbolic)


def static_token(value: Any) -> Any:
    """A hashable stand-in for a static value: equal tokens may share a graph."""
    kind = type(value)
    if kind is float:
        return kind, value.hex()  # tells 0.0 from -0.0, and finds NaN again
    try:
        hash(value)
    except TypeError:
        return kind, id(value)
    if isinstance(value, Variable):
        return kind, id(value)
    return kind, value


def leaf_names(structure: Any, parameters: Sequence[str]) -> list[str]:
    """A name for every leaf of the structure of ``(args, kwargs)``: ``x``, ``batch['y'][0]``, ``*args[2]``."""
    _, (args, kwargs) = structure
    names: list[str] = []
    for i, child in enumerate(args[1]):
        names += _paths(child, parameters[i] if i < len(parameters) else f"argument {i}")
    for key, child in kwargs[1]:
        names += _paths(child, key)
    return names


def _paths(structure: Any, prefix: str) -> Iterator[str]:
    if structure is None:
        return
    if isinstance(structure, Leaf):
        yield prefix
        return
    kind, children = structure
    for i, child in enumerate(children):
        if kind == "dict":
            yield from _paths(child[1], f"{prefix}[{child[0]!r}]")
        else:
            yield from _paths(child, f"{prefix}[{i}]")


def parameter_names(function: Any) -> list[str]:
    """Names of the positional parameters."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.kind in kinds]


class Described(NamedTuple):
    """What one leaf was, kept after the call to explain the next capture."""

    shape: tuple[int, ...] | None  # None for a static value
    dtype: Any
    text: str  # of a static value


def describe(call: Arguments, names: Sequence[str]) -> dict[str, Described]:
    """Every leaf by its name."""
    found: dict[str, Described] = {}
    for name, leaf in zip(names, call.leaves, strict=True):
        if is_array(leaf):
            found[name] = Described(tuple(leaf.shape), leaf.dtype, "")
        elif isinstance(leaf, Variable):
            found[name] = Described(None, None, f"Variable {leaf.name!r} (id {id(leaf):#x})")
        else:
            text = repr(leaf)
            found[name] = Described(None, None, text if len(text) <= 80 else text[:77] + "...")
    return found


def differences(old: dict[str, Described], new: dict[str, Described]) -> list[str]:
    """How one call's leaves differ from another's, one sentence for each difference."""
    lines = []
    for name, now in new.items():
        before = old.get(name)
        if before is None:
            lines.append(f"argument {name!r} is new")
        elif (before.shape is None) != (now.shape is None):
            kinds = ["a static value" if d.shape is None else "an array" for d in (before, now)]
            lines.append(f"argument {name!r} was {kinds[0]}, is now {kinds[1]}")
        elif before.shape is None or now.shape is None:
            if before.text != now.text:
                lines.append(f"argument {name!r}: static value was {before.text}, is now {now.text}")
        else:
            lines += _array_differences(name, before, now)
    lines += [f"argument {name!r} is gone" for name in old if name not in new]
    return lines


def _array_differences(name: str, before: Described, now: Described) -> Iterator[str]:
    assert before.shape is not None and now.shape is not None
    if len(before.shape) != len(now.shape):
        yield (
            f"argument {name!r}: number of dimensions was {len(before.shape)} {before.shape}, "
            f"is now {len(now.shape)} {now.shape}"
        )
    else:
        for i, (a, b) in enumerate(zip(before.shape, now.shape, strict=True)):
            if a != b:
                yield f"argument {name!r}: dimension {i} was {a}, is now {b}"
    if before.dtype != now.dtype:
        yield f"argument {name!r}: dtype was {before.dtype}, is now {now.dtype}"
