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
