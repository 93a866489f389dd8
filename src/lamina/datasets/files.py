"""Finding the files of a data set: the user's folder first, then the cache, then the network."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lamina.core.errors import FileFormatError, LaminaError

TIMEOUT = 30.0  # seconds without an answer


class MissingDataError(LaminaError, FileNotFoundError):
    """A data set's files are not on this machine and cannot be downloaded."""


class RemoteFile(NamedTuple):
    """One published file: its name, its size in bytes and its SHA-256 (or MD5, where only that is published).

    ``None`` for a size or a checksum that is not published.
    """

    name: str
    size: int | None
    sha256: str | None

    def hasher(self) -> Any:
        """What computes the checksum of this kind."""
        return hashlib.md5(usedforsecurity=False) if self.sha256 and len(self.sha256) == 32 else hashlib.sha256()


def cache_folder() -> Path:
    """Where downloads are kept: ``$XDG_CACHE_HOME/lamina/datasets``, by default ``~/.cache/lamina/datasets``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lamina" / "datasets"


def find_files(dataset: str, files: Sequence[RemoteFile], mirrors: Sequence[str], in_root: bool = False) -> list[Path]:
    """Paths of a data set's files, downloaded if need be.

    Files in the folder that ``LAMINA_DATA`` names are taken as they are.  Downloaded ones must have
    the published checksum, when they arrive and whenever they are used again.

    Args:
        dataset: name of the data set; also that of its folder in ``LAMINA_DATA`` and in the cache.
        files: the files wanted.
        mirrors: addresses of folders that hold them, tried in order.
        in_root: whether files directly in ``LAMINA_DATA`` count too.

    Raises:
        MissingDataError: a file is not here and no mirror could be reached.
        FileFormatError: every mirror gave something else than the published file.
    """
    found: dict[str, Path] = {}
    missing: list[RemoteFile] = []
    for file in files:
        path = _in_data_folder(dataset, file, in_root) or _in_cache(dataset, file)
        if path is None:
            missing.append(file)
        else:
            found[file.name] = path
    for done, file in enumerate(missing):
        try:
            found[file.name] = _download(dataset, file, mirrors)
        except OSError as error:
            # The message says why; sixty lines of the HTTP client's above it would say nothing more.
            raise MissingDataError(_how_to_help(dataset, missing[done:], found, mirrors, in_root, error)) from None
    return [found[file.name] for file in files]


def data_folders(dataset: str, in_root: bool) -> list[Path]:
    """Folders of the user's to look in: the data set's own in ``LAMINA_DATA``, and with ``in_root`` that itself."""
    named = os.environ.get("LAMINA_DATA")
    if not named:
        return []
    folder = Path(named).expanduser()
    return [folder / dataset, folder] if in_root else [folder / dataset]


def _in_data_folder(dataset: str, file: RemoteFile, in_root: bool) -> Path | None:
    for folder in data_folders(dataset, in_root):
        for name in (file.name, file.name.removesuffix(".gz")):
            if (folder / name).is_file():
                return folder / name
    return None


def _in_cache(dataset: str, file: RemoteFile) -> Path | None:
    path = cache_folder() / dataset / file.name
    if not path.is_file():
        return None
    if file.size is None or path.stat().st_size == file.size:
        with path.open("rb") as content:
            if file.sha256 is None or hashlib.file_digest(content, file.hasher).hexdigest() == file.sha256:
                return path
    return None  # damaged since: it will be downloaded over


def _download(dataset: str, file: RemoteFile, mirrors: Sequence[str]) -> Path:
    """Fetch one file into the cache, under its name only once it is whole and checked."""
    folder = cache_folder() / dataset
    folder.mkdir(parents=True, exist_ok=True)
    last: OSError | FileFormatError = OSError("no address is known for it")
    for mirror in mirrors:
        address = mirror.rstrip("/") + "/" + file.name
        size = "" if file.size is None else f" ({file.size / 1e6:.1f} MB)"
        sys.stderr.write(f"Downloading {address}{size}\n")
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=file.name, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as out:
                digest = _copy(address, out, file)
                out.flush()
                os.fsync(out.fileno())
            if file.sha256 is not None and digest != file.sha256:
                raise FileFormatError(
                    f"{address} gave a file with {file.hasher().name.upper()} {digest}; "
                    f"the published file has {file.sha256}. "
                    "It was thrown away."
                )
            os.replace(temporary, folder / file.name)
            return folder / file.name
        except (OSError, FileFormatError) as error:
            last = error
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)
    raise last


def _copy(address: str, out: object, file: RemoteFile) -> str:
    digest = file.hasher()
    total = 0
    with urllib.request.urlopen(address, timeout=TIMEOUT) as response:
        announced = response.headers.get("Content-Length")
        while piece := response.read(1 << 16):
            total += len(piece)
            if file.size is not None and total > file.size:
                raise FileFormatError(f"{address} is longer than the {file.size:,} bytes that were published.")
            digest.update(piece)
            out.write(piece)  # type: ignore[attr-defined]
    if announced is not None and total < int(announced):
        raise OSError(f"{address} broke off after {total:,} of {int(announced):,} bytes")
    return str(digest.hexdigest())


def _how_to_help(
    dataset: str,
    missing: Sequence[RemoteFile],
    found: dict[str, Path],
    mirrors: Sequence[str],
    in_root: bool,
    error: OSError,
) -> str:
    reason = error if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", error)
    folders = [str(f) for f in data_folders(dataset, in_root)]
    lines = [f"What belongs to {dataset!r} is not complete on this machine and could not be downloaded ({reason})."]
    lines.append("Missing: " + ", ".join(file.name for file in missing) + ".")
    if found:
        lines.append("Found: " + ", ".join(str(path) for path in found.values()) + ".")
    lines.append("To use it offline, fetch the missing files on another machine from " + " or ".join(mirrors))
    if folders:
        lines.append("and put them into " + " or ".join(folders) + ".")
    else:
        lines.append(f"and put them into FOLDER/{dataset}, with the environment variable LAMINA_DATA set to FOLDER.")
    return "\n".join(lines)
