"""The worker processes of a ``DataLoader``, as its own process sees them."""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import os
import pickle
import signal
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from multiprocessing import reduction, resource_tracker
from multiprocessing.connection import wait
from typing import Any

from lamina.core.errors import ArgumentError, WorkerError
from lamina.data import worker_main
from lamina.data.fetch import Fetcher
from lamina.data.transport import Receiver, Sender, can_share

_PATIENCE = 0.5  # seconds that a worker has to end by itself
_LONGEST = 10.0  # seconds that the system is given to end a process, or a worker to write a few lines


class Pool:
    """Processes that make batches.

    Each has a connection of its own and no lock is shared: whatever happens to one process, no other waits for it.

    Args:
        fetcher: what makes the batches; sent to each worker.
        count: how many workers.
        context: how they start: a name, a context of ``multiprocessing``, or ``None``.
        init: called in each with its number.
        timeout: longest time in seconds to wait for a batch; 0 for any time.
        share: whether arrays go through shared memory; default where it can be had.

    Raises:
        ArgumentError: the dataset cannot be sent to another process.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        count: int,
        context: Any = None,
        init: Callable[[int], None] | None = None,
        timeout: float = 0,
        share: bool | None = None,
    ) -> None:
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise WorkerError(
                "A DataLoader with workers was used while a worker imported the program's main file. Put the code "
                "that runs under  if __name__ == '__main__':  so that workers can import the file."
            )
        self.timeout, self.closed, self._generation = timeout, False, 0
        self._workers: list[_Worker] = []
        self._finalizer = weakref.finalize(self, _stop, self._workers)
        chosen = _context(context)
        sender = Sender(share)
        try:
            with _ctrl_c_blocked():
                for number in range(count):
                    self._workers.append(_Worker(chosen, number, count, share))
            for worker in self._workers:
                worker.give(sender, (fetcher, init))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            self.close()
            raise ArgumentError(
                f"The dataset, collate_fn and worker_init_fn are sent to the workers, and one cannot be: {error}. "
                "Define functions and classes at the top level of a module (no lambda), open files when they are "
                "first read, or use num_workers=0."
            ) from error
        except BaseException:
            self.close()
            raise
        finally:
            sender.close()

    def close(self) -> None:
        """End the workers."""
        self.closed = True
        self._finalizer()

    # --- samples by number --------------------------------------------------------------------------
    def map(self, epoch: int, orders: Iterator[Any], prefetch: int) -> Iterator[Any]:
        """The batches of these samples, in order, ``prefetch`` for each worker made ahead."""
        self._generation += 1
        tasks = enumerate(orders)
        results: dict[int, Any] = {}
        sent = given = 0
        most = prefetch * len(self._workers)
        more = True
        while True:
            while more and sent - given < most:
                task = next(tasks, None)
                if task is None:
                    more = False
                    break
                worker = min(self._workers, key=lambda w: len(w.tasks))
                worker.ask(("task", (self._generation, task[0]), epoch, task[1]), task[1])
                sent += 1
            if given == sent:
                return
            deadline = time.monotonic() + self.timeout
            while given not in results:
                for _worker, kind, (generation, number), batch in self._receive(deadline):
                    if generation == self._generation:
                        results[number] = (kind, batch)
            kind, batch = results.pop(given)
            if kind == "error":
                self._raise(*batch)
            given += 1
            yield batch
            del batch  # so that its memory can be used again when the user has done with it

    # --- streams ------------------------------------------------------------------------------------
    def stream(self, epoch: int, size: int | None, drop_last: bool, skip: int, prefetch: int) -> Iterator[Any]:
        """The batches of a stream: from each worker in turn, until all are at their end."""
        self._generation += 1
        queues: dict[int, collections.deque[Any]] = {}
        for worker in self._workers:
            worker.ask(("stream", self._generation, epoch, size, drop_last, skip))
            queues[worker.number] = collections.deque()
            for _ in range(prefetch):
                worker.ask(("next",), "the stream")
        at, shares_itself = skip, None
        turns = [self._workers[(skip + i) % len(self._workers)] for i in range(len(self._workers))]
        while turns:
            worker = turns[0]
            waiting = queues[worker.number]
            deadline = time.monotonic() + self.timeout
            while not waiting:
                for other, kind, generation, batch in self._receive(deadline):
                    if generation == self._generation:
                        queues[other.number].append((kind, batch))
            kind, batch = waiting.popleft()
            if kind == "error":
                self._raise(*batch)
            if kind == "end":
                turns.pop(0)
                continue
            batch, was_asked = batch
            if shares_itself is None:
                shares_itself = was_asked
                if was_asked and skip:  # each gives its stream from the beginning: begin with the first worker
                    at = 0
                    waiting.appendleft((kind, (batch, was_asked)))
                    turns = list(self._workers)
                    continue
            turns.append(turns.pop(0))
            worker.ask(("next",), "the stream")
            at += 1
            if at > skip:
                yield batch
            del batch

    # --- messages -----------------------------------------------------------------------------------
    def _receive(self, deadline: float) -> Iterator[tuple[_Worker, str, Any, Any]]:
        """What workers have sent, at least one message; or an error, if one is gone or it takes too long."""
        waiting = [w.connection for w in self._workers] + [w.process.sentinel for w in self._workers]
        remaining = max(deadline - time.monotonic(), 0) if self.timeout else None
        ready = set(wait(waiting, remaining))
        if not ready:
            raise WorkerError(
                f"No batch came from the workers within timeout={self.timeout:g} seconds."
                + "".join(worker.where_it_is() for worker in self._workers)
            )
        for worker in self._workers:
            if worker.connection in ready or worker.process.sentinel in ready:
                try:
                    if not worker.connection.poll():
                        raise EOFError  # it has ended and left no word
                    (kind, mark), batch = worker.receiver.receive(worker.connection)
                except (EOFError, OSError, pickle.UnpicklingError):
                    message = worker.obituary()
                    self.close()
                    raise WorkerError(message) from None
                if mark is None:
                    self.close()
                    self._raise(*batch)
                if worker.tasks:
                    worker.tasks.popleft()
                if kind == "error":
                    batch = (*batch, worker.number)
                yield worker, kind, mark, batch
                del batch

    def _raise(self, error: Exception | None, text: str, number: int | None = None) -> None:
        """The error that a worker had."""
        where = "A worker of the DataLoader" if number is None else f"Worker {number} of the DataLoader"
        if error is None:
            raise WorkerError(f"{where} failed:\n{text}")
        error.add_note(f"{where} failed with this error:\n{text}")
        raise error


class _Worker:
    """One process."""

    def __init__(self, context: Any, number: int, count: int, share: bool | None) -> None:
        self.number = number
        self.receiver = Receiver()
        self.tasks: collections.deque[Any] = collections.deque()  # what it was asked for
        self.connection, other = context.Pipe()
        # Where it writes at which lines it is, when it dies.
        self.notes = tempfile.TemporaryFile() if can_share() else None  # noqa: SIM115  # for as long as it lives
        self.process = context.Process(
            target=worker_main.work,
            args=(number, count, other, os.getpid(), share),
            name=f"lamina-data-{number}",
            daemon=True,
        )
        try:
            self.process.start()
        finally:
            other.close()

    def give(self, sender: Sender, obj: Any) -> None:
        """Send what the worker works with; its memory is shared by all workers."""
        try:
            self.connection.send(self.notes is not None)
            if self.notes is not None:
                reduction.send_handle(self.connection, self.notes.fileno(), self.process.pid)
            sender.send(self.connection, None, obj, self.process.pid or 0)
        except (BrokenPipeError, ConnectionError):
            raise WorkerError(self.obituary()) from None

    def ask(self, message: Any, what: Any = None) -> None:
        """Send a task, and which memory is free again."""
        if what is not None:
            self.tasks.append(what)
        with contextlib.suppress(BrokenPipeError, ConnectionError):  # whoever waits for the result is told
            self.connection.send((message, self.receiver.take_freed()))

    def where_it_is(self) -> str:
        """The lines of Python at which the worker is."""
        if not hasattr(signal, "SIGUSR1") or not self.process.is_alive():
            return ""
        before = self._read_notes()
        if not before:  # the signal would end it
            return f"\nWorker {self.number} has not started yet."
        os.kill(self.process.pid or 0, signal.SIGUSR1)
        deadline = time.monotonic() + _LONGEST
        notes, found = before, ""
        while (notes == before or notes != found) and self.process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.1)  # until it has written, and writes no more
            found, notes = notes, self._read_notes()
        return f"\nWorker {self.number} is at:\n{notes.removeprefix(before)[-4000:]}"

    def _read_notes(self) -> str:
        if self.notes is None:
            return ""
        file = self.notes.fileno()  # reading must not move the place at which the worker writes
        return os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace")

    def obituary(self) -> str:
        """How the worker ended, and what it was doing."""
        self.process.join(_LONGEST)  # it is gone, or about to be; a busy system takes a while to say how it ended
        code = self.process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                code = f"{-code} ({signal.Signals(-code).name})"
            how = f"was killed by signal {code}"
            if "SIGKILL" in how:
                how += "; the system does that when memory runs out"
        else:
            how = f"ended with exit code {code}"
        if code is None:
            how = "can no longer be heard"
        doing = f" while it made the batch of {_shortened(self.tasks[0])}" if self.tasks else ""
        notes = self._read_notes().strip()[-4000:]
        return f"Worker {self.number} of the DataLoader (process {self.process.pid}) {how}{doing}." + (
            f" It was at:\n{notes}" if notes else " Try num_workers=0 to see the error where it happens."
        )


def _shortened(task: Any) -> str:
    if isinstance(task, str):
        return task
    if isinstance(task, slice | range):
        return f"samples {task.start} to {task.stop - 1}"
    numbers = list(task) if hasattr(task, "__iter__") else [task]
    listed = ", ".join(str(n) for n in numbers[:8])
    return f"samples {listed}" + (f" and {len(numbers) - 8} more" if len(numbers) > 8 else "")


@contextlib.contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    """Processes that are started inside never get Ctrl-C, which is for this one; also not while they start."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which unblocks it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _context(context: Any) -> Any:
    """The way to start processes: a fork server that has Lamina loaded, or fresh processes."""
    if context is not None and not isinstance(context, str):
        return context
    methods = multiprocessing.get_all_start_methods()
    name = context or ("forkserver" if "forkserver" in methods else "spawn")
    if name not in methods:
        raise ArgumentError(f"multiprocessing_context is one of {', '.join(map(repr, methods))}, got {name!r}.")
    chosen: Any = multiprocessing.get_context(name)
    if name == "forkserver":
        chosen.set_forkserver_preload(["__main__", "lamina.data.worker_main"])
    return chosen


def _stop(workers: list[_Worker]) -> None:
    """End workers: ask, then insist."""
    for worker in workers:
        with contextlib.suppress(OSError):
            worker.connection.send((None, []))
        with contextlib.suppress(OSError):
            worker.connection.close()
    deadline = time.monotonic() + _PATIENCE
    for stop in ("", "terminate", "kill"):
        for worker in workers:
            if stop and worker.process.is_alive():
                getattr(worker.process, stop)()
            if worker.process.pid is not None:
                worker.process.join(max(deadline - time.monotonic(), 0.05) if not stop else 1.0)
    workers.clear()
