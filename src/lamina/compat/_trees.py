"""``keras.tree``: nested lists, tuples and dicts, under Keras's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamina.core.trees import flatten, unflatten


def is_nested(tree: Any) -> bool:
    """Whether this is a list, tuple or dict."""
    return isinstance(tree, list | tuple | dict)


def _with_none(tree: Any) -> Any:
    """The tree with ``None`` wrapped, for which it is a leaf like any other."""
    if isinstance(tree, dict):
        items = sorted(tree.items()) if all(isinstance(k, str) for k in tree) else tree.items()
        return {k: _with_none(v) for k, v in items}
    if isinstance(tree, list):
        return [_with_none(x) for x in tree]
    if isinstance(tree, tuple):
        parts = [_with_none(x) for x in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    return _Leaf(tree)


class _Leaf:
    def __init__(self, value: Any) -> None:
        self.value = value


def leaves(tree: Any) -> list[Any]:
    """The leaves in order; those of a dict in the order of its sorted keys."""
    return [leaf.value for leaf in flatten(_with_none(tree))[0]]


def map_structure(function: Callable[..., Any], *trees: Any, none_is_leaf: bool = True) -> Any:
    """The structure with the function applied to the leaves of all trees."""
    if not none_is_leaf:
        inner, function = function, lambda *xs: None if xs[0] is None else inner(*xs)
    assert_same_structure(*trees)
    structure = flatten(_with_none(trees[0]))[1]
    return unflatten(structure, [function(*xs) for xs in zip(*map(leaves, trees), strict=True)])


def pack_sequence_as(structure: Any, flat_sequence: Any) -> Any:
    """Leaves in the structure of another tree.

    Raises:
        ValueError: there are more or fewer leaves.
    """
    flat = list(flat_sequence) if is_nested(flat_sequence) else [flat_sequence]
    found, kind = flatten(_with_none(structure))
    if len(found) != len(flat):
        raise ValueError(f"The structure has {len(found)} leaves, and {len(flat)} were given.")
    return unflatten(kind, flat)


def assert_same_structure(*trees: Any) -> None:
    """The trees have the same structure.

    Raises:
        ValueError: they have not.
    """
    kinds = [flatten(_with_none(tree))[1] for tree in trees]
    for kind in kinds[1:]:
        if kind != kinds[0]:
            raise ValueError(f"`a` and `b` don't have the same structure: expected {kinds[0]}, got {kind}.")


def lists_to_tuples(tree: Any) -> Any:
    """The structure with tuples for lists."""
    if isinstance(tree, list | tuple):
        return tuple(lists_to_tuples(x) for x in tree)
    return {k: lists_to_tuples(v) for k, v in tree.items()} if isinstance(tree, dict) else tree


class MAP_TO_NONE:  # noqa: N801 - Keras's name
    """Returned by a function of ``traverse``: put ``None`` in this place."""


def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """The leaves in order, each with the keys and numbers that lead to it."""
    if isinstance(structure, dict):
        parts: Any = sorted(structure.items()) if all(isinstance(k, str) for k in structure) else structure.items()
    elif isinstance(structure, tuple) and hasattr(structure, "_fields"):
        parts = zip(structure._fields, structure, strict=True)
    elif isinstance(structure, list | tuple):
        parts = enumerate(structure)
    else:
        return [((), structure)]
    return [((key, *path), leaf) for key, part in parts for path, leaf in flatten_with_path(part)]


def assert_same_paths(a: Any, b: Any) -> None:
    """The same keys and numbers lead to the leaves of both.

    Raises:
        ValueError: they do not.
    """
    first, second = ({path for path, _ in flatten_with_path(tree)} for tree in (a, b))
    if first != second:
        raise ValueError(f"`a` and `b` don't have the same paths: {sorted(map(str, first ^ second))}.")


def map_structure_up_to(shallow_structure: Any, function: Callable[..., Any], *structures: Any) -> Any:
    """The function of what stands in the places of the leaves of the first structure."""
    if not structures:
        raise ValueError("Cannot map over no sequences")

    def walk(shallow: Any, *deep: Any) -> Any:
        if not is_nested(shallow):
            return function(*deep)
        for tree in deep:
            alike = is_nested(tree) and isinstance(tree, dict) is isinstance(shallow, dict)
            if not alike or len(tree) != len(shallow):
                raise ValueError(f"The structures don't have the same structure: {shallow} and {tree}.")
        if isinstance(shallow, dict):
            if any(set(tree) != set(shallow) for tree in deep):
                raise ValueError(f"The structures don't have the same keys: {list(shallow)}.")
            return {k: walk(v, *(tree[k] for tree in deep)) for k, v in shallow.items()}
        parts = [walk(*xs) for xs in zip(shallow, *deep, strict=True)]
        return type(shallow)(*parts) if hasattr(shallow, "_fields") else type(shallow)(parts)

    return walk(shallow_structure, *structures)


def _is_shape(tree: Any) -> bool:
    return isinstance(tree, list | tuple) and all(n is None or isinstance(n, int) for n in tree)


def map_shape_structure(function: Callable[[Any], Any], structure: Any) -> Any:
    """The structure with the function applied to the shapes in it: tuples of sizes."""
    if _is_shape(structure):
        return function(tuple(structure))
    if isinstance(structure, list | tuple):
        return type(structure)(map_shape_structure(function, s) for s in structure)
    if isinstance(structure, dict):
        return {k: map_shape_structure(function, v) for k, v in structure.items()}
    raise ValueError(f"Cannot map function to unknown objects {structure}")


def traverse(function: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """The structure in which parts are replaced by what the function returns of them, where that is not ``None``."""
    if top_down:
        found = function(structure)
        if found is not None:
            return None if found is MAP_TO_NONE else found
    if isinstance(structure, dict):
        structure = {k: traverse(function, v, top_down) for k, v in structure.items()}
    elif isinstance(structure, list | tuple):
        parts = [traverse(function, v, top_down) for v in structure]
        structure = type(structure)(*parts) if hasattr(structure, "_fields") else type(structure)(parts)
    if top_down:
        return structure
    found = function(structure)
    return None if found is MAP_TO_NONE else structure if found is None else found
