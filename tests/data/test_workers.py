"""Worker processes: the same data as without, clear ends, and nothing left behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loader_datasets import (
    Failing,
    ForgetfulError,
    Noisy,
    Noted,
    Odd,
    Pids,
    SharedStream,
    Slow,
    Stream,
    doubled,
    note_worker,
)

import lamina
from lamina.core.errors import ArgumentError, WorkerError
from lamina.core.trees import flatten
from lamina.data import DataLoader, Pipeline, TensorDataset, transport

TESTS = Path(__file__).parent.parent
AT_ONCE = 20  # seconds; workers that are waited for in vain sleep for 60, and a busy machine takes some to start them
LONG = 300  # seconds after which something hangs, however busy the machine is


def lists(batches: Any) -> Any:
    return [[np.asarray(leaf).tolist() for leaf in flatten(batch)[0]] for batch in batches]


@pytest.mark.parametrize("workers", [1, 3])
def test_same_data_with_any_number_of_workers(workers: int) -> None:
    options: dict[str, Any] = {"batch_size": 8, "shuffle": True, "seed": 5}
    alone, together = DataLoader(Noisy(), **options), DataLoader(Noisy(), num_workers=workers, **options)
    for _epoch in range(2):
        expected = lists(alone)
        assert lists(together) == expected
    assert expected != lists(DataLoader(Noisy(), **options))  # the epochs differ


@pytest.mark.slow
def test_same_data_with_eight_workers() -> None:
    options: dict[str, Any] = {"batch_size": 8, "shuffle": True, "seed": 5}
    assert lists(DataLoader(Noisy(), num_workers=8, **options)) == lists(DataLoader(Noisy(), **options))


def test_workers_go_on_in_the_middle() -> None:
    loader = DataLoader(Noisy(), 8, shuffle=True, num_workers=2, seed=1)
    batches = iter(loader)
    for _ in range(3):
        next(batches)
    state = loader.state_dict()
    rest = lists(batches)
    for workers in (0, 1):
        other = DataLoader(Noisy(), 8, shuffle=True, num_workers=workers)
        other.load_state_dict(state)
        assert lists(other) == rest


@pytest.mark.parametrize("batch_size", [7, None])
def test_streams_are_those_without_workers(batch_size: int | None) -> None:
    expected = lists(DataLoader(Stream(), batch_size, seed=1))
    loader = DataLoader(Stream(), batch_size, num_workers=3, seed=1)
    assert lists(loader) == expected
    again = DataLoader(Stream(), batch_size, num_workers=2)
    state = {"epoch": 0, "batch": 2, "seed": 1}
    again.load_state_dict(state)
    assert lists(again) == expected[2:]


def test_stream_that_shares_itself_out() -> None:
    loader = DataLoader(SharedStream(), 10, num_workers=2)
    batches = lists(loader)
    assert batches[:2] == [[list(range(0, 20, 2))], [list(range(1, 20, 2))]]
    assert sorted(n for (batch,) in batches for n in batch) == list(range(50))
    loader.load_state_dict({"epoch": 0, "batch": 3, "seed": 1})
    assert lists(loader) == batches[3:]


def test_persistent_workers_live_on() -> None:
    loader = DataLoader(Pids(), 2, num_workers=1, persistent_workers=True)
    first, second = lists(loader), lists(loader)
    assert first == second and first[0][0][0] != os.getpid()
    loader.pool().close()
    assert lists(DataLoader(Pids(), 2, num_workers=1)) != first


def test_an_epoch_that_was_left_does_not_disturb_the_next() -> None:
    loader = DataLoader(Noisy(), 4, num_workers=2, persistent_workers=True, seed=2)
    for _ in range(3):
        next(iter(loader))
    fresh = DataLoader(Noisy(), 4, seed=2)
    fresh.set_epoch(3)
    assert lists(loader) == lists(fresh)
    loader.pool().close()


def test_functions_go_to_the_workers() -> None:
    assert set(np.ravel(lists(DataLoader(Noted(), num_workers=2, worker_init_fn=note_worker)))) == {0, 1}
    assert lists(DataLoader(range(4), 2, num_workers=1, collate_fn=doubled)) == [[[0, 2]], [[4, 6]]]


# --- ends ---------------------------------------------------------------------------------------------
def test_an_error_keeps_its_type_and_tells_its_traceback() -> None:
    started = time.monotonic()
    with pytest.raises(LookupError, match="no such file") as found:
        list(DataLoader(Failing("raise"), 4, num_workers=2))
    notes = "".join(found.value.__notes__)
    assert "Worker" in notes and "loader_datasets.py" in notes and "__getitem__" in notes
    assert time.monotonic() - started < AT_ONCE


def test_an_error_that_cannot_be_sent_is_told() -> None:
    with pytest.raises(WorkerError, match=r"ForgetfulError: 1 and 2"):
        list(DataLoader(Odd(), num_workers=1))
    assert ForgetfulError(1, 2).args == ("1 and 2",)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("SIGKILL", r"SIGKILL.*samples 36, 37, 38, 39|SIGKILL.*samples 36 to 39"),
        ("SIGSEGV", r"(?s)SIGSEGV.*loader_datasets.py"),
        ("SIGTERM", r"(?s)SIGTERM.*loader_datasets.py"),
        ("exit", r"exit code 3.*samples 36"),
    ],
)
def test_a_killed_worker_is_told_at_once(how: str, message: str) -> None:
    started = time.monotonic()
    with pytest.raises(WorkerError, match=message):
        list(DataLoader(Failing(how), 4, num_workers=2))
    assert time.monotonic() - started < AT_ONCE


def test_a_worker_that_is_killed_from_outside() -> None:
    loader = DataLoader(Slow(), 1, num_workers=2)
    batches = iter(loader)
    next(batches)
    os.kill(loader.pool()._workers[1].process.pid, signal.SIGKILL)
    started = time.monotonic()
    with pytest.raises(WorkerError, match="SIGKILL"):
        for _ in batches:
            pass
    assert time.monotonic() - started < AT_ONCE


def test_timeout_tells_where_the_workers_are() -> None:
    loader = DataLoader(Failing("sleep", at=2), 2, num_workers=1, timeout=LONG)
    batches = iter(loader)
    next(batches)  # it has started, however long that took
    loader.pool().timeout = 0.5
    with pytest.raises(WorkerError, match=r"(?s)timeout=0.5.*loader_datasets.py.*in __getitem__"):
        next(batches)


def test_where_a_worker_is_can_be_asked_again() -> None:
    loader = DataLoader(Failing("sleep", at=0), 1, num_workers=1, timeout=0.01, persistent_workers=True)
    (worker,) = loader.pool()._workers
    worker.ask(("task", (0, 0), 0, [0]), [0])
    assert "Worker 0" in worker.where_it_is()  # a question at once does not end a worker that is starting
    assert eventually(lambda: "in __getitem__" in worker.where_it_is())
    assert worker.where_it_is().count("Current thread") == 1  # and not what it told before
    loader.pool().close()


def test_what_cannot_be_sent_is_told() -> None:
    with pytest.raises(ArgumentError, match=r"top level of a module"):
        list(DataLoader(range(4), num_workers=1, collate_fn=lambda samples: samples))


def processes() -> set[int]:
    """The workers: children of this process's children, the fork server's that is."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            parents[int(path.parent.name)] = int(parent)
    return {pid for pid, parent in parents.items() if parents.get(parent) == os.getpid()}


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it comes true, in a time that is long enough on a busy machine."""
    deadline = time.monotonic() + LONG
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def segments() -> set[str]:
    """Shared memory with a name, but for that of other programs."""
    return {name for name in os.listdir("/dev/shm") if name.startswith(("lamina", "psm_", "sem.mp-"))}


def test_nothing_is_left_behind_by_a_loader() -> None:
    before, files = processes(), segments()  # some of them may be about to end
    loader = DataLoader(Slow(), 2, num_workers=2)
    batches = iter(loader)
    kept = next(batches)[0]
    assert len(processes() - before) == 2
    del batches, loader
    gc.collect()
    assert eventually(lambda: processes() <= before)
    assert eventually(lambda: segments() <= files)
    assert float(np.asarray(kept).sum()) == 0  # memory outlives the worker that made it


SLEEP = f"time.sleep({LONG})"
SCRIPT = """
    import os, sys, time
    sys.path[:0] = [{tests!r}]
    from lamina.data import DataLoader
    from loader_datasets import Slow

    if __name__ == "__main__":
        loader = DataLoader(Slow(), 2, num_workers=2, persistent_workers={persistent})
        for i, batch in enumerate(loader):
            if i == 2:
                print(*[w.process.pid for w in loader.pool()._workers], flush=True)
                {end}
"""


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("end", ["sys.exit(0)", SLEEP, "os._exit(1)", "kill"])
def test_nothing_is_left_behind_by_a_program(tmp_path: Path, end: str) -> None:
    """At the interpreter's end, at Ctrl-C, at a hard end and where the loader's process is killed."""
    program = tmp_path / "program.py"
    line = SLEEP if end == "kill" else end
    program.write_text(textwrap.dedent(SCRIPT).format(tests=str(TESTS), end=line, persistent=end == "sys.exit(0)"))
    files = segments()
    pipe, command = subprocess.PIPE, [sys.executable, str(program)]
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    assert process.stdout is not None
    workers = [int(word) for word in process.stdout.readline().split()]
    assert len(workers) == 2
    if end == SLEEP:
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does at Ctrl-C
    elif end == "kill":
        process.kill()
    _output, errors = process.communicate(timeout=LONG)
    assert eventually(lambda: not any(alive(pid) for pid in workers))
    assert eventually(lambda: segments() <= files)
    if end == SLEEP:
        assert process.returncode != 0 and errors.count("Traceback") == 1 and "KeyboardInterrupt" in errors
    if end == "sys.exit(0)":
        assert process.returncode == 0 and errors == ""


def test_a_program_without_a_guard_is_told(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("from lamina.data import DataLoader\nprint(list(DataLoader(range(4), num_workers=1)))\n")
    result = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=LONG)
    assert result.returncode == 1 and "__name__ == '__main__'" in result.stderr


# --- memory -------------------------------------------------------------------------------------------
def test_blocks_are_used_again_when_nobody_looks() -> None:
    loader = DataLoader(Noisy(200), 4, num_workers=1, persistent_workers=True)
    list_of_one = None
    for batch in loader:
        list_of_one = batch  # only the last lives
    made = len(loader.pool()._workers[0].receiver._blocks)
    assert list_of_one is not None and made <= 5
    kept = list(loader)
    assert [float(b["image"][0, 0]) for b in kept] == list(range(0, 200, 4))  # none was written over
    loader.pool().close()


@pytest.mark.parametrize("way", ["file", "pipe"])
def test_other_ways_than_anonymous_memory(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = lists(DataLoader(Noisy(20), 4, seed=1))
    if way == "pipe":
        from lamina.data.workers import Pool

        loader = DataLoader(Noisy(20), 4, seed=1, num_workers=2)
        loader._pool = Pool(loader.fetcher(), 2, share=False)
        assert lists(loader) == expected
    else:
        monkeypatch.delattr(os, "memfd_create")
        block = transport.make_block(1 << 20)
        assert os.fstat(block).st_size == 1 << 20 and os.fstat(block).st_nlink == 0
        os.close(block)


def test_a_full_memory_falls_back_to_the_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    import multiprocessing

    def refuse(size: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transport, "make_block", refuse)
    ours, theirs = multiprocessing.Pipe()
    sender, receiver = transport.Sender(), transport.Receiver()
    sender.send(ours, "header", {"x": np.arange(8000)}, os.getpid())
    header, value = receiver.receive(theirs)
    assert header == "header" and value["x"].sum() == 31996000 and not sender.share


def test_batches_do_not_count_against_dev_shm() -> None:
    """Containers often give it 64 MB: more than that is held at once here, and it is not there."""

    def used() -> int:
        state = os.statvfs("/dev/shm")
        return (state.f_blocks - state.f_bfree) * state.f_frsize

    before, most = used(), 0
    kept = []
    for batch in DataLoader(Noisy(160, 1 << 17), 8, num_workers=2):
        kept.append(batch["image"])
        most = max(most, used() - before)
    assert sum(np.asarray(images).nbytes for images in kept) == 80 << 20
    assert most < 40 << 20  # other programs may use some
    assert [float(np.asarray(images)[0, 0]) for images in kept] == list(range(0, 160, 8))


def test_the_dataset_is_shared_and_not_copied(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(40_000, dtype=np.float32).reshape(1000, 40))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    data, buffers = transport.pack(mapped[100:], share=True)
    assert len(data) < 1000 and not buffers  # the file's name
    loader = DataLoader(TensorDataset(mapped[100:], np.arange(900)), 300, num_workers=2)
    assert lists(loader) == lists(DataLoader(TensorDataset(mapped[100:], np.arange(900)), 300))
    data, buffers = transport.pack(np.zeros(1 << 20), share=True)
    assert len(data) < 1000 and buffers[0].nbytes == 8 << 20


def test_pipelines_in_workers() -> None:
    def make(workers: int) -> DataLoader:
        return DataLoader(Pipeline.range(30).shuffle(10), 4, num_workers=workers, seed=1)

    lamina.random.seed(2)
    alone = make(0)
    expected = [lists(alone), lists(alone)]
    lamina.random.seed(2)
    together = make(2)
    assert [lists(together), lists(together)] == expected and expected[0] != expected[1]
    other = make(0)
    other.load_state_dict({**together.state_dict(), "epoch": 1, "batch": 3})
    assert lists(other) == expected[1][3:]


FITTING = """
    import sys
    sys.path[:0] = [{tests!r}]
    import numpy as np
    import lamina
    from lamina import layers
    from lamina.data import DataLoader
    from loader_datasets import Pairs

    if __name__ == "__main__":
        model = lamina.Sequential([lamina.Input((50,)), layers.Dense(8, "relu"), layers.Dense(1)])
        model.compile("adam", "mse")
        print("ready", flush=True)
        model.fit(DataLoader(Pairs(), 16, shuffle=True, num_workers=2), epochs=1000, verbose=0)
"""


@pytest.mark.slow
def test_ctrl_c_at_any_moment_of_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(FITTING).format(tests=str(TESTS)))
    rng = np.random.default_rng(0)
    names = segments()
    for _ in range(12):
        pipe, command = subprocess.PIPE, [sys.executable, str(program)]
        process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0, 1.5))
        family = {pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if session(pid) == process.pid}
        os.killpg(process.pid, signal.SIGINT)
        _output, errors = process.communicate(timeout=LONG)
        assert process.returncode != 0 and "KeyboardInterrupt" in errors and "WorkerError" not in errors, errors
        assert eventually(lambda: not any(alive(pid) and session(pid) == process.pid for pid in family))
    assert eventually(lambda: segments() <= names)


def session(pid: int) -> int:
    """The session that a process belongs to; 0 if it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0
