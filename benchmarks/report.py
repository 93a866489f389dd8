"""Rows of the table: what was reached beside what must be reached."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

NAMES = {"lamina": "Lamina", "torch": "PyTorch", "jax": "JAX", "keras": "Keras", "onnxruntime": "ONNX Runtime"}


@dataclass
class Goal:
    """A figure that must be reached.

    Attributes:
        what: ``"× PyTorch"``, ``"of the peak"``, ...
        target: the figure.
        reached: what was measured.
        most: whether the target is a ceiling (seconds, bytes) instead of a floor (ratios).
        unit: printed behind both figures.
    """

    what: str
    target: float
    reached: float
    most: bool = False
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.reached <= self.target if self.most else self.reached >= self.target

    def __str__(self) -> str:
        sign = "≤" if self.most else "≥"
        mark = "ok" if self.met else "MISSED"
        return f"{_short(self.reached)}{self.unit}{self.what} ({sign} {_short(self.target)}) {mark}"


@dataclass
class Row:
    """One line of the table.

    Attributes:
        work: what was done.
        figures: by framework, as text with the unit.
        limit: what the machine allows, and how much of it Lamina reaches, as text.
        goals: what must be reached.
        notes: anything to know: a framework's form, a loss that differs, foreign load.
        samples: the figures of all rounds by framework, for the JSON file.
    """

    work: str
    figures: dict[str, str]
    limit: str = ""
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    samples: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """All of it, with whether each goal is met."""
        return asdict(self) | {"goals": [asdict(goal) | {"met": goal.met} for goal in self.goals]}


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def seconds(value: float) -> str:
    """A time with its unit.

    >>> seconds(0.00215), seconds(3e-06), seconds(2.5)
    ('2.15 ms', '3.00 µs', '2.50 s')
    """
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs"), (1e9, "ns")):
        if value * factor >= 1 or unit == "ns":
            scaled = value * factor
            return f"{scaled:.0f} {unit}" if scaled >= 100 else f"{scaled:.3g} {unit}"
    raise AssertionError


def ratio(what: str, target: float, peer: float | None, own: float) -> list[Goal]:
    """The goal to be so many times as fast as a peer, if the peer ran."""
    return [] if peer is None else [Goal(f"× {what}", target, peer / own)]


def text(row: Row) -> str:
    """A row as lines for the terminal."""
    figures = "   ".join(f"{NAMES.get(name, name)} {value}" for name, value in row.figures.items())
    lines = [row.work, f"    {figures}"] if figures else [row.work]
    if row.limit:
        lines.append(f"    limit: {row.limit}")
    lines += [f"    {goal}" for goal in row.goals]
    lines += [f"    note: {note}" for note in row.notes]
    return "\n".join(lines)


def markdown(rows: Iterable[Row]) -> str:
    """The table of ``docs/benchmarks.md``, with a column for each framework that did anything."""
    rows = list(rows)
    names = [name for name in NAMES if any(name in row.figures for row in rows)]
    titles = ["work", *(NAMES[name] for name in names), "limit", "reached (target)"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    notes: list[str] = []
    for row in rows:
        marks = []
        for note in row.notes:
            if note not in notes:
                notes.append(note)
            marks.append(f"[{notes.index(note) + 1}]")
        cells = [row.work + (" " + " ".join(marks) if marks else "")]
        cells += [row.figures.get(name, "–") for name in names]
        cells += [row.limit, "<br>".join(map(str, row.goals))]
        lines.append("| " + " | ".join(cells) + " |")
    if notes:
        lines += ["", *(f"[{i}] {note}  " for i, note in enumerate(notes, 1))]
    return "\n".join(lines) + "\n"
