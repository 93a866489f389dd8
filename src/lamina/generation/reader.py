"""``Reader``: goes through token sequences with a model, one place after the other, and asks what comes next."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamina import ops
from lamina.core.errors import ArgumentError, ArgumentTypeError, LaminaError, ShapeError
from lamina.graph.function import function
from lamina.inspection.kept import attributes_of, same_attributes
from lamina.layers import Layer
from lamina.layers.cache import Cache
from lamina.tensor import Variable

_TRIED = 6  # tokens on which reading one by one is compared with reading at once
_KEPT = 4  # compiled readers kept with a model
_IN_A_CALL = 128  # steps of one native call; Ctrl-C is heard between two


@dataclass(frozen=True)
class Reading:
    """How a model can be read."""

    problem: str | None  # why not one token at a time, ``None`` if it can be
    limit: int | None  # the most tokens that its layers take
    vocabulary: int


class Reader:
    """Token sequences that grow, and what a step needs of them.  All state is in Variables.

    Args:
        model: tokens of shape ``(rows, n)`` to logits ``(rows, n, vocabulary)``, or ``(rows, vocabulary)`` of the last.
        rows: number of sequences.
        length: the most tokens.
        cached: whether the model's layers keep what they need of earlier tokens, or read everything for each.

    Attributes:
        tokens: int32 Variable of shape ``(rows, length)``.
        cache: holds the place of the token that is read next.
    """

    def __init__(self, model: Callable[..., Any], rows: int, length: int, cached: bool) -> None:
        self.model, self.cached = model, cached
        self.cache = Cache(rows, length)
        self.tokens = Variable(np.zeros((rows, length), np.int32), name="tokens", trainable=False)
        self._values: dict[str, Variable] = {}
        self._steps: dict[str, Any] = {}

    @property
    def length(self) -> int:
        """The most tokens."""
        return self.cache.length

    def begin(self, tokens: np.ndarray, known: int) -> int:
        """Begin with sequences of shape ``(rows, n)``, of which ``known`` tokens need no guess.

        Returns:
            The place that is read first.
        """
        filled = np.zeros(self.tokens.shape, np.int32)
        filled[:, : tokens.shape[1]] = tokens[:, : self.length]
        self.tokens.assign(filled)
        place = 0 if self.cached else known - 1  # without a cache all tokens before are read anyway
        self.cache.position.assign(np.int32(place))
        return place

    def set(self, **values: Any) -> None:
        """Set numbers that a step uses; they are Variables, so that no step is compiled anew for others."""
        for name, value in values.items():
            if name in self._values:
                self._values[name].assign(value)
            else:
                self._values[name] = Variable(value, name=name, trainable=False)

    def get(self, name: str) -> Any:
        """A number that was set."""
        return self._values[name].value

    @property
    def position(self) -> Any:
        """The place of the token that is read next."""
        return self.cache.position.value

    def logits(self) -> Any:
        """Read a token: the logits ``(rows, vocabulary)`` of the one after it."""
        if self.cached:
            here = ops.dynamic_slice(self.tokens.value, [0, self.position], [self.tokens.shape[0], 1])
            found = self.cache.read(self.model, here)
        else:
            place = int(self.position.item())
            start = max(0, place + 1 - (fixed_steps(self.model) or place + 1))
            found = self.model(self.tokens.value[:, start : place + 1])
            self.cache.position.assign(np.int32(place + 1))
        return last_logits(found)

    def put(self, tokens: Any, place: Any) -> None:
        """Write a token ``(rows,)`` for each sequence."""
        column = ops.expand_dims(ops.astype(tokens, "int32"), 1)
        self.tokens.assign(ops.dynamic_update_slice(self.tokens.value, column, [0, place]))

    def run(self, name: str, step: Callable[[], None], times: int) -> None:
        """Take a step so many times: compiled, many in one call, where there is a cache.

        Args:
            name: of the step; one of a name is compiled, and used again.
            step: takes the step, with everything that changes between calls in Variables.
            times: how often.
        """
        if times < 1:
            return
        if not self.cached:
            for _ in range(times):
                step()
            return
        if name not in self._steps:
            self._steps[name] = function(name=name)(step)
        for done in range(0, times, _IN_A_CALL):
            self._steps[name].repeat(min(_IN_A_CALL, times - done))


def last_logits(found: Any) -> Any:
    """Logits of the last step.

    Raises:
        ShapeError: the model returns something else.
    """
    shape = getattr(found, "shape", None)
    if shape is None or len(shape) not in (2, 3):
        raise ShapeError(
            "A language model returns logits of shape (batch, steps, vocabulary), or (batch, vocabulary) for the last "
            f"step; got {type(found).__name__ if shape is None else f'shape {tuple(shape)}'}."
        )
    return found[:, -1] if len(shape) == 3 else found


def fixed_steps(model: Any) -> int | None:
    """The number of steps that a model was made for, if it takes no other."""
    if getattr(model, "_shaped_by_data", False):  # a Sequential without an Input: only what it was called on first
        return None
    shape = getattr(model, "input_shape", None) if hasattr(type(model), "input_shape") else None
    return shape[1] if isinstance(shape, tuple) and len(shape) == 2 and isinstance(shape[1], int) else None


def reading_of(model: Callable[..., Any], rows: int) -> Reading:
    """Find out by trying whether the model can be read one token at a time.

    Some tokens are read at once and one by one.  Layers that mix steps in a way that no cache knows (pooling over
    time, positions counted by hand, attention without ``use_causal_mask``) give other logits then.
    """
    cache = Cache(rows, _TRIED)
    vocabulary = 0
    try:
        first = last_logits(cache.read(model, np.zeros((rows, 1), np.int32)))
        vocabulary = first.shape[-1]
        steps = cache.limit  # a layer may allow fewer
        tokens = np.random.default_rng(0).integers(0, vocabulary, (rows, steps)).astype(np.int32)
        cache.reset()
        whole = cache.read(model, tokens).numpy().astype(np.float64)
        cache.reset()
        pieces = [cache.read(model, tokens[:, i : i + 1]).numpy().astype(np.float64) for i in range(steps)]
    except LaminaError as error:
        return Reading(f"a layer cannot take single steps: {error}", None, vocabulary)
    found = np.concatenate(pieces, axis=1) if whole.ndim == 3 else pieces[-1]
    coarse = first.dtype.itemsize < 4
    if found.shape != whole.shape or np.abs(found - whole).max() > (0.1 if coarse else 1e-3) * np.abs(whole).max():
        return Reading(
            "its logits differ when it reads one token at a time: some layer mixes steps and keeps nothing of "
            "earlier ones (attention without use_causal_mask, positions other than PositionEmbedding's, pooling over "
            "the steps, Bidirectional)",
            None,
            vocabulary,
        )
    return Reading(None, cache.allowed, vocabulary)


def reader_for(model: Callable[..., Any], rows: int, length: int, cached: bool | None) -> tuple[Reader, int]:
    """A reader of at least ``length`` tokens, or as many as the model takes; one that was used before if it fits.

    Args:
        model: the model.
        rows: number of sequences.
        length: number of tokens wanted.
        cached: as for ``generate``.

    Returns:
        The reader, and the size of the vocabulary.

    Raises:
        ArgumentError: ``cached`` is true and the model cannot be read so.
    """
    if not callable(model):
        raise ArgumentTypeError(f"A language model is a model or a function of tokens; got {type(model).__name__}.")
    store = _store_of(model)
    now = attributes_of(model) if isinstance(model, Layer) else list(getattr(model, "variables", ()))
    if not same_attributes(store.get("attributes", []), now):
        store.clear()
    store["attributes"] = now
    reading = store.get(rows)
    if reading is None:
        reading = store[rows] = reading_of(model, rows)
    if cached and reading.problem:
        raise ArgumentError(f"cached=True: the model cannot be read one token at a time: {reading.problem}.")
    if cached is None and reading.problem:
        warnings.warn(
            f"generate reads the whole text again for every token. {reading.problem[0].upper()}{reading.problem[1:]}. "
            "cached=False accepts that.",
            stacklevel=3,
        )
    use = reading.problem is None if cached is None else cached
    if use:  # few lengths, so that few steps are compiled
        length = max(64, 1 << (length - 1).bit_length())
    if reading.limit is not None:
        length = min(length, reading.limit)
    readers: dict[Any, Reader] = store.setdefault("readers", {})
    key = rows, length, use
    reader = readers.pop(key, None) or Reader(model, rows, length, use)
    readers[key] = reader
    while len(readers) > _KEPT:
        del readers[next(iter(readers))]
    return reader, reading.vocabulary


def _store_of(model: Any) -> dict[Any, Any]:
    """Where the readers of a model are kept: with the model itself, unless it cannot hold any."""
    try:
        store: dict[Any, Any] = vars(model).setdefault("_readers", {})
    except TypeError:
        return {}
    return store
