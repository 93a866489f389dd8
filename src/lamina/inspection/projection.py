"""Vectors of many dimensions in two: principal components and t-SNE, and which are near each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina import linalg
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.messages import did_you_mean
from lamina.core.optional import require


class PrincipalComponents(NamedTuple):
    """Vectors along their principal axes.

    Attributes:
        points: ``(n, components)``.
        axes: ``(components, features)``, unit vectors.
        explained: the share of the whole variance along each axis.
    """

    points: np.ndarray
    axes: np.ndarray
    explained: np.ndarray


def pca(vectors: Any, components: int = 2) -> PrincipalComponents:
    """Vectors in the directions in which they vary most: ``x - mean = U S Vh``, points ``U S``, axes ``Vh``.

    Args:
        vectors: ``(n, features)``; further axes count as features.
        components: how many directions.

    Returns:
        Points, axes, and the share of the variance that each axis explains.  The largest entry of an axis is positive.

    Raises:
        ShapeError: there are fewer than two vectors, or fewer samples or features than ``components``.

    Source: Pearson, "On lines and planes of closest fit to systems of points in space", 1901.

    Example:
        >>> points, axes, explained = pca([[0, 0], [1, 1], [2, 2]], components=1)
        >>> axes.round(3).tolist(), explained.round(3).tolist()
        ([[0.707, 0.707]], [1.0])
    """
    x = as_vectors(vectors)
    if not 1 <= components <= min(x.shape):
        raise ShapeError(f"pca: {x.shape[0]} vectors of {x.shape[1]} have no {components!r} components.")
    _, s, vh = (np.asarray(part) for part in linalg.svd(x - x.mean(0), full_matrices=False))
    axes = vh[:components]
    largest = np.abs(axes).argmax(1)
    axes = axes * np.where(axes[np.arange(components), largest] < 0, -1, 1)[:, None]
    total = (s**2).sum()
    return PrincipalComponents((x - x.mean(0)) @ axes.T, axes, s[:components] ** 2 / (total if total > 0 else 1))


def tsne(vectors: Any, components: int = 2, perplexity: float = 30.0, seed: int = 0) -> np.ndarray:
    """Vectors in two dimensions, near each other where they are near in all; distances between groups mean little.

    Args:
        vectors: ``(n, features)``; further axes count as features.
        components: 2 or 3.
        perplexity: about how many neighbours count, less than ``n``; it is made smaller if need be.
        seed: of the random numbers.

    Returns:
        ``(n, components)``.

    Raises:
        MissingExtraError: scikit-learn is not installed.

    Source: van der Maaten and Hinton, "Visualizing data using t-SNE", 2008.
    """
    x = as_vectors(vectors).astype(np.float32)
    module = require("sklearn.manifold", "sklearn", "t-SNE")
    perplexity = min(perplexity, max(1.0, (len(x) - 1) / 3))
    start = "pca" if min(x.shape) >= components else "random"
    return np.asarray(module.TSNE(components, perplexity=perplexity, init=start, random_state=seed).fit_transform(x))


def nearest(vectors: Any, query: Any, count: int = 10, labels: Sequence[Any] | None = None) -> list[tuple[Any, float]]:
    """The vectors that point most nearly in the query's direction, with the cosines of their angles to it.

    Args:
        vectors: ``(n, features)``, such as the weights of an ``Embedding``.
        query: a vector, the number of one of the vectors, or its label, which then is not among the answers.
        count: how many.
        labels: names of the vectors, such as a vocabulary; default their numbers.

    Returns:
        ``(label, cosine)``, the nearest first.

    Raises:
        ArgumentError: the label is unknown, or the number out of range.

    Example:
        >>> nearest([[1, 0], [2, 0.1], [0, 1]], "a", labels=["a", "b", "c"])[0][0]
        'b'
    """
    x = as_vectors(vectors)
    names: list[Any] = list(range(len(x))) if labels is None else list(labels)
    if len(names) != len(x):
        raise ArgumentError(f"nearest: there are {len(x)} vectors and {len(names)} labels.")
    own = None
    if isinstance(query, str):
        own = index_of(names, query)
    elif np.ndim(query) == 0:
        own = int(query)
        if not -len(x) <= own < len(x):
            raise ArgumentError(f"nearest: there are {len(x)} vectors, and no number {own}.")
        own %= len(x)
    wanted = x[own] if own is not None else np.asarray(query, np.float64).reshape(-1)
    if wanted.shape != x.shape[1:]:
        raise ShapeError(f"nearest: the vectors have {x.shape[1]} numbers and the query {wanted.size}.")
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(wanted)
    cosines = x @ wanted / np.where(lengths > 0, lengths, 1)
    order = [i for i in np.argsort(-cosines, kind="stable") if i != own][:count]
    return [(names[i], float(cosines[i])) for i in order]


def index_of(labels: Sequence[Any], label: Any) -> int:
    """The place of a label.

    Raises:
        ArgumentError: it is not among them.
    """
    for i, each in enumerate(labels):
        if each == label:
            return i
    raise ArgumentError(f"{label!r} is none of the {len(labels)} labels.{did_you_mean(label, labels)}")


def as_vectors(vectors: Any) -> np.ndarray:
    """Rows of float64.

    Raises:
        ShapeError: there are fewer than two.
    """
    x = np.asarray(vectors).astype(np.float64)
    if x.ndim < 2 or len(x) < 2:
        raise ShapeError(f"Vectors are (n, features) with n >= 2; got shape {x.shape}.")
    return x.reshape(len(x), -1)
