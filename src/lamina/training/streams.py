"""Batches that come one after the other: from generators, loaders, and objects with ``__getitem__``.

Each batch is ``x``, ``(x, y)`` or ``(x, y, sample_weight)``.  Batches of one shape share a compiled step.
"""

from __future__ import annotations

import collections
import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from lamina import random
from lamina.core.errors import ArgumentError, DataError
from lamina.core.trees import flatten, unflatten
from lamina.training import checks
from lamina.training.arrays import Data, unpack
from lamina.training.callbacks import CallbackList
from lamina.training.checkpoint_tree import has_state, random_state, set_random_state
from lamina.training.compiled import Compiled, as_logs
from lamina.training.guard import Guard
from lamina.training.interrupt import Interruptible
from lamina.training.progress import Progress
from lamina.training.recorder import Recorder
from lamina.training.runner import BATCHES, Watch, check_form, wants_to_stop, warn_of_missing
from lamina.training.state import Training


class PyDataset:
    """Batches by number: a subclass has ``__getitem__(self, index)`` and ``__len__``, or ``num_batches``.

    Args:
        workers: how many threads make batches ahead; with 1 each batch is made when it is needed.
        use_multiprocessing: accepted for Keras's sake; the workers are threads.
        max_queue_size: how many batches may wait.

    Example:
        >>> import numpy as np
        >>> class Squares(PyDataset):
        ...     def __len__(self):
        ...         return 2
        ...     def __getitem__(self, index):
        ...         x = np.arange(4.0).reshape(4, 1) + 4 * index
        ...         return x, x**2
        >>> Squares().num_batches
        2
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers, self.use_multiprocessing = checks.check_positive("workers", workers, 0), use_multiprocessing
        self.max_queue_size = checks.check_positive("max_queue_size", max_queue_size)

    def __getitem__(self, index: int) -> Any:
        """The batch of this number."""
        raise NotImplementedError(f"{type(self).__name__} does not implement __getitem__(self, index).")

    def __iter__(self) -> Iterator[Any]:
        numbers = itertools.count() if self.num_batches is None else range(self.num_batches)
        return map(self.__getitem__, numbers)

    @property
    def num_batches(self) -> int | None:
        """The number of batches, ``None`` for one that never ends."""
        return len(self) if hasattr(self, "__len__") else None

    def on_epoch_begin(self) -> None:
        """An epoch starts."""

    def on_epoch_end(self) -> None:
        """An epoch is over."""


def is_stream(x: Any) -> bool:
    """Whether this gives batches, rather than being an array (or a list or dict of them) with all samples."""
    if type(x) is np.ndarray or x is None or isinstance(x, list | tuple | Mapping | str | bytes | range):
        return False
    if hasattr(x, "__array__") or hasattr(x, "__dlpack__"):
        return False
    return isinstance(x, PyDataset) or hasattr(x, "__iter__") or hasattr(x, "__next__") or hasattr(x, "__getitem__")


class Batches:
    """Iterators over the batches of a source.

    Args:
        source: a generator, another iterable, or an object with ``__getitem__``.
        shuffle: whether to take the batches of an object with ``__getitem__`` and a length in a new order each time.
    """

    def __init__(self, source: Any, shuffle: bool = False) -> None:
        self.source, self.shuffle = source, shuffle
        self.indexed = isinstance(source, PyDataset) or not (hasattr(source, "__iter__") or hasattr(source, "__next__"))
        if isinstance(source, PyDataset):
            self.count = source.num_batches
        else:
            try:
                self.count = len(source)
            except TypeError:  # an iterable whose length is not known
                self.count = None
        if self.count == 0:
            raise DataError(f"The {type(source).__name__} has no batches.")
        self.has_state = has_state(source)
        self.seed: int | None = None  # of the order of the last iteration, where the batches are mixed

    def __iter__(self) -> Iterator[Any]:
        if not self.indexed:
            return iter(self.source)
        return self._by_number(self._numbers())

    def _by_number(self, numbers: Iterator[int]) -> Iterator[Any]:
        workers = getattr(self.source, "workers", 1) or 1
        if workers == 1:
            return map(self.source.__getitem__, numbers)
        return self._ahead(numbers, workers)

    def _numbers(self) -> Iterator[int]:
        if self.count is None:
            number = 0
            while True:
                yield number
                number += 1
        elif self.shuffle:
            self.seed = seed = random.make_seed()
            yield from np.random.Generator(np.random.Philox(key=seed)).permutation(self.count).tolist()
        else:
            yield from range(self.count)

    def go_on(self, seed: int | None, seen: int) -> Iterator[Any]:
        """Batches by number, in the order of that seed, after so many of them."""
        self.seed = seed
        if self.count is None:
            numbers: Iterator[int] = itertools.count(seen)
        elif seed is None:
            numbers = iter(range(seen, self.count))
        else:
            order = np.random.Generator(np.random.Philox(key=seed)).permutation(self.count)
            numbers = iter(order[seen:].tolist())
        return self._by_number(numbers)

    def _ahead(self, numbers: Iterator[int], workers: int) -> Iterator[Any]:
        """The batches in order, while threads make the next ones."""
        waiting: collections.deque[Future[Any]] = collections.deque()
        with ThreadPoolExecutor(workers) as pool:
            for number in numbers:
                waiting.append(pool.submit(self.source.__getitem__, number))
                if len(waiting) >= self.source.max_queue_size:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def tell(self, event: str) -> None:
        """Call ``on_epoch_begin`` or ``on_epoch_end`` of a source that has it."""
        method = getattr(self.source, event, None)
        if callable(method):
            method()


class StreamRunner:
    """Runs training or evaluation steps over batches as they come.

    Args:
        training: the state of the model.
        compiled: how it was compiled.
        batches: where the batches come from.
        limit: end an epoch after this many; the next goes on from there.
        what: name of the argument that set the limit.
        prepare: makes checked ``Data`` of a batch.
        kind: ``"train"`` or ``"test"``.
        listeners: who is told.
        progress: what is shown.
    """

    def __init__(
        self,
        training: Training,
        compiled: Compiled,
        batches: Batches,
        limit: int | None,
        what: str,
        prepare: Callable[[Any], Data],
        kind: str,
        listeners: CallbackList,
        progress: Progress,
    ) -> None:
        self.training, self.compiled, self.batches_of, self.prepare = training, compiled, batches, prepare
        self.kind, self.listeners, self.progress = kind, listeners, progress
        self.limit = None if limit is None else checks.check_positive(what, limit)
        self.what = what
        self.batches = listeners.wants_batches(kind)
        self.steps = self.limit if self.limit is not None else batches.count
        self.custom = training.steps.is_custom(kind)
        self.done = 0
        self.watches: list[Watch] = []
        self.guard: Guard | None = None
        self.recorder: Recorder | None = None
        self._iterator: Iterator[Any] | None = None
        self._seen = 0  # batches that the iterator has given
        self._began: Any = None  # the random state when it was made, for sources that keep no state of their own
        self._resumed = False  # whether the next epoch is one that had begun
        self._example: Data | None = None
        self._first: Any = None  # a batch that was looked at to build the model
        self._opened: Iterator[Any] | None = None  # an iterator from which one was taken for that
        self._returned: Any = None

    def run(self, interrupt: Interruptible) -> None:
        """Run one epoch: all batches, or as many as the limit allows."""
        if not self._resumed:
            self.batches_of.tell("on_epoch_begin")
            if self._iterator is None or self.limit is None or self.kind == "test":
                self._open()
            self.done = 0
        self._resumed = False
        assert self._iterator is not None
        going = True
        while going and (self.limit is None or self.done < self.limit):
            wanted = self.compiled.steps_per_execution
            if self.limit is not None:
                wanted = min(wanted, self.limit - self.done)
            group = [batch for _, batch in zip(range(wanted), self._iterator, strict=False)]
            if not group:
                break
            going = self._call(group, interrupt)
        if going and self.limit is not None and self.done < self.limit:
            warn_of_missing(self.what, self.limit, self.done)
        if self.limit is None:
            self._iterator = None
            self.steps = self.done or self.steps
        elif self.batches_of.count is not None and self._seen >= self.batches_of.count:
            next(self._iterator, None)  # so that the source knows that it is at its end
            self._iterator = None
        self.batches_of.tell("on_epoch_end")
        if not self.done:
            warnings.warn("The data ran out: an epoch had no batches. Give one that can start again.", stacklevel=3)

    def _open(self) -> None:
        """Begin with the source again."""
        opened, self._opened = self._opened, None
        if opened is not None:
            self._iterator, self._seen = opened, 0
            return
        if self.watches and not self.batches_of.has_state:
            self._began = random_state(copy=True)
        self._iterator, self._seen = iter(self.batches_of), 0

    def _call(self, group: list[Any], interrupt: Interruptible) -> bool:
        steps = self.training.steps
        if self.batches:
            self.listeners.tell(f"on_{self.kind}_batch_begin", self.done, {})
        for i, batch in enumerate(group):
            data = self.prepare(batch)
            step = steps.train(data, data.rows, False) if self.kind == "train" else steps.test(data, data.rows)
            arrays = data.arrays()
            if self.guard is not None:
                step.prepare(arrays)
                self.guard.before(captured=step.compiled is not None)
            if self.recorder is not None:
                self.recorder.before(data, None, -1)
            self._returned = step.run(arrays)
            if self.recorder is not None:
                self.recorder.after(self.done + i, 1, arrays, self._returned)
            if self.guard is not None:
                self.guard.after(step, data, arrays, -1, 1, data.rows, False, self.done + i, self._returned)
        interrupt.check()
        self.done += len(group)
        self._seen += len(group)
        if self.batches:
            self.listeners.tell(f"on_{self.kind}_batch_end", self.done - 1, self.logs())
        if self.progress.due():
            self.progress.update(self.done, self.logs())
        for watch in self.watches:
            watch.after_steps(len(group))
        return not (self.batches and wants_to_stop(self.training.model, self.kind))

    def logs(self) -> dict[str, Any]:
        """Losses and metrics so far; those that the last step returned, where the model has its own."""
        return as_logs(self._returned) if self.custom else self.compiled.results()

    # --- the state, for checkpoints -----------------------------------------------------------------
    def state(self) -> dict[str, Any]:
        """Where in the source this is: plain data and arrays.

        A source with ``state_dict`` and ``load_state_dict`` tells; batches by number are counted; of any other source
        the random state at its start is kept, and as many batches are drawn from it again.
        """
        source, is_open = self.batches_of, self._iterator is not None
        return {
            "open": is_open,
            "done": self.done,
            "seen": self._seen,
            "seed": source.seed,
            "source": source.source.state_dict() if source.has_state else None,
            "began": self._began if is_open and not (source.has_state or source.indexed) else None,
            "returned": as_logs(self._returned) if self.custom and self._returned is not None else None,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on there.

        Raises:
            ArgumentError: it is a place in data of another form.
            DataError: the source gives fewer batches than it had given.
        """
        check_form(state, BATCHES)
        source, now = self.batches_of, random_state(copy=True)
        self.done, self._seen, self._returned = state["done"], state["seen"], state["returned"]
        if source.has_state:
            if self.kind == "train":
                self._first = next(iter(source), None)
            source.source.load_state_dict(state["source"])
            self._iterator = iter(source) if state["open"] else None
            if source.indexed and state["open"]:
                self._iterator = source.go_on(state["seed"], self._seen)
        elif source.indexed:
            self._first = source.source[0] if self.kind == "train" else None
            self._iterator = source.go_on(state["seed"], self._seen) if state["open"] else None
        elif state["open"]:
            self._skip(state)
        elif self.kind == "train":
            iterator = iter(source)
            self._first = next(iterator, None)
            self._opened = itertools.chain([self._first], iterator)
            return  # what it has drawn for that batch stays drawn
        set_random_state(now)

    def _skip(self, state: dict[str, Any]) -> None:
        """Draw again what was drawn."""
        self._began = state["began"]
        set_random_state(self._began)
        self._iterator = iter(self.batches_of)
        for i in range(self._seen):
            batch = next(self._iterator, None)
            if batch is None:
                raise DataError(f"The run that is to go on had {self._seen} batches; the source gives only {i} now.")
            self._first = batch if i == 0 else self._first

    def go_on(self) -> None:
        """Let the next ``run`` finish the epoch that had begun when the state was saved."""
        self._resumed = True

    def build(self) -> None:
        """Build the model by the first batch."""
        first, self._first = self._first, None
        if first is not None:
            self._example = self.prepare(first)

    def prepare_steps(self) -> None:
        """Capture the step, which makes all variables that it needs."""
        data = self._example
        if data is not None:
            self.training.steps.train(data, data.rows, False).prepare(data.arrays())


def predict_batches(
    training: Training,
    batches: Batches,
    limit: int | None,
    prepare: Callable[[Any], Data],
    listeners: CallbackList,
    interrupt: Interruptible,
    progress: Progress,
) -> Any:
    """Run ``predict`` over batches as they come, and join the outputs by rows."""
    told = listeners.wants_batches("predict")
    limit = None if limit is None else checks.check_positive("steps", limit)
    parts: list[list[np.ndarray]] = []
    structure: Any = None
    for i, batch in enumerate(batches):
        if told:
            listeners.tell("on_predict_batch_begin", i, {})
        data = prepare(unpack(batch)[0])
        outputs, structure = flatten(training.steps.predict(data, data.rows).run(data.x))
        parts.append([np.array(o) for o in outputs])
        interrupt.check()
        if told:
            listeners.tell("on_predict_batch_end", i, {"outputs": unflatten(structure, parts[-1])})
        if progress.due():
            progress.update(i + 1, {})
        if i + 1 == limit or (told and wants_to_stop(training.model, "predict")):
            break
    if limit is not None and len(parts) < limit:
        warn_of_missing("steps", limit, len(parts))
    if not parts:
        raise ArgumentError("There was no batch to predict.")
    return unflatten(structure, [np.concatenate(arrays) for arrays in zip(*parts, strict=True)])
