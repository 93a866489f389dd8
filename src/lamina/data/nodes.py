"""The stages of a pipeline: sources, and stages that choose and order elements.

A stage says how many elements it has and gives them from any position on.  A stage whose elements are rows of a source,
in whatever order, gives arrays of row numbers instead (``chunks``), so that batches are taken from arrays without
Python for each row.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lamina.core.trees import flatten, unflatten
from lamina.data.datasets import is_table, rows_of_table
from lamina.data.elements import normalise, rows_of, stack, to_array
from lamina.data.indices import (
    CHUNK,
    Rechunker,
    cut,
    drain_order,
    dropped,
    shuffle_choices,
    shuffled,
)
from lamina.data.keys import keyed, seed_from

INFINITE = -1
UNKNOWN = -2


@dataclass(frozen=True)
class Run:
    """One pass through a pipeline.

    Attributes:
        starts: how often each random stage had been started before.
        path: numbers of the repetitions around the stage.
        fallback: the seed for random stages without one, in pipelines that are made on the way.
    """

    starts: dict[int, int] = field(default_factory=dict)
    path: tuple[int, ...] = ()
    fallback: int | None = None

    def within(self, number: int) -> Run:
        """The pass of this number inside this one."""
        return Run(self.starts, (*self.path, number), self.fallback)

    def key(self, node: Node) -> tuple[int, tuple[int, ...]]:
        """Seed and further numbers of the key of a random stage."""
        start = self.starts.get(id(node), 0)
        if self.fallback is not None and node.given_seed is None:
            return self.fallback, (start, *self.path)
        return node.seed(), (start, *self.path)


class Node:
    """A stage of a pipeline."""

    inputs: tuple[Node, ...] = ()
    is_random = False  # draws random numbers
    is_heavy = False  # runs a user's code or reads files, so that it is worth doing ahead
    given_seed: Any = None
    _seed: int | None = None
    started = 0

    def seed(self) -> int:
        """The seed, drawn when it is first needed."""
        if self._seed is None:
            self._seed = seed_from(self.given_seed)
        return self._seed

    def length(self) -> int:
        """The number of elements, ``INFINITE`` or ``UNKNOWN``."""
        return UNKNOWN

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        """The elements from position ``skip`` on."""
        raise NotImplementedError

    def source(self) -> Rows | None:
        """The source whose rows the elements are, if that is so."""
        return None

    def chunks(self, run: Run, skip: int) -> Iterator[np.ndarray]:
        """Arrays of the row numbers of the elements, from position ``skip`` on."""
        raise NotImplementedError

    def elements(self, run: Run, skip: int = 0) -> Iterator[Any]:
        """The elements from position ``skip`` on, whichever way the stage gives them."""
        source = self.source()
        if source is None:
            return self.iterate(run, skip)
        return (source.row(i) for chunk in self.chunks(run, skip) for i in chunk.tolist())

    def spec(self) -> Any:
        """Shapes and dtypes of an element; ``None`` if it has to be tried."""
        return spec_of(self.inputs[0]) if len(self.inputs) == 1 else None


def stages(root: Node) -> list[Node]:
    """All stages above one, each once, in a fixed order."""
    found: dict[int, Node] = {}

    def walk(node: Node) -> None:
        if id(node) not in found:
            found[id(node)] = node
            for above in node.inputs:
                walk(above)

    walk(root)
    return list(found.values())


def begin(root: Node, count: bool = True) -> Run:
    """A new pass; random stages count it, unless it is only to look at an element."""
    starts = {}
    for node in stages(root):
        if node.is_random:
            starts[id(node)] = node.started
            node.started += count
    return Run(starts)


# --- sources ----------------------------------------------------------------------------------------
class Rows(Node):
    """A source with rows by number."""

    def row(self, index: int) -> Any:
        """The row of this number."""
        raise NotImplementedError

    def gather(self, indices: np.ndarray) -> Any:
        """These rows, stacked."""
        raise NotImplementedError

    def source(self) -> Rows | None:
        return self

    def chunks(self, run: Run, skip: int) -> Iterator[np.ndarray]:
        size = self.length()
        return (np.arange(at, min(at + CHUNK, size)) for at in range(skip, size, CHUNK))


class Slices(Rows):
    """The rows of arrays."""

    def __init__(self, tensors: Any) -> None:
        self.element = normalise(tensors)
        self.size = rows_of(self.element, "from_tensor_slices")
        self.leaves, self.structure = flatten(self.element)

    def length(self) -> int:
        return self.size

    def row(self, index: int) -> Any:
        if len(self.leaves) == 1 and self.element is self.leaves[0]:
            return to_array(self.element[index])
        return unflatten(self.structure, [to_array(leaf[index]) for leaf in self.leaves])

    def gather(self, indices: np.ndarray) -> Any:
        where: Any = indices
        if len(indices) and indices[-1] - indices[0] == len(indices) - 1 and (np.diff(indices) == 1).all():
            where = slice(int(indices[0]), int(indices[-1]) + 1)  # a view
        return unflatten(self.structure, [leaf[where] for leaf in self.leaves])

    def spec(self) -> Any:
        return unflatten(self.structure, [(leaf.shape[1:], leaf.dtype) for leaf in self.leaves])


class Range(Rows):
    """The integers of a range."""

    def __init__(self, numbers: range, dtype: Any = np.int64) -> None:
        self.numbers, self.dtype = numbers, np.dtype(dtype)

    def length(self) -> int:
        return len(self.numbers)

    def row(self, index: int) -> Any:
        return np.asarray(self.numbers[index], self.dtype)

    def gather(self, indices: np.ndarray) -> Any:
        return (self.numbers.start + self.numbers.step * indices).astype(self.dtype)

    def spec(self) -> Any:
        return ((), self.dtype)


class Items(Rows):
    """The samples of a dataset with ``__getitem__`` and ``__len__``."""

    is_heavy = True

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def length(self) -> int:
        return len(self.dataset)

    def row(self, index: int) -> Any:
        return normalise(self.dataset[index])

    def gather(self, indices: np.ndarray) -> Any:
        if is_table(self.dataset):
            return rows_of_table(self.dataset, indices)
        return stack_elements([self.row(i) for i in indices.tolist()], "batch")

    def spec(self) -> Any:
        return None


class Whole(Node):
    """One element."""

    def __init__(self, element: Any) -> None:
        self.element = normalise(element)

    def length(self) -> int:
        return 1

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        return iter([] if skip else [self.element])


class Listed(Node):
    """Elements in a list."""

    def __init__(self, elements: Sequence[Any]) -> None:
        self.listed = elements

    def length(self) -> int:
        return len(self.listed)

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        return iter(self.listed[skip:])


class Generated(Node):
    """What a function that returns an iterable gives, anew in each pass."""

    is_heavy = True

    def __init__(self, function: Callable[[], Iterable[Any]], convert: Callable[[Any], Any], spec: Any = None) -> None:
        self.function, self.convert, self._spec = function, convert, spec

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        return map(self.convert, itertools.islice(iter(self.function()), skip, None))

    def spec(self) -> Any:
        return self._spec


class Draws(Node):
    """Random integers without end."""

    is_random = True

    def __init__(self, seed: Any) -> None:
        self.given_seed = seed

    def length(self) -> int:
        return INFINITE

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        seed, path = run.key(self)
        generator = keyed(seed, *path)
        while True:
            for number in generator.integers(0, 1 << 63, CHUNK):
                if skip:
                    skip -= 1
                else:
                    yield np.asarray(number)

    def spec(self) -> Any:
        return ((), np.dtype(np.int64))


# --- stages that choose and order -----------------------------------------------------------------
class Order(Node):
    """A stage that gives elements of its input, as they are."""

    def __init__(self, above: Node) -> None:
        self.inputs = (above,)
        self.above = above

    def source(self) -> Rows | None:
        return self.above.source()


class Shuffle(Order):
    """Elements drawn from a buffer."""

    is_random = True

    def __init__(self, above: Node, buffer: int, seed: Any, reshuffle: bool) -> None:
        super().__init__(above)
        self.buffer, self.given_seed, self.reshuffle = buffer, seed, reshuffle

    def length(self) -> int:
        return self.above.length()

    def _key(self, run: Run) -> tuple[int, tuple[int, ...]]:
        seed, path = run.key(self)
        return seed, path if self.reshuffle else ()

    def chunks(self, run: Run, skip: int) -> Iterator[np.ndarray]:
        return dropped(shuffled(self.above.chunks(run, 0), self.buffer, *self._key(run)), skip)

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        return itertools.islice(self._mixed(run), skip, None)

    def _mixed(self, run: Run) -> Iterator[Any]:
        seed, path = self._key(run)
        stream = self.above.elements(run)
        places = list(itertools.islice(stream, self.buffer))
        if len(places) == self.buffer:
            choices = itertools.chain.from_iterable(c.tolist() for c in shuffle_choices(seed, path, self.buffer))
            for element, place in zip(stream, choices, strict=False):
                chosen, places[place] = places[place], element
                yield chosen
        for place in drain_order(seed, path, len(places)).tolist():
            yield places[place]


class Repeat(Order):
    """The input again and again."""

    def __init__(self, above: Node, count: int) -> None:
        super().__init__(above)
        self.count = count

    def length(self) -> int:
        one = self.above.length()
        if self.count == 0 or one == 0:
            return 0
        if self.count < 0 or one == INFINITE:
            return INFINITE
        return UNKNOWN if one == UNKNOWN else one * self.count

    def _passes(self, skip: int) -> Iterator[tuple[int, int]]:
        """Number of each pass, and how many of its elements to leave out."""
        one = self.above.length()
        first, skip = divmod(skip, one) if one > 0 else (0, skip)
        for number in itertools.count(first) if self.count < 0 else range(first, self.count):
            yield number, skip
            skip = 0

    def chunks(self, run: Run, skip: int) -> Iterator[np.ndarray]:
        for number, left_out in self._passes(skip):
            empty = True
            for chunk in self.above.chunks(run.within(number), left_out):
                empty = False
                yield chunk
            if empty and not left_out:
                return

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        if self.above.length() >= 0:
            for number, left_out in self._passes(skip):
                empty = True
                for element in self.above.elements(run.within(number), left_out):
                    empty = False
                    yield element
                if empty and not left_out:
                    return
        else:
            yield from itertools.islice(self._all(run), skip, None)

    def _all(self, run: Run) -> Iterator[Any]:
        for number in itertools.count() if self.count < 0 else range(self.count):
            empty = True
            for element in self.above.elements(run.within(number)):
                empty = False
                yield element
            if empty:
                return


class Take(Order):
    """The first elements."""

    def __init__(self, above: Node, count: int) -> None:
        super().__init__(above)
        self.count = count

    def length(self) -> int:
        one = self.above.length()
        if self.count < 0:
            return one
        if one == INFINITE:
            return self.count
        return one if one == UNKNOWN and self.count else min(one, self.count) if self.count else 0

    def chunks(self, run: Run, skip: int) -> Iterator[np.ndarray]:
        chunks = self.above.chunks(run, skip)
        return chunks if self.count < 0 else cut(chunks, self.count - skip)

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        if self.count < 0:
            return self.above.elements(run, skip)
        return itertools.islice(self.above.elements(run, skip), max(self.count - skip, 0))


class Skip(Order):
    """All but the first elements."""

    def __init__(self, above: Node, count: int) -> None:
        super().__init__(above)
        self.count = count

    def length(self) -> int:
        one = self.above.length()
        if self.count < 0:
            return 0
        return one if one < 0 else max(one - self.count, 0)

    def chunks(self, run: Run, skip: int) -> Iterator[np.ndarray]:
        return iter(()) if self.count < 0 else self.above.chunks(run, self.count + skip)

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        return iter(()) if self.count < 0 else self.above.elements(run, self.count + skip)


class Shard(Order):
    """Every ``count``-th element."""

    def __init__(self, above: Node, count: int, index: int) -> None:
        super().__init__(above)
        self.count, self.index = count, index

    def length(self) -> int:
        one = self.above.length()
        return one if one < 0 else len(range(self.index, one, self.count))

    def chunks(self, run: Run, skip: int) -> Iterator[np.ndarray]:
        rows = Rechunker(self.above.chunks(run, self.index + skip * self.count))
        while len(taken := rows.take(CHUNK // self.count * self.count or self.count)):
            yield taken[:: self.count]

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        return itertools.islice(self.above.elements(run, self.index + skip * self.count), 0, None, self.count)


class Concatenate(Node):
    """Inputs one after the other."""

    def __init__(self, *above: Node) -> None:
        self.inputs = above

    def length(self) -> int:
        lengths = [node.length() for node in self.inputs]
        return INFINITE if INFINITE in lengths else UNKNOWN if UNKNOWN in lengths else sum(lengths)

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        for node in self.inputs:
            size = node.length()
            if size == UNKNOWN and skip:
                for element in node.elements(run):
                    if skip:
                        skip -= 1
                    else:
                        yield element
            elif 0 <= size <= skip:
                skip -= size
            else:
                yield from node.elements(run, skip)
                skip = 0

    def spec(self) -> Any:
        return spec_of(self.inputs[0])


# --- batches ----------------------------------------------------------------------------------------
class Batch(Node):
    """Elements put together."""

    def __init__(self, above: Node, size: int, drop_remainder: bool) -> None:
        self.inputs = (above,)
        self.above, self.size, self.drop_remainder = above, size, drop_remainder

    def length(self) -> int:
        one = self.above.length()
        return one if one < 0 else one // self.size if self.drop_remainder else -(-one // self.size)

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        source = self.above.source()
        if source is None:
            elements = self.above.elements(run, skip * self.size)
            while group := list(itertools.islice(elements, self.size)):
                if len(group) == self.size or not self.drop_remainder:
                    yield self.put_together(group)
            return
        rows = Rechunker(self.above.chunks(run, skip * self.size))
        while len(taken := rows.take(self.size)):
            if len(taken) == self.size or not self.drop_remainder:
                yield source.gather(taken)

    def put_together(self, group: list[Any]) -> Any:
        """A batch of elements."""
        return stack_elements(group, "batch")

    def spec(self) -> Any:
        first = self.size if self.drop_remainder else None
        return map_spec(lambda shape, dtype: ((first, *shape), dtype), spec_of(self.above))


def stack_elements(group: Sequence[Any], what: str) -> Any:
    """Elements of one structure, stacked leaf by leaf."""
    leaves, structure = flatten(group[0])
    columns = [leaves, *(flatten(element)[0] for element in group[1:])]
    return unflatten(structure, [stack(parts, what) for parts in zip(*columns, strict=True)])


# --- specifications: (shape, dtype) for each leaf ----------------------------------------------------
def map_spec(function: Callable[[Any, Any], Any], spec: Any) -> Any:
    """A function of the (shape, dtype) pairs of a specification."""
    if spec is None:
        return None
    if isinstance(spec, dict):
        return {key: map_spec(function, part) for key, part in spec.items()}
    if len(spec) == 2 and isinstance(spec[1], np.dtype):
        return function(*spec)
    parts = [map_spec(function, part) for part in spec]
    return type(spec)(*parts) if hasattr(spec, "_fields") else tuple(parts)


def flatten_spec(spec: Any) -> list[Any]:
    """The (shape, dtype) pairs of a specification."""
    pairs: list[Any] = []
    map_spec(lambda shape, dtype: pairs.append((shape, dtype)), spec)
    return pairs


def spec_of_element(element: Any) -> Any:
    """The specification of an element."""
    leaves, structure = flatten(element)
    return unflatten(structure, [(np.shape(leaf), getattr(leaf, "dtype", np.dtype(object))) for leaf in leaves])


def spec_of(node: Node) -> Any:
    """The specification of a stage's elements; where it is not known, that of the first element."""
    spec = node.spec()
    if spec is None:
        element = next(iter(node.elements(begin(node, count=False))), None)
        spec = None if element is None else spec_of_element(element)
    return spec


def numpy_of(element: Any) -> Any:
    """An element as a user of NumPy wants it: single values as NumPy's numbers, strings as strings."""

    def convert(leaf: Any) -> Any:
        return leaf[()] if isinstance(leaf, np.ndarray) and leaf.ndim == 0 else leaf

    leaves, structure = flatten(element)
    return unflatten(structure, [convert(leaf) for leaf in leaves])
