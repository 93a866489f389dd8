"""What training keeps beside a model: how it was compiled, its steps, what is known of its outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from lamina.core import dtypes
from lamina.core.errors import ArgumentError, LaminaError
from lamina.core.primitive import wrap
from lamina.core.trees import flatten, unflatten
from lamina.training.arrays import Data
from lamina.training.compiled import Compiled
from lamina.training.interrupt import Interruptible
from lamina.training.outputs import Outputs
from lamina.training.step import Parts, Steps
from lamina.training.token_checks import check_tokens, embedded_inputs
from lamina.training.traces import Call, Trace, recording


class Training:
    """The training state of one model."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.compiled: Compiled | None = None
        self.parts = Parts(model)
        self.steps = Steps(model, None, self.parts)
        self._float_dtype: np.dtype[Any] | None = None
        self.embedded: dict[Any, list[tuple[int, Any]]] = {}  # by the same: inputs that number rows of a table
        self.predictions: dict[Any, Any] = {}  # shapes and dtypes of inputs -> (values for one row, the outputs)

    @property
    def float_dtype(self) -> np.dtype[Any]:
        """The dtype of the model's weights, to which floating-point data is cast."""
        if self._float_dtype is None:
            floats = [v.dtype for v in self.model.weights if dtypes.is_float(v.dtype)] if self.model.built else []
            if not floats:  # not built yet, or without weights
                return dtypes.as_dtype(self.model.dtype)
            self._float_dtype = floats[0]
        return self._float_dtype

    def set_compiled(self, compiled: Compiled) -> None:
        """Take over what ``compile`` made; steps made before no longer fit."""
        self.compiled = compiled
        self.steps = Steps(self.model, compiled, self.parts)
        self.model.optimizer, self.model.loss = compiled.optimizer, compiled.loss


def training_of(model: Any) -> Training:
    """The training state of a model, made on first use."""
    found = getattr(model, "_training", None)
    if found is None:
        found = model._training = Training(model)
    return found


def require_compiled(model: Any, what: str) -> Compiled:
    """How the model was compiled.

    Raises:
        ArgumentError: it was not.
    """
    compiled = training_of(model).compiled
    if compiled is None:
        raise ArgumentError(
            f"The model {model.name!r} is not compiled. Before {what}() call for example "
            "model.compile(optimizer='adam', loss='mse')."
        )
    return compiled


def check_model(model: Any, data: Data, call: Call | None = None) -> tuple[list[np.ndarray], Outputs]:
    """Call the model on the first row, which builds it and checks the inputs' shapes, layer by layer.

    Args:
        model: the model.
        data: its inputs.
        call: takes what the layers did, if the model is built and is called: that is once for each shape and dtype.

    Returns:
        Their values for that row, and the outputs.

    Raises:
        ShapeError, DTypeError: a layer does not take these inputs; names the layer.
        DataError: an input has numbers that its ``Embedding`` has no row for.
    """
    training = training_of(model)
    fixed = [t.shape[0] for t in getattr(model, "inputs", None) or () if t.shape and t.shape[0] is not None]
    rows = fixed[0] if fixed else 1
    key = (training.parts.generation, data.x_structure, *[(a.shape[1:], a.dtype) for a in data.x])
    if key not in training.predictions:
        counts = [v for v in model.non_trainable_variables if v.size <= 1024]  # which a call may change
        try:
            watching: AbstractContextManager[list[Trace]] = nullcontext([])
            if call is not None and model.built:
                watching = recording(model)
            with put_back(counts), watching as traces:
                result = model(unflatten(data.x_structure, [wrap(a[:rows]) for a in data.x]), training=False)
        except LaminaError as error:
            given = ", ".join(f"{a.shape} {a.dtype}" for a in data.x)
            error.args = (f"{error} (The data has shape {given}; a row of it was tried.)",)
            raise
        outputs, structure = flatten(result)
        if call is not None and traces:
            call.traces = traces
            call.mark([o._data for o in outputs])
        if training.compiled is not None and not model.built:
            raise ArgumentError(f"The model {model.name!r} is not built after a call: does its __call__ call super()?")
        training.predictions[key] = [np.asarray(o) for o in outputs], Outputs.of(model, structure, len(outputs))
        training.embedded[key] = embedded_inputs(model, data)
    check_tokens(data, training.embedded[key])
    return training.predictions[key]


@contextmanager
def put_back(variables: Iterable[Any]) -> Iterator[None]:
    """What the block writes to the variables is undone, in one piece: Ctrl-C waits for the end of the block."""
    with Interruptible():
        before = [(v, np.array(v._data)) for v in variables]
        try:
            yield
        finally:
            for variable, array in before:
                if variable._data.tobytes() != array.tobytes():
                    variable.assign(array)
