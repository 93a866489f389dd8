"""How an explanation is shown: plain text, colours in a terminal, HTML in a notebook."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lamina.explanation.stages import Code, Kernels, Memory, readable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lamina.explanation import Explanation

WIDTH = 120
FEW_PHIS = 5
SPARED = 3  # lines that are not worth leaving out
GRAPH_STYLES = {
    r"%[\w./:\[\]']+\b": "cyan",
    r"(?<== )\w+(?=\()": "bold",
    r"(?m)  # .*$": "dim",
    r"(?m)^(phase \d+|\S+:)$": "bold",
    r"(?m)^\s+k\d+\b": "bold green",
}
MONO = "white-space:pre;overflow-x:auto;font-size:85%;line-height:1.35"


@dataclass(frozen=True)
class Section:
    """One stage as it is shown."""

    title: str
    sentence: str
    body: str
    language: str = "graph"  # or a language that pygments knows
    table: Any = None  # a rich table in place of the body


def sections(explanation: Explanation) -> Iterator[Section]:
    """The chosen stages, in order."""
    for stage in explanation.stages:
        yield MAKERS[stage](explanation)


def _captured(e: Explanation) -> Section:
    return Section(
        f"captured: {len(e.captured.nodes)} operations",
        "The Python code ran once with symbols in place of numbers. Every operation that it did, the way back and the "
        "optimizer's included, became a line: %name: dtype[shape] = primitive(inputs). "
        "A = behind a variable says that the step assigns it.",
        cut(readable(e.captured), e.lines, "explanation.captured"),
    )


def _optimized(e: Explanation) -> Section:
    width = max([len(p.name) for p in e.passes], default=0)
    steps = [f"{p.name:{width}}  {p.before:5} -> {p.after}" for p in e.passes if p.before != p.after]
    return Section(
        f"optimized: {len(e.optimized.nodes)} operations",
        "Passes rewrote the graph without changing its results: what is known is computed, what is there twice is kept "
        "once, what nobody uses is dropped.",
        "\n".join([*steps, "", cut(readable(e.optimized), e.lines, "explanation.optimized")]),
    )


def _kernels(e: Explanation) -> Section:
    kernels: Kernels = e.kernels
    return Section(
        f"kernels: {len(kernels)} in {len(kernels.phases)} phases",
        "Operations that can share a loop are fused into one kernel; what is only renamed, in parentheses, costs "
        "nothing. Kernels of one phase run side by side, and threads wait for each other between phases.",
        cut(str(kernels), e.lines, "explanation.kernels"),
    )


def _memory(e: Explanation) -> Section:
    memory: Memory = e.memory
    return Section(
        f"memory: {memory.arena_bytes:,} bytes between kernels",
        "Only what one kernel leaves for another needs memory. A buffer is used again as soon as its last reader is "
        "done; # marks the phases in which it is in use.",
        cut(str(memory), e.lines, "explanation.memory"),
    )


def _llvm(e: Explanation) -> Section:
    kernel = e.kernels.find(e.kernel)
    code: Code = e.llvm
    return Section(
        f"LLVM: {len(code.module.splitlines()):,} lines; the innermost loop of {kernel.name}"
        + f" ({kernel.layer})" * bool(kernel.layer),
        "Each kernel is written as LLVM text, with as many numbers to a register as the CPU takes. "
        f"All of it: explanation.llvm[{kernel.name!r}].",
        cut(_fewer_phis(code.innermost(kernel.name), e.lines), e.lines, f"explanation.llvm[{kernel.name!r}]"),
        "llvm",
    )


def _fewer_phis(text: str, lines: int | None) -> str:
    """The loop without most of the values that it hands from turn to turn, where not all is to be shown."""
    found = text.splitlines()
    phis = [i for i, line in enumerate(found) if " = phi " in line]
    if lines is None or len(phis) <= FEW_PHIS:
        return text
    shown, hidden = phis[:FEW_PHIS], set(phis[FEW_PHIS:])
    note = f"  ; and {len(hidden)} more values that go from turn to turn"
    kept = [(i, line) for i, line in enumerate(found) if i not in hidden]
    return "\n".join(line + (f"\n{note}" if i == shown[-1] else "") for i, line in kept)


def _assembly(e: Explanation) -> Section:
    kernel = e.kernels.find(e.kernel)
    code: Code = e.assembly
    return Section(
        f"machine code: the innermost loop of {kernel.name}",
        f"What LLVM made of it for this CPU ({e.target.cpu}, {e.target.vector_bytes * 8}-bit registers). "
        f"All of it: explanation.assembly[{kernel.name!r}].",
        cut(code.innermost(kernel.name), e.lines, f"explanation.assembly[{kernel.name!r}]"),
        "gas",
    )


def _timing(e: Explanation) -> Section:
    return Section(
        "timing",
        "The same kernels, measured while the step runs as in fit.",
        str(e.timing),
        table=e.timing.table(),
    )


MAKERS: dict[str, Callable[[Explanation], Section]] = {
    "captured": _captured,
    "optimized": _optimized,
    "kernels": _kernels,
    "memory": _memory,
    "llvm": _llvm,
    "assembly": _assembly,
    "timing": _timing,
}


def cut(text: str, lines: int | None, where: str) -> str:
    """The text with its middle left out, if it has more lines than this."""
    found = text.splitlines()
    if lines is None or len(found) <= lines + SPARED:
        return text
    end = lines // 4
    left_out = len(found) - lines
    return "\n".join([*found[: lines - end], f"... {left_out} more lines: print({where})", *found[len(found) - end :]])


# --- forms ------------------------------------------------------------------------------------------
def plain(name: str, shown: Iterable[Section]) -> str:
    """Sections as plain text."""
    parts = [name]
    for number, section in enumerate(shown, 1):
        title = f"{number}. {section.title}"
        parts += ["", title, "-" * len(title), textwrap.fill(section.sentence, WIDTH), "", _indented(section.body)]
    return "\n".join(parts)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())


def coloured(name: str, shown: Iterable[Section]) -> Iterator[RenderableType]:
    """Sections for a ``rich`` console."""
    from rich.padding import Padding
    from rich.rule import Rule
    from rich.syntax import Syntax
    from rich.text import Text

    yield Text(name, style="bold")
    for number, section in enumerate(shown, 1):
        yield Rule(Text(f"{number}. {section.title}", style="bold"), align="left")
        yield Text(section.sentence, style="italic")
        if section.table is not None:
            yield section.table
        else:
            body: RenderableType
            if section.language == "graph":
                body = Text(section.body)
                for pattern, style in GRAPH_STYLES.items():
                    body.highlight_regex(pattern, style)
            else:
                body = Syntax(
                    section.body, section.language, theme="ansi_dark", background_color="default", word_wrap=True
                )
            yield Padding(body, (1, 0, 1, 2))


def as_html(name: str, shown: Iterable[Section]) -> str:
    """Sections for a notebook, each to be folded away."""
    parts = [f"<div><strong>{html.escape(name)}</strong>"]
    for number, section in enumerate(shown, 1):
        parts.append(
            f"<details open><summary><strong>{number}. {html.escape(section.title)}</strong></summary>"
            f"<p>{html.escape(section.sentence)}</p>"
            f'<pre style="{MONO}">{html.escape(section.body)}</pre></details>'
        )
    return "\n".join([*parts, "</div>"])
