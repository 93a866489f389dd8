"""Where the elements of a pipeline come from."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, DataError
from lamina.core.trees import flatten
from lamina.data import nodes, transforms
from lamina.data.datasets import is_stream
from lamina.data.elements import normalise, to_array


class Sources:
    """The functions that begin a pipeline."""

    def __init__(self, node: nodes.Node) -> None:
        self._node = node

    @classmethod
    def from_tensor_slices(cls, tensors: Any, name: str | None = None) -> Any:
        """The rows of arrays.

        Args:
            tensors: an array, or a tuple or dict of arrays with equally many rows.
            name: accepted for ``tf.data``'s sake, here and below.

        Raises:
            ShapeError: they have different numbers of rows.

        Example:
            >>> from lamina.data import Pipeline
            >>> [row["x"].tolist() for row in Pipeline.from_tensor_slices({"x": [[1, 2], [3, 4]]})]
            [[1, 2], [3, 4]]
        """
        return cls(nodes.Slices(tensors))

    @classmethod
    def from_tensors(cls, tensors: Any, name: str | None = None) -> Any:
        """One element.

        Example:
            >>> from lamina.data import Pipeline
            >>> len(Pipeline.from_tensors([1, 2, 3]))
            1
        """
        return cls(nodes.Whole(tensors))

    @classmethod
    def from_generator(
        cls,
        generator: Callable[..., Iterable[Any]],
        output_types: Any = None,
        output_shapes: Any = None,
        args: Sequence[Any] = (),
        output_signature: Any = None,
        name: str | None = None,
    ) -> Any:
        """What a function that returns an iterable gives; it is called anew in each pass.

        Args:
            generator: the function.
            output_types: dtypes to which the parts are converted.
            output_shapes: accepted for ``tf.data``'s sake.
            args: arguments of the function.
            output_signature: ``TensorSpec`` objects, whose dtypes are taken.

        Example:
            >>> from lamina.data import Pipeline
            >>> [int(x) for x in Pipeline.from_generator(lambda: iter([1, 2]))]
            [1, 2]
        """
        if not callable(generator):
            raise ArgumentError(f"generator is a function that returns an iterable; got a {type(generator).__name__}.")
        wanted = output_types
        if output_signature is not None:
            wanted = _map_dtypes(output_signature)

        def convert(element: Any) -> Any:
            element = normalise(tuple(element) if isinstance(wanted, tuple) else element)
            return element if wanted is None else _with_dtypes(element, wanted)

        return cls(nodes.Generated(lambda: generator(*args), convert))

    @classmethod
    def from_dataset(cls, dataset: Any) -> Any:
        """The samples of a dataset: one of Lamina, PyTorch or Hugging Face, a ``DataLoader``, or any iterable.

        Those by number are shuffled by their numbers, so that no buffer of samples is needed.

        Example:
            >>> from lamina.data import Pipeline
            >>> from lamina.data import TensorDataset
            >>> [int(x) for x, in Pipeline.from_dataset(TensorDataset([1, 2]))]
            [1, 2]
        """
        if isinstance(dataset, Sources):
            return dataset
        if not is_stream(dataset):
            return cls(nodes.Items(dataset))
        return cls(nodes.Generated(lambda: dataset, lambda e: normalise(tuple(e) if type(e) is list else e)))

    @classmethod
    def range(cls, *args: int, output_type: Any = np.int64, name: str | None = None) -> Any:
        """The integers of ``range(...)``.

        Example:
            >>> from lamina.data import Pipeline
            >>> [int(i) for i in Pipeline.range(1, 6, 2)]
            [1, 3, 5]
        """
        return cls(nodes.Range(range(*(int(a) for a in args)), output_type))

    @classmethod
    def counter(cls, start: int = 0, step: int = 1, dtype: Any = np.int64, name: str | None = None) -> Any:
        """Integers without end."""
        return cls(nodes.Repeat(nodes.Range(range(start, start + step * (1 << 62), step), dtype), -1))

    @classmethod
    def random(cls, seed: Any = None, rerandomize_each_iteration: bool | None = None, name: str | None = None) -> Any:
        """Random integers from 0 to 2**63 without end."""
        return cls(nodes.Draws(seed))

    @classmethod
    def list_files(
        cls, file_pattern: Any, shuffle: bool | None = None, seed: Any = None, name: str | None = None
    ) -> Any:
        """The names of the files that match patterns, shuffled unless told otherwise.

        Raises:
            DataError: there is none.
        """
        patterns = [file_pattern] if isinstance(file_pattern, str) else list(flatten(file_pattern)[0])
        names = sorted({name for pattern in patterns for name in glob.glob(str(pattern))})
        if not names:
            raise DataError(f"No file matches {file_pattern!r}.")
        files: Any = cls(nodes.Slices(np.array(names, object)))
        return files if shuffle is False else files.shuffle(len(names), seed)

    @classmethod
    def zip(cls, *args: Any, datasets: Any = None, name: str | None = None) -> Any:
        """Elements of several pipelines side by side, as long as each has one.

        Args:
            *args: pipelines, or one tuple or dict of them.

        Example:
            >>> from lamina.data import Pipeline
            >>> both = Pipeline.zip(Pipeline.range(3), Pipeline.range(10, 12))
            >>> [(int(a), int(b)) for a, b in both]
            [(0, 10), (1, 11)]
        """
        given = datasets if datasets is not None else args[0] if len(args) == 1 else tuple(args)
        leaves, structure = flatten(given)
        for leaf in leaves:
            if not isinstance(leaf, Sources):
                raise ArgumentError(f"zip takes pipelines, or a tuple or dict of them; got a {type(leaf).__name__}.")
        return cls(transforms.Zip(structure, [leaf._node for leaf in leaves]))

    @classmethod
    def choose_from_datasets(
        cls,
        datasets: Sequence[Any], choice_dataset: Any, stop_on_empty_dataset: bool = True
    ) -> Any:
        """From several pipelines, the next element of the one whose number comes."""
        return cls(transforms.Chosen([d._node for d in datasets], choice_dataset._node, stop_on_empty_dataset))

    @classmethod
    def sample_from_datasets(
        cls,
        datasets: Sequence[Any],
        weights: Any = None,
        seed: Any = None,
        stop_on_empty_dataset: bool = False,
        rerandomize_each_iteration: bool | None = None,
    ) -> Any:
        """Elements of several pipelines, each drawn from one of them at random.

        Args:
            datasets: the pipelines.
            weights: their probabilities; default equal ones.
            seed: an int; default from ``lamina.random``.
            stop_on_empty_dataset: whether to end as soon as one of them has ended.
        """
        share = np.full(len(datasets), 1.0) if weights is None else np.asarray(weights, np.float64)
        share = share / share.sum()
        numbers = cls.random(seed).map(lambda bits: np.searchsorted(np.cumsum(share), float(bits) / 2.0**63))
        return cls.choose_from_datasets(datasets, numbers, stop_on_empty_dataset)


def _map_dtypes(signature: Any) -> Any:
    """The dtypes of a structure of ``TensorSpec`` objects."""
    if isinstance(signature, dict):
        return {key: _map_dtypes(part) for key, part in signature.items()}
    if isinstance(signature, list | tuple) and not hasattr(signature, "dtype"):
        return tuple(_map_dtypes(part) for part in signature)
    return signature.dtype


def _with_dtypes(element: Any, wanted: Any) -> Any:
    if isinstance(wanted, dict):
        return {key: _with_dtypes(element[key], part) for key, part in wanted.items()}
    if isinstance(wanted, tuple):
        return tuple(_with_dtypes(part, dtype) for part, dtype in zip(element, wanted, strict=True))
    if wanted is None or wanted in (str, "string") or getattr(wanted, "name", "") == "string":
        return element
    return to_array(element).astype(np.dtype(getattr(wanted, "name", wanted)), copy=False)
