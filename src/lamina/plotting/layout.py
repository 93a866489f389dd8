"""Where the boxes of a graph go, in layers, and how the lines between them run.

The method is that of Sugiyama, Tagawa and Toda (1981): each box gets a rank, below all that lead to it; the boxes of a
rank are ordered so that few lines cross; then they are shifted along their rank so that lines run straight.
``u`` is the place along a rank, ``v`` the place across the ranks, from the first on.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Point = tuple[float, float]

RANK_GAP = 30.0
SIDE_GAP = 22.0
LINE_GAP = 9.0  # between a line that passes a rank, and its neighbours
SWEEPS = 16  # to order
ROUNDS = 160  # to place
PULLS = (1.0, 0.25, 1.0)  # of lines between boxes, between a box and where a line passes a rank, and within a line


@dataclass
class Arrangement:
    """Places of boxes and lines.

    Attributes:
        centers: ``(u, v)`` of each box.
        lines: for each edge, the points that it runs through, its two ends included.  Between the points of two
            ranks it may curve, within a rank it is straight.
        size: extent in ``u`` and ``v``, from 0 on.
    """

    centers: list[Point]
    lines: list[list[Point]]
    size: Point


@dataclass
class _Item:
    """A box, or the place where a line passes a rank."""

    width: float
    rank: int
    box: int | None = None
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    u: float = 0.0


def ranks_of(count: int, edges: Sequence[tuple[int, int]], first: Sequence[int], last: Sequence[int]) -> list[int]:
    """The rank of each box: one more than the largest of those that lead to it; inputs stand close to what they feed.

    Raises:
        ValueError: the edges form a circle.
    """
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for a, b in edges:
        after[a].append(b)
        before[b].append(a)
    waiting = [len(b) for b in before]
    order = [i for i in range(count) if not waiting[i]]
    for i in order:
        for j in after[i]:
            waiting[j] -= 1
            if not waiting[j]:
                order.append(j)
    if len(order) < count:
        raise ValueError("The edges form a circle.")
    ranks = [0] * count
    for i in order:
        ranks[i] = max((ranks[j] + 1 for j in before[i]), default=0)
    floating = [False] * count  # nothing but inputs that lead nowhere else is above
    for i in order:
        floating[i] = i not in first and len(after[i]) == 1 and all(floating[j] for j in before[i])
    for i in reversed(order):
        if floating[i]:
            ranks[i] = min(ranks[j] for j in after[i]) - 1
    end = max(ranks, default=0)
    for i in last:
        ranks[i] = end
    return ranks


def arrange(
    sizes: Sequence[Point],
    edges: Sequence[tuple[int, int]],
    first: Sequence[int] = (),
    last: Sequence[int] = (),
    ports: Sequence[Point] | None = None,
) -> Arrangement:
    """Places for boxes of these sizes, so that every edge leads from a lower to a higher ``v``.

    Args:
        sizes: ``(extent in u, extent in v)`` of each box.
        edges: pairs of boxes.
        first: boxes that stay in the first rank.
        last: boxes that stand in the last rank.
        ports: for each edge, how far beside the middles of its two boxes it begins and ends; default nothing.

    Raises:
        ValueError: the edges form a circle.
    """
    if not sizes:
        return Arrangement([], [], (0.0, 0.0))
    ranks = ranks_of(len(sizes), edges, first, last)
    items = [_Item(size[0], rank, box) for box, (size, rank) in enumerate(zip(sizes, ranks, strict=True))]
    chains: list[list[int]] = []
    for a, b in edges:
        chain = [a]
        for rank in range(ranks[a] + 1, ranks[b]):
            items.append(_Item(0.0, rank))
            chain.append(len(items) - 1)
        chain.append(b)
        for i, j in pairwise(chain):
            items[i].after.append(j)
            items[j].before.append(i)
        chains.append(chain)
    rows = _order(items, chains)
    _place(items, rows)
    heights = [max((sizes[i][1] for i in row if items[i].box is not None), default=0.0) for row in rows]
    tops, v = [], 0.0
    for height in heights:
        tops.append(v)
        v += height + RANK_GAP
    left = min(item.u - item.width / 2 for item in items)
    right = max(item.u + item.width / 2 for item in items)
    for item in items:
        item.u -= left
    middle = [top + height / 2 for top, height in zip(tops, heights, strict=True)]
    centers = [(items[i].u, middle[items[i].rank]) for i in range(len(sizes))]
    lines = []
    for n, chain in enumerate(chains):
        a, b = chain[0], chain[-1]
        from_a, to_b = ports[n] if ports is not None else (0.0, 0.0)
        start, end = items[a].u + from_a, items[b].u + to_b
        line = [(start, centers[a][1] + sizes[a][1] / 2)]
        if sizes[a][1] < heights[ranks[a]]:
            line.append((start, tops[ranks[a]] + heights[ranks[a]]))
        for i in chain[1:-1]:
            top = tops[items[i].rank]
            line += [(items[i].u, top), (items[i].u, top + heights[items[i].rank])]
        if sizes[b][1] < heights[ranks[b]]:
            line.append((end, tops[ranks[b]]))
        line.append((end, centers[b][1] - sizes[b][1] / 2))
        lines.append(line)
    return Arrangement(centers, lines, (right - left, v - RANK_GAP))


# --- the order within ranks -----------------------------------------------------------------------------
def _order(items: list[_Item], chains: list[list[int]]) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in range(1 + max(item.rank for item in items))]
    seen: set[int] = set()
    stack = [i for i in range(len(items) - 1, -1, -1) if not items[i].before]
    while stack:  # depth first, so that what belongs together stands together
        i = stack.pop()
        if i not in seen:
            seen.add(i)
            rows[items[i].rank].append(i)
            stack.extend(reversed(items[i].after))
    best, fewest = [list(row) for row in rows], _crossings(items, rows)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        for row in rows if down else rows[::-1]:
            place = {i: float(n) for line in rows for n, i in enumerate(line)}

            def wish(i: int, place: dict[int, float] = place, down: bool = down) -> float:
                near = items[i].before if down else items[i].after
                return sum(place[j] for j in near) / len(near) if near else place[i]

            row.sort(key=wish)
        crossings = _crossings(items, rows)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _crossings(items: list[_Item], rows: list[list[int]]) -> int:
    count = 0
    for row, following in pairwise(rows):
        place = {i: n for n, i in enumerate(following)}
        ends: list[int] = []
        for i in row:
            targets = sorted(place[j] for j in items[i].after)
            count += sum(len(ends) - bisect_right(ends, t) for t in targets)
            for t in targets:
                insort(ends, t)
    return count


# --- the place within ranks -----------------------------------------------------------------------------
def _place(items: list[_Item], rows: list[list[int]]) -> None:
    """Shift along the ranks: what stands in one column stays in it, and columns go towards their neighbours.

    Every column has a place between the columns beside it; it goes to the mean of what it is connected to, and in
    the end to the median, which makes lines straight.
    """
    columns, column_of = _columns(items, rows)
    beside: list[tuple[int, int, float]] = []  # a column, one to the right of it, how far apart they are at least
    for row in rows:
        beside += [(column_of[i], column_of[j], _distance(items[i], items[j])) for i, j in pairwise(row)]
    places = _spread(len(columns), beside)
    links: list[list[tuple[int, float]]] = [[] for _ in columns]
    for i, item in enumerate(items):
        for j in item.after:
            a, b = column_of[i], column_of[j]
            if a != b:
                weight = PULLS[(item.box is None) + (items[j].box is None)]
                links[a].append((b, weight))
                links[b].append((a, weight))
    limits: list[list[tuple[int, float]]] = [[] for _ in columns]  # positive: that far right of it at least
    for a, b, distance in beside:
        limits[b].append((a, distance))
        limits[a].append((b, -distance))
    order = sorted(range(len(columns)), key=places.__getitem__)
    for sweep in range(ROUNDS):
        wish = _mean if sweep < ROUNDS * 3 // 4 else _median
        for c in order if sweep % 2 else order[::-1]:
            if links[c]:
                low = max((places[n] + d for n, d in limits[c] if d > 0), default=-math.inf)
                high = min((places[n] + d for n, d in limits[c] if d < 0), default=math.inf)
                places[c] = min(max(wish([(places[n], w) for n, w in links[c]]), low), high)
        if wish is _mean and sweep % 4 == 3:
            _shift_together(places, beside, links)
    for i, item in enumerate(items):
        item.u = places[column_of[i]]


def _shift_together(
    places: list[float], beside: list[tuple[int, int, float]], links: list[list[tuple[int, float]]]
) -> None:
    """Move columns that touch each other as one, which none of them could do alone."""
    group = list(range(len(places)))

    def root(c: int) -> int:
        while group[c] != c:
            group[c] = group[group[c]]
            c = group[c]
        return c

    slack: dict[int, list[float]] = {}
    for a, b, distance in beside:
        if places[b] - places[a] - distance < 1e-6:
            group[root(a)] = root(b)
    for a, b, distance in beside:
        if root(a) != root(b):
            free = places[b] - places[a] - distance
            slack.setdefault(root(a), [math.inf, math.inf])[1] = min(free, slack.get(root(a), [0, math.inf])[1])
            slack.setdefault(root(b), [math.inf, math.inf])[0] = min(free, slack.get(root(b), [math.inf, 0])[0])
    members: dict[int, list[int]] = {}
    for c in range(len(places)):
        members.setdefault(root(c), []).append(c)
    for top, columns in members.items():
        pulls = [(places[n] - places[c], w) for c in columns for n, w in links[c] if root(n) != top]
        if len(columns) > 1 and pulls:
            left, right = slack.get(top, [math.inf, math.inf])
            move = min(max(_mean(pulls), -left / 2), right / 2)  # what it meets may be moving, too
            for c in columns:
                places[c] += move


def _columns(items: list[_Item], rows: list[list[int]]) -> tuple[list[list[int]], list[int]]:
    """Items that stand straight above each other, and the column of each item.

    The way of a line through the ranks is a column.  So is a row of boxes in which each goes on to one next box, or
    to an odd number of which the next is the one in the middle; boxes beside lines that only pass count alone.
    """
    below = {}
    for row, following in pairwise(rows):
        place = {i: n for n, i in enumerate((*row,))} | {i: n for n, i in enumerate(following)}
        wanted = []
        for i in row:
            middle = _middle(items, items[i].after, place)
            if middle is not None and _middle(items, items[middle].before, place) == i:
                both = items[i].box is None and items[middle].box is None
                wanted.append((not both, place[i], i, middle))
        taken: list[tuple[int, int]] = []
        for _, from_i, i, j in sorted(wanted):  # lines first; nothing crosses what is settled
            if all((from_i < a) == (place[j] < b) for a, b in taken):
                taken.append((from_i, place[j]))
                below[i] = j
    columns: list[list[int]] = []
    column_of = [-1] * len(items)
    for row in rows:
        for i in row:
            if column_of[i] < 0:
                columns.append([])
                at: int | None = i
                while at is not None:
                    columns[-1].append(at)
                    column_of[at] = len(columns) - 1
                    at = below.get(at)
    return columns, column_of


def _middle(items: list[_Item], near: list[int], place: dict[int, int]) -> int | None:
    """The neighbour in the middle, boxes counting before lines; ``None`` where two share the middle."""
    chosen = sorted({j for j in near if items[j].box is not None} or set(near), key=place.__getitem__)
    return chosen[len(chosen) // 2] if len(chosen) % 2 else None


def _distance(a: _Item, b: _Item) -> float:
    lines = (a.box is None) + (b.box is None)
    return a.width / 2 + (SIDE_GAP, LINE_GAP + 6, LINE_GAP)[lines] + b.width / 2


def _spread(count: int, beside: list[tuple[int, int, float]]) -> list[float]:
    """First places that keep the distances: half way between all as far left, and all as far right, as they go."""
    after: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    waiting = [0] * count
    for a, b, distance in beside:
        after[a].append((b, distance))
        waiting[b] += 1
    order = [c for c in range(count) if not waiting[c]]
    left = [0.0] * count
    for c in order:
        for b, distance in after[c]:
            left[b] = max(left[b], left[c] + distance)
            waiting[b] -= 1
            if not waiting[b]:
                order.append(b)
    right = [max(left, default=0.0)] * count
    for c in reversed(order):
        right[c] = min((right[b] - distance for b, distance in after[c]), default=right[c])
    return [(a + b) / 2 for a, b in zip(left, right, strict=True)]


def _mean(near: list[tuple[float, float]]) -> float:
    return sum(u * w for u, w in near) / sum(w for _, w in near)


def _median(near: list[tuple[float, float]]) -> float:
    """The weighted median; half way between two that share it."""
    near = sorted(near)
    half, seen = sum(w for _, w in near) / 2, 0.0
    for n, (u, weight) in enumerate(near):
        seen += weight
        if seen > half:
            return u
        if seen == half:
            return (u + near[n + 1][0]) / 2
    return near[-1][0]
