"""``tf.train``: checkpoints of models, optimizers and variables, in Lamina's files."""

from __future__ import annotations

import re
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from lamina.compat.tensorflow._state import Variable
from lamina.core.errors import FileFormatError
from lamina.models.file_format import write_tensors
from lamina.training.checkpoint import FORMAT, read_state
from lamina.training.checkpoint_tree import capture, pack, restore
from lamina.version import __version__

_ENDING = ".safetensors"


class _Restored:
    """What ``Checkpoint.restore`` returns: everything was put back, or it raised."""

    def assert_consumed(self) -> _Restored:
        """Nothing of the file was left over."""
        return self

    assert_existing_objects_matched = assert_nontrivial_match = assert_consumed

    def expect_partial(self) -> _Restored:
        """Nothing to be silent about."""
        return self


class Checkpoint:
    """``tf.train.Checkpoint``: the state of its parts, written to files and put back.

    Models must have their variables when they are restored: call them once, or give them an ``Input``.

    Args:
        root: a model or module whose state is kept as ``root``.
        parts: models, optimizers, metrics, variables, lists and dicts of them.

    Example:
        >>> import tempfile
        >>> weights = Variable([1.0, 2.0])
        >>> checkpoint = Checkpoint(weights=weights)
        >>> path = checkpoint.save(tempfile.mkdtemp() + "/run")
        >>> weights = weights.assign([0.0, 0.0])
        >>> status = checkpoint.restore(path)
        >>> weights.numpy()
        array([1., 2.], dtype=float32)
    """

    def __init__(self, root: Any = None, **parts: Any) -> None:
        self._parts = parts if root is None else {"root": root, **parts}
        self.save_counter = Variable(0, dtype="int64", trainable=False, name="save_counter")
        for name, part in self._parts.items():
            setattr(self, name, part)

    def save(self, file_prefix: str | PathLike[str], options: Any = None) -> str:
        """Write ``file_prefix-1``, ``file_prefix-2``, ...; returns the path."""
        self.save_counter.assign_add(1)
        return self.write(f"{fspath(file_prefix)}-{int(self.save_counter)}")

    def write(self, file_prefix: str | PathLike[str], options: Any = None) -> str:
        """Write one file; returns the path without its ending."""
        found = {name: capture(part, name) for name, part in self._parts.items()}
        tensors, text = pack({"kind": "tf", "parts": found, "count": int(self.save_counter)})
        path = Path(fspath(file_prefix) + _ENDING)
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"format": "lamina", "format_version": FORMAT, "lamina_version": __version__}
        write_tensors(path, tensors, {**metadata, "content": "checkpoint", "state": text})
        return fspath(file_prefix)

    def restore(self, save_path: str | PathLike[str] | None, options: Any = None) -> _Restored:
        """Put back what a file holds; ``None`` does nothing.

        Raises:
            FileFormatError: the file is missing, damaged, or holds other parts.
        """
        if save_path is None:
            return _Restored()
        path = Path(fspath(save_path).removesuffix(_ENDING) + _ENDING)
        tree = read_state(path)
        parts = tree.get("parts") if isinstance(tree, dict) and tree.get("kind") == "tf" else None
        if not isinstance(parts, dict) or set(parts) != set(self._parts):
            raise FileFormatError(f"{path} holds {sorted(parts or {})}, and this Checkpoint has {sorted(self._parts)}.")
        for name, part in self._parts.items():
            restore(part, parts[name], name, path)
        self.save_counter.assign(int(tree.get("count", 0)))
        return _Restored()

    read = restore


def _numbered(directory: str | PathLike[str], name: str | None = None) -> list[str]:
    """Paths of the files in a folder, the oldest first."""
    folder = Path(directory)
    pattern = re.compile(rf"({re.escape(name) if name else '.+'})-(\d+){re.escape(_ENDING)}")
    found = [(match, path) for path in folder.glob(f"*{_ENDING}") if (match := pattern.fullmatch(path.name))]
    if name is None:
        found.sort(key=lambda pair: (pair[1].stat().st_mtime_ns, int(pair[0][2])))
    else:
        found.sort(key=lambda pair: int(pair[0][2]))
    return [str(path).removesuffix(_ENDING) for _, path in found]


def latest_checkpoint(checkpoint_dir: str | PathLike[str], latest_filename: str | None = None) -> str | None:
    """The path of the newest file in a folder, ``None`` without one."""
    found = _numbered(checkpoint_dir)
    return found[-1] if found else None


class CheckpointManager:
    """``tf.train.CheckpointManager``: keeps the newest files of a checkpoint in a folder.

    Args:
        checkpoint: a ``Checkpoint``.
        directory: the folder.
        max_to_keep: how many files stay; ``None`` for all.
        checkpoint_name: what the files' names begin with.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        directory: str | PathLike[str],
        max_to_keep: int | None,
        keep_checkpoint_every_n_hours: float | None = None,
        checkpoint_name: str = "ckpt",
    ) -> None:
        self.checkpoint, self.directory = checkpoint, fspath(directory)
        self._keep, self._name = max_to_keep, checkpoint_name

    @property
    def checkpoints(self) -> list[str]:
        """The paths, the oldest first."""
        return _numbered(self.directory, self._name)

    @property
    def latest_checkpoint(self) -> str | None:
        """The newest path, ``None`` without one."""
        found = self.checkpoints
        return found[-1] if found else None

    def save(self, checkpoint_number: Any = None, check_interval: bool = True, options: Any = None) -> str:
        """Write a file and remove those that are too many; returns the path."""
        prefix = str(Path(self.directory) / self._name)
        if checkpoint_number is None:
            path = self.checkpoint.save(prefix)
        else:
            path = self.checkpoint.write(f"{prefix}-{int(checkpoint_number)}")
        found = self.checkpoints
        for old in found[: max(len(found) - self._keep, 0)] if self._keep else []:
            Path(old + _ENDING).unlink()
        return path

    def restore_or_initialize(self) -> str | None:
        """Put back the newest file; returns its path, ``None`` without one."""
        newest = self.latest_checkpoint
        self.checkpoint.restore(newest)
        return newest
