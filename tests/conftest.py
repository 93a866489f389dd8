"""Fixtures that several test files use."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import counting
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


def data_folder() -> Path | None:
    """Where real data lies: the folder in LAMINA_DATA, or shared/data beside the project."""
    named = os.environ.get("LAMINA_DATA")
    for folder in ([Path(named)] if named else []) + [ROOT.parent / "shared" / "data"]:
        if folder.is_dir():
            return folder
    return None


@pytest.fixture
def mnist_test_files() -> tuple[Path, Path]:
    """The image and label files of MNIST's 10,000 test digits."""
    folder = data_folder()
    if folder is not None:
        images, labels = folder / "t10k-images-idx3-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz"
        if images.exists() and labels.exists():
            return images, labels
    pytest.skip("needs MNIST's t10k files in the folder LAMINA_DATA or in ../shared/data")


@pytest.fixture
def rng() -> np.random.Generator:
    """NumPy's generator with a fixed seed, for making test data."""
    return np.random.default_rng(0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any) -> Generator[None, Any, Any]:
    """What a test has told goes with its report, from the processes of ``-n`` too."""
    report = yield
    if report.when == "call":
        report.user_properties.extend(counting.take())
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The counts of all tests, at the end of the run."""
    reports = [r for name in ("passed", "failed") for r in terminalreporter.stats.get(name, [])]
    lines = counting.summary([p for r in reports for p in getattr(r, "user_properties", [])])
    if lines:
        terminalreporter.section("counts")
        for line in lines:
            terminalreporter.line(line)
