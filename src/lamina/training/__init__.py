"""Training: the pure step, the loops around it, what is checked before and shown meanwhile."""

from lamina.training.callbacks import Callback
from lamina.training.checkpoint import Checkpoint
from lamina.training.history import History
from lamina.training.replay import Replay, replay

__all__ = ["Callback", "Checkpoint", "History", "Replay", "replay"]
