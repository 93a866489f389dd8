"""A neural Turing machine on the copy task."""

from __future__ import annotations

import numpy as np
import pytest
from example_files import load_example

import lamina


def test_it_learns_to_copy_what_is_longer_than_what_it_learned_from() -> None:
    example = load_example("learning/copy_task")
    _, history = example.train(3, verbose=0, seed=0)
    # Answers that do not depend on the input are right for half of the bits.
    assert history["binary_accuracy"][-1] > 0.95 and history["val_binary_accuracy"][-1] > 0.85


@pytest.mark.slow
def test_it_copies_whatever_the_seed() -> None:
    example = load_example("learning/copy_task")
    for seed in range(3):
        _, history = example.train(10, verbose=0, seed=seed)
        assert history["binary_accuracy"][-1] > 0.98 and history["val_binary_accuracy"][-1] > 0.95


def test_a_copy_follows_its_sign() -> None:
    example = load_example("learning/copy_task")
    x, y, counts = example.sequences(40, 1, 5, seed=0)
    assert x.shape == (40, 11, 9) and y.shape == (40, 11, 8) and counts.shape == (40, 11)
    lengths = set()
    for bits, wanted, count in zip(x, y, counts, strict=True):
        (end,) = np.flatnonzero(bits[:, -1])
        np.testing.assert_array_equal(wanted[end + 1 : 2 * end + 1], bits[:end, :-1])
        np.testing.assert_array_equal(np.flatnonzero(count), np.arange(end + 1, 2 * end + 1))
        assert bits[end + 1 :].sum() == 0 and wanted[: end + 1].sum() == wanted[2 * end + 1 :].sum() == 0
        lengths.add(end)
    assert lengths == {1, 2, 3, 4, 5}


def test_a_head_goes_to_its_key_and_on_from_there() -> None:
    example = load_example("learning/copy_task")
    cell = example.TuringMachineCell()
    slots, width = example.SLOTS, example.WIDTH
    memory = np.zeros((1, slots, width), np.float32)
    memory[0, np.arange(width), np.arange(width)] = 1  # one direction for each of the first slots
    before = np.eye(1, slots, 20, dtype=np.float32)
    key = np.where(np.arange(width) == 5, 10.0, 0.0)

    def at(strength: float, gate: float, shift: list[float], sharpness: float) -> np.ndarray:
        command = np.concatenate([key, [strength, gate], shift, [sharpness]])[None].astype(np.float32)
        return cell.address(*(lamina.asarray(part) for part in (command, memory, before))).numpy()[0]

    stay, on, back = [-50.0, 50.0, -50.0], [-50.0, -50.0, 50.0], [50.0, -50.0, -50.0]
    assert at(50, 50, stay, 0).argmax() == 5 and at(50, 50, on, 0).argmax() == 6  # by content
    assert at(50, -50, stay, 0).argmax() == 20 and at(50, -50, back, 0).argmax() == 19  # from where it was
    blurred, sharp = at(0, 50, stay, -50), at(0, 50, stay, 20)
    assert blurred.sum() == pytest.approx(1) and sharp.max() > 1.5 * blurred.max()


def test_it_is_compiled_as_a_whole() -> None:
    example = load_example("learning/copy_task")
    model = example.network()
    model.compile("adam", "binary_crossentropy")
    x, y, _ = example.sequences(64, 1, 3, seed=0)
    kernels = model.profile(x, y, batch_size=32, seconds=0.1, verbose=False).rows
    assert kernels and not [kernel for kernel in kernels if kernel.kind == "numpy"]


def test_the_machine_in_pytorch_is_the_same() -> None:
    torch = pytest.importorskip("torch", reason="the peer of the results")
    from benchmarks.results.peers.copy_task import TuringMachine

    example = load_example("learning/copy_task")
    model, peer = example.network(), TuringMachine(example)
    x, _, _ = example.sequences(6, 2, 5, seed=0)
    wanted = model.predict(x, verbose=0)
    cell = model.layers[0].cell
    for ours, theirs in (
        (cell.controller, peer.controller), (cell.heads, peer.heads), (cell.output_layer, peer.output)
    ):  # fmt: skip
        ours.bias.assign(np.random.default_rng(0).normal(size=ours.bias.shape).astype(np.float32))
        theirs.load_state_dict({
            "weight": torch.from_numpy(ours.kernel.numpy().T.copy()), "bias": torch.from_numpy(ours.bias.numpy())
        })  # fmt: skip
    with torch.inference_mode():
        answers = torch.sigmoid(peer(torch.from_numpy(x))).numpy()
    np.testing.assert_allclose(model.predict(x, verbose=0), answers, atol=2e-5)
    assert np.abs(answers - wanted).max() > 0.1
