"""Event files for TensorBoard, written without TensorFlow (needs the extra ``tensorboard``)."""

from lamina.tensorboard.writer import SummaryWriter

__all__ = ["SummaryWriter"]
