"""Names of Keras's ``Layer`` with an underscore, which libraries written for Keras reach for all the same."""

from __future__ import annotations

from typing import Any

from lamina.tensor import Variable


class StateLock:
    """Whether ``call`` of a built layer may make weights: ``layer._tracker.unlock()`` allows it.

    Args:
        layer: the layer.
    """

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    @property
    def locked(self) -> bool:
        """Whether it may not."""
        return bool(self._layer.built and not self._layer._unlocked)

    def unlock(self) -> None:
        """Allow it."""
        self._layer._unlocked = True

    def lock(self, message: str | None = None) -> None:
        """Allow it no more."""
        self._layer._unlocked = False


class Tracking:
    """The part of ``Layer`` that answers to these names."""

    _unlocked = False
    _weights: list[Variable]

    @property
    def _tracker(self) -> StateLock:
        return StateLock(self)

    @property
    def _layers(self) -> list[Any]:
        """The layers that are attributes."""
        layer: Any = self
        return list(layer._sublayers())

    @property
    def _trainable_variables(self) -> list[Variable]:
        """The layer's own weights that were made to be trained, frozen or not."""
        layer: Any = self
        return [v for v in layer._own_variables() if layer._initially_trainable[id(v)]]

    @property
    def _non_trainable_variables(self) -> list[Variable]:
        """The layer's own weights that were made not to be trained."""
        layer: Any = self
        return [v for v in layer._own_variables() if not layer._initially_trainable[id(v)]]

    @property
    def _dtype_policy(self) -> Any:
        """The policy, or the map of policies, that the layer was given."""
        layer: Any = self
        return layer._policies or layer._policy

    def _untrack_variable(self, variable: Variable) -> None:
        """The variable belongs to the layer no longer; attributes that hold it are to be set anew or deleted."""
        self._weights[:] = [v for v in self._weights if v is not variable]

    def _build_at_init(self) -> None:
        """Build a layer that made its weights in ``__init__``."""
        layer: Any = self
        if not layer.built:
            layer.build(None)
            layer.built = True
