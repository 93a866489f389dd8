"""Small callbacks: functions, numbers that are none, averaged weights, a server."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.callbacks.monitor import parts_of
from lamina.core.errors import ArgumentError
from lamina.core.messages import say
from lamina.training.callbacks import Callback, Logs


class LambdaCallback(Callback):
    """Calls functions at the events of training.

    Args:
        on_epoch_begin: ``f(epoch, logs)``.
        on_epoch_end: ``f(epoch, logs)``.
        on_train_begin: ``f(logs)``.
        on_train_end: ``f(logs)``.
        on_train_batch_begin: ``f(batch, logs)``.
        on_train_batch_end: ``f(batch, logs)``.
        kwargs: functions for any other event of ``Callback``, by its name.

    Example:
        >>> tell = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Callable[..., Any],
    ) -> None:
        super().__init__()
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        for event, function in given.items():
            if not event.startswith("on_") or not hasattr(Callback, event):
                known = ", ".join(name for name in dir(Callback) if name.startswith("on_"))
                raise ArgumentError(f"LambdaCallback: there is no event {event!r}. The events: {known}.")
            if function is not None:
                setattr(self, event, function)


class TerminateOnNaN(Callback):
    """Ends training when the loss is NaN or infinite.

    With it ``fit`` does not look for such values in the data beforehand.

    Args:
        raise_error: raise a ``RuntimeError`` at once instead of ending the epoch, so that callbacks do not hear
            of an end of training.
    """

    watches_for_nan = True

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or np.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(f"NaN or Inf loss encountered at batch {batch}: it is {loss}. Training ends at once.")
        say(f"Batch {batch}: the loss is {loss}; training ends.")
        self.model.stop_training = True


class SwapEMAWeights(Callback):
    """Evaluates and predicts with the averaged weights that an optimizer with ``use_ema=True`` keeps.

    Args:
        swap_on_epoch: whether the averaged weights are in the model from the end of an epoch to the start of the
            next, for callbacks that come after this one (``ModelCheckpoint``).
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._swapped = False

    def _pairs(self) -> list[tuple[Any, Any]]:
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        pairs = []
        for part in parts_of(optimizer):
            if getattr(part, "use_ema", False) and part.built:
                pairs += list(zip(part._trainable_variables, part._model_variables_moving_average, strict=True))
        if not any(getattr(part, "use_ema", False) for part in parts_of(optimizer)):
            raise ArgumentError("SwapEMAWeights must be used when `use_ema=True` is set on the optimizer.")
        return pairs

    def _swap(self, wanted: bool) -> None:
        """Bring the averaged weights into the model, or the trained ones back."""
        if self._swapped != wanted:
            for variable, average in self._pairs():
                value = variable.numpy()
                variable.assign(average.numpy())
                average.assign(value)
            self._swapped = wanted

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._swap(False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._swap(True)
            # The end of fit sets the weights to their average: the average is what is in the model now.
            if epoch == self.params.get("epochs", 0) - 1 or self.model.stop_training:
                for variable, average in self._pairs():
                    average.assign(variable.numpy())

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._swap(True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._swap(False)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._swap(True)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._swap(False)


class RemoteMonitor(Callback):
    """Sends the logs of each epoch to a server, by HTTP POST.

    Nothing is sent anywhere but to ``root``; a server that does not answer is a warning.

    Args:
        root: address of the server.
        path: path on it.
        field: name of the form's field that holds the JSON; where ``send_as_json`` is false.
        headers: more headers.
        send_as_json: send the JSON itself instead of a form.
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: dict[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        if not root.startswith(("http://", "https://")):
            raise ArgumentError(
                f"RemoteMonitor: root is an address that starts with http:// or https://, got {root!r}."
            )
        self.root, self.path, self.field, self.headers, self.send_as_json = root, path, field, headers, send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        text = json.dumps({"epoch": epoch, **{k: np.asarray(v).tolist() for k, v in (logs or {}).items()}})
        kind = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        body = text if self.send_as_json else urllib.parse.urlencode({self.field: text})
        headers = {"Content-Type": kind, **(self.headers or {})}
        request = urllib.request.Request(self.root + self.path, body.encode(), headers)
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except (urllib.error.URLError, OSError) as error:
            warnings.warn(f"Could not reach RemoteMonitor root server at {self.root}: {error}", stacklevel=2)
