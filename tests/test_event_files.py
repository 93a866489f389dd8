"""Event files read by Lamina itself: what was written, and what TensorBoard's reader finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.core.errors import FileFormatError
from lamina.tensorboard import read_events, read_scalars
from lamina.tensorboard.reading import _fields, _tensor, masked_checksum

pytest.importorskip("tensorboard", reason="event files are written with the extra 'tensorboard'")
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_ndarray, make_tensor_proto

from lamina.tensorboard import SummaryWriter


def written(folder: Path) -> Path:
    """An event file with something of every kind."""
    with SummaryWriter(folder) as writer:
        for step in (-1, 0, 3, 2**40):
            writer.add_scalar("loss", 1 / (2 + step % 7), step, walltime=1e9 + 0.25)
        writer.add_histogram("weights", np.arange(30.0), 1)
        writer.add_text("note", "the *first* run: ÄÖ", 2)
        writer.add_image("picture", np.linspace(0, 1, 48).reshape(4, 4, 3), 3)
        writer.add_graph(lamina.Sequential([lamina.Input((2,)), lamina.layers.Dense(1)]))
    [path] = folder.glob("*tfevents*")
    return path


def test_what_tensorboards_reader_finds(tmp_path: Path) -> None:
    path = written(tmp_path)
    expected = [(e, v) for e in EventFileLoader(str(path)).Load() for v in e.summary.value]
    expected = [(e, v) for e, v in expected if v.metadata.plugin_data.plugin_name != "graphs"]  # no summary in the file
    found = list(read_events(path))
    assert len(found) == len(expected) >= 7
    for ours, (event, value) in zip(found, expected, strict=True):
        assert (ours.tag, ours.step, ours.wall_time) == (value.tag, event.step, event.wall_time)
        assert ours.plugin == value.metadata.plugin_data.plugin_name
        theirs = make_ndarray(value.tensor)
        assert ours.value.dtype == theirs.dtype and np.array_equal(ours.value, theirs)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool", "float16"])
@pytest.mark.parametrize("values", [[3], [[1, 2], [0, 4]], [5] * 8, [[[]]]])
def test_tensors(dtype: str, values: Any) -> None:
    array = np.array(values, dtype)
    assert np.array_equal(_tensor(make_tensor_proto(array).SerializeToString()), array)
    message = make_tensor_proto(array)  # and value by value, as older writers do
    field = {"float32": "float_val", "float64": "double_val", "int64": "int64_val", "bool": "bool_val"}.get(
        dtype, "int_val"
    )
    if dtype != "float16":
        message.ClearField("tensor_content")
        getattr(message, field)[:] = array.ravel().tolist()
        assert np.array_equal(_tensor(message.SerializeToString()), array)


def test_values_of_the_older_form_and_of_several_files(tmp_path: Path) -> None:
    for name, steps in (("a.tfevents.1", (0, 2)), ("b.tfevents.2", (1, 2))):
        with open(tmp_path / name, "wb") as file:
            records = RecordWriter(file)
            for step in steps:
                value = summary_pb2.Summary.Value(tag="loss", simple_value=step + ord(name[0]))
                summary = summary_pb2.Summary(value=[value])
                records.write(event_pb2.Event(step=step, wall_time=1.0, summary=summary).SerializeToString())
            records.flush()
    steps, values = read_scalars(tmp_path)["loss"]
    assert steps.tolist() == [0, 1, 2] and values.tolist() == [97, 99, 100]


def test_checksums_are_those_of_records() -> None:
    assert masked_checksum(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF
    for data in (b"", b"\x00", bytes(range(256)) * 3):
        assert masked_checksum(data) == masked_crc32c(data)


def test_a_record_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    data = written(tmp_path).read_bytes()
    whole = len(list(read_events(next(tmp_path.glob("*tfevents*")))))
    for cut in (1, 4, 20, len(data) // 2):
        (tmp_path / "cut").write_bytes(data[:-cut])
        assert len(list(read_events(tmp_path / "cut"))) <= whole


def test_damage_is_told(tmp_path: Path) -> None:
    data = bytearray(written(tmp_path).read_bytes())
    data[len(data) // 3] ^= 1
    (tmp_path / "damaged").write_bytes(data)
    with pytest.raises(FileFormatError, match=r"damaged.* at byte|at byte .* damaged"):
        list(read_events(tmp_path / "damaged"))
    (tmp_path / "other").write_bytes(b"a text file, longer than a header")
    with pytest.raises(FileFormatError, match="is no event file"):
        list(read_events(tmp_path / "other"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileFormatError, match="holds no event file"):
        read_scalars(tmp_path / "empty")
    with pytest.raises(ValueError, match="too many bytes"):
        list(_fields(b"\x08" + b"\xff" * 11))
