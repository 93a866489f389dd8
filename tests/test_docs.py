"""The pages of docs/: links lead somewhere, named files are there, listings run as printed."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docs_names
import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]

# Listings that are cut out of a file: all their names are there.
EXCERPTS = {
    ("adding-an-op", "def silu"): "src/lamina/ops/nn.py",
    ("adding-an-op", "ATAN = "): "src/lamina/ops/math_functions.py",
    ("generation", "x_train, x_train"): "examples/generation/autoencoder.py",
    ("generation", "class Sampling"): "examples/generation/variational_autoencoder.py",
    ("generation", "class GAN"): "examples/generation/gan.py",
    ("language-models", "BLOCKS"): "examples/sequences/transformer_model.py",
    ("learning", "self.mistakes"): "examples/learning/perceptron.py",
    ("learning", "TEMPERATURE"): "examples/learning/clusters.py",
    ("learning", "def turn"): "examples/learning/cart_pole.py",
    ("learning", "surprise = "): "examples/learning/cart_pole.py",
    ("learning", "writing = "): "examples/learning/copy_task.py",
    ("learning", "timeseries_dataset_from_array"): "examples/learning/forecasting.py",
    ("sequences", "decoder = "): "examples/sequences/captions.py",
    ("sequences", "seen, weights = "): "examples/sequences/dates.py",
}
# Listings that need what only some machines have.
NOT_HERE = {
    ("applications", 'weights="imagenet"'): "downloads 14 MB",
    ("applications", "import torch"): "converts a file of PyTorch",
    ("applications", "resnet18.safetensors"): "reads that file",
    ("datasets", "imdb"): "downloads 17 MB",
}
SLOW = {"applications", "checkpoints", "learning", "pictures", "profiling", "scikit-learn", "transfer"}
NEEDS = {"learning": "sklearn", "pictures": "matplotlib", "scikit-learn": "sklearn", "transfer": "sklearn",
         "tensorboard": "tensorboard", "training": "matplotlib", "language-models": "tokenizers",
         "applications": "h5py"}  # fmt: skip


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """``(language, text)`` of each block of code; an indented one has no language."""
    fence, indented = r"^```(\w*)\n(.*?)^```$", r"(?:(?<=\n\n)|\A)((?:    [^\n]*\n|\n)+)"
    for found in re.finditer(f"{fence}|{indented}", page.read_text(encoding="utf-8") + "\n", re.MULTILINE | re.DOTALL):
        if found[3] is None:
            yield found[1], found[2]
        elif found[3].strip():
            yield "", re.sub(r"^    ", "", found[3], flags=re.MULTILINE).strip("\n") + "\n"


def is_python(text: str) -> bool:
    try:
        return bool(ast.parse(text).body)
    except SyntaxError:
        return False


def listings(page: Path) -> list[str]:
    return [text for language, text in blocks(page) if language == "python" or (not language and is_python(text))]


def about(table: dict[tuple[str, str], Any], page: str, listing: str) -> Any:
    return next((entry for (name, words), entry in table.items() if name == page and words and words in listing), None)


def own(page: Path) -> list[str]:
    """The listings that are to be run."""
    return [
        text for text in listings(page) if not about(EXCERPTS, page.stem, text) and not about(NOT_HERE, page.stem, text)
    ]


RUN = [page for page in sorted(DOCS.glob("*.md")) if own(page)]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_links_lead_somewhere() -> None:
    link_of = re.compile(r"\]\(([^)\s]+)\)")
    links = [(page, link) for page in PAGES for link in link_of.findall(page.read_text(encoding="utf-8"))]
    lost = []
    for page, link in links:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not link.startswith("http") and (not target.exists() or (anchor and anchor not in anchors(target))):
            lost.append(f"{page.name}: {link}")
    assert len(links) > 100 and not lost, lost


def test_files_that_pages_name_are_there() -> None:
    """``a/b.py`` in quotation marks of code is a file of the project, of the package or of the examples."""
    folders = [ROOT, ROOT / "src", ROOT / "src" / "lamina", ROOT / "examples", DOCS]
    named = [
        (page, name)
        for page in PAGES
        for name in re.findall(r"`((?:[\w-]+/)+[\w-]+\.(?:py|md|ipynb))`", page.read_text(encoding="utf-8"))
    ]
    lost = [f"{page.name}: {name}" for page, name in named if not any((f / name).exists() for f in folders)]
    assert len(named) > 50 and not lost, lost


def test_names_of_lamina_that_pages_use_are_there() -> None:
    """``lamina.a.b`` on a page can be reached by attributes, or is a module."""
    names = {
        (page.name, name)
        for page in PAGES
        for name in re.findall(r"\blamina((?:\.[A-Za-z_]\w*)+)", page.read_text(encoding="utf-8"))
    }
    script = (
        "import importlib, sys, lamina\n"
        "for line in sys.stdin.read().split():\n"
        "    page, _, name = line.partition(':')\n"
        "    parts, found = name.split('.')[1:], lamina\n"
        "    for i, part in enumerate(parts):\n"
        "        try:\n"
        "            found = getattr(found, part)\n"
        "        except AttributeError:\n"
        "            try:\n"
        "                found = importlib.import_module('lamina.' + '.'.join(parts[: i + 1]))\n"
        "            except ImportError:\n"
        "                print(page, 'lamina' + name); break\n"
    )
    done = subprocess.run(  # a new process, in which no other test has imported a module
        [sys.executable, "-c", script], input="\n".join(f"{page}:{name}" for page, name in sorted(names)),
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    lost = done.stdout.splitlines()
    assert len(names) > 100 and not lost, lost


@pytest.mark.parametrize("key", EXCERPTS, ids=lambda key: "-".join(key).replace(" ", ""))
def test_excerpts_are_of_their_files(key: tuple[str, str]) -> None:
    page, words = key
    (listing,) = [text for text in listings(DOCS / f"{page}.md") if words in text]
    source = (ROOT / EXCERPTS[key]).read_text(encoding="utf-8")
    names = {n.id for n in ast.walk(ast.parse(listing)) if isinstance(n, ast.Name)}
    names |= {n.attr for n in ast.walk(ast.parse(listing)) if isinstance(n, ast.Attribute)}
    assert names and not [name for name in names if not re.search(rf"\b{name}\b", source)]


def test_every_exception_is_of_a_listing() -> None:
    for page, words in [*EXCERPTS, *NOT_HERE, *(key for key in docs_names.MAKERS if key[1])]:
        assert any(words in text for text in listings(DOCS / f"{page}.md")), (page, words)
    assert set(SLOW) | set(NEEDS) <= {page.stem for page in RUN}


@pytest.mark.parametrize(
    "page", [pytest.param(p, id=p.stem, marks=[pytest.mark.slow] if p.stem in SLOW else []) for p in RUN]
)
def test_listings_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a page, in order, in one namespace, as a reader types it."""
    if page.stem in NEEDS:
        pytest.importorskip(NEEDS[page.stem], reason="the page shows an optional part")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__", **docs_names.common(), **docs_names.MAKERS.get((page.stem, ""), dict)()}
    for listing in own(page):
        if "__main__" in listing:
            run_as_program(listing, page.stem, tmp_path)
            continue
        names.update((about(docs_names.MAKERS, page.stem, listing) or dict)())
        exec(compile(listing, f"{page.name}: {listing.splitlines()[0]}", "exec"), names)


def run_as_program(listing: str, page: str, folder: Path) -> None:
    """A listing whose worker processes import the file that it stands in."""
    script = folder / "program.py"
    given = f"    import docs_names\n    globals().update(docs_names.common(), **docs_names.{page}())\n"
    script.write_text(f"if __name__ == '__main__':\n{given}{listing}", encoding="utf-8")
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(script)], env={**os.environ, "PYTHONPATH": path}, cwd=folder,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
