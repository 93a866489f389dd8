"""Files made worse: bytes flipped, cut, doubled and inserted; and the same inside, with the sums around it right."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from typing import Any

from lamina.models import file_format
from lamina.tensorboard.reading import masked_checksum

NUMBERS = [0, 1, -1, 2, 3, 7, 255, 65536, 2**31 - 1, 2**31, 2**32, 2**63, 2**64, 10**30, 0.0, -0.5, 1e308, -1e-320]
STRINGS = ["", "a", "os.system", "lamina>Dense", "../../etc/passwd", "\x00", "é" * 50, "x" * 5000, "float99", "relu"]
BYTES = [b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"{", b"[" * 50, b'"', b"-", b"9" * 30, b"e", b","]


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    """A few changes anywhere."""
    out = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 4, 16])):
        at = chance.randrange(len(out) + 1) if chance.random() < 0.5 else chance.randrange(min(len(out), 64) + 1)
        kind = chance.randrange(7)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and at < len(out):
            out[at] = chance.randrange(256)
        elif kind == 2:
            out[at:at] = chance.choice(BYTES)
        elif kind == 3:
            del out[at : at + chance.choice([1, 2, 4, 8, 100])]
        elif kind == 4:
            piece = out[at : at + chance.choice([1, 4, 8, 40])]
            to = chance.randrange(len(out) + 1)
            out[to:to] = piece
        elif kind == 5:
            out = out[:at]
        else:
            block = chance.choice(BYTES)
            out[at : at + len(block)] = block
    return bytes(out)


def mutate_tree(tree: Any, chance: random.Random) -> Any:
    """One value of a tree of JSON changed: another number, string or type, gone, doubled, or wrapped."""
    places: list[tuple[Any, Any]] = []
    stack = [tree]
    while stack:
        item = stack.pop()
        for key, value in item.items() if isinstance(item, dict) else enumerate(item):
            places.append((item, key))
            if isinstance(value, dict | list):
                stack.append(value)
    if not places:
        return tree
    holder, key = chance.choice(places)
    old, kind = holder[key], chance.randrange(9)
    if kind == 0:
        holder[key] = chance.choice(NUMBERS)
    elif kind == 1:
        holder[key] = chance.choice(STRINGS)
    elif kind == 2:
        holder[key] = chance.choice([None, True, [], {}, [[]], {"class_name": "Dense", "config": {}}])
    elif kind == 3 and isinstance(holder, dict):
        del holder[key]
    elif kind == 4 and isinstance(holder, dict):
        holder[chance.choice(STRINGS) + str(key)] = old
    elif kind == 5 and isinstance(old, int | float) and not isinstance(old, bool):
        holder[key] = chance.choice([old + 1, old - 1, -old, old * 1000, old * 10**9, str(old), [old]])
    elif kind == 6:
        holder[key] = [old] * chance.choice([2, 3, 100])
    elif kind == 7:
        nested: Any = old
        for _ in range(chance.choice([1, 5, 50, 500])):
            nested = {"config": nested} if chance.random() < 0.5 else [nested]
        holder[key] = nested
    else:
        other, there = chance.choice(places)
        try:
            holder[key] = json.loads(json.dumps(other[there]))
        except (KeyError, IndexError, RecursionError):
            pass
    return tree


def mutate_header(data: bytes, chance: random.Random) -> bytes:
    """A ``.safetensors`` file with JSON in its header changed, and sums that fit, so that nobody stops at them."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata = header["__metadata__"]
    inner = chance.choice([None, "config", "state", "state", "config"])
    if inner in metadata:
        metadata[inner] = json.dumps(mutate_tree(json.loads(metadata[inner]), chance))
    else:
        mutate_tree(header, chance)
    if isinstance(header.get("__metadata__"), dict):
        header["__metadata__"].pop("header_crc32", None)
        header["__metadata__"]["header_crc32"] = str(file_format._header_checksum(header))
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def mutate_event(data: bytes, chance: random.Random) -> bytes:
    """An event file with changes inside of one record, and checksums that fit."""
    records, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        records.append(data[at + 12 : at + 12 + length])
        at += 16 + length
    place = chance.randrange(len(records))
    records[place] = mutate_bytes(records[place], chance)
    out = b""
    for record in records:
        length = struct.pack("<Q", len(record))
        sums = (struct.pack("<I", masked_checksum(part)) for part in (length, record))
        out += length + next(sums) + record + next(sums)
    return out


def mutate_archive(data: bytes, chance: random.Random) -> bytes:
    """A zip archive with one member changed, or under another name, and sums that fit."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    place = chance.randrange(len(members))
    name, content = members[place]
    kind = chance.randrange(10)
    if kind == 0:
        members[place] = chance.choice(["a", "../../etc/passwd", "config.json", "é" * 50]), content
    elif kind == 1:
        del members[place]
    elif kind < 7 and name.endswith(".json"):
        members[place] = name, json.dumps(mutate_tree(json.loads(content), chance)).encode()
    else:
        members[place] = name, mutate_bytes(content, chance)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()
