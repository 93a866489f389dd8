"""The benchmarks compare equal work and judge it rightly.  How fast anything is, is no matter of tests."""

from __future__ import annotations

import importlib
from dataclasses import asdict, replace

import numpy as np
import pytest
from benchmarks import arena, engine, machine, report, work
from benchmarks.results.__main__ import ROOT, load, page
from benchmarks.results.cases import CASES
from benchmarks.subjects import engine as rows
from benchmarks.subjects import engine_fresh


def test_goals_are_floors_or_ceilings():
    assert report.Goal("× JAX", 1.4, 1.41).met and not report.Goal("× JAX", 1.4, 1.39).met
    assert report.Goal(" s", 0.25, 0.2, most=True).met and not report.Goal(" s", 0.25, 0.3, most=True).met
    assert str(report.Goal("× JAX", 1.4, 1.393)) == "1.39× JAX (≥ 1.4) MISSED"


def test_ratio_is_peer_over_own_and_absent_without_peer():
    (goal,) = report.ratio("PyTorch", 3.0, 0.8, 0.2)
    assert goal.reached == pytest.approx(4.0) and goal.met
    assert report.ratio("PyTorch", 3.0, None, 0.2) == []


def test_flops_count_forward_and_both_gradients_but_the_datas():
    net = work.Network("n", (3, 5, 2), "classes", "adam", 4, 10, 1)
    forward, weights, hidden = 2 * 10 * (3 * 5 + 5 * 2), 2 * 10 * (3 * 5 + 5 * 2), 2 * 10 * 5 * 2
    assert net.flops == forward + weights + hidden


def test_markdown_has_a_cell_for_each_framework_that_ran_and_numbers_notes():
    rows = [report.Row("a", {"lamina": "1 s", "jax": "2 s"}, notes=["x"]), report.Row("b", {}, notes=["y", "x"])]
    lines = report.markdown(rows).splitlines()
    assert lines[0] == "| work | Lamina | JAX | limit | reached (target) |"
    assert lines[2] == "| a [1] | 1 s | 2 s |  |  |" and "| b [2] [1] | – | – |" in lines[3]
    assert lines[3].startswith("| b [2] [1] |") and lines[-2:] == ["[1] x  ", "[2] y  "]


def test_foreign_load_is_what_others_used(monkeypatch):
    monkeypatch.setattr(machine, "busy_seconds", lambda: 103.0)
    assert machine.foreign(100.0, 2.0, 2.0) == pytest.approx(0.49)  # two ticks are forgiven
    assert machine.foreign(100.0, 3.0, 2.0) == 0
    assert machine.foreign(None, 0.0, 2.0) == 0


def test_limit_kernels_run_and_scale_with_their_work():
    limits = machine.Limits(1)
    assert limits.flops(0.01) > limits.lanes * 1e7 and limits.bytes_per_second() > 1e7


@pytest.mark.slow
@pytest.mark.parametrize("name", list(work.NETWORKS))
@pytest.mark.parametrize("peer", ["torch", "jax"])
def test_frameworks_do_the_same_work(name, peer, tmp_path):
    pytest.importorskip(peer)
    if peer == "jax":
        pytest.importorskip("optax")
    net = work.NETWORKS[name]
    net = replace(net, rows=10 * net.batch + net.batch // 2, epochs=1)  # the last batch is ragged
    work.write_data(net, tmp_path)
    losses = []
    for framework in ("lamina", peer):
        module = importlib.import_module(f"benchmarks.peers.with_{framework}")
        run, said = module.training(asdict(net), str(tmp_path))
        losses.append(said["loss"])
        assert run()["seconds"] > 0
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


# --- the table of the engine ----------------------------------------------------------------------
class Ring(arena.Arena):
    """An arena that is told what its frameworks say and measure."""

    def __init__(self, seconds: dict[str, float], said: dict[str, dict] | None = None, only: list[str] | None = None):
        super().__init__(["lamina", "torch", "jax", "keras", "onnxruntime"], 1, 3, only or [])
        self.seconds, self.said, self.asked = seconds, said or {}, []

    def prepare(self, subject, frameworks=None, **arguments):
        self.asked.append((subject, arguments))
        self.failures = {} if "lamina" in self.seconds else {"lamina": "AttributeError: no such layer"}
        return {name: self.said.get(name, {}) for name in self.seconds if name in frameworks}

    def measure(self, frameworks, rounds=None):
        parts = ("seconds", "forward", "input", "kernel", "predict_on_batch")
        found = {name: [dict.fromkeys(parts, self.seconds[name])] for name in frameworks}
        return {**found, "limits": [{"flops": 1e12, "bytes": 1e10}]}, False


@pytest.fixture
def no_processes(monkeypatch):
    monkeypatch.setattr(engine_fresh, "rows", lambda ring, small: iter(()))


def test_engine_has_every_row_of_the_table(no_processes):
    found = list(rows.rows(Ring({"lamina": 1.0, "torch": 2.0, "jax": 3.0, "keras": 4.0, "onnxruntime": 0.9}), True))
    titles = [row.work for row in found]
    assert len(titles) == 9 + 1 + 3 + 4 + 1 + 2 + 2
    for part, count in {"conv": 10, "epoch": 4, "forward and backward": 6, "predict": 2, "stride 2": 2}.items():
        assert sum(part in title for title in titles) == count, part
    assert all(row.goals and all(goal.met for goal in row.goals) for row in found if "LSTM" not in row.work)
    mean = found[9].goals
    assert [goal.reached for goal in mean] == pytest.approx([2.0, 3.0])
    assert [goal.target for goal in mean] == [1.15, 1.5]


def test_engine_compares_epochs_with_the_best_peer(no_processes):
    ring = Ring({"lamina": 1.0, "torch": 3.0, "jax": 1.4, "keras": 4.0}, only=["lenet, adam", "RESNET-18 for"])
    lenet, resnet, _ = found = list(rows.rows(ring, True))
    assert len(found) == 3  # and the prediction with ResNet-18
    assert str(lenet.goals[0]) == "1.4× JAX, the best peer (≥ 1.5) MISSED"
    assert resnet.goals[0].met and [a["network"] for _, a in ring.asked] == ["lenet", "resnet18", "resnet18"]


def test_engine_says_what_is_not_available(no_processes):
    found = list(rows.rows(Ring({"torch": 2.0, "jax": 3.0}, only=["LSTM 32", "conv 1 × 1"]), True))
    for row in found:
        assert row.figures["lamina"] == "not available" and row.goals == []
        assert "Lamina: AttributeError: no such layer" in row.notes
        assert "not available" in report.text(row)


def test_engine_notes_networks_that_differ(no_processes):
    said = {"lamina": {"weights": 10, "loss": 2.0, "flops": 10**9}, "torch": {"weights": 11, "loss": 2.5}}
    (row, *_) = rows.rows(Ring({"lamina": 0.01, "torch": 2.0}, said, ["LeNet"]), True)
    assert any("number of weights" in note for note in row.notes)
    assert any("losses of the first epoch: Lamina 2, PyTorch 2.5" in note for note in row.notes)
    assert row.figures["lamina"] == "10 ms (100 GFLOP/s)" and row.limit.endswith("Lamina 10% of it")


def test_engine_takes_the_better_form_of_a_new_process(monkeypatch):
    firsts = {"fit": 2.0, "contiguous": 1.0, "channels_last": 0.8, "torch.compile": 20.0, "jit": 3.0}
    mores = {"fit": 200.0, "contiguous": 210.0, "channels_last": 190.0, "torch.compile": 100.0, "jit": 300.0}
    asked = []

    def new_process(ring, request, variables):
        asked.append(request["form"])
        if request["framework"] == "keras":
            raise arena.WorkFailedError("no keras")
        form = request["form"]
        return {"first": firsts[form], "first more": 500.0, "more": mores[form]}, True

    monkeypatch.setattr(engine_fresh, "new_process", new_process)
    cold, warm, memory = engine_fresh.rows(Ring({}), False)
    assert asked.count("fit") == 2 * 2 + 2 and asked.count("torch.compile") == 1  # with an empty and a filled cache
    assert cold.figures == {"lamina": "2 s", "torch": "800 ms", "jax": "3 s"} and cold.goals[0].met
    assert not warm.goals[0].met and "torch.compile takes 20 s" in " ".join(cold.notes)
    assert str(memory.goals[0]) == "200 MiB, the best peer (≤ 190) MISSED"
    assert list(engine_fresh.rows(Ring({}, only=["conv"]), False)) == []


def test_flops_of_a_convolution_and_of_networks():
    conv = engine.Convolution(8, 4, 6, 3, 5, stride=2)
    assert conv.out == 4 and conv.flops == 2 * 5 * 16 * 9 * 4 * 6
    depthwise = engine.Convolution(28, 128, 128, 3, 32, groups=128)
    assert depthwise.flops == 2 * 32 * 28 * 28 * 9 * 128
    x, kernel, ct = conv.arrays()
    assert x.shape == (5, 8, 8, 4) and kernel.shape == (3, 3, 4, 6) and ct.shape == (5, 4, 4, 6)
    from lamina.applications import LeNet

    first, second = 2 * 28 * 28 * 25 * 32, 2 * 14 * 14 * 25 * 32 * 64
    assert engine.forward_flops(LeNet()) == (first + second + 2 * 3136 * 128 + 2 * 1280, first)
    assert engine.Recurrence(2, 3, 4, 5).flops == 3 * 2 * 2 * 3 * 20 * 9
    assert engine.Attention(1, 2, 3, 4).flops == 6 * 2 * 2 * 9 * 4


def test_results_give_means_and_spread():
    measured = {"mnist_lenet": {"Lamina": {"measures": [[0.5, 0.7], [0.5, 0.8]], "seconds": [3.0, 5.0]}}}
    assert "| Lamina | 75.0% (70.0% to 80.0%, 2 seeds) | 4.0 |" in page(measured)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_results_have_an_example_and_a_peer(case):
    assert callable(load(case).train)
    peer = (ROOT / "benchmarks" / "results" / "peers" / f"{case.name}.py").read_text(encoding="utf-8")
    assert "\nFRAMEWORK = " in peer and "\ndef train(" in peer


def test_a_framework_that_fails_is_left_out(capsys):
    with arena.Arena(["nothing"], 1, 1) as ring:
        assert ring.prepare("engine.attention") == {}
        assert "with_nothing" in ring.failures["nothing"]
    assert "nothing failed" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["torch", "jax", "keras"])
@pytest.mark.parametrize("network", ["lenet", "vgg", "resnet18"])
def test_peers_train_networks_with_the_same_number_of_weights(network, peer):
    pytest.importorskip(peer)
    if peer == "jax":
        pytest.importorskip("optax")
    module = importlib.import_module(f"benchmarks.peers.engine.with_{peer}")
    case = engine.pictures(network)
    run, said = module.pictures(trial=False, **asdict(replace(case, rows=8, batch=4)))
    from benchmarks.peers.engine import with_lamina

    build = with_lamina.BUILDERS[network]
    assert said["weights"] == sum(w.size for w in build().trainable_variables)
    assert 1.0 < said["loss"] < 10.0 and run()["seconds"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("case", [engine.CONVOLUTIONS[1], engine.CONVOLUTIONS[6], engine.CONVOLUTIONS[8]], ids=str)
def test_convolutions_of_peers_are_the_same(case):
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    import lamina

    small = replace(case, batch=2)
    x, w, ct = small.arrays()
    sides = ((small.padding, small.padding),) * 2
    own = lamina.nn.conv(x, w, strides=small.stride, padding=sides, groups=small.groups).numpy()
    with_torch = importlib.import_module("benchmarks.peers.engine.with_torch")
    with_jax = importlib.import_module("benchmarks.peers.engine.with_jax")
    assert own.shape == ct.shape
    calls = with_torch._convolution(small, "channels_last")
    scale = float(np.abs(own).max())
    np.testing.assert_allclose(calls["forward"]().permute(0, 2, 3, 1).numpy(), own, atol=1e-5 * scale)
    theirs = with_jax._conv(x, w, small.stride, list(sides), small.groups)
    np.testing.assert_allclose(np.asarray(theirs), own, atol=1e-5 * scale)
    gradient = lamina.vjp(
        lambda v: lamina.nn.conv(v, w, strides=small.stride, padding=sides, groups=small.groups), lamina.asarray(x)
    )[1](ct)[0].numpy()
    found = calls["input"]()[0].permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(found, gradient, atol=1e-5 * float(np.abs(gradient).max()))
    assert torch is not None and jax is not None


@pytest.mark.slow
def test_onnxruntime_predicts():
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    module = importlib.import_module("benchmarks.peers.engine.with_onnxruntime")
    run, _ = module.predict("lenet", 0.01)  # compares its output with PyTorch's
    assert run()["seconds"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("subject", ["recurrence", "sentences", "attention", "predict"])
def test_lamina_does_the_work_of_the_engine(subject):
    module = importlib.import_module("benchmarks.peers.engine.with_lamina")
    arguments = {
        "recurrence": {"seconds": 0.01, "batch": 2, "steps": 3, "inputs": 4, "hidden": 5},
        "sentences": {"rows": 64, "trial": False},
        "attention": {"seconds": 0.01, "batch": 1, "heads": 2, "steps": 16, "size": 8},
        "predict": {"network": "lenet", "seconds": 0.01},
    }[subject]
    run, _ = getattr(module, subject)(**arguments)
    assert run()["seconds"] > 0
