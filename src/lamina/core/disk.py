"""How files come to be: written beside their place, flushed to the disk, and renamed into place.

Every operation that changes something on the disk is a method of ``Disk``, so that tests can cut the power
between any two of them (``lamina.testing``).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from lamina.core.errors import ArgumentError

BLOCK = 1 << 22  # bytes that are written at a time


def folder_of(argument: str, folder: str | os.PathLike[str]) -> Path:
    """The path of a folder that files will be written to; it need not be there yet.

    Raises:
        ArgumentError: something else has that name.
    """
    path = Path(os.fspath(folder))
    if path.exists() and not path.is_dir():
        raise ArgumentError(f"{argument}: {path} is a file, and a folder is needed. Give another name.")
    return path


class Disk:
    """The operations that change files."""

    def create(self, path: Path) -> tuple[BinaryIO, Path]:
        """A new empty file beside ``path``, open for writing, and its name."""
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        return os.fdopen(handle, "wb", buffering=0), Path(name)

    def write(self, file: BinaryIO, block: Any) -> None:
        """Append to an open file."""
        view = memoryview(block)
        while view:
            view = view[file.write(view) :]  # an unbuffered file may take a part of it

    def flush(self, path: Path) -> None:
        """What was written to the file is on the disk when this returns."""
        _flush(path)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, replacing the file that had it."""
        os.replace(old, new)

    def flush_folder(self, folder: Path) -> None:
        """The names in the folder are on the disk when this returns."""
        if os.name == "posix":
            _flush(folder)

    def unlink(self, path: Path) -> None:
        """Remove a file, if it is there."""
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_disk = Disk()


def disk() -> Disk:
    """The disk that files are written to."""
    return _disk


@contextmanager
def using(other: Disk) -> Iterator[None]:
    """Let files be written through another ``Disk`` inside the ``with`` block; for tests."""
    global _disk
    before, _disk = _disk, other
    try:
        yield
    finally:
        _disk = before


def write_blocks(path: Path, blocks: Iterable[Any]) -> None:
    """Write a file that is there as a whole or not at all, whenever the power goes.

    Args:
        path: where the file is to be.
        blocks: its contents, bytes or contiguous arrays of bytes.

    Raises:
        OSError: the disk is full, or the folder cannot be written to; the old file is as it was.
    """
    now = disk()

    def write(file: BinaryIO) -> None:
        waiting = bytearray()  # small blocks are written together
        for block in blocks:
            view = memoryview(block)
            if len(waiting) + len(view) <= BLOCK:
                waiting += view
                continue
            now.write(file, waiting)
            waiting = bytearray()
            for start in range(0, len(view), BLOCK):
                now.write(file, view[start : start + BLOCK])
        now.write(file, waiting)

    _replace(path, lambda file, name: write(file))


def replace_file(path: Path, write: Callable[[str], Any]) -> None:
    """Like ``write_blocks``, for what can only write to a file by its name.

    Args:
        path: where the file is to be.
        write: writes the file under the name that it is given.
    """
    _replace(path, lambda file, name: write(str(name)))


def _replace(path: Path, write: Callable[[BinaryIO, Path], Any]) -> None:
    now = disk()
    path.parent.mkdir(parents=True, exist_ok=True)
    file, temporary = now.create(path)
    try:
        with file:
            write(file, temporary)
        now.flush(temporary)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes files that only their owner can read
        now.rename(temporary, path)
    except BaseException:
        now.unlink(temporary)
        raise
    now.flush_folder(path.parent)


def remove_remains(folder: Path, name: str = "") -> None:
    """Remove what killed processes have left in a folder: files that never got their name.

    Args:
        folder: the folder.
        name: what the names of the files begin with.
    """
    for path in folder.glob(f".{name}*.part"):
        disk().unlink(path)
