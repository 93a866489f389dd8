"""What a worker process of a ``DataLoader`` does."""

from __future__ import annotations

import faulthandler
import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

from lamina.core.errors import ArgumentError
from lamina.data.fetch import Fetcher
from lamina.data.transport import Receiver, Sender


@dataclass
class WorkerInfo:
    """What a worker knows of itself.

    Attributes:
        id: its number, from 0.
        num_workers: how many there are.
        seed: the seed of the loader.
        dataset: its copy of the dataset.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None
_was_asked = False


def get_worker_info() -> WorkerInfo | None:
    """In a worker of a ``DataLoader``: its number and the like; elsewhere ``None``.

    A stream that asks shares the work out itself: then every worker gives all batches of its own stream.
    """
    global _was_asked
    _was_asked = True
    return _info


def work(number: int, count: int, connection: Connection, parent: int, share: bool | None) -> None:
    """Make batches until told to stop, or until the loader's process is gone.

    Messages from the loader: ``("task", id, epoch, indices)``, ``("stream", epoch, size, drop_last, skip)``,
    ``("next",)``, and ``None`` to stop; each with a list of blocks that are free again.
    """
    global _info
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the loader's process, which then stops us
    receiver, sender = Receiver(), Sender(share)
    if connection.recv():
        file = os.fdopen(reduction.recv_handle(connection), "w")
        faulthandler.enable(file)
        faulthandler.register(signal.SIGUSR1, file)
        faulthandler.register(signal.SIGTERM, file, chain=True)
        print(file=file, flush=True)  # from here on it can be asked where it is
    fetcher, init = _guarded(lambda: _load(receiver, connection), connection, sender, parent)
    _info = WorkerInfo(number, count, fetcher.seed, fetcher.dataset)
    if init is not None:
        _guarded(lambda: init(number), connection, sender, parent)
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, tasks), daemon=True).start()
    stream: Iterator[Any] = iter(())
    generation = 0
    while True:
        message, freed = tasks.get()
        sender.free(freed)
        if message is None:
            break
        kind, *details = message
        if kind == "stream":
            generation, epoch, size, drop_last, skip = details
            stream = _stream(fetcher, epoch, size, drop_last, skip, number, count)
            continue
        try:
            if kind == "task":
                mark, epoch, indices = details
                sender.send(connection, ("batch", mark), fetcher.fetch(epoch, indices), parent)
            else:
                mark = generation
                batch, was_asked = next(stream, (None, None))
                if was_asked is None:
                    sender.send(connection, ("end", mark), None, parent)
                else:
                    sender.send(connection, ("batch", mark), (batch, was_asked), parent)
        except (BrokenPipeError, ConnectionError):
            break
        except BaseException as error:
            _send_error(connection, sender, parent, mark, error)
    sender.close()
    connection.close()


def _load(receiver: Receiver, connection: Connection) -> Any:
    try:
        return receiver.receive(connection)[1]
    except (AttributeError, ImportError) as error:
        raise ArgumentError(
            f"A worker cannot find what the dataset is made of: {error}. Classes and functions for workers stand at "
            "the top level of a module that can be imported: not in a notebook or an interactive session, and not "
            "under  if __name__ == '__main__'."
        ) from None


def _listen(connection: Connection, tasks: queue.SimpleQueue[Any]) -> None:
    """Take messages as they come, so that the loader never waits to be heard."""
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            os._exit(0)  # the loader's process is gone, or has closed us: nobody is there to hear more
        tasks.put(message)
        if message[0] is None:
            return


def _stream(
    fetcher: Fetcher, epoch: int, size: int | None, drop_last: bool, skip: int, worker: int, count: int
) -> Iterator[Any]:
    """This worker's batches of the stream, and whether the stream shares the work out itself."""
    global _was_asked
    _was_asked = False
    for at, group in fetcher.groups(epoch, size, drop_last, skip, lambda: (worker + 1,) if _was_asked else ()):
        if _was_asked or (at >= skip and at % count == worker):
            yield fetcher.batch_of(group), _was_asked


def _guarded(function: Callable[[], Any], connection: Connection, sender: Sender, parent: int) -> Any:
    """Run what prepares the worker; if it fails, tell and end."""
    try:
        return function()
    except BaseException as error:
        _send_error(connection, sender, parent, None, error)
        os._exit(1)


def _send_error(connection: Connection, sender: Sender, parent: int, mark: Any, error: BaseException) -> None:
    text = "".join(traceback.format_exception(error))
    try:
        copy = pickle.loads(pickle.dumps(error))
        if type(copy) is not type(error) or not isinstance(copy, Exception):
            copy = None
    except Exception:
        copy = None
    try:
        sender.send(connection, ("error", mark), (copy, text), parent)
    except OSError:
        os._exit(1)
