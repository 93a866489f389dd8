"""Files in folders, with the folders' names as classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamina import random
from lamina.core.errors import ArgumentError

SUBSETS = ("training", "validation", "both", None)
LABEL_MODES = ("int", "categorical", "binary", None)


@dataclass
class Files:
    """Files with the numbers of their classes.

    Attributes:
        paths: where they are.
        labels: numbers of their classes, ``None`` where there are none.
        class_names: names of the classes.
    """

    paths: list[str]
    labels: np.ndarray | None
    class_names: list[str] | None

    def part(self, where: slice) -> Files:
        """Some of the files."""
        return Files(self.paths[where], None if self.labels is None else self.labels[where], self.class_names)

    def targets(self, mode: str | None) -> np.ndarray | None:
        """Labels as a model wants them: int32 numbers, float32 columns, or rows with one 1."""
        if self.labels is None or mode is None:
            return None
        if mode == "binary":
            return self.labels[:, None].astype(np.float32)
        if mode == "categorical":
            classes = np.arange(len(self.class_names or ()))
            return (self.labels[:, None] == classes).astype(np.float32)
        return self.labels


def check_arguments(
    what: str,
    labels: Any,
    label_mode: Any,
    class_names: Any,
    validation_split: Any,
    subset: Any,
    shuffle: Any,
    seed: Any,
    format: Any,
) -> tuple[Any, str | None]:
    """Check what the functions for folders have in common; returns labels and label_mode to use.

    Raises:
        ArgumentError: a value that is not allowed.
    """
    if labels is not None and not (isinstance(labels, str) and labels == "inferred"):
        if not isinstance(labels, list | tuple | np.ndarray):
            raise ArgumentError(
                f"The `labels` argument should be 'inferred' (classes are the names of subfolders), None, or a list of "
                f"integers, one for each {what} file; got {labels!r}."
            )
        if class_names:
            raise ArgumentError(
                f'You can only pass `class_names` if `labels="inferred"`; got labels={labels!r} and '
                f"class_names={class_names!r}."
            )
    if label_mode not in LABEL_MODES:
        raise ArgumentError(
            f"The `label_mode` argument must be one of {', '.join(map(repr, LABEL_MODES))}; got {label_mode!r}."
        )
    if format not in ("tf", "grain"):
        raise ArgumentError(f"`format` should be either 'tf' or 'grain' (both give a Pipeline); got {format!r}.")
    if validation_split and not 0 < validation_split < 1:
        raise ArgumentError(f"`validation_split` must be between 0 and 1; got {validation_split!r}.")
    if bool(validation_split) != bool(subset):
        raise ArgumentError("If `subset` is set, `validation_split` must be set, and the other way round.")
    if subset not in SUBSETS:
        raise ArgumentError(f'`subset` must be either "training", "validation" or "both"; got {subset!r}.')
    if validation_split and shuffle and seed is None:
        raise ArgumentError(
            "With `validation_split` and shuffling you must provide a `seed`, so that the files for training and those "
            "for validation do not overlap."
        )
    return (None, None) if labels is None or label_mode is None else (labels, label_mode)


def find_files(
    directory: Any,
    labels: Any,
    endings: tuple[str, ...],
    class_names: Sequence[str] | None,
    shuffle: bool,
    seed: int | None,
    follow_links: bool,
    verbose: bool,
) -> Files:
    """The files below a folder, in the order of their names, or in that which a seed gives (the same as in Keras).

    Raises:
        ArgumentError: there is no such folder, or names or labels do not fit it.
    """
    directory = os.fspath(directory)
    if not os.path.isdir(directory):
        raise ArgumentError(f"There is no folder {directory!r}.")
    inferred = isinstance(labels, str)
    folders: list[str] = [""]
    if inferred:
        found = sorted(
            name for name in os.listdir(directory)
            if not name.startswith(".") and os.path.isdir(os.path.join(directory, name))
        )  # fmt: skip
        if class_names is not None and not set(class_names) <= set(found):
            raise ArgumentError(
                f"The `class_names` passed did not match the names of the subdirectories: expected {found} or some of "
                f"them, got {list(class_names)}."
            )
        folders = found if class_names is None else list(class_names)
    elif class_names is not None:
        raise ArgumentError("`class_names` can be given with labels='inferred' only.")
    paths: list[str] = []
    numbers: list[int] = []
    for number, folder in enumerate(folders):
        here = _files_below(os.path.join(directory, folder) if folder else directory, endings, follow_links)
        paths += here
        numbers += [number] * len(here)
    names: list[str] | None = None
    targets: np.ndarray | None = None
    if inferred:
        names, targets = folders, np.array(numbers, np.int32)
    elif labels is not None:
        if len(labels) != len(paths):
            raise ArgumentError(
                "Expected the lengths of `labels` to match the number of files in the folder: there are "
                f"{len(labels)} labels, and {len(paths)} files in {directory!r}."
            )
        names, targets = [str(label) for label in sorted(set(labels))], np.asarray(labels, np.int32)
    if verbose:
        classes = "." if names is None else f" belonging to {len(names)} classes."
        print(f"Found {len(paths)} files{classes}", flush=True)  # noqa: T201
    if shuffle:
        order = np.arange(len(paths))
        np.random.RandomState(random.make_seed() % 2**32 if seed is None else seed).shuffle(order)
        paths = [paths[i] for i in order]
        targets = None if targets is None else targets[order]
    return Files(paths, targets, names)


def _files_below(folder: str, endings: tuple[str, ...], follow_links: bool) -> list[str]:
    walk = sorted(os.walk(folder, followlinks=follow_links), key=lambda item: item[0])
    return [
        os.path.join(root, name) for root, _, names in walk for name in sorted(names) if name.lower().endswith(endings)
    ]


def check_files(files: Files, what: str, directory: Any, endings: tuple[str, ...], label_mode: str | None) -> None:
    """There are files, and as many classes as the labels allow.

    Raises:
        ArgumentError: that is not so.
    """
    if label_mode == "binary" and len(files.class_names or ()) != 2:
        raise ArgumentError(
            f'With `label_mode="binary"`, there must be exactly 2 class_names; there are {files.class_names}.'
        )
    if not files.paths:
        raise ArgumentError(f"No {what} found in directory {os.fspath(directory)!r}. Allowed are {', '.join(endings)}.")


def split_files(files: Files, share: float | None, subset: str | None, verbose: bool) -> list[Files]:
    """The files for training, for validation, or both; those for validation are the last.

    Raises:
        ArgumentError: one of the parts is empty.
    """
    if not share:
        return [files]
    held_back = int(share * len(files.paths))
    parts = {
        "training": files.part(slice(0, len(files.paths) - held_back)),
        "validation": files.part(slice(len(files.paths) - held_back, None)),
    }
    wanted = ["training", "validation"] if subset == "both" else [str(subset)]
    for name in wanted:
        if not parts[name].paths:
            raise ArgumentError(f"`validation_split`={share} of {len(files.paths)} files leaves none for {name}.")
        if verbose:
            print(f"Using {len(parts[name].paths)} files for {name}.", flush=True)  # noqa: T201
    return [parts[name] for name in wanted]
