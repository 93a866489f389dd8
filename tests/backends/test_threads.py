from __future__ import annotations

import ctypes
import itertools
import os
import platform
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from lamina.backends.native import placement, threads
from lamina.backends.native.target import Module, compile_object, host, load_object, named
from lamina.core.errors import ArgumentError

# args: i64 rounds, i64 errors, i64 calls, then one cache line for each thread.
KERNELS = (
    threads.BARRIER_IR
    + """
; Every round each thread writes the round into its own line and, behind a barrier, reads all lines.
define void @rounds(ptr %args, i64 %tid, i64 %n, ptr %ctx) nounwind {
entry:
  %errors = getelementptr i64, ptr %args, i64 1
  %calls = getelementptr i64, ptr %args, i64 2
  atomicrmw add ptr %calls, i64 1 monotonic, align 8
  %total = load i64, ptr %args
  %at = mul i64 %tid, 8
  %at8 = add i64 %at, 8
  %own = getelementptr i64, ptr %args, i64 %at8
  br label %round
round:
  %r = phi i64 [0, %entry], [%r1, %end]
  %r1 = add i64 %r, 1
  store i64 %r1, ptr %own
  call void @lamina_barrier(ptr %ctx)
  br label %look
look:
  %j = phi i64 [0, %round], [%j1, %look]
  %k = mul i64 %j, 8
  %k8 = add i64 %k, 8
  %p = getelementptr i64, ptr %args, i64 %k8
  %seen = load i64, ptr %p
  %wrong = icmp ne i64 %seen, %r1
  %add = zext i1 %wrong to i64
  atomicrmw add ptr %errors, i64 %add monotonic, align 8
  %j1 = add i64 %j, 1
  %more = icmp ult i64 %j1, %n
  br i1 %more, label %look, label %end
end:
  call void @lamina_barrier(ptr %ctx)
  %again = icmp ult i64 %r1, %total
  br i1 %again, label %round, label %out
out:
  ret void
}

; Thread 0 calls the function at args[0].
define void @call_back(ptr %args, i64 %tid, i64 %n, ptr %ctx) nounwind {
  %first = icmp eq i64 %tid, 0
  br i1 %first, label %call, label %wait
call:
  %f = load ptr, ptr %args
  call void %f()
  br label %wait
wait:
  call void @lamina_barrier(ptr %ctx)
  ret void
}
"""
)


@pytest.fixture(scope="module")
def kernels() -> Module:
    return load_object(compile_object(KERNELS, host()))


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    threads.set_num_threads(None)


def new_arguments(rounds: int) -> np.ndarray:
    arguments = np.zeros(8 * (threads.MAX_THREADS + 1), np.int64)
    arguments[0] = rounds
    return arguments


def check(arguments: np.ndarray, count: int, launches: int = 1) -> None:
    rounds, errors, calls = arguments[:3].tolist()
    assert (errors, calls) == (0, count * launches)
    assert arguments[8 : 8 + 8 * count : 8].tolist() == [rounds] * count


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_all_threads_run_and_meet(kernels: Module, count: int) -> None:
    threads.set_num_threads(count)
    arguments = new_arguments(50)
    for _ in range(20):
        threads.run(kernels.address("rounds"), arguments.ctypes.data)
    check(arguments, count, 20)


def test_sleep_and_wake_at_any_moment(kernels: Module) -> None:
    choice = random.Random(7)
    for _ in range(30):
        count = choice.randint(1, 8)
        threads.set_num_threads(count)
        launches = choice.randint(1, 60)
        arguments = new_arguments(choice.choice([1, 2, 7]))
        for _ in range(launches):
            threads.run(kernels.address("rounds"), arguments.ctypes.data)
            if choice.random() < 0.2:
                time.sleep(choice.choice([0.0, 5e-5, 2e-4, 1e-3]))
        check(arguments, count, launches)


@pytest.mark.slow
def test_many_launches(kernels: Module) -> None:
    choice = random.Random(8)
    for count in range(1, 9):
        threads.set_num_threads(count)
        arguments = new_arguments(3)
        for _ in range(3000):
            threads.run(kernels.address("rounds"), arguments.ctypes.data)
            if choice.random() < 0.05:
                time.sleep(choice.random() * 5e-4)
        check(arguments, count, 3000)


@pytest.mark.parametrize("least", [0, 1, 100])
def test_any_patience_is_correct(kernels: Module, monkeypatch: pytest.MonkeyPatch, least: int) -> None:
    monkeypatch.setattr(threads, "CROWDED_PAUSES", least)
    pool = threads.Pool(5)
    arguments = new_arguments(200)
    for _ in range(10):
        pool.run(kernels.address("rounds"), arguments.ctypes.data)
    pool.stop()
    check(arguments, 5, 10)


def test_patience_comes_back(kernels: Module) -> None:
    """Threads that have begun to sleep at every barrier must find back to spinning."""
    pool = threads.Pool(1)  # nobody to wait for: only launches change the patience
    memory = np.zeros(16 * 8, np.int64)
    memory[0] = 1
    for due, expected in ((True, pool._most), (False, 1)):
        pool._words[threads.PATIENCE // 8] = 1
        pool._renewal = 0.0 if due else float("inf")
        pool.run(kernels.address("rounds"), memory.ctypes.data)
        assert pool._words[threads.PATIENCE // 8] == expected > 0


def test_systems_without_futex(kernels: Module) -> None:
    code = threads._Code(threads.pool_text(platform.machine().lower(), "other"))
    pool = threads.Pool(3, code)
    arguments = new_arguments(5)
    for pause in (0.0, 0.001, 0.01):
        pool.run(kernels.address("rounds"), arguments.ctypes.data)
        time.sleep(pause)
    pool.stop()
    check(arguments, 3, 3)


@pytest.mark.parametrize(("machine", "level"), [("x86_64", "plain"), ("aarch64", "neon")])
@pytest.mark.parametrize("system", ["linux", "other"])
def test_pool_code_assembles(machine: str, level: str, system: str) -> None:
    content = compile_object(threads.pool_text(machine, system), named(level))
    assert b"lamina_pool_launch" in content


def test_several_callers_take_turns(kernels: Module) -> None:
    threads.set_num_threads(3)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            arguments = new_arguments(4)
            for _ in range(100):
                threads.run(kernels.address("rounds"), arguments.ctypes.data)
            check(arguments, 3, 100)
        except BaseException as error:
            failures.append(error)

    callers = [threading.Thread(target=work) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert failures == []


def test_number_changes_while_others_run(kernels: Module) -> None:
    stop = threading.Event()
    seen: set[int] = set()
    wrong: list[int] = []

    def work() -> None:
        while not stop.is_set():
            arguments = new_arguments(3)
            threads.run(kernels.address("rounds"), arguments.ctypes.data)
            wrong.extend(arguments[1:2][arguments[1:2] != 0])
            seen.add(int(arguments[2]))

    caller = threading.Thread(target=work)
    caller.start()
    deadline = time.monotonic() + 60
    for i in itertools.count():
        threads.set_num_threads(1 + i % 4)
        time.sleep(0.002)
        if i >= 60 and (len(seen) > 1 or wrong or time.monotonic() > deadline):
            break
    stop.set()
    caller.join()
    assert not wrong and len(seen) > 1


def test_compiled_code_may_call_python_which_runs_compiled_code(kernels: Module) -> None:
    threads.set_num_threads(2)
    inner = new_arguments(3)

    def python() -> None:
        threads.set_num_threads(3)  # for the next run
        threads.run(kernels.address("rounds"), inner.ctypes.data)

    callback = ctypes.CFUNCTYPE(None)(python)
    pointer = ctypes.cast(callback, ctypes.c_void_p)
    threads.run(kernels.address("call_back"), ctypes.addressof(pointer))
    check(inner, 1)
    outer = new_arguments(2)
    threads.run(kernels.address("rounds"), outer.ctypes.data)
    check(outer, 3)


def test_one_thread_needs_no_pool(kernels: Module) -> None:
    threads.set_num_threads(4)
    arguments = new_arguments(3)
    threads.run(kernels.address("rounds"), arguments.ctypes.data, threads=1)
    check(arguments, 1)


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="the system has no clocks of threads")
def test_idle_helpers_use_no_processor_time(kernels: Module) -> None:
    threads.set_num_threads(4)
    arguments = new_arguments(2)
    threads.run(kernels.address("rounds"), arguments.ctypes.data)
    deadline, spent = time.monotonic() + 60, 1.0
    while spent >= 0.05 and time.monotonic() < deadline:  # on a busy machine they go to sleep late
        before = time.process_time()
        time.sleep(0.2)
        spent = time.process_time() - before
    assert spent < 0.05


def test_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAMINA_NUM_THREADS", raising=False)
    threads.set_num_threads(None)
    assert 1 <= threads.get_num_threads() <= (os.cpu_count() or 1)
    monkeypatch.setenv("LAMINA_NUM_THREADS", "3")
    assert threads.get_num_threads() == 3
    threads.set_num_threads(5)
    assert threads.get_num_threads() == 5
    threads.set_num_threads(np.int64(2))  # type: ignore[arg-type]
    assert type(threads.get_num_threads()) is int


@pytest.mark.parametrize("wrong", [0, -1, 257, 2.0, "2", True])
def test_wrong_numbers(wrong: object) -> None:
    with pytest.raises(ArgumentError, match="number of threads"):
        threads.set_num_threads(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["0", "many", "-2", "1.5", "300"])
def test_wrong_environment(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("LAMINA_NUM_THREADS", wrong)
    with pytest.raises(ArgumentError, match="LAMINA_NUM_THREADS"):
        threads.get_num_threads()


PRELUDE = f"""
import numpy as np, os, signal, sys, threading, time
from lamina.backends.native import placement, threads
from lamina.backends.native.target import compile_object, host, load_object
module = load_object(compile_object({KERNELS!r}, host()))
arguments = np.zeros(1000, np.int64)
arguments[0] = 3
threads.set_num_threads(3)
def go():
    threads.run(module.address("rounds"), arguments.ctypes.data)
go()
"""


def in_new_process(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_forked_children_start_their_own_threads() -> None:
    done = in_new_process(
        """
        for _ in range(5):
            child = os.fork()
            if child == 0:
                signal.alarm(200)
                before = int(arguments[2])
                go()
                os._exit(0 if arguments[2] == before + 3 and threads.get_num_threads() == 3 else 1)
            go()
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        print("good", flush=True)
        """
    )
    assert done.stdout == "good\n", done.stderr


def test_exit_is_clean_and_prompt() -> None:
    done = in_new_process("print('end', time.time())")
    ended = time.time()
    assert (done.returncode, done.stdout[:4], done.stderr) == (0, "end ", "")
    assert ended - float(done.stdout[4:]) < 20


def test_exit_while_another_thread_computes() -> None:
    done = in_new_process(
        """
        arguments[0] = 1 << 40
        threading.Thread(target=go, daemon=True).start()
        time.sleep(0.1)
        print("end")
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux lets threads be placed")
@pytest.mark.skipif(len(placement.cores()) < 2, reason="there is only one core to be on")
def test_woken_threads_get_cores_of_their_own_and_the_caller_is_free_afterwards(kernels: Module) -> None:
    before = os.sched_getaffinity(0)
    pool = threads.Pool(2)
    arguments = new_arguments(2)
    try:
        for _ in range(3):
            time.sleep(0.02)  # the helper falls asleep
            pool.run(kernels.address("rounds"), arguments.ctypes.data)
            (helper,) = pool._helpers
            assert os.sched_getaffinity(helper.native_id or 0) < before
            assert os.sched_getaffinity(0) == before
        check(arguments, 2, 3)
        os.sched_setaffinity(0, os.sched_getaffinity(helper.native_id or 0))  # a caller that may only be where it is
        assert pool._placement.crowded()
        pool.run(kernels.address("rounds"), arguments.ctypes.data)
        check(arguments, 2, 4)
    finally:
        os.sched_setaffinity(0, before)
        pool.stop()
