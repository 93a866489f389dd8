"""The benchmarks compare equal work and judge it rightly.  How fast anything is, is no matter of tests."""

from __future__ import annotations

import importlib
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import machine, report, work  # noqa: E402


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


def test_markdown_has_a_cell_for_each_framework_and_numbers_notes():
    rows = [report.Row("a", {"lamina": "1 s", "jax": "2 s"}, notes=["x"]), report.Row("b", {}, notes=["y", "x"])]
    lines = report.markdown(rows).splitlines()
    assert lines[2] == "| a [1] | 1 s | – | 2 s | – |  |  |"
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
