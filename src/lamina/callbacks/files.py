"""Callbacks that write files.  None is ever left half-written."""

from __future__ import annotations

import csv
import io
import os
import shutil
import warnings
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from lamina.callbacks.monitor import MonitorCallback
from lamina.core.errors import ArgumentError, FileFormatError
from lamina.core.messages import say
from lamina.models.saving import load_state, save_state
from lamina.training.callbacks import Callback, Logs


class _EveryFewBatches:
    """Counts batches, also where several run between two events."""

    def __init__(self, every: int) -> None:
        self.every = every
        self._last: int | None = None
        self._count = 0

    def due(self, batch: int) -> bool:
        self._count += batch + 1 if self._last is None or batch <= self._last else batch - self._last
        self._last = batch
        if self._count < self.every:
            return False
        self._count = 0
        return True

    def state_dict(self) -> dict[str, Any]:
        return {"last": self._last, "count": self._count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._last, self._count = state["last"], state["count"]


class ModelCheckpoint(MonitorCallback):
    """Saves the model, or its weights, after each epoch or every so many batches.

    Args:
        filepath: where to.  ``{epoch}`` and names of logs are filled in: ``"{epoch:02d}-{val_loss:.2f}.keras"``.
            The ending says what is written: ``.safetensors``, ``.keras`` or ``.h5``, and with
            ``save_weights_only`` ``.safetensors`` or ``.weights.h5``.
        monitor: the loss or metric that says which model is best.
        verbose: 1 to print when a file is written.
        save_best_only: whether to write only models that are better than all before.
        save_weights_only: write weights instead of the model.
        mode: ``"min"``, ``"max"``, or ``"auto"`` to tell by the metric.
        save_freq: ``"epoch"``, or a number of batches.
        initial_value_threshold: with ``save_best_only``, a value to be better than.

    Raises:
        ArgumentError: another ending, or ``save_freq`` is neither.

    Example:
        >>> best = ModelCheckpoint("best.safetensors", monitor="val_accuracy", save_best_only=True)
    """

    def __init__(
        self,
        filepath: str | PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath, self.verbose = fspath(filepath), verbose
        self.save_best_only, self.save_weights_only, self.save_freq = save_best_only, save_weights_only, save_freq
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int)):
            raise ArgumentError(f"Unrecognized save_freq: {save_freq!r}. It is 'epoch' or a number of batches.")
        endings = (".weights.h5", ".safetensors") if save_weights_only else (".keras", ".h5", ".safetensors")
        if not self.filepath.endswith(endings):
            raise ArgumentError(
                f"ModelCheckpoint: The filepath provided must end in {' or '.join(f'`{e}`' for e in endings)}"
                f"{' with save_weights_only=True' if save_weights_only else ''}; got {self.filepath!r}."
            )
        self._epoch = 0
        if save_freq != "epoch":  # set here and not in the class: only then steps have to stop for it
            self._batches = _EveryFewBatches(save_freq)
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        if self._batches.due(batch):
            self._save(self._epoch, batch, logs or {})

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.monitor_op is None and self.save_best_only:
            self._set_monitor_op()
        if self.save_freq == "epoch":
            self._save(epoch, None, logs or {})

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        path = self._path(epoch, batch, logs)
        if not self._wanted(epoch, logs, path):
            return
        if Path(path).is_dir():
            raise IsADirectoryError(f"Please specify a non-directory filepath for ModelCheckpoint: {path}.")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        (self.model.save_weights if self.save_weights_only else self.model.save)(path, overwrite=True)
        if self.verbose > 0:
            say(f"Epoch {epoch + 1}: saved to {path}")

    def _wanted(self, epoch: int, logs: Logs, path: str) -> bool:
        if not self.save_best_only:
            return True
        current = logs.get(self.monitor)
        if current is None or np.ndim(current):
            what = "is not in the logs" if current is None else "is no single number"
            warnings.warn(f"The best model cannot be told: {self.monitor!r} {what}. It is saved.", stacklevel=4)
            return True
        if not self._is_improvement(current, self.best):
            if self.verbose > 0:
                say(f"Epoch {epoch + 1}: {self.monitor} did not improve from {self.best:.5f}")
            return False
        if self.verbose > 0:
            before = "None" if self.best is None else f"{self.best:.5f}"
            say(f"Epoch {epoch + 1}: {self.monitor} improved from {before} to {current:.5f}")
        self.best = current
        return True

    def _path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        values: dict[str, Any] = {"epoch": epoch + 1}
        if batch is not None:
            values["batch"] = batch + 1
        try:
            return self.filepath.format(**{**values, **logs})
        except KeyError as error:
            raise KeyError(
                f"Failed to format this callback filepath: {self.filepath!r}. Reason: {error} is not in the logs, "
                f"which hold: {', '.join(logs)}."
            ) from None


class CSVLogger(Callback):
    """Writes the logs of each epoch as a line of a CSV file.

    A line is written in one piece when its epoch is over.

    Args:
        filename: the file.
        separator: what stands between values.
        append: go on with a file that exists, instead of replacing it.
    """

    def __init__(self, filename: str | PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename, self.sep, self.append = fspath(filename), separator, append
        self.keys: list[str] | None = None
        self._file: io.BufferedIOBase | None = None
        self._header = True

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._close()
        path = Path(self.filename)
        if self.params.get("resumed"):  # what was written after the checkpoint is cut off in load_state_dict
            self._file = open(path, "r+b" if path.exists() else "w+b")  # noqa: SIM115
            return
        self._header = not (self.append and path.exists() and path.stat().st_size > 0)
        self._file = open(path, "ab" if self.append else "wb")  # noqa: SIM115  (closed at the end of training)
        self.keys = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if self.keys is None:
            self.keys = sorted(logs)
            if self.keys and not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]  # validation may come in a later epoch
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self.sep)
        if self._header:
            writer.writerow(["epoch", *self.keys])
            self._header = False
        writer.writerow([epoch, *(_cell(logs.get(key, "NA")) for key in self.keys)])
        assert self._file is not None
        self._file.write(text.getvalue().encode())
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._close()

    def state_dict(self) -> dict[str, Any]:
        size = Path(self.filename).stat().st_size if Path(self.filename).exists() else 0
        if self._file is not None:
            os.fsync(self._file.fileno())  # a checkpoint that is on the disk speaks of lines that are there too
        return {**super().state_dict(), "size": size}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict({k: v for k, v in state.items() if k != "size"})
        if self._file is not None:
            self._file.truncate(min(state["size"], Path(self.filename).stat().st_size))
            self._file.seek(0, os.SEEK_END)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _cell(value: Any) -> Any:
    if isinstance(value, str) or np.ndim(value) == 0:
        return value
    return f'"[{", ".join(map(str, np.asarray(value).tolist()))}]"'


class BackupAndRestore(Callback):
    """Goes on after a crash: saves the state of training after each epoch and takes it up again in the next ``fit``.

    The state is weights, optimizer, the random state of dropout and the like, and the number of the epoch, in one
    file that is replaced as a whole.  Epochs that were finished are not run again.  The order in which later epochs
    take the rows is drawn anew, so with ``shuffle=True`` the result is not that of a run without the crash to the
    last bit; with ``shuffle=False`` it is.

    Args:
        backup_dir: folder for the file; nothing else should be kept there, it is deleted in the end.
        save_freq: ``"epoch"``, or a number of batches.  An epoch that was not finished starts from its beginning,
            with the weights of the last backup.
        double_checkpoint: keep the backup before the last too, for the case that the last is damaged.
        delete_checkpoint: whether to delete the folder when training is finished.

    Raises:
        ArgumentError: an argument is not one of these.
    """

    def __init__(
        self,
        backup_dir: str | PathLike[str],
        save_freq: Any = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not backup_dir:
            raise ArgumentError("Empty `backup_dir` argument passed: give the folder for the backup.")
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int)):
            raise ArgumentError(
                f"Invalid value for argument `save_freq`: it is 'epoch' or an integer, got {save_freq!r}."
            )
        self.backup_dir, self.save_freq = fspath(backup_dir), save_freq
        self.double_checkpoint, self.delete_checkpoint = double_checkpoint, delete_checkpoint
        self._path = Path(self.backup_dir) / "latest.safetensors"
        self._previous = Path(self.backup_dir) / "previous.safetensors"
        self._epoch = 0
        if save_freq != "epoch":
            self._batches = _EveryFewBatches(save_freq)
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._epoch = 0
        if not self._path.exists():
            return
        if not self.model.built:
            raise ArgumentError(
                "To use the BackupAndRestore callback, the model must be built before fit: call it once."
            )
        try:
            notes = load_state(self.model, self._path)
        except FileFormatError:
            if not self._previous.exists():
                raise
            notes = load_state(self.model, self._previous)
        self._epoch = self.model._initial_epoch = int(notes["epoch"])

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        if self._batches.due(batch):
            self._save()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch + 1
        if self.save_freq == "epoch":
            self._save()

    def _save(self) -> None:
        if self.double_checkpoint and self._path.exists():
            self._path.replace(self._previous)
        save_state(self.model, self._path, {"epoch": self._epoch})

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint:
            shutil.rmtree(self.backup_dir, ignore_errors=True)
