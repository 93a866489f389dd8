"""``get_file``: a file from the network, kept in the cache, checked, and unpacked if wanted."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from os import PathLike, fspath
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from lamina.core.errors import ArgumentError, FileFormatError
from lamina.datasets.files import TIMEOUT, MissingDataError, cache_folder

_PIECE = 1 << 20


def get_file(
    fname: str | PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: Any = "auto",
    cache_dir: str | PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """The path of a file, downloaded unless it is there already.

    It is looked for in the folder that the environment variable ``LAMINA_DATA`` names, then in the cache, and is
    downloaded into the cache otherwise: beside its place, and renamed once it is whole and has the checksum.

    Args:
        fname: the name of the file; default that at the end of the address.  For archives without an ending, the name
            of the folder that they are unpacked to.
        origin: the address.
        untar: unpack a tar archive; ``extract`` does too.
        md5_hash: its MD5; ``file_hash`` is better.
        file_hash: its checksum, SHA-256 or MD5.
        cache_subdir: folder in the cache.
        hash_algorithm: ``"sha256"``, ``"md5"``, or ``"auto"``, which goes by the length.
        extract: unpack the archive, and return the folder.  Links, and files that would lie outside of the folder,
            are refused.
        archive_format: ``"tar"``, ``"zip"``, a list of them, or ``"auto"`` for either.
        cache_dir: the cache; default ``~/.cache/lamina``.
        force_download: download it even if it is there.

    Returns:
        The path of the file, or of the folder it was unpacked to.

    Raises:
        ArgumentError: there is no address or no name, or an unknown algorithm or format.
        MissingDataError: the file is not here and cannot be downloaded; it says what to put where.
        FileFormatError: the checksum is another, or the archive is damaged or would write outside of its folder.

    Example:
        >>> import pathlib, tempfile
        >>> source = pathlib.Path(tempfile.mkdtemp(), "notes.txt")
        >>> source.write_text("hello")
        5
        >>> path = get_file(origin=source.as_uri(), cache_dir=tempfile.mkdtemp())
        >>> pathlib.Path(path).read_text()
        'hello'
    """
    if not origin:
        raise ArgumentError("get_file: give origin, the address of the file.")
    name = fspath(fname) if fname else os.path.basename(urllib.parse.urlsplit(origin).path)
    if not name or name in (".", "..") or "/" in name or os.sep in name:
        raise ArgumentError(f"get_file: fname is a name without a folder, got {name!r}. cache_subdir is the folder.")
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    if hash_algorithm not in ("auto", "sha256", "md5"):
        raise ArgumentError(f"get_file: hash_algorithm is 'auto', 'sha256' or 'md5'; got {hash_algorithm!r}.")
    formats = _formats("tar" if untar else archive_format) if extract or untar else ()
    folder = (Path(cache_dir).expanduser() if cache_dir else cache_folder().parent) / cache_subdir
    unpacked, kept = folder / name, folder / name
    if formats:
        whole = bool(fname) and "." in name
        unpacked = folder / (f"{name[: name.find('.')]}_extracted" if whole else name)
        kept = folder / (name if whole else f"{name}_archive")
    path = None if force_download else _here(name, kept, file_hash, hash_algorithm)
    if path is None:
        path = _download(origin, kept, file_hash, hash_algorithm)
    if not formats:
        return str(path)
    _unpack(path, unpacked, formats)
    return str(unpacked)


def _formats(wanted: Any) -> tuple[str, ...]:
    found = ("tar", "zip") if wanted == "auto" else (wanted,) if isinstance(wanted, str) else tuple(wanted or ())
    if not found or any(f not in ("tar", "zip") for f in found):
        raise ArgumentError(f"get_file: archive_format is 'auto', 'tar', 'zip' or a list of them; got {wanted!r}.")
    return found


# --- downloading ----------------------------------------------------------------------------------------
def _matches(path: Path, wanted: str | None, algorithm: str) -> bool:
    if wanted is None:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, _hasher(wanted, algorithm)).hexdigest() == wanted.lower()


def _hasher(wanted: str, algorithm: str) -> Any:
    sha = algorithm == "sha256" or (algorithm == "auto" and len(wanted) == 64)
    return hashlib.sha256 if sha else lambda: hashlib.md5(usedforsecurity=False)


def _here(name: str, kept: Path, wanted: str | None, algorithm: str) -> Path | None:
    """The file in the folder ``LAMINA_DATA`` or in the cache, if its checksum is right."""
    named = os.environ.get("LAMINA_DATA")
    for path in ([Path(named).expanduser() / name] if named else []) + [kept]:
        if path.is_file() and _matches(path, wanted, algorithm):
            return path
    return None


def _download(origin: str, kept: Path, wanted: str | None, algorithm: str) -> Path:
    kept.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.write(f"Downloading {origin}\n")
    handle, temporary = tempfile.mkstemp(dir=kept.parent, prefix=kept.name, suffix=".part")
    part = Path(temporary)
    try:
        with os.fdopen(handle, "wb") as out, urllib.request.urlopen(origin, timeout=TIMEOUT) as response:
            shutil.copyfileobj(response, out, _PIECE)
            out.flush()
            os.fsync(out.fileno())
        if not _matches(part, wanted, algorithm):
            raise FileFormatError(
                f"Incomplete or corrupted file: {origin} gave one without the checksum {wanted}. It was thrown away."
            )
        os.replace(part, kept)
    except OSError as error:
        reason = error if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", error)
        raise MissingDataError(
            f"{kept.name} is not on this machine and could not be downloaded ({reason}).\n"
            f"To use it offline, fetch {origin} on another machine and put it at {kept}, "
            "or into the folder that the environment variable LAMINA_DATA names."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return kept


# --- unpacking --------------------------------------------------------------------------------------------
def _unpack(path: Path, target: Path, formats: tuple[str, ...]) -> None:
    """Unpack beside the target, then put it in its place: the folder is whole or not there."""
    if target.is_dir() and target.stat().st_mtime_ns >= path.stat().st_mtime_ns:
        return
    fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=f"{target.name}.part-"))
    try:
        for name, stream in _members(path, formats):
            place = fresh / _inside(name, path)
            if stream is None:
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with stream, place.open("wb") as out:
                shutil.copyfileobj(stream, out, _PIECE)
        fresh.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        os.replace(fresh, target)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise FileFormatError(f"{path}: the archive is damaged ({error}). Download it again.") from error
    except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        raise FileFormatError(f"{path}: two members of the archive want one place ({error}).") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _inside(name: str, path: Path) -> Path:
    """The member's place below the folder.

    Raises:
        FileFormatError: it lies elsewhere.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name:
        raise FileFormatError(f"{path}: it would write to {name!r}, outside of its folder. It was not unpacked.")
    return Path(*parts)


def _members(path: Path, formats: tuple[str, ...]) -> Iterator[tuple[str, BinaryIO | None]]:
    """Names and contents of the files in an archive; folders have no content."""
    if "zip" in formats and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                yield info.filename, None if info.is_dir() else archive.open(info)  # type: ignore[misc]
    elif "tar" in formats and tarfile.is_tarfile(path):
        with tarfile.open(path) as tar:
            for member in tar:
                if not (member.isreg() or member.isdir()):
                    raise FileFormatError(f"{path}: {member.name!r} is a link or a device. It was not unpacked.")
                if member.name not in (".", "./"):
                    yield member.name, None if member.isdir() else tar.extractfile(member)  # type: ignore[misc]
    else:
        raise FileFormatError(f"{path} is no archive of the format {' or '.join(formats)}.")
