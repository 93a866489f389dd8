"""``Pipeline``: data as a chain of stages, in the manner of ``tf.data``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, DataError
from lamina.core.primitive import wrap
from lamina.data import nodes, transforms
from lamina.data.buckets import Bucketed
from lamina.data.caching import Cache
from lamina.data.elements import as_tensors, normalise
from lamina.data.keys import seed_from
from lamina.data.memory import InMemory, Pass, fits
from lamina.data.nodes import INFINITE, UNKNOWN, Node, begin, map_spec, spec_of, stages
from lamina.data.padding import PaddedBatch
from lamina.data.sources import Sources
from lamina.data.transforms import AUTOTUNE

INFINITE_CARDINALITY, UNKNOWN_CARDINALITY = INFINITE, UNKNOWN


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of a part of an element; ``None`` in the shape stands for any size."""

    shape: tuple[int | None, ...] | None = ()
    dtype: np.dtype[Any] = np.dtype(np.float32)  # noqa: RUF009 (dtypes do not change)
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", None if self.shape is None else tuple(self.shape))
        object.__setattr__(self, "dtype", np.dtype(self.dtype))


class Options:
    """Accepted by ``Pipeline.with_options`` for ``tf.data``'s sake: attributes may be set, and nothing follows."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = Options()
        setattr(self, name, made)
        return made


class Pipeline(Sources):
    """A chain of stages that gives elements, one after the other; each method returns a longer chain.

    An element is a Tensor, or a tuple or dict of them (lists become Tensors); a batch of strings is
    a NumPy array of objects.
    Functions given to ``map`` and the others get Tensors, the parts of a tuple as arguments of their own.

    Each ``iter(pipeline)`` is a new pass, with a new order and new random numbers unless a seed says
    otherwise by ``reshuffle_each_iteration=False``.  ``state_dict`` tells where a pass is; a pipeline of the same
    stages goes on there after ``load_state_dict``.

    Example:
        >>> data = Pipeline.from_tensor_slices(([1, 2, 3], [10, 20, 30])).map(lambda x, y: x + y).batch(2)
        >>> [batch.tolist() for batch in data]
        [[11, 22], [33]]
    """

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._current: PipelineIterator | Pass | None = None
        self._resume: tuple[nodes.Run, int] | None = None

    # --- stages -----------------------------------------------------------------------------------
    def _then(self, node: Node) -> Pipeline:
        return Pipeline(node)

    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        synchronous: bool | None = None,
        use_unbounded_threadpool: bool = False,
        name: str | None = None,
        *,
        seed: int | None = None,
    ) -> Pipeline:
        """A function of each element.

        A layer (``layers.Pipeline`` and models are layers too) is compiled, and changes the first part of a tuple: of
        ``(images, labels)`` the images.  A ``lamina.function`` is compiled too.  Both are best given whole batches, of
        few different shapes.  Other functions run as Python.

        Args:
            map_func: gets Tensors and returns Tensors, arrays or numbers, or tuples or dicts of them; or a layer.
            num_parallel_calls: in how many threads to call it; ``AUTOTUNE`` finds out.  Order and results are the same.
            deterministic: accepted for ``tf.data``'s sake: the order is always that of the input.
            seed: of ``lamina.data.rng()`` inside the function; default from ``lamina.random``.

        Example:
            >>> [int(x) for x in Pipeline.range(3).map(lambda x: x * 2)]
            [0, 2, 4]
        """
        return self._then(transforms.Map(self._node, _function("map_func", map_func), num_parallel_calls, seed))

    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Pipeline:
        """Elements put together to batches.

        Args:
            batch_size: elements in a batch.
            drop_remainder: whether to leave out a last batch that is smaller.
        """
        return self._then(nodes.Batch(self._node, _positive("batch_size", batch_size), drop_remainder))

    def padded_batch(
        self,
        batch_size: int,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Pipeline:
        """Elements padded at their ends to one shape and put together.

        Args:
            batch_size: elements in a batch.
            padded_shapes: the shape, or one for each part; ``None`` in it for the largest of the batch.
            padding_values: what to pad with, or one for each part; default 0, or empty strings.
            drop_remainder: whether to leave out a last batch that is smaller.

        Example:
            >>> ragged = Pipeline.from_generator(lambda: [[1], [2, 3]])
            >>> next(iter(ragged.padded_batch(2))).tolist()
            [[1, 0], [2, 3]]
        """
        size = _positive("batch_size", batch_size)
        return self._then(PaddedBatch(self._node, size, drop_remainder, padded_shapes, padding_values))

    def unbatch(self, name: str | None = None) -> Pipeline:
        """The rows of each element."""
        return self._then(transforms.Unbatch(self._node))

    def rebatch(self, batch_size: int, drop_remainder: bool = False, name: str | None = None) -> Pipeline:
        """Batches of another size."""
        return self.unbatch().batch(batch_size, drop_remainder)

    def shuffle(
        self,
        buffer_size: int,
        seed: Any = None,
        reshuffle_each_iteration: bool | None = None,
        name: str | None = None,
    ) -> Pipeline:
        """Elements drawn at random from a buffer of those that come next; the whole, if it fits in.

        Args:
            buffer_size: places in the buffer.
            seed: an int; default from ``lamina.random``.
            reshuffle_each_iteration: whether each pass has a new order; default yes.

        Example:
            >>> sorted(int(x) for x in Pipeline.range(4).shuffle(4, seed=1))
            [0, 1, 2, 3]
        """
        if buffer_size is None or buffer_size < 0:
            size = self._node.length()
            if size < 0:
                raise ArgumentError("buffer_size is a positive integer: the number of elements is not known here.")
            buffer_size = max(size, 1)
        reshuffle = True if reshuffle_each_iteration is None else bool(reshuffle_each_iteration)
        given = None if seed is None else seed_from(seed)
        return self._then(nodes.Shuffle(self._node, _positive("buffer_size", buffer_size), given, reshuffle))

    def repeat(self, count: int | None = None, name: str | None = None) -> Pipeline:
        """The elements so many times, or without end."""
        return self._then(nodes.Repeat(self._node, -1 if count is None else int(count)))

    def take(self, count: int, name: str | None = None) -> Pipeline:
        """The first ``count`` elements; all for -1."""
        return self._then(nodes.Take(self._node, int(count)))

    def skip(self, count: int, name: str | None = None) -> Pipeline:
        """All but the first ``count`` elements."""
        return self._then(nodes.Skip(self._node, int(count)))

    def shard(self, num_shards: int, index: int, name: str | None = None) -> Pipeline:
        """Every ``num_shards``-th element, from number ``index`` on."""
        if not 0 <= index < num_shards:
            raise ArgumentError(f"index lies between 0 and num_shards - 1 = {num_shards - 1}; got {index}.")
        return self._then(nodes.Shard(self._node, int(num_shards), int(index)))

    def filter(self, predicate: Callable[..., Any], name: str | None = None) -> Pipeline:
        """The elements for which a function is true."""
        return self._then(transforms.Filter(self._node, _function("predicate", predicate)))

    def take_while(self, predicate: Callable[..., Any], name: str | None = None) -> Pipeline:
        """The elements up to the first for which a function is false."""
        return self._then(transforms.TakeWhile(self._node, _function("predicate", predicate)))

    def enumerate(self, start: int = 0, name: str | None = None) -> Pipeline:
        """``(number, element)``."""
        return self._then(transforms.Enumerate(self._node, start))

    def prefetch(self, buffer_size: int | None = None, name: str | None = None) -> Pipeline:
        """Elements made ahead in a thread, at most ``buffer_size``."""
        return self._then(transforms.Prefetch(self._node, AUTOTUNE if buffer_size is None else int(buffer_size)))

    def cache(self, filename: Any = "", name: str | None = None) -> Pipeline:
        """The elements of the first whole pass, kept in memory or in a file, again in each.

        Args:
            filename: beginning of the file's name; default none.
        """
        return self._then(Cache(self._node, str(filename)))

    def concatenate(self, dataset: Pipeline, name: str | None = None) -> Pipeline:
        """The elements of another pipeline after those of this one."""
        return self._then(nodes.Concatenate(self._node, dataset._node))

    def flat_map(self, map_func: Callable[..., Pipeline], name: str | None = None) -> Pipeline:
        """The elements of the pipelines that a function makes of the elements, one pipeline after the other."""
        return self._then(transforms.Interleave(self._node, _function("map_func", map_func), 1, 1))

    def interleave(
        self,
        map_func: Callable[..., Pipeline],
        cycle_length: int | None = None,
        block_length: int | None = None,
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Pipeline:
        """The elements of the pipelines that a function makes of the elements, some of them by turns.

        Args:
            map_func: makes a pipeline of an element.
            cycle_length: how many pipelines take turns; default 4.
            block_length: elements at each turn; default 1.

        Example:
            >>> twice = Pipeline.range(1, 4).interleave(lambda x: Pipeline.from_tensors(x).repeat(3), 2, 2)
            >>> [int(x) for x in twice]
            [1, 1, 2, 2, 1, 2, 3, 3, 3]
        """
        cycle = 4 if cycle_length is None or cycle_length < 0 else _positive("cycle_length", cycle_length)
        block = _positive("block_length", 1 if block_length is None else block_length)
        return self._then(transforms.Interleave(self._node, _function("map_func", map_func), cycle, block))

    def window(
        self,
        size: int,
        shift: int | None = None,
        stride: int = 1,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Pipeline:
        """Elements in windows, each a pipeline of its own.

        Args:
            size: elements in a window.
            shift: how far the next window lies; default ``size``.
            stride: from how many elements one is taken.
            drop_remainder: whether to leave out windows that are not full.

        Example:
            >>> windows = Pipeline.range(5).window(3, shift=1, drop_remainder=True).flat_map(lambda w: w.batch(3))
            >>> [w.tolist() for w in windows]
            [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
        """
        size = _positive("size", size)
        shift = size if shift is None else _positive("shift", shift)
        stride = _positive("stride", stride)
        return self._then(transforms.Window(self._node, size, shift, stride, drop_remainder, Pipeline))

    def scan(self, initial_state: Any, scan_func: Callable[..., Any], name: str | None = None) -> Pipeline:
        """``(state, output) = scan_func(state, element)``; gives the outputs."""
        return self._then(transforms.Scan(self._node, initial_state, _function("scan_func", scan_func)))

    def unique(self, name: str | None = None) -> Pipeline:
        """Each different element once."""
        return self._then(transforms.Unique(self._node))

    def group_by_window(
        self,
        key_func: Callable[..., Any],
        reduce_func: Callable[[Any, Pipeline], Pipeline],
        window_size: int | None = None,
        window_size_func: Callable[[Any], Any] | None = None,
        name: str | None = None,
    ) -> Pipeline:
        """Elements collected by a key; each full group is given to ``reduce_func(key, pipeline)``.

        Args:
            key_func: makes an integer of an element.
            reduce_func: makes a pipeline of a group.
            window_size: elements in a group.
            window_size_func: likewise, as a function of the key.
        """
        if (window_size is None) == (window_size_func is None):
            raise ArgumentError("group_by_window takes window_size or window_size_func, one of them.")
        function: Callable[[Any], Any] = window_size_func or (lambda key: window_size)
        return self._then(
            transforms.Grouped(self._node, key_func, reduce_func, lambda key: int(function(key)), Pipeline)
        )

    def bucket_by_sequence_length(
        self,
        element_length_func: Callable[..., Any],
        bucket_boundaries: Sequence[int],
        bucket_batch_sizes: Sequence[int],
        padded_shapes: Any = None,
        padding_values: Any = None,
        pad_to_bucket_boundary: bool = False,
        no_padding: bool = False,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Pipeline:
        """Batches of elements of similar length, padded.

        Args:
            element_length_func: the length of an element.
            bucket_boundaries: from which lengths on the next bucket begins.  ``lamina.data.boundaries_of`` finds
                those that pad least.
            bucket_batch_sizes: size of the batches of each bucket, one more than there are boundaries.
            padded_shapes, padding_values, drop_remainder: as in ``padded_batch``.
            pad_to_bucket_boundary: whether batches are padded to one less than the bucket's upper boundary, so that
                there are as many different lengths as buckets, and a model is compiled for no more.  Axes that are
                ``None`` in ``padded_shapes`` are padded so; without ``padded_shapes``, the first axis of each part of
                an element.  No element may be as long as the last boundary.
            no_padding: whether elements of a bucket have one shape already.

        Raises:
            ArgumentError: the boundaries do not grow, or the batch sizes do not fit them.
            DataError: an element is too long for ``pad_to_bucket_boundary``.

        Example:
            >>> data = Pipeline.from_generator(lambda: [[1], [1, 2, 3], [2], [4, 5, 6, 7]])
            >>> buckets = data.bucket_by_sequence_length(len, [3, 5], [2, 2, 1], pad_to_bucket_boundary=True)
            >>> [batch.tolist() for batch in buckets]
            [[[1, 0], [2, 0]], [[1, 2, 3, 0], [4, 5, 6, 7]]]
        """
        return self._then(
            Bucketed(
                self._node,
                element_length_func,
                bucket_boundaries,
                bucket_batch_sizes,
                padded_shapes,
                padding_values,
                pad_to_bucket_boundary,
                not no_padding,
                drop_remainder,
            )
        )

    def ignore_errors(self, log_warning: bool = False, name: str | None = None) -> Pipeline:
        """Leave out elements for which the function of the last ``map`` fails."""
        return self._then(transforms.WithoutErrors(self._node, log_warning))

    def apply(self, transformation_func: Callable[[Pipeline], Pipeline]) -> Pipeline:
        """``transformation_func(self)``."""
        return transformation_func(self)

    def with_options(self, options: Any, name: str | None = None) -> Pipeline:
        """The pipeline itself; options are accepted for ``tf.data``'s sake."""
        return self

    def options(self) -> Options:
        """Options, of which nothing follows."""
        return Options()

    # --- results ----------------------------------------------------------------------------------
    def __iter__(self) -> PipelineIterator:
        iterator = PipelineIterator(self._node, *self._take_ticket())
        self._current = iterator
        return iterator

    def _take_ticket(self) -> tuple[nodes.Run, int]:
        """The next pass, and how many of its elements were had before."""
        if self._resume is not None:
            ticket, self._resume = self._resume, None
            return ticket
        return begin(self._node), 0

    def seek(self, epoch: int, position: int) -> None:
        """Let the next pass be that of this number, from this element on."""
        starts = {id(node): epoch for node in stages(self._node) if node.is_random}
        for node in stages(self._node):
            node.started = epoch + 1
        self._current, self._resume = None, (nodes.Run(starts), position)

    def _batches(self) -> nodes.Batch | None:
        """The stage that puts together rows of a source, if the pipeline is nothing more."""
        node = self._node
        while isinstance(node, transforms.Prefetch):
            node = node.above
        return node if type(node) is nodes.Batch and isinstance(node.above.source(), nodes.Slices) else None

    def _order_of(self, run: nodes.Run) -> np.ndarray:
        batches = self._batches()
        assert batches is not None
        rows = np.concatenate([*batches.above.chunks(run, 0)])
        return rows[: len(rows) - len(rows) % batches.size] if batches.drop_remainder else rows

    def in_memory(self) -> InMemory | None:
        """The arrays, where batches are nothing but their rows: then ``fit`` needs no loop over batches."""
        batches = self._batches()
        if batches is None:
            return None
        source: Any = batches.above.source()
        rows = batches.above.length()
        rows -= rows % batches.size if batches.drop_remainder and rows > 0 else 0
        if rows <= 0 or not fits(source.element):
            return None
        return InMemory(self, source.element, batches.size, rows, batches.above is not source)

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The elements as NumPy arrays and numbers.

        Example:
            >>> list(Pipeline.from_tensor_slices([[1, 2], [3, 4]]).as_numpy_iterator())[1]
            array([3, 4])
        """
        return (nodes.numpy_of(element) for element in self._arrays())

    def _arrays(self) -> Iterator[Any]:
        """The elements, with NumPy arrays."""
        iterator = iter(self)
        while True:
            try:
                element = iterator.next_arrays()
            except StopIteration:
                return
            yield element

    def reduce(self, initial_state: Any, reduce_func: Callable[..., Any], name: str | None = None) -> Any:
        """``state = reduce_func(state, element)`` for all elements; the last state.

        Example:
            >>> int(Pipeline.range(5).reduce(0, lambda total, x: total + x))
            10
        """
        state = as_tensors(normalise(initial_state))
        for element in self:
            state = as_tensors(normalise(reduce_func(state, element)))
        return state

    def get_single_element(self, name: str | None = None) -> Any:
        """The only element.

        Raises:
            DataError: there is none, or there are more.
        """
        elements = list(self.take(2))
        if len(elements) != 1:
            raise DataError(f"The pipeline has {'no element' if not elements else 'more than one element'}.")
        return elements[0]

    def cardinality(self) -> Any:
        """The number of elements, ``INFINITE_CARDINALITY`` (-1) or ``UNKNOWN_CARDINALITY`` (-2), as a Tensor."""
        return wrap(np.asarray(self._node.length(), np.int64))

    def __len__(self) -> int:
        size = self._node.length()
        if size < 0:
            what = "has no end" if size == INFINITE else "is not known before it has been gone through"
            raise TypeError(f"The length of this pipeline {what}; take(n) gives one of known length.")
        return size

    def __bool__(self) -> bool:
        return True

    @property
    def element_spec(self) -> Any:
        """Shapes and dtypes of an element; of the first one, where they cannot be known without it.

        Example:
            >>> Pipeline.from_tensor_slices([[1, 2]]).batch(2).element_spec
            TensorSpec(shape=(None, 2), dtype=dtype('int64'), name=None)
        """
        return map_spec(lambda shape, dtype: TensorSpec(shape, dtype), spec_of(self._node))

    def __repr__(self) -> str:
        size = self._node.length()
        words = {INFINITE: "without end", UNKNOWN: "of unknown length"}
        return f"<Pipeline {type(self._node).__name__.lower()}, {words.get(size, f'{size} elements')}>"

    # --- the state --------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """Where the pipeline is: the passes and seeds of its random stages, and the elements had; plain numbers.

        Example:
            >>> data = Pipeline.range(6).shuffle(6, seed=4)
            >>> elements = iter(data)
            >>> first = next(elements)
            >>> other = Pipeline.range(6).shuffle(6)
            >>> other.load_state_dict(data.state_dict())
            >>> [int(x) for x in other] == [int(x) for x in elements]
            True
        """
        above = stages(self._node)
        random = [node for node in above if node.is_random]
        current = self._current
        if self._resume is not None:
            run, position = self._resume
            starts = [run.starts.get(id(node), 0) for node in random]
        elif current is not None and not current.finished:
            starts, position = [current.run.starts.get(id(node), 0) for node in random], current.position
        else:
            starts, position = [node.started for node in random], 0
        caches = [node.state() for node in above if isinstance(node, Cache)]
        return {"starts": starts, "seeds": [node.seed() for node in random], "position": position, "caches": caches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a pipeline of the same stages was: the next pass begins with the element that comes after.

        Args:
            state: what ``state_dict`` returned.

        Raises:
            ArgumentError: it is the state of other stages.
        """
        above = stages(self._node)
        random = [node for node in above if node.is_random]
        caches = [node for node in above if isinstance(node, Cache)]
        if len(state.get("starts", ())) != len(random) or len(state.get("caches", ())) != len(caches):
            raise ArgumentError(
                f"This is the state of a pipeline with other stages: it has {len(state.get('starts', ()))} random "
                f"ones and {len(state.get('caches', ()))} caches, and this pipeline {len(random)} and {len(caches)}."
            )
        for node, seed, start in zip(random, state["seeds"], state["starts"], strict=True):
            node._seed, node.started = int(seed), int(start) + 1
        for cache, kept in zip(caches, state["caches"], strict=True):
            cache.load_state(kept)
        starts = {id(node): int(start) for node, start in zip(random, state["starts"], strict=True)}
        self._current, self._resume = None, (nodes.Run(starts), int(state["position"]))


class PipelineIterator:
    """One pass through a pipeline.

    Attributes:
        run: its random numbers.
        position: how many of its elements were had.
        finished: whether there are no more.
    """

    def __init__(self, node: Node, run: nodes.Run, position: int) -> None:
        self.run, self.position, self.finished = run, position, False
        self._elements = node.elements(run, position)

    def __iter__(self) -> PipelineIterator:
        return self

    def next_arrays(self) -> Any:
        """The next element, with NumPy arrays."""
        try:
            element = next(self._elements)
        except StopIteration:
            self.finished = True
            raise
        self.position += 1
        return element

    def __next__(self) -> Any:
        return as_tensors(self.next_arrays())

    get_next = __next__  # TensorFlow's name


def _positive(name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) <= 0:
        raise ArgumentError(f"{name} is a positive integer, got {value!r}.")
    return int(value)


def _function(name: str, given: Any) -> Any:
    if not callable(given):
        raise ArgumentError(f"{name} is a function of an element, got {given!r}.")
    return given
