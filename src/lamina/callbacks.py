"""Objects that are told of the events of training: ``lamina.callbacks``."""

from lamina.training.callbacks import Callback
from lamina.training.history import History

__all__ = ["Callback", "History"]
