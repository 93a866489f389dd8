"""``clone_model``: the same layers anew, on new inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamina.core.errors import ArgumentError
from lamina.core.trees import flatten, unflatten
from lamina.layers import Input, InputLayer, Layer
from lamina.layers.symbolic import replace_symbolic
from lamina.models.base import Model
from lamina.models.sequential import Sequential
from lamina.serialization import custom_object_scope


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
) -> Any:
    """A new model of new layers with the same configuration and fresh weights.

    Args:
        model: a Sequential or functional model, or a subclass that can be configured.
        input_tensors: placeholders to build it on, in the structure of ``model.input``; default new ones.
        clone_function: makes the new layer of a layer (inputs excepted); default from its configuration.
        call_function: ``f(layer, *args, **kwargs)`` calls a new layer in place of ``layer(*args, **kwargs)``;
            functional models only.
        recursive: whether models inside are cloned in the same way, instead of by ``clone_function``.

    Raises:
        ArgumentError: ``input_tensors`` have another structure, or a function is given that the kind of model
            cannot use.

    Example:
        >>> import lamina
        >>> model = lamina.Sequential([lamina.Input((4,)), lamina.layers.Dense(2)])
        >>> [w.shape for w in clone_model(model).weights]
        [(4, 2), (2,)]
    """

    def clone(layer: Layer) -> Layer:
        if recursive and isinstance(layer, Model):
            calls = None if isinstance(layer, Sequential) else call_function
            return clone_model(layer, None, clone_function, calls, True)
        made = clone_function(layer) if clone_function is not None else _from_config(layer)
        if not isinstance(made, Layer):
            raise ArgumentError(f"clone_function gives a layer; for layer {layer.name!r} it gave {made!r}.")
        return made

    if isinstance(model, Sequential):
        if call_function is not None:
            raise ArgumentError("`call_function` argument is not supported with Sequential models.")
        return _clone_sequential(model, input_tensors, clone)
    if model._graph is None:
        if clone_function is not None or call_function is not None or input_tensors is not None:
            raise ArgumentError(
                f"Model {model.name!r} is a class of its own: how its layers are made and called is in its code. "
                "Arguments beside the model are not supported; it is made anew by from_config(get_config())."
            )
        return _from_config(model)
    return _clone_graph(model, input_tensors, clone, call_function or (lambda layer, *a, **k: layer(*a, **k)))


def _like(placeholder: Any) -> Any:
    """A new input like this one."""
    optional = getattr(placeholder.node and placeholder.node.layer, "optional", False)
    return Input(batch_shape=placeholder.shape, dtype=placeholder.dtype, name=placeholder.name, optional=optional)


def _from_config(layer: Layer) -> Any:
    with custom_object_scope({type(layer).__name__: type(layer)}):
        return type(layer).from_config(layer.get_config())


def _clone_sequential(model: Sequential, input_tensors: Any, clone: Callable[[Layer], Layer]) -> Sequential:
    stack: list[Any] = [clone(layer) for layer in model.layers]
    tensors = flatten(input_tensors)[0]
    if len(tensors) > 1:
        raise ArgumentError(f"A Sequential model has one input; input_tensors holds {len(tensors)}.")
    start = tensors[0] if tensors else model._graph.inputs[0] if model._graph is not None else None
    if start is not None and (tensors or isinstance(model._stack[0], InputLayer)):
        stack.insert(0, _like(start))
    return Sequential(stack, name=model.name, trainable=model.trainable)


def _clone_graph(model: Model, input_tensors: Any, clone: Callable[[Layer], Layer], call: Callable[..., Any]) -> Model:
    graph = model._graph
    assert graph is not None
    if input_tensors is None:
        tensors: list[Any] = [_like(t) for t in graph.inputs]
    else:
        tensors, structure = flatten(input_tensors)
        if structure != graph.input_structure and not len(tensors) == len(graph.inputs) == 1:
            raise ArgumentError("`input_tensors` must have the same structure as model.input, and has another.")
    values: dict[int, Any] = {id(t): new for t, new in zip(graph.inputs, tensors, strict=True)}
    layers: dict[int, Layer] = {}
    for node in graph.nodes:
        if id(node.layer) not in layers:
            layers[id(node.layer)] = clone(node.layer)
        args, kwargs = replace_symbolic((node.args, node.kwargs), lambda t: values[id(t)])
        made = flatten(call(layers[id(node.layer)], *args, **kwargs))[0]
        values.update((id(old), new) for old, new in zip(node.outputs, made, strict=True))
    outputs = unflatten(graph.output_structure, [values[id(t)] for t in graph.outputs])
    cloned = Model(unflatten(graph.input_structure, tensors), outputs, name=model.name)
    cloned._trainable = model.trainable
    return cloned
