"""A program that reads an HDF5 file and writes what is in it to standard output; run by ``hdf5.py``.

The HDF5 library was not made for files of strangers: a damaged one can make it crash or turn in circles.  Here that
ends a process of its own, with bounds on its time and memory.  Nothing of Lamina is imported, so that it starts fast.

Usage: ``hdf5_child.py PATH MOST_BYTES SECONDS MEMORY FOLDER...``, where PATH ``-`` is standard input and h5py and NumPy
may be in the folders.
"""

from __future__ import annotations

import io
import json
import os
import sys
from typing import Any

DEEPEST = 60
MOST_ENTRIES = 300_000
MOST_TEXT = 64 << 20  # bytes of attributes and of arrays of texts


class RefusedError(Exception):
    """The file is not read; the message says why."""


class Reader:
    """What a file holds, as JSON and a list of arrays."""

    def __init__(self, most: int, size: int) -> None:
        self.most, self.size, self.total, self.text, self.entries = most, size, 0, 0, 0
        self.datasets: list[Any] = []
        self.above: list[Any] = []  # the groups around the one that is read

    def group(self, group: Any) -> dict[str, Any]:
        import h5py

        place = h5py.h5o.get_info(group.id).addr
        if place in self.above or len(self.above) > DEEPEST:
            raise RefusedError(f"the group {group.name!r} holds itself, or is nested more than {DEEPEST} levels deep")
        self.above.append(place)
        found: dict[str, Any] = {"attrs": self.attributes(group), "entries": {}}
        for name in group:
            self.entries += 1
            if self.entries > MOST_ENTRIES:
                raise RefusedError(f"there are more than {MOST_ENTRIES:,} groups and arrays")
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                found["entries"][name] = {"refused": f"is a {type(link).__name__}, and links are not followed"}
                continue
            entry = group[name]
            if isinstance(entry, h5py.Group):
                found["entries"][name] = self.group(entry)
            elif isinstance(entry, h5py.Dataset):
                found["entries"][name] = self.dataset(entry)
            else:
                found["entries"][name] = {"refused": "is neither a group nor an array"}
        self.above.pop()
        return found

    def dataset(self, data: Any) -> dict[str, Any]:
        if data.is_virtual or data.external:
            return {"refused": "has its data in another file (a virtual or external dataset)"}
        if data.shape is None or data.dtype.kind not in "biufSVO" or data.dtype.names or data.dtype.subdtype:
            return {"refused": f"holds values of a kind that is not read ({data.dtype})"}
        size = data.nbytes
        if size > self.most:
            return {"refused": f"would take {size:,} bytes, and the file has {self.size:,}"}
        self.total += size
        if self.total > self.most:
            raise RefusedError(f"its arrays would take {self.total:,} bytes, and the file has {self.size:,}")
        self.datasets.append(data)
        number = len(self.datasets) - 1
        kind = "texts" if data.dtype.kind == "O" else data.dtype.str
        return {"array": number, "dtype": kind, "shape": data.shape, "attrs": self.attributes(data)}

    def attributes(self, owner: Any) -> dict[str, Any]:
        return {name: self.plain(owner.attrs[name]) for name in owner.attrs}

    def plain(self, value: Any) -> Any:
        """An attribute as JSON: texts, numbers and lists of them."""
        if hasattr(value, "tolist"):
            value = value.tolist()
        if isinstance(value, list):
            return [self.plain(item) for item in value]
        if isinstance(value, bytes):
            value = value.decode("utf-8", "surrogateescape")
        if isinstance(value, str):
            self.text += len(value)
            if self.text > MOST_TEXT:
                raise RefusedError(f"its texts are longer than {MOST_TEXT:,} characters")
            return value
        return value if isinstance(value, bool | int | float) else None


def read(source: Any, most: int, size: int, bound: Any, out: Any) -> None:
    """Write what the file ``source`` holds to ``out``: the length of a header, the header, the arrays."""
    import h5py
    import numpy as np

    with h5py.File(source, "r") as file:
        reader = Reader(most, size)
        tree = reader.group(file)
        bound(3 * max((d.nbytes for d in reader.datasets), default=0))
        texts = {}
        for number, data in enumerate(reader.datasets):
            if data.dtype.kind == "O":
                texts[str(number)] = [reader.plain(item) for item in np.asarray(data).ravel()]
        header = json.dumps({"tree": tree, "texts": texts}).encode("utf-8", "surrogatepass")
        out.write(len(header).to_bytes(8, "little") + header)
        for data in reader.datasets:
            if data.dtype.kind != "O":
                array = np.ascontiguousarray(np.asarray(data))
                if array.nbytes != data.nbytes:
                    raise RefusedError(f"{data.name!r} is damaged")
                out.write(array.tobytes())


def main(path: str, most: int, seconds: int, memory: int) -> None:
    """Read one file within its bounds; what is wrong with it goes to standard error."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import h5py  # noqa: F401  (before the memory is counted)

    source = io.BytesIO(sys.stdin.buffer.read()) if path == "-" else path
    size = len(source.getvalue()) if isinstance(source, io.BytesIO) else os.path.getsize(path)

    def bound(more: int) -> None:
        try:
            import resource

            with open("/proc/self/statm") as file:
                pages = int(file.read().split()[0])
            limit = pages * os.sysconf("SC_PAGE_SIZE") + memory + more
            resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        except (ImportError, OSError, ValueError):  # not this kind of system: the parent's clock is left
            return

    bound(2 * size)
    try:
        read(source, most, size, bound, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os._exit(3)
    except BaseException as error:
        sys.stderr.write(f"{error}"[:2000] or type(error).__name__)
        sys.stderr.flush()
        os._exit(2)  # the library's own tidying up may not come to an end
    os._exit(0)


if __name__ == "__main__":
    sys.path += [folder for folder in sys.argv[5:] if folder not in sys.path]
    main(sys.argv[1], *(int(word) for word in sys.argv[2:5]))
