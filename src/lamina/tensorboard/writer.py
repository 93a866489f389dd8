"""``SummaryWriter``: what a program wants to see in TensorBoard, written to a folder."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.optional import require
from lamina.tensorboard import graphs, summaries
from lamina.tensorboard.events import EventFile, module


class SummaryWriter:
    """Writes event files to a folder that ``tensorboard --logdir`` shows.

    The methods have the names that PyTorch gives them.  ``global_step`` is where on the horizontal axis a value
    belongs, ``walltime`` when it was measured (seconds since the epoch; default now).

    Args:
        log_dir: the folder, made with its first event; default ``runs/`` and the time.
        flush_secs: how long events may wait in memory.
        filename_suffix: end of the name of event files.

    Raises:
        MissingExtraError: the package ``tensorboard`` is not installed.

    Example:
        >>> import tempfile, lamina
        >>> with lamina.tensorboard.SummaryWriter(tempfile.mkdtemp()) as writer:
        ...     for step in range(3):
        ...         writer.add_scalar("loss", 1 / (1 + step), step)
        ...     writer.add_histogram("weights", lamina.random.normal((100,)), 0)
        ...     writer.add_text("note", "the *first* run")
    """

    def __init__(
        self, log_dir: str | PathLike[str] | None = None, flush_secs: float = 30.0, filename_suffix: str = ""
    ) -> None:
        self.log_dir = str(log_dir) if log_dir is not None else f"runs/{time.strftime('%Y-%m-%d_%H-%M-%S')}"
        self._flush_secs, self._suffix = flush_secs, filename_suffix
        self._file: EventFile | None = None
        self._inner: dict[str, SummaryWriter] = {}
        module("summary.writer.record_writer")  # says at once if it is not installed

    @property
    def file(self) -> EventFile:
        """The event file, made when it is first needed."""
        if self._file is None:
            self._file = EventFile(Path(self.log_dir), self._suffix, self._flush_secs)
        return self._file

    def _add(self, summary: Any, global_step: Any, walltime: float | None) -> None:
        self.file.write(walltime, None if global_step is None else int(global_step), summary=summary)

    def add_scalar(self, tag: str, scalar_value: Any, global_step: Any = None, walltime: float | None = None) -> None:
        """Add a number.

        Raises:
            ShapeError: it is more than one.
        """
        self._add(summaries.scalar(tag, scalar_value), global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Add several numbers that are drawn in one diagram: each belongs to a run of its own, in a folder below."""
        for name, value in tag_scalar_dict.items():
            self.inner(f"{main_tag.replace('/', '_')}_{name}").add_scalar(main_tag, value, global_step, walltime)

    def inner(self, name: str) -> SummaryWriter:
        """The writer for a run in a folder below this one; closed with this one."""
        if name not in self._inner:
            self._inner[name] = SummaryWriter(Path(self.log_dir) / name, self._flush_secs, self._suffix)
        return self._inner[name]

    def add_histogram(
        self, tag: str, values: Any, global_step: Any = None, bins: int = 30, walltime: float | None = None
    ) -> None:
        """Add how values are distributed.  NaN and infinities are left out.

        Args:
            tag: name.
            values: of any shape.
            global_step: the step.
            bins: how many equal parts their range is cut into.
            walltime: when.
        """
        if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
            raise ArgumentError(f"bins is a number of bins, at least 1; got {bins!r}.")
        self._add(summaries.histogram(tag, values, bins), global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "HWC",
    ) -> None:
        """Add a picture: uint8 from 0 to 255, or floats from 0 to 1.

        Args:
            tag: name.
            img_tensor: the picture.
            global_step: the step.
            walltime: when.
            dataformats: its axes: ``"HWC"``, ``"CHW"`` or ``"HW"``.

        Raises:
            ArgumentError, ShapeError: it has other axes, or no 1 to 4 channels.
        """
        self._add(summaries.images(tag, img_tensor, dataformats), global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NHWC",
        max_outputs: int = 10,
    ) -> None:
        """Add several pictures, shown side by side; arguments as those of ``add_image``.

        Args:
            tag: name.
            img_tensor: the pictures.
            global_step: the step.
            walltime: when.
            dataformats: the axes: ``"NHWC"``, ``"NCHW"`` or ``"NHW"``.
            max_outputs: show the first so many.
        """
        self._add(summaries.images(tag, img_tensor, dataformats, max_outputs), global_step, walltime)

    def add_figure(self, tag: str, figure: Any, global_step: Any = None, walltime: float | None = None) -> None:
        """Add a ``Figure`` of matplotlib, such as ``lamina.plotting`` returns, as a picture."""
        canvas = require("matplotlib.backends.backend_agg", "plot", "add_figure").FigureCanvasAgg(figure)
        canvas.draw()
        self.add_image(tag, np.asarray(canvas.buffer_rgba()), global_step, walltime)

    def add_text(
        self, tag: str, text_string: str | Sequence[str], global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Add text, which may be Markdown."""
        self._add(summaries.text(tag, text_string), global_step, walltime)

    def add_hparams(
        self, hparam_dict: Mapping[str, Any], metric_dict: Mapping[str, Any] | None = None, global_step: Any = None
    ) -> None:
        """Add what this run was made with, and what came out, for a table over many runs.

        Args:
            hparam_dict: bools, numbers and strings by name; anything else is written as text.
            metric_dict: numbers by tag; they become scalars too.
            global_step: the step of these scalars.
        """
        for summary in summaries.hyperparameters(hparam_dict, [(tag, "") for tag in metric_dict or {}]):
            self._add(summary, None, None)
        for tag, value in (metric_dict or {}).items():
            self.add_scalar(tag, value, global_step)

    def add_graph(self, model: Any, input_to_model: Any = None) -> None:
        """Add the graph of a built model, of a ``lamina.function`` on some arguments, or a ``lamina.graph.ir.Graph``.

        Args:
            model: what to draw.
            input_to_model: the argument, or a tuple of the arguments, of a function.

        Raises:
            ArgumentError: it is none of these, or a model that is not built.
        """
        from lamina.graph.function import Function
        from lamina.graph.ir import Graph
        from lamina.models import Model

        graph: Graph | None = None
        if isinstance(model, Graph):
            graph = model
        elif isinstance(model, Function | Model) and input_to_model is not None:
            arguments = input_to_model if isinstance(input_to_model, tuple) else (input_to_model,)
            graph = (model if isinstance(model, Function) else Function(model)).graph(*arguments)
        elif isinstance(model, Model):
            graph = graphs.model_graph(model)
        if graph is None:
            raise ArgumentError(
                f"add_graph takes a model with known inputs, or a model or lamina.function and its arguments; "
                f"got {model!r}. Give input_to_model=."
            )
        self.file.write(graph_def=graphs.graph_def(graph).SerializeToString())
        text = graphs.layers_as_json(model) if isinstance(model, Model) else None
        if text is not None:
            self._add(summaries.keras_graph("keras", text), 0, None)

    def add_embedding(
        self, mat: Any, metadata: Sequence[Any] | None = None, global_step: Any = None, tag: str = "default"
    ) -> None:
        """Add points in many dimensions for TensorBoard's projector.

        Args:
            mat: ``(points, dimensions)``.
            metadata: a label for each point.
            global_step: the step.
            tag: name.

        Raises:
            ShapeError: these are no rows, or there is another number of labels.
        """
        array = summaries.as_array(mat)
        if array.ndim != 2 or (metadata is not None and len(metadata) != len(array)):
            labels = "" if metadata is None else f" with {len(metadata)} labels"
            raise ShapeError(
                f"An embedding is a row for each point, and a label for each row; got {array.shape}{labels}."
            )
        step = 0 if global_step is None else int(global_step)
        place = f"{step:05d}/{tag.replace('/', '_')}"
        folder = Path(self.log_dir) / place
        folder.mkdir(parents=True, exist_ok=True)
        np.savetxt(folder / "tensors.tsv", array.astype(np.float64), delimiter="\t", fmt="%.9g")
        config: dict[str, str] = {"tensor_path": f"{place}/tensors.tsv"}
        if metadata is not None:
            lines = [str(label).replace("\n", " ").replace("\t", " ") or " " for label in metadata]
            (folder / "metadata.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
            config["metadata_path"] = f"{place}/metadata.tsv"
        self._embeddings = {**getattr(self, "_embeddings", {}), f"{tag}:{step:05d}": config}
        write_projector(Path(self.log_dir), self._embeddings)

    def flush(self) -> None:
        """Hand everything to the operating system, for TensorBoard to see."""
        if self._file is not None:
            self._file.flush()
        for writer in self._inner.values():
            writer.flush()

    def close(self) -> None:
        """Flush and close the files.  A later event starts a new one."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
        for writer in self._inner.values():
            writer.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def write_projector(folder: Path, embeddings: Mapping[str, Mapping[str, str]]) -> None:
    """The file in which the projector looks for embeddings: by name, the fields of each."""
    proto = module("plugins.projector.projector_config_pb2")
    from google.protobuf import text_format

    config = proto.ProjectorConfig()
    for name, fields in embeddings.items():
        embedding = config.embeddings.add()
        embedding.tensor_name = name
        for key, value in fields.items():
            setattr(embedding, key, value)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "projector_config.pbtxt").write_text(text_format.MessageToString(config))
