"""Rules that hold the code base together: imports point one way, files stay readable, the surface is documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lamina

SOURCE = Path(lamina.__file__).parent

# From the bottom up.  A module may import from its own layer and from those above it in this list.
LAYERS: list[tuple[str, ...]] = [
    ("core", "config", "dtype_policies", "version"),
    ("ops", "linalg"),
    ("tensor", "tensor_methods", "random", "array_api"),
    ("autodiff",),
    ("graph", "nn"),
    ("backends",),
    ("profiling",),
    ("serialization", "initializers", "regularizers", "constraints", "activations"),
    ("layers", "losses", "metrics", "optimizers"),
    ("models", "mixed_precision"),
    ("inspection",),
    ("plotting",),
    ("training",),
    ("tensorboard",),
    ("callbacks",),
    ("data", "datasets", "preprocessing", "applications", "utils", "sklearn", "compat", "cli", "testing", "transfer",
     "explanation", "baselines"),
    ("generation",),
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# Imports that point down, each for a reason, and (but for one interface) only inside functions.
EXCEPTIONS = {
    ("graph", "backends"): "a captured function asks for the backend that compiles it, through the interface in base",
    ("models", "training"): "fit, evaluate and predict are methods of Model and live in training",
}

MAX_LINES = 600


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imported(path: Path) -> Iterator[tuple[str, str, int, bool]]:
    """``(area, whole name, line, inside a function)`` for every import from Lamina."""
    tree = ast.parse(path.read_text())
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            inside.update(id(n) for n in ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import by the full name"
            base = node.module or ""
            names = [f"lamina.{alias.name}" for alias in node.names] if base == "lamina" else [base]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "lamina" and len(parts) > 1:
                yield parts[1], name, node.lineno, id(node) in inside


def test_imports_point_one_way() -> None:
    wrong = []
    for module, path in modules():
        parts = module.split(".")
        if len(parts) == 1:
            continue  # lamina/__init__.py gathers everything
        own = parts[1]
        assert own in RANK, f"{path}: say in LAYERS where {own!r} stands"
        for area, name, line, lazily in imported(path):
            if area not in RANK:
                continue
            allowed = (own, area) in EXCEPTIONS and (lazily or name == "lamina.backends.base")
            if RANK[area] > RANK[own] and not allowed:
                wrong.append(f"{path}:{line}: {own} imports {area}, which stands above it")
    assert not wrong, "\n" + "\n".join(wrong)


def test_files_stay_readable() -> None:
    tests, root = Path(__file__).parent, Path(__file__).parent.parent
    paths = [*SOURCE.rglob("*.py"), *tests.rglob("*.py"), *(root / "benchmarks").rglob("*.py")]
    long = [f"{p}: {n} lines" for p in paths if (n := len(p.read_text().splitlines())) > MAX_LINES]
    assert not long, "\n" + "\n".join(long)


def public_objects() -> Iterator[tuple[str, object]]:
    """Everything that Lamina's own modules define under a name without an underscore."""
    for info in pkgutil.walk_packages([str(SOURCE)], "lamina."):
        if any(part.startswith("_") for part in info.name.split(".")):
            continue
        module = importlib.import_module(info.name)
        yield info.name, module
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", None) != info.name:
                continue
            if inspect.isclass(value) or inspect.isfunction(value):
                yield f"{info.name}.{name}", value


def test_public_names_are_documented() -> None:
    bare = [name for name, value in public_objects() if not (inspect.getdoc(value) or "").strip()]
    assert not bare, "without a docstring:\n" + "\n".join(bare)


def test_every_promised_name_exists() -> None:
    for module_name in ["lamina", *(i.name for i in pkgutil.walk_packages([str(SOURCE)], "lamina."))]:
        module = importlib.import_module(module_name)
        for name in getattr(module, "__all__", ()):
            assert hasattr(module, name), f"{module_name}.__all__ names {name!r}, which is not there"


HEAVY = (
    "llvmlite", "rich", "safetensors", "matplotlib", "sklearn", "tensorboard", "PIL", "ml_dtypes",
    "torch", "jax", "keras", "tensorflow",
)  # fmt: skip


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600).stdout


def test_import_is_light_and_silent() -> None:
    code = f"import lamina, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert run_python(code).strip() == "[]"
    assert run_python("import lamina") == ""


def test_source_never_imports_other_frameworks() -> None:
    for _module, path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] not in ("torch", "tensorflow", "keras", "flax", "optax"), f"{path}: {name}"


@pytest.mark.slow
def test_import_time() -> None:
    code = "import time; t = time.thread_time(); import lamina; print(time.thread_time() - t)"  # whoever else works
    run_python(code)  # warm the file cache
    assert any(float(run_python(code)) <= 0.25 for _ in range(15))  # the least tells: a busy machine only adds to it
