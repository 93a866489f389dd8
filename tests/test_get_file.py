"""``get_file``: downloads that are whole or not there, checksums, and archives that stay in their folder."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from lamina.core.errors import ArgumentError, FileFormatError
from lamina.datasets.files import MissingDataError
from lamina.utils import get_file


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LAMINA_DATA", raising=False)
    return tmp_path / "cache" / "lamina"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_bytes(b"some words")
    return path


def tar_bytes(members: dict[str, bytes | None], mode: str = "w:gz", link: str | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.type = len(content or b""), tarfile.REGTYPE if content is not None else tarfile.DIRTYPE
            tar.addfile(info, io.BytesIO(content or b""))
        if link:
            info = tarfile.TarInfo("link")
            info.type, info.linkname = tarfile.SYMTYPE, link
            tar.addfile(info)
    return out.getvalue()


def zip_bytes(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def test_a_file_is_fetched_once(cache: Path, source: Path, tmp_path: Path) -> None:
    path = get_file(origin=source.as_uri())
    assert path == str(cache / "datasets" / "words.txt") and Path(path).read_bytes() == b"some words"
    source.write_bytes(b"others")
    assert Path(get_file(origin=source.as_uri())).read_bytes() == b"some words"
    assert Path(get_file(origin=source.as_uri(), force_download=True)).read_bytes() == b"others"
    other = get_file("name.bin", source.as_uri(), cache_dir=tmp_path / "own", cache_subdir="texts")
    assert other == str(tmp_path / "own" / "texts" / "name.bin")
    assert sorted(os.listdir(cache / "datasets")) == ["words.txt"]  # nothing half-done stays


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_checksums(cache: Path, source: Path, kind: str) -> None:
    digest = hashlib.new(kind, b"some words").hexdigest()
    path = get_file(origin=source.as_uri(), file_hash=digest)
    assert get_file(origin=source.as_uri(), file_hash=digest.upper(), hash_algorithm=kind) == path
    Path(path).write_bytes(b"damaged")
    assert Path(get_file(origin=source.as_uri(), file_hash=digest)).read_bytes() == b"some words"  # fetched again
    source.write_bytes(b"tampered with")
    with pytest.raises(FileFormatError, match="corrupted file.* without the checksum"):
        get_file("new.txt", source.as_uri(), file_hash=digest)
    assert not (cache / "datasets" / "new.txt").exists()
    if kind == "md5":
        assert get_file(origin=source.as_uri(), md5_hash=digest) == path


def test_the_users_folder_comes_first(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_bytes(b"mine")
    monkeypatch.setenv("LAMINA_DATA", str(tmp_path))
    assert get_file("here.txt", "file:///nowhere/here.txt") == str(tmp_path / "here.txt")
    with pytest.raises(MissingDataError, match="LAMINA_DATA") as caught:
        get_file(origin="file:///nowhere/absent.txt")
    assert str(cache / "datasets" / "absent.txt") in str(caught.value) and "file:///nowhere" in str(caught.value)
    assert os.listdir(cache / "datasets") == []


@pytest.mark.parametrize("fname", [None, "set", "set.tar.gz"])
def test_archives(cache: Path, tmp_path: Path, fname: str | None) -> None:
    members = {"top": None, "top/a.txt": b"A", "top/deep/b.txt": b"B"}
    (tmp_path / "set.tgz").write_bytes(tar_bytes(members))
    found = Path(get_file(fname, (tmp_path / "set.tgz").as_uri(), extract=True))
    assert found.name == {None: "set.tgz", "set": "set", "set.tar.gz": "set_extracted"}[fname]
    assert (found / "top/a.txt").read_bytes() == b"A" and (found / "top/deep/b.txt").read_bytes() == b"B"
    stamp = (found / "top/a.txt").stat().st_mtime_ns
    assert get_file(fname, (tmp_path / "set.tgz").as_uri(), extract=True) == str(found)
    assert (found / "top/a.txt").stat().st_mtime_ns == stamp  # not unpacked again
    assert not [name for name in os.listdir(cache / "datasets") if ".part" in name]


def test_zip_and_formats(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    path.write_bytes(zip_bytes({"a/b.txt": b"B"}))
    assert (Path(get_file("z", path.as_uri(), extract=True, archive_format="zip")) / "a/b.txt").read_bytes() == b"B"
    with pytest.raises(FileFormatError, match="no archive of the format tar"):
        get_file("y", path.as_uri(), untar=True)
    for wrong in ("rar", [], None):
        with pytest.raises(ArgumentError, match="archive_format"):
            get_file("x", path.as_uri(), extract=True, archive_format=wrong)


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "a/../../out.txt", "..\\out.txt", "C:/out.txt"])
def test_nothing_is_written_outside(cache: Path, tmp_path: Path, name: str) -> None:
    members = {"good.txt": b"1", name: b"evil"}
    for i, content in enumerate((tar_bytes({**members}), zip_bytes(members))):
        (tmp_path / f"s{i}").write_bytes(content)
        with pytest.raises(FileFormatError, match="outside of its folder"):
            get_file(f"set{i}", (tmp_path / f"s{i}").as_uri(), extract=True)
        assert not list(tmp_path.rglob("out.txt")) and not (cache / "datasets" / f"set{i}").exists()


def test_links_and_damage(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "set.tgz"
    good = tar_bytes({"a.txt": b"A" * 5000})
    for i, (content, message) in enumerate((
        (tar_bytes({"a": b"1"}, link="/etc/passwd"), "link or a device"),
        (good[: len(good) // 2], "damaged|no archive"),
        (b"<html>", "no archive"), (b"", "no archive"),
        (tar_bytes({"a": b"1", "a/b": b"2"}), "one place"),
    )):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=message):
            get_file(f"n{i}", path.as_uri(), extract=True)
        assert not (cache / "datasets" / f"n{i}").exists()


def test_arguments(cache: Path) -> None:
    for arguments, message in (
        ({}, "origin"), ({"origin": "https://host/"}, "fname"), ({"fname": "a/b", "origin": "file:///x"}, "folder"),
        ({"fname": "..", "origin": "file:///x"}, "folder"),
        ({"fname": "a", "origin": "file:///x", "hash_algorithm": "crc"}, "hash_algorithm"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=message):
            get_file(**arguments)  # type: ignore[arg-type]
