"""The guards catch what they are there for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from guards.memory import PAGE, Buffer, GuardedExecutable, GuardedSweeper, extent, plan_pages
from lamina import nn
from lamina.core.primitive import Spec
from lamina.graph.capture import capture_graph
from lamina.graph.interpret import run_graph
from lamina.graph.passes.memory import Lifetime
from lamina.tensor import Variable

SHIFTED = """
import sys
import numpy as np
import lamina
from guards.memory import install
from lamina.backends.native.kernel import Kernel

install(sys.argv[1])
by = int(sys.argv[2])
plain = Kernel.offset
Kernel.offset = lambda self, *place: plain(self, *place) + 1 if by > 0 else plain(self, *place) - 1
x = np.ones((5, 40), "float32")
print(lamina.function(lambda x: x.sum(axis=1) + x[:, 0])(x).numpy().shape)
"""


def run_shifted(mode: str, by: int) -> int:
    root = Path(__file__).parent.parent.parent
    path = os.pathsep.join([str(root / "src"), str(root / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "LAMINA_CACHE": "off"}
    command = [sys.executable, "-c", SHIFTED, mode, str(by)]
    return subprocess.run(command, env=environment, capture_output=True).returncode


@pytest.mark.parametrize(("mode", "by"), [("end", 1), ("start", -1)])
def test_an_access_one_element_outside_ends_the_process(mode, by):
    assert run_shifted(mode, by) == -signal.SIGSEGV


def test_accesses_inside_do_not():
    script = SHIFTED[: SHIFTED.index("by = ")] + SHIFTED[SHIFTED.index("x = np") :]
    root = Path(__file__).parent.parent.parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root / "tests")])}
    done = subprocess.run([sys.executable, "-c", script, "end"], env=environment, capture_output=True, text=True)
    assert done.stdout == "(5,)\n"


@pytest.mark.parametrize("mode", ["end", "start"])
def test_buffers_touch_their_guards_and_notice_writes(mode):
    buffer = Buffer(100, mode)
    start = buffer.inside.ctypes.data
    assert (start + 100 if mode == "end" else start) % PAGE == 0
    buffer.inside[:] = 1
    buffer.check("it")
    buffer.outside[-1 if mode == "end" else 0] = 0
    with pytest.raises(AssertionError, match="1 bytes were written outside"):
        buffer.check("it")


def test_values_of_the_arena_have_pages_of_their_own():
    offsets, size, guards = plan_pages([Lifetime(100, 0, 1), Lifetime(PAGE, 0, 1), Lifetime(0, 1, 2)], "end")
    assert offsets == [2 * PAGE - 100, 3 * PAGE, 6 * PAGE]
    assert guards == [0, 2, 4, 6] and size == 7 * PAGE
    assert plan_pages([Lifetime(100, 0, 1), Lifetime(5, 0, 1)], "start")[0] == [PAGE, 3 * PAGE]
    nested = plan_pages([Lifetime(2 * PAGE + 1, 0, 1), Lifetime(8, 0, 1)], "end", {2 * PAGE + 1: [0, 2]})
    assert nested == ([PAGE, 6 * PAGE - 8], 7 * PAGE, [0, 1, 3, 4, 6])


@pytest.mark.parametrize("mode", ["end", "start"])
def test_guarded_loops_compute_what_others_do(mode, monkeypatch):
    monkeypatch.setattr(GuardedExecutable, "mode", mode)
    monkeypatch.setattr(GuardedSweeper, "mode", mode)
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s).astype("float32") for s in ((5, 7, 3), (3, 36), (9, 36), (36,))]
    graph, _ = capture_graph(lambda *t: nn.lstm(*t, return_sequences=True)[0], [Spec(a.shape, a.dtype) for a in arrays])
    expected, _ = run_graph(graph, arrays)
    executable = GuardedExecutable(graph)
    assert any(g.kind == "sweep" for g in executable.groups.values())
    np.testing.assert_allclose(executable.run(arrays)[0], expected[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["end", "start"])
def test_guarded_graphs_compute_what_others_do(mode, monkeypatch):
    monkeypatch.setattr(GuardedExecutable, "mode", mode)
    v = Variable(np.arange(60, dtype="float32").reshape(3, 20))
    graph, _ = capture_graph(lambda x: (v.assign_add(x), (v.value @ x.T).sum(axis=0))[1], [Spec((3, 20), v.dtype)])
    x = np.ones((3, 20), "float32")
    executable = GuardedExecutable(graph)
    for turn in range(1, 4):
        expected = np.arange(60).reshape(3, 20) + turn
        np.testing.assert_allclose(executable.run([x])[0], (expected @ x.T).sum(axis=0), rtol=1e-5)
        np.testing.assert_array_equal(v.numpy(), expected)


def test_the_extent_of_an_array_ends_with_its_last_element():
    assert extent(np.zeros((3, 8), "float32")[:, :5]) == (2 * 8 + 5) * 4
    assert extent(np.zeros((0, 3))) == 0 and extent(np.zeros((), "int8")) == 1
