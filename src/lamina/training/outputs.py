"""A model's outputs: their names and nesting, and what the user said of each of them in lists and dicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lamina.core.errors import ArgumentError
from lamina.core.trees import LEAF, Leaf, children, flatten, paths, unflatten


class OutputNameError(ArgumentError, KeyError):
    """A loss, metric or target for an output that the model does not have."""

    def __str__(self) -> str:  # that of KeyError shows quotes and escapes
        return str(self.args[0])


@dataclass(frozen=True)
class Outputs:
    """The outputs of a model.

    Attributes:
        structure: how they are nested (see ``lamina.core.trees``).
        names: what each is called in dicts of losses and in logs.
    """

    structure: Any
    names: tuple[str, ...]

    @classmethod
    def of(cls, model: Any, structure: Any, count: int) -> Outputs:
        """The outputs of a model that returned ``count`` tensors in this structure."""
        names = getattr(model, "output_names", None)
        if not names or len(names) != count:
            names = [f"output_{i}" for i in range(count)] if count > 1 else [model.name]
        path_names = [path[-1] if path and isinstance(path[-1], str) else None for path in paths(structure)]
        if len(path_names) == count:  # the key of a dict goes before the name of a layer
            names = [str(key if key is not None else name) for key, name in zip(path_names, names, strict=True)]
        return cls(structure, tuple(names))


@dataclass(frozen=True)
class Part:
    """A loss as the user gave it, with its place among the outputs.

    Attributes:
        identifier: a name, a ``Loss`` or a function.
        outputs: indices of the outputs it takes.
        structure: how these are nested; a leaf for one output.
        weight: its factor in the sum.
        name: what its value is called in logs, without ``_loss``.
    """

    identifier: Any
    outputs: tuple[int, ...]
    structure: Any
    weight: float
    name: str


def _is_nested(x: Any) -> bool:
    return isinstance(x, list | tuple | Mapping)


# --- losses -------------------------------------------------------------------------------------------
def plan_losses(loss: Any, weights: Any, outputs: Outputs) -> list[Part]:
    """The losses of a model, each with the outputs it takes.

    A single loss is that of every output.  A list holds one entry for each output (or for each entry of a list of
    outputs), a dict one by name; an entry is a loss, ``None``, or again such a list or dict.  A function where
    several outputs are nested takes them all.  Several losses in a list, where one output is, are added.

    Args:
        loss: what ``compile`` was given.
        weights: factors: a number, or a list or dict shaped like ``loss``.
        outputs: the outputs of the model.

    Raises:
        OutputNameError: a name is no output's.
        ArgumentError: a list is too long or too short.
    """
    count = len(outputs.names)
    if loss is not None and not _is_nested(loss) and not isinstance(outputs.structure, Leaf):
        loss = unflatten(outputs.structure, [loss] * count)
        if isinstance(weights, list | tuple | Mapping):
            weights = unflatten(outputs.structure, by_output("loss_weights", weights, outputs))
    parts = list(_Losses(outputs).plan(loss, weights, outputs.structure, 0, ()))
    given = [w for w in flatten(weights)[0] if w is not None]
    if isinstance(weights, list | tuple) and len(given) > len(parts):
        raise ArgumentError(f"loss_weights has {len(given)} entries and the model has {len(parts)} losses.")
    return parts


class _Losses:
    def __init__(self, outputs: Outputs) -> None:
        self.outputs = outputs

    def plan(self, loss: Any, weight: Any, structure: Any, first: int, path: tuple[Any, ...]) -> Iterator[Part]:
        """The losses of the outputs in ``structure``, the first of which has the index ``first``."""
        count = len(paths(structure))
        if loss is None or not count:
            return
        if not _is_nested(loss):
            yield self._part(loss, weight, structure, first, path)
        elif isinstance(loss, Mapping):
            yield from self._by_name(loss, weight, structure, first, path)
        elif not isinstance(structure, Leaf) and len(loss) == count and not any(map(_is_nested, loss)):
            for i, (item, rest) in enumerate(zip(loss, paths(structure), strict=True)):
                yield from self.plan(item, _entry(weight, i, len(loss)), LEAF, first + i, path + rest)
        elif isinstance(structure, Leaf) or not _same_kind(loss, structure):
            for i, item in enumerate(loss):
                yield from self.plan(item, _entry(weight, i, len(loss)), structure, first, path)
        else:
            inner = children(structure)
            if len(loss) != len(inner):
                raise ArgumentError(f"loss has {len(loss)} entries and the model has {len(inner)} outputs{_at(path)}.")
            for i, (item, (key, child)) in enumerate(zip(loss, inner, strict=True)):
                yield from self.plan(item, _entry(weight, i, len(loss)), child, first, (*path, key))
                first += len(paths(child))

    def _by_name(self, loss: Any, weight: Any, structure: Any, first: int, path: tuple[Any, ...]) -> Iterator[Part]:
        if isinstance(structure, tuple) and structure[0] == "dict":
            keys = [key for key, _ in children(structure)]
            for key in loss:
                if key not in keys:
                    raise OutputNameError(
                        f"The path: {(*path, key)} in the `loss` argument, can't be found in the model's outputs: "
                        f"loss names the output {key!r}; there are {', '.join(map(repr, keys))}."
                    )
            for key, child in children(structure):
                yield from self.plan(loss.get(key), _entry(weight, key, len(loss)), child, first, (*path, key))
                first += len(paths(child))
            return
        count = len(paths(structure))
        names = self.outputs.names[first : first + count]
        known("loss", list(loss), names)
        for i, (name, rest) in enumerate(zip(names, paths(structure), strict=True)):
            yield from self.plan(loss.get(name), _entry(weight, name, len(loss)), LEAF, first + i, path + rest)

    def _part(self, loss: Any, weight: Any, structure: Any, first: int, path: tuple[Any, ...]) -> Part:
        if weight is not None and (_is_nested(weight) or isinstance(weight, str)):
            raise ArgumentError(f"loss_weights has {weight!r} where the factor of one loss is to be{_at(path)}.")
        indices = tuple(range(first, first + len(paths(structure))))
        if isinstance(structure, Leaf):
            name = "/".join(map(str, (*path[:-1], self.outputs.names[first])))
        else:
            name = "/".join(map(str, path)) or "_".join(self.outputs.names)
        return Part(loss, indices, structure, 1.0 if weight is None else float(weight), name)


def _same_kind(given: Any, structure: Any) -> bool:
    kind = structure[0]
    return isinstance(given, list) if kind == "list" else isinstance(given, tuple) and kind != "dict"


def _entry(weights: Any, key: Any, count: int) -> Any:
    """The weights of one entry; a number counts for all entries."""
    if isinstance(weights, Mapping):
        return weights.get(key)
    if isinstance(weights, list | tuple):
        if len(weights) != count or not isinstance(key, int):
            raise ArgumentError(f"loss_weights has {len(weights)} entries where loss has {count}: {weights!r}.")
        return weights[key]
    return weights


def _at(path: Sequence[Any]) -> str:
    return f" at {'/'.join(map(str, path))!r}" if path else ""


# --- metrics, targets -------------------------------------------------------------------------------
def by_output(what: str, given: Any, outputs: Outputs) -> list[Any]:
    """One entry for each output, from a single value, a list, or a dict by name, nested as the outputs are.

    Raises:
        ArgumentError: a list has another length, or a name is no output's.
    """
    return _spread(what, given, outputs.structure, outputs.names, ())


def _spread(what: str, given: Any, structure: Any, names: Sequence[str], path: tuple[Any, ...]) -> list[Any]:
    if isinstance(structure, Leaf) and not isinstance(given, Mapping):
        return [given]
    if isinstance(given, Mapping):
        inner = [] if isinstance(structure, Leaf) else children(structure)
        if inner and isinstance(inner[0][0], str):
            keys = [key for key, _ in inner]
            if set(given) <= set(keys) or any(not isinstance(s, Leaf) for _, s in inner):
                known(what, list(given), keys)
                given = [given.get(key) for key in keys]
                return _spread_each(what, given, inner, names, path)
        known(what, list(given), names)
        return [given.get(name) for name in names]
    if isinstance(given, list | tuple):
        inner = children(structure)
        if len(given) == len(inner):
            return _spread_each(what, given, inner, names, path)
        if len(given) == len(names):
            return list(given)
        raise ArgumentError(f"{what} has {len(given)} entries and the model has {len(names)} outputs{_at(path)}.")
    return [given] * len(names)


def _spread_each(
    what: str, given: Sequence[Any], inner: Sequence[tuple[Any, Any]], names: Sequence[str], path: tuple[Any, ...]
) -> list[Any]:
    found: list[Any] = []
    for item, (key, child) in zip(given, inner, strict=True):
        count = len(paths(child))
        found += _spread(what, item, child, names[len(found) : len(found) + count], (*path, key))
    return found


def known(what: str, keys: Sequence[str], names: Sequence[str]) -> Sequence[str]:
    """The keys, if each is an output's name.

    Raises:
        OutputNameError: one is not.
    """
    for key in keys:
        if key not in names:
            raise OutputNameError(f"{what} names the output {key!r}. Expected keys: {', '.join(names)}.")
    return keys


def find_places(outputs: Outputs, structure: Any, count: int) -> list[int | None] | None:
    """For each output the index of its target among ``count`` arrays nested in ``structure``.

    Returns:
        ``None`` where the structure is not that of the outputs.

    Raises:
        OutputNameError: a dict has a key that is no output's.
    """
    tree = unflatten(structure, range(count)) if structure is not None else None
    found = _match(outputs.structure, tree)
    if found is not None:
        return found
    if isinstance(tree, dict) and all(v is None or isinstance(v, int) for v in tree.values()):
        known("y", [str(k) for k in tree], outputs.names)
        return [tree.get(name) for name in outputs.names]
    return None


def _match(structure: Any, tree: Any) -> list[int | None] | None:
    if isinstance(structure, Leaf):
        while isinstance(tree, list | tuple) and len(tree) == 1:
            tree = tree[0]
        return [tree] if tree is None or isinstance(tree, int) else None
    if tree is None:
        return [None] * len(paths(structure))
    inner = children(structure)
    parts: list[Any]
    if structure[0] == "dict":
        if not isinstance(tree, dict) or not set(tree) <= {key for key, _ in inner}:
            return None
        parts = [tree.get(key) for key, _ in inner]
    elif isinstance(tree, list | tuple) and len(tree) == len(inner):
        parts = list(tree)
    else:
        return None
    found: list[int | None] = []
    for part, (_, child) in zip(parts, inner, strict=True):
        matched = _match(child, part)
        if matched is None:
            return None
        found += matched
    return found


def pick(part: Part, values: Sequence[Any], choose: Callable[[Any], Any] = lambda x: x) -> Any:
    """The values of a loss's outputs, nested as it takes them."""
    return unflatten(part.structure, [choose(values[i]) for i in part.outputs])
