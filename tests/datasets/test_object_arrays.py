"""Arrays of lists of integers are read from ``.npz`` files without running their pickles; nothing else gets through."""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.core.errors import FileFormatError
from lamina.datasets import _object_arrays
from lamina.datasets._object_arrays import read_npy, read_npz

ROWS = [[1, 255, 256, 65_535, 65_536, 88_584], [], [7], list(range(2500)), [2**31 - 1, 0], [2**40, -3]]


def objects(rows: list[Any]) -> np.ndarray:
    array = np.empty(len(rows), object)
    for i, row in enumerate(rows):
        array[i] = row
    return array


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array, allow_pickle=True)
    return out.getvalue()


def with_pickle(body: bytes, shape: str = "(1,)", descr: str = "'|O'") -> bytes:
    """An ``.npy`` file whose header announces objects, with this pickle behind it."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body


def python_2(rows: list[list[int]]) -> bytes:
    """The pickle that NumPy under Python 2 made of such an array: the published files are of that time."""
    out = io.BytesIO()
    out.write(b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85q\x02U\x01bq\x03\x87")
    out.write(b"q\x04Rq\x05(K\x01" + b"K" + bytes([len(rows)]) + b"\x85q\x06cnumpy\ndtype\nq\x07U\x02O8q\x08K\x00K\x01")
    out.write(b"\x87q\x09Rq\x0a(K\x03U\x01|q\x0bNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tq\x0cb\x89]q\x0d(")
    for place, row in enumerate(rows, start=14):
        out.write(b"]q" + bytes([place]))
        if len(row) == 1:
            out.write(b"K" + bytes(row) + b"a")
        elif row:
            out.write(b"(" + b"".join(b"M" + w.to_bytes(2, "little") for w in row) + b"e")
    out.write(b"etq\x0eb.")
    return out.getvalue()


@pytest.mark.parametrize("version", [2, 3, 4, 5])
@pytest.mark.parametrize("framed", [True, False])
def test_lists_of_every_protocol(version: int, framed: bool) -> None:
    body = pickle.dumps(objects(ROWS), protocol=version)
    body = body if framed else pickletools.optimize(body)
    assert read_npy(with_pickle(body, f"({len(ROWS)},)"), "x") == ROWS
    renamed = body.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")  # as NumPy 1 wrote it
    if version < 4:  # where names are lines and not counted
        assert read_npy(with_pickle(renamed, f"({len(ROWS)},)"), "x") == ROWS


def test_lists_as_python_2_wrote_them() -> None:
    rows = [[1, 2, 300], [9], []]
    body = python_2(rows)
    assert pickle.loads(body, encoding="latin1").tolist() == rows  # it is what it says
    assert read_npy(with_pickle(body, "(3,)"), "x") == rows


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(-(2**40), 2**40), max_size=6), min_size=1, max_size=8))
def test_any_lists(rows: list[list[int]]) -> None:
    assert read_npy(npy(objects(rows)), "x") == rows


@pytest.mark.parametrize(
    "array",
    [np.arange(6).reshape(2, 3), np.ones((2, 2), np.float32, order="F"), np.array(3.5), np.zeros((0, 4), ">i2"),
     np.array([True, False])],
)  # fmt: skip
def test_plain_arrays(array: np.ndarray) -> None:
    found = read_npy(npy(array), "x")
    assert found.dtype == array.dtype.newbyteorder("=") and found.shape == array.shape
    np.testing.assert_array_equal(found, array)
    found[...] = 0  # the caller's own


# --- hostile ones ------------------------------------------------------------------------------------------
class Runs:
    """Unpickling one of these would run code."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


called: list[str] = []


def touch(word: str) -> str:
    called.append(word)
    return word


HOSTILE = [
    Runs(touch, "x"),
    Runs(eval, "called.append(1)"),
    objects([Runs(touch, "x")]),
    objects([[1, Runs(touch, "x")]]),
    objects([np.arange(3)]),
    objects([(1, 2)]),
    objects([[1.5]]),
    objects([["word"]]),
    objects([[True]]),
    objects([[None]]),
    objects([{1: 2}]),
    objects([[[1]]]),
    objects([5]),
    [[1, 2]],
    np.dtype("O"),
    {"rows": [[1]]},
    "text",
    None,
]


@pytest.mark.parametrize("version", [2, 3, 4, 5])
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_nothing_else_is_read_and_nothing_run(version: int, number: int) -> None:
    body = pickle.dumps(HOSTILE[number], protocol=version)
    with pytest.raises(FileFormatError, match=r"x_train: expected an array of lists of integers; at byte [\d,]+"):
        read_npy(with_pickle(body), "x_train")
    assert not called


MALFORMED = {
    "calls the array": b"\x80\x02cnumpy\nndarray\nK\x05\x85R.",
    "calls a dtype of a field": b"\x80\x02cnumpy\ndtype\nU\x02f8\x85R.",
    "asks for os.system": b"cos\nsystem\n(U\x02lsttR.",
    "a name without an end": b"c" + b"n" * 500,
    "a name of numbers": b"\x80\x04K\x01K\x02\x93.",
    "a name of tuples": b"\x80\x04" + b")" + b"\x85" * 50_000 + b"K\x01\x93.",
    "text protocols": b"(I1\nI2\nl.",
    "an object's instruction": b"\x80\x02cnumpy\nndarray\n)\x81.",
    "an extension": b"\x80\x02\x82\x01.",
    "a persistent id": b"\x80\x02K\x01Q.",
    "an unknown memo": b"\x80\x02h\x07.",
    "a missing mark": b"\x80\x02]K\x01e.",
    "an empty stack": b"\x80\x02\x85.",
    "values below the mark": b"\x80\x02K\x01K\x02(\x86.",
    "appending to a number": b"\x80\x02K\x01K\x02a.",
    "appending to nothing": b"\x80\x02K\x02a.",
    "a state for a name": b"\x80\x02cnumpy\nndarray\nNb.",
    "version 9": b"\x80\x09K\x01.",
    "a long string": b"\x80\x02X\x00\x00\x10\x00" + b"a" * 1_048_576 + b".",
    "a string beyond the end": b"\x80\x02X\x10\x00\x00\x00ab",
    "a huge integer": b"\x80\x02\x8a\xff" + b"\x01" * 255 + b".",
    "text that is none": b"\x80\x02X\x02\x00\x00\x00\xff\xff.",
    "no end": b"\x80\x02K\x01",
    "nothing": b"",
    "an instruction cut off": b"\x80\x02M\x01",
}


@pytest.mark.parametrize("what", list(MALFORMED))
def test_malformed_pickles(what: str) -> None:
    with pytest.raises(FileFormatError, match="expected an array of lists of integers"):
        read_npy(with_pickle(MALFORMED[what]), "x")


def test_shared_lists_do_not_multiply() -> None:
    row = list(range(50))
    with pytest.raises(FileFormatError, match="shared"):
        read_npy(npy(objects([row] * 200)), "x")
    knot: list[Any] = [1]
    knot.append(knot)
    with pytest.raises(FileFormatError, match="integers"):
        read_npy(npy(objects([knot])), "x")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_never_gets_through_as_an_exception_of_another_kind(data: st.DataObject) -> None:
    content = bytearray(npy(objects([[1, 2, 300], [4], []])))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    try:
        rows = read_npy(bytes(content), "x")
    except FileFormatError:
        return
    assert isinstance(rows, np.ndarray) or all(type(w) is int for row in rows for w in row)


# --- headers and archives ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "content",
    [
        b"", b"\x93NUMPY", b"not an array at all", npy(np.arange(5))[:-1], npy(np.arange(5)) + b"\0",
        npy(np.arange(5))[:40],
        with_pickle(b"", descr="'<M8[s]'"), with_pickle(b"12345678", descr="[('a', '<i8')]"),
        with_pickle(b"12345678", descr="'<q9'"), with_pickle(b"12345678", descr="'<i,8'"),
        with_pickle(b"x" * 8, "(-1,)", "'<i8'"), with_pickle(b"", "5"),
        with_pickle(b"x" * 8, "(10**400,)", "'<i8'"), with_pickle(b"x" * 8, "(True,)", "'<i8'"),
        with_pickle(pickle.dumps(objects([[1], [2]])), "(3,)"),
        with_pickle(pickle.dumps(objects([[1], [2]])), "(1, 2)"),
        b"\x93NUMPY\x09\x00" + bytes(20), with_pickle(b"", "__import__('os')"),
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65_535,
        b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{}",
    ],
)  # fmt: skip
def test_damaged_arrays(content: bytes) -> None:
    with pytest.raises(FileFormatError, match="^x_train: "):
        read_npy(content, "x_train")


def test_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "set.npz"
    np.savez_compressed(path, x=objects([[1, 2], [3]]), y=np.array([0, 1]))
    found = read_npz(path, ["x", "y"])
    assert found["x"] == [[1, 2], [3]] and found["y"].tolist() == [0, 1]
    with pytest.raises(FileFormatError, match="no array 'z'; it needs x, z"):
        read_npz(path, ["x", "z"])
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "absent.npz", ["x"])
    whole = path.read_bytes()
    middle = whole.index(b"x.npy") + 60
    for content in (b"", b"<html>", whole[:-30], whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"set\.npz"):
            read_npz(path, ["x"])
    monkeypatch.setattr(_object_arrays, "MAX_BYTES", 1000)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(100_000))  # small in the file, large outside
    with pytest.raises(FileFormatError, match="more than 1,000 bytes"):
        read_npz(path, ["x"])
