"""``Callback``: what is told of the events of training, and the list that tells them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lamina.core.errors import ArgumentError

Logs = dict[str, float]


class Callback:
    """Base of objects that are told of the events of ``fit``, ``evaluate`` and ``predict``.

    Override the methods of the events you want.  Batch events cost speed: where no callback overrides
    one, many steps run in a single compiled call.

    Attributes:
        model: the model that is being trained.
        params: ``{"epochs": ..., "steps": ..., "verbose": ...}``.

    Example:
        >>> class StopAt(Callback):
        ...     def __init__(self, accuracy):
        ...         super().__init__()
        ...         self.accuracy = accuracy
        ...
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         if logs["accuracy"] >= self.accuracy:
        ...             self.model.stop_training = True
    """

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def set_params(self, params: dict[str, Any]) -> None:
        """Called before training with what ``fit`` was asked to do."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Called before training with the model."""
        self.model = model

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of the callback: its attributes that are plain data, arrays or Variables."""
        from lamina.training.checkpoint_tree import attributes

        return attributes(self, ("model", "_model", "params", "_params"))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with what ``state_dict`` gave; called after ``on_train_begin``, where a run goes on."""
        from lamina.training.checkpoint_tree import set_attributes

        set_attributes(self, state)

    def make_watch(self, logs: Callable[[], Logs]) -> Any:
        """Asked once by ``fit``: an object that is told of steps, many at a time, or ``None``.

        Its ``steps_left()`` says how many steps may run until it is told next (``None`` for any number), and
        ``after_steps(count)`` tells it that so many have run. It costs less than batch events, which end a compiled
        call after every step.

        Args:
            logs: gives the loss and metrics of the epoch so far.
        """
        return None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """``fit`` starts."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """``fit`` ends; ``logs`` are those of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """An epoch of ``fit`` starts; ``epoch`` counts from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """An epoch of ``fit`` ends; ``logs`` hold its loss, metrics and, as ``val_...``, those of validation."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of ``on_train_batch_begin``."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of ``on_train_batch_end``."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A step of ``fit`` starts; ``batch`` counts from 0 in each epoch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A step of ``fit`` ends; ``logs`` hold the loss and metrics of the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """``evaluate`` (or the validation of ``fit``) starts."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """``evaluate`` (or the validation of ``fit``) ends."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A step of ``evaluate`` starts."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A step of ``evaluate`` ends."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """``predict`` starts."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """``predict`` ends."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A step of ``predict`` starts."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A step of ``predict`` ends; ``logs["outputs"]`` are its predictions."""


class ProgbarLogger(Callback):
    """Nothing of its own: ``fit`` shows its progress as ``verbose`` says.  Here for the name."""


BATCH_EVENTS = {
    "train": ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end"),
    "test": ("on_test_batch_begin", "on_test_batch_end"),
    "predict": ("on_predict_batch_begin", "on_predict_batch_end"),
}


class CallbackList:
    """Several callbacks that are told of each event in order."""

    def __init__(self, callbacks: Any, model: Any, params: dict[str, Any]) -> None:
        if isinstance(callbacks, CallbackList):
            callbacks = callbacks.callbacks
        if callbacks is None:
            callbacks = []
        elif isinstance(callbacks, Callback):
            callbacks = [callbacks]
        elif not isinstance(callbacks, Iterable):
            raise ArgumentError(f"callbacks is a list of Callbacks, got {type(callbacks).__name__}.")
        self.callbacks: list[Callback] = list(callbacks)
        self._params = params
        self._methods: dict[str, list[Callable[..., Any]]] = {}  # of the callbacks that override an event
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                hint = " Did you mean an instance: add ()?" if isinstance(callback, type) else ""
                raise ArgumentError(f"callbacks holds {callback!r}, which is no lamina.callbacks.Callback.{hint}")
            callback.set_model(model)
            callback.set_params(params)

    def set_params(self, **more: Any) -> None:
        """Add to what the callbacks know of the call."""
        self._params.update(more)
        for callback in self.callbacks:
            callback.set_params(self._params)

    def wants_batches(self, kind: str) -> bool:
        """Whether a callback overrides a batch event of ``"train"``, ``"test"`` or ``"predict"``."""
        return any(_overrides(callback, event) for callback in self.callbacks for event in BATCH_EVENTS[kind])

    def tell(self, event: str, *args: Any) -> None:
        """Call the method ``event`` of every callback that does something there."""
        methods = self._methods.get(event)
        if methods is None:
            names = (event, event.replace("train_batch", "batch"))  # a batch event calls its older name
            methods = self._methods[event] = [
                getattr(callback, event) for callback in self.callbacks if any(_overrides(callback, n) for n in names)
            ]
        for method in methods:
            method(*args)


def _overrides(callback: Callback, event: str) -> bool:
    return getattr(type(callback), event) is not getattr(Callback, event) or event in vars(callback)
