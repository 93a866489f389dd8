"""Arrays from ``.npz`` files, lists of integers among them, without running a pickle.

NumPy stores an array of Python objects as a pickle, which can run any code when it is loaded, so ``np.load`` refuses
such arrays.  IMDB and Reuters come as arrays of lists of integers.  ``read_npz`` reads those by walking through the
pickle's instructions with a machine of its own that knows integers, strings, lists and tuples, and NumPy's
description of an array by name only: nothing is imported, and nothing is called.
"""

from __future__ import annotations

import ast
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina.core.errors import FileFormatError

MAX_BYTES = 1 << 29  # of one unpacked array; IMDB's larger one has some 15 MB
Rows = list[list[int]]
_DESCR = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248])")


def read_npz(path: str | os.PathLike[str], names: Sequence[str]) -> dict[str, Any]:
    """Arrays of an ``.npz`` file by their names.

    Args:
        path: the file.
        names: names of the arrays.

    Returns:
        For each name a NumPy array, or for an array of objects a list of lists of integers.

    Raises:
        FileNotFoundError: there is no such file.
        FileFormatError: it is no such file, damaged, lacks an array, or holds other objects than lists of integers.
    """
    found: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
            for name in names:
                member = f"{name}.npy"
                if member not in members:
                    raise FileFormatError(f"{path} has no array {name!r}; it needs {', '.join(names)}.")
                if archive.getinfo(member).file_size > MAX_BYTES:
                    raise FileFormatError(f"{path}: array {name!r} would take more than {MAX_BYTES:,} bytes.")
                found[name] = read_npy(archive.read(member), f"{path}: {name}")
    except (FileFormatError, FileNotFoundError):
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError) as error:
        raise FileFormatError(f"{path}: not a readable .npz file ({error}). Download it again.") from error
    return found


def read_npy(content: bytes, where: str) -> Any:
    """The array in the content of an ``.npy`` file, or the rows of an array of lists of integers.

    Raises:
        FileFormatError: it is not in that format or holds other objects.
    """
    header, start = _header(content, where)
    shape, descr = header["shape"], header["descr"]
    if descr not in ("|O", "O"):
        return _plain(content, start, shape, descr, header["fortran_order"], where)
    rows = _Machine(content, start, where).run()
    if shape != (len(rows),):
        raise FileFormatError(f"{where}: the header announces shape {shape} and {len(rows):,} lists are there.")
    return rows


def _header(content: bytes, where: str) -> tuple[dict[str, Any], int]:
    if content[:6] != b"\x93NUMPY" or len(content) < 12 or content[6] not in (1, 2, 3):
        raise FileFormatError(f"{where}: not an array in NumPy's format; it starts with {content[:8]!r}.")
    size, start = (struct.unpack_from("<H", content, 8)[0], 10) if content[6] == 1 else (
        struct.unpack_from("<I", content, 8)[0], 12,
    )  # fmt: skip
    text = content[start : start + size]
    try:
        if len(text) != size or size > 10_000:
            raise ValueError("it is cut off")
        header = ast.literal_eval(text.decode("latin-1"))
        shape, order, descr = header["shape"], header["fortran_order"], header["descr"]
        if not isinstance(descr, str) or not isinstance(order, bool):
            raise ValueError("its dtype is not a plain one")
        if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"its shape is {shape!r}")
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise FileFormatError(f"{where}: the array's header is damaged ({error}).") from error
    return header, start + size


def _plain(content: bytes, start: int, shape: tuple[int, ...], descr: str, fortran: bool, where: str) -> np.ndarray:
    if not _DESCR.fullmatch(descr):
        raise FileFormatError(f"{where}: {descr!r} is no dtype of numbers.")
    dtype, count = np.dtype(descr), 1
    for n in shape:  # in Python's integers, which do not overflow
        count *= n
    if count * dtype.itemsize != len(content) - start:
        raise FileFormatError(
            f"{where}: {dtype} {shape} does not go with the {len(content) - start:,} bytes of data. Download it again."
        )
    flat = np.frombuffer(content, dtype, offset=start)
    return flat.reshape(shape, order="F" if fortran else "C").astype(dtype.newbyteorder("="))


# --- the machine ----------------------------------------------------------------------------------------
class _Name(NamedTuple):
    """Something that a pickle names: never looked up."""

    module: str
    name: str


class _Array:
    """The array that the pickle describes: rows come with its state."""

    rows: Rows | None = None


_ARRAY = {("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")}
_NAMES = {*_ARRAY, ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}
_DTYPE = _Name("numpy", "dtype")


class _Machine:
    """Walks through the instructions of a pickle that holds one array of lists of integers."""

    def __init__(self, content: bytes, start: int, where: str) -> None:
        self.content, self.start, self.where = content, start, where
        self.at = start
        self.stack: list[Any] = []
        self.marks: list[int] = []  # heights of the stack
        self.memo: dict[int, Any] = {}

    def run(self) -> Rows:
        """The lists.

        Raises:
            FileFormatError: the pickle is cut off or holds anything else.
        """
        try:
            return self._walk()
        except (IndexError, KeyError, struct.error, UnicodeDecodeError, TypeError, AttributeError) as error:
            raise self._wrong(f"it is damaged ({type(error).__name__}: {error})") from error

    def _wrong(self, what: str) -> FileFormatError:
        return FileFormatError(
            f"{self.where}: expected an array of lists of integers; at byte {self.at:,} {what}. "
            "Nothing was run. Get the published file."
        )

    def _walk(self) -> Rows:
        content, push = self.content, self.stack.append
        end, slow = len(content), _INSTRUCTIONS
        i = self.start
        while i < end:
            code = content[i]
            # Nearly all of the file is integers of one and two bytes.
            if code == 0x4D:  # BININT2
                push(content[i + 1] | content[i + 2] << 8)
                i += 3
            elif code == 0x4B:  # BININT1
                push(content[i + 1])
                i += 2
            elif code == 0x2E:  # STOP
                self.at = i
                return self._result(i + 1)
            else:
                self.at = i
                if code not in slow:
                    raise self._wrong(f"stands instruction {code:#04x}")
                self.at = i + 1
                slow[code](self)
                i = self.at
        self.at = i
        raise self._wrong("the data ends")

    def _result(self, end: int) -> Rows:
        array = self.stack.pop()
        if self.stack or end != len(self.content) or type(array) is not _Array or array.rows is None:
            raise self._wrong("the pickle ends and does not hold one array")
        total = 0
        for row in array.rows:
            if type(row) is not list or not {type(x) for x in row} <= {int}:
                raise self._wrong("an element is not a list of integers")
            total += len(row)
        if total > len(self.content) or len({id(row) for row in array.rows}) != len(array.rows):
            raise self._wrong("lists are shared")
        return array.rows

    # --- reading -----------------------------------------------------------------------------------------
    def take(self, count: int) -> bytes:
        """The next bytes."""
        found = self.content[self.at : self.at + count]
        if len(found) != count:
            raise self._wrong("the data ends")
        self.at += count
        return found

    def number(self, form: str) -> int:
        """The next integer."""
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def line(self) -> str:
        """Text up to the next newline."""
        end = self.content.find(b"\n", self.at, self.at + 200)
        if end < 0:
            raise self._wrong("a name has no end")
        found = self.take(end - self.at).decode("ascii")
        self.at += 1
        return found

    def marked(self) -> list[Any]:
        """What lies on the stack above the last mark."""
        place = self.marks.pop()
        found = self.stack[place:]
        del self.stack[place:]
        return found

    def pop(self, count: int) -> list[Any]:
        """The last values of the stack."""
        place = len(self.stack) - count
        if place < (self.marks[-1] if self.marks else 0):
            raise self._wrong("a value is missing")
        found = self.stack[place:]
        del self.stack[place:]
        return found

    # --- instructions --------------------------------------------------------------------------------------
    def name(self, module: Any, name: Any) -> None:
        """Put down a name, if it is one of those that describe an array."""
        if type(module) is not str or type(name) is not str:
            raise self._wrong("a name is missing")
        if (module, name) not in _NAMES:
            raise self._wrong(f"it asks for {module}.{name}")
        self.stack.append(_Name(module, name))

    def reduce(self) -> None:
        """A call: only the three that begin an array, a dtype and a byte string are understood, and none is made."""
        function, arguments = self.pop(2)
        if type(function) is not _Name or type(arguments) is not tuple:
            raise self._wrong("it calls something")
        if tuple(function) in _ARRAY and arguments[:1] == (_Name("numpy", "ndarray"),):
            self.stack.append(_Array())
        elif function == _DTYPE and arguments[:1] in (("O8",), ("O4",), ("O",)):
            self.stack.append(_DTYPE)
        elif function == _Name("_codecs", "encode") and arguments[1:] == ("latin1",):
            self.stack.append(arguments[0])
        else:
            raise self._wrong(f"it calls {function.module}.{function.name}")

    def build(self) -> None:
        """The state of a dtype, which says nothing more, or of the array: its rows."""
        target, state = self.pop(2)
        if target is _DTYPE:
            self.stack.append(_DTYPE)
        elif type(target) is _Array and target.rows is None and type(state) is tuple and len(state) == 5:
            _, shape, dtype, fortran, rows = state
            if dtype is not _DTYPE or type(rows) is not list or shape != (len(rows),) or fortran is not False:
                raise self._wrong("the shape of the array does not go with its rows")
            target.rows = rows
            self.stack.append(target)
        else:
            raise self._wrong("the state of something else is set")

    def append(self, values: list[Any]) -> None:
        """More elements for the list on the stack."""
        target = self.stack[-1]
        if type(target) is not list:
            raise self._wrong("elements are added to what is no list")
        target.extend(values)

    def remember(self, place: int) -> None:
        """Keep the last value in the memo."""
        self.memo[place] = self.stack[-1]

    def text(self, form: str, encoding: str) -> None:
        """A short string."""
        size = self.number(form)
        if size > 100:
            raise self._wrong(f"stands a string of {size:,} bytes")
        self.stack.append(self.take(size).decode(encoding))

    def long(self) -> None:
        """A Python integer of any size; words have small numbers."""
        size = self.number("<B")
        if size > 8:
            raise self._wrong(f"stands an integer of {size} bytes")
        self.stack.append(int.from_bytes(self.take(size), "little", signed=True))

    def protocol(self) -> None:
        """The pickle's version."""
        version = self.number("<B")
        if version > 5:
            raise self._wrong(f"it is of version {version}")

    def extend(self) -> None:
        """The elements above the mark go to the list below it."""
        self.append(self.marked())


_INSTRUCTIONS: dict[int, Callable[[_Machine], object]] = {
    0x80: _Machine.protocol,
    0x95: lambda m: m.take(8),  # FRAME
    ord("("): lambda m: m.marks.append(len(m.stack)),
    ord("]"): lambda m: m.stack.append([]),
    ord(")"): lambda m: m.stack.append(()),
    ord("N"): lambda m: m.stack.append(None),
    0x88: lambda m: m.stack.append(True),
    0x89: lambda m: m.stack.append(False),
    ord("J"): lambda m: m.stack.append(m.number("<i")),
    0x8A: _Machine.long,
    ord("U"): lambda m: m.text("<B", "latin-1"),
    ord("C"): lambda m: m.text("<B", "latin-1"),
    ord("T"): lambda m: m.text("<I", "latin-1"),
    ord("B"): lambda m: m.text("<I", "latin-1"),
    ord("X"): lambda m: m.text("<I", "utf-8"),
    0x8C: lambda m: m.text("<B", "utf-8"),
    ord("a"): lambda m: m.append(m.pop(1)),
    ord("e"): _Machine.extend,
    ord("t"): lambda m: m.stack.append(tuple(m.marked())),
    0x85: lambda m: m.stack.append(tuple(m.pop(1))),
    0x86: lambda m: m.stack.append(tuple(m.pop(2))),
    0x87: lambda m: m.stack.append(tuple(m.pop(3))),
    ord("c"): lambda m: m.name(m.line(), m.line()),
    0x93: lambda m: m.name(*m.pop(2)),
    ord("R"): _Machine.reduce,
    ord("b"): _Machine.build,
    ord("q"): lambda m: m.remember(m.number("<B")),
    ord("r"): lambda m: m.remember(m.number("<I")),
    0x94: lambda m: m.remember(len(m.memo)),
    ord("h"): lambda m: m.stack.append(m.memo[m.number("<B")]),
    ord("j"): lambda m: m.stack.append(m.memo[m.number("<I")]),
}
