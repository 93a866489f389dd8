"""``EinsumDense``: a dense layer whose product is written as an equation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from lamina import activations, initializers, ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.layers.base import Layer
from lamina.layers.low_rank import LowRankUpdate, adapted
from lamina.layers.spec import InputSpec
from lamina.layers.symbolic import Shape
from lamina.serialization import register_serializable
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")


@_register
class EinsumDense(LowRankUpdate, Layer):
    """``activation(einsum(equation, inputs, kernel) + bias)``.

    Args:
        equation: ``"ab,bc->ac"``: the letters of the input's axes, the kernel's, the output's.  ``...`` may
            stand for more axes at the beginning (``"...b,bc->...c"``) or the end of input and output.
        output_shape: sizes of the output without the batch and the axes that ``...`` stands for; ``None``
            where the size is the input's.
        activation: name or function; default none (linear).
        bias_axes: the letters of the output's axes that the bias has; default no bias.
        kernel_initializer: initial ``kernel``.  Its fans are the axes that it shares with the input alone, and
            those that it shares with the output.
        bias_initializer: initial ``bias``.
        lora_rank: rank of a trained update beside the frozen kernel; see ``enable_lora``.
        lora_alpha: factor of the update times the rank; default ``lora_rank``.
        kwargs: ``kernel_regularizer``, ``bias_regularizer``, ``kernel_constraint``, ``bias_constraint``, and the
            arguments of ``Layer``.

    Raises:
        ArgumentError: the equation has another form.
        ShapeError: it does not fit the input.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 5), bias_axes="de")
        >>> layer(lamina.ones((4, 3, 8))).shape
        (4, 3, 2, 5)
    """

    _penalized = ("kernel", "bias")
    kernel = adapted("kernel")

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set_lora(lora_rank, lora_alpha)
        self.equation = equation.replace(" ", "")
        self.terms = _terms(self.equation)
        self.partial_output_shape = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.activation = activations.get(activation)
        self.bias_axes = bias_axes
        if bias_axes is not None and not set(bias_axes) <= set(self.terms[2]):
            raise ArgumentError(f"EinsumDense: bias_axes={bias_axes!r} are no axes of the output in {equation!r}.")
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    def build(self, input_shape: Shape) -> None:
        source, weight, result = self.terms
        sizes = self._sizes(input_shape)
        inputs = [i for i, c in enumerate(weight) if c not in result]
        outputs = [i for i, c in enumerate(weight) if c in result]
        self.kernel = self.add_weight(
            tuple(sizes[c] for c in weight),
            _with_fans(self.kernel_initializer, inputs, outputs),
            name="kernel",
            **self._penalties("kernel"),
        )
        self.bias = None
        if self.bias_axes is not None:
            behind = len(input_shape) - len(source) if self.equation.split(",")[0].endswith("...") else 0
            first = min(result.index(c) for c in self.bias_axes)
            shape = [sizes[c] if c in self.bias_axes else 1 for c in result[first:]] + [1] * behind
            self.bias = self.add_weight(shape, self.bias_initializer, name="bias", **self._penalties("bias"))
        self.input_spec = InputSpec(ndim=len(input_shape))
        self._build_lora()

    def _sizes(self, input_shape: Shape) -> dict[str, int | None]:
        """The size that each letter stands for."""
        source, weight, result = self.terms
        where = f"EinsumDense: {self.equation!r} with output_shape={self.partial_output_shape}"
        before = self.equation.startswith("...")
        if len(input_shape) < len(source) + before or ("..." not in self.equation and len(input_shape) > len(source)):
            raise ShapeError(f"{where} does not fit an input of shape {tuple(input_shape)}.")
        known = input_shape[len(input_shape) - len(source) :] if before else input_shape
        sizes = dict(zip(source, known, strict=False))
        named = result if before else result[1:]  # the batch has no size
        if len(named) != len(self.partial_output_shape):
            raise ShapeError(f"{where} has {len(named)} sizes to give: those of {named!r}.")
        for letter, size in zip(named, self.partial_output_shape, strict=True):
            if size is not None and sizes.setdefault(letter, size) not in (None, size):
                raise ShapeError(f"{where}: {letter!r} has size {sizes[letter]} in the input {tuple(input_shape)}.")
        missing = [c for c in weight if sizes.get(c) is None]
        if missing:
            raise ShapeError(f"{where} leaves the size of {', '.join(map(repr, missing))} open: the kernel needs it.")
        return sizes

    def call(self, inputs: Any) -> Tensor:
        source, weight, result = self.terms
        summed = "".join(c for c in weight if c not in result)
        count, made = len(summed), weight[len(summed) :]
        plain = source.endswith(summed) and weight.startswith(summed) and not self.equation.endswith("...")
        plain = plain and result == source[: len(source) - count] + made
        if plain and (self.bias is None or set(self.bias_axes or "") == set(made)):
            # A product of two matrices: then the bias is added while it is computed.
            lead, kernel = inputs.shape[: inputs.ndim - count], ops.as_tensor(self.kernel)
            depth, width = (math.prod(sizes) for sizes in (kernel.shape[:count], kernel.shape[count:]))
            x = ops.matmul(ops.reshape(inputs, (math.prod(lead), depth)), ops.reshape(kernel, (depth, width)))
            if self.bias is not None:
                x = ops.add(x, ops.reshape(self.bias.value, (width,)))
            return self.activation(ops.reshape(x, (*lead, *kernel.shape[count:])))
        x = ops.einsum(self.equation, inputs, ops.as_tensor(self.kernel))
        if self.bias is not None:
            x = ops.add(x, self.bias)
        return self.activation(x)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "equation": self.equation,
            "output_shape": list(self.partial_output_shape),
            "activation": activations.serialize(self.activation),
            "bias_axes": self.bias_axes,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            **self._lora_config(),
        }


def _terms(equation: str) -> tuple[str, str, str]:
    """The letters of input, kernel and output."""
    left, arrow, result = equation.partition("->")
    source, comma, weight = left.partition(",")
    same_dots = any(
        len(source) - len(s) == len(result) - len(r) and "." not in s + r
        for s, r in (
            (source, result),
            (source.removeprefix("..."), result.removeprefix("...")),
            (source.removesuffix("..."), result.removesuffix("...")),
        )
    )
    source, result = source.replace("...", ""), result.replace("...", "")
    letters = source and weight and result and (source + weight + result).isalpha()
    known = set(result) <= set(source + weight) and set(weight) <= set(source + result)
    if not (arrow and comma and same_dots and letters and known):
        raise ArgumentError(
            f"EinsumDense: an equation is written 'ab,bc->ac', '...b,bc->...c' or 'ab...,bc->ac...'; got {equation!r}."
        )
    return source, weight, result


def _with_fans(initializer: Any, inputs: Sequence[int], outputs: Sequence[int]) -> Callable[..., Any]:
    """An initializer whose fans are these axes of the weight."""
    if not isinstance(initializer, initializers.VarianceScaling):
        return initializer

    def make(shape: Sequence[int], dtype: Any = None) -> Any:
        order = [*inputs, *outputs]
        fans = [math.prod(shape[i] for i in axes) for axes in (inputs, outputs)]
        x = ops.reshape(initializer(fans, dtype), [shape[i] for i in order])
        return ops.permute_dims(x, [order.index(i) for i in range(len(order))])

    return make
