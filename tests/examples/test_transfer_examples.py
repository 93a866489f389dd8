"""The four cases of transfer learning: the old network helps, and what is frozen stays frozen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import data_folder
from example_files import load_example

from lamina import transfer

pytest.importorskip("sklearn")
MNIST = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
CIFAR = ("cifar10_small.npz",)


def example(name: str, files: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = data_folder()
    if folder is None or not all((folder / file).exists() for file in files):
        pytest.skip(f"needs {', '.join(files)} in the folder LAMINA_DATA or in ../shared/data")
    monkeypatch.setenv("LAMINA_DATA", str(folder))
    return load_example(f"transfer/{name}")


def test_a_linear_classifier_on_frozen_features(monkeypatch: pytest.MonkeyPatch) -> None:
    module = example("linear_on_features", MNIST, monkeypatch)
    module.OLD, module.OLD_EPOCHS = 3_000, 3
    kept: dict[str, bytes] = {}
    features = transfer.features

    def noted(model: Any, layer: Any, *rest: Any) -> Any:
        kept.update({v.path: v.numpy().tobytes() for v in model.weights})
        return features(model, layer, *rest)

    monkeypatch.setattr(transfer, "features", noted)
    model, history = module.train(40, verbose=0)
    assert history["val_accuracy"][-1] > 0.75  # 50 digits; pixels alone come to some 0.7
    frozen = [v for v in model.non_trainable_variables if v.path in kept]
    assert len(frozen) == 8 and all(v.numpy().tobytes() == kept[v.path] for v in frozen)
    assert [v.shape for v in model.trainable_variables] == [(64, 10), (10,)]


def test_fine_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    module = example("fine_tune", MNIST, monkeypatch)
    module.OLD, module.OLD_EPOCHS = 3_000, 2
    model, history = module.train(9, verbose=0)
    assert history["val_accuracy"][-1] > 0.7
    assert len(model.trainable_variables) == 10
    rates = sorted({float(part.learning_rate) for part in model.optimizer.optimizers})
    np.testing.assert_allclose(rates, [1e-4, 3e-4, 1e-3], rtol=1e-5)


def test_the_last_layers_first(monkeypatch: pytest.MonkeyPatch) -> None:
    module = example("fine_tune", MNIST, monkeypatch)
    module.OLD, module.OLD_EPOCHS = 2_000, 1
    model, history = module.train_gradually(6)
    losses = history["loss"]
    assert losses[-1] < losses[2] < losses[0] and len(model.trainable_variables) == 10
    assert losses[1] - losses[2] > (losses[0] - losses[1])  # more layers learn faster


def test_a_machine_on_early_activations(monkeypatch: pytest.MonkeyPatch) -> None:
    module = example("early_activations_svm", CIFAR, monkeypatch)
    module.FEW, module.PLACES = 400, ("pool1", "dense")
    _, history = module.train(1, verbose=0)
    assert history["pool1"][0] > history["pixels"][0] > 0.25  # six animals: guessing is 0.17
    assert history["pool1"][0] > history["dense"][0]
    assert history["val_accuracy"] == history["pool1"]


def test_old_weights_as_a_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    module = example("initialise", CIFAR, monkeypatch)
    module.MOST, module.OLD_EPOCHS = 1_500, 3
    model, history = module.train(2, verbose=0)
    assert history["val_loss"][-1] < module.from_nothing(2)["val_loss"][-1]
    assert len(model.trainable_variables) == 8  # nothing is frozen


@pytest.mark.slow
def test_in_full_every_case_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    linear = example("linear_on_features", MNIST, monkeypatch)
    gained = linear.train(60, verbose=0)[1]["val_accuracy"][-1]
    assert gained > 0.85 and gained > linear.from_nothing(60)["val_accuracy"][-1] + 0.05
    tuned = example("fine_tune", MNIST, monkeypatch)
    assert tuned.train(15, verbose=0)[1]["val_accuracy"][-1] > 0.93
    svm = example("early_activations_svm", CIFAR, monkeypatch)
    found = svm.train(8, verbose=0)[1]
    assert found["pool2"][0] > found["pixels"][0] + 0.03 and found["pool2"][0] > found["dense"][0] + 0.03


def test_one_rate_of_zero_learns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds above are not met by a network that does not learn."""
    module = example("linear_on_features", MNIST, monkeypatch)
    module.OLD, module.OLD_EPOCHS, module.LINEAR_RATE = 500, 1, 0.0
    _, history = module.train(1, verbose=0)
    assert history["val_accuracy"][-1] < 0.4
