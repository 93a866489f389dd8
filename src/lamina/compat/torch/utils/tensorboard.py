"""``torch.utils.tensorboard``: ``lamina.tensorboard.SummaryWriter`` with PyTorch's arguments and order of axes."""

from __future__ import annotations

import time
from typing import Any

from lamina import tensorboard as _tensorboard

__all__ = ["SummaryWriter"]


class SummaryWriter(_tensorboard.SummaryWriter):
    """Writes event files; pictures have their channels first unless ``dataformats`` says otherwise.

    Args:
        log_dir: the folder; default ``runs/`` and the time.
        comment: end of the default folder's name.
        purge_step: accepted for PyTorch's sake.
        max_queue: accepted for PyTorch's sake.
        flush_secs: how long events may wait in memory.
        filename_suffix: end of the name of event files.

    Example:
        >>> import tempfile
        >>> with SummaryWriter(tempfile.mkdtemp()) as writer:
        ...     writer.add_scalar("Loss/train", 0.5, 1)
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        folder = log_dir or f"runs/{time.strftime('%b%d_%H-%M-%S')}{comment}"
        super().__init__(folder, flush_secs, filename_suffix)

    def add_histogram(
        self, tag: str, values: Any, global_step: Any = None, bins: Any = 30, walltime: float | None = None
    ) -> None:
        """Add how values are distributed; names of binnings of PyTorch's stand for 30 equal bins."""
        super().add_histogram(tag, values, global_step, 30 if isinstance(bins, str) else bins, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Add a picture ``(channels, height, width)``."""
        super().add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
        max_outputs: int = 10,
    ) -> None:
        """Add pictures ``(samples, channels, height, width)``."""
        super().add_images(tag, img_tensor, global_step, walltime, dataformats, max_outputs)
