"""Runs the code cells of a notebook in one namespace, without Jupyter: ``python notebook_cells.py FILE``.

With ``QUICK=1`` in the environment, ``fit`` runs two epochs at most, so that every line runs and none takes long.
"""

from __future__ import annotations

import ast
import functools
import json
import os
import sys
from pathlib import Path
from typing import Any

QUICK_EPOCHS = 2


def code_cells(path: Path) -> list[str]:
    """The source of each code cell."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run(path: Path) -> dict[str, Any]:
    """Run the cells in order; what a cell ends with is shown as a notebook does.  Returns the namespace."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, source in enumerate(code_cells(path), 1):
        tree = ast.parse(source)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        where = f"{path.name}, cell {number}"
        exec(compile(tree, where, "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), where, "eval"), names)
            if hasattr(value, "_repr_html_"):
                value._repr_html_()
            elif value is not None:
                print(repr(value))
    return names


def _fewer_epochs() -> None:
    from lamina.models import Trainer

    fit = Trainer.fit

    @functools.wraps(fit)
    def quick_fit(self: Any, *args: Any, **options: Any) -> Any:
        options["epochs"] = min(options.get("epochs", 1), QUICK_EPOCHS)
        return fit(self, *args, **options)

    Trainer.fit = quick_fit  # type: ignore[method-assign]


if __name__ == "__main__":
    if os.environ.get("QUICK"):
        _fewer_epochs()
    run(Path(sys.argv[1]))
