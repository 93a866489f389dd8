from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from lamina.backends.native import cache as cache_module
from lamina.backends.native.cache import ObjectCache, default_folder, make_key, object_cache

KEY = make_key("one")


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_round_trip(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path / "deep" / "folder")
    assert cache.get(KEY) is None
    assert cache.put(KEY, b"content")
    assert cache.get(KEY) == b"content"
    assert ObjectCache(tmp_path / "deep" / "folder").get(KEY) == b"content"
    assert cache.get(make_key("two")) is None


def test_keys_separate_their_parts() -> None:
    assert len({make_key("a", "bc"), make_key("ab", "c"), make_key("abc"), make_key(b"abc", "")}) == 4
    assert make_key("a") == make_key(b"a")


def test_key_must_be_a_digest(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        ObjectCache(tmp_path).get("../../etc/passwd")


@pytest.mark.parametrize("position", [0, 20, -1])
def test_damage_is_noticed_and_removed(tmp_path: Path, position: int) -> None:
    cache = ObjectCache(tmp_path)
    cache.put(KEY, b"machine code" * 10)
    path = only_file(tmp_path)
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    assert cache.get(KEY) is None
    assert not path.exists()
    assert cache.put(KEY, b"again")
    assert cache.get(KEY) == b"again"


@pytest.mark.parametrize("keep", [0, 5, 30, 60])
def test_truncation_is_noticed(tmp_path: Path, keep: int) -> None:
    cache = ObjectCache(tmp_path)
    cache.put(KEY, b"machine code" * 10)
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    assert cache.get(KEY) is None


def test_entry_under_another_key_is_not_taken(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path)
    cache.put(KEY, b"content")
    other = make_key("other")
    only_file(tmp_path).rename(tmp_path / (other + cache_module.SUFFIX))
    assert cache.get(other) is None


def test_unwritable_places_only_lose_the_entry(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    cache = ObjectCache(file)
    assert not cache.put(KEY, b"content")
    assert cache.get(KEY) is None
    cache.prune()
    assert file.read_text() == "not a folder"


def test_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert not ObjectCache(tmp_path).put(KEY, b"content")
    assert list(tmp_path.iterdir()) == []


def test_no_folder_keeps_nothing() -> None:
    cache = ObjectCache(None)
    assert not cache.put(KEY, b"content")
    assert cache.get(KEY) is None
    cache.prune()


def test_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, limit_bytes=4500)
    keys = [make_key(str(i)) for i in range(4)]
    for age, key in enumerate(keys):
        cache.put(key, bytes(1000))
        path = tmp_path / (key + cache_module.SUFFIX)
        os.utime(path, (1e9 + age, 1e9 + age))
    assert cache.get(keys[0]) is not None  # now the most recently used
    cache.put(make_key("new"), bytes(1000))
    cache.prune()
    assert cache.get(keys[1]) is None
    assert [cache.get(key) is not None for key in (keys[0], keys[2], keys[3], make_key("new"))] == [True] * 4


def test_pruning_happens_by_itself_and_spares_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    cache = ObjectCache(tmp_path, limit_bytes=20_000)
    for i in range(50):
        cache.put(make_key(str(i)), bytes(1000))
    total = sum(path.stat().st_size for path in tmp_path.glob("*.obj"))
    assert 10_000 < total < 30_000
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_stale_temporaries_are_removed(tmp_path: Path) -> None:
    stale, fresh = tmp_path / "new-a.tmp", tmp_path / "new-b.tmp"
    stale.write_bytes(b"")
    fresh.write_bytes(b"")
    os.utime(stale, (1e9, 1e9))
    cache = ObjectCache(tmp_path)
    cache.put(KEY, b"content")
    cache.prune()
    assert not stale.exists() and fresh.exists()


def test_many_writers_and_readers(tmp_path: Path) -> None:
    keys = [make_key(str(i)) for i in range(5)]
    wrong: list[object] = []

    def work() -> None:
        cache = ObjectCache(tmp_path, limit_bytes=3000)
        for i in range(100):
            key = keys[i % 5]
            cache.put(key, key.encode() * 10)
            found = cache.get(key)
            if found not in (None, key.encode() * 10):
                wrong.append(found)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert not list(tmp_path.glob("*.tmp"))


def test_folder_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path))
    assert default_folder() == tmp_path
    assert object_cache() is object_cache()
    monkeypatch.setenv("LAMINA_CACHE", "off")
    assert default_folder() is None
    assert object_cache().folder is None
    monkeypatch.delenv("LAMINA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "lamina" / "objects"
