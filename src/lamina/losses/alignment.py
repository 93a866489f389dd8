"""Connectionist temporal classification: the probability of a sequence of labels without their places in time."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import ops
from lamina.core.errors import ArgumentError
from lamina.graph.scan import scan
from lamina.losses.regression import as_float
from lamina.ops import nn
from lamina.tensor import Tensor

_NEVER = -1e30  # logarithm of the probability of what cannot be


def ctc_loss(target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0) -> Tensor:
    """``-log`` of the probability that the outputs, with repeats and blanks dropped, spell the targets.

    Args:
        target: labels ``[batch, length]``.
        output: logits ``[batch, steps, classes]``.
        target_length: how many labels count, ``[batch]``.
        output_length: how many steps count, ``[batch]``.
        mask_index: the class that is the blank.

    Returns:
        One loss for each sample, ``[batch]``.

    Source: Graves et al., "Connectionist Temporal Classification", ICML 2006.
    """
    labels, logits = ops.astype(ops.as_tensor(target), "int32"), as_float(output)
    lengths = ops.expand_dims(ops.astype(ops.as_tensor(target_length), "int32"), 1)
    steps_used = ops.expand_dims(ops.astype(ops.as_tensor(output_length), "int32"), 1)
    batch, length = labels.shape
    steps, states = logits.shape[1], 2 * length + 1
    # The labels with a blank before, between and after: blank, a, blank, b, blank.
    blank = ops.full_like(labels, mask_index)
    spread = ops.reshape(ops.stack([blank, labels], axis=2), (batch, 2 * length))
    spread = ops.concat([spread, ops.full((batch, 1), mask_index, dtype="int32")], axis=1)
    earlier = ops.concat([ops.full((batch, 2), -1, dtype="int32"), spread[:, :-2]], axis=1) if length else spread
    places = ops.arange(states, dtype="int32")
    is_label = ops.equal(ops.remainder(places, 2), 1)
    skips = ops.logical_and(is_label, ops.not_equal(spread, earlier))  # over the blank in between
    log_p = nn.log_softmax(logits, axis=-1)
    emitted = ops.take_along_axis(log_p, ops.broadcast_to(spread[:, None, :], (batch, steps, states)), axis=2)
    emitted = ops.moveaxis(emitted, 1, 0)
    start = ops.where(places < 2, emitted[0], _NEVER)

    def step(alpha: Any, now: Any) -> tuple[Any, Any]:
        here, t = now
        one = ops.pad(alpha[:, :-1], [(0, 0), (1, 0)], constant_values=_NEVER)
        two = ops.pad(alpha[:, :-2], [(0, 0), (2, 0)], constant_values=_NEVER) if length else one
        ways = ops.stack([alpha, one, ops.where(skips, two, _NEVER)], axis=0)
        after = ops.maximum(ops.logsumexp(ways, axis=0) + here, _NEVER)
        return ops.where(ops.less(t, steps_used), after, alpha), t

    alpha, _ = scan(step, start, (emitted[1:], ops.arange(1, steps, dtype="int32")))
    ends = ops.logical_or(ops.equal(places, 2 * lengths), ops.equal(places, 2 * lengths - 1))
    return ops.negative(ops.logsumexp(ops.where(ends, alpha, _NEVER), axis=1))


def ctc_decode(
    inputs: Any,
    sequence_lengths: Any,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> tuple[Any, Any]:
    """The labels that outputs of a network trained with ``ctc_loss`` spell.

    Args:
        inputs: logits ``[batch, steps, classes]``.
        sequence_lengths: how many steps count, ``[batch]``.
        strategy: ``"greedy"`` takes the best class of each step; ``"beam_search"`` follows the
            ``beam_width`` most probable prefixes, which needs values and so runs eagerly.
        beam_width: see above.
        top_paths: how many of the best paths a beam search returns.
        merge_repeated: whether a greedy path drops repeated classes.
        mask_index: the class that is the blank.

    Returns:
        ``(paths, scores)``: labels ``[top_paths, batch, steps]`` padded with -1, and for each path its
        negative log-probability (greedy, ``[batch, 1]``) or log-probability (beam search,
        ``[batch, top_paths]``).
    """
    if strategy == "greedy":
        return _greedy(inputs, sequence_lengths, merge_repeated, mask_index)
    if strategy == "beam_search":
        return _beam_search(inputs, sequence_lengths, beam_width, top_paths, mask_index)
    raise ArgumentError(f"Invalid strategy {strategy}. Supported values are 'greedy' and 'beam_search'.")


def _greedy(inputs: Any, sequence_lengths: Any, merge_repeated: bool, mask_index: int) -> tuple[Any, Any]:
    logits = as_float(inputs)
    logits = ops.astype(logits, "float32") if logits.dtype.itemsize == 2 else logits
    batch, steps, classes = logits.shape
    mask_index = mask_index + classes if mask_index < 0 else mask_index
    used = ops.less(ops.arange(steps), ops.expand_dims(ops.as_tensor(sequence_lengths), 1))
    best = ops.astype(ops.argmax(logits, axis=-1), "int32")
    scores = ops.max(logits, axis=-1)
    kept = ops.logical_and(used, ops.not_equal(best, mask_index))
    if merge_repeated:
        before = ops.concat([ops.full((batch, 1), -1, dtype="int32"), best[:, :-1]], axis=1)
        kept = ops.logical_and(kept, ops.not_equal(best, before))
    order = ops.argsort(ops.astype(ops.logical_not(kept), "int32"), axis=1)
    paths = ops.where(ops.take_along_axis(kept, order, axis=1), ops.take_along_axis(best, order, axis=1), -1)
    total = ops.negative(ops.sum(ops.where(used, scores, 0), axis=1, keepdims=True))
    return ops.expand_dims(paths, 0), total


def _beam_search(
    inputs: Any, sequence_lengths: Any, beam_width: int, top_paths: int, mask_index: int
) -> tuple[Any, Any]:
    logits = as_float(inputs)
    logits = ops.astype(logits, "float32") if logits.dtype.itemsize == 2 else logits
    log_p = np.asarray(nn.log_softmax(logits, axis=-1))
    lengths = np.asarray(ops.as_tensor(sequence_lengths))
    batch, steps, classes = log_p.shape
    blank = mask_index + classes if mask_index < 0 else mask_index
    paths = np.full((top_paths, batch, steps), -1, np.int32)
    scores = np.full((batch, top_paths), -np.inf, log_p.dtype)
    for b in range(batch):
        for rank, (prefix, score) in enumerate(_beam(log_p[b, : lengths[b]], blank, beam_width)[:top_paths]):
            paths[rank, b, : len(prefix)] = prefix
            scores[b, rank] = score
    return ops.as_tensor(paths), ops.as_tensor(scores)


def _beam(log_p: np.ndarray, blank: int, width: int) -> list[tuple[tuple[int, ...], float]]:
    """The most probable prefixes with their log-probabilities, best first.

    A prefix has two of them: of the ways that end in a blank, and of those that end in its last label.
    """
    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -np.inf)}
    for now in log_p:
        grown: dict[tuple[int, ...], tuple[float, float]] = {}

        def more(prefix: tuple[int, ...], in_blank: float, in_label: float, grown: Any = grown) -> None:
            old = grown.get(prefix, (-np.inf, -np.inf))
            grown[prefix] = (np.logaddexp(old[0], in_blank), np.logaddexp(old[1], in_label))

        for prefix, (in_blank, in_label) in beam.items():
            either = np.logaddexp(in_blank, in_label)
            more(prefix, either + now[blank], in_label + now[prefix[-1]] if prefix else -np.inf)
            for c in range(len(now)):
                if c != blank:
                    start = in_blank if prefix and prefix[-1] == c else either
                    more((*prefix, c), -np.inf, start + now[c])
        best = sorted(grown.items(), key=lambda item: -np.logaddexp(*item[1]))
        beam = dict(best[:width])
    return [(prefix, float(np.logaddexp(*two))) for prefix, two in beam.items()]
