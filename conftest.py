"""Tests, and examples in docstrings, do the same in every run, in any order and beside any other."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import lamina

# The same examples in every run, and none that fails because the machine is slow.
settings.register_profile(
    "lamina", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lamina")

# A program that a shell starts in the background ignores Ctrl-C, and so would those that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_states: dict[Any, list[tuple[np.random.Generator, Any]]] = {}  # of the generators of a test file, when it was imported


def _seed(item: Any) -> None:
    """Whoever draws random numbers without a seed of its own draws the same from here on."""
    lamina.random.seed(0)
    np.random.seed(0)  # noqa: NPY002  # that of NumPy itself is meant
    random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
    file = item.getparent(pytest.Module)
    for generator, state in _states.get(file, ()):
        generator.bit_generator.state = state


def pytest_collection_finish(session: pytest.Session) -> None:
    for item in session.items:
        file = item.getparent(pytest.Module)
        if isinstance(item, pytest.Function) and file is not None and file not in _states:
            found = [v for v in vars(file.obj).values() if isinstance(v, np.random.Generator)]
            _states[file] = [(generator, generator.bit_generator.state) for generator in found]


@pytest.fixture(autouse=True)
def _seeded(request: pytest.FixtureRequest) -> None:
    """Every test draws the same random numbers, whichever ran before it."""
    _seed(request.node)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: pytest.FixtureRequest) -> Generator[None, Any, Any]:
    """So does what is made once for several tests, whichever comes first."""
    if fixturedef.scope != "function":
        _seed(request.node)
    return (yield)
