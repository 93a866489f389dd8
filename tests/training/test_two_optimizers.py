"""Models that train parts of themselves with optimizers of their own, as GANs do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.callbacks import BackupAndRestore, LambdaCallback
from lamina.core.errors import FileFormatError, NonFiniteError

X = np.random.default_rng(0).normal(size=(48, 3)).astype(np.float32)


class Pair(lamina.Model):
    """Two networks against each other; ``call`` takes the noise, and the step the samples."""

    def __init__(self) -> None:
        super().__init__()
        self.maker = lamina.Sequential([layers.Input((2,)), layers.Dense(8, "tanh"), layers.Dense(3)])
        self.judge = lamina.Sequential([layers.Input((3,)), layers.Dense(8, "relu"), layers.Dense(1)])

    def compile(self, rate: float = 0.01) -> None:  # type: ignore[override]
        super().compile()
        self.maker_optimizer = lamina.optimizers.Adam(rate)
        self.others = {"judge": lamina.optimizers.SGD(rate, momentum=0.9)}

    def call(self, noise: Any) -> Any:
        return self.maker(noise)

    def train_step(self, real: Any) -> Any:
        noise = lamina.random.normal((real.shape[0], 2))
        with lamina.GradientTape(persistent=True) as tape:
            of_made = self.judge(self.maker(noise, training=True), training=True)
            worse = lamina.mean(lamina.activations.softplus(-of_made))
            better = lamina.mean(lamina.activations.softplus(-self.judge(real))) + lamina.mean(
                lamina.activations.softplus(of_made)
            )
        for part, optimizer, loss in (
            (self.maker, self.maker_optimizer, worse),
            (self.judge, self.others["judge"], better),
        ):
            optimizer.apply(tape.gradient(loss, part.trainable_variables), part.trainable_variables)
        return {"worse": worse, "better": better}


def pair() -> Pair:
    lamina.random.seed(0)
    model = Pair()
    model.compile()
    return model


def weights(model: Pair) -> list[np.ndarray]:
    return [*model.maker.get_weights(), *model.judge.get_weights()]


@pytest.mark.parametrize("eager", [False, True])
def test_both_networks_are_trained(eager: bool) -> None:
    model = pair()
    model.run_eagerly = eager
    before = weights(model)
    history = model.fit(X, batch_size=16, epochs=2, shuffle=False, verbose=0).history
    assert set(history) == {"worse", "better"}
    assert all(np.abs(a - b).max() > 1e-4 for a, b in zip(before, weights(model), strict=True))
    assert int(model.maker_optimizer.iterations) == int(model.others["judge"].iterations) == 6


def test_a_step_by_hand_is_the_same() -> None:
    """Gradients of one loss leave the other network alone."""
    model, other = pair(), pair()
    lamina.random.seed(1)
    model.fit(X[:16], batch_size=16, shuffle=False, verbose=0)
    lamina.random.seed(1)
    noise = lamina.random.normal((16, 2))
    softplus = lamina.activations.softplus
    with lamina.GradientTape() as tape:
        worse = lamina.mean(softplus(-other.judge(other.maker(noise))))
    of_maker = tape.gradient(worse, other.maker.trainable_variables)
    made = other.maker(noise).numpy()
    with lamina.GradientTape() as tape:
        better = lamina.mean(softplus(-other.judge(X[:16]))) + lamina.mean(softplus(other.judge(made)))
    of_judge = tape.gradient(better, other.judge.trainable_variables)
    other.maker_optimizer.apply(of_maker, other.maker.trainable_variables)
    other.others["judge"].apply(of_judge, other.judge.trainable_variables)
    for a, b in zip(weights(model), weights(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


class StoppedError(Exception):
    pass


def stopping(epoch: int) -> LambdaCallback:
    def stop(at: int, logs: Any) -> None:
        if at == epoch:
            raise StoppedError

    return LambdaCallback(on_epoch_begin=stop)


def test_resumed_training_is_the_same_to_the_bit(tmp_path: Path) -> None:
    """The slots of the model's own optimizers are in a checkpoint."""
    arguments: dict[str, Any] = {"batch_size": 16, "verbose": 0}
    whole = pair()
    whole.fit(X, epochs=4, callbacks=[stopping(9)], **arguments)
    first = pair()
    with pytest.raises(StoppedError):
        first.fit(X, epochs=4, checkpoint=tmp_path, callbacks=[stopping(2)], **arguments)
    second = pair()
    second.fit(X, epochs=4, checkpoint=tmp_path, resume=True, callbacks=[stopping(9)], **arguments)
    for a, b in zip(weights(whole), weights(second), strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(second.others["judge"].iterations) == 12


def test_a_checkpoint_of_a_model_compiled_otherwise(tmp_path: Path) -> None:
    model = pair()
    model.fit(X, epochs=1, checkpoint=tmp_path, verbose=0)
    other = pair()
    other.others = {}
    before = weights(other)
    with pytest.raises(FileFormatError, match="keeps 1 optimizers of its own, and the one that was saved 2"):
        other.fit(X, epochs=2, checkpoint=tmp_path, resume=True, verbose=0)
    for a, b in zip(before, weights(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_backup_and_restore(tmp_path: Path) -> None:
    first = pair()
    backup = [BackupAndRestore(tmp_path), stopping(2)]
    with pytest.raises(StoppedError):
        first.fit(X, epochs=4, shuffle=False, batch_size=16, callbacks=backup, verbose=0)
    second = pair()
    second(np.zeros((1, 2), np.float32))
    second.fit(X, epochs=4, shuffle=False, batch_size=16, callbacks=[BackupAndRestore(tmp_path)], verbose=0)
    assert int(second.maker_optimizer.iterations) == 12


def test_trained_after_a_call_on_noise() -> None:
    model = pair()
    assert model(np.zeros((4, 2), np.float32)).shape == (4, 3)
    assert len(model.fit(X, verbose=0).history["worse"]) == 1


@pytest.mark.parametrize("name", ["pair.safetensors", "pair.keras", "pair.weights.h5", "w.safetensors"])
def test_saved_after_training(name: str, tmp_path: Path) -> None:
    """A model that was never called, whose ``compile`` takes other arguments than Keras's."""
    if not name.endswith("safetensors"):
        pytest.importorskip("h5py", reason="files of Keras's formats need it")
    model = pair()
    model.fit(X, verbose=0)
    path = tmp_path / name
    if name.startswith("pair") and "weights" not in name:
        model.save(path)
        with pytest.warns(UserWarning, match="`compile\\(\\)` was not called"):
            again = lamina.models.load_model(path, custom_objects={"Pair": Pair})
        assert not again.compiled
    else:
        model.save_weights(path)
        again = Pair()
        again.load_weights(path)
    for a, b in zip(weights(model), weights(again), strict=True):
        np.testing.assert_array_equal(a, b)
    again.compile()
    again.fit(X, verbose=0)


def test_nan_is_found_in_the_right_step() -> None:
    """Steps are run again from a copy that holds the slots too."""
    model = pair()
    x = X.copy()
    x[40, 1] = 3e38
    with pytest.raises(NonFiniteError, match="step 3"):
        model.fit(x, epochs=2, batch_size=16, shuffle=False, verbose=0)
