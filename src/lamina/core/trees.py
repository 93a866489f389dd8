"""Nested structures of lists, tuples and dicts: taking them apart and putting them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of a nested structure, and the structure itself.

    Lists, tuples (named ones too), dicts and ``None`` are structure; all else is a leaf.

    Example:
        >>> leaves, structure = flatten({"a": 1, "b": [2, 3]})
        >>> leaves
        [1, 2, 3]
        >>> unflatten(structure, [10, 20, 30])
        {'a': 10, 'b': [20, 30]}
    """
    leaves: list[Any] = []
    return leaves, _structure(tree, leaves)


class Leaf:
    """Marks the place of a leaf in a structure."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "*"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Leaf)

    def __hash__(self) -> int:
        return 1


LEAF = Leaf()


def _structure(tree: Any, leaves: list[Any]) -> Any:
    kind = type(tree)
    if kind is list:
        return ("list", tuple(_structure(t, leaves) for t in tree))
    if isinstance(tree, tuple):
        return (kind if kind is not tuple else "tuple", tuple(_structure(t, leaves) for t in tree))
    if isinstance(tree, dict):
        keys = tuple(tree)
        return ("dict", tuple((k, _structure(tree[k], leaves)) for k in keys))
    if tree is None:
        return None
    leaves.append(tree)
    return LEAF


def unflatten(structure: Any, leaves: Any) -> Any:
    """Put leaves back into a structure made by ``flatten``."""
    return _build(structure, iter(leaves))


def _build(structure: Any, leaves: Iterator[Any]) -> Any:
    if structure is None:
        return None
    if isinstance(structure, Leaf):
        return next(leaves)
    kind, children = structure
    if kind == "dict":
        return {k: _build(s, leaves) for k, s in children}
    parts = [_build(s, leaves) for s in children]
    if kind == "list":
        return parts
    return tuple(parts) if kind == "tuple" else kind(*parts)


def children(structure: Any) -> list[tuple[Any, Any]]:
    """``(key or index, structure)`` of the entries of a structure; a leaf and ``None`` have none."""
    if structure is None or isinstance(structure, Leaf):
        return []
    kind, parts = structure
    return list(parts) if kind == "dict" else list(enumerate(parts))


def paths(structure: Any) -> list[tuple[Any, ...]]:
    """The keys and indices that lead to each leaf.

    Example:
        >>> paths(flatten({"a": 1, "b": [2, 3]})[1])
        [('a',), ('b', 0), ('b', 1)]
    """
    if isinstance(structure, Leaf):
        return [()]
    return [(key, *rest) for key, child in children(structure) for rest in paths(child)]


def leaves_like(structure: Any, tree: Any) -> list[Any] | None:
    """What a tree has where a structure has leaves, ``None`` included; lists and tuples are alike.

    Returns:
        ``None`` if the tree is nested in another way.
    """
    if isinstance(structure, Leaf):
        return None if isinstance(tree, list | tuple | dict) else [tree]
    inner = children(structure)
    if structure is not None and structure[0] == "dict":
        if not isinstance(tree, dict) or not {key for key, _ in inner} <= set(tree):
            return None
        parts = [tree[key] for key, _ in inner]
    elif isinstance(tree, list | tuple) and len(tree) == len(inner):
        parts = list(tree)
    else:
        return None
    found: list[Any] = []
    for part, (_, child) in zip(parts, inner, strict=True):
        leaves = leaves_like(child, part)
        if leaves is None:
            return None
        found += leaves
    return found


def map_tree(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Apply a function to the leaves of one tree (and of others of the same structure)."""
    leaves, structure = flatten(tree)
    rest = [flatten(t)[0] for t in others]
    return unflatten(structure, [function(*xs) for xs in zip(leaves, *rest, strict=True)])
