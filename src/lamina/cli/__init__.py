"""The command ``lamina``."""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lamina.core.errors import ArgumentError, LaminaError
from lamina.version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: those after the command's name; default those of the process.

    Returns:
        The exit status: 0 if all is well, 1 if a replay gave other bits or two runs differ, 2 for what cannot be done.
    """
    parser = argparse.ArgumentParser(prog="lamina", description="Tools for what Lamina has written.")
    parser.add_argument("--version", action="version", version=f"lamina {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    replay = commands.add_parser(
        "replay",
        help="repeat the step at which training met NaN or infinity",
        description="Repeat the step at which training met NaN or infinity, to the bit, and say what made it.",
        epilog="exit status: 0 if the bits are those of the run, 1 if they are others, 2 if the file cannot be used",
    )
    replay.add_argument("file", help="the replay file that fit has named")
    replay.add_argument(
        "--code", metavar="SCRIPT", help="your Python file with the classes that the model is made of; it is run"
    )
    replay.set_defaults(run=_replay)
    different = commands.add_parser(
        "why-different",
        help="say where two recorded runs part, and why",
        description="Name the first step and layer at which two runs differ that were recorded by fit(record=FOLDER), "
        "and the cause: data, seed, code, settings, version, threads or machine.",
        epilog="exit status: 0 if no step differs, 1 if one does, 2 if a record cannot be read",
    )
    different.add_argument("run_a", metavar="RUN_A", help="the folder that fit(record=...) was given")
    different.add_argument("run_b", metavar="RUN_B", help="that of the other run")
    different.set_defaults(run=_why_different)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except LaminaError as error:
        print(f"lamina {options.command}: {error}", file=sys.stderr)  # noqa: T201
        return 2


def _replay(options: Any) -> int:
    from lamina.training.replay import replay

    file, code = Path(options.file), options.code
    if file.is_dir():
        found = ", ".join(sorted(p.name for p in file.glob("replay-*.safetensors")))
        raise ArgumentError(f"{file} is a folder. Give a replay file{': it holds ' + found if found else ''}.")
    custom = {}
    if code:
        if not Path(code).is_file():
            raise ArgumentError(f"--code {code}: there is no such file.")
        names = runpy.run_path(code, run_name="lamina_replay")
        custom = {name: item for name, item in names.items() if callable(item) and not name.startswith("_")}
    try:
        result = replay(file, custom_objects=custom)
    except ArgumentError as error:
        if "is not a registered" not in str(error):
            raise
        raise ArgumentError(f"{error} Here: --code SCRIPT, the Python file that defines it.") from None
    print(result)  # noqa: T201
    return 0 if result.equal else 1


def _why_different(options: Any) -> int:
    from lamina.training.record_compare import why_different

    found = why_different(options.run_a, options.run_b)
    print(found)  # noqa: T201
    return 0 if found.same else 1
