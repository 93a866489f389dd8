"""Event files for TensorBoard, without TensorFlow: written (needs the extra ``tensorboard``) and read back."""

from lamina.tensorboard.distributions import read_histograms
from lamina.tensorboard.reading import Event, read_events, read_scalars
from lamina.tensorboard.writer import SummaryWriter

__all__ = ["Event", "SummaryWriter", "read_events", "read_histograms", "read_scalars"]
