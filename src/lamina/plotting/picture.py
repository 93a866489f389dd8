"""A drawing of a network: shapes with places, as SVG text or on a matplotlib figure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from lamina.core.errors import ArgumentError
from lamina.core.optional import require
from lamina.plotting.layout import Point, arrange
from lamina.plotting.network import Box, Network

# Fill and line of each family of layers.
COLORS = {
    "input": ("#f1f4f7", "#7c8a99"), "dense": ("#e4eefb", "#3f73b8"), "convolution": ("#e1f3e6", "#37895a"),
    "pooling": ("#dcf2f1", "#23857f"), "normalization": ("#efe9fb", "#7653bd"),
    "regularization": ("#fbe7ef", "#b9507f"), "activation": ("#fff2d3", "#b47d12"),
    "reshaping": ("#efefef", "#7d7d7d"), "recurrent": ("#ffeadd", "#c9682a"),
    "attention": ("#fde5e2", "#c4473d"), "merge": ("#fbf6cf", "#9d8d14"), "preprocessing": ("#f4ece3", "#8d6c46"),
    "model": ("#e9edf2", "#4d5966"), "other": ("#f4f4f4", "#6f6f6f"),
}  # fmt: skip
INSIDE = ("#fafbfc", "#9aa5b1")  # of a box with something inside
LINE, INK, FAINT = "#66717d", "#1f2933", "#5b6671"
FONT = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"
TITLE, NOTE, ROW = 13.0, 11.5, 11.0
MARGIN, PAD, HEAD = 12.0, 11.0, 26.0
ARROW = 7.0
UNITS = 96.0  # units of the drawing in an inch
MOST_PIXELS = 30000

# Widths of the printable ASCII characters in DejaVu Sans, in thousandths of the size.
_WIDTHS = (
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636, 636, 636,
    636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863,
    748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635,
    615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636,
    337, 636, 838,
)  # fmt: skip
BOLD = 1.115  # how much wider bold letters are


def width_of(text: str, size: float, bold: bool = False) -> float:
    """How wide a line of text is."""
    total = sum(_WIDTHS[ord(c) - 32] if 32 <= ord(c) < 127 else 838 for c in text)
    return total / 1000 * size * (BOLD if bold else 1) * 1.02  # letters on pixels are a little wider


@dataclass
class _Text:
    x: float
    y: float
    text: str
    size: float
    bold: bool = False
    color: str = INK


@dataclass
class _Rect:
    x: float
    y: float
    width: float
    height: float
    fill: str
    line: str


@dataclass
class _Path:
    points: list[Point]
    arrow: bool


@dataclass(repr=False)
class Picture:
    """Shapes in their places; ``svg()`` or ``save(path)`` shows them.

    Attributes:
        width: in units of 1/96 inch.
        height: likewise.
        horizontal: whether lines run from side to side.
    """

    width: float = 0.0
    height: float = 0.0
    horizontal: bool = False
    rects: list[_Rect] = field(default_factory=list)
    texts: list[_Text] = field(default_factory=list)
    paths: list[_Path] = field(default_factory=list)
    dpi: int | None = 200
    dot: str = ""

    def __repr__(self) -> str:
        return f"<Picture of {len(self.rects)} boxes, {self.width:.0f} x {self.height:.0f}: save(path) or svg()>"

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        # In a box with bars to move it: drawings of deep models are larger than a page.
        return f"<div style='overflow:auto;max-height:60em;background:white'>{self.svg()}</div>"

    def to_string(self) -> str:
        """The drawing in Graphviz's language, its boxes without places."""
        return self.dot

    # --- SVG ------------------------------------------------------------------------------------------
    def svg(self) -> str:
        """The drawing as SVG text."""
        w, h = self.width, self.height
        size = f'width="{w:.0f}" height="{h:.0f}" viewBox="0 0 {w:.1f} {h:.1f}"'
        out = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}">']
        out.append(f'<rect width="{w:.1f}" height="{h:.1f}" fill="white"/>')
        for r in self.rects:
            place = f'x="{r.x:.1f}" y="{r.y:.1f}" width="{r.width:.1f}" height="{r.height:.1f}"'
            out.append(f'<rect {place} rx="6" fill="{r.fill}" stroke="{r.line}" stroke-width="1.2"/>')
        for p in self.paths:
            commands = [f"M{p.points[0][0]:.1f} {p.points[0][1]:.1f}"]
            for a, b in self._pieces(p):
                commands.append("C" + " ".join(f"{x:.1f} {y:.1f}" for x, y in self._controls(a, b)))
            out.append(f'<path d="{"".join(commands)}" fill="none" stroke="{LINE}" stroke-width="1.3"/>')
            if p.arrow:
                corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in self._arrow(p))
                out.append(f'<polygon points="{corners}" fill="{LINE}"/>')
        for t in self.texts:
            weight = ' font-weight="bold"' if t.bold else ""
            out.append(
                f'<text x="{t.x:.1f}" y="{t.y:.1f}" font-size="{t.size:g}"{weight} fill="{t.color}" '
                f'xml:space="preserve">{escape(t.text)}</text>'
            )
        return "\n".join([*out, "</svg>\n"])

    def _pieces(self, path: _Path) -> list[tuple[Point, Point]]:
        """The parts of a line; the last ends where the arrow's head begins."""
        points = list(path.points)
        if path.arrow:
            (x0, y0), (x1, y1) = points[-2], points[-1]
            sign = 1 if (x1 - x0 if self.horizontal else y1 - y0) >= 0 else -1
            back = (ARROW - 1) * sign
            points[-1] = (x1 - back, y1) if self.horizontal else (x1, y1 - back)
        return list(pairwise(points))

    def _controls(self, a: Point, b: Point) -> tuple[Point, Point, Point]:
        """The control points of a curve that leaves and arrives in the direction of the ranks."""
        if self.horizontal:
            middle = (a[0] + b[0]) / 2
            return (middle, a[1]), (middle, b[1]), b
        middle = (a[1] + b[1]) / 2
        return (a[0], middle), (b[0], middle), b

    def _arrow(self, path: _Path) -> list[Point]:
        (x0, y0), (x, y) = path.points[-2], path.points[-1]
        if self.horizontal:
            back = ARROW if x >= x0 else -ARROW
            return [(x, y), (x - back, y - ARROW / 2), (x - back, y + ARROW / 2)]
        back = ARROW if y >= y0 else -ARROW
        return [(x, y), (x - ARROW / 2, y - back), (x + ARROW / 2, y - back)]

    # --- files ------------------------------------------------------------------------------------------
    def save(self, path: str | os.PathLike[str], dpi: int | None = None) -> None:
        """Write the drawing to a file, its format from its ending.

        Args:
            path: ``.svg`` and ``.dot`` need nothing else; ``.png``, ``.jpg``, ``.pdf`` and others need matplotlib.
            dpi: dots per inch of pictures; default as the drawing was made.

        Raises:
            ArgumentError: the ending is unknown.
            MissingExtraError: matplotlib is needed and not installed.
        """
        target = Path(path)
        ending = target.suffix.lower()
        if ending == ".svg":
            target.write_text(self.svg(), encoding="utf-8")
        elif ending == ".dot":
            target.write_text(self.dot, encoding="utf-8")
        else:
            figure = self.figure()
            known = figure.canvas.get_supported_filetypes()
            if ending.removeprefix(".") not in known:
                endings = ", ".join(f".{k}" for k in sorted({"dot", *known}))
                raise ArgumentError(f"{str(path)!r} ends in none of {endings}.")
            dots = dpi or self.dpi or int(UNITS)
            largest = max(self.width, self.height) / UNITS * dots
            figure.savefig(target, dpi=dots * min(1.0, MOST_PIXELS / largest))

    def figure(self) -> Any:
        """The drawing as a matplotlib ``Figure`` (needs the extra ``plot``)."""
        purpose = "drawing a model to anything but SVG"
        canvas = require("matplotlib.backends.backend_agg", "plot", purpose)
        patches = require("matplotlib.patches", "plot", purpose)
        shape = require("matplotlib.path", "plot", purpose).Path
        figure = require("matplotlib.figure", "plot", purpose).Figure((self.width / UNITS, self.height / UNITS))
        canvas.FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, self.width), ylim=(self.height, 0))
        axes.axis("off")
        point = 72 / UNITS
        for r in self.rects:
            style = "round,pad=0,rounding_size=6"
            axes.add_patch(
                patches.FancyBboxPatch(
                    (r.x, r.y), r.width, r.height, style, facecolor=r.fill, edgecolor=r.line, linewidth=1.2 * point
                )
            )
        for p in self.paths:
            vertices, codes = [p.points[0]], [shape.MOVETO]
            for a, b in self._pieces(p):
                vertices += self._controls(a, b)
                codes += [shape.CURVE4] * 3
            line = patches.PathPatch(shape(vertices, codes), fill=False, edgecolor=LINE, linewidth=1.3 * point)
            axes.add_patch(line)
            if p.arrow:
                axes.add_patch(patches.Polygon(self._arrow(p), closed=True, facecolor=LINE, linewidth=0))
        for t in self.texts:
            weight = "bold" if t.bold else "normal"
            axes.text(
                t.x, t.y, t.text, fontsize=t.size * point, fontweight=weight, color=t.color, family="DejaVu Sans",
                parse_math=False,
            )  # fmt: skip
        return figure


# --- composing ----------------------------------------------------------------------------------------------
@dataclass
class _Placed:
    """A network laid out, in the axes of its layout; ``ports`` are the ``u`` of its inputs and outputs."""

    size: Point
    boxes: list[tuple[Box, Point, Point, _Placed | None]]  # with center and size
    lines: list[tuple[list[Point], bool]]
    inputs: list[float]
    outputs: list[float]


class _Composer:
    def __init__(self, rankdir: str) -> None:
        self.horizontal = rankdir in ("LR", "RL")
        self.reversed = rankdir in ("BT", "RL")

    def lay_out(self, network: Network, within: bool) -> _Placed:
        """Places for the boxes; ``within`` another box, lines lead to its edges."""
        inner = [self.lay_out(b.inner, True) if b.inner is not None else None for b in network.boxes]
        plain = [_box_size(b) for b, i in zip(network.boxes, inner, strict=True) if i is None]
        widest = max((w for w, _ in plain), default=0.0)
        same = bool(plain) and widest <= 1.7 * min(w for w, _ in plain)
        sizes = []
        for box, placed in zip(network.boxes, inner, strict=True):
            w, h = _box_size(box) if placed is None else self.outer_size(box, placed)
            sizes.append((widest if same and placed is None else w, h))
        uv = [(h, w) if self.horizontal else (w, h) for w, h in sizes]
        ends = {  # lines between the same places are one
            (a, b, self.port(inner[a], uv[a], k, True), self.port(inner[b], uv[b], n, False)): None
            for a, b, k, n in network.edges
        }
        edges = [(a, b) for a, b, _, _ in ends]
        ports = [(start, end) for _, _, start, end in ends]
        arrows = [inner[b] is None for b in (b for _, b, _, _ in ends)]
        first: list[int] = []
        last: list[int] = []
        if within:
            for targets in network.inputs:
                first.append(len(uv))
                uv.append((0.0, 0.0))
                for i, n in targets:
                    edges.append((first[-1], i))
                    ports.append((0.0, self.port(inner[i], uv[i], n, False)))
                    arrows.append(inner[i] is None)
            for i, k in network.outputs:
                last.append(len(uv))
                uv.append((0.0, 0.0))
                edges.append((i, last[-1]))
                ports.append((self.port(inner[i], uv[i], k, True), 0.0))
                arrows.append(False)
        found = arrange(uv, edges, first, last, ports)
        boxes = [
            (box, center, size, placed)
            for box, center, size, placed in zip(network.boxes, found.centers, uv, inner, strict=False)
        ]
        lines = list(zip(found.lines, arrows, strict=True))
        inputs, outputs = ([found.centers[i][0] for i in side] for side in (first, last))
        return _Placed(found.size, boxes, lines, inputs, outputs)

    def outer_size(self, box: Box, placed: _Placed) -> Point:
        """Width and height of a box with something inside; its title stands clear of the lines."""
        w, h = (placed.size[1], placed.size[0]) if self.horizontal else placed.size
        head = _head_width(box) + 2 * PAD
        if self.horizontal:
            return max(w, head + 2 * PAD), h + HEAD + 2 * PAD
        ports = placed.inputs + placed.outputs
        beside = min(ports, default=head)
        return max(w + 2 * max(0.0, head - beside - PAD), head) + 2 * PAD, h

    def port(self, placed: _Placed | None, size: Point, k: int, output: bool) -> float:
        """How far beside a box's middle its input or output ``k`` lies."""
        if placed is None:
            return 0.0
        side = placed.outputs if output else placed.inputs
        if not side:
            return 0.0
        middle = size[0] / 2
        return self.shift(placed, size)[0] + side[min(k, len(side) - 1)] - middle

    def shift(self, placed: _Placed, size: Point) -> Point:
        """Where the layout of what is inside begins, in ``u`` and ``v`` of the box around it."""
        if self.horizontal:
            return HEAD + PAD, 0.0
        return (size[0] - placed.size[0]) / 2, 0.0

    def draw(self, picture: Picture, placed: _Placed, origin: Point) -> None:
        """Add shapes; ``origin`` is where the layout begins."""
        for box, (u, v), (du, dv), inner in placed.boxes:
            u0, v0 = origin[0] + u - du / 2, origin[1] + v - dv / 2
            x, y, w, h = self.rect(picture, u0, v0, du, dv)
            fill, line = COLORS[box.family] if inner is None else INSIDE
            picture.rects.append(_Rect(x, y, w, h, fill, line))
            if inner is None:
                _write(picture, box, x, y, w)
            else:
                _write_head(picture, box, x + PAD, y + PAD + TITLE - 1)
                su, sv = self.shift(inner, (du, dv))
                self.draw(picture, inner, (u0 + su, v0 + sv))
        for points, arrow in placed.lines:
            moved = [self.point(picture, u + origin[0], v + origin[1]) for u, v in points]
            picture.paths.append(_Path(moved, arrow))

    def point(self, picture: Picture, u: float, v: float) -> Point:
        if self.reversed:
            v = (picture.width if self.horizontal else picture.height) - v
        return (v, u) if self.horizontal else (u, v)

    def rect(self, picture: Picture, u: float, v: float, du: float, dv: float) -> tuple[float, float, float, float]:
        (x0, y0), (x1, y1) = self.point(picture, u, v), self.point(picture, u + du, v + dv)
        return min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0)


def compose(network: Network, rankdir: str) -> Picture:
    """The picture of a network, its lines running as ``rankdir`` says: ``"TB"``, ``"LR"``, ``"BT"`` or ``"RL"``."""
    composer = _Composer(rankdir)
    placed = composer.lay_out(network, within=False)
    u, v = placed.size[0] + 2 * MARGIN, placed.size[1] + 2 * MARGIN
    width, height = (v, u) if composer.horizontal else (u, v)
    picture = Picture(width, height, composer.horizontal)
    composer.draw(picture, placed, (MARGIN, MARGIN))
    return picture


def _head_width(box: Box) -> float:
    note = width_of(box.note, NOTE) + 7 if box.note else 0.0
    return width_of(box.title, TITLE, bold=True) + note


def _box_size(box: Box) -> Point:
    width = max([_head_width(box), *(width_of(row, ROW) for row in box.rows)]) + 2 * PAD
    return max(width, 76.0), 2 * PAD + TITLE + len(box.rows) * (ROW + 5)


def _write(picture: Picture, box: Box, x: float, y: float, width: float) -> None:
    """Title and rows of a box, centred."""
    at = y + PAD + TITLE - 2
    _write_head(picture, box, x + (width - _head_width(box)) / 2, at)
    for row in box.rows:
        at += ROW + 5
        picture.texts.append(_Text(x + (width - width_of(row, ROW)) / 2, at, row, ROW, color=FAINT))


def _write_head(picture: Picture, box: Box, x: float, y: float) -> None:
    picture.texts.append(_Text(x, y, box.title, TITLE, bold=True))
    if box.note:
        beside = x + width_of(box.title, TITLE, bold=True) + 7
        picture.texts.append(_Text(beside, y, box.note, NOTE, color=FAINT))


def dot_of(network: Network, rankdir: str) -> str:
    """The network in the DOT language of Graphviz."""
    lines = [
        "digraph model {",
        f"  rankdir={rankdir};",
        '  node [shape=box, style="rounded,filled", fontname=Helvetica];',
    ]

    def emit(part: Network, prefix: str, indent: str) -> None:
        for i, box in enumerate(part.boxes):
            text = _quote("\n".join([f"{box.title} {box.note}".strip(), *box.rows]))
            fill, line = COLORS[box.family]
            if box.inner is None:
                lines.append(f'{indent}{prefix}{i} [label={text}, fillcolor="{fill}", color="{line}"];')
            else:
                lines.append(f"{indent}subgraph cluster_{prefix}{i} {{")
                lines.append(f"{indent}  label={text};")
                emit(box.inner, f"{prefix}{i}_", indent + "  ")
                lines.append(f"{indent}}}")
        for a, b, k, n in part.edges:
            for start in _ends(part, a, k, prefix, True):
                lines.extend(f"{indent}{start} -> {end};" for end in _ends(part, b, n, prefix, False))

    emit(network, "n", "  ")
    return "\n".join([*lines, "}\n"])


def _ends(part: Network, i: int, k: int, prefix: str, output: bool) -> list[str]:
    """Names of the innermost boxes that a line to or from a box belongs to."""
    inner = part.boxes[i].inner
    if inner is None:
        return [f"{prefix}{i}"]
    side: Sequence[Any] = [[o] for o in inner.outputs] if output else inner.inputs
    if not side:
        return []
    return [name for box, n in side[min(k, len(side) - 1)] for name in _ends(inner, box, n, f"{prefix}{i}_", output)]


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
