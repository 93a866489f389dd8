"""The stages of a pipeline that change elements, do work ahead, or keep results."""

from __future__ import annotations

import collections
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.core.trees import flatten, unflatten
from lamina.data.compiled import compiled
from lamina.data.elements import as_tensors, normalise, to_array
from lamina.data.keys import keyed, keyed_numbers
from lamina.data.nodes import (
    INFINITE,
    UNKNOWN,
    Listed,
    Node,
    Order,
    Run,
    begin,
    flatten_spec,
    map_spec,
    spec_of,
    spec_of_element,
    stages,
)

AUTOTUNE = -1
_WORTH_THREADS = 5e-4  # seconds that a function must take for each element


def call(function: Callable[..., Any], element: Any) -> Any:
    """A user's function of an element: the parts of a tuple are its arguments, as in ``tf.data``."""
    given = as_tensors(element)
    return function(*given) if type(given) is tuple else function(given)


class Map(Node):
    """A function of each element."""

    is_random = is_heavy = True

    def __init__(self, above: Node, function: Callable[..., Any], threads: int | None, seed: Any = None) -> None:
        self.inputs = (above,)
        self.above, self.function, self.threads, self.given_seed = above, compiled(function), threads, seed

    def length(self) -> int:
        return self.above.length()

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        seed, path = run.key(self)

        def work(number: int, element: Any) -> Any:
            with keyed_numbers(seed) as context:
                context.at(*path, number)
                return self.apply(element)

        jobs = zip(itertools.count(skip), self.above.elements(run, skip), strict=False)
        return in_threads(work, jobs, self.threads)

    def apply(self, element: Any) -> Any:
        """The function of one element."""
        return normalise(call(self.function, element))

    def spec(self) -> Any:
        """That of the first result; an axis that counts a batch of any size stays one."""
        given = spec_of(self.above)
        run = begin(self, count=False)
        element = next(iter(self.above.elements(run)), None)
        result = next(iter(self.elements(run)), None)
        if element is None or result is None:
            return None
        sizes = {
            len(leaf)
            for leaf, (shape, _) in zip(flatten(element)[0], flatten_spec(given), strict=True)
            if shape and shape[0] is None
        }
        return map_spec(
            lambda shape, dtype: ((None, *shape[1:]) if shape and shape[0] in sizes else shape, dtype),
            spec_of_element(result),
        )


def in_threads(work: Callable[..., Any], jobs: Iterator[Any], threads: int | None) -> Iterator[Any]:
    """The results of jobs in order; with ``AUTOTUNE`` in threads only if a job takes long enough."""
    if threads == AUTOTUNE:
        taken = 0.0
        for job in itertools.islice(jobs, 4):
            started = time.perf_counter()
            result = work(*job)
            taken += time.perf_counter() - started
            yield result
        threads = (os.cpu_count() or 1) if taken > 4 * _WORTH_THREADS else 1
    elif threads is not None and threads > 1:  # the first call may build what the function is made of
        yield from itertools.starmap(work, itertools.islice(jobs, 1))
    if threads is None or threads <= 1:
        yield from itertools.starmap(work, jobs)
        return
    waiting: collections.deque[Future[Any]] = collections.deque()
    with ThreadPoolExecutor(threads, "lamina-data") as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(work, *job))
                if len(waiting) >= 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class Filter(Node):
    """The elements for which a function is true."""

    is_random = is_heavy = True

    def __init__(self, above: Node, predicate: Callable[..., Any]) -> None:
        self.inputs, self.above, self.predicate = (above,), above, predicate

    def length(self) -> int:
        return INFINITE if self.above.length() == INFINITE else UNKNOWN

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        return itertools.islice(self._kept(run), skip, None)

    def _kept(self, run: Run) -> Iterator[Any]:
        seed, path = run.key(self)
        for number, element in enumerate(self.above.elements(run)):
            with keyed_numbers(seed) as context:
                context.at(*path, number)
                keep = bool(np.asarray(call(self.predicate, element)))
            if keep:
                yield element


class TakeWhile(Filter):
    """The elements up to the first for which a function is false."""

    def _kept(self, run: Run) -> Iterator[Any]:
        for element in self.above.elements(run):
            if not bool(np.asarray(call(self.predicate, element))):
                return
            yield element

    def length(self) -> int:
        return UNKNOWN


class Interleave(Node):
    """The elements of the pipelines that a function makes of elements, some of them by turns."""

    is_random = is_heavy = True

    def __init__(self, above: Node, function: Callable[..., Any], cycle: int, block: int) -> None:
        self.inputs = (above,)
        self.above, self.function, self.cycle, self.block = above, function, cycle, block

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        return itertools.islice(self._by_turns(run), skip, None)

    def length(self) -> int:
        return INFINITE if self.above.length() == INFINITE else UNKNOWN

    def _open(self, run: Run, number: int, element: Any) -> Iterator[Any]:
        seed, path = run.key(self)
        with keyed_numbers(seed) as context:
            context.at(*path, number)
            made = call(self.function, element)
        if not hasattr(made, "as_numpy_iterator"):
            raise ArgumentError(
                f"The function given to flat_map or interleave returns a Pipeline; it returned a {type(made).__name__}."
            )
        node: Node = made._node
        fallback = int(keyed(seed, *path, number).integers(0, 1 << 63))
        return node.elements(Run({id(n): i for i, n in enumerate(stages(node))}, (*path, number), fallback))

    def _by_turns(self, run: Run) -> Iterator[Any]:
        inputs = enumerate(self.above.elements(run))
        opened = [self._open(run, *item) for item in itertools.islice(inputs, self.cycle)]
        turn = 0
        while opened:
            turn %= len(opened)
            given = 0
            for element in itertools.islice(opened[turn], self.block):
                given += 1
                yield element
            if given < self.block:
                following = next(inputs, None)
                if following is None:
                    del opened[turn]
                    continue
                opened[turn] = self._open(run, *following)
            turn += 1

    def spec(self) -> Any:
        return None


class Enumerate(Node):
    """``(number, element)``."""

    def __init__(self, above: Node, start: int) -> None:
        self.inputs, self.above, self.start = (above,), above, start

    def length(self) -> int:
        return self.above.length()

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        numbers = itertools.count(self.start + skip)
        return ((np.asarray(n), e) for n, e in zip(numbers, self.above.elements(run, skip), strict=False))

    def spec(self) -> Any:
        return None


class Zip(Node):
    """Elements side by side, as long as each input has one."""

    def __init__(self, structure: Any, inputs: Sequence[Node]) -> None:
        self.structure, self.inputs = structure, tuple(inputs)

    def length(self) -> int:
        lengths = [node.length() for node in self.inputs]
        finite = [n for n in lengths if n >= 0]
        if 0 in finite:
            return 0
        return UNKNOWN if UNKNOWN in lengths else min(finite, default=INFINITE)

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        together = zip(*(node.elements(run, skip) for node in self.inputs), strict=False)
        return (unflatten(self.structure, parts) for parts in together)

    def spec(self) -> Any:
        return unflatten(self.structure, [spec_of(node) for node in self.inputs])


class Unbatch(Node):
    """The rows of each element."""

    def __init__(self, above: Node) -> None:
        self.inputs, self.above = (above,), above

    def length(self) -> int:
        return INFINITE if self.above.length() == INFINITE else UNKNOWN

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        return itertools.islice(self._rows(run), skip, None)

    def _rows(self, run: Run) -> Iterator[Any]:
        for element in self.above.elements(run):
            leaves, structure = flatten(element)
            for i in range(len(leaves[0])):
                yield unflatten(structure, [to_array(leaf[i]) for leaf in leaves])

    def spec(self) -> Any:
        return None


class Window(Node):
    """Elements in windows, each a pipeline (or a structure of them) of its own."""

    def __init__(
        self, above: Node, size: int, shift: int, stride: int, drop: bool, make: Callable[[Node], Any]
    ) -> None:
        self.inputs, self.above = (above,), above
        self.size, self.shift, self.stride, self.drop, self.make = size, shift, stride, drop, make

    def length(self) -> int:
        one = self.above.length()
        if one < 0:
            return one
        if not self.drop:
            return -(-one // self.shift)
        span = (self.size - 1) * self.stride + 1
        return max((one - span) // self.shift + 1, 0)

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        elements = self.above.elements(run, skip * self.shift)
        span = (self.size - 1) * self.stride + 1
        held: collections.deque[Any] = collections.deque(itertools.islice(elements, span))
        while held and (len(held) == span or not self.drop):
            chosen = list(itertools.islice(held, 0, None, self.stride))
            structure = flatten(chosen[0])[1]
            columns = zip(*(flatten(element)[0] for element in chosen), strict=True)
            yield unflatten(structure, [self.make(Listed(column)) for column in columns])
            for _ in range(min(self.shift, len(held))):
                held.popleft()
            for _ in itertools.islice(elements, max(self.shift - span, 0)):
                pass
            held.extend(itertools.islice(elements, span - len(held)))

    def spec(self) -> Any:
        return None


class Scan(Node):
    """A function of a state and each element, which gives the next state and an element."""

    is_heavy = True

    def __init__(self, above: Node, state: Any, function: Callable[..., Any]) -> None:
        self.inputs, self.above, self.state, self.function = (above,), above, normalise(state), function

    def length(self) -> int:
        return self.above.length()

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        return itertools.islice(self._results(run), skip, None)

    def _results(self, run: Run) -> Iterator[Any]:
        state = self.state
        for element in self.above.elements(run):
            state, result = self.function(as_tensors(state), as_tensors(element))
            state = normalise(state)
            yield normalise(result)

    def spec(self) -> Any:
        return None


class Unique(Node):
    """Each different element once."""

    def __init__(self, above: Node) -> None:
        self.inputs, self.above = (above,), above

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        return itertools.islice(self._new(run), skip, None)

    def _new(self, run: Run) -> Iterator[Any]:
        seen = set()
        for element in self.above.elements(run):
            key = tuple((a.shape, a.tobytes() if a.dtype != object else str(a.tolist())) for a in flatten(element)[0])
            if key not in seen:
                seen.add(key)
                yield element


class Grouped(Node):
    """Elements collected by a key, and each full group given to a function that makes a pipeline of it."""

    is_heavy = True

    def __init__(self, above: Node, key: Any, reduce: Any, size: Callable[[int], int], make: Any) -> None:
        self.inputs, self.above = (above,), above
        self.key, self.reduce, self.size, self.make = key, reduce, size, make

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        return itertools.islice(self._groups(run), skip, None)

    def _groups(self, run: Run) -> Iterator[Any]:
        groups: dict[int, list[Any]] = {}
        for element in self.above.elements(run):
            key = int(np.asarray(call(self.key, element)))
            group = groups.setdefault(key, [])
            group.append(element)
            if len(group) == self.size(key):
                yield from self._reduced(key, groups.pop(key))
        for key, group in groups.items():
            yield from self._reduced(key, group)

    def _reduced(self, key: int, group: list[Any]) -> Iterator[Any]:
        node: Node = self.reduce(as_tensors(np.asarray(key)), self.make(Listed(group)))._node
        return node.elements(Run(fallback=key))

    def spec(self) -> Any:
        return None


class Chosen(Node):
    """From several inputs, the next element of the one whose number comes."""

    def __init__(self, inputs: Sequence[Node], choices: Node, stop_on_empty: bool) -> None:
        self.inputs, self.stop_on_empty = (*inputs, choices), stop_on_empty

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        return itertools.islice(self._chosen(run), skip, None)

    def _chosen(self, run: Run) -> Iterator[Any]:
        streams: list[Any] = [node.elements(run) for node in self.inputs[:-1]]
        nothing = object()
        for choice in self.inputs[-1].elements(run):
            number = int(choice)
            element = next(streams[number], nothing)
            if element is not nothing:
                yield element
            elif self.stop_on_empty:
                return
            else:
                streams[number] = iter(())
                if all(isinstance(s, type(iter(()))) for s in streams):
                    return

    def spec(self) -> Any:
        return spec_of(self.inputs[0])


class WithoutErrors(Node):
    """The elements that could be made."""

    def __init__(self, above: Node, log_warning: bool) -> None:
        self.inputs, self.above, self.log_warning = (above,), above, log_warning

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        return itertools.islice(self._good(run), skip, None)

    def _good(self, run: Run) -> Iterator[Any]:
        import warnings

        if not isinstance(self.above, Map):
            yield from self.above.elements(run)
            return
        seed, path = run.key(self.above)
        for number, element in enumerate(self.above.above.elements(run)):
            try:
                with keyed_numbers(seed) as context:
                    context.at(*path, number)
                    made = self.above.apply(element)
            except Exception as error:
                if self.log_warning:
                    warnings.warn(f"Element {number} was left out: {error!r}.", stacklevel=2)
                continue
            yield made


class Prefetch(Order):
    """The input, made ahead in a thread; where nothing takes long, as it is."""

    def __init__(self, above: Node, count: int) -> None:
        super().__init__(above)
        self.count = count

    def length(self) -> int:
        return self.above.length()

    def chunks(self, run: Run, skip: int) -> Iterator[np.ndarray]:
        return self.above.chunks(run, skip)

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        elements = self.above.elements(run, skip)
        if self.count == 0 or not any(node.is_heavy for node in stages(self.above)):
            return elements
        return ahead(elements, 2 if self.count < 0 else self.count)


def ahead(elements: Iterator[Any], count: int) -> Iterator[Any]:
    """Elements made by another thread, at most ``count`` before they are asked for."""
    ready: collections.deque[tuple[bool, Any]] = collections.deque()
    changed = threading.Condition()
    stopped = False

    def put(is_end: bool, item: Any) -> bool:
        with changed:
            changed.wait_for(lambda: stopped or len(ready) < count)
            ready.append((is_end, item))
            changed.notify_all()
            return not stopped

    def work() -> None:
        try:
            for element in elements:
                if not put(False, element):
                    return
            put(True, None)
        except BaseException as error:  # handed to the thread that waits
            put(True, error)
        finally:
            close = getattr(elements, "close", None)
            if callable(close):
                close()

    thread = threading.Thread(target=work, name="lamina-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            with changed:
                changed.wait_for(lambda: ready)
                is_end, item = ready.popleft()
                changed.notify_all()
            if is_end:
                if item is not None:
                    raise item
                return
            yield item
    finally:
        with changed:
            stopped = True
            changed.notify_all()
