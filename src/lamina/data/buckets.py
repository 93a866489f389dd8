"""Batches of sequences of similar length: little padding, and few different shapes."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, DataError
from lamina.data.nodes import Node, Run, stack_elements
from lamina.data.padding import check_shapes, pad_elements
from lamina.data.transforms import call


class Bucketed(Node):
    """Elements collected by their length, and put together when a bucket has as many as a batch of it takes.

    What is left in the buckets at the end comes last, the shortest first.
    """

    is_heavy = True

    def __init__(
        self,
        above: Node,
        length_of: Callable[..., Any],
        boundaries: Sequence[int],
        sizes: Sequence[int],
        shapes: Any = None,
        values: Any = None,
        to_boundary: bool = False,
        pads: bool = True,
        drop_remainder: bool = False,
    ) -> None:
        self.inputs, self.above = (above,), above
        self.length_of, self.boundaries, self.sizes = length_of, _checked(boundaries), [int(n) for n in sizes]
        if len(self.sizes) != len(self.boundaries) + 1:
            raise ArgumentError(
                f"bucket_by_sequence_length: {len(self.boundaries)} boundaries make one bucket more; "
                f"got {len(self.sizes)} batch sizes."
            )
        if min(self.sizes) < 1:
            raise ArgumentError(f"bucket_by_sequence_length: batch sizes are positive; got {self.sizes}.")
        check_shapes(shapes)
        self.shapes, self.values, self.to_boundary = shapes, values, to_boundary
        self.pads, self.drop_remainder = pads, drop_remainder

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        groups = itertools.islice(self._groups(run), skip, None)  # only the batches that are wanted are put together
        return (self._put_together(bucket, group) for bucket, group in groups)

    def _groups(self, run: Run) -> Iterator[tuple[int, list[Any]]]:
        groups: list[list[Any]] = [[] for _ in self.sizes]
        for element in self.above.elements(run):
            length = int(np.asarray(call(self.length_of, element)))
            bucket = bisect_right(self.boundaries, length)
            if self.to_boundary and bucket == len(self.boundaries):
                raise DataError(
                    f"bucket_by_sequence_length: pad_to_bucket_boundary pads to below the last boundary, "
                    f"{self.boundaries[-1]}; an element has length {length}. Add a boundary above it, or filter it out."
                )
            groups[bucket].append(element)
            if len(groups[bucket]) == self.sizes[bucket]:
                yield bucket, groups[bucket]
                groups[bucket] = []
        if not self.drop_remainder:
            yield from ((bucket, group) for bucket, group in enumerate(groups) if group)

    def _put_together(self, bucket: int, group: list[Any]) -> Any:
        if not self.pads:
            return stack_elements(group, "bucket_by_sequence_length")
        fill = self.boundaries[bucket] - 1 if self.to_boundary else None
        return pad_elements(group, self.shapes, self.values, fill)

    def spec(self) -> Any:
        return None


def _checked(boundaries: Sequence[int]) -> list[int]:
    found = [int(n) for n in boundaries]
    if not found or any(a >= b for a, b in itertools.pairwise([0, *found])):
        raise ArgumentError(
            f"bucket_by_sequence_length: bucket_boundaries are growing positive lengths; got {boundaries!r}."
        )
    return found


def boundaries_of(lengths: Any, buckets: int) -> list[int]:
    """Boundaries of the buckets that pad least, for ``Pipeline.bucket_by_sequence_length``.

    The lengths are sorted and cut where the sum of all padding, ``sum(longest of the bucket - length)``, is smallest.
    The last boundary is one above the longest sequence.

    Args:
        lengths: lengths of the sequences, integers.
        buckets: how many buckets; there are fewer if there are fewer different lengths.

    Returns:
        The boundaries, growing: a sequence whose length is at least one boundary and below the next is in that bucket.

    Raises:
        ArgumentError: there are no lengths, or ``buckets`` is not positive.

    Example:
        >>> boundaries_of([3, 4, 4, 5, 19, 20, 50], 3)
        [6, 21, 51]
    """
    values, counts = np.unique(np.asarray(lengths, np.int64).ravel(), return_counts=True)
    if not len(values):
        raise ArgumentError("boundaries_of: there are no lengths.")
    if buckets < 1:
        raise ArgumentError(f"boundaries_of: buckets is a positive number; got {buckets}.")
    below = np.concatenate([[0], np.cumsum(counts)])  # sequences shorter than values[i]
    # Every sequence is padded to the longest of its bucket, so the sum of the padded lengths is what counts.
    best = np.where(np.arange(len(values) + 1) == 0, 0, np.iinfo(np.int64).max // 2)
    cuts: list[np.ndarray] = []
    for _ in range(min(buckets, len(values))):
        costs = best[:-1, None] + values[None] * (below[None, 1:] - below[:-1, None])
        costs[np.tril_indices(len(values), -1)] = np.iinfo(np.int64).max // 2  # a bucket ends where it begins or later
        cuts.append(costs.argmin(axis=0))
        best = np.concatenate([[np.iinfo(np.int64).max // 2], costs.min(axis=0)])
    found, end = [], len(values)
    for cut in reversed(cuts):
        found.append(int(values[end - 1]) + 1)
        end = int(cut[end - 1])
    return found[::-1]
