"""Histograms of event files read back, for pictures of one's own."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.tensorboard.reading import read_events


def read_histograms(
    log_dir: str | PathLike[str], suffix: str = "/histogram"
) -> dict[str, list[tuple[int, np.ndarray, np.ndarray]]]:
    """Histograms that were written to a folder, such as those of the callback ``TensorBoard``.

    Args:
        log_dir: the folder of a run (``logs/train``), or of several, of which ``train`` is read.
        suffix: only names with this ending, which is left out: ``"/histogram"`` for weights, ``"/gradient"``,
            ``"/activations"``, or ``""`` for all.

    Returns:
        By name: ``(step, edges, counts)`` for each time, for ``lamina.plotting.plot_histograms``.

    Raises:
        ArgumentError: there are no event files, or no such histograms in them.
        FileFormatError: a file is damaged.

    Example:
        >>> import tempfile, lamina
        >>> with lamina.tensorboard.SummaryWriter(tempfile.mkdtemp()) as writer:
        ...     writer.add_histogram("kernel/histogram", [0.0, 1.0, 1.0], 3, bins=2)
        >>> read_histograms(writer.log_dir)["kernel"][0][2].tolist()
        [1.0, 2.0]
    """
    folder = Path(log_dir)
    files = sorted(folder.glob("*tfevents*")) or sorted(folder.glob("train/*tfevents*"))
    if not files:
        raise ArgumentError(f"There are no event files in {str(folder)!r} or in its folder 'train'.")
    found: dict[str, list[tuple[int, np.ndarray, np.ndarray]]] = {}
    other: set[str] = set()
    for event in (event for file in files for event in read_events(file)):
        if event.value.ndim != 2 or event.value.shape[1] != 3:  # left edge, right edge, count
            continue
        if event.tag.endswith(suffix):
            rows = event.value.astype(np.float64)
            edges = np.append(rows[:, 0], rows[-1:, 1])
            found.setdefault(event.tag.removesuffix(suffix), []).append((event.step, edges, rows[:, 2]))
        else:
            other.add(event.tag)
    if not found:
        hint = f" There are: {', '.join(sorted(other)[:8])}." if other else " Write some: histogram_freq=1."
        raise ArgumentError(f"There are no histograms in {str(folder)!r} whose names end in {suffix!r}.{hint}")
    return {name: sorted(rows, key=lambda row: row[0]) for name, rows in found.items()}
