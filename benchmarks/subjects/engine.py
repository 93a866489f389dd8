"""Networks for pictures and sequences and what they are made of: the table of ``make bench-engine``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from benchmarks import engine
from benchmarks.arena import Arena, median
from benchmarks.report import NAMES, Goal, Row, ratio, seconds
from benchmarks.subjects import engine_fresh

SECONDS = {"convolution": 0.08, "recurrence": 0.3, "attention": 0.4, "predict": 0.2}  # for each call in each round
ROUNDS_OF_EPOCHS = 3  # at most: they take seconds
CONVOLUTION_MEANS = {"torch": 1.15, "jax": 1.5}
PICTURES = {"lenet": 1.5, "vgg": 1.4, "resnet18": 1.3}  # times the best peer
PUBLISHED = 1.2  # times PyTorch
RECURRENCES = (2.0, 2.0, 1.5, 1.2)  # times PyTorch
SENTENCES = 1.5  # times the best peer
SENTENCE_ROWS = 1_280
ATTENTION = 1.2  # times PyTorch
PREDICT = {"torch": 1.5, "onnxruntime": 0.8}  # equal to ONNX Runtime within 20 %
LOSS_TOLERANCE = 0.15  # of the first epoch, relative: first weights and the order of the samples differ


def rows(arena: Arena, small: bool) -> Iterator[Row]:
    """All rows, in the order of the table."""
    yield from _convolutions(arena, small)
    yield from _pictures(arena, small)
    yield from _published(arena, small)
    yield from _sequences(arena, small)
    yield from _predictions(arena, small)
    arena.close()
    yield from engine_fresh.rows(arena, small)


def _row(
    arena: Arena,
    title: str,
    subject: str,
    frameworks: list[str],
    work: dict[str, Any],
    rounds: int | None = None,
    flops: int = 0,
) -> tuple[Row, dict[str, float]]:
    """Prepare ``work`` and measure it.  Returns the row without goals, and the median seconds by framework.

    Frameworks that cannot do the work are left out; Lamina's figure is "not available" then.
    """
    said = arena.prepare(f"engine.{subject}", frameworks, **work)
    found, disturbed = arena.measure(list(said), rounds)
    times = {name: median(found[name], "seconds") for name in said if name in found}
    flops = flops or said.get("lamina", {}).get("flops", 0)
    figures = {name: _figure(time, flops) for name, time in times.items()}
    row = Row(title, figures, samples={"rounds": found, "said": said, "flops": flops})
    row.notes = [f"{NAMES[name]}: {said[name]['how']}" for name in times if said[name].get("how")]
    if "lamina" not in times:
        row.figures = {"lamina": "not available", **figures}
        row.notes.append(f"Lamina: {arena.failures.get('lamina', 'not measured')}")
    peak = median(found["limits"], "flops")
    row.samples["peak"] = peak
    if flops:
        row.limit = f"{seconds(flops / peak)} at {peak / 1e9:.0f} GFLOP/s"
        if "lamina" in times:
            row.limit += f"; Lamina {flops / times['lamina'] / peak:.0%} of it"
    row.notes += _differences({name: said[name] for name in times})
    if disturbed:
        row.notes.append("other programs disturbed some measurements of this row")
    return row, times


def _figure(time: float, flops: int) -> str:
    return seconds(time) + (f" ({flops / time / 1e9:.3g} GFLOP/s)" if flops else "")


def _differences(said: dict[str, dict[str, Any]]) -> list[str]:
    """Notes if the frameworks' networks have not the same number of weights, or lose differently."""
    notes = []
    weights = {name: answer["weights"] for name, answer in said.items() if answer.get("weights")}
    if len(set(weights.values())) > 1:
        notes.append(f"the networks differ in their number of weights: {weights}")
    losses = {name: answer["loss"] for name, answer in said.items() if answer.get("loss")}
    if losses and max(losses.values()) > (1 + LOSS_TOLERANCE) * min(losses.values()):
        notes.append("losses of the first epoch: " + ", ".join(f"{NAMES[n]} {loss:.3g}" for n, loss in losses.items()))
    return notes


def _against(times: dict[str, float], targets: dict[str, float]) -> list[Goal]:
    """Goals against peers."""
    own = times.get("lamina")
    return [] if own is None else [g for n, t in targets.items() for g in ratio(NAMES[n], t, times.get(n), own)]


def _against_best(times: dict[str, float], target: float) -> list[Goal]:
    """The goal against the fastest peer."""
    peers = {name: time for name, time in times.items() if name != "lamina"}
    if not peers or "lamina" not in times:
        return []
    best = min(peers, key=lambda name: peers[name])
    return ratio(f"{NAMES[best]}, the best peer", target, peers[best], times["lamina"])


# --- the groups of rows ---------------------------------------------------------------------------
def _convolutions(arena: Arena, small: bool) -> Iterator[Row]:
    """A row for each shape, the sum of the three directions, and their geometric mean."""
    ratios: dict[str, list[float]] = {name: [] for name in CONVOLUTION_MEANS}
    for work in engine.CONVOLUTIONS:
        title = str(work)
        if not arena.wants(title):
            continue
        each = SECONDS["convolution"] / (8 if small else 1)
        arguments = asdict(work) | {"seconds": each}
        row, times = _row(arena, title, "convolution", ["lamina", *ratios], arguments, flops=3 * work.flops)
        row.goals = _against(times, {"torch": 1.0})
        if "lamina" in times:
            for name in ratios:
                if name in times:
                    ratios[name].append(times[name] / times["lamina"])
            parts = {part: median(row.samples["rounds"]["lamina"], part) for part in ("forward", "input", "kernel")}
            rates = ", ".join(f"{part} {work.flops / time / 1e9:.3g}" for part, time in parts.items())
            row.notes.append(f"Lamina's GFLOP/s: {rates}")
        yield row
    if any(len(found) > 1 for found in ratios.values()):
        count = max(map(len, ratios.values()))
        row = Row(f"geometric mean of {count} convolutions", {}, samples={"ratios": ratios})
        for name, target in CONVOLUTION_MEANS.items():
            if ratios[name]:
                mean = math.exp(sum(map(math.log, ratios[name])) / len(ratios[name]))
                row.goals.append(Goal(f"× {NAMES[name]}", target, mean))
        yield row


def _pictures(arena: Arena, small: bool) -> Iterator[Row]:
    for network in engine.PICTURES:
        work = network.smaller() if small else network
        title = f"{work.title}, Adam, batch {work.batch}, {work.rows:,} images: an epoch"
        if arena.wants(title):
            frameworks = ["lamina", "torch", "jax", "keras"]
            arguments = asdict(work) | {"trial": not small}
            row, times = _row(arena, title, "pictures", frameworks, arguments, ROUNDS_OF_EPOCHS)
            row.goals = _against_best(times, PICTURES[work.network])
            yield row


def _published(arena: Arena, small: bool) -> Iterator[Row]:
    for work in () if small else engine.PUBLISHED:  # too large for a trial
        title = f"{work.title} as published, SGD with momentum, batch {work.batch}, {work.rows} images"
        if arena.wants(title):
            row, times = _row(arena, title, "published", ["lamina", "torch"], asdict(work), ROUNDS_OF_EPOCHS)
            row.goals = _against(times, {"torch": PUBLISHED})
            yield row


def _sequences(arena: Arena, small: bool) -> Iterator[Row]:
    for work, target in zip(engine.RECURRENCES, RECURRENCES, strict=True):
        if arena.wants(str(work)):
            each = SECONDS["recurrence"] / (10 if small else 1)
            arguments = asdict(work) | {"seconds": each}
            row, times = _row(arena, str(work), "recurrence", ["lamina", "torch", "jax"], arguments, flops=work.flops)
            row.goals = _against(times, {"torch": target})
            yield row

    count = 2 * engine.SENTENCE_BATCH if small else SENTENCE_ROWS
    title = (
        f"Embedding {engine.WORDS:,} × {engine.WIDTH}, LSTM {engine.HIDDEN}, Dense; {engine.SENTENCE_STEPS} steps, "
        f"RMSprop, batch {engine.SENTENCE_BATCH}, {count:,} rows: an epoch"
    )
    if arena.wants(title):
        arguments = {"rows": count, "trial": not small}
        row, times = _row(arena, title, "sentences", ["lamina", "torch", "jax", "keras"], arguments)
        row.goals = _against_best(times, SENTENCES)
        yield row

    for case in engine.ATTENTIONS:
        if arena.wants(str(case)):
            each = SECONDS["attention"] / (10 if small else 1)
            arguments = asdict(case) | {"seconds": each}
            row, times = _row(arena, str(case), "attention", ["lamina", "torch", "jax"], arguments, flops=case.flops)
            row.goals = _against(times, {"torch": ATTENTION})
            yield row


def _predictions(arena: Arena, small: bool) -> Iterator[Row]:
    for network in ("lenet", "resnet18"):
        title = f"predict, batch 1, {engine.pictures(network).title}"
        if arena.wants(title):
            each = SECONDS["predict"] / (10 if small else 1)
            frameworks = ["lamina", "torch", "jax", "onnxruntime"]
            row, times = _row(arena, title, "predict", frameworks, {"network": network, "seconds": each})
            row.goals = _against(times, PREDICT)
            if "lamina" in times:
                whole = median(row.samples["rounds"]["lamina"], "predict_on_batch")
                row.notes.append(f"Lamina's predict_on_batch: {seconds(whole)}")
            yield row
