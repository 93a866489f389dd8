"""The command ``lamina``: help, and what it says to wrong files."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers, ops
from lamina.cli import main
from lamina.core.errors import NonFiniteError


class Logarithm(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return ops.log(inputs)


@pytest.fixture
def replay_file(tmp_path: Path) -> Path:
    x = np.random.default_rng(0).uniform(0.5, 1, size=(64, 4)).astype("float32")
    x[37, 2] = -1
    model = lamina.Sequential([layers.Input((4,)), Logarithm(), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(NonFiniteError) as caught:
        model.fit(x, x.sum(axis=1), verbose=0, shuffle=False, checkpoint=tmp_path / "run")
    assert "(row 37 of the data)" in str(caught.value)
    return Path(caught.value.replay)


def code(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text(
        textwrap.dedent(
            """
            from lamina import layers, ops
            class Logarithm(layers.Layer):
                def call(self, inputs):
                    return ops.log(inputs)
            """
        )
    )
    return path


def test_replay(replay_file: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(["replay", str(replay_file), "--code", str(code(tmp_path))]) == 0
    told = capsys.readouterr().out
    assert "the same bits as in the run" in told and "This sample is row 37 of the data." in told


def test_replay_of_other_files(replay_file: Path, tmp_path: Path, capsys: Any) -> None:
    text = tmp_path / "text.txt"
    text.write_text("hello, this is no file of tensors")
    saved = tmp_path / "model.safetensors"
    model = lamina.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.save(saved)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(replay_file.read_bytes()[:-40])
    for arguments, message in (
        ([str(replay_file)], "'Logarithm' is not a registered class.*--code SCRIPT"),
        ([str(replay_file), "--code", "nothing.py"], "--code nothing.py: there is no such file"),
        ([str(replay_file.parent)], f"is a folder.*it holds {replay_file.name}"),
        ([str(tmp_path / "nothing")], "no such file"),
        ([str(text)], "no .safetensors file|damaged"),
        ([str(saved)], "is no replay file"),
        ([str(cut)], "damaged|cut|checksum|bytes"),
    ):
        assert main(["replay", *arguments]) == 2
        seen = capsys.readouterr()
        assert not seen.out and seen.err.startswith("lamina replay: ")
        assert re.search(f"(?s){message}", seen.err), seen.err


def test_help(capsys: Any) -> None:
    for arguments, words in (
        (["--help"], ("replay", "why-different", "--version")),
        (["replay", "--help"], ("--code", "exit status")),
        (["why-different", "--help"], ("RUN_A", "RUN_B", "exit status")),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        told = capsys.readouterr().out
        assert all(word in told for word in words)
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
