"""The stage of a pipeline that keeps the elements of the first pass."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lamina.core.errors import FileFormatError
from lamina.core.limits import NUMPY_ERRORS
from lamina.core.trees import flatten
from lamina.data.nodes import Node, Order, Run, stages


class Cache(Order):
    """The elements of the first pass, again in each.

    Every pass has the random numbers of the first, so that a run that is resumed has the same elements.
    """

    def __init__(self, above: Node, filename: str = "") -> None:
        super().__init__(above)
        self.filename = filename
        self.first: Run | None = None
        self._kept: list[Any] | None = None

    def length(self) -> int:
        return self.above.length() if self._kept is None else len(self._kept)

    def _first(self, run: Run) -> Run:
        if self.first is None:
            self.first = Run(dict(run.starts), run.path, run.fallback)
        return self.first

    def chunks(self, run: Run, skip: int) -> Iterator[np.ndarray]:
        return self.above.chunks(self._first(run), skip)

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        first = self._first(run)
        if self._kept is None and self.filename:
            self._kept = read(self.filename)
        if self._kept is not None:
            yield from self._kept[skip:]
            return
        elements = []
        for element in self.above.elements(first):
            elements.append(element)
            if len(elements) > skip:
                yield element
        self._kept = elements
        if self.filename:
            write(self.filename, elements)

    def state(self) -> Any:
        """Which pass was kept, as plain numbers."""
        if self.first is None:
            return None
        starts = [self.first.starts.get(id(node), 0) for node in stages(self.above) if node.is_random]
        return {"starts": starts, "path": list(self.first.path), "fallback": self.first.fallback}

    def load_state(self, state: Any) -> None:
        """Keep that pass again."""
        self._kept = self.first = None
        if state is not None:
            random = [node for node in stages(self.above) if node.is_random]
            starts = {id(node): int(n) for node, n in zip(random, state["starts"], strict=True)}
            self.first = Run(starts, tuple(state["path"]), state["fallback"])


def _skeleton(element: Any, numbers: Iterator[int]) -> Any:
    """The structure of an element for JSON: containers, with the numbers of the leaves."""
    if isinstance(element, tuple):
        return {"tuple": [_skeleton(part, numbers) for part in element]}
    if isinstance(element, dict):
        return {"dict": [[key, _skeleton(part, numbers)] for key, part in element.items()]}
    return None if element is None else next(numbers)


def _rebuild(skeleton: Any, leaves: list[Any]) -> Any:
    if skeleton is None or isinstance(skeleton, int):
        return None if skeleton is None else leaves[skeleton]
    if "tuple" in skeleton:
        return tuple(_rebuild(part, leaves) for part in skeleton["tuple"])
    return {key: _rebuild(part, leaves) for key, part in skeleton["dict"]}


def _path(filename: str) -> Path:
    return Path(f"{filename}.cache.npz")


def write(filename: str, elements: list[Any]) -> None:
    """Write elements to a file, which is there only when it is whole.

    Strings are kept as strings; other objects have no place in a file.
    """
    arrays: dict[str, np.ndarray] = {}
    skeletons: list[str] = []
    for number, element in enumerate(elements):
        for i, leaf in enumerate(flatten(element)[0]):
            arrays[f"{number}/{i}"] = leaf.astype(str) if leaf.dtype == object else leaf
        skeletons.append(json.dumps(_skeleton(element, iter(range(len(flatten(element)[0]))))))
    path = _path(filename)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, structures=np.array(skeletons, dtype=str), **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read(filename: str) -> list[Any] | None:
    """The elements in a file, ``None`` if there is no such file.

    Raises:
        FileFormatError: it is no cache.
    """
    path = _path(filename)
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            elements = []
            for number, text in enumerate(file["structures"].tolist()):
                leaves: list[Any] = []
                while f"{number}/{len(leaves)}" in file:
                    leaf = file[f"{number}/{len(leaves)}"]
                    leaves.append(leaf.astype(object) if leaf.dtype.kind == "U" else leaf)
                elements.append(_rebuild(json.loads(text), leaves))
            return elements
    except NUMPY_ERRORS as error:
        raise FileFormatError(f"{path} is no cache of a pipeline ({error}). Delete it to have it made anew.") from error
