"""What the layers of a model were given and gave in a call that runs op by op."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lamina.core.trees import flatten
from lamina.layers import Layer
from lamina.layers.weights import layers_among


@dataclass
class Trace:
    """What a layer was given and gave."""

    layer: Layer
    inputs: list[np.ndarray]
    output: np.ndarray
    is_output: bool = False


@dataclass
class Call:
    """A call of a model: what its layers did, and the arrays that came out."""

    traces: list[Trace] = field(default_factory=list)
    outputs: list[np.ndarray] = field(default_factory=list)

    def mark(self, outputs: list[np.ndarray]) -> None:
        """These came out."""
        self.outputs = outputs
        for trace in self.traces:
            trace.is_output = any(trace.output is output for output in outputs)


@contextmanager
def recording(model: Layer) -> Iterator[list[Trace]]:
    """The calls of layers that hold no others, inside the ``with`` block."""
    traces: list[Trace] = []
    wrapped = []
    for layer, contents in list(model._walk()):
        if layer is not model and not layers_among(contents) and "call" not in vars(layer):

            def call(*args: Any, _layer: Layer = layer, _call: Any = layer.call, **kwargs: Any) -> Any:
                result = _call(*args, **kwargs)
                outputs = [t for t in flatten(result)[0] if hasattr(t, "_data")]
                inputs = [np.asarray(t._data) for t in flatten(args)[0] if hasattr(t, "_data")]
                if len(outputs) == 1 and isinstance(outputs[0]._data, np.ndarray):
                    traces.append(Trace(_layer, inputs, outputs[0]._data))
                return result

            vars(layer)["call"] = call
            wrapped.append(layer)
    try:
        yield traces
    finally:
        for layer in wrapped:
            vars(layer).pop("call", None)


def work(traces: list[Trace], rows: int) -> int:
    """About how many products a sample takes: the weights of each layer times the places where they are used."""
    total = 0
    for trace in traces:
        inside = [a for a in (*trace.inputs[:1], trace.output) if a.ndim]
        places = max((a.size // max(1, a.shape[-1]) for a in inside), default=1) // max(1, rows)
        total += sum(v.size for v in trace.layer.weights) * max(1, places)
    return total
