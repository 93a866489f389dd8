"""What a person sees: a bar in a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from lamina.core.errors import ArgumentError
from lamina.training.progress import Bar, Lines, Progress, make_progress


def test_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for verbose in ("auto", 1, 2, True):
        progress = make_progress(verbose)
        assert type(progress) is Lines
    progress.begin("Epoch 1/2", 4)
    progress.update(2, {"loss": 1.0})
    assert not progress.due()
    assert capsys.readouterr().out == ""
    progress.end(4, {"accuracy": 0.9, "loss": 0.25, "val_loss": 1e-7})
    out = capsys.readouterr().out
    assert re.fullmatch(
        r"Epoch 1/2 - 4/4 - \S+ - \S+/step - accuracy: 0\.9000 - loss: 0\.2500 - val_loss: 1e-07\n", out
    )


def test_steps_that_are_not_known_yet(capsys: pytest.CaptureFixture[str]) -> None:
    """In the first epoch over a pipeline whose length only a pass tells."""
    lines = Lines()
    lines.begin("Epoch 1/2", 0)
    lines.end(7, {"loss": 1.0})
    assert "Epoch 1/2 - 7/7 - " in capsys.readouterr().out
    bar = Bar()
    bar.begin("Epoch 1/2", 0)
    bar._live = SimpleNamespace(console=Console())
    picture = bar._picture(7, {"loss": 1.0}, done=False).plain
    assert "7 steps" in picture and "left" not in picture and "/0" not in picture
    assert "7/7" in bar._picture(7, {"loss": 1.0}, done=True).plain


def test_nothing_when_asked_for_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for verbose in (0, False):
        progress = make_progress(verbose)
        assert type(progress) is Progress
        progress.begin("Epoch 1/1", 3)
        progress.end(3, {"loss": 1.0})
        progress.close()
    assert capsys.readouterr() == ("", "")


def test_bad_verbose() -> None:
    with pytest.raises(ArgumentError, match="verbose is 'auto', 0, 1 or 2, got 'loud'"):
        make_progress("loud")


def test_a_closed_stdout_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stdout", stream)
    assert type(make_progress(1)) is Lines
    monkeypatch.setattr(sys, "stdout", None)
    assert type(make_progress(1)) is Lines


def test_the_bar_draws_at_most_ten_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    drawn: list[int] = []
    monkeypatch.setattr(Bar, "_draw", lambda self, step, logs, done: drawn.append(step))
    bar = Bar()
    bar.begin("", 100)
    for step in range(100):
        now[0] += 0.01
        if bar.due():
            bar.update(step, {})
    bar.end(100, {})
    assert 9 <= len(drawn) <= 12 and drawn[-1] == 100


SCRIPT = """
import time
from lamina.training.progress import make_progress
progress = make_progress("auto")
for epoch in range(2):
    progress.begin(f"Epoch {epoch + 1}/2", 30)
    for step in range(1, 31):
        time.sleep(0.02)
        if progress.due():
            progress.update(step, {"loss": 1 / step})
    progress.end(30, {"loss": 0.5, "val_loss": 0.75})
print("done")
"""


def run_in_terminal(code: str, columns: int = 120) -> str:
    """The output of a Python program that runs in a pseudo-terminal."""
    leader, follower = pty.openpty()
    src = Path(__file__).parent.parent.parent / "src"
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "PYTHONPATH": str(src)}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=follower, stderr=follower, env=env)
    os.close(follower)
    timer = threading.Timer(300, process.kill)  # in case that it hangs
    timer.start()
    output = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while piece := os.read(leader, 65536):
            output += piece
    os.close(leader)
    assert process.wait() == 0, output.decode()
    timer.cancel()
    return output.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are not available on Windows")
def test_the_bar_in_a_terminal() -> None:
    output = run_in_terminal(SCRIPT)
    assert "━" in output and "Epoch 1/2" in output and "left" in output
    assert output.count("\x1b[?25l") == output.count("\x1b[?25h") == 2, "the cursor comes back"
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)
    last = [line for line in plain.replace("\r", "\n").split("\n") if "Epoch 2/2" in line][-1]
    assert re.search(r"30/30\s+\d+(\.\d)?(ms|s|m\d+s) ", last) and "loss 0.5000" in last and "val_loss 0.7500" in last
    assert plain.rstrip().endswith("done")


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are not available on Windows")
def test_the_bar_fits_a_narrow_terminal() -> None:
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", run_in_terminal(SCRIPT, columns=50))
    lines = [line for line in plain.replace("\r", "\n").split("\n") if "Epoch" in line]
    assert lines and max(map(len, lines)) <= 50


def test_the_bar_in_a_notebook() -> None:
    """A kernel runs the cell; each epoch is one line that was drawn in place."""
    nbclient = pytest.importorskip("nbclient", reason="runs a notebook")
    pytest.importorskip("ipykernel", reason="runs a notebook")
    nbformat = pytest.importorskip("nbformat", reason="runs a notebook")
    code = (
        "import sys; sys.path[:0] = " + repr(sys.path) + "\n"
        "import numpy as np, lamina\n"
        "model = lamina.Sequential([lamina.Input((2,)), lamina.layers.Dense(1)])\n"
        "model.compile('sgd', 'mse')\n"
        "history = model.fit(np.ones((64, 2)), np.ones((64, 1)), epochs=3)\n"
        "print('after')\n"
        "history = model.fit(np.ones((64, 2)), np.ones((64, 1)), epochs=1, verbose=2)\n"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, timeout=1000, startup_timeout=1000, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    shown = [o.data for o in outputs if o.output_type == "display_data"]
    assert len(shown) == 3 and all("2/2" in data["text/plain"] and "loss" in data["text/plain"] for data in shown)
    assert "<pre" in shown[0]["text/html"] and "<span" in shown[0]["text/html"]
    printed = "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")
    assert printed.startswith("after\nEpoch 1/1 - 2/2 - ")
