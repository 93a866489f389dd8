"""The same seed gives the same bits: on any number of threads and workers, in every run, in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import same_model
from counting import tell

import lamina
from lamina.backends.native.threads import set_num_threads

PROGRAM = Path(same_model.__file__)


def in_a_process(kind: str, threads: int, workers: int, cache: Path) -> str:
    """The hash of a run in a fresh process, in which even the hashes of strings are others."""
    environment = {**os.environ, "LAMINA_NUM_THREADS": str(threads), "LAMINA_CACHE": str(cache)}
    environment["PYTHONPATH"] = os.pathsep.join([*sys.path, str(PROGRAM.parent)])
    environment["PYTHONHASHSEED"] = str(threads * 1000 + workers)
    command = [sys.executable, str(PROGRAM), kind, str(workers)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("kind", same_model.KINDS)
def test_any_number_of_threads(kind: str) -> None:
    try:
        hashes = []
        for threads in (1, 2, 4, 8):
            set_num_threads(threads)
            hashes.append(same_model.train(kind))
    finally:
        set_num_threads(None)
    count = len(hashes)
    tell(f"{kind}: {count} trainings on 1, 2, 4, 8 threads: {len(set(hashes))} hash", trainings_compared=count)
    assert len(set(hashes)) == 1


def test_fresh_processes(tmp_path: Path) -> None:
    hashes = {in_a_process("mlp", threads, 0, tmp_path) for threads in (1, 3)}
    assert len(hashes) == 1
    lamina.random.seed(5)  # what was drawn before does not matter
    assert same_model.train("mlp") in hashes


@pytest.mark.parametrize("workers", [2])
def test_augmentation_in_workers(workers: int, tmp_path: Path) -> None:
    """The parent and the workers draw; one program with workers, one without."""
    assert in_a_process("convolution", 2, workers, tmp_path) == in_a_process("convolution", 1, 0, tmp_path)


def test_another_seed_gives_other_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = lamina.random.seed
    first = same_model.train("mlp")
    monkeypatch.setattr(lamina.random, "seed", lambda number: seed(number + 1))
    assert same_model.train("mlp") != first


@pytest.mark.slow
@pytest.mark.parametrize("kind", same_model.KINDS)
def test_threads_workers_and_repeated_runs_in_fresh_processes(kind: str, tmp_path: Path) -> None:
    ways = [(1, 0), (2, 0), (4, 0), (8, 0), (8, 0), (1, 0)]
    if kind == "convolution":
        ways += [(2, 1), (4, 3), (2, 8)]
    hashes = [in_a_process(kind, threads, workers, tmp_path) for threads, workers in ways]
    if kind == "convolution":  # a pipeline, whose numbers are others
        pipelines = [in_a_process(kind, threads, -1, tmp_path) for threads in (1, 8)]
        assert len(set(pipelines)) == 1
    tell(f"{kind}: {len(hashes)} fresh processes: {len(set(hashes))} hash", trainings_compared=len(hashes))
    assert len(set(hashes)) == 1
