"""``beam_search``: the likeliest continuations, looked for along several at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lamina import nn, ops
from lamina.core.errors import ShapeError
from lamina.generation.reader import Reader, reader_for
from lamina.generation.text import as_texts, check_count, check_tokens, cut
from lamina.layers.cache import Cache

_NEVER = -1e30  # the score of what is not to be chosen; its sums stay finite


class Beams(NamedTuple):
    """Continuations of one prompt, the best first.

    Attributes:
        texts: int32 arrays of prompt and new tokens.
        scores: float32 array: for each the logarithm of its probability given the prompt, divided by the number of new
            tokens to the power ``length_penalty``.
    """

    texts: list[np.ndarray]
    scores: np.ndarray


def beam_search(
    model: Callable[..., Any],
    prompt: Any,
    steps: int,
    *,
    beams: int = 4,
    end: int | None = None,
    length_penalty: float = 1.0,
    cached: bool | None = None,
) -> Any:
    """Look for the continuations of highest probability, following the ``beams`` best beginnings at every token.

    It finds likelier texts than ``generate(temperature=0)``, which follows only one, and no certain maximum.  Each
    token costs one step of the model on ``beams`` texts, as in ``generate``.

    Args:
        model: as for ``generate``.
        prompt: one sequence of token numbers or several, of any lengths.
        steps: the most new tokens.
        beams: how many beginnings to follow, and how many results to give.
        end: a text ends with this token.
        length_penalty: 0 compares probabilities of whole texts, which favours short ones; 1 their means for each token.
        cached: as for ``generate``.

    Returns:
        ``Beams``, or a list of them for several prompts.

    Raises:
        ArgumentError: an argument is out of range.
        ShapeError: prompt and steps are more than the model takes.

    Example:
        >>> import lamina
        >>> follow = lamina.tensor([[0.0, 2.0, 1.5], [1.0, 1.1, 1.0], [0.0, 9.0, 0.0]])  # logits after each token
        >>> model = lambda tokens: lamina.take(follow, tokens, axis=0)
        >>> found = lamina.generation.beam_search(model, [0], steps=2, beams=2)
        >>> [text.tolist() for text in found.texts]  # 2 is less likely than 1 after 0, but sure of what follows
        [[0, 2, 1], [0, 1, 1]]
        >>> lamina.generation.generate(model, [0], 2, temperature=0).tolist()
        [0, 1, 1]
    """
    check_count("steps", steps)
    check_count("beams", beams)
    texts, single = as_texts(prompt)
    lengths = np.array([len(text) for text in texts])
    total = int(lengths.max()) + steps
    reader, vocabulary = reader_for(model, len(texts) * beams, total, cached)
    if reader.length < total:
        raise ShapeError(f"beam_search: the model takes {reader.length} tokens; prompt and steps are {total}.")
    check_tokens(texts, end, vocabulary)
    begun = np.zeros((len(texts), beams, total), np.int32)
    for rows, text in zip(begun, texts, strict=True):
        rows[:, : len(text)] = text
    scores = np.full((len(texts), beams), _NEVER, np.float32)
    scores[:, 0] = 0  # all beams are the prompt at first: only one of them counts
    reader.set(
        known=lengths.astype(np.int32),
        stop=(lengths + steps).astype(np.int32),
        end=np.int32(-1 if end is None else end),
        scores=scores,
        ended=np.zeros((len(texts), beams), bool),
        new=np.zeros((len(texts), beams), np.int32),
    )
    place = reader.begin(begun.reshape(-1, total), int(lengths.min()))
    reader.run(f"beams {beams}", lambda: _step(reader, len(texts), beams), total - 1 - place)
    found = reader.tokens.numpy().reshape(len(texts), beams, -1)
    totals = reader.get("scores").numpy() / np.maximum(reader.get("new").numpy(), 1) ** np.float32(length_penalty)
    results = []
    for rows, values, length in zip(found, totals, lengths.tolist(), strict=True):
        order = [i for i in np.argsort(-values, kind="stable") if values[i] > _NEVER / total / 2]
        results.append(Beams([cut(rows[i], length, length + steps, end) for i in order], values[order]))
    return results[0] if single else results


def _step(reader: Reader, count: int, beams: int) -> None:
    """Read a token in every beam, and go on with the best of all their continuations."""
    place = reader.position
    following = ops.add(place, 1)
    log_probabilities = nn.log_softmax(ops.astype(reader.logits(), "float32"), axis=-1)
    vocabulary = log_probabilities.shape[-1]
    log_probabilities = ops.reshape(log_probabilities, (count, beams, vocabulary))
    scores, ended = reader.get("scores"), reader.get("ended")
    # A text that has ended goes on in one way, at no cost.
    tokens = ops.arange(vocabulary, dtype="int32")
    stays = ops.where(ops.equal(tokens, 0), 0.0, _NEVER)
    totals = ops.add(ops.expand_dims(scores, -1), ops.where(ops.expand_dims(ended, -1), stays, log_probabilities))
    best, places = ops.top_k(ops.reshape(totals, (count, beams * vocabulary)), beams)
    source, chosen = ops.floor_divide(places, vocabulary), ops.astype(ops.remainder(places, vocabulary), "int32")
    # Inside a prompt all beams stay where they are and read on; behind the last step they stand still.
    inside = ops.expand_dims(ops.less(following, reader.get("known")), 1)
    over = ops.expand_dims(ops.greater_equal(following, reader.get("stop")), 1)
    still = ops.logical_or(inside, over)
    same = ops.broadcast_to(ops.arange(beams, dtype=source.dtype), source.shape)
    source = ops.where(still, same, source)
    rows = ops.reshape(ops.add(source, ops.multiply(ops.expand_dims(ops.arange(count), 1), beams)), (-1,))
    given = ops.dynamic_slice(reader.tokens.value, [0, following], [count * beams, 1])
    chosen = ops.where(still, ops.reshape(given, (count, beams)), chosen)

    def moved(x: Any) -> Any:
        return ops.take_along_axis(x, source, axis=1)

    ended = moved(ended)
    fresh = ops.logical_not(ops.logical_or(ended, still))
    reader.set(
        scores=ops.where(still, scores, best),
        new=ops.add(moved(reader.get("new")), ops.astype(fresh, "int32")),
        ended=ops.logical_or(ended, ops.logical_and(fresh, ops.equal(chosen, reader.get("end")))),
    )
    _rearrange(reader, rows)
    reader.put(ops.reshape(chosen, (-1,)), following)


def _rearrange(reader: Reader, rows: Any) -> None:
    cache: Cache = reader.cache
    cache.take(rows)
    reader.tokens.assign(ops.take(reader.tokens.value, rows, axis=0))
