"""What a comparison found: scores and times of each model, as a table."""

from __future__ import annotations

import io
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from lamina.core.errors import ArgumentError
from lamina.core.messages import did_you_mean
from lamina.profiling import time_text

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 110  # of the table where there is no terminal


@dataclass(frozen=True)
class Result:
    """One model's.

    Attributes:
        name: the model's name.
        scores: by measure, a number for each fold.
        fit_seconds: how long it was fitted, for each fold.
        predict_seconds: how long it predicted, for each fold.
    """

    name: str
    scores: dict[str, tuple[float, ...]]
    fit_seconds: tuple[float, ...]
    predict_seconds: tuple[float, ...]

    def mean(self, measure: str) -> float:
        """Mean of a measure over the folds."""
        return statistics.fmean(self.scores[measure])

    def spread(self, measure: str) -> float:
        """Standard deviation of a measure over the folds."""
        return statistics.stdev(self.scores[measure])


class Comparison(Sequence[Result]):
    """The results of ``compare``, the best first.  Taken by place or by name; ``print`` it to see the table.

    Attributes:
        task: "classification" or "regression".
        measures: their names; the first decides which model is best.
        description: the data and how it was cut, a line.
    """

    def __init__(self, task: str, measures: Sequence[str], results: Sequence[Result], description: str) -> None:
        self.task, self.measures, self.description = task, tuple(measures), description
        self._results = sorted(results, key=lambda result: -result.mean(self.measures[0]))

    @property
    def best(self) -> Result:
        """The result with the highest mean of the first measure."""
        return self._results[0]

    def __getitem__(self, which: int | slice | str) -> Result | list[Result]:  # type: ignore[override]
        if not isinstance(which, str):
            return self._results[which]
        names = [result.name for result in self._results]
        if which not in names:
            raise ArgumentError(
                f"Comparison: no model {which!r}; there are {', '.join(map(repr, names))}."
                + did_you_mean(which, names)
            )
        return self._results[names.index(which)]

    def __len__(self) -> int:
        return len(self._results)

    # --- as text ----------------------------------------------------------------------------------
    def _header(self) -> list[str]:
        return ["model", *self.measures, "fit", "predict"]

    def _rows(self) -> Iterator[list[str]]:
        for result in self._results:
            found = [(result.mean(measure), result.spread(measure)) for measure in self.measures]
            scores = [f"{mean:,.{_digits(mean)}f} ± {spread:,.{_digits(mean)}f}" for mean, spread in found]
            times = [time_text(statistics.fmean(each)) for each in (result.fit_seconds, result.predict_seconds)]
            yield [result.name, *scores, *times]

    @property
    def table(self) -> Table:
        """A ``rich`` table: mean and standard deviation over the folds, mean times of a fold."""
        from rich import box
        from rich.table import Table

        table = Table(title=self.description, box=box.SIMPLE_HEAD, header_style="bold", caption=self._caption())
        for i, column in enumerate(self._header()):
            table.add_column(column, justify="right" if i else "left", no_wrap=True)
        for i, row in enumerate(self._rows()):
            table.add_row(*row, style="" if i else "bold")
        return table

    def _caption(self) -> str:
        return "mean ± standard deviation over the folds; seconds of one fold"

    def to_markdown(self) -> str:
        """The table in Markdown."""
        header = self._header()
        lines = [header, ["---", *["---:"] * (len(header) - 1)], *self._rows()]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"

    def _repr_html_(self) -> str:
        """The table for notebooks."""
        style = ' style="text-align:right"'
        rows = [(("th", self._header())), *(("td", row) for row in self._rows())]
        cells = (
            "".join(f"<{tag}{style if i else ''}>{escape(cell)}</{tag}>" for i, cell in enumerate(row))
            for tag, row in rows
        )
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        return f"<table><caption>{escape(self.description)}; {escape(self._caption())}</caption>{body}</table>"

    def __str__(self) -> str:
        from rich.console import Console

        buffer = io.StringIO()
        Console(file=buffer, width=WIDTH, color_system=None, force_jupyter=False).print(self.table)
        return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())

    def __repr__(self) -> str:
        measure = self.measures[0]
        return f"<Comparison of {len(self)} models; best: {self.best.name}, {measure} {self.best.mean(measure):.3f}>"


def _digits(value: float) -> int:
    """Decimals to show of a number of this size."""
    return 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
