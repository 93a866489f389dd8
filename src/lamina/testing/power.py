"""A disk whose power can be cut between any two operations, or that can be full."""

from __future__ import annotations

import errno
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from lamina.core.disk import Disk


class PowerCut(BaseException):
    """The power is gone.  No ``Exception``: nothing that goes on after errors goes on after this."""


class FragileDisk(Disk):
    """Does what a ``Disk`` does, until the power is cut: then what was never flushed is lost, in part or as a whole.

    Bytes that were written and not flushed are cut off anywhere or turn to zeros; names that were changed and whose
    folder was not flushed are the old ones or the new ones.

    Args:
        cut_at: number of the operation, from 0, before which the power is cut; ``None`` for never.
        full_at: numbers of the operations at which the disk is full.
        seed: of the chances.

    Attributes:
        operations: how many were asked for.
        cut: whether the power has been cut.

    Example:
        >>> import tempfile
        >>> from lamina.core import disk
        >>> file = Path(tempfile.mkdtemp()) / "file"
        >>> fragile = FragileDisk(cut_at=1)
        >>> with disk.using(fragile):
        ...     try:
        ...         disk.write_blocks(file, [b"all of it"])
        ...     except PowerCut:
        ...         print("file there:", file.exists())
        file there: False
    """

    def __init__(self, cut_at: int | None = None, full_at: range = range(0), seed: int = 0) -> None:
        self.cut_at, self.full_at, self.operations, self.cut = cut_at, full_at, 0, False
        self._chance = random.Random(seed)
        self._unflushed: dict[Path, int] = {}  # how many bytes of a file are safe
        self._undo: list[Callable[[], None]] = []  # for each change of a name since its folder was flushed
        self._lock = threading.Lock()

    def _step(self, writes: bool) -> None:
        number, self.operations = self.operations, self.operations + 1
        if self.cut:
            raise PowerCut
        if self.cut_at is not None and number >= self.cut_at:
            self.cut_power()
        if writes and number in self.full_at:
            raise OSError(errno.ENOSPC, "No space left on device (simulated)")

    def cut_power(self) -> None:
        """Lose what is not flushed.

        Raises:
            PowerCut: always.
        """
        with self._lock:
            if not self.cut:
                self.cut = True
                for path, safe in self._unflushed.items():
                    self._tear(path, safe)
                kept = self._chance.randint(0, len(self._undo))  # changes of names come to the disk in order
                for undo in reversed(self._undo[kept:]):
                    undo()
        raise PowerCut

    def _tear(self, path: Path, safe: int) -> None:
        if not path.exists():
            return
        data = path.read_bytes()
        length = self._chance.randint(safe, len(data))
        torn = data[:length]
        if self._chance.random() < 0.3:  # the length reached the disk, and the bytes did not
            torn += bytes(len(data) - length)
        path.write_bytes(torn)

    # --- operations ---------------------------------------------------------------------------------
    def create(self, path: Path) -> tuple[BinaryIO, Path]:
        self._step(writes=True)
        file, name = super().create(path)
        self._unflushed[name] = 0
        self._undo.append(lambda: name.unlink(missing_ok=True))
        return file, name

    def write(self, file: BinaryIO, block: Any) -> None:
        try:
            self._step(writes=True)
        except OSError:
            super().write(file, memoryview(block)[: len(block) // 2])  # what still fits
            raise
        super().write(file, block)

    def flush(self, path: Path) -> None:
        self._step(writes=True)
        super().flush(path)
        self._unflushed.pop(path, None)

    def rename(self, old: Path, new: Path) -> None:
        self._step(writes=False)
        content, before = old.read_bytes(), new.read_bytes() if new.exists() else None
        super().rename(old, new)
        if old in self._unflushed:
            self._unflushed[new] = self._unflushed.pop(old)

        def undo() -> None:
            old.write_bytes(content)
            if before is None:
                new.unlink(missing_ok=True)
            else:
                new.write_bytes(before)

        self._undo.append(undo)

    def flush_folder(self, folder: Path) -> None:
        self._step(writes=False)
        super().flush_folder(folder)
        self._undo.clear()

    def unlink(self, path: Path) -> None:
        self._step(writes=False)
        content = path.read_bytes() if path.exists() else None
        super().unlink(path)
        self._unflushed.pop(path, None)
        if content is not None:
            self._undo.append(lambda: _write(path, content))


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
