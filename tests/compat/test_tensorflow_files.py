"""``tf.train``'s checkpoints and ``tf.summary``'s events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.compat import tensorflow as tf
from lamina.core.errors import ArgumentError, FileFormatError


def parts() -> dict[str, Any]:
    net = tf.keras.Sequential([tf.keras.layers.Input((3,)), tf.keras.layers.Dense(2)])
    return {"step": tf.Variable(1), "net": net, "optimizer": tf.keras.optimizers.Adam(0.1)}


def train(step: tf.Variable, net: Any, optimizer: Any) -> None:
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(net(tf.ones([4, 3])) - 1.0))
    optimizer.apply_gradients(zip(tape.gradient(loss, net.trainable_variables), net.trainable_variables))
    step.assign_add(1)


def test_a_manager_keeps_the_newest_and_a_new_program_goes_on(tmp_path: Path) -> None:
    first = parts()
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(**first), tmp_path / "run", max_to_keep=3)
    assert manager.latest_checkpoint is None and manager.restore_or_initialize() is None
    for _ in range(12):
        train(**first)
        path = manager.save()
    assert path == str(tmp_path / "run" / "ckpt-12") == manager.latest_checkpoint
    assert [p.rsplit("-", 1)[1] for p in manager.checkpoints] == ["10", "11", "12"]
    assert len(list((tmp_path / "run").iterdir())) == 3

    second = parts()
    train(**second)  # so that the optimizer has its slots
    checkpoint = tf.train.Checkpoint(**second)
    checkpoint.restore(tf.train.latest_checkpoint(tmp_path / "run")).assert_consumed()
    assert int(second["step"]) == 13 and int(checkpoint.save_counter) == 12 and checkpoint.net is second["net"]
    for each in (first, second):
        train(**each)
    for x, y in zip(first["net"].get_weights(), second["net"].get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)  # the optimizer's slots came along
    checkpoint.restore(None).expect_partial()
    assert tf.train.latest_checkpoint(tmp_path / "nowhere") is None


def test_checkpoints_say_what_does_not_fit(tmp_path: Path) -> None:
    v = tf.Variable([1.0, 2.0])
    path = tf.train.Checkpoint(v=v).write(tmp_path / "one")
    with pytest.raises(FileFormatError, match=r"holds \['v'\], and this Checkpoint has \['w'\]"):
        tf.train.Checkpoint(w=v).restore(path)
    with pytest.raises(FileFormatError):
        tf.train.Checkpoint(v=tf.Variable([1.0])).restore(path)
    with pytest.raises(FileFormatError):
        tf.train.Checkpoint(v=v).restore(tmp_path / "absent")
    file = tmp_path / "one.safetensors"
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(FileFormatError):
        tf.train.Checkpoint(v=v).restore(path)
    with pytest.raises(ArgumentError, match="its state is not known"):
        tf.train.Checkpoint(f=print).write(path)


def test_summaries(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    assert not tf.summary.scalar("nobody listens", 1.0, step=0)
    writer = tf.summary.create_file_writer(tmp_path)
    with writer.as_default():
        for step in range(3):
            assert tf.summary.scalar("loss", tf.constant(0.5) / (step + 1), step=step)
        tf.summary.histogram("weights", tf.random.normal([100]), step=tf.constant(2))
        tf.summary.image("pictures", np.zeros((5, 4, 4, 1)), step=0)
        with pytest.raises(ArgumentError, match="set_step"):
            tf.summary.scalar("loss", 1.0)
        tf.summary.experimental.set_step(9)
        tf.summary.scalar("late", 2.0)
        tf.summary.text("note", "the first run")
        tf.summary.experimental.set_step(None)
    writer.close()
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()
    assert {"loss", "late", "weights", "pictures"} <= set(events.Tags()["tensors"])
    found = [(e.step, round(float(tensor_util.make_ndarray(e.tensor_proto)), 3)) for e in events.Tensors("loss")]
    assert found == [(0, 0.5), (1, 0.25), (2, 0.167)]
    assert [e.step for e in events.Tensors("late")] == [9] and [e.step for e in events.Tensors("weights")] == [2]
