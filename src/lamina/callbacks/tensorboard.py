"""The callback that writes what happens in ``fit`` for TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lamina.callbacks.monitor import parts_of
from lamina.core.errors import ArgumentError
from lamina.layers import Embedding
from lamina.tensorboard import graphs, summaries, traces
from lamina.tensorboard.inside import activations_of, gradients_of
from lamina.tensorboard.writer import SummaryWriter, write_projector
from lamina.training.callbacks import Callback, Logs


class TensorBoard(Callback):
    """Writes losses, metrics, weights and more while a model is trained; ``tensorboard --logdir`` shows them.

    What belongs to training is written to the run ``train``, what belongs to validation to the run ``validation``.
    Only ``profile_batch`` asks for a call at each step; with the rest many steps run in one compiled call.

    Args:
        log_dir: the folder of the runs.
        histogram_freq: every how many epochs to write histograms of weights; 0 for never.
        write_graph: whether to write the layers and the ops of the training step as graphs.
        write_images: whether to show weights as pictures where histograms of them are written.
        write_steps_per_second: whether to write how fast training is.
        update_freq: ``"epoch"``, or every how many steps to write loss and metrics (``"batch"`` is 1).
        profile_batch: step, or ``(first, last)`` step, counted from 1, of which to write a profile; 0 for none.
        embeddings_freq: every how many epochs to write the tables of ``Embedding`` layers for the projector.
        embeddings_metadata: file of labels for the rows of a table, by the name of its layer, or one for all; a path
            that is not absolute begins in ``log_dir``.
        samples: a batch ``(x, y)``; where histograms are written, those of its activations and of the gradients of
            its loss are, too.
        hparams: what this run is made with, by name, for TensorBoard's table of hyper-parameters.

    Raises:
        ArgumentError: an argument is out of its range.
        MissingExtraError: the package ``tensorboard`` is not installed.

    Example:
        >>> import tempfile, lamina
        >>> import numpy as np
        >>> model = lamina.Sequential([lamina.Input((3,)), lamina.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> watch = TensorBoard(tempfile.mkdtemp(), histogram_freq=1)
        >>> history = model.fit(np.ones((8, 3)), np.ones((8, 1)), epochs=2, verbose=0, callbacks=[watch])
    """

    def __init__(
        self,
        log_dir: str | PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Any = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
        *,
        samples: Any = None,
        hparams: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.log_dir = str(log_dir)
        self.histogram_freq, self.embeddings_freq = histogram_freq, embeddings_freq
        self.write_graph, self.write_images = write_graph, write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        if self.update_freq != "epoch" and not (isinstance(self.update_freq, int) and self.update_freq >= 1):
            raise ArgumentError(f"update_freq is 'epoch', 'batch' or a number of steps; got {update_freq!r}.")
        self.embeddings_metadata, self.samples, self.hparams = embeddings_metadata, samples, hparams
        self._first, self._last = _profiled_steps(profile_batch)
        self._step = 0  # training steps since fit began
        self._traced: list[tuple[str, float, float]] = []
        self._graph_written = False
        self._writers: dict[str, SummaryWriter] = {}
        self._began = self._epoch_began = self._written = 0.0
        self._written_step = 0  # the step after which the last numbers were written, at the time _written
        if self._first:  # as attributes, so that training knows that these events are wanted
            self.on_train_batch_begin = self._batch_begins  # type: ignore[method-assign]
            self.on_train_batch_end = self._batch_ends  # type: ignore[method-assign]

    def state_dict(self) -> dict[str, Any]:
        return {"step": self._step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._step = int(state["step"])

    def __getstate__(self) -> dict[str, Any]:
        self.close()
        return {**vars(self), "_writers": {}}

    def writer(self, run: str = "train") -> SummaryWriter:
        """The writer of the run ``"train"`` or ``"validation"``, to add something of one's own."""
        if run not in self._writers:
            self._writers[run] = SummaryWriter(Path(self.log_dir) / run)
        return self._writers[run]

    def close(self) -> None:
        """Close the event files."""
        for writer in self._writers.values():
            writer.close()

    # --- beginning and end ----------------------------------------------------------------------------
    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self._graph_written = False
        if self.embeddings_freq:
            self._check_labels()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._step, self._traced = 0, []
        if self.write_graph:
            text = graphs.layers_as_json(self.model)
            if text is not None:
                self.writer()._add(summaries.keras_graph("keras", text), 0, None)
        if self.hparams is not None:
            wanted = [(f"epoch_{name}", run) for run in ("train", "validation") for name in self._metric_names()]
            root = SummaryWriter(self.log_dir)
            for summary in summaries.hyperparameters(self.hparams, wanted):
                root._add(summary, None, None)
            root.close()

    def _metric_names(self) -> list[str]:
        compiled = [m for m in self.model.metrics if m is not self.model._compile_metrics]
        inner = getattr(self.model._compile_metrics, "metrics", [])
        return [m.name for m in (*compiled, *inner)]

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._write_graph()
        if self._traced:
            self._write_profile()
        self.close()

    def _write_graph(self) -> None:
        """The ops of the training step, once it has run."""
        special = graphs.compiled_train_step(self.model) if self.write_graph and not self._graph_written else None
        if special is not None:
            self._graph_written = True
            self.writer().file.write(graph_def=graphs.graph_def(special.captured).SerializeToString())

    # --- steps ------------------------------------------------------------------------------------------
    def make_watch(self, logs: Callable[[], Logs]) -> Any:
        return _Steps(self, logs) if self.update_freq != "epoch" or self._first else None

    def _steps_left(self) -> int | None:
        return None if self.update_freq == "epoch" else self.update_freq - self._step % self.update_freq

    def _after_steps(self, count: int, logs: Callable[[], Logs]) -> None:
        before, self._step = self._step, self._step + count
        if self.update_freq == "epoch" or self._step // self.update_freq == before // self.update_freq:
            return
        for name, value in logs().items():
            self.writer().add_scalar(f"batch_{name}", value, self._step)
        if self.write_steps_per_second:
            now = time.time()
            rate = (self._step - self._written_step) / max(now - self._written, 1e-9)
            self.writer().add_scalar("batch_steps_per_second", rate, self._step)
            self._written, self._written_step = now, self._step

    def _batch_begins(self, batch: int, logs: Logs | None = None) -> None:
        self._began = time.time()

    def _batch_ends(self, batch: int, logs: Logs | None = None) -> None:
        step = self._step + 1  # which is counted after this event
        if self._first <= step <= self._last:
            self._traced.append((f"train {step}", self._began, max(time.time() - self._began, 1e-9)))
            if step == self._last:
                self._write_profile()

    def _write_profile(self) -> None:
        traced, self._traced = self._traced, []
        profile = None if self.model.run_eagerly else traces.profile_of_training(self.model)
        traces.write_xspace(Path(self.log_dir) / "train", traces.xspace(traced, profile))
        lines = [f"    {name}: {seconds * 1e3:.3f} ms" for name, _, seconds in traced]
        lines += ["", *(f"    {line}" for line in str(profile).splitlines())] if profile is not None else []
        self.writer().add_text(f"batch_{self._last}", "\n".join(lines), self._last)

    # --- epochs -----------------------------------------------------------------------------------------
    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_began, self._iterations = time.time(), self._iteration()
        self._written, self._written_step = self._epoch_began, self._step

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._write_graph()
        for name, value in (logs or {}).items():
            run = "validation" if name.startswith("val_") else "train"
            self.writer(run).add_scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)
        if logs:
            for name, value in self._learning_rates().items():
                self.writer().add_scalar(f"epoch_{name}", value, epoch)
            if self.write_steps_per_second:
                seconds = max(time.time() - self._epoch_began, 1e-9)
                rate = (self._iteration() - self._iterations) / seconds
                self.writer().add_scalar("epoch_steps_per_second", rate, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_histograms(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings(epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_test_end(self, logs: Logs | None = None) -> None:
        if self.model.optimizer is not None:
            for name, value in (logs or {}).items():
                self.writer("validation").add_scalar(f"evaluation_{name}_vs_iterations", value, self._iteration())
            self.writer("validation").flush()

    def _iteration(self) -> int:
        optimizer = self.model.optimizer
        return 0 if optimizer is None else int(np.asarray(optimizer.iterations))

    def _learning_rates(self) -> dict[str, float]:
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        if optimizer is None:
            return {}
        if hasattr(optimizer, "optimizers"):
            return {f"learning_rate_{o.name}": float(np.asarray(o.learning_rate)) for o in parts_of(optimizer)}
        return {"learning_rate": float(np.asarray(optimizer.learning_rate))}

    # --- histograms, pictures, tables ---------------------------------------------------------------------
    def _write_histograms(self, epoch: int) -> None:
        writer = self.writer()
        for layer in self.model.layers:
            for weight in layer.weights:
                writer.add_histogram(f"{weight.path}/histogram", weight, epoch)
                pictures = summaries.weight_pictures(weight) if self.write_images else None
                if pictures is not None:
                    writer.add_images(f"{weight.path}/image", pictures, epoch)
        if self.samples is not None:
            for name, values in activations_of(self.model, self.samples).items():
                writer.add_histogram(f"{name}/activations", values, epoch)
            for name, values in gradients_of(self.model, self.samples).items():
                writer.add_histogram(f"{name}/gradient", values, epoch)

    def _embedding_layers(self) -> list[Any]:
        return [layer for layer in self.model._flatten_layers() if isinstance(layer, Embedding)]

    def _check_labels(self) -> None:
        names = [layer.name for layer in self._embedding_layers()]
        if isinstance(self.embeddings_metadata, Mapping):
            unknown = [name for name in self.embeddings_metadata if name not in names]
            if unknown:
                raise ArgumentError(
                    f"Unrecognized `Embedding` layer names passed to `embeddings_metadata`: {', '.join(unknown)}. "
                    f"The model's Embedding layers: {', '.join(names) or 'none'}."
                )

    def _write_embeddings(self, epoch: int) -> None:
        found = {}
        folder = Path(self.log_dir) / "train"
        folder.mkdir(parents=True, exist_ok=True)
        for layer in self._embedding_layers():
            name = f"{layer.name}-{epoch}.tsv"
            np.savetxt(folder / name, np.asarray(layer.embeddings).astype(np.float64), delimiter="\t", fmt="%.9g")
            fields = {"tensor_path": name}
            labels = self.embeddings_metadata
            labels = labels.get(layer.name) if isinstance(labels, Mapping) else labels
            if labels is not None:
                fields["metadata_path"] = str(Path("..") / labels)  # an absolute path stays what it is
            found[layer.name] = fields
        if found:
            write_projector(folder, found)


class _Steps:
    """Tells a ``TensorBoard`` of steps, many at a time."""

    def __init__(self, callback: TensorBoard, logs: Callable[[], Logs]) -> None:
        self.callback, self.logs = callback, logs

    def steps_left(self) -> int | None:
        return self.callback._steps_left()

    def after_steps(self, count: int) -> None:
        self.callback._after_steps(count, self.logs)


def _profiled_steps(steps: Any) -> tuple[int, int]:
    """First and last step of ``profile_batch``; two zeros for none."""
    wrong = ArgumentError(
        "profile_batch must be a non-negative integer or 2-tuple of positive integers: the step, or the first and "
        f"the last step, to profile. Found: {steps!r}"
    )
    if isinstance(steps, str):
        try:
            steps = [int(part) for part in steps.split(",")]
        except ValueError:
            raise wrong from None
        steps = steps[0] if len(steps) == 1 else steps
    pair = (steps, steps) if isinstance(steps, int) else tuple(steps) if isinstance(steps, list | tuple) else ()
    if len(pair) != 2 or not all(isinstance(n, int) and n >= 0 for n in pair) or pair[1] < pair[0]:
        raise wrong
    return pair
