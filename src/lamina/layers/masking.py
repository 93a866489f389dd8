"""How masks pass through layers.

A mask goes into a call as the argument ``mask`` (or ``<argument>_mask``, for layers of several tensors), if the
layer has one.  On the output comes what ``compute_mask`` says, which by default is the mask of the input.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from lamina import ops
from lamina.core.masks import get_mask, set_mask
from lamina.core.trees import flatten, map_tree
from lamina.layers.spec import signature_of
from lamina.layers.symbolic import infer_outputs
from lamina.tensor import Tensor

if TYPE_CHECKING:
    from lamina.layers.base import Layer
    from lamina.layers.spec import Signature


def fill_masks(signature: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Put the masks of the inputs into those mask arguments of a call that were not given.

    Returns:
        The mask of the first input, in its structure, or what was given as ``mask``.
    """
    given = dict(zip(signature.names, args, strict=False)) | kwargs
    if signature.mask_names:
        tensors = {name: value for name, value in given.items() if _holds_tensors(value)}
        for name, value in tensors.items():
            argument = "mask" if len(tensors) == 1 else f"{name}_mask"
            by_place = argument in signature.names[: len(args)]
            if argument in signature.mask_names and given.get(argument) is None and not by_place:
                kwargs[argument] = map_tree(get_mask, value)
    mask = given.get("mask", None)
    if mask is None:
        mask = kwargs.get("mask")
    return mask if mask is not None else map_tree(get_mask, first_input(args, kwargs))


def first_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The first argument of a call."""
    return args[0] if args else next(iter(kwargs.values()), None)


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, Tensor) or (
        isinstance(value, list | tuple | dict) and any(isinstance(x, Tensor) for x in flatten(value)[0])
    )


def carry_masks(layer: Layer, inputs: Any, output: Any, given: Any) -> Any:
    """The output of a layer with the masks that the layer computes for it.

    Args:
        layer: the layer that was called.
        inputs: its first argument.
        output: what it returned.
        given: what ``fill_masks`` returned.
    """
    if not layer.supports_masking:
        takes_it = signature_of(type(layer)).mask_names  # such a layer has used the mask
        if layer._warns_of_masks and not takes_it and flatten(given)[0]:
            layer._warns_of_masks = False
            warnings.warn(
                f"Layer {layer.name!r} ({type(layer).__name__}) was given an input with a mask and does not support "
                "masking, so the mask is lost here: the layers after it treat padding like data. If that is not "
                "meant, set supports_masking = True, or define compute_mask, in the layer.",
                stacklevel=4,
            )
        return output
    tensors = [x for x in flatten(output)[0] if isinstance(x, Tensor)]
    if not tensors or all(get_mask(x) is not None for x in tensors):
        return output
    masks = layer.compute_mask(inputs, given)
    if masks is None:
        return output
    passed = {id(x) for x in flatten(inputs)[0]}
    if any(id(x) in passed for x in tensors):  # an input handed through gets no mask behind its owner's back
        output = map_tree(lambda x: _another(x) if id(x) in passed else x, output)
    outputs = output if isinstance(output, list | tuple) else [output]
    for x, mask in zip(outputs, masks if isinstance(masks, list | tuple) else [masks], strict=False):
        if isinstance(x, Tensor) and mask is not None and get_mask(x) is None:
            set_mask(x, mask)
    return output


def mask_placeholders(layer: Layer, inputs: Any, given: Any, output: Any) -> None:
    """Hang on the placeholders that a layer returned masks like those that it will compute for tensors.

    Args:
        layer: the layer that was called.
        inputs: its first argument, placeholders.
        given: its argument ``mask``, or ``None`` for the masks of the inputs.
        output: what it returned.
    """
    outputs = output if isinstance(output, list | tuple) else [output]
    if not layer.supports_masking or any(get_mask(x) is not None for x in outputs):
        return
    given = map_tree(get_mask, inputs) if given is None else given
    if not layer._makes_masks and not flatten(given)[0]:
        return

    def compute(inputs: Any, given: Any) -> Any:
        return layer.compute_mask(inputs, map_tree(ops.as_tensor, given))

    masks = infer_outputs(compute, (inputs, given), {}, layer.name)
    for x, mask in zip(outputs, masks if isinstance(masks, list | tuple) else [masks], strict=False):
        set_mask(x, mask)


def with_mask(x: Any, mask: Any) -> Any:
    """A tensor equal to ``x`` that carries the mask; ``x`` itself stays as it is."""
    if mask is None or get_mask(x) is mask:
        return x
    x = _another(x)
    set_mask(x, mask)
    return x


def _another(x: Any) -> Any:
    """An equal tensor with an identity of its own."""
    return ops.reshape(ops.expand_dims(x, 0), x.shape)
