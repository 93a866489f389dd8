"""A part of a functional graph as a function of its own, without being a layer or a model."""

from __future__ import annotations

from typing import Any

from lamina import config, ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.trees import flatten, map_tree
from lamina.layers.spec import InputSpec, map_shapes
from lamina.layers.symbolic import SymbolicTensor
from lamina.models.functional import LayerGraph


class Function:
    """What lies between some placeholders and others, as a function of tensors or of other placeholders.

    Args:
        inputs: placeholders, in any nesting.
        outputs: placeholders that were made from them.
        name: a name; default a new one.

    Raises:
        ArgumentError: an output does not come from the inputs.

    Example:
        >>> import lamina
        >>> x = lamina.Input((2,))
        >>> double = Function(x, x * 2)
        >>> double(lamina.ones((1, 2))).tolist()
        [[2.0, 2.0]]
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None) -> None:
        for what, given in (("inputs", inputs), ("outputs", outputs)):
            if not flatten(given)[0]:
                raise ArgumentError(f"`{what}` argument cannot be empty. Received: {given}")
        self.name = name or config.auto_name("function")
        self._graph = LayerGraph(inputs, outputs)
        self._inputs_struct, self._outputs_struct = inputs, outputs

    @property
    def inputs(self) -> list[Any]:
        """The placeholders that it takes."""
        return self._graph.inputs

    @property
    def outputs(self) -> list[Any]:
        """The placeholders that it gives."""
        return self._graph.outputs

    @property
    def operations(self) -> list[Any]:
        """The layers in between."""
        return self._graph.layers

    def __call__(self, inputs: Any) -> Any:
        """The outputs, in their structure, for inputs in theirs."""
        tensors = self._matched(inputs)
        found = self._graph.run(tensors)
        single = isinstance(self._outputs_struct, list | tuple) and len(self._outputs_struct) == 1
        return type(self._outputs_struct)([found]) if single and not isinstance(found, list | tuple) else found

    def _matched(self, inputs: Any) -> list[Any]:
        """The inputs in order.

        Raises:
            ShapeError: there are others than the placeholders, or one has another shape.
        """
        given, structure = flatten(inputs)
        if structure != self._graph.input_structure and len(given) != len(self.inputs):
            raise ShapeError(
                f"{self.name}: invalid input structure; expected {self._graph.input_structure}, got {structure}."
            )
        for x, wanted in zip(given, self.inputs, strict=True):
            shape = tuple(x.shape) if hasattr(x, "shape") else ops.as_tensor(x).shape
            if InputSpec(shape=wanted.shape).problem(shape) is not None:
                raise ShapeError(f"{self.name}: incompatible inputs; expected shape {wanted.shape}, got {shape}.")
        return self._graph.match_inputs(inputs, self.name)

    def compute_output_spec(self, inputs: Any) -> Any:
        """Placeholders for the outputs, given placeholders for the inputs."""
        return self(map_tree(lambda t: SymbolicTensor(t.shape, t.dtype), inputs))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shapes of the outputs for shapes of the inputs."""
        dtypes = iter([t.dtype for t in self.inputs])
        inputs = map_shapes(lambda shape: SymbolicTensor(shape, next(dtypes)), input_shape)
        return map_tree(lambda t: tuple(t.shape), self(inputs))

    def __repr__(self) -> str:
        return f"<Function {self.name}: {len(flatten(self._inputs_struct)[0])} inputs>"
