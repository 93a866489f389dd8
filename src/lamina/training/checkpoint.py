"""``Checkpoint``: the state of a run in a folder, as generations of files of which the last good one is found."""

from __future__ import annotations

import re
import threading
import time
import warnings
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lamina.core.disk import disk, folder_of, remove_remains
from lamina.core.errors import ArgumentError, FileFormatError, LaminaError
from lamina.models.file_format import read_tensors, write_tensors
from lamina.training.checkpoint_tree import capture, own, pack, random_state, restore, set_random_state, unpack
from lamina.training.checks import check_positive
from lamina.version import __version__

FORMAT = "1"
NAME = re.compile(r"checkpoint-(\d{10})\.safetensors")


class Folder:
    """A folder with generations of one state: ``checkpoint-0000000007.safetensors``.

    Args:
        folder: the folder; it is made when something is written.
        keep: how many generations to keep.
        asynchronous: whether to write in another thread; then at most one write goes on at a time.
    """

    def __init__(self, folder: str | PathLike[str], keep: int = 3, asynchronous: bool = True) -> None:
        self.path, self.keep = folder_of("checkpoint", folder), check_positive("keep", keep)
        self.asynchronous = asynchronous
        self._writing: threading.Thread | None = None
        self._problem: BaseException | None = None
        self._next: int | None = None
        self._damaged: list[Path] = []
        self._spare: list[np.ndarray] = []  # memory of the copy that was written last
        self.waited = 0.0  # seconds that saving has held its caller up

    def generations(self) -> list[Path]:
        """The files, the newest first."""
        if not self.path.is_dir():
            return []
        return sorted((p for p in self.path.iterdir() if NAME.fullmatch(p.name)), reverse=True)

    @property
    def busy(self) -> bool:
        """Whether a write goes on."""
        return self._writing is not None and self._writing.is_alive()

    def write(self, tree: Any) -> None:
        """Write a new generation, then remove those that are too old.

        Raises:
            ArgumentError: something in the tree cannot be saved.
            OSError: the disk is full, or the like: this write, or the one before in another thread.
        """
        started = time.perf_counter()
        self.wait()
        if self._next is None:
            newest = self.generations()
            self._next = int(newest[0].name[11:21]) + 1 if newest else 0
            if self.path.is_dir():
                remove_remains(self.path, "checkpoint-")
        path = self.path / f"checkpoint-{self._next:010d}.safetensors"
        self._next += 1
        if self.asynchronous:
            tree, self._spare = own(tree, self._spare)
        tensors, text = pack(tree)
        metadata = {
            "format": "lamina",
            "format_version": FORMAT,
            "lamina_version": __version__,
            "content": "checkpoint",
            "state": text,
        }
        if self.asynchronous:
            self._writing = threading.Thread(
                target=self._in_background, args=(path, tensors, metadata), name="lamina-checkpoint"
            )
            self._writing.start()  # no daemon: a program that ends waits for it
        else:
            self._write(path, tensors, metadata)
        self.waited += time.perf_counter() - started

    def _in_background(self, path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
        try:
            self._write(path, tensors, metadata)
        except BaseException as error:  # handed to the thread that waits
            self._problem = error

    def _write(self, path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
        write_tensors(path, tensors, metadata)
        for old in self.generations()[self.keep :]:
            disk().unlink(old)

    def wait(self) -> None:
        """Wait for a write that goes on, and raise what went wrong in it."""
        if self._writing is not None:
            self._writing.join()
            self._writing = None
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem

    def read(self) -> tuple[Path, Any] | None:
        """The newest generation that is not damaged, with a warning where that is not the newest; ``None`` for none.

        Raises:
            FileFormatError: there are files, and all are damaged.
        """
        self.wait()
        problems: list[str] = []
        self._damaged = []
        for path in self.generations():
            try:
                tree = read_state(path)
            except (FileFormatError, OSError) as error:
                problems.append(str(error))
                self._damaged.append(path)
                continue
            if problems:
                warnings.warn(f"{'; '.join(problems)} Going on from {path.name}, the last good one.", stacklevel=3)
            return path, tree
        if problems:
            raise FileFormatError(f"No checkpoint in {self.path} can be read: {'; '.join(problems)}")
        return None

    def set_aside(self) -> None:
        """Put the damaged generations that ``read`` met out of the way, so that they do not count as kept ones."""
        while self._damaged:
            path = self._damaged.pop()
            path.rename(path.with_suffix(".damaged"))


def read_state(path: Path) -> Any:
    """The tree in one file.

    Raises:
        FileFormatError: the file is damaged, or is no checkpoint.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != "lamina" or metadata.get("content") != "checkpoint":
        raise FileFormatError(f"{path} holds no checkpoint.")
    if metadata.get("format_version") != FORMAT:
        raise FileFormatError(
            f"{path} has format version {metadata.get('format_version')!r}, and this Lamina ({__version__}) reads "
            f"version {FORMAT!r}. Use the Lamina that wrote it ({metadata.get('lamina_version')}) or a newer one."
        )
    return unpack(tensors, metadata.get("state", ""), f"{path}: the state in its metadata")


class Checkpoint:
    """Keeps the state of a run in a folder, so that the run can be killed at any moment and goes on to the bit.

    A file is written beside its place, flushed and renamed, in another thread; ``keep`` generations stay.  What is
    saved: the parts, the random state (of Lamina, NumPy and Python), and what ``save`` is told.

    Args:
        folder: where the files are to be.
        every: for ``fit``: ``"epoch"``, or a number of steps between two files.
        seconds: for ``fit``: a file also whenever so many seconds have passed since the last.
        keep: how many generations to keep.
        asynchronous: whether to write in another thread while training goes on.
        parts: what to save: models, optimizers, metrics, Variables, generators, loaders and other objects with
            ``state_dict`` and ``load_state_dict``; lists and dicts of them.  Not for ``fit``, which knows its own.

    Raises:
        ArgumentError: an argument is out of its range, or the state of a part is not known.

    Example:
        >>> import tempfile
        >>> import lamina
        >>> weights, folder = lamina.Variable([0.0]), tempfile.mkdtemp()
        >>> for attempt in range(2):
        ...     checkpoint = Checkpoint(folder, weights=weights)
        ...     for step in range(checkpoint.restore().get("step", 0), 3):
        ...         weights.assign_add([1.0])
        ...         checkpoint.save(step=step + 1)
        ...     checkpoint.close()
        >>> weights.numpy()
        array([3.], dtype=float32)
    """

    def __init__(
        self,
        folder: str | PathLike[str],
        *,
        every: str | int = "epoch",
        seconds: float | None = 300.0,
        keep: int = 3,
        asynchronous: bool = True,
        **parts: Any,
    ) -> None:
        if every != "epoch":
            check_positive("every", every)
        if seconds is not None and not seconds > 0:
            raise ArgumentError(f"seconds is a positive number or None, got {seconds!r}.")
        self.folder = Folder(folder, keep, asynchronous)
        self.every, self.seconds, self.parts = every, seconds, parts
        self.told: Callable[[int], None] | None = None  # called after steps of fit, for tests
        for name, part in parts.items():
            capture(part, name)

    def save(self, **notes: Any) -> None:
        """Write the state of the parts and the random state.

        Args:
            notes: plain data to be told again by ``restore``: the number of the epoch and the like.

        Raises:
            OSError: a file could not be written, this one or the one before; the older files are as they were.
        """
        parts = {name: capture(part, name) for name, part in self.parts.items()}
        self.folder.write({"kind": "parts", "parts": parts, "random": random_state(), "notes": notes})

    def restore(self) -> dict[str, Any]:
        """Put back the newest state that is not damaged.

        Returns:
            The notes of that ``save``; an empty dict if there is nothing to go on from.

        Raises:
            FileFormatError: no file can be read, or the state does not fit the parts.
        """
        found = self.folder.read()
        if found is None:
            return {}
        path, tree = found
        if not isinstance(tree, dict) or tree.get("kind") != "parts":
            raise FileFormatError(f"{path} was written by fit; go on with model.fit(..., checkpoint=..., resume=True).")
        if not all(isinstance(tree.get(name), dict) for name in ("parts", "random", "notes")):
            raise FileFormatError(f"{path}: the state in it is damaged.")
        if set(tree["parts"]) != set(self.parts):
            raise FileFormatError(
                f"{path}: it holds {', '.join(tree['parts']) or 'no parts'}, and this Checkpoint was given "
                f"{', '.join(self.parts) or 'no parts'}."
            )
        try:
            for name, part in self.parts.items():
                restore(part, tree["parts"][name], name, path)
            set_random_state(tree["random"])
        except (LaminaError, OSError):
            raise
        except Exception as error:
            raise FileFormatError(f"{path}: the state in it does not fit the parts ({error!r}).") from error
        self.folder.set_aside()
        notes: dict[str, Any] = tree["notes"]
        return notes

    def close(self) -> None:
        """Wait for what is being written.

        Raises:
            OSError: it could not be written.
        """
        self.folder.wait()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
