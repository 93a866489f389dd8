"""The tutorials: every cell runs, what is kept in them is what they put out, and they read as a course."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import notebook_cells
import pytest
from conftest import data_folder

import lamina

TUTORIALS = Path(__file__).parent.parent / "docs" / "tutorials"
NOTEBOOKS = sorted(TUTORIALS.glob("*.ipynb"))
SUBJECTS = (
    *("tensors", "gradients", "first_network", "overfitting", "convolution", "recurrence", "transfer"),
    *("own_layer", "own_loop", "own_op", "how_lamina_works"),
)
LARGEST = 120_000  # bytes of a file: pictures are kept small

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

LONG = ("04", "05", "07", "09")  # these run in full only, with the slow tests

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def run(path: Path, **environment: str) -> None:
    source = str(Path(lamina.__file__).parents[1])
    paths = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
    folder = data_folder()
    data = {} if folder is None else {"LAMINA_DATA": str(folder)}
    done = subprocess.run(
        [sys.executable, notebook_cells.__file__, str(path)],
        env={**os.environ, "PYTHONPATH": paths, **data, **environment}, capture_output=True, text=True, timeout=3000,
    )  # fmt: skip
    assert done.returncode == 0, f"{path.name}:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"


def test_there_is_one_for_each_subject() -> None:
    assert [path.stem for path in NOTEBOOKS] == [f"{i:02}_{name}" for i, name in enumerate(SUBJECTS, 1)]


@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p.stem[:2] not in LONG], ids=lambda path: path.stem)
def test_every_cell_runs(path: Path) -> None:
    run(path, QUICK="1")


@each
@pytest.mark.slow
def test_every_cell_runs_in_full(path: Path) -> None:
    run(path)


@pytest.mark.slow
def test_they_run_in_jupyter(tmp_path: Path) -> None:
    for name in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(name)
    specification = importlib.util.spec_from_file_location("run_tutorials", TUTORIALS / "run.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    found = module.run(NOTEBOOKS[0])
    kept = read(NOTEBOOKS[0])
    assert [c["source"] for c in found["cells"]] == [c["source"] for c in kept["cells"]]
    assert len([o for c in found["cells"] for o in c.get("outputs", ())]) > 5


@each
def test_a_file_is_a_notebook_with_its_outputs(path: Path) -> None:
    notebook = read(path)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert path.stat().st_size < LARGEST, "let docs/tutorials/run.py make the pictures small"
    cells = notebook["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    counts = [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1)), "run docs/tutorials/run.py"
    text = json.dumps([cell.get("outputs") for cell in cells])
    assert '"output_type": "error"' not in text and "Traceback" not in text
    assert "Warning" not in text
    assert not re.search(r"/(home|Users|tmp|root|work)/", text)


@each
def test_it_reads_as_a_page_of_the_course(path: Path) -> None:
    cells = read(path)["cells"]
    prose = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    assert cells[0]["cell_type"] == "markdown" and prose[0].startswith(f"# {int(path.stem[:2])}. ")
    assert any("## Exercises" in text for text in prose) and any("## Solutions" in text for text in prose)
    lines = [line for text in prose for line in text.splitlines() if not line.startswith("|")]
    assert not [line for line in lines if len(line) > 120]
    for source in notebook_cells.code_cells(path):
        imported = {n.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import) for n in node.names}
        assert not imported & {"torch", "keras", "tensorflow", "jax"}
