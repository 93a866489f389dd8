"""Orders of rows, as arrays of row numbers: shuffling, repeating and cutting without Python for each sample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lamina.data.keys import keyed

CHUNK = 8192  # draws made together; a part of the definition of the order
_DRAIN = 1


def shuffle_choices(seed: int, path: tuple[int, ...], buffer: int) -> Iterator[np.ndarray]:
    """Which place of the buffer each output is taken from, while there is input to fill the place again."""
    generator = keyed(seed, *path)
    while True:
        yield generator.integers(0, buffer, CHUNK)


def drain_order(seed: int, path: tuple[int, ...], count: int) -> np.ndarray:
    """In which order the places of the buffer are emptied at the end."""
    return keyed(seed, *path, _DRAIN).permutation(count)


def shuffled(chunks: Iterator[np.ndarray], buffer: int, seed: int, path: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Row numbers in shuffled order: each output is drawn from a buffer, and the next input takes its place.

    Args:
        chunks: arrays of row numbers.
        buffer: places in the buffer.
        seed: of the random numbers.
        path: further numbers of their key.

    Yields:
        int64 arrays.
    """
    inputs = Rechunker(chunks)
    places = inputs.take(buffer)
    if len(places) == buffer:
        for choices in shuffle_choices(seed, path, buffer):
            new = inputs.take(len(choices))
            choices = choices[: len(new)]
            if len(new):
                yield _exchange(places, choices, new)
            if len(new) < CHUNK:
                break
    yield places[drain_order(seed, path, len(places))]


def _exchange(places: np.ndarray, choices: np.ndarray, new: np.ndarray) -> np.ndarray:
    """What comes out when ``new[t]`` takes the place ``choices[t]`` of what lay there, for all t in turn."""
    by_place = np.argsort(choices, kind="stable")
    sorted_places = choices[by_place]
    first = np.ones(len(choices), bool)
    first[1:] = sorted_places[1:] != sorted_places[:-1]
    out_sorted = np.empty(len(choices), np.int64)
    out_sorted[first] = places[sorted_places[first]]
    later = np.flatnonzero(~first)
    out_sorted[later] = new[by_place[later - 1]]
    out = np.empty_like(out_sorted)
    out[by_place] = out_sorted
    last = np.append(first[1:], True)
    places[sorted_places[last]] = new[by_place[last]]
    return out


class Rechunker:
    """Gives as many row numbers as are asked for, from arrays of any lengths."""

    def __init__(self, chunks: Iterator[np.ndarray]) -> None:
        self._chunks = chunks
        self._rest = np.empty(0, np.int64)

    def take(self, count: int) -> np.ndarray:
        """The next ``count`` numbers (fewer at the end), an array that the caller may change."""
        parts = [self._rest[:count]]
        have = len(parts[0])
        self._rest = self._rest[count:]
        while have < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            parts.append(chunk[: count - have])
            self._rest = chunk[count - have :]
            have += len(parts[-1])
        return parts[0].copy() if len(parts) == 1 else np.concatenate(parts)


def cut(chunks: Iterator[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """The first ``count`` numbers."""
    while count > 0:
        chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk[:count]
        count -= len(chunk)


def dropped(chunks: Iterator[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """All but the first ``count`` numbers."""
    for chunk in chunks:
        if count >= len(chunk):
            count -= len(chunk)
        else:
            yield chunk[count:] if count else chunk
            count = 0
