"""The pictures of the documentation: there, used, small, and each made by a script."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
MOST_BYTES = 80_000
# What another program shows in a browser is photographed by hand.
BY_HAND = {"tensorboard-graphs.png", "tensorboard-scalars.png"}


def pictures() -> list[Path]:
    return sorted(p for p in (DOCS / "images").iterdir() if p.suffix in (".png", ".svg", ".jpg", ".gif"))


def test_pictures_that_pages_show_are_there() -> None:
    shown = [(page, name) for page in DOCS.glob("*.md") for name in re.findall(r"\((images/[^)]+)\)", page.read_text())]
    missing = [f"{page.name}: {name}" for page, name in shown if not (DOCS / name).is_file()]
    assert len(shown) > 10 and not missing, missing


def test_pictures_are_shown_and_small() -> None:
    pages = "".join(p.read_text() for p in [*DOCS.rglob("*.md"), *DOCS.rglob("*.ipynb"), DOCS.parent / "README.md"])
    assert not [p.name for p in pictures() if p.name not in pages]
    assert not [f"{p.name}: {p.stat().st_size}" for p in pictures() if p.stat().st_size > MOST_BYTES]


def test_every_picture_is_made_by_a_script() -> None:
    scripts = "".join(p.read_text() for p in (DOCS / "images" / "scripts").glob("*.py"))
    names = set(re.findall(r'"([\w-]+)(?:\.\w+)?"', scripts))
    assert not [p.name for p in pictures() if p.stem not in names and p.name not in BY_HAND]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["models", "planes"])
def test_scripts_draw(name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need the extra 'plot'")
    pytest.importorskip("PIL", reason="pictures need the extra 'images'")
    script = DOCS / "images" / "scripts" / f"{name}.py"
    environment = {**os.environ, "LAMINA_PICTURES": str(tmp_path)}
    subprocess.run([sys.executable, str(script)], check=True, env=environment, timeout=1800, capture_output=True)
    drawn = sorted(p.name for p in tmp_path.iterdir())
    text = script.read_text()
    assert len(drawn) >= 3 and all(Path(each).stem in text for each in drawn)
    for each in drawn:
        assert (tmp_path / each).stat().st_size > 0.3 * (DOCS / "images" / each).stat().st_size  # not an empty frame
