"""Files as data sets come in, for tests that write small ones."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile

import numpy as np


def idx(array: np.ndarray) -> bytes:
    """An array of bytes as a compressed IDX file, the format of MNIST."""
    head = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(head + array.tobytes(), 1)


def tar_bytes(members: dict[str, bytes]) -> bytes:
    """A compressed archive of these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()
