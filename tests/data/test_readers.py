"""Reading tables, images, lines and arrays larger than memory, and the datasets of others."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.core.errors import ArgumentError, DataError, FileFormatError
from lamina.data import (
    DataLoader,
    ImageFolder,
    Pipeline,
    TensorDataset,
    csv_rows,
    memory_mapped,
    parquet_rows,
    read_csv,
    read_parquet,
    readers,
    text_lines,
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    pytest.importorskip("pyarrow")
    path = tmp_path / "t.csv"
    path.write_text('id,size,name,missing,flag\n1,0.5,"a, b",,true\n2,,c,7,false\n3,2e3,"d\n e",8,true\n')
    return path


def test_csv(table: Path) -> None:
    columns = read_csv(table)
    assert [c.dtype for c in columns.values()] == [np.int64, np.float32, object, np.float32, bool]
    np.testing.assert_array_equal(columns["size"], np.float32([0.5, np.nan, 2000]))
    np.testing.assert_array_equal(columns["missing"], np.float32([np.nan, 7, 8]))
    assert columns["name"].tolist() == ["a, b", "c", "d\n e"]
    assert list(read_csv([table, table], ["id", "flag"])) == ["id", "flag"]
    assert read_csv([table, table], ["id"])["id"].tolist() == [1, 2, 3, 1, 2, 3]
    rows = list(csv_rows(table, ["id", "name"]))
    assert [int(r["id"]) for r in rows] == [1, 2, 3] and rows[0]["name"] == "a, b"
    with pytest.raises(DataError, match=r"'nothing'; it has 'id'"):
        read_csv(table, ["nothing"])
    with pytest.raises(ArgumentError):
        read_csv([])


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "bad.csv").write_text("a,b\n1,2,3\n")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    for read, name in ((read_csv, "bad.csv"), (read_parquet, "bad.parquet"), (read_csv, "absent.csv")):
        with pytest.raises(FileFormatError, match=name):
            read(tmp_path / name)


def test_long_csv_is_read_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(readers, "BLOCK", 1 << 10)
    path = tmp_path / "long.csv"
    path.write_text("i,x\n" + "".join(f"{i},{i / 2}\n" for i in range(1000)))
    data = csv_rows(path).map(lambda row: (row["x"], row["i"])).shuffle(50, seed=1).batch(10)
    batches = iter(data)
    for _ in range(3):
        next(batches)
    rest = [y.tolist() for _, y in batches]
    other = csv_rows(path).map(lambda row: (row["x"], row["i"])).shuffle(50, seed=1).batch(10)
    other.load_state_dict({**data.state_dict(), "position": 3, "starts": [0, 0]})
    assert [y.tolist() for _, y in other] == rest and len(rest) == 97


def test_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    table = arrow.table({"v": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "y": [0, 1, 0], "s": ["a", None, "c"]})
    parquet.write_table(table, path, row_group_size=2)
    columns = read_parquet(path)
    assert columns["v"].shape == (3, 2) and columns["v"].dtype == np.float32 and columns["y"].tolist() == [0, 1, 0]
    assert columns["s"].tolist() == ["a", None, "c"]
    batch = next(iter(parquet_rows(path, ["y", "v"], block=1).batch(3)))
    assert batch["v"].tolist() == [[1, 2], [3, 4], [5, 6]]
    with pytest.raises(DataError, match="'z'"):
        read_parquet(path, ["z"])
    parquet.write_table(arrow.table({"v": [[1], [2, 3]]}), path)
    with pytest.raises(DataError, match="different lengths"):
        read_parquet(path)


def test_image_folder(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for i in range(4):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        image.fromarray(np.full((6, 5, 3), 10 * i, np.uint8)).save(tmp_path / "ab"[i % 2] / f"{i}.png")
    data = ImageFolder(tmp_path)
    assert data.classes == ["a", "b"] and data.class_to_idx["b"] == 1 and data.targets == [0, 0, 1, 1]
    x, y = next(iter(DataLoader(data, 4)))
    assert x.dtype == np.uint8 and x.shape == (4, 6, 5, 3) and y.tolist() == [0, 0, 1, 1]
    half = ImageFolder(tmp_path, transform=lambda p: p[:3] / 255, target_transform=str)
    assert half[3][0].shape == (3, 5, 3) and half[3][1] == "1"
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArgumentError, match="No images"):
        ImageFolder(tmp_path / "empty")


def test_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\r\ntwo\n\nla\xc3\xa7t")
    (tmp_path / "b.txt").write_text("more\n")
    data = text_lines([tmp_path / "a.txt", tmp_path / "b.txt"])
    assert list(data) == ["one", "two", "", "laçt", "more"]
    assert [b.tolist() for b in data.filter(lambda s: len(s) > 0).batch(3)] == [["one", "two", "laçt"], ["more"]]


def test_memory_mapped(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.float32).reshape(8, 3)
    np.save(tmp_path / "x.npy", values)
    values.tofile(tmp_path / "x.raw")
    for array in (memory_mapped(tmp_path / "x.npy"), memory_mapped(tmp_path / "x.raw", "float32", (-1, 3))):
        np.testing.assert_array_equal(array, values)
        halves = [b[0].tolist() for b in DataLoader(TensorDataset(array), 4)]
        assert halves == [values[:4].tolist(), values[4:].tolist()]
        batches = list(Pipeline.from_tensor_slices(array).shuffle(8, seed=1).batch(8))
        np.testing.assert_array_equal(np.sort(np.asarray(batches[0])[:, 0]), values[:, 0])
    (tmp_path / "bad.npy").write_bytes(b"no array")
    with pytest.raises(FileFormatError, match=r"bad\.npy"):
        memory_mapped(tmp_path / "bad.npy")
    with pytest.raises(FileFormatError):
        memory_mapped(tmp_path / "x.raw", "float32", (5, 5))


LIMITED = """
import re, resource, sys
import numpy as np
import lamina
from lamina import layers
from lamina.data import DataLoader, Pipeline, TensorDataset, memory_mapped

x = memory_mapped(sys.argv[1], "float32", (-1, 256))
y = np.zeros((len(x), 1), np.float32)
model = lamina.Sequential([lamina.Input((256,)), layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(x[:64], y[:64], verbose=0)
used = int(re.search(r"VmData:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10  # which the limit is about
resource.setrlimit(resource.RLIMIT_DATA, (used + (48 << 20),) * 2)
model.fit(DataLoader(TensorDataset(x, y), 4096, shuffle=True), verbose=0, steps_per_epoch=1)
model.fit(Pipeline.from_tensor_slices((x, y)).shuffle(10_000).batch(4096), verbose=0, steps_per_epoch=1)
print("trained on", x.nbytes >> 20, "MB")
"""


def test_training_on_more_than_memory_holds(tmp_path: Path) -> None:
    """A file of 256 MB, with 48 MB more of memory than the program has before."""
    path = tmp_path / "large.raw"
    with path.open("wb") as file:
        file.truncate(1 << 28)  # of zeros, which take no room on the disk
    result = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert result.stdout.strip() == "trained on 256 MB", result.stderr[-2000:]
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY  # the limit was the program's own


class Table:
    """What ``DataLoader`` needs to know of a dataset of Hugging Face."""

    column_names = ("x", "y", "s")
    features: Any = None

    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns["y"])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return {name: [values[i] for i in index] for name, values in self.columns.items()}
        return {name: values[index] for name, values in self.columns.items()}


def check_table(rows: Any) -> None:
    batches = list(DataLoader(rows, 2))
    assert batches[0]["x"].tolist() == [[1, 2], [3, 4]] and batches[0]["x"].dtype == np.float32
    assert batches[1]["s"].tolist() == ["c"]
    (batch,) = Pipeline.from_dataset(rows).shuffle(3, seed=0).batch(3)
    assert sorted(batch["y"].tolist()) == [0, 1, 2]
    pairs = DataLoader(rows, 3, collate_fn=lambda samples: [s["y"] for s in samples])
    assert list(pairs) == [[0, 1, 2]]


def test_datasets_with_columns() -> None:
    check_table(Table({"x": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "y": [0, 1, 2], "s": ["a", "b", "c"]}))


def test_datasets_of_hugging_face_as_they_are() -> None:
    """The same with the package's own; it is large, so that no extra asks for it."""
    datasets = pytest.importorskip("datasets", reason="the package of Hugging Face is not installed")
    if not hasattr(datasets, "Dataset"):  # this project's folder of tests of that name
        pytest.skip("the package of Hugging Face is not installed")
    columns = {"x": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "y": [0, 1, 2], "s": ["a", "b", "c"]}
    rows = datasets.Dataset.from_dict(columns)
    check_table(rows)
    for given in (rows, rows.with_format("numpy")):
        alone = [batch["y"].tolist() for batch in DataLoader(given, 2)]
        assert [batch["y"].tolist() for batch in DataLoader(given, 2, num_workers=1)] == alone == [[0, 1], [2]]
    assert [batch["y"].tolist() for batch in DataLoader(rows.to_iterable_dataset(), 2)] == [[0, 1], [2]]
