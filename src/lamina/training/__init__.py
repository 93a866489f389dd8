"""Training: the pure step, the loops around it, what is checked before and shown meanwhile."""

from lamina.training.callbacks import Callback
from lamina.training.checkpoint import Checkpoint
from lamina.training.history import History
from lamina.training.record_compare import Difference, why_different
from lamina.training.recorder import Recorder
from lamina.training.replay import Replay, replay

__all__ = ["Callback", "Checkpoint", "Difference", "History", "Recorder", "Replay", "replay", "why_different"]
