"""Mauna Loa: carbon dioxide in the air over Hawaii, week by week from 1958 to 2001 (Keeling and Whorf, 2004)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lamina.datasets._tables import check_split

FILE = Path(__file__).with_name("mauna_loa.csv")  # the one data set that comes with Lamina


def load_series() -> tuple[np.ndarray, np.ndarray]:
    """The whole series.

    Returns:
        ``(weeks, ppm)``: dates of Saturdays ``datetime64[D] (2284,)``, and the mean of each week in parts per million,
        float32.  The 59 weeks without measurements lie on a line between their neighbours.

    Example:
        >>> weeks, ppm = load_series()
        >>> str(weeks[0]), float(ppm[0]), str(weeks[-1]), float(ppm[-1])
        ('1958-03-29', 316.1..., '2001-12-29', 371.5)

    Source: Keeling and Whorf, "Atmospheric CO2 concentrations derived from flask air samples at sites in the SIO
    network", Carbon Dioxide Information Analysis Center, 2004 (in the public domain).
    """
    rows = [line.split(",") for line in FILE.read_text(encoding="utf-8").splitlines()[1:]]
    weeks = np.array([week for week, _ in rows], dtype="datetime64[D]")
    known = np.array([ppm != "" for _, ppm in rows])
    values = np.array([float(ppm) for _, ppm in rows if ppm])
    return weeks, np.interp(np.arange(len(rows)), np.flatnonzero(known), values).astype(np.float32)


def load_data(test_split: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    """The beginning of the series to train on, and its end to test on.

    Args:
        test_split: share of the weeks that is kept for testing, from 0 up to, and without, 1.

    Returns:
        ``(train, test)``: parts per million, float32 ``(weeks,)``.

    Raises:
        ArgumentError: ``test_split`` is out of range.

    Example:
        >>> train, test = load_data()
        >>> train.shape, test.shape
        ((1713,), (571,))
    """
    check_split(test_split)
    _, ppm = load_series()
    cut = int(len(ppm) * (1 - test_split))
    return ppm[:cut], ppm[cut:]
