"""The cache of compiled objects on disk, one folder per user.

An entry is one file: a header line, the SHA-256 of the content, the content.  Entries are written
to a temporary file and renamed, so that readers and several processes never see half of one.
Nothing here ever fails a compilation: a folder that cannot be written, a full disk or a damaged
entry only means that the object is compiled again.

The environment variable ``LAMINA_CACHE`` names another folder, or is ``off``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from pathlib import Path

HEADER = b"lamina object 1\n"
SUFFIX = ".obj"
DIGEST_BYTES = hashlib.sha256().digest_size
LIMIT_BYTES = 512 << 20
# The folder is only measured once per so many written bytes: listing it costs more than a write.
PRUNE_AFTER_BYTES = 16 << 20
STALE_TEMPORARY_SECONDS = 3600.0
KEY = re.compile(r"[0-9a-f]{64}\Z")


def make_key(*parts: str | bytes) -> str:
    """SHA-256 over the parts, each with its length, as a hexadecimal string.

    Callers pass everything that the object depends on: versions, the target, the text.

    >>> make_key("a", "bc") == make_key("ab", "c")
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def default_folder() -> Path | None:
    """Where objects are kept, or None where ``LAMINA_CACHE`` is ``off`` or there is no home folder."""
    chosen = os.environ.get("LAMINA_CACHE", "")
    if chosen.strip().lower() in ("off", "0", "none", "no"):
        return None
    try:
        if chosen:
            return Path(chosen).expanduser()
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        return Path(base).expanduser() / "lamina" / "objects"
    except RuntimeError:  # no home folder
        return None


class ObjectCache:
    """Compiled objects by key.

    Args:
        folder: where the entries lie; None keeps nothing.
        limit_bytes: the least recently used entries are removed beyond this size.
    """

    def __init__(self, folder: Path | None, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._unmeasured = PRUNE_AFTER_BYTES  # so that the first write of a process measures the folder

    def _path(self, key: str) -> Path:
        if not KEY.match(key):
            raise ValueError(f"A cache key is 64 hexadecimal digits (see make_key), got {key!r}.")
        assert self.folder is not None
        return self.folder / (key + SUFFIX)

    def get(self, key: str) -> bytes | None:
        """The object of this key, or None.  A damaged entry is removed."""
        if self.folder is None:
            return None
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                if hasattr(os, "getuid") and os.fstat(file.fileno()).st_uid != os.getuid():
                    return None  # machine code of somebody else is not run
                data = file.read()
        except OSError:
            return None
        start = len(HEADER) + DIGEST_BYTES
        content = data[start:]
        # The key goes into the digest, so that an entry under another's name is not taken either.
        if data[: len(HEADER)] != HEADER or data[len(HEADER) : start] != _digest(key, content):
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # "used now", for the pruning
        return content

    def put(self, key: str, content: bytes) -> bool:
        """Keep an object.  Returns whether it could be written."""
        if self.folder is None:
            return False
        path = self._path(key)
        temporary: str | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, temporary = tempfile.mkstemp(prefix="new-", suffix=".tmp", dir=self.folder)
            with open(handle, "wb") as file:
                file.write(HEADER + _digest(key, content))
                file.write(content)
            os.replace(temporary, path)
        except OSError:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
            return False
        self._unmeasured += len(content)
        if self._unmeasured >= min(PRUNE_AFTER_BYTES, self.limit_bytes // 4):
            self._unmeasured = 0
            self.prune()
        return True

    def prune(self) -> None:
        """Remove the least recently used entries beyond the limit, and temporary files left by a crash."""
        if self.folder is None:
            return
        entries: list[tuple[float, int, str]] = []
        temporaries: list[tuple[float, str]] = []
        try:
            with os.scandir(self.folder) as files:
                for file in files:
                    with contextlib.suppress(OSError):
                        status = file.stat(follow_symlinks=False)
                        if KEY.match(file.name.removesuffix(SUFFIX)) and file.name.endswith(SUFFIX):
                            entries.append((status.st_mtime, status.st_size, file.path))
                        elif file.name.startswith("new-") and file.name.endswith(".tmp"):
                            temporaries.append((status.st_mtime, file.path))
        except OSError:
            return
        newest = max((time for time, _, _ in entries), default=0.0)
        for time, path in temporaries:
            if time < newest - STALE_TEMPORARY_SECONDS:
                with contextlib.suppress(OSError):
                    os.unlink(path)
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self.limit_bytes:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= size


def _digest(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + content).digest()


_default: ObjectCache | None = None


def object_cache() -> ObjectCache:
    """The cache of this user, as ``LAMINA_CACHE`` says now."""
    global _default
    folder = default_folder()
    if _default is None or _default.folder != folder:
        _default = ObjectCache(folder)
    return _default
