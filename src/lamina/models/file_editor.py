"""``KerasFileEditor``: a look into a file of Keras's weights, and changes of the names and weights in it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from lamina.core.disk import replace_file
from lamina.core.errors import ArgumentError
from lamina.core.messages import say
from lamina.models.hdf5 import Group
from lamina.models.keras_files import _array, _h5py, _open, _put, groups


class KerasFileEditor:
    """The weights in a ``.keras`` or ``.weights.h5`` file by the objects that own them (needs ``h5py``).

    Args:
        filepath: the file.  It is read at once and stays as it is; ``save`` writes another.

    Raises:
        ArgumentError: another ending.
        FileFormatError: the file is damaged, or holds a link or data of another file.

    Example::

        editor = KerasFileEditor("model.weights.h5")
        editor.rename_object("dense_3", "head")
        editor.save("renamed.weights.h5")
    """

    def __init__(self, filepath: str | PathLike[str]) -> None:
        self.filepath = fspath(filepath)
        if not self.filepath.endswith((".keras", ".weights.h5")):
            raise ArgumentError(
                f"Invalid filename: expected a `.keras` `.weights.h5` extension. Received: filepath={self.filepath}"
            )
        self._objects: dict[str, dict[str, np.ndarray]] = {}  # path -> weights by index
        self._read(_open(Path(self.filepath)), "")
        say(f"Keras model file '{self.filepath}'")

    def _read(self, group: Group, path: str) -> None:
        for name in group:
            entry = group.find(name, self.filepath)
            if not isinstance(entry, Group):
                continue
            if name == "vars":
                found = {index: _array(entry, index, self.filepath) for index in entry}
                if found:
                    self._objects[path] = {index: array for index, array in found.items() if array is not None}
            elif not (path == "" and name == "optimizer"):
                self._read(entry, f"{path}/{name}" if path else name)

    @property
    def weights_dict(self) -> dict[str, Any]:
        """The weights in nested dicts by path."""
        tree: dict[str, Any] = {}
        for path, weights in self._objects.items():
            place = tree
            for part in path.split("/"):
                place = place.setdefault(part, {})
            place.update(weights)
        return tree

    def summary(self) -> None:
        """Print the objects with the shapes and dtypes of their weights."""
        say("Weights structure")
        for path, weights in self._objects.items():
            say(f"  {path}")
            for index, array in weights.items():
                say(f"      {index}: shape={array.shape}, dtype={array.dtype}")

    def compare(self, reference_model: Any) -> dict[str, Any]:
        """Compare the file with a model, print where they differ, and count.

        Args:
            reference_model: a built model.

        Returns:
            ``{"status": "success" or "error", "error_count": ..., "match_count": ...}``.
        """
        expected = {path: layer._stored_variables() for path, layer in groups(reference_model).items()}
        expected = {path: variables for path, variables in expected.items() if variables}
        errors, matches = 0, 0
        for path in [*expected, *(p for p in self._objects if p not in expected)]:
            if path not in self._objects or path not in expected:
                missing = "the saved file" if path in expected else "the reference model"
                say(f"Object {path} is missing from {missing}.")
                errors += 1
                continue
            wanted = {str(i): tuple(v.shape) for i, v in enumerate(expected[path])}
            given = {index: array.shape for index, array in self._objects[path].items()}
            for index in sorted({*wanted, *given}):
                if wanted.get(index) == given.get(index):
                    matches += 1
                else:
                    say(f"Weight {path}/{index}: {wanted.get(index)} in the model, {given.get(index)} in the file.")
                    errors += 1
        return {"status": "error" if errors else "success", "error_count": errors, "match_count": matches}

    # --- changes --------------------------------------------------------------------------------------
    def _find(self, name: str) -> str:
        """The path of an object, given its path or the end of it.

        Raises:
            ArgumentError: there is none, or there are several.
        """
        name = name.strip("/")
        if name in self._objects:
            return name
        found = [path for path in self._objects if path.endswith(f"/{name}")]
        if len(found) == 1:
            return found[0]
        known = ", ".join(self._objects)
        if not found:
            raise ArgumentError(f"Name {name!r} does not appear in the model. Its objects: {known}.")
        raise ArgumentError(
            f"Name {name!r} occurs more than once in the model: {', '.join(found)}. Give the full path."
        )

    def rename_object(self, object_name: str, new_name: str) -> None:
        """Give an object another name, or with slashes another path.

        Raises:
            ArgumentError: there is no such object, or the name is taken.
        """
        old = self._find(object_name)
        parent = old.rpartition("/")[0]
        new = new_name.strip("/") if "/" in new_name or not parent else f"{parent}/{new_name}"
        if new in self._objects:
            raise ArgumentError(f"Name {new!r} already exists in the model.")
        self._objects = {new if path == old else path: weights for path, weights in self._objects.items()}

    def delete_object(self, object_name: str) -> None:
        """Take an object with its weights away."""
        del self._objects[self._find(object_name)]

    def add_object(self, object_path: str, weights: Mapping[str, Any]) -> None:
        """Add an object.

        Args:
            object_path: its full path.
            weights: arrays by index: ``{"0": kernel, "1": bias}``.

        Raises:
            ArgumentError: the path is taken, or ``weights`` is no dict of arrays.
        """
        path = object_path.strip("/")
        if path in self._objects:
            raise ArgumentError(f"Name {path!r} already exists in the model.")
        self._objects[path] = _checked(weights)

    def delete_weight(self, object_name: str, weight_name: str) -> None:
        """Take a weight of an object away.

        Raises:
            ArgumentError: there is none of this name.
        """
        weights = self._objects[self._find(object_name)]
        if weight_name not in weights:
            raise ArgumentError(
                f"Weight {weight_name} not found in object {object_name}. Weights found: {list(weights)}"
            )
        del weights[weight_name]

    def add_weights(self, object_name: str, weights: Mapping[str, Any]) -> None:
        """Add weights to an object, or set them anew."""
        self._objects[self._find(object_name)].update(_checked(weights))

    def save(self, filepath: str | PathLike[str]) -> None:
        """Write the weights to a ``.weights.h5`` file.

        Raises:
            ArgumentError: another ending.
        """
        path = fspath(filepath)
        if not path.endswith(".weights.h5"):
            raise ArgumentError(f"Invalid `filepath` argument: expected a `.weights.h5` extension. Received: {path}")
        buffer = io.BytesIO()
        with _h5py().File(buffer, "w") as file:
            for place, weights in self._objects.items():
                group = file.require_group(f"{place}/vars")
                for index, array in weights.items():
                    _put(group, index, array)
        replace_file(Path(path), lambda temporary: Path(temporary).write_bytes(buffer.getvalue()))

    def resave_weights(self, filepath: str | PathLike[str]) -> None:
        """Another name of ``save``."""
        self.save(filepath)


def _checked(weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if not isinstance(weights, Mapping):
        raise ArgumentError(
            f"Argument `weights` should be a dict of arrays by index. Received: {type(weights).__name__}"
        )
    return {str(index): np.asarray(array) for index, array in weights.items()}
