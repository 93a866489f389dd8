"""What the scripts of pictures share: where pictures go, and how they stay small."""

from __future__ import annotations

import importlib
import io
import os
import sys
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path(os.environ.get("LAMINA_PICTURES", ROOT / "docs" / "images"))
MOST_BYTES = 80_000


def example(name: str) -> Any:
    """One of the examples, as a module."""
    sys.path.insert(0, str(ROOT / "examples"))
    return importlib.import_module(name)


def save(figure: Any, name: str, width: int = 1000, photographs: bool = False) -> None:
    """Write a matplotlib figure as a PNG of few colours, or with photographs as a JPEG, at most so many pixels wide.

    Args:
        figure: the figure.
        name: of the file, without its ending.
        width: pixels.
        photographs: whether there are some in it.

    Raises:
        SystemExit: the file is larger than pictures in the docs may be.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    picture = Image.open(buffer).convert("RGB")
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    path = FOLDER / f"{name}.{'jpg' if photographs else 'png'}"
    for colors, quality in ((256, 88), (128, 80), (64, 70), (32, 60)):
        if photographs:
            picture.save(path, quality=quality, optimize=True)
        else:
            picture.quantize(colors, kmeans=1, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size <= MOST_BYTES:
            print(f"{path.name}: {picture.width} x {picture.height}, {path.stat().st_size:,} bytes")
            return
    raise SystemExit(f"{path} has {path.stat().st_size:,} bytes, and pictures in the docs at most {MOST_BYTES:,}.")
