"""``tf.summary``: numbers, histograms, pictures and text for TensorBoard (``lamina.tensorboard.SummaryWriter``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from lamina.compat.tensorflow._convert import static
from lamina.core.errors import ArgumentError
from lamina.tensorboard import SummaryWriter as _Writer


class _Current:
    """The writer that the functions below write to, and the step where none is given."""

    writer: _Writer | None = None
    step: int | None = None


class SummaryWriter:
    """What ``create_file_writer`` returns."""

    def __init__(self, logdir: Any) -> None:
        self._writer = _Writer(logdir)

    @contextmanager
    def as_default(self, step: Any = None) -> Iterator[SummaryWriter]:
        """What the functions of ``tf.summary`` write inside goes to this writer."""
        before = _Current.writer, _Current.step
        _Current.writer, _Current.step = self._writer, before[1] if step is None else static(step)
        try:
            yield self
        finally:
            self._writer.flush()
            _Current.writer, _Current.step = before

    def set_as_default(self, step: Any = None) -> None:
        """What the functions of ``tf.summary`` write from now on goes to this writer."""
        _Current.writer, _Current.step = self._writer, _Current.step if step is None else static(step)

    def flush(self) -> None:
        """Write out what waits in memory."""
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        self._writer.close()


def create_file_writer(
    logdir: Any,
    max_queue: Any = None,
    flush_millis: Any = None,
    filename_suffix: Any = None,
    name: str | None = None,
) -> SummaryWriter:
    """A writer of event files in a folder (needs the extra ``tensorboard``)."""
    return SummaryWriter(logdir)


def _place(step: Any) -> tuple[_Writer | None, int]:
    """Where to write, and the step.

    Raises:
        ArgumentError: there is no step.
    """
    found = _Current.step if step is None else static(step)
    if _Current.writer is not None and found is None:
        raise ArgumentError("tf.summary: give step=, or set it by tf.summary.experimental.set_step.")
    return _Current.writer, 0 if found is None else int(found)


def scalar(name: str, data: Any, step: Any = None, description: str | None = None) -> bool:
    """Write a number; returns whether there is a writer."""
    writer, at = _place(step)
    if writer is not None:
        writer.add_scalar(name, data, at)
    return writer is not None


def histogram(
    name: str, data: Any, step: Any = None, buckets: int | None = None, description: str | None = None
) -> bool:
    """Write how numbers are distributed; returns whether there is a writer."""
    writer, at = _place(step)
    if writer is not None:
        writer.add_histogram(name, data, at, buckets or 30)
    return writer is not None


def image(name: str, data: Any, step: Any = None, max_outputs: int = 3, description: str | None = None) -> bool:
    """Write pictures ``(batch, height, width, channels)``; returns whether there is a writer."""
    writer, at = _place(step)
    if writer is not None:
        writer.add_images(name, np.asarray(data), at, max_outputs=max_outputs)
    return writer is not None


def text(name: str, data: Any, step: Any = None, description: str | None = None) -> bool:
    """Write text; returns whether there is a writer."""
    writer, at = _place(step)
    if writer is not None:
        writer.add_text(name, data, at)
    return writer is not None


def flush(writer: SummaryWriter | None = None) -> None:
    """Write out what waits in memory."""
    if writer is not None:
        writer.flush()
    elif _Current.writer is not None:
        _Current.writer.flush()


def _set_step(step: Any) -> None:
    _Current.step = None if step is None else static(step)


experimental = SimpleNamespace(get_step=lambda: _Current.step, set_step=_set_step)
