"""Event files, read back with TensorBoard's own reader."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, ShapeError

pytest.importorskip("tensorboard", reason="event files need the extra 'tensorboard'")

from lamina.callbacks import TensorBoard
from lamina.tensorboard import SummaryWriter, traces

X = np.linspace(-1, 1, 60, dtype=np.float32).reshape(20, 3)
Y = (X.sum(1, keepdims=True) > 0).astype(np.float32)


def read(folder: Path | str) -> Any:
    """TensorBoard's reader of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"tensors": 0, "scalars": 0}).Reload()


def tags(folder: Path | str, plugin: str) -> set[str]:
    return set(read(folder).summary_metadata and [
        tag for tag, m in read(folder).summary_metadata.items() if m.plugin_data.plugin_name == plugin
    ])  # fmt: skip


def values(folder: Path | str, tag: str) -> list[tuple[int, np.ndarray]]:
    from tensorboard.util.tensor_util import make_ndarray

    return [(e.step, make_ndarray(e.tensor_proto)) for e in read(folder).Tensors(tag)]


def network() -> lamina.Model:
    return lamina.Sequential(
        [layers.Input((3,)), layers.Dense(4, "relu", name="hidden"), layers.Dense(1, "sigmoid", name="out")]
    )


# --- the writer -----------------------------------------------------------------------------------
def test_scalars(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        for step, value in enumerate((1.5, lamina.ones(()), np.float64(0.25), np.nan)):
            writer.add_scalar("loss", value, step)
        writer.add_scalars("both", {"a": 1, "b": 2}, 3)
        with pytest.raises(ShapeError, match="one number"):
            writer.add_scalar("loss", [1.0, 2.0])
    found = values(tmp_path, "loss")
    assert [step for step, _ in found] == [0, 1, 2, 3]
    assert np.array_equal([float(v) for _, v in found], [1.5, 1.0, 0.25, np.nan], equal_nan=True)
    assert values(tmp_path / "both_b", "both") == [(3, 2.0)]


def test_histograms(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=(50, 20))
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("normal", data, 7, bins=10)
        writer.add_histogram("constant", np.full(5, 3.0))
        writer.add_histogram("broken", [np.nan, np.inf, 1.0, 2.0])
        writer.add_histogram("empty", np.zeros((0, 2)))
        with pytest.raises(ArgumentError, match="bins"):
            writer.add_histogram("normal", data, bins=0)
    [(step, rows)] = values(tmp_path, "normal")
    counts, edges = np.histogram(data, 10)
    assert step == 7 and rows.shape == (10, 3)
    assert (
        np.array_equal(rows[:, 2], counts)
        and np.allclose(rows[:, 0], edges[:-1])
        and np.allclose(rows[:, 1], edges[1:])
    )
    [(_, rows)] = values(tmp_path, "constant")
    [filled] = rows[rows[:, 2] > 0]
    assert filled[0] <= 3 <= filled[1] and filled[2] == 5
    assert values(tmp_path, "broken")[0][1][:, 2].sum() == 2 and values(tmp_path, "empty")[0][1].sum() == 0


@pytest.mark.parametrize(
    ("shape", "layout", "dtype"),
    [
        ((4, 6, 3), "HWC", "uint8"),
        ((3, 4, 6), "CHW", "float32"),
        ((4, 6), "HW", "float64"),
        ((2, 1, 4, 6), "NCHW", "uint8"),
    ],
)
def test_images(tmp_path: Path, shape: tuple[int, ...], layout: str, dtype: str) -> None:
    from PIL import Image

    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, shape).astype(dtype)
    scaled = picture / 255 if dtype != "uint8" else picture
    with SummaryWriter(tmp_path) as writer:
        (writer.add_images if "N" in layout else writer.add_image)("p", scaled, 2, dataformats=layout)
        with pytest.raises(ShapeError, match="axes|shape"):
            writer.add_image("p", np.zeros((2, 2, 2, 2, 2)))
        with pytest.raises(ArgumentError, match="layout"):
            writer.add_image("p", picture, dataformats="XYZ"[: len(shape)])
    [(step, content)] = values(tmp_path, "p")
    assert step == 2 and [int(n) for n in content[:2]] == [6, 4]
    first = np.asarray(Image.open(io.BytesIO(content[2])))
    axes = [layout.index(k) for k in "NHWC" if k in layout]
    expected = picture.transpose(axes)
    expected = expected[0] if "N" in layout else expected
    assert np.array_equal(first, np.squeeze(expected).astype(np.uint8))


def test_text_figures_and_hyperparameters(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="figures need the extra 'plot'")
    from tensorboard.plugins.hparams import metadata

    with SummaryWriter(tmp_path) as writer:
        writer.add_text("note", "so *far*", 1)
        writer.add_figure("curves", lamina.plotting.plot_history({"loss": [1.0, 0.5]}), 0)
        writer.add_hparams({"rate": 0.1, "units": np.int64(8), "kind": "mlp", "fast": True}, {"score": 0.75})
    assert values(tmp_path, "note")[0][1].item() == b"so *far*"
    assert tags(tmp_path, "images") == {"curves"}
    content = read(tmp_path).summary_metadata["_hparams_/session_start_info"].plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    assert start.hparams["rate"].number_value == 0.1 and start.hparams["units"].number_value == 8
    assert start.hparams["kind"].string_value == "mlp" and start.hparams["fast"].bool_value
    content = read(tmp_path).summary_metadata["_hparams_/experiment"].plugin_data.content
    assert [m.name.tag for m in metadata.parse_experiment_plugin_data(content).metric_infos] == ["score"]
    assert values(tmp_path, "score")[0][1] == 0.75


def test_graphs(tmp_path: Path) -> None:
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    @lamina.function
    def step(x: Any) -> Any:
        return lamina.nn.relu(x @ lamina.ones((3, 2)))

    with SummaryWriter(tmp_path / "function") as writer:
        writer.add_graph(step, lamina.ones((4, 3)))
    with SummaryWriter(tmp_path / "model") as writer:
        writer.add_graph(network())
        with pytest.raises(ArgumentError, match="input_to_model"):
            writer.add_graph(lamina.Sequential([layers.Dense(1)]))
    drawn = GraphDef.FromString(read(tmp_path / "model").Graph().SerializeToString())
    names = [node.name for node in drawn.node]
    assert len(set(names)) == len(names)
    assert any("hidden/matmul" in name for name in names) and any("out/" in name for name in names)
    for node in drawn.node:  # every edge leads somewhere
        assert {source.split(":")[0] for source in node.input} <= set(names)
    matmul = next(node for node in drawn.node if "hidden/matmul" in node.name)
    assert len(matmul.input) == 2 and [d.size for d in matmul.attr["_output_shapes"].list.shape[0].dim] == [1, 4]
    assert "relu" in {node.op for node in read(tmp_path / "function").Graph().node}
    assert "keras" in read(tmp_path / "model").summary_metadata


def test_embeddings(tmp_path: Path) -> None:
    table = np.arange(6.0).reshape(3, 2)
    with SummaryWriter(tmp_path) as writer:
        writer.add_embedding(table, ["a", "b", "c"], 1, "words")
        writer.add_embedding(table, None, 2, "words")
        with pytest.raises(ShapeError, match="2 labels"):
            writer.add_embedding(table, ["a", "b"])
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert config.count("tensor_path") == 2 and config.count("metadata_path") == 1
    assert np.allclose(np.loadtxt(tmp_path / "00001/words/tensors.tsv"), table)
    assert (tmp_path / "00001/words/metadata.tsv").read_text().split() == ["a", "b", "c"]


def test_events_can_be_read_while_they_are_written(tmp_path: Path) -> None:
    writer = SummaryWriter(tmp_path)
    writer.add_scalar("loss", 1.0, 0)
    writer.flush()
    assert len(values(tmp_path, "loss")) == 1
    writer.add_scalar("loss", 0.5, 1)
    writer.close()
    writer.add_scalar("loss", 0.25, 2)  # goes to a new file
    writer.close()
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 2 and len(values(tmp_path, "loss")) == 3


def test_tensorflow_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys, lamina; w = lamina.tensorboard.SummaryWriter(sys.argv[1]); w.add_scalar('a', 1, 0);"
        "w.add_hparams({'a': 1}, {'b': 2}); w.add_image('c', [[0.0, 1.0]], dataformats='HW'); w.add_text('d', 'e');"
        "w.add_embedding([[1.0]]); w.close(); print('tensorflow' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True, timeout=600
    )
    assert found.stdout.strip() == "False"


# --- the callback ---------------------------------------------------------------------------------
def test_what_is_written_by_default(tmp_path: Path) -> None:
    model = network()
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    watch = TensorBoard(tmp_path)
    history = model.fit(X, Y, epochs=3, batch_size=5, validation_data=(X, Y), verbose=0, callbacks=[watch]).history
    train, validation = tmp_path / "train", tmp_path / "validation"
    assert tags(train, "scalars") == {"epoch_loss", "epoch_accuracy", "epoch_learning_rate"}
    assert tags(validation, "scalars") == {
        "epoch_loss", "epoch_accuracy", "evaluation_loss_vs_iterations", "evaluation_accuracy_vs_iterations",
    }  # fmt: skip
    for folder, prefix in ((train, ""), (validation, "val_")):
        for name in ("loss", "accuracy"):
            found = values(folder, f"epoch_{name}")
            assert [step for step, _ in found] == [0, 1, 2]
            assert np.allclose([v for _, v in found], history[prefix + name])
    assert [step for step, _ in values(validation, "evaluation_loss_vs_iterations")] == [4, 8, 12]
    names = " ".join(node.name for node in read(train).Graph().node)
    assert "hidden" in names and "assign/" in names  # the whole training step
    assert "keras" in read(train).summary_metadata
    assert len(list(train.glob("events*"))) == len(list(validation.glob("events*"))) == 1


def test_no_batch_events_unless_asked_for(tmp_path: Path) -> None:
    from lamina.callbacks import CallbackList

    assert not CallbackList([TensorBoard(tmp_path)], None, {}).wants_batches("train")
    assert not CallbackList([TensorBoard(tmp_path, update_freq=10)], None, {}).wants_batches("train")
    assert CallbackList([TensorBoard(tmp_path, profile_batch=10)], None, {}).wants_batches("train")
    assert not list(tmp_path.iterdir())


def test_steps_speed_and_profile(tmp_path: Path) -> None:
    model = network()
    model.compile("sgd", "binary_crossentropy")
    before = [w.copy() for w in model.get_weights()]
    watch = TensorBoard(tmp_path, update_freq=2, write_steps_per_second=True, profile_batch=(2, 3), write_graph=False)
    model.fit(X, Y, epochs=2, batch_size=5, verbose=0, shuffle=False, callbacks=[watch])
    train = tmp_path / "train"
    assert [step for step, _ in values(train, "batch_loss")] == [2, 4, 6, 8]
    assert len(values(train, "batch_steps_per_second")) == 4 and len(values(train, "epoch_steps_per_second")) == 2
    table = values(train, "batch_3")[0][1].item().decode()
    assert "train 2:" in table and "train 3:" in table and "GFLOP/s" in table
    [path] = train.glob("plugins/profile/*/*.xplane.pb")
    assert b"train 2" in path.read_bytes() and b"/device:CPU:0" in path.read_bytes()
    plain = network()
    plain.set_weights(before)
    plain.compile("sgd", "binary_crossentropy")
    plain.fit(X, Y, epochs=2, batch_size=5, verbose=0, shuffle=False)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), plain.get_weights(), strict=True))


@pytest.mark.parametrize("how", ["arrays", "stream", "eager"])
def test_numbers_of_steps_are_those_that_batch_events_see(tmp_path: Path, how: str) -> None:
    x, y = np.tile(X, (10, 1)), np.tile(Y, (10, 1))

    def train(callback: Any) -> None:
        lamina.random.seed(0)
        model = network()
        model.compile("sgd", "binary_crossentropy", metrics=["accuracy"], run_eagerly=how == "eager")
        data = [(x[i : i + 8], y[i : i + 8]) for i in range(0, 200, 8)]
        given = {"x": Batches(data)} if how == "stream" else {"x": x, "y": y, "batch_size": 8}
        model.fit(**given, epochs=2, verbose=0, shuffle=False, callbacks=[callback])

    class Batches(lamina.utils.PyDataset):
        def __init__(self, batches: list[Any]) -> None:
            super().__init__()
            self.batches = batches

        def __len__(self) -> int:
            return len(self.batches)

        def __getitem__(self, index: int) -> Any:
            return self.batches[index]

    seen: list[float] = []
    each = lamina.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    train(each)
    train(TensorBoard(tmp_path, update_freq=7, write_graph=False))
    found = values(tmp_path / "train", "batch_loss")
    assert [step for step, _ in found] == list(range(7, 51, 7))
    assert np.allclose([float(v) for _, v in found], seen[6::7], rtol=1e-6)


def test_a_trace_is_a_protocol_buffer() -> None:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="trace.proto", syntax="proto3")
    spec = {  # the part of xplane.proto that is written
        "Event": [("metadata_id", 1, 3, ""), ("offset_ps", 2, 3, ""), ("duration_ps", 3, 3, "")],
        "Line": [("id", 1, 3, ""), ("name", 2, 9, ""), ("timestamp_ns", 3, 3, ""), ("events", 4, 11, ".Event")],
        "Meta": [("id", 1, 3, ""), ("name", 2, 9, "")],
        "Entry": [("key", 1, 3, ""), ("value", 2, 11, ".Meta")],
        "Plane": [("id", 1, 3, ""), ("name", 2, 9, ""), ("lines", 3, 11, ".Line"), ("event_metadata", 4, 11, ".Entry")],
        "Space": [("planes", 1, 11, ".Plane"), ("hostnames", 4, 9, "")],
    }
    for name, fields in spec.items():
        message = file.message_type.add(name=name)
        for field, number, kind, type_name in fields:
            label = 3 if (kind == 11 and field != "value") or field == "hostnames" else 1
            message.field.add(name=field, number=number, type=kind, label=label, type_name=type_name or None)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    space = message_factory.GetMessageClass(pool.FindMessageTypeByName("Space"))()
    space.ParseFromString(traces.xspace([("train 1", 100.0, 0.25), ("train 2", 101.0, 0.5)], None))
    [plane] = space.planes
    names = {entry.key: entry.value.name for entry in plane.event_metadata}
    found = [(names[e.metadata_id], e.offset_ps, e.duration_ps) for e in plane.lines[0].events]
    assert found == [("train 1", 0, 250_000_000_000), ("train 2", 10**12, 500_000_000_000)]
    assert plane.lines[0].timestamp_ns == 100_000_000_000 and space.hostnames


def test_histograms_of_weights_activations_and_gradients(tmp_path: Path) -> None:
    model = network()
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    watch = TensorBoard(tmp_path, histogram_freq=2, write_images=True, samples=(X[:8], Y[:8]), hparams={"rate": 0.01})
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[watch]).history
    train = tmp_path / "train"
    paths = [w.path for w in model.weights]
    assert tags(train, "histograms") == {
        *(f"{p}/histogram" for p in paths), *(f"{p}/gradient" for p in paths), "hidden/activations", "out/activations",
    }  # fmt: skip
    assert tags(train, "images") == {f"{p}/image" for p in paths}
    found = values(train, f"{paths[0]}/histogram")
    assert [step for step, _ in found] == [0, 2] and found[0][1][:, 2].sum() == 12
    assert values(train, "out/activations")[0][1][:, 2].sum() == 8
    assert "_hparams_/session_start_info" in read(tmp_path).summary_metadata
    plain = network()  # looking changes nothing
    assert len(history["loss"]) == 3 and len(plain.weights) == 4


def test_activations_and_gradients_are_those_of_the_model() -> None:
    from lamina.tensorboard.inside import activations_of, gradients_of

    model = lamina.Sequential([layers.Input((3,)), layers.Dense(1, name="only"), layers.Dropout(0.5, name="drop")])
    model.compile("sgd", "mse", metrics=["mae"])
    model.fit(X, Y, verbose=0)
    state = [np.array(v.numpy()) for v in model.variables + model.metrics_variables]
    kernel, bias = model.get_weights()
    outputs = X @ kernel + bias
    assert np.allclose(activations_of(model, (X, Y))["drop"], outputs.ravel(), atol=1e-6)
    found = gradients_of(model, (X, Y))
    assert np.allclose(found[model.weights[0].path], 2 * X.T @ (outputs - Y) / len(X), atol=1e-5)
    after = [np.array(v.numpy()) for v in model.variables + model.metrics_variables]
    assert all(np.array_equal(a, b) for a, b in zip(state, after, strict=True))
    assert gradients_of(model, X) == {} and "call" not in vars(model.get_layer("only"))


def test_embedding_tables(tmp_path: Path) -> None:
    model = lamina.Sequential(
        [layers.Input((4,)), layers.Embedding(6, 2, name="words"), layers.Flatten(), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    x, y = np.arange(8).reshape(2, 4) % 6, np.ones((2, 1))
    watch = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"words": "labels.tsv"}, write_graph=False)
    model.fit(x, y, verbose=0, callbacks=[watch])
    config = (tmp_path / "train/projector_config.pbtxt").read_text()
    assert 'tensor_path: "words-0.tsv"' in config and 'metadata_path: "../labels.tsv"' in config
    assert np.allclose(np.loadtxt(tmp_path / "train/words-0.tsv"), model.get_layer("words").get_weights()[0])
    with pytest.raises(ArgumentError, match=r"Unrecognized `Embedding` layer names.*wordz.*words"):
        model.fit(
            x, y, verbose=0, callbacks=[TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"wordz": "l"})]
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"update_freq": "step"}, "update_freq"),
        ({"update_freq": 0}, "update_freq"),
        ({"profile_batch": -1}, "profile_batch must be a non-negative integer or 2-tuple"),
        ({"profile_batch": (3, 2)}, "profile_batch"),
        ({"profile_batch": "a,b"}, "profile_batch"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        TensorBoard(**arguments)


def test_pytorchs_names(tmp_path: Path) -> None:
    from lamina.compat import torch
    from lamina.compat.torch.utils.tensorboard import SummaryWriter as TorchWriter

    with TorchWriter(tmp_path, flush_secs=1) as writer:
        writer.add_scalar("Loss/train", torch.ones(1).mean(), 3)
        writer.add_image("picture", torch.zeros(3, 4, 6))
        writer.add_images("pictures", torch.zeros(2, 1, 4, 6), dataformats="NCHW")
        writer.add_histogram("weights", torch.ones(5), bins="auto")
    assert values(tmp_path, "Loss/train") == [(3, 1.0)]
    assert [int(n) for n in values(tmp_path, "picture")[0][1][:2]] == [6, 4]
