"""``generate``: text from a language model, one token after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina import ops, random
from lamina.core.errors import ArgumentError, ArgumentTypeError
from lamina.generation.reader import Reader, reader_for
from lamina.generation.sampling import check_choice, sample

_AT_ONCE = 32  # steps between looks whether all sequences have come to their end


def generate(
    model: Callable[..., Any],
    prompt: Any,
    steps: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    end: int | None = None,
    seed: int | None = None,
    cached: bool | None = None,
) -> Any:
    """Continue token sequences by ``steps`` tokens, each drawn by ``sample`` from what the model says comes next.

    Each new token costs one step of the model: recurrent layers keep their states, attention with ``use_causal_mask``
    the keys and values of the tokens before (``lamina.layers.Cache``).  The prompt is read in the same way, so that
    prompts of a batch may have different lengths.  One step is compiled and used for all lengths, seeds and
    temperatures; it is kept with the model.

    Args:
        model: what takes token numbers of shape ``(batch, steps)`` and returns logits ``(batch, steps, vocabulary)``,
            or ``(batch, vocabulary)`` for the last step: a model, or a function.
        prompt: the beginning, one sequence of token numbers or several, each of at least one token.
        steps: number of new tokens for each.
        temperature, top_k, top_p: see ``sample``.
        end: a sequence ends with this token.
        seed: the same seed gives the same tokens; default a new one.
        cached: whether to read one token at a time.  ``False`` gives the model the whole text for every token.
            Default: where the model allows it, which is tried on a few tokens; a warning says why not.

    When a model takes only so many tokens (``PositionEmbedding``) and the text gets longer, the later half of them
    becomes the beginning of a new text, as often as needed.  A model made for one number of steps that cannot be
    cached is given the last tokens of that number.

    Returns:
        int32 array of prompt and new tokens, or a list of them for several prompts.

    Raises:
        ArgumentError: an argument is out of range, or ``cached=True`` and the model cannot be read so.
        ShapeError: the model returns no logits.

    Example:
        >>> import lamina
        >>> model = lamina.Sequential([
        ...     lamina.layers.Embedding(10, 8), lamina.layers.GRU(8, return_sequences=True), lamina.layers.Dense(10)
        ... ])
        >>> lamina.generation.generate(model, [1, 2, 3], steps=5, seed=0).shape
        (8,)
    """
    check_choice(temperature, top_k, top_p)
    check_count("steps", steps)
    texts, single = as_texts(prompt)
    lengths = np.array([len(text) for text in texts])
    reader, vocabulary = reader_for(model, len(texts), int(lengths.max()) + steps, cached)
    check_tokens(texts, end, vocabulary)
    grown = np.zeros((len(texts), lengths.max() + steps), np.int32)
    for row, text in zip(grown, texts, strict=True):
        row[: len(text)] = text
    reader.set(
        key=random.key(random.make_seed() if seed is None else seed),
        temperature=np.float32(temperature),
        top_k=np.int32(vocabulary if top_k is None else top_k),
        top_p=np.float32(2.0 if top_p is None else top_p),
    )
    _grow(reader, grown, lengths, steps, end, choosy=top_k is not None or top_p is not None)
    results = [cut(row, n, n + steps, end) for row, n in zip(grown, lengths.tolist(), strict=True)]
    return results[0] if single else results


def _grow(reader: Reader, grown: np.ndarray, lengths: np.ndarray, steps: int, end: int | None, choosy: bool) -> None:
    """Fill ``grown``, of which the first ``lengths`` tokens are given, with tokens."""
    done, total = int(lengths.min()), grown.shape[1]
    start, place = 0, 0
    fresh = True
    while done < total:
        if fresh:
            known = np.maximum(lengths, done) - start
            reader.set(known=known.astype(np.int32), start=np.int32(start))
            place = reader.begin(grown[:, start:], done - start)
        stop = min(total, start + reader.length, total if end is None else done + _AT_ONCE)
        reader.run("choosy" if choosy else "free", lambda: _step(reader, choosy), stop - 1 - start - place)
        place = stop - 1 - start
        grown[:, done:stop] = reader.tokens.numpy()[:, done - start : stop - start]
        done = stop
        if end is not None and all(
            n + steps <= done or end in row[n:done] for row, n in zip(grown, lengths.tolist(), strict=True)
        ):
            return
        fresh = done == start + reader.length
        start = done - reader.length // 2 if fresh else start


def _step(reader: Reader, choosy: bool) -> None:
    """Read a token and write the next one, unless the prompt says it."""
    place = reader.position
    logits = reader.logits()
    key = random.fold_in(reader.get("key"), ops.add(place, reader.get("start")))
    top_k, top_p = (reader.get("top_k"), reader.get("top_p")) if choosy else (None, None)
    chosen = sample(logits, reader.get("temperature"), top_k, top_p, key)
    following = ops.add(place, 1)
    given = ops.dynamic_slice(reader.tokens.value, [0, following], [reader.tokens.shape[0], 1])[:, 0]
    reader.put(ops.where(ops.less(following, reader.get("known")), given, ops.astype(chosen, "int32")), following)


def cut(row: np.ndarray, first: int, stop: int, end: int | None) -> np.ndarray:
    """The tokens before ``stop``, or to the end token among the new ones."""
    if end is not None:
        places = np.flatnonzero(row[first:stop] == end)
        stop = first + int(places[0]) + 1 if places.size else stop
    return row[:stop].copy()


# --- arguments --------------------------------------------------------------------------------------
def check_count(name: str, value: Any) -> None:
    """Raise ``ArgumentError`` for what is no positive int."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ArgumentError(f"{name} is a positive int; got {value!r}.")


def as_texts(prompt: Any) -> tuple[list[np.ndarray], bool]:
    """The prompts as int arrays, and whether only one was meant.

    Raises:
        ArgumentError: they are no sequences of token numbers, or one is empty.
    """
    if isinstance(prompt, str) or (isinstance(prompt, Sequence) and any(isinstance(x, str) for x in prompt)):
        raise ArgumentTypeError(
            "A prompt is token numbers, not text. Encode it with what encoded the training text, and decode the result."
        )
    if not isinstance(prompt, Sequence):
        prompt = np.asarray(prompt)
        if prompt.ndim == 0:
            raise ArgumentTypeError(f"A prompt is a sequence of token numbers; got {prompt.item()!r}.")
    single = len(prompt) == 0 or np.ndim(prompt[0]) == 0
    texts = [np.asarray(text) for text in ([prompt] if single else prompt)]
    for text in texts:
        if text.ndim != 1:
            raise ArgumentError(
                f"A prompt is one sequence of token numbers, or several of them; got a part of shape {text.shape}."
            )
        if text.size == 0:
            raise ArgumentError(
                "A prompt has at least one token; got an empty one. Begin with a token that starts a text (a line "
                "break, or one of its own)."
            )
        if text.dtype.kind not in "iu":
            raise ArgumentError(f"A prompt is token numbers, integers; got {text.dtype}.")
    return texts, single


def check_tokens(texts: list[np.ndarray], end: int | None, vocabulary: int) -> None:
    """Raise ``ArgumentError`` for numbers that are no tokens."""
    if end is not None and vocabulary and not 0 <= end < vocabulary:
        raise ArgumentError(f"end is a token from 0 to {vocabulary - 1}; got {end!r}.")
    for text in texts:
        if vocabulary and (text.min() < 0 or text.max() >= vocabulary):
            wrong = text.min() if text.min() < 0 else text.max()
            raise ArgumentError(f"The prompt holds token {wrong}; the model knows 0 to {vocabulary - 1}.")
