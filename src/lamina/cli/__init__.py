"""The command ``lamina``."""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from typing import Any

from lamina.core.errors import LaminaError
from lamina.version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: those after the command's name; default those of the process.

    Returns:
        The exit status: 0 if all is well, 1 if a replay gave other bits, 2 for what cannot be done.
    """
    parser = argparse.ArgumentParser(prog="lamina", description="Tools for what Lamina has written.")
    parser.add_argument("--version", action="version", version=f"lamina {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    replay = commands.add_parser("replay", help="repeat the step at which training met NaN or infinity")
    replay.add_argument("file", help="the replay file that fit has named")
    replay.add_argument(
        "--code", metavar="SCRIPT", help="Python file of yours with the classes that the model is made of; it is run"
    )
    replay.set_defaults(run=_replay)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except LaminaError as error:
        print(f"lamina {options.command}: {error}", file=sys.stderr)  # noqa: T201
        return 2


def _replay(options: Any) -> int:
    from lamina.training.replay import replay

    custom = {}
    if options.code:
        names = runpy.run_path(options.code, run_name="lamina_replay")
        custom = {name: item for name, item in names.items() if callable(item) and not name.startswith("_")}
    found = replay(options.file, custom_objects=custom)
    print(found)  # noqa: T201
    return 0 if found.equal else 1
