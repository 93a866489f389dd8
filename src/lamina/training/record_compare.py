"""Two records of runs held against each other: the first step and layer that differ, and why.

The files are JSON and nothing in them is run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from lamina.core.errors import FileFormatError
from lamina.core.limits import read_json
from lamina.training.diagnosis import PARTS
from lamina.training.recorder import FORMAT, NAME

MOST_BYTES = 1 << 30
LONGEST_LINE = 32 << 20  # the header of a model of thousands of layers
MOST_STEPS = 1_000_000  # lines thin out, so that runs of any length have fewer
ORDER = ("data", "seed", "code", "settings", "version", "threads", "machine")

Step = tuple[str, str, str, bool, tuple[str, ...]]  # loss, batch, random state, whether all weights, sums by layer


@dataclass
class Record:
    """What a file says.

    Attributes:
        path: the file.
        header: of the run's beginning.
        names: the layers with weights, in order.
        probe: a step on a few rows, layer by layer.
        steps: by epoch and number in it, both from 0.
        damaged: how many lines could not be read: of a run that was killed the last may be cut short.
    """

    path: Path
    header: dict[str, Any]
    names: list[str]
    probe: list[dict[str, Any]] = field(default_factory=list)
    steps: dict[tuple[int, int], Step] = field(default_factory=dict)
    damaged: int = 0

    @property
    def label(self) -> str:
        """What the run is called in messages."""
        return str(self.path.parent if self.path.name == NAME else self.path)


def read_record(path: str | PathLike[str]) -> Record:
    """Read a record.

    Args:
        path: the file, or the folder that ``fit(record=...)`` was given.

    Raises:
        FileFormatError: it is no record, is damaged at its beginning, or is far too large.
        FileNotFoundError: there is none.
    """
    path = Path(fspath(path))
    path = path / NAME if path.is_dir() else path
    if not path.exists():
        raise FileFormatError(f"{path} does not exist. Give the folder that fit(record=...) was given.")
    if path.stat().st_size > MOST_BYTES:
        raise FileFormatError(f"{path} has {path.stat().st_size:,} bytes; a record has at most {MOST_BYTES:,}.")
    record: Record | None = None
    damaged = 0
    with open(path, "rb") as file:
        while line := file.readline(LONGEST_LINE):
            if not line.strip():
                continue
            try:
                item = read_json(line, f"{path}: a line", LONGEST_LINE)
                if record is None:
                    record = _begin(path, item)
                elif isinstance(item, list):
                    key, step = _step(item, len(record.names))
                    record.steps[key] = step
                elif isinstance(item, dict) and isinstance(item.get("probe"), list) and not record.probe:
                    record.probe = [_checked(p) for p in item["probe"]]
            except (FileFormatError, ValueError, TypeError, KeyError):
                if record is None:
                    raise FileFormatError(f"{path} is no record of a run, or its first line is damaged.") from None
                damaged += 1
            if record is not None and len(record.steps) > MOST_STEPS:
                raise FileFormatError(f"{path} has more than {MOST_STEPS:,} steps.")
    if record is None:
        raise FileFormatError(f"{path} is empty.")
    record.damaged = damaged
    return record


def _begin(path: Path, item: Any) -> Record:
    if not isinstance(item, dict) or "record" not in item:
        raise FileFormatError("no record")
    if item["record"] != FORMAT:
        raise FileFormatError(f"{path} has format {item['record']!r}; this Lamina reads {FORMAT}.")
    header, names = item["header"], item["names"]
    if not isinstance(header, dict) or not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise FileFormatError("no header")
    return Record(path, header, names)


def _step(item: list[Any], layers: int) -> tuple[tuple[int, int], Step]:
    epoch, number, loss, batch, state, full, sums = item
    if type(epoch) is not int or type(number) is not int or not all(isinstance(x, str) for x in item[2:5] + [sums]):
        raise FileFormatError("a step")
    parts = tuple(sums.split(" ")) if layers else ()
    if len(parts) != layers:
        raise FileFormatError("a step")
    return (epoch, number), (loss, batch, state, bool(full), parts)


def _checked(item: dict[str, Any]) -> dict[str, Any]:
    if not all(isinstance(item[name], str) for name in ("layer", "direction", "ops", "sum")):
        raise FileFormatError("a probe")
    return item


# --- the comparison ---------------------------------------------------------------------------------------
@dataclass
class Difference:
    """What ``why_different`` found.

    Attributes:
        same: whether all steps that both records have are equal.
        epoch: of the first that differs, from 0; ``None`` where the runs differ before the first step.
        step: its number in the epoch, from 0.
        layer: the layer in which they part, where that can be told; ``"loss"`` or ``"optimizer"`` for these.
        direction: ``"forward"``, ``"backward"`` or ``"update"``, likewise.
        cause: ``"data"``, ``"seed"``, ``"code"``, ``"settings"``, ``"version"``, ``"threads"``, ``"machine"``, or
            ``"unknown"``.
        explanation: what differs of that cause.
        others: what else differs between the two, by cause.
        steps: how many steps were compared.
        notes: what is to be known beside.
    """

    same: bool
    epoch: int | None = None
    step: int | None = None
    layer: str | None = None
    direction: str | None = None
    cause: str | None = None
    explanation: list[str] = field(default_factory=list)
    others: list[tuple[str, str]] = field(default_factory=list)
    steps: int = 0
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        if self.same:
            lines = [f"No difference in {self.steps:,} steps."]
            lines += [f"(They differ in {cause}: {text} It made no difference.)" for cause, text in self.others]
            return "\n".join(lines + self.notes)
        where = "before the first step" if self.epoch is None else f"in epoch {self.epoch + 1}, step {self.step + 1}"  # type: ignore[operator]
        layer = f", layer {self.layer!r}" if self.layer else ""
        lines = [f"The runs part {where}{layer}{f' ({self.direction})' if self.direction else ''}."]
        lines += [f"Cause: {self.cause}. {self.explanation[0]}" if self.explanation else f"Cause: {self.cause}."]
        lines += [f"  {text}" for text in self.explanation[1:]]
        lines += [f"Differs too: {cause}. {text}" for cause, text in self.others]
        return "\n".join(lines + self.notes)


def why_different(a: str | PathLike[str], b: str | PathLike[str]) -> Difference:
    """Where two recorded runs part, and why.

    Args:
        a: the record of a run: the folder given to ``fit(record=...)``, or its file.
        b: that of the other.

    Returns:
        The first step and layer that differ and the cause; print it.  Among several causes the first in this order
        is named that explains the step: data, seed, code, settings, versions, threads, machine.

    Raises:
        FileFormatError: a file is no record.
    """
    one, other = read_record(a), read_record(b)
    found = _causes(one, other)
    common = sorted(one.steps.keys() & other.steps.keys())
    result = Difference(same=True, steps=len(common), notes=_notes(one, other, common))
    weights = _layers_of(one.header["weights"], other.header["weights"]) if _tables(one, other, "weights") else None
    if weights is None:
        raise FileFormatError(f"{one.label} or {other.label}: the header holds no weights.")
    if weights:  # they began with other weights
        result.same, result.layer = False, weights[0]
        _explain(result, found, ("seed", "code", "settings", "version", "machine"))
        if result.cause == "unknown":
            result.explanation = ["The weights before the first step differ: loaded, or trained, in another way."]
        elif result.cause == "code":
            named = [text for text in result.explanation if repr(weights[0]) in text]
            result.explanation = list(dict.fromkeys([*named, *result.explanation]))
        return result
    if one.header.get("slots") != other.header.get("slots") and not found:
        found.append(("settings", "The optimizer's state before the first step differs."))
    for key in common:
        if not _equal(one.steps[key], other.steps[key]):
            _first(result, one, other, key, found)
            return result
    result.others = found
    return result


def _equal(mine: Step, theirs: Step) -> bool:
    """Whether two steps are the same as far as both are known."""
    return mine[:3] == theirs[:3] and (mine[3] != theirs[3] or mine[4] == theirs[4])


def _first(result: Difference, one: Record, other: Record, key: tuple[int, int], found: list[tuple[str, str]]) -> None:
    """Say what is known of the first step that differs."""
    result.same, (result.epoch, result.step) = False, key
    mine, theirs = one.steps[key], other.steps[key]
    if mine[1] != theirs[1]:
        rows = "Other rows came" if "#" in mine[1] + theirs[1] else "The batches differ"
        _explain(result, found, ("data", "seed", "settings", "code"))
        result.explanation.append(f"{rows} in this step.")
        if result.cause == "unknown":
            result.cause = "data"
        return
    at_begin = key == min(one.steps.keys() & other.steps.keys())
    layer = _by_probe(one, other) if at_begin else None
    if layer is not None:
        result.layer, result.direction, texts = layer
        if result.direction == "forward" and mine[0] == theirs[0] and "runs" not in texts[0]:
            result.direction = "backward"  # the loss is the same, so the forward pass is
    else:
        result.layer, result.direction, texts = _by_weights(one, mine, theirs)
    ops_differ = any("runs" in text for text in texts)
    order: tuple[str, ...] = ORDER
    if mine[2] != theirs[2]:
        texts = ["The random state after this step differs.", *texts]
        if not ops_differ and not any(cause == "data" for cause, _ in found):
            order = ORDER[1:]
    _explain(result, found, order)
    if result.cause == "unknown" and ops_differ:
        result.cause = "code"
    if result.cause == "unknown" and mine[2] != theirs[2]:
        result.cause = "seed"
        texts.append("Something drew random numbers in one run only: a callback, a data source, or code in between.")
    elif result.cause == "unknown":
        texts.append(
            "Data, seed, code, versions and threads are the same. What is left: code that the record does not see (a "
            "callback that changes weights, a module that the model's code calls), or numbers from outside of Lamina."
        )
    result.explanation += texts


def _explain(result: Difference, found: list[tuple[str, str]], order: tuple[str, ...]) -> None:
    """Name the first cause in this order of which something differs."""
    cause = next((c for c in order if any(kind == c for kind, _ in found)), "unknown")
    result.cause = cause
    result.explanation = [text for kind, text in found if kind == cause]
    result.others = [(kind, text) for kind, text in found if kind != cause]


def _by_probe(one: Record, other: Record) -> tuple[str, str, list[str]] | None:
    """The first layer whose forward or backward part differs on the same rows and weights."""
    theirs = {(p["layer"], p["direction"]): (i, p) for i, p in enumerate(other.probe)}
    mine = {(p["layer"], p["direction"]) for p in one.probe}
    if not one.probe or not other.probe:
        return None
    extra = [(i, place) for place, (i, _) in theirs.items() if place not in mine]
    for part in one.probe:
        place = part["layer"], part["direction"]
        at, twin = theirs.get(place, (len(other.probe), None))
        before = [p for i, p in extra if i < at]
        if twin is not None and before:
            return *_named(*before[0]), [f"It runs nothing in {one.label}."]
        if twin is None:
            return *_named(*place), [f"It runs nothing in {other.label}."]
        if part["ops"] != twin["ops"]:
            a, b = _where_ops_part(part["ops"].split(" "), twin["ops"].split(" "))
            return *_named(*place), [f"It runs {a} in {one.label} and {b} in {other.label}."]
        if part["sum"] != twin["sum"]:
            return *_named(*place), ["It gives other values there, for the same first rows of the first step."]
    return (*_named(*extra[0][1]), [f"It runs nothing in {one.label}."]) if extra else None


def _named(layer: str, direction: str) -> tuple[str, str]:
    """Names for people of a layer and a direction."""
    return layer or "outside of any layer", PARTS.get(layer.partition("/")[0], direction)


def _where_ops_part(a: list[str], b: list[str]) -> tuple[str, str]:
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))

    def shown(ops: list[str]) -> str:
        return (" ".join(ops[max(0, at - 1) : at + 3]) or "nothing") + (" ..." if at + 3 < len(ops) else "")

    return shown(a), shown(b)


def _by_weights(one: Record, mine: Step, theirs: Step) -> tuple[str | None, str | None, list[str]]:
    """What the weights after the step tell of the layer."""
    differ = [n for n, x, y in zip(one.names, mine[4], theirs[4], strict=False) if x != y]
    known = [n for n, x in zip(one.names, mine[4], strict=True) if x != "-"]
    if not differ:
        if mine[0] != theirs[0]:
            return "loss", "forward", ["The loss differs, and no weight that was looked at after this step."]
        return None, None, []
    if len(differ) == len(known) > 1:
        return None, None, [f"All {len(known)} layers have other weights after this step: the forward pass differs."]
    if mine[0] == theirs[0]:  # the loss is the same, so the forward pass is: gradients part at the last of them
        names = ", ".join(repr(n) for n in differ[:5]) + (" and others" if len(differ) > 5 else "")
        return differ[-1], "backward", [f"The loss is the same, and the weights differ of {names}."]
    return differ[-1], None, [f"The weights differ of {len(differ)} of {len(known)} layers."]


# --- causes -----------------------------------------------------------------------------------------------
def _tables(one: Record, other: Record, name: str) -> bool:
    return isinstance(one.header.get(name), dict) and isinstance(other.header.get(name), dict)


def _layers_of(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """The names under which two tables differ, in order."""
    return [str(n) for n in dict.fromkeys([*a, *b]) if a.get(n) != b.get(n)]


def _causes(one: Record, other: Record) -> list[tuple[str, str]]:
    """Everything that differs in the headers, by cause."""
    a, b = one.header, other.header
    try:
        found = [*_data(a["data"], b["data"], ""), *_data(a["validation"], b["validation"], "validation_data: ")]
        found += _seed(a["seed"], b["seed"])
        found += _code(a, b)
        found += [
            ("settings", f"{name} is {a['settings'].get(name)!r} and {b['settings'].get(name)!r}.")
            for name in _layers_of(a["settings"], b["settings"])
        ]
        found += [
            ("settings", f"The environment has {n}={a['environment'].get(n)} and {n}={b['environment'].get(n)}.")
            for n in _layers_of(a["environment"], b["environment"])
            if n != "LAMINA_NUM_THREADS"
        ]
        found += [
            ("version", f"{name} {a['versions'].get(name)} and {b['versions'].get(name)}.")
            for name in _layers_of(a["versions"], b["versions"])
        ]
        if a["threads"] != b["threads"]:
            found.append(("threads", f"{a['threads']} and {b['threads']} threads."))
        found += [
            ("machine", f"{name}: {a['machine'].get(name)} and {b['machine'].get(name)}.")
            for name in _layers_of(a["machine"], b["machine"])
        ]
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise FileFormatError(f"{one.label} or {other.label}: the header is damaged ({error!r}).") from None
    return found


def _data(a: Any, b: Any, where: str) -> list[tuple[str, str]]:
    if a is None or b is None:
        return [] if a is b else [("data", f"{where}One run has arrays, and the other has none.")]
    names_a, names_b = {d["name"]: d for d in a}, {d["name"]: d for d in b}
    found = []
    for name in dict.fromkeys([*names_a, *names_b]):
        x, y = names_a.get(name), names_b.get(name)
        if x is None or y is None:
            found.append(f"{where}{name} is there in one run only.")
        elif (x["shape"], x["dtype"]) != (y["shape"], y["dtype"]):
            shapes = f"{tuple(x['shape'])} {x['dtype']} and {tuple(y['shape'])} {y['dtype']}"
            found.append(f"{where}{name} is {shapes}.")
        elif x["blocks"] != y["blocks"]:
            wrong = [i for i, (p, q) in enumerate(zip(x["blocks"], y["blocks"], strict=True)) if p != q]
            first = wrong[0] * x["rows"]
            last = min(first + x["rows"], x["shape"][0]) - 1
            rows = f"rows {first} to {last}" if last > first else f"row {first}"
            more = f", and of {len(wrong) - 1} more of {len(x['blocks'])} parts" if len(wrong) > 1 else ""
            found.append(f"{where}{name} has other values, first in {rows}{more}.")
    return [("data", text) for text in found]


def _seed(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, str]]:
    if a["seed"] != b["seed"]:
        return [("seed", f"lamina.random was seeded with {a['seed']} and {b['seed']}.")]
    if a["state"] != b["state"]:
        return [("seed", "The seed is the same, and the random state at the beginning of fit is not: one drew more.")]
    return [("seed", "Generators of layers have other states.")] if a["layers"] != b["layers"] else []


def _code(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    mine, theirs = {x["name"]: x for x in a["layers"]}, {x["name"]: x for x in b["layers"]}
    for name in dict.fromkeys([*mine, *theirs]):
        x, y = mine.get(name), theirs.get(name)
        if x is None or y is None:
            found.append(f"The layer {name!r} is there in one run only.")
        elif x["class"] != y["class"]:
            found.append(f"The layer {name!r} is a {x['class']} and a {y['class']}.")
        elif x["trainable"] != y["trainable"]:
            found.append(f"The layer {name!r} is frozen in one run only.")
        elif x["config"] != y["config"]:
            found.append(f"The layer {name!r} has another configuration: {_parting(x['config'], y['config'])}.")
    parts = [("optimizer", a["optimizer"], b["optimizer"]), ("policy", a["policy"], b["policy"])]
    parts += [("loss", x, y) for x, y in zip(a["loss"], b["loss"], strict=False)]
    found += [f"The {n} has another configuration: {_parting(str(x), str(y))}." for n, x, y in parts if x != y]
    for name in _layers_of(a["classes"], b["classes"]):
        both = name in a["classes"] and name in b["classes"]
        found.append(f"The source of {name} differs." if both else f"{name} is used in one run only.")
    files_a, files_b = {f["name"]: f for f in a["files"]}, {f["name"]: f for f in b["files"]}
    for name in files_a.keys() & files_b.keys():
        x, y = files_a[name], files_b[name]
        if x["digest"] != y["digest"]:
            line = next((i for i in range(0, 1 << 20, 4) if x["lines"][i : i + 4] != y["lines"][i : i + 4]), None)
            found.append(f"{name} differs{'' if line is None else f', first in line {line // 4 + 1}'}.")
    if not files_a.keys() & files_b.keys() and files_a.keys() != files_b.keys():
        found.append(f"The scripts are {', '.join(files_a) or 'none'} and {', '.join(files_b) or 'none'}.")
    return [("code", text) for text in found]


def _parting(a: str, b: str) -> str:
    """The places at which two configurations begin to differ."""
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    start = max(0, max(a.rfind('"', 0, max(0, a.rfind('": ', 0, at + 1))), 0))
    if at - start > 60 or start == 0:
        start = max(0, at - 20)

    def shown(text: str) -> str:
        piece = text[start : at + 30]
        return piece.split(", ")[0] if ", " in piece[at - start :] or piece.count(", ") else piece

    return f"{shown(a)} and {shown(b)}"


def _notes(one: Record, other: Record, common: list[tuple[int, int]]) -> list[str]:
    notes = []
    for record, rest in ((one, other), (other, one)):
        if len(record.steps) > len(common) and record.steps.keys() - rest.steps.keys():
            notes.append(f"{record.label} has {len(record.steps) - len(common):,} steps that {rest.label} has not.")
        if record.damaged:
            notes.append(f"{record.label}: {record.damaged} lines could not be read and were left out.")
    if not common:
        notes.append("They have no step in common.")
    return notes
