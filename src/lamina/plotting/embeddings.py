"""Vectors of many dimensions as points on a plane, and a vector's neighbours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, ShapeError
from lamina.inspection.projection import as_vectors, index_of, nearest, pca, tsne
from lamina.plotting.figures import INK, MARKERS, PALETTE, SEQUENTIAL, color_bar, finish, legend, new_figure, style

PURPOSE = "drawing embeddings"
MOST_TEXTS = 300


def plot_embeddings(
    vectors: Any,
    classes: Any = None,
    method: str = "pca",
    path: str | os.PathLike[str] | None = None,
    texts: Sequence[Any] | None = None,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    **options: Any,
) -> Any:
    """Draw vectors as points in two dimensions.

    Args:
        vectors: ``(n, features)``: features of a network, weights of an ``Embedding``, codes of an autoencoder.
            Those with two features are drawn as they are.
        classes: a class for each, as a number or name, or a number from a range, which is drawn as a colour.
        method: ``"pca"`` for principal components, ``"tsne"`` for t-SNE (extra ``sklearn``).
        path: file to write, its format from its ending; ``None`` to write none.
        texts: words to write beside the points, at most 300.
        labels: names of the classes 0, 1, ...
        title: a line above.
        options: more arguments of ``lamina.inspection.tsne``.

    Returns:
        The matplotlib ``Figure``.  The numbers are those of ``lamina.inspection.pca`` and ``tsne``.

    Raises:
        ArgumentError: the method is unknown, or there are not as many classes or texts as vectors.
        MissingExtraError: matplotlib or, for t-SNE, scikit-learn is not installed.

    Example:
        >>> figure = plot_embeddings([[1, 0, 0], [0, 1, 0], [0, 0, 2]], texts=["a", "b", "c"])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['a', 'b', 'c']
    """
    x = as_vectors(vectors)
    for what, given in (("classes", classes), ("texts", texts)):
        if given is not None and len(given) != len(x):
            raise ArgumentError(f"plot_embeddings: there are {len(x)} vectors and {len(given)} {what}.")
    if texts is not None and len(texts) > MOST_TEXTS:
        raise ArgumentError(f"plot_embeddings writes at most {MOST_TEXTS} texts, got {len(texts)}; draw a part.")
    if method not in ("pca", "tsne"):
        raise ArgumentError(f"method is 'pca' or 'tsne'; got {method!r}.")
    names: tuple[str, ...]
    if x.shape[1] == 2:
        points, names = x, ("first", "second")
    elif x.shape[1] == 1:
        raise ShapeError("plot_embeddings draws vectors of two or more numbers; these have one.")
    elif method == "pca":
        found = pca(x, **options)
        points = found.points
        names = tuple(f"component {i + 1} ({share:.0%} of the variance)" for i, share in enumerate(found.explained))
    else:
        points, names = tsne(x, **options), ("t-SNE 1", "t-SNE 2")
    figure, [panel] = new_figure(1, 1, (6.2, 5.0), PURPOSE)
    size = float(np.clip(4000 / len(points), 7, 36))
    if classes is None:
        panel.scatter(*points.T, s=size, color=PALETTE[0], linewidths=0, alpha=0.8)
    else:
        _colored(figure, panel, points, np.asarray(classes).reshape(-1), labels, size)
    style(panel, "", *names)
    panel.margins(0.06)
    if texts is not None:
        _write(figure, panel, points, [str(text) for text in texts])
    return finish(figure, path, title)


def _write(figure: Any, panel: Any, points: np.ndarray, texts: list[str]) -> None:
    """Texts beside their points, on the side where they cover the least of what is there already."""
    figure.draw_without_rendering()  # from here on places on the page are known
    places = panel.transData.transform(points)
    dot = figure.dpi / 72
    taken = [(x - 3 * dot, y - 3 * dot, x + 3 * dot, y + 3 * dot) for x, y in places]
    for text, point, (x, y) in zip(texts, points, places, strict=True):
        width, height = 4.9 * dot * len(text), 8 * dot
        best: tuple[float, Any, Any, Any] = (np.inf, None, None, None)
        for across, up in ((1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1)):
            left = x + across * 4 * dot - (0 if across > 0 else width if across < 0 else width / 2)
            low = y + up * 4 * dot - (0 if up > 0 else height if up < 0 else height / 2)
            box = (left, low, left + width, low + height)
            covered = sum(_overlap(box, other) for other in taken)
            if covered < best[0]:
                best = (covered, box, (across, up), {1: "left", -1: "right", 0: "center"}[across])
        _, box, (across, up), side = best
        taken.append(box)
        panel.annotate(
            text, point, (4 * across, 4 * up), textcoords="offset points", fontsize=8, color=INK, ha=side,
            va={1: "bottom", -1: "top", 0: "center"}[up],
        )  # fmt: skip


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """The area that two boxes share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _colored(figure: Any, panel: Any, points: np.ndarray, classes: np.ndarray, labels: Any, size: float) -> None:
    kinds = np.unique(classes)
    if classes.dtype.kind == "f" and (len(kinds) > 20 or (kinds != np.round(kinds)).any()):
        drawn = panel.scatter(*points.T, s=size, c=classes, cmap=SEQUENTIAL, linewidths=0)
        color_bar(figure, drawn, panel)
        return
    for number, kind in enumerate(kinds):
        at = int(kind) if classes.dtype.kind in "iuf" and 0 <= kind < 1000 else number
        name = str(labels[at]) if labels is not None and at < len(labels) else str(kind)
        rows = classes == kind
        panel.scatter(
            *points[rows].T, s=size, color=PALETTE[number % len(PALETTE)], alpha=0.8, linewidths=0, label=name,
            marker=MARKERS[(number + number // len(PALETTE)) % len(MARKERS)],
        )  # fmt: skip
    legend(panel, loc="center left", bbox_to_anchor=(1.01, 0.5), markerscale=max(1.0, 5 / size**0.5))


def plot_neighbors(
    vectors: Any,
    queries: Sequence[Any] | Any,
    labels: Sequence[Any],
    count: int = 8,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
) -> Any:
    """Draw the vectors nearest to some, with the cosines of their angles: a panel for each.

    Args:
        vectors: ``(n, features)``, such as the weights of an ``Embedding``.
        queries: labels whose neighbours are wanted: one or several.
        labels: names of the vectors, such as the vocabulary.
        count: neighbours of each.
        path: file to write, its format from its ending; ``None`` to write none.
        title: a line above.

    Returns:
        The matplotlib ``Figure``.  The numbers are those of ``lamina.inspection.nearest``.

    Raises:
        ArgumentError: a label is unknown, or there are not as many labels as vectors.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> figure = plot_neighbors([[1, 0], [2, 0.1], [0, 1]], "cat", ["cat", "dog", "tax"])
        >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
        ['dog', 'tax']
    """
    wanted = list(queries) if isinstance(queries, list | tuple) else [queries]
    if not wanted:
        raise ArgumentError("plot_neighbors takes at least one label.")
    columns = min(3, len(wanted))
    size = (3.4, 0.24 * min(count, len(labels)) + 0.9)
    figure, panels = new_figure(-(-len(wanted) // columns), columns, size, PURPOSE)
    for panel, query in zip(panels, wanted, strict=False):
        found = nearest(vectors, index_of(labels, query), count, labels)
        names, cosines = [str(name) for name, _ in found], [cosine for _, cosine in found]
        panel.barh(range(len(found)), cosines, color=PALETTE[0], height=0.7)
        panel.set_yticks(range(len(found)), names, fontsize=9)
        panel.invert_yaxis()
        panel.set_xlim(min(0, *cosines), 1)
        style(panel, str(query), "cosine")
        panel.grid(False, axis="y")
        panel.tick_params(axis="y", length=0)
    for panel in panels[len(wanted) :]:
        panel.set_visible(False)
    return finish(figure, path, title)
