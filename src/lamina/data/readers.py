"""Reading files: tables (CSV, Parquet), folders of images, lines of text, arrays larger than memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, DataError, FileFormatError
from lamina.core.limits import NUMPY_ERRORS
from lamina.core.optional import require
from lamina.data.datasets import Dataset
from lamina.data.directories import IMAGE_ENDINGS, read_image
from lamina.data.folders import find_files
from lamina.data.pipeline import Pipeline

BLOCK = 1 << 20  # bytes of a CSV file that are read together


# --- tables -------------------------------------------------------------------------------------------
def read_csv(path: Any, columns: Sequence[str] | None = None, delimiter: str = ",") -> dict[str, np.ndarray]:
    """The columns of a CSV file with a header, as arrays.

    Args:
        path: the file, or several of the same columns.
        columns: which to read; default all.
        delimiter: what stands between two values.

    Returns:
        A dict by name: int64, float32 or bool, and objects for texts.  Missing numbers are NaN.

    Raises:
        DataError: there is no such column.
        FileFormatError: it is no such file.
        MissingExtraError: pyarrow is not installed (extra ``data``).
    """
    return _joined(list(_csv_blocks(_paths(path), columns, delimiter)), path)


def read_parquet(path: Any, columns: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """The columns of a Parquet file as arrays; arguments, result and errors are those of ``read_csv``.

    A column of lists of one length becomes an array of two axes.
    """
    return _joined(list(_parquet_blocks(_paths(path), columns, 1 << 16)), path)


def csv_rows(path: Any, columns: Sequence[str] | None = None, delimiter: str = ",") -> Pipeline:
    """The rows of CSV files as dicts, read block by block: files may be larger than memory.

    Args:
        path, columns, delimiter: as in ``read_csv``.

    Returns:
        A ``Pipeline``.  The types of columns are found out from the first block of each file.
    """
    paths = _paths(path)
    return _rows_of_blocks(lambda: _csv_blocks(paths, columns, delimiter))


def parquet_rows(path: Any, columns: Sequence[str] | None = None, block: int = 4096) -> Pipeline:
    """The rows of Parquet files as dicts, ``block`` rows read together: files may be larger than memory."""
    paths = _paths(path)
    return _rows_of_blocks(lambda: _parquet_blocks(paths, columns, block))


def _paths(path: Any) -> list[str]:
    given = [path] if isinstance(path, str | os.PathLike) else list(path)
    if not given:
        raise ArgumentError("Give at least one file.")
    return [os.fspath(p) for p in given]


def _rows_of_blocks(blocks: Callable[[], Iterator[dict[str, np.ndarray]]]) -> Pipeline:
    return Pipeline.from_generator(lambda: (b for b in blocks() if len(next(iter(b.values()), ())))).unbatch()


def _csv_blocks(paths: list[str], columns: Any, delimiter: str) -> Iterator[dict[str, np.ndarray]]:
    arrow = require("pyarrow", "data", "reading tables")
    csv = require("pyarrow.csv", "data", "reading tables")
    for path in paths:
        try:
            with csv.open_csv(
                path,
                csv.ReadOptions(block_size=BLOCK, use_threads=False),
                csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            ) as reader:
                for batch in reader:
                    yield _columns_of(batch, columns, path)
        except (arrow.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
            raise FileFormatError(f"{path!r} is no CSV file with a header that can be read: {error}.") from error


def _parquet_blocks(paths: list[str], columns: Any, rows: int) -> Iterator[dict[str, np.ndarray]]:
    arrow = require("pyarrow", "data", "reading tables")
    parquet = require("pyarrow.parquet", "data", "reading tables")
    for path in paths:
        try:
            with parquet.ParquetFile(path) as file:
                _check_columns(columns, file.schema_arrow.names, path)
                for batch in file.iter_batches(rows, columns=None if columns is None else list(columns)):
                    yield _columns_of(batch, columns, path)
        except (arrow.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
            raise FileFormatError(f"{path!r} is no Parquet file that can be read: {error}.") from error


def _check_columns(wanted: Sequence[str] | None, found: Sequence[str], path: str) -> None:
    missing = [name for name in wanted or () if name not in found]
    if missing:
        names, those = (", ".join(map(repr, columns)) for columns in (missing, found))
        raise DataError(f"{path!r} has no column {names}; it has {those}.")


def _columns_of(batch: Any, columns: Sequence[str] | None, path: str) -> dict[str, np.ndarray]:
    _check_columns(columns, batch.schema.names, path)
    return {name: _array_of(batch.column(name), name, path) for name in columns or batch.schema.names}


def _array_of(column: Any, name: str, path: str) -> np.ndarray:
    types = require("pyarrow.types", "data", "reading tables")
    kind = column.type
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        lengths = {len(value) for value in column.to_pylist() if value is not None}
        if len(lengths) != 1 or column.null_count:
            raise DataError(f"{path!r}: the lists in column {name!r} have different lengths: {sorted(lengths)[:5]}.")
        return _array_of(column.flatten(), name, path).reshape(len(column), lengths.pop())
    array: np.ndarray = column.to_numpy(zero_copy_only=False)
    if types.is_floating(kind) or (types.is_integer(kind) and column.null_count):
        return array.astype(np.float32)
    if types.is_null(kind):
        return np.full(len(column), np.nan, np.float32)
    return array if array.dtype.kind in "biu" else array.astype(object)


def _joined(blocks: list[dict[str, np.ndarray]], path: Any) -> dict[str, np.ndarray]:
    if not blocks:
        raise DataError(f"{path!r} has no rows.")
    for block in blocks[1:]:
        if list(block) != list(blocks[0]):
            raise DataError(f"The files {path!r} have different columns: {list(blocks[0])} and {list(block)}.")
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


# --- images -------------------------------------------------------------------------------------------
class ImageFolder(Dataset[Any]):
    """Images by number; each subfolder of a folder is a class.

    Args:
        root: the folder.
        transform: a function of the image, a uint8 array ``(height, width, 3)``.
        target_transform: a function of the class's number.

    Attributes:
        classes: names of the classes.
        class_to_idx: their numbers.
        samples: ``(path, number of the class)`` of each image.

    Raises:
        ArgumentError: there are no images.
        MissingExtraError: Pillow is not installed (extra ``images``).
    """

    def __init__(
        self, root: Any, transform: Callable[[Any], Any] | None = None, target_transform: Any = None
    ) -> None:
        files = find_files(root, "inferred", IMAGE_ENDINGS, None, False, None, True, False)
        if not files.paths or files.labels is None:
            raise ArgumentError(f"No images found in the subfolders of {os.fspath(root)!r}.")
        self.root, self.transform, self.target_transform = root, transform, target_transform
        self.classes = files.class_names or []
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}
        self.samples = list(zip(files.paths, files.labels.tolist(), strict=True))
        self.targets = files.labels.tolist()

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        image = read_image(path, "rgb", np.uint8)
        if self.transform is not None:
            image = self.transform(image)
        return image, target if self.target_transform is None else self.target_transform(target)


# --- text ---------------------------------------------------------------------------------------------
def text_lines(path: Any, encoding: str = "utf-8") -> Pipeline:
    """The lines of text files, one after the other, without their ends.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "a.txt"
        ...     _ = file.write_text("one\\ntwo\\n")
        ...     print(list(text_lines(file)))
        ['one', 'two']
    """
    paths = _paths(path)

    def lines() -> Iterable[str]:
        for name in paths:
            with open(name, encoding=encoding, errors="replace", newline="\n") as file:
                for line in file:
                    yield line.rstrip("\r\n")

    return Pipeline.from_generator(lines)


# --- arrays -------------------------------------------------------------------------------------------
def memory_mapped(path: Any, dtype: Any = None, shape: Sequence[int] | None = None) -> np.ndarray:
    """An array in a file, of which only the rows that are used are read; give it to ``TensorDataset`` or a pipeline.

    Args:
        path: an ``.npy`` file, or one of values only.
        dtype: of the values, where the file holds nothing else.
        shape: likewise; the first axis may be -1.

    Raises:
        FileFormatError: the file does not hold such an array.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "x.npy"
        ...     np.save(file, np.eye(2))
        ...     memory_mapped(file).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    path = Path(path)
    try:
        if dtype is None:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        values: np.ndarray = np.memmap(path, dtype, "r")
        return values if shape is None else values.reshape(shape)
    except FileNotFoundError:
        raise
    except NUMPY_ERRORS as error:
        raise FileFormatError(f"{str(path)!r} does not hold an array of this kind: {error}.") from error
