"""``python -m benchmarks.results``: train the examples on real data, in Lamina and in PyTorch, and compare.

Each is trained several times, with another seed each time.  ``LAMINA_DATA`` names the folder with the data.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
TITLE = "# Results on real data\n"
HOW = """
`make results` trains the models below in Lamina and the same models in PyTorch (the same arrays, sizes, first
distributions of the weights, optimizer, rates, dropout, augmentation and number of epochs), with {seeds} seeds each,
and writes this page. The examples are `examples/mnist_lenet.py`, `examples/cifar_resnet.py` and
`examples/movie_reviews_lstm.py`. Accuracies are those of data that was not trained on, after the last epoch: the mean
of the seeds, and in brackets the least and the greatest. Losses are means of the seeds.
"""


@dataclass(frozen=True)
class Case:
    """An example and how it is told of."""

    example: str
    title: str
    epochs: int
    small: int  # epochs, to see that it works


CASES = (
    Case("mnist_lenet", "LeNet on MNIST: 8,000 images to train, 2,000 to test", 15, 1),
    Case("cifar_resnet", "ResNet with three blocks on CIFAR-10: 10,000 images to train, 2,000 to test", 15, 1),
    Case("movie_reviews_lstm", "LSTM on movie reviews: 8,529 sentences to train, 2,133 to test", 5, 1),
)
History = dict[str, list[float]]


def load(name: str) -> ModuleType:
    """The example as a module."""
    path = ROOT / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(case: Case, epochs: int, seeds: int, say: Any = print) -> dict[str, list[History]]:
    """Histories by framework, one for each seed."""
    found: dict[str, list[History]] = {"Lamina": []}
    module = load(case.example)
    peers: Any = None
    if importlib.util.find_spec("torch"):
        peers = importlib.import_module("benchmarks.results.in_torch")
        found["PyTorch"] = []
    for seed in range(seeds):
        started = time.perf_counter()
        found["Lamina"].append(module.train(epochs, verbose=0, seed=seed)[1])
        say(f"{case.example}, seed {seed}: {_last(found['Lamina'])}, {time.perf_counter() - started:.0f} s", flush=True)
        if peers is not None:
            started = time.perf_counter()
            found["PyTorch"].append(getattr(peers, case.example)(module, epochs, seed))
            say(f"    PyTorch: {_last(found['PyTorch'])}, {time.perf_counter() - started:.0f} s", flush=True)
    return found


def _last(histories: list[History]) -> str:
    losses = " ".join(f"{loss:.3f}" for loss in histories[-1]["val_loss"])
    return f"test accuracy {histories[-1]['val_accuracy'][-1]:.2%}, losses {losses}"


def table(found: dict[str, dict[str, list[History]]]) -> str:
    """The results in Markdown: by title, then by framework."""
    lines = ["| | framework | test accuracy | test loss by epoch |", "|---|---|---|---|"]
    for title, frameworks in found.items():
        for framework, histories in frameworks.items():
            last = [history["val_accuracy"][-1] for history in histories]
            spread = f"{statistics.mean(last):.1%} ({min(last):.1%} to {max(last):.1%})"
            losses = [statistics.mean(values) for values in zip(*(h["val_loss"] for h in histories), strict=True)]
            lines.append(f"| {title} | {framework} | {spread} | {', '.join(f'{loss:.3f}' for loss in losses)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Train, print, and write the page if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results", description=__doc__)
    parser.add_argument("examples", nargs="*", metavar="EXAMPLE", help="names of examples; default all")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each (2)")
    parser.add_argument("--small", action="store_true", help="one epoch each: to see that everything works")
    parser.add_argument("--write", action="store_true", help="write docs/results.md")
    options = parser.parse_args()
    unknown = set(options.examples) - {case.example for case in CASES}
    if unknown:
        parser.error(f"there is no example {', '.join(sorted(unknown))}")
    found = {}
    for case in CASES:
        if not options.examples or case.example in options.examples:
            found[case.title] = run(case, case.small if options.small else case.epochs, options.seeds)
    text = table(found)
    print(text)
    if options.write:
        (ROOT / "docs" / "results.md").write_text(TITLE + HOW.format(seeds=options.seeds) + "\n" + text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
