"""Runs that are killed and started again end as the run that was never killed, to the bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting import tell

import lamina
from lamina import layers
from lamina.callbacks import CSVLogger, EarlyStopping, LearningRateScheduler, ModelCheckpoint, ReduceLROnPlateau
from lamina.core.errors import NotReproducibleError
from lamina.testing import crash_equivalence

RNG = np.random.default_rng(0)
X = RNG.normal(size=(46, 6)).astype("float32")
Y = np.arange(46) % 3
IMAGES = RNG.uniform(size=(20, 8, 8, 3)).astype("float32")


def classifier(eager: bool = True) -> Any:
    """Steps run op by op: what is tested here does not depend on it, and there is nothing to compile for each run."""
    model = lamina.Sequential(
        [
            layers.Input((6,)),
            layers.GaussianNoise(0.1),
            layers.Dense(8, "relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(3),
        ]
    )
    schedule = lamina.optimizers.schedules.CosineDecay(0.02, 30)
    model.compile(
        lamina.optimizers.Adam(schedule, gradient_accumulation_steps=2, use_ema=True),
        lamina.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        run_eagerly=eager,
    )
    return model


def told(report: Any, what: str) -> None:
    tell(f"{what}: {report}", kills_survived=report.kills)
    assert report.differences == []
    assert report.runs >= 5


def test_arrays_with_shuffling_dropout_accumulation_and_a_schedule() -> None:
    report = crash_equivalence(classifier, (X, Y), kills=16, batch_size=8, validation_split=0.2)
    told(report, "arrays")
    assert report.at_writes >= 6 and report.at_steps >= 6 and report.full_disks >= 1


def test_compiled_steps() -> None:
    report = crash_equivalence(lambda: classifier(eager=False), (X, Y), kills=6, batch_size=8, validation_split=0.2)
    told(report, "compiled")


def test_every_operation_on_the_disk() -> None:
    """The power is cut before each of them, one run for each."""

    def build() -> Any:
        model = lamina.Sequential([layers.Input((6,)), layers.Dense(3)])
        model.compile("adam", lamina.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
        return model

    count = crash_equivalence(build, (X, Y), kills=1, batch_size=16, epochs=2, every=2).operations
    told(crash_equivalence(build, (X, Y), kills=2 * count, batch_size=16, epochs=2, every=2), "every operation")


def test_checkpoints_in_another_thread() -> None:
    report = crash_equivalence(classifier, (X, Y), kills=10, batch_size=8, asynchronous=True, every=1)
    told(report, "another thread")


def test_images_with_augmentation_and_batches_of_a_limit() -> None:
    def build() -> Any:
        model = lamina.Sequential(
            [
                layers.Input((8, 8, 3)),
                layers.RandomFlip(),
                layers.RandomTranslation(0.2, 0.2),
                layers.Conv2D(4, 3, activation="relu"),
                layers.SpatialDropout2D(0.2),
                layers.GlobalAveragePooling2D(),
                layers.Dense(1),
            ]
        )
        optimizer = lamina.optimizers.SGD(0.05, momentum=0.9, nesterov=True)
        model.compile(optimizer, "mse", metrics=["mae"], run_eagerly=True)
        return model

    report = crash_equivalence(
        build, (IMAGES, np.arange(20.0) / 20), kills=10, batch_size=4, steps_per_epoch=3, epochs=4, every=2
    )
    told(report, "augmentation")


def test_callbacks(tmp_path: Path) -> None:
    class Counts(lamina.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.batches: list[float] = []
            self.best: Any = None
            self.seen = {"epochs": (), "set": {1}}
            self.draws = np.random.default_rng(3)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.batches.append(logs["loss"] * self.draws.normal())

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seen["epochs"] = (*self.seen["epochs"], epoch)
            self.best = np.minimum(np.float32(logs["loss"]), np.inf if self.best is None else self.best)
            if epoch == 1:
                self.model.layers[1].trainable = False

    def build() -> Any:
        model = classifier()
        model.compile(lamina.optimizers.RMSprop(0.01), model.loss, metrics=["accuracy"], run_eagerly=True)
        return model

    def callbacks() -> list[Any]:
        return [
            Counts(),
            EarlyStopping("loss", patience=1, min_delta=0.01, restore_best_weights=True),
            ReduceLROnPlateau("loss", patience=1, min_delta=0.5),
            LearningRateScheduler(lambda epoch, rate: rate * 0.9),
            CSVLogger(tmp_path / "log.csv"),
            ModelCheckpoint(tmp_path / "best.safetensors", "val_loss", save_best_only=True),
            ModelCheckpoint(tmp_path / "often.safetensors", save_freq=4),
        ]

    report = crash_equivalence(
        build, (X, Y), callbacks=callbacks, kills=12, batch_size=8, epochs=5, every=2,
        validation_data=(X[:10], Y[:10]), steps_per_epoch=4,
    )  # fmt: skip
    told(report, "callbacks")
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", *map(str, range(len(lines) - 1))]


def loader(workers: int) -> Callable[[], Any]:
    def make() -> Any:
        data = lamina.data.TensorDataset(X, Y)
        return lamina.data.DataLoader(data, batch_size=8, shuffle=True, num_workers=workers)

    return make


def test_a_loader() -> None:
    told(crash_equivalence(classifier, loader(0), kills=12), "loader")
    told(crash_equivalence(classifier, loader(0), kills=6, steps_per_epoch=4, epochs=4), "loader, limited")


def test_a_model_that_is_built_by_its_first_batch() -> None:
    def build() -> Any:
        model = lamina.Sequential([layers.Dense(5, "tanh"), layers.Dropout(0.2), layers.Dense(3)])
        model.compile("nadam", lamina.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
        return model

    told(crash_equivalence(build, loader(0), kills=8), "built late")
    told(crash_equivalence(build, (X, Y), kills=8), "built late, arrays")


def test_what_layers_carry_from_batch_to_batch() -> None:
    def build() -> Any:
        recurrent = layers.LSTM(4, stateful=True, dropout=0.2, recurrent_dropout=0.2)
        model = lamina.Sequential([layers.Input(batch_shape=(4, 5, 2)), recurrent, layers.Dense(1)])
        model.compile("adam", "mse", run_eagerly=True)
        return model

    sequences = RNG.normal(size=(20, 5, 2)).astype("float32")
    report = crash_equivalence(build, (sequences, sequences[:, 0, :1]), kills=8, batch_size=4, shuffle=False)
    told(report, "stateful layers")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # float16 overflows until the scale is found
def test_loss_scaling_pipelines_and_validation_from_a_loader() -> None:
    def build() -> Any:
        hidden, out = layers.Dense(8, "relu", dtype="mixed_float16"), layers.Dense(3, dtype="float32")
        model = lamina.Sequential([layers.Input((6,)), hidden, layers.Dropout(0.3), out])
        optimizer = lamina.optimizers.LossScaleOptimizer(lamina.optimizers.Adam(0.01), dynamic_growth_steps=4)
        loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, run_eagerly=True, steps_per_execution=2)
        return model

    def pipeline() -> Any:
        return lamina.data.Pipeline.from_tensor_slices((X, Y)).shuffle(20).map(lambda x, y: (2 * x, y)).batch(8)

    report = crash_equivalence(build, pipeline, kills=8, validation_data=loader(0))
    told(report, "loss scaling, pipeline, validation")


class Mixed(lamina.utils.PyDataset):
    """Batches by number, in a new order each epoch."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        return X[index * 8 : index * 8 + 8], Y[index * 8 : index * 8 + 8]


def generator() -> Iterator[Any]:
    """Endless batches that depend on NumPy's global random state."""
    while True:
        rows = np.random.randint(0, 46, 8)
        yield X[rows], Y[rows]


class Restartable:
    """An iterable that draws anew whenever it is begun."""

    def __iter__(self) -> Iterator[Any]:
        for rows in np.random.permutation(40).reshape(5, 8):
            yield X[rows] + np.random.normal(), Y[rows]


@pytest.mark.parametrize(
    ("data", "arguments"),
    [(Mixed, {}), (lambda: Mixed(workers=3), {}), (generator, {"steps_per_epoch": 5}), (Restartable, {})],
    ids=["numbered", "threads", "generator", "iterable"],
)
def test_other_sources(data: Any, arguments: Any) -> None:
    told(crash_equivalence(classifier, data, kills=8, **arguments), "source")


@lamina.register_serializable("tests")
class Noisy(lamina.Model):
    """A model with a step and a metric of its own, and random numbers from the default generator."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(1)
        self.seen = lamina.metrics.Mean(name="seen")

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)

    def train_step(self, data: Any) -> Any:
        x, y = data
        with lamina.GradientTape() as tape:
            noise = lamina.random.normal(x.shape)
            loss = lamina.mean((self(x + 0.1 * noise)[:, 0] - lamina.ops.astype(y, "float32")) ** 2)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        self.seen.update_state(loss)
        return {"loss": loss, "seen": self.seen.result()}


def test_a_step_of_its_own() -> None:
    def build() -> Any:
        model = Noisy()
        model.compile("adam", run_eagerly=True)
        return model

    told(crash_equivalence(build, (X, Y), kills=10, batch_size=8), "own step")


def test_a_difference_is_found() -> None:
    """A callback that depends on what no checkpoint can keep."""
    calls = []

    class Wrong(lamina.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            calls.append(epoch)
            self.model.layers[-1].bias.assign_add([float(len(calls)), 0.0, 0.0])

    with pytest.raises(NotReproducibleError, match="2 ended otherwise.*model/weights/dense/kernel"):
        crash_equivalence(classifier, (X, Y), callbacks=lambda: [Wrong()], kills=2, batch_size=8)
