"""Bounds on what a file that is read may cost: memory for weights, and the size and depth of JSON."""

from __future__ import annotations

import json
import math
import threading
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tokenize import TokenError
from typing import Any

import numpy as np

from lamina.core.errors import FileFormatError

LONGEST_JSON = 64 << 20  # characters
MOST_VALUES = 2_000_000
DEEPEST = 200
# What numpy.load raises over damaged .npy and .npz files; their headers are Python's notation of a dict.
NUMPY_ERRORS = (OSError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError, SyntaxError, TokenError,
                OverflowError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)  # fmt: skip


class _Budget(threading.local):
    left: int | None = None
    total = 0


_budget = _Budget()


@contextmanager
def memory_limit(bytes: int) -> Iterator[None]:
    """Inside the ``with`` block layers and optimizers may make Variables of so many bytes in all."""
    before = _budget.left, _budget.total
    _budget.left = _budget.total = bytes
    try:
        yield
    finally:
        _budget.left, _budget.total = before


def spend(shape: Sequence[int], dtype: np.dtype[Any]) -> None:
    """Count a Variable that is about to be made.

    Raises:
        FileFormatError: a file is being read, and what it describes takes far more memory than it holds.
    """
    if _budget.left is not None:
        _budget.left -= math.prod(shape) * dtype.itemsize
        if _budget.left < 0:
            raise FileFormatError(
                f"The configuration describes a weight of shape {tuple(shape)}, and the file holds far less than that "
                f"(at most {_budget.total:,} bytes may be made). The file is damaged, or made to fill the memory."
            )


def refuse_path(path: Any) -> None:
    """Called where a constructor is about to read a file that its arguments name.

    Raises:
        FileFormatError: the arguments come from a file that is being read, which could name any file of the machine.
    """
    if _budget.left is not None:
        raise FileFormatError(
            f"The configuration names another file, {str(path)[:200]!r}. A model's file holds all that it needs; "
            "no other file is opened for it."
        )


def read_json(text: str | bytes, where: str, longest: int = LONGEST_JSON) -> Any:
    """Parse JSON whose size and depth are bounded.

    Args:
        text: the JSON.
        where: what it is, for messages: ``"model.safetensors: the header"``.
        longest: how many characters it may have.

    Raises:
        FileFormatError: it is no JSON, too long, has too many values, or is nested too deeply.
    """
    if not isinstance(text, str | bytes):
        raise FileFormatError(f"{where} is damaged (text was expected, got {type(text).__name__}).")
    if len(text) > longest:
        raise FileFormatError(f"{where} has {len(text):,} characters; {longest:,} are allowed.")
    values = _count(text)
    if values > MOST_VALUES:
        raise FileFormatError(f"{where} has about {values:,} values; {MOST_VALUES:,} are allowed.")
    try:
        parsed = json.loads(text, object_pairs_hook=_without_repeats)
    except RecursionError:
        raise FileFormatError(f"{where} is nested too deeply.") from None
    except ValueError as error:
        raise FileFormatError(f"{where} is damaged ({error}).") from None
    depth, level = 0, [parsed]
    while level:
        depth += 1
        if depth > DEEPEST:
            raise FileFormatError(f"{where} is nested more than {DEEPEST} levels deep.")
        level = [
            item
            for tree in level
            if isinstance(tree, dict | list)
            for item in (tree.values() if isinstance(tree, dict) else tree)
            if isinstance(item, dict | list)
        ]
    return parsed


def _count(text: str | bytes) -> int:
    """At least as many as the values in the JSON."""
    if isinstance(text, bytes):
        return text.count(b"[") + text.count(b"{") + text.count(b",")
    return text.count("[") + text.count("{") + text.count(",")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name stands twice in one table")
    return table
