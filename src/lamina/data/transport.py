"""Objects from process to process: large arrays in shared memory, the rest through a pipe.

The memory is anonymous (``memfd`` on Linux, elsewhere a temporary file without a name), and is handed over as a file
descriptor.  So it does not count against ``/dev/shm``, and none of it can be left behind, however a process ends.
Where neither can be had, arrays go through the pipe as well.
"""

from __future__ import annotations

import collections
import contextlib
import io
import mmap
import os
import pickle
import tempfile
import weakref
from collections.abc import Sequence
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from lamina.core.primitive import wrap
from lamina.tensor import Tensor

SMALL = 1 << 14  # bytes up to which an array goes through the pipe
_ALIGN = 64
_PAGE = 1 << 16


def make_block(size: int) -> int:
    """A file descriptor of new shared memory of so many bytes.

    Raises:
        OSError: there is not enough.
    """
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("lamina-data", os.MFD_CLOEXEC)
    else:
        file, name = tempfile.mkstemp(prefix="lamina-data-")
        os.unlink(name)
        handle = file
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle, 0, size)  # so that too little memory is an error now and not a signal later
        else:
            os.ftruncate(handle, size)
    except BaseException:
        os.close(handle)
        raise
    return handle


def can_share() -> bool:
    """Whether memory can be handed to another process here."""
    return os.name == "posix" and reduction.HAVE_SEND_HANDLE


class _Pickler(pickle.Pickler):
    """Pickles with Tensors as arrays, and memory-mapped files as their names."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Tensor):
            return wrap, (np.ascontiguousarray(obj._concrete("Sending to another process")).reshape(obj.shape),)
        if type(obj) is np.memmap and getattr(obj, "filename", None) is not None and obj.flags.c_contiguous:
            whole = np.frombuffer(obj._mmap, np.uint8)  # type: ignore[attr-defined]
            start = obj.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
            offset = obj.offset - obj.offset % mmap.ALLOCATIONGRANULARITY + start
            return _open_map, (str(obj.filename), obj.dtype, obj.shape, offset)
        return NotImplemented


def _open_map(name: str, dtype: Any, shape: tuple[int, ...], offset: int) -> np.ndarray:
    return np.memmap(name, dtype, "r", offset, shape)


def pack(obj: Any, share: bool) -> tuple[bytes, list[memoryview]]:
    """An object as bytes, and the memory of its large arrays apart if ``share``."""
    buffers: list[memoryview] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if not share or raw.nbytes < SMALL:
            return True  # among the bytes
        buffers.append(raw)
        return False

    out = io.BytesIO()
    _Pickler(out, protocol=5, buffer_callback=keep).dump(obj)
    return out.getvalue(), buffers


def _layout(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Where arrays of these sizes lie in a block, and its size."""
    offsets, end = [], 0
    for size in sizes:
        offsets.append(end)
        end += -(-size // _ALIGN) * _ALIGN
    return offsets, max(end, 1)


class Sender:
    """Puts objects into blocks of shared memory, which are used again when the receiver needs them no longer."""

    def __init__(self, share: bool | None = None) -> None:
        self.share = can_share() if share is None else share
        self._blocks: dict[int, mmap.mmap] = {}
        self._free: set[int] = set()
        self._made = 0

    def free(self, blocks: Sequence[int]) -> None:
        """The receiver needs these blocks no longer."""
        self._free.update(blocks)

    def send(self, connection: Connection, header: Any, obj: Any, pid: int) -> None:
        """Send an object.

        Args:
            connection: where to.
            header: a small object that goes before it.
            obj: the object.
            pid: the receiver's process.
        """
        data, buffers = pack(obj, self.share)
        if not buffers:
            connection.send((header, None, None))
            connection.send_bytes(data)
            return
        sizes = [buffer.nbytes for buffer in buffers]
        offsets, total = _layout(sizes)
        try:
            number, handle = self._block(total)
        except OSError:  # no memory to share: through the pipe, from now on
            self.share = False
            self.send(connection, header, obj, pid)
            return
        block = self._blocks[number]
        target = np.frombuffer(block, np.uint8)
        for offset, buffer in zip(offsets, buffers, strict=True):
            target[offset : offset + buffer.nbytes] = np.frombuffer(buffer, np.uint8)
        del target
        connection.send((header, (number, list(zip(offsets, sizes, strict=True))), handle is not None))
        if handle is not None:
            reduction.send_handle(connection, handle, pid)
            os.close(handle)
        connection.send_bytes(data)

    def _block(self, size: int) -> tuple[int, int | None]:
        """The number of a block that is free, and its descriptor if it is a new one."""
        fitting = [number for number in self._free if len(self._blocks[number]) >= size]
        if fitting:
            number = min(fitting, key=lambda n: len(self._blocks[n]))
            self._free.discard(number)
            return number, None
        size = -(-(size + size // 8) // _PAGE) * _PAGE  # some room, for the next batch may be a little larger
        handle = make_block(size)
        number, self._made = self._made, self._made + 1
        self._blocks[number] = mmap.mmap(handle, size)
        return number, handle

    def close(self) -> None:
        """Let the blocks go."""
        for block in self._blocks.values():
            with contextlib.suppress(BufferError):
                block.close()
        self._blocks.clear()


class Receiver:
    """Receives what a ``Sender`` sends; arrays are views of the shared memory."""

    def __init__(self) -> None:
        self._blocks: dict[int, mmap.mmap] = {}
        self.freed: collections.deque[int] = collections.deque()  # blocks that nobody looks at any more

    def receive(self, connection: Connection) -> tuple[Any, Any]:
        """``(header, object)``.

        Raises:
            EOFError: the sender is gone.
        """
        header, place, has_handle = connection.recv()
        if place is None:
            return header, pickle.loads(connection.recv_bytes())
        number, parts = place
        if has_handle:
            handle = reduction.recv_handle(connection)
            try:
                self._blocks[number] = mmap.mmap(handle, os.fstat(handle).st_size)
            finally:
                os.close(handle)
        data = connection.recv_bytes()
        holder = np.frombuffer(self._blocks[number], np.uint8)  # lives as long as any array in the block
        weakref.finalize(holder, self.freed.append, number).atexit = False
        view = memoryview(holder)  # type: ignore[arg-type]
        del holder
        return header, pickle.loads(data, buffers=[view[offset : offset + size] for offset, size in parts])

    def take_freed(self) -> list[int]:
        """The blocks that became free since the last call."""
        return [self.freed.popleft() for _ in range(len(self.freed))]
