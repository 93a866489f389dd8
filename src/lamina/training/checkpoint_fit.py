"""The whole state of a ``fit``: what is saved while it runs, and how it is put back."""

from __future__ import annotations

import time
import warnings
from os import PathLike
from pathlib import Path
from typing import Any

from lamina.core.errors import ArgumentError, FileFormatError, LaminaError
from lamina.core.trees import flatten
from lamina.layers import Layer
from lamina.models.saving import _named_states, assign, named_weights
from lamina.models.trainer import Trainer
from lamina.tensor import Variable
from lamina.training.checkpoint import Checkpoint
from lamina.training.checkpoint_tree import assign_all, random_state, set_random_state


# --- models and optimizers ------------------------------------------------------------------------------
def layer_state(layer: Layer) -> dict[str, Any]:
    """Weights and random states by place, the metrics in it, and which layers are frozen."""
    weights, inner = named_weights(layer), layer._flatten_layers()  # each looks through every layer: once for a file
    return {
        "weights": weights,
        "state": _named_states(layer),
        "metrics": [v for m in _metrics_in(inner) for v in m.variables],
        "between": carried(layer),
        "trainable": [x.trainable for x in inner],
        "optimizers": [optimizer_state(optimizer, weights) for optimizer in _own_optimizers(layer)],
    }


def carried(layer: Layer) -> list[Variable]:
    """What stateful recurrent layers carry from one batch to the next: no weights, and saved with no model."""
    leaves = [x for inner in layer._flatten_layers() for x in flatten(getattr(inner, "states", None))[0]]
    return list({id(v): v for v in leaves if isinstance(v, Variable)}.values())


def _own_optimizers(layer: Layer) -> list[Any]:
    return layer._own_optimizers() if isinstance(layer, Trainer) else []


def _metrics_in(layers: list[Layer]) -> list[Any]:
    return [m for x in layers for m in x._contents() if getattr(m, "_role", None) == "metric"]


def set_layer_state(layer: Layer, tree: Any, path: Path) -> None:
    """Put back what ``layer_state`` gave.

    Raises:
        FileFormatError: it is of another model; nothing was changed.
    """
    own, saved = _own_optimizers(layer), tree.get("optimizers", ())
    if len(own) != len(saved):
        raise FileFormatError(
            f"{path}: the model keeps {len(own)} optimizers of its own, and the one that was saved {len(saved)}. "
            "Compile it as it was."
        )
    thaw_as_saved(layer, tree, path)
    assign(named_weights(layer), tree["weights"], path, strict=True)
    assign(_named_states(layer), tree["state"], path, strict=True)
    inner = layer._flatten_layers()
    assign_all([v for m in _metrics_in(inner) for v in m.variables], tree["metrics"], "the model's metrics", path)
    assign_all(carried(layer), tree["between"], "stateful layers", path)
    for optimizer, state in zip(own, saved, strict=True):
        set_optimizer_state(optimizer, state, layer, path)


def thaw_as_saved(layer: Layer, tree: Any, path: Path) -> None:
    """Freeze and thaw the layers as they were."""
    inner = layer._flatten_layers()
    if len(inner) != len(tree["trainable"]):
        raise FileFormatError(
            f"{path}: the model has {len(inner)} layers, and the one that was saved {len(tree['trainable'])}. "
            "Build it as it was."
        )
    for x, trainable in zip(inner, tree["trainable"], strict=True):
        if x.trainable != trainable:
            x.trainable = trainable


def optimizer_state(optimizer: Any, weights: dict[str, Variable] | None) -> dict[str, Any]:
    """The optimizer's variables, and which weights of the model (by name, if it is known) it was built with."""
    names = None
    if weights is not None and optimizer.built:
        places = {id(v): name for name, v in weights.items()}
        names = [places.get(id(v)) for v in optimizer._trainable_variables]
    return {"variables": list(optimizer.variables), "built": bool(optimizer.built), "names": names}


def set_optimizer_state(optimizer: Any, tree: Any, model: Layer | None, path: Path) -> None:
    """Put back what ``optimizer_state`` gave; the optimizer is built if need be.

    Raises:
        FileFormatError: it is of another optimizer or model.
    """
    if tree["built"] and not optimizer.built:
        if model is None:
            raise FileFormatError(
                f"{path}: the optimizer has no slots yet. Before restore() call "
                "optimizer.build(model.trainable_variables)."
            )
        weights, names = named_weights(model), tree["names"] or [None]
        if all(name in weights for name in names):
            optimizer.build([weights[name] for name in names])
        else:
            optimizer.build(model.trainable_variables)
    assign_all(optimizer.variables, tree["variables"], "the optimizer", path)


# --- fit --------------------------------------------------------------------------------------------------
class FitState:
    """Everything that the rest of a ``fit`` depends on.

    Args:
        model: the model.
        compiled: how it was compiled.
        runner: what runs the training steps.
        validation: what runs those of validation, or ``None``.
        callbacks: all of them, ``History`` last.
    """

    def __init__(self, model: Any, compiled: Any, runner: Any, validation: Any, callbacks: list[Any]) -> None:
        self.model, self.compiled, self.runner = model, compiled, runner
        self.validation, self.callbacks = validation, callbacks

    def capture(self, **position: Any) -> dict[str, Any]:
        """The state as a tree; its Variables are the living ones."""
        model, optimizer = layer_state(self.model), self.compiled.optimizer
        return {
            "kind": "fit",
            "position": position,
            "model": model,
            "optimizer": None if optimizer is None else optimizer_state(optimizer, model["weights"]),
            "metrics": [v for metric in self.compiled.all_metrics() for v in metric.variables],
            "callbacks": [{"class": type(c).__name__, "state": c.state_dict()} for c in self.callbacks],
            "data": self.runner.state(),
            "validation": None if self.validation is None else self.validation.state(),
            "random": random_state(),
        }

    def check(self, tree: Any, path: Path) -> None:
        """The state is of a run like this one.

        Raises:
            ArgumentError: it was written by something else, or with other callbacks.
        """
        if not isinstance(tree, dict) or tree.get("kind") != "fit":
            raise ArgumentError(f"{path} was not written by fit. Use lamina.training.Checkpoint(...).restore().")
        position, callbacks = tree.get("position"), tree.get("callbacks")
        if (
            not isinstance(position, dict)
            or type(position.get("epoch")) is not int
            or position["epoch"] < 0
            or not all(type(position.get(name)) is bool for name in ("in_epoch", "finished", "stopped"))
            or not isinstance(position.get("logs"), dict)
            or not isinstance(callbacks, list)
            or not all(isinstance(c, dict) and isinstance(c.get("class"), str) for c in callbacks)
        ):
            raise FileFormatError(f"{path}: the state in it is damaged (position or callbacks).")
        saved, here = [c["class"] for c in callbacks], [type(c).__name__ for c in self.callbacks]
        if saved != here:
            raise ArgumentError(
                f"{path}: the run was started with the callbacks {', '.join(saved[:-1]) or 'none'}, and now they are "
                f"{', '.join(here[:-1]) or 'none'}. Give the same ones in the same order, or resume=False."
            )

    def restore(self, tree: Any, path: Path) -> None:
        """Put everything back.

        Raises:
            FileFormatError, ArgumentError: the state does not fit the model, the data or the callbacks.
        """
        try:
            self._restore(tree, path)
        except (LaminaError, OSError):
            raise
        except Exception as error:
            raise FileFormatError(f"{path}: the state in it does not fit this run ({error!r}).") from error

    def _restore(self, tree: Any, path: Path) -> None:
        thaw_as_saved(self.model, tree["model"], path) if self.model.built else None
        set_random_state(tree["random"])
        self.runner.load_state(tree["data"])
        if self.validation is not None and tree["validation"] is not None:
            self.validation.load_state(tree["validation"])
        drawn = random_state(copy=True)  # a source may have drawn for the batch that comes next
        self.runner.build()
        set_layer_state(self.model, tree["model"], path)
        if self.compiled.optimizer is not None and tree["optimizer"] is not None:
            set_optimizer_state(self.compiled.optimizer, tree["optimizer"], self.model, path)
        variables = [v for metric in self.compiled.all_metrics() for v in metric.variables]
        if len(variables) != len(tree["metrics"]) and tree["position"]["in_epoch"]:
            self.runner.prepare_steps()  # some metrics make their state when they first count
            variables = [v for metric in self.compiled.all_metrics() for v in metric.variables]
        if len(variables) == len(tree["metrics"]) or tree["position"]["in_epoch"]:  # else they are reset before all
            assign_all(variables, tree["metrics"], "the metrics", path)
        for callback, saved in zip(self.callbacks, tree["callbacks"], strict=True):
            callback.load_state_dict(saved["state"])
        set_random_state(drawn)


class FitCheckpoint:
    """Saves the state of a ``fit`` as it goes on, and finds where to go on.

    Args:
        given: what ``fit`` was given as ``checkpoint``.
        resume: whether to go on from what is there.
        state: what to save.
    """

    def __init__(self, given: Any, resume: bool, state: FitState) -> None:
        if not isinstance(given, Checkpoint):
            if not isinstance(given, str | PathLike) or not str(given):
                raise ArgumentError(f"checkpoint is a folder or a lamina.training.Checkpoint, got {given!r}.")
            given = Checkpoint(given)
        if given.parts:
            raise ArgumentError("The Checkpoint given to fit has no parts: fit knows what belongs to its state.")
        self.checkpoint, self.folder, self.state = given, given.folder, state
        self.found: tuple[Path, Any] | None = None
        self.epoch, self.logs = 0, {}  # type: ignore[var-annotated]
        self._steps, self._saved_at = 0, time.monotonic()
        if resume:
            self.found = self.folder.read()
            if self.found is not None:
                state.check(self.found[1], self.found[0])
        elif self.folder.generations():
            raise ArgumentError(
                f"{self.folder.path} holds checkpoints of an earlier run. Go on from them with resume=True, give "
                "another folder, or remove it."
            )

    # --- going on -----------------------------------------------------------------------------------
    def reopen(self, epochs: int) -> bool:
        """Whether the run that is found was finished; one that is to have more epochs than it had is not."""
        if self.found is None:
            return False
        position = self.found[1]["position"]
        if not position["finished"] or position["stopped"] or position["epoch"] >= epochs:
            return bool(position["finished"])
        for path in self.folder.generations()[1:]:  # what the end of training did to the weights is left out
            from lamina.training.checkpoint import read_state

            try:
                tree = read_state(path)
            except (FileFormatError, OSError):
                continue
            self.state.check(tree, path)
            if not tree["position"]["finished"]:
                self.found = path, tree
                return False
        return False

    def restore(self) -> tuple[int, bool, dict[str, Any], bool]:
        """Put back what was found.

        Returns:
            The epoch, whether it had begun, the last logs, and whether training was to stop.
        """
        assert self.found is not None
        path, tree = self.found
        self.state.restore(tree, path)
        self.folder.set_aside()
        self.found = None
        position = tree["position"]
        self.epoch, self.logs = position["epoch"], position["logs"]
        return position["epoch"], position["in_epoch"], position["logs"], position["stopped"]

    # --- saving ---------------------------------------------------------------------------------------
    def steps_left(self) -> int | None:
        """How many steps may run before the state is to be saved."""
        return None if self.checkpoint.every == "epoch" else max(1, int(self.checkpoint.every) - self._steps)

    def after_steps(self, count: int) -> None:
        """So many steps have run."""
        self._steps += count
        if self.checkpoint.told is not None:
            self.checkpoint.told(count)
        every, seconds = self.checkpoint.every, self.checkpoint.seconds
        due = every != "epoch" and self._steps >= int(every)
        late = seconds is not None and time.monotonic() - self._saved_at >= seconds
        if due or late:
            if self.folder.busy:  # the one before is still being written: leave this one out rather than wait
                self._steps = 0
            else:
                self._save(in_epoch=True)

    def epoch_begins(self, epoch: int) -> None:
        """The steps that come are those of this epoch."""
        self.epoch = epoch

    def epoch_ended(self, epoch: int, logs: dict[str, Any]) -> None:
        """An epoch is over, and all callbacks have been told."""
        self.epoch, self.logs = epoch + 1, dict(logs)
        if not self.folder.busy:
            self._save()

    def training_ended(self) -> None:
        """Training is over; the file is there when this returns."""
        self._save(finished=True)
        self._guard(self.folder.wait)

    def close(self) -> None:
        """Wait for what is being written."""
        self._guard(self.folder.wait)

    def _save(self, in_epoch: bool = False, finished: bool = False) -> None:
        self._steps, self._saved_at = 0, time.monotonic()
        stopped = bool(self.state.model.stop_training)
        tree = self.state.capture(
            epoch=self.epoch, in_epoch=in_epoch, finished=finished, stopped=stopped, logs=dict(self.logs)
        )
        self._guard(self.folder.wait)
        self._guard(lambda: self.folder.write(tree))

    def _guard(self, work: Any) -> None:
        """A disk that is full ends no training: the files that are there stay good, and the next one may fit."""
        try:
            work()
        except OSError as error:
            warnings.warn(
                f"A checkpoint could not be written to {self.folder.path}: {error}. Training goes on, and the last "
                "good one is kept. Free some space.",
                stacklevel=5,
            )
