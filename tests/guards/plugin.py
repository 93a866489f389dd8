"""A pytest plugin that guards the memory of all compiled graphs: ``-p guards.plugin --guard end``."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def pytest_addoption(parser: Any) -> None:
    parser.addoption("--guard", choices=("end", "start"), default="end", help="which end of a buffer is guarded")
    parser.addoption("--guard-log", default=None, help="file that names the test that is running")


def pytest_configure(config: Any) -> None:
    from guards.memory import install

    install(config.getoption("--guard"))
    config.pluginmanager.register(_Log(config.getoption("--guard-log")))


class _Log:
    """Keeps the name of the running test in a file, which outlives a crash."""

    def __init__(self, path: str | None) -> None:
        self.path = Path(path) if path else None

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(nodeid + "\n")
