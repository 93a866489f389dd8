"""``DataLoader``: batches of a dataset, with PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.data.datasets import Subset, TensorDataset, is_stream
from lamina.data.fetch import Fetcher
from lamina.data.keys import all_keyed, seed_from
from lamina.data.memory import InMemory, Pass, fits
from lamina.data.samplers import BatchSampler, EpochSampler, RandomSampler, SequentialSampler


class DataLoader:
    """Batches of a dataset, epoch by epoch: each ``iter(loader)`` is the next epoch.

    The order of the samples and all random numbers drawn while samples are made depend on (seed, epoch, index) only:
    0, 1 and 8 workers give the same batches, and a loader that ``load_state_dict`` put back in the middle of an
    epoch goes on with the same.

    Args:
        dataset: samples by number (``__getitem__`` and ``__len__``, also of PyTorch and Hugging Face), or a stream.
        batch_size: samples in a batch; ``None`` gives the samples as they are.
        shuffle: whether each epoch has a new order.
        sampler: gives the order instead.
        batch_sampler: gives lists of the numbers of a batch, instead of ``batch_size`` and the rest.
        num_workers: processes that make batches ahead; 0 makes each when it is asked for.
        collate_fn: makes a batch of a list of samples; default ``default_collate``.
        pin_memory: accepted for PyTorch's sake; memory needs no pinning here.
        drop_last: whether to leave out a last batch that is smaller.
        timeout: longest time in seconds to wait for a batch from the workers; 0 for any time.
        worker_init_fn: called in each worker with its number.
        multiprocessing_context: how workers start: ``"forkserver"``, ``"spawn"`` or ``"fork"``.
        generator: the seed (int) or a generator that gives one; default from ``lamina.random``.
        prefetch_factor: batches that each worker makes ahead; default 2.
        persistent_workers: whether workers live on between epochs.
        pin_memory_device: accepted for PyTorch's sake.
        in_order: accepted for PyTorch's sake: batches always come in order.
        seed: an int, short for ``generator``.

    Raises:
        ArgumentError: arguments that exclude each other or are out of their range.
        WorkerError: while iterating: a worker failed or was killed; with its traceback.

    Example:
        >>> import numpy as np
        >>> from lamina.data import TensorDataset
        >>> loader = DataLoader(TensorDataset(np.arange(5), np.arange(5) ** 2), batch_size=2)
        >>> for x, y in loader:
        ...     print(x.tolist(), y.tolist())
        [0, 1] [0, 1]
        [2, 3] [4, 9]
        [4] [16]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        seed: int | None = None,
    ) -> None:
        _check_count("num_workers", num_workers)
        if timeout < 0:
            raise ArgumentError(f"timeout is a time of at least 0 seconds, got {timeout}.")
        if num_workers == 0 and prefetch_factor is not None:
            raise ArgumentError("prefetch_factor is for workers: give num_workers as well.")
        if num_workers == 0 and persistent_workers:
            raise ArgumentError("persistent_workers is for workers: give num_workers as well.")
        if prefetch_factor is not None:
            _check_count("prefetch_factor", prefetch_factor, least=1)
        if generator is not None and seed is not None:
            raise ArgumentError("Give seed or generator, not both.")
        self.dataset, self.num_workers, self.timeout = dataset, num_workers, float(timeout)
        self.prefetch_factor = (2 if prefetch_factor is None else prefetch_factor) if num_workers else None
        self.persistent_workers, self.worker_init_fn = persistent_workers, worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.pin_memory, self.pin_memory_device, self.in_order = pin_memory, pin_memory_device, in_order
        self.collate_fn = collate_fn
        self.generator = generator if seed is None else seed
        self._seed: int | None = None
        self._stream = is_stream(dataset)
        self._epoch = 0  # of the next iteration
        self._resume_at = 0  # batches of it that were had before
        self._current: LoaderIterator | Pass | None = None
        self._pool: Any = None
        self._set_order(batch_size, shuffle, sampler, batch_sampler, drop_last)

    def _set_order(
        self, batch_size: int | None, shuffle: bool | None, sampler: Any, batch_sampler: Any, drop_last: bool
    ) -> None:
        if self._stream and (shuffle or sampler is not None or batch_sampler is not None):
            given = "sampler" if sampler is not None else "batch_sampler" if batch_sampler is not None else "shuffle"
            raise ArgumentError(
                f"{given} cannot be given for a stream ({type(self.dataset).__name__} has no samples by number): "
                "shuffle inside the stream, or use lamina.data.Pipeline."
            )
        if sampler is not None and shuffle:
            raise ArgumentError("sampler and shuffle exclude each other: the sampler gives the order.")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ArgumentError("batch_sampler excludes batch_size, shuffle, sampler and drop_last.")
        if batch_sampler is not None:
            batch_size = None
        elif batch_size is None:
            if drop_last:
                raise ArgumentError("drop_last needs batches; batch_size is None.")
        else:
            _check_count("batch_size", batch_size, least=1)
        if sampler is None and not self._stream and batch_sampler is None:
            sampler = RandomSampler(self.dataset) if shuffle else SequentialSampler(self.dataset)
        self.sampler: Any = sampler
        if batch_sampler is None and batch_size is not None and not self._stream:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
            self._own_batches = True
        else:
            self._own_batches = False
        self.batch_sampler: Any = batch_sampler
        self.batch_size, self.drop_last = batch_size, drop_last
        self.batched = batch_size is not None or batch_sampler is not None

    @property
    def seed(self) -> int:
        """The seed of orders and random numbers, drawn when it is first needed."""
        if self._seed is None:
            own = getattr(self.sampler, "generator", None) if self.generator is None else self.generator
            self._seed = seed_from(own)
        return self._seed

    def __len__(self) -> int:
        if self._stream:
            rows = len(self.dataset)
            if self.batch_size is None:
                return rows
            return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)
        return len(self.batch_sampler if self.batch_sampler is not None else self.sampler)

    def __iter__(self) -> LoaderIterator:
        iterator = LoaderIterator(self, *self._take_ticket())
        self._current = iterator
        return iterator

    def _take_ticket(self) -> tuple[int, int]:
        """The number of the next epoch, and how many of its batches were had before."""
        epoch, skip = self._epoch, self._resume_at
        self._epoch, self._resume_at = epoch + 1, 0
        return epoch, skip

    def _order_of(self, epoch: int) -> np.ndarray:
        rows: np.ndarray = self.sampler.indices(epoch, self.seed)
        if self.drop_last and self.batch_size:
            rows = rows[: len(rows) - len(rows) % self.batch_size]
        indices = getattr(self.dataset, "indices", None)
        return rows if indices is None else np.asarray(indices, np.int64)[rows]

    def in_memory(self) -> InMemory | None:
        """The arrays, where batches are nothing but their rows: then ``fit`` needs no loop over batches."""
        dataset = self.dataset
        whole = dataset.dataset if type(dataset) is Subset else dataset
        if (
            type(whole) is not TensorDataset
            or self.collate_fn is not None
            or not self._own_batches
            or not isinstance(self.sampler, EpochSampler)
            or type(self).__iter__ is not DataLoader.__iter__
            or not fits(whole.arrays)
        ):
            return None
        assert self.batch_size is not None
        rows = len(self.sampler)
        rows -= rows % self.batch_size if self.drop_last else 0
        shuffled = whole is not dataset or not isinstance(self.sampler, SequentialSampler)
        return InMemory(self, list(whole.arrays), self.batch_size, rows, shuffled) if rows else None

    def fetcher(self) -> Fetcher:
        """What makes the batches, here or in workers."""
        return Fetcher(self.dataset, self.collate_fn, self.batched, self.seed)

    # --- the order --------------------------------------------------------------------------------
    def orders(self, epoch: int, skip: int) -> Iterator[Any]:
        """The numbers of the samples of each batch of an epoch, the first ``skip`` batches left out."""
        if self.batch_sampler is None:
            yield from self._numbers(epoch)[skip:]
        elif self._own_batches and isinstance(self.sampler, EpochSampler):
            yield from self._slices(epoch, skip)
        else:
            for sampler in (self.batch_sampler, getattr(self.batch_sampler, "sampler", None)):
                if callable(set_epoch := getattr(sampler, "set_epoch", None)):
                    set_epoch(epoch)
            with all_keyed(self.seed, epoch):  # a user's sampler draws the same order when it is resumed
                batches = iter(self.batch_sampler)
                if hasattr(self.batch_sampler, "__len__"):
                    batches = iter(list(batches))
            for number, batch in enumerate(batches):
                if number >= skip:
                    yield batch

    def _numbers(self, epoch: int) -> Any:
        if isinstance(self.sampler, EpochSampler):
            return self.sampler.indices(epoch, self.seed)
        if callable(set_epoch := getattr(self.sampler, "set_epoch", None)):
            set_epoch(epoch)
        with all_keyed(self.seed, epoch):
            return list(self.sampler)

    def _slices(self, epoch: int, skip: int) -> Iterator[Any]:
        gathered = hasattr(self.dataset, "gather") and self.collate_fn is None
        assert self.batch_size is not None
        size, rows = self.batch_size, len(self.sampler)
        stop = rows - rows % size if self.drop_last else rows
        if isinstance(self.sampler, SequentialSampler):
            for at in range(skip * size, stop, size):
                yield slice(at, min(at + size, stop)) if gathered else range(at, min(at + size, stop))
            return
        order = self.sampler.indices(epoch, self.seed)
        for at in range(skip * size, stop, size):
            yield order[at : at + size]

    # --- the state --------------------------------------------------------------------------------
    def set_epoch(self, epoch: int) -> None:
        """Make this the number of the next iteration."""
        self._epoch, self._resume_at, self._current = epoch, 0, None

    def state_dict(self) -> dict[str, Any]:
        """Where the loader is: epoch, batches had of it, and seed; plain numbers, and the state of a stream.

        Example:
            >>> loader = DataLoader(range(6), batch_size=2, shuffle=True, seed=3)
            >>> batches = iter(loader)
            >>> first = next(batches)
            >>> other = DataLoader(range(6), batch_size=2, shuffle=True)
            >>> other.load_state_dict(loader.state_dict())
            >>> [b.tolist() for b in other] == [b.tolist() for b in batches]
            True
        """
        epoch, batch = self._epoch, self._resume_at
        if self._current is not None and not self._current.finished:
            epoch, batch = self._current.epoch, self._current.position
        state: dict[str, Any] = {"epoch": epoch, "batch": batch, "seed": self.seed}
        if self._stream and hasattr(self.dataset, "state_dict"):
            began = getattr(self._current, "began", None)
            state["dataset"] = self.dataset.state_dict() if began is None else began
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a loader was: the next iteration begins with the batch that comes after.

        Args:
            state: what ``state_dict`` returned.
        """
        for key in ("epoch", "batch", "seed"):
            if key not in state:
                raise ArgumentError(f"This is no state of a DataLoader: it has no {key!r}; it has {sorted(state)}.")
        self._epoch, self._resume_at = int(state["epoch"]), int(state["batch"])
        self._seed, self._current = int(state["seed"]), None
        self._close_pool()
        if "dataset" in state:
            self.dataset.load_state_dict(state["dataset"])

    def __getstate__(self) -> dict[str, Any]:
        """What a copy has: the settings and the place, but no running iteration and no workers."""
        epoch, batch = self._epoch, self._resume_at
        if self._current is not None and not self._current.finished:
            epoch, batch = self._current.epoch, self._current.position
        return {**vars(self), "_current": None, "_pool": None, "_epoch": epoch, "_resume_at": batch}

    # --- workers ----------------------------------------------------------------------------------
    def pool(self) -> Any:
        """The worker processes, started when they are first needed."""
        from lamina.data.workers import Pool

        if self._pool is None or self._pool.closed:
            self._pool = Pool(
                self.fetcher(), self.num_workers, self.multiprocessing_context, self.worker_init_fn, self.timeout
            )
        return self._pool

    def _close_pool(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def release(self, pool: Any) -> None:
        """An iteration needs its workers no longer."""
        if not self.persistent_workers:
            pool.close()
            if pool is self._pool:
                self._pool = None


class LoaderIterator:
    """One epoch of a ``DataLoader``.

    Attributes:
        epoch: its number.
        position: how many of its batches were had.
        finished: whether there are no more.
    """

    def __init__(self, loader: DataLoader, epoch: int, skip: int) -> None:
        self.loader, self.epoch, self.position, self.finished = loader, epoch, skip, False
        # A stream that keeps a state: that of its beginning, from where its samples are counted.
        has_state = loader._stream and hasattr(loader.dataset, "state_dict")
        self.began = loader.dataset.state_dict() if has_state else None
        self._batches = self._in_workers(skip) if loader.num_workers else self._here(skip)

    def __iter__(self) -> LoaderIterator:
        return self

    def __next__(self) -> Any:
        try:
            batch = next(self._batches)
        except StopIteration:
            self.finished = True
            raise
        self.position += 1
        return batch

    def __len__(self) -> int:
        return len(self.loader)

    def close(self) -> None:
        """End the iteration, and its workers."""
        self._batches.close()

    def _here(self, skip: int) -> Generator[Any, None, None]:
        loader = self.loader
        fetcher = loader.fetcher()
        if loader._stream:
            for number, group in fetcher.groups(self.epoch, loader.batch_size, loader.drop_last, skip):
                if number >= skip:
                    yield fetcher.batch_of(group)
            return
        for indices in loader.orders(self.epoch, skip):
            yield fetcher.fetch(self.epoch, indices)

    def _in_workers(self, skip: int) -> Generator[Any, None, None]:
        loader = self.loader
        pool = loader.pool()
        try:
            if loader._stream:
                yield from pool.stream(self.epoch, loader.batch_size, loader.drop_last, skip, loader.prefetch_factor)
            else:
                yield from pool.map(self.epoch, loader.orders(self.epoch, skip), loader.prefetch_factor)
        except GeneratorExit:  # whoever iterates has left
            raise
        except BaseException:  # a message may have been cut in two
            pool.close()
            raise
        finally:
            loader.release(pool)


def _check_count(name: str, value: Any, least: int = 0) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(f"{name} is an integer of at least {least}, got {value!r}.")
