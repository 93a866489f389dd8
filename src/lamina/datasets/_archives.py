"""Data sets that are published as one ``.tar.gz``: its files, from the unpacked folder or from the archive."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from lamina.core.errors import FileFormatError
from lamina.datasets.files import RemoteFile, data_folders, find_files


def read_members(
    dataset: str, archive: RemoteFile, mirrors: Sequence[str], members: Sequence[str], in_root: bool = False
) -> list[tuple[str, bytes]]:
    """Where each member was found, for messages, and what it holds.

    Unpacked files in the folder that ``LAMINA_DATA`` names come first (in the data set's subfolder, in a
    subfolder named as in the archive, and with ``in_root`` directly in it), then the archive there, in the
    cache, or from the network.  Nothing is ever unpacked to disk.

    Args:
        dataset: name of the data set.
        archive: the published archive.
        mirrors: addresses of folders that hold it.
        members: names of the wanted files in the archive, with their folder: ``"folder/file"``.
        in_root: whether files directly in ``LAMINA_DATA`` count too.

    Raises:
        MissingDataError: nothing is here and no mirror could be reached.
        FileFormatError: the archive is damaged or lacks a member.
    """
    unpacked = [_unpacked(dataset, member, in_root) for member in members]
    if all(unpacked):
        return [(str(path), path.read_bytes()) for path in unpacked if path is not None]
    (path,) = find_files(dataset, [archive], mirrors, in_root)
    found = []
    try:
        content = gzip.decompress(path.read_bytes())  # all of it: the checksum stands at the end
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            for member in members:
                stream = tar.extractfile(member)
                if stream is None:
                    raise KeyError(member)
                found.append((f"{path}: {member}", stream.read()))
    except KeyError as error:
        raise FileFormatError(f"{path} has no file {error.args[0]!r}: it is not the published archive.") from error
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise FileFormatError(f"{path}: the archive is damaged ({error}). Download it again.") from error
    return found


def _unpacked(dataset: str, member: str, in_root: bool) -> Path | None:
    name = member.rsplit("/", 1)[-1]
    for folder in data_folders(dataset, in_root):
        for path in (folder / member, folder / name):
            if path.is_file():
                return path
    return None
