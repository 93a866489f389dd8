"""Event files: a row of records, each an event with a checksum, that TensorBoard follows while they grow."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

from lamina.core.optional import require

PURPOSE = "TensorBoard's event files"
VERSION = "brain.Event:2"  # of the format, the first event of every file

_numbers = itertools.count()


def module(name: str) -> Any:
    """A module of the package ``tensorboard``.

    Raises:
        MissingExtraError: it is not installed.
    """
    return require(f"tensorboard.{name}", "tensorboard", PURPOSE)


class EventFile:
    """One event file in a folder, made with it.  Safe to write to from several threads.

    Args:
        folder: where; TensorBoard shows each folder as a run.
        suffix: end of the file's name.
        flush_seconds: how long events may wait in memory.

    Attributes:
        path: the file.
    """

    def __init__(self, folder: Path, suffix: str = "", flush_seconds: float = 30.0) -> None:
        self._event = module("compat.proto.event_pb2").Event
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        name = f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}{suffix}"
        self.path = folder / name
        self._records = module("summary.writer.record_writer").RecordWriter(self.path.open("wb"))
        self._lock = threading.Lock()
        self._flush_seconds = flush_seconds
        self.write(now, file_version=VERSION)
        self.flush()

    def write(self, wall_time: float | None = None, step: int | None = None, **content: Any) -> None:
        """Add an event.

        Args:
            wall_time: seconds since the epoch; default now.
            step: the step that it belongs to.
            content: ``summary`` or ``graph_def``.
        """
        now = time.time()
        event = self._event(wall_time=now if wall_time is None else wall_time, step=step, **content)
        data = event.SerializeToString()
        with self._lock:
            self._records.write(data)
            if now - self._flushed >= self._flush_seconds:
                self._records.flush()
                self._flushed = now

    _flushed = 0.0

    def flush(self) -> None:
        """Hand everything to the operating system."""
        with self._lock:
            self._records.flush()
            self._flushed = time.time()

    def close(self) -> None:
        """Flush and close the file."""
        with self._lock:
            if not self._records.closed:
                self._records.close()
