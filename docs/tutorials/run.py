"""Runs the tutorials and keeps what they put out in them: ``python docs/tutorials/run.py [NAME ...]``.

Needs the extra ``notebooks``.  Pictures are kept as PNG, which every viewer of notebooks shows; times, counters and
the names of the machine's folders are not kept, so that a second run changes little.
"""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PICTURE = re.compile(r"^<img alt='([^']*)'[^>]*src='data:image/png;base64,([^']+)'/>$")
COLOURS = 64
TIMEOUT = 300  # seconds for a cell


def run(path: Path) -> dict[str, Any]:
    """A notebook's content with the outputs of a fresh run.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3", resources={"metadata": {"path": FOLDER}}).execute()
    content: dict[str, Any] = json.loads(nbformat.writes(notebook))
    for count, cell in enumerate((c for c in content["cells"] if c["cell_type"] == "code"), 1):
        cell["metadata"], cell["execution_count"] = {}, count
        cell["outputs"] = joined([tidy(output, count) for output in cell["outputs"]])
    content["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return content


def tidy(output: dict[str, Any], count: int) -> dict[str, Any]:
    """An output without what differs from run to run, its figure as a PNG."""
    if "execution_count" in output:
        output["execution_count"] = count
    data = output.get("data", {})
    found = PICTURE.match("".join(data.get("text/html", ())).strip())
    if found:
        name, picture = found.groups()
        output["data"] = {"image/png": small(picture) + "\n", "text/plain": [f"<{name}>"]}
    return output


def joined(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The outputs with what was printed in several pieces in one."""
    found: list[dict[str, Any]] = []
    for output in outputs:
        last = found[-1] if found else {}
        if output["output_type"] == "stream" and output.get("name") == last.get("name"):
            last["text"] = [*last["text"], *output["text"]]
        else:
            found.append(output)
    return found


def small(picture: str) -> str:
    """A PNG with few colours, in base64: a third of the size, for the same look."""
    from PIL import Image

    content = io.BytesIO(base64.b64decode(picture, validate=True))
    buffer = io.BytesIO()
    Image.open(content).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def main(names: list[str]) -> None:
    """Run the tutorials whose names begin like one of these, or all."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not names or any(path.name.startswith(name) for name in names):
            content = run(path)
            path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            sys.stdout.write(f"{path.name}: {path.stat().st_size // 1024} KiB\n")


if __name__ == "__main__":
    main(sys.argv[1:])
