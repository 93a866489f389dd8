"""``crash_equivalence``: runs that are killed and started again end as the run that was never killed, to the bit."""

from __future__ import annotations

import errno
import random as python_random
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lamina import random
from lamina.core import disk
from lamina.core.errors import ArgumentError, NotReproducibleError
from lamina.testing.power import FragileDisk, PowerCut
from lamina.training.checkpoint import Checkpoint, Folder, read_state
from lamina.training.checkpoint_tree import pack


@dataclass
class CrashReport:
    """What ``crash_equivalence`` did.

    Attributes:
        runs: runs that were killed at least once.
        kills: kills in all.
        at_writes: those between two operations on the disk.
        at_steps: those between two steps.
        full_disks: runs during which the disk was full for a while.
        operations: operations on the disk of the run that was not killed.
        steps: its steps.
        differences: where a run ended otherwise; empty if all is well.
    """

    runs: int = 0
    kills: int = 0
    at_writes: int = 0
    at_steps: int = 0
    full_disks: int = 0
    operations: int = 0
    steps: int = 0
    differences: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.kills} kills survived in {self.runs} runs ({self.at_writes} between two of {self.operations} "
            f"operations on the disk, {self.at_steps} between two of {self.steps} steps; {self.full_disks} runs with a "
            f"full disk); {len(self.differences)} ended otherwise"
        )


def crash_equivalence(
    build: Callable[[], Any],
    data: Any,
    *,
    callbacks: Callable[[], list[Any]] | None = None,
    kills: int = 20,
    epochs: int = 3,
    every: str | int = 3,
    asynchronous: bool = False,
    seed: int = 0,
    **fit_arguments: Any,
) -> CrashReport:
    """Train a model once, then again and again with kills in between, and compare every bit of what comes out.

    The power is cut (in a simulation that loses what was not flushed to the disk) between two operations on the disk
    and between two steps; the next run is started with another seed, so that nothing is equal by chance.  Compared are
    weights, optimizer, random state, history and the state of callbacks.

    Args:
        build: gives a new compiled model.
        data: ``(x, y)`` or ``(x, y, sample_weight)``; or a function that gives that, or a loader, anew for each run.
        callbacks: gives new callbacks for each run.
        kills: how many runs are killed; at moments that are spread over the run.
        epochs: epochs of each run.
        every: steps between two checkpoints, or ``"epoch"``.
        asynchronous: whether checkpoints are written in another thread.
        seed: of the run and of the moments.
        fit_arguments: further arguments of ``fit``; ``validation_data`` may be a function too.

    Returns:
        What was done, to print.

    Raises:
        NotReproducibleError: a run ended otherwise; says where it differs first.
        ArgumentError: no run can be killed that often.

    Example:
        >>> import lamina
        >>> def build():
        ...     model = lamina.Sequential([lamina.layers.Dense(2), lamina.layers.Dropout(0.5), lamina.layers.Dense(1)])
        ...     model.compile("adam", "mse")
        ...     return model
        >>> report = crash_equivalence(build, (np.ones((8, 3)), np.ones((8, 1))), kills=2, epochs=2, every=1)
        >>> report.kills >= 2, report.differences
        (True, [])
    """
    if kills < 1:
        raise ArgumentError(f"kills is at least 1, got {kills}.")
    chance = python_random.Random(seed)
    where = Path(tempfile.mkdtemp(prefix="lamina-crashes-"))

    def run(folder: Path, fragile: FragileDisk, at_step: int | None = None) -> int:
        """One process, as it were; returns how many steps it made."""
        steps = 0

        def told(count: int) -> None:
            nonlocal steps
            steps += count
            if at_step is not None and steps >= at_step:
                fragile.cut_power()

        started = bool(Folder(folder).generations())
        for setter in (random.seed, np.random.seed, python_random.seed):
            setter(seed + started)
        checkpoint = Checkpoint(folder, every=every, seconds=None, keep=2, asynchronous=asynchronous)
        checkpoint.told = told
        given, held_back = data() if callable(data) else data, fit_arguments.get("validation_data")
        arguments = given if isinstance(given, tuple) else (given,)
        with disk.using(fragile), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of full disks and damaged files, which are meant
            try:
                build().fit(
                    *arguments[:2],
                    sample_weight=arguments[2] if len(arguments) > 2 else None,
                    epochs=epochs,
                    callbacks=callbacks() if callbacks is not None else None,
                    verbose=0,
                    checkpoint=checkpoint,
                    resume=True,
                    **{**fit_arguments, "validation_data": held_back() if callable(held_back) else held_back},
                )
            finally:
                while checkpoint.folder.busy:
                    checkpoint.folder._writing.join()  # type: ignore[union-attr]
        return steps

    try:
        plain = FragileDisk()
        report = CrashReport(steps=run(where / "reference", plain), operations=plain.operations)
        wanted = _end_of(where / "reference")
        for i in range(kills):
            folder = where / str(i)
            full = range(0)
            if i % 2 == 0:
                moment, at_step = round((i + 0.5) / kills * report.operations), None
                if i % 4 == 2:
                    full = range(max(0, moment - 9), moment - 1)
            else:
                moment, at_step = None, max(1, round((i + 0.5) / kills * report.steps))
            killed = _live_through(run, folder, FragileDisk(moment, full, seed + i), at_step, chance, report)
            report.runs += bool(killed)
            report.full_disks += bool(full)
            difference = _difference(wanted, _end_of(folder))
            if difference:
                report.differences.append(f"run {i} (killed {killed} times): {difference}")
            shutil.rmtree(folder)
        if not report.kills:
            raise ArgumentError("No run was killed: train longer, or save more often.")
    finally:
        shutil.rmtree(where, ignore_errors=True)
    if report.differences:
        raise NotReproducibleError(f"{report}. {'; '.join(report.differences[:3])}")
    return report


def _live_through(
    run: Callable[..., int],
    folder: Path,
    fragile: FragileDisk,
    at_step: int | None,
    chance: python_random.Random,
    report: CrashReport,
) -> int:
    """Run until the end, killed once or more often; returns how often."""
    killed = 0
    while True:
        try:
            run(folder, fragile, at_step)
            if not fragile.full_at:
                return killed
            again = False  # the last file may have found no room: what a new process would do is to go on from there
        except (PowerCut, OSError) as error:
            if isinstance(error, OSError) and error.errno != errno.ENOSPC:
                raise
            killed += 1  # also where a full disk was too much for a callback
            report.kills += 1
            report.at_writes += at_step is None
            report.at_steps += at_step is not None
            again = killed < 4 and chance.random() < 0.3
        fragile = FragileDisk(chance.randint(0, 12) if again else None, seed=chance.randint(0, 1 << 30))
        at_step = None


def _end_of(folder: Path) -> dict[str, bytes]:
    """Everything in the last checkpoint, by name."""
    path = Folder(folder).generations()[0]
    tree = read_state(path)
    tensors, text = pack(tree)
    return {"the rest": text.encode(), **{name: array.tobytes() for name, array in tensors.items()}}


def _difference(one: dict[str, bytes], other: dict[str, bytes]) -> str:
    if one.keys() != other.keys():
        return f"only one of the two has {', '.join(sorted(one.keys() ^ other.keys())[:5])}"
    names = [name for name in one if one[name] != other[name]]
    if names == ["the rest"] or (names and names[0] == "the rest"):
        a, b = one["the rest"].decode(), other["the rest"].decode()
        at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
        return f"{', '.join(names[:5])}: {a[max(0, at - 60) : at + 40]!r} and {b[max(0, at - 60) : at + 40]!r}"
    return ", ".join(names[:5])
