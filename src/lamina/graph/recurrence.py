"""Recurrence along sequences: ``simple_rnn``, ``lstm`` and ``gru``, and the walk that all recurrent layers share.

The work is arranged for speed: what does not depend on the state, the product of the inputs with their
kernel, is one large contraction over all steps before the loop; the loop itself (a ``scan``) holds the
product of the state with the recurrent kernel, slices of the gates, and elementwise operations.

Gates stand side by side along the last axis of kernels and biases, in Keras's order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from lamina import ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.trees import flatten, map_tree
from lamina.graph.scan import scan
from lamina.ops import nn
from lamina.ops.indexing import narrow

Activation = Callable[[Any], Any]
Step = Callable[[Any, Any], tuple[Any, Any]]


# --- the walk ---------------------------------------------------------------------------------------
def walk(
    step: Step,
    sequences: Any,
    states: Any,
    *,
    mask: Any = None,
    first_output: Any = None,
    go_backwards: bool = False,
    return_sequences: bool = False,
    zero_output_for_mask: bool = False,
) -> tuple[Any, Any]:
    """Apply a step to each time of a batch of sequences, handing on the states.

    Args:
        step: ``step(x_t, states)`` returns the output and the new states, in the structure of ``states``.
        sequences: shape (batch, steps, ...).
        states: the first states, tensors of shape (batch, ...) in any nesting.
        mask: bools of shape (batch, steps).  Where one is false the step leaves states and output as they were.
        first_output: with a mask, what counts as the output before the first step; not needed where the output
            is one of the new states.
        go_backwards: walk from the last step to the first; the outputs come in the order of the walk.
        return_sequences: return the outputs of all steps and not only the last one's.
        zero_output_for_mask: give out 0 where the mask is false.

    Returns:
        The output, of shape (batch, ...) or (batch, steps, ...), and the last states.

    Raises:
        ShapeError: the mask does not have the shape of the steps.
    """
    kept = None if mask is None else _mask_by_step(mask, sequences.shape)
    place: int | None = None  # of the output among the states, if it is one of them

    def turn(carry: Any, now: Any) -> Any:
        nonlocal place
        states, before = carry
        x, keep = now
        output, new = step(x, states)
        place = next((i for i, s in enumerate(flatten(new)[0]) if s is output), None)
        if keep is not None:
            new = map_tree(lambda n, old: _select(keep, n, old), new, states)
            if place is not None:
                output = flatten(new)[0][place]
            elif before is None:
                raise ArgumentError("walk: with a mask, an output that is no state needs first_output.")
            else:
                before = output = _select(keep, output, before)
        if not return_sequences and (place is not None or before is not None):
            return (new, before), None  # the carry holds the output
        if keep is not None and zero_output_for_mask:
            output = _select(keep, output, 0)
        return (new, before), output

    start = states, (None if kept is None else first_output)
    (states, before), outputs = scan(turn, start, (_swap(sequences), kept), reverse=go_backwards)
    if return_sequences:
        outputs = _swap(outputs)
        return (ops.flip(outputs, axis=1) if go_backwards else outputs), states
    if outputs is not None:
        return outputs[0 if go_backwards else -1], states
    output = before if place is None else flatten(states)[0][place]
    if kept is not None and zero_output_for_mask and kept.shape[0]:
        output = _select(kept[0 if go_backwards else -1], output, 0)
    return output, states


def _swap(x: Any) -> Any:
    """Batch and steps exchanged."""
    return ops.permute_dims(x, (1, 0, *range(2, x.ndim)))


def _mask_by_step(mask: Any, shape: Sequence[int]) -> Any:
    """The mask as bools of shape (steps, batch, 1)."""
    mask = ops.astype(ops.as_tensor(mask), "bool")
    if mask.ndim >= max(len(shape), 3) and mask.shape[2:] != (1,) * (mask.ndim - 2):
        raise ShapeError(
            f"a mask of shape {mask.shape} says what attends to what; a recurrent layer takes one of its steps, of "
            f"shape {tuple(shape[:2])}. Several sequences packed in a row are for attention: here the state of each "
            "would go on into the next. Put sequences of similar length together instead "
            "(Pipeline.bucket_by_sequence_length)."
        )
    if mask.ndim > 2:
        mask = ops.any(mask, axis=tuple(range(2, mask.ndim)))
    if mask.shape != tuple(shape[:2]):
        raise ShapeError(f"a mask of shape {mask.shape} does not fit sequences of shape {tuple(shape)}.")
    return ops.reshape(_swap(mask), (shape[1], shape[0], 1))


def _select(keep: Any, new: Any, old: Any) -> Any:
    """``new`` in the rows where ``keep``, of shape (batch, 1), is true, else ``old``."""
    rows = keep if new.ndim == 2 else ops.reshape(keep, (keep.shape[0], *(1,) * (new.ndim - 1)))
    return ops.where(rows, new, old)


# --- parts of the cells -----------------------------------------------------------------------------
def project(x: Any, kernel: Any, bias: Any = None, dropout: Any = None) -> Any:
    """``x @ kernel + bias`` for all steps in one contraction.

    Args:
        x: shape (batch, features) or (batch, steps, features).
        kernel: shape (features, gates * units).
        bias: shape (gates * units,), or ``None``.
        dropout: factors of the features, of shape (batch, features): one tensor, or a list of one for each gate.
    """
    if x.ndim == 3:  # by step, as the loop reads it; and its gradient is by step too
        return _swap(_project(_swap(x), kernel, bias, dropout))
    return _project(x, kernel, bias, dropout)


def _project(x: Any, kernel: Any, bias: Any, dropout: Any) -> Any:
    """The same for ``x`` of shape (batch, features) or (steps, batch, features)."""
    if isinstance(dropout, list | tuple):
        scaled = [_flat(_scale(x, factor)) for factor in dropout]
        parts = [ops.matmul(p, k) for p, k in zip(scaled, _gates(kernel, len(scaled)), strict=True)]
        z = ops.concat(parts, axis=-1)
    else:
        z = ops.matmul(_flat(x if dropout is None else _scale(x, dropout)), kernel)
    z = z if bias is None else ops.add(z, bias)
    return ops.reshape(z, (*x.shape[:-1], kernel.shape[-1]))


def _scale(x: Any, factor: Any) -> Any:
    return ops.multiply(x, factor)


def _flat(x: Any) -> Any:
    return ops.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _gates(z: Any, count: int) -> list[Any]:
    """The gates that stand side by side along the last axis."""
    units = z.shape[-1] // count
    return [narrow(z, z.ndim - 1, g * units, (g + 1) * units) for g in range(count)]


def split_kernel(kernel: Any, gates: int, dropout: Any, reset_after: bool = True) -> Any:
    """A recurrent kernel as the steps below want it: cut into those parts that are multiplied with different states.

    Args:
        kernel: shape (units, gates * units).
        gates: how many.
        dropout: as in ``project``; one for each gate means as many parts.
        reset_after: of a GRU; without it the last gate is a part of its own.
    """
    if isinstance(dropout, list | tuple):
        return _gates(kernel, gates)
    if reset_after:
        return kernel
    units = kernel.shape[0]
    return [narrow(kernel, 1, 0, 2 * units), narrow(kernel, 1, 2 * units, 3 * units)]


def _recurrent(h: Any, kernel: Any, bias: Any, gates: int, dropout: Any) -> list[Any]:
    """``h @ kernel + bias`` by gate."""
    if isinstance(dropout, list | tuple):
        parts = [ops.matmul(ops.multiply(h, d), k) for d, k in zip(dropout, kernel, strict=True)]
        return parts if bias is None else [ops.add(p, b) for p, b in zip(parts, _gates(bias, gates), strict=True)]
    z = ops.matmul(h if dropout is None else ops.multiply(h, dropout), kernel)
    return _gates(z if bias is None else ops.add(z, bias), gates)


# --- steps of the three cells -------------------------------------------------------------------------
def simple_rnn_step(
    x: Any, states: Any, recurrent_kernel: Any, activation: Activation = ops.tanh, dropout: Any = None
) -> tuple[Any, list[Any]]:
    """``h = activation(x + h @ recurrent_kernel)``, with ``x`` projected already."""
    h = states[0] if dropout is None else ops.multiply(states[0], dropout)
    h = activation(ops.add(x, ops.matmul(h, recurrent_kernel)))
    return h, [h]


def lstm_step(
    x: Any,
    states: Any,
    recurrent_kernel: Any,
    activation: Activation = ops.tanh,
    recurrent_activation: Activation = nn.sigmoid,
    dropout: Any = None,
) -> tuple[Any, list[Any]]:
    """One step of an LSTM, with ``x`` projected already; its gates are input, forget, cell, output.

    The kernel is what ``split_kernel`` made of it.
    """
    h, c = states
    if dropout is None:
        i, f, g, o = _gates(ops.add(x, ops.matmul(h, recurrent_kernel)), 4)
    else:
        parts = _recurrent(h, recurrent_kernel, None, 4, dropout)
        i, f, g, o = [ops.add(a, b) for a, b in zip(_gates(x, 4), parts, strict=True)]
    c = ops.add(ops.multiply(recurrent_activation(f), c), ops.multiply(recurrent_activation(i), activation(g)))
    h = ops.multiply(recurrent_activation(o), activation(c))
    return h, [h, c]


def gru_step(
    x: Any,
    states: Any,
    recurrent_kernel: Any,
    recurrent_bias: Any = None,
    activation: Activation = ops.tanh,
    recurrent_activation: Activation = nn.sigmoid,
    reset_after: bool = True,
    dropout: Any = None,
) -> tuple[Any, list[Any]]:
    """One step of a GRU, with ``x`` projected already; its gates are update, reset, candidate.

    The kernel is what ``split_kernel`` made of it.
    """
    h = states[0]
    x_z, x_r, x_g = _gates(x, 3)
    if reset_after:
        h_z, h_r, h_g = _recurrent(h, recurrent_kernel, recurrent_bias, 3, dropout)
        z, r = recurrent_activation(ops.add(x_z, h_z)), recurrent_activation(ops.add(x_r, h_r))
        g = activation(ops.add(x_g, ops.multiply(r, h_g)))
    else:
        *gated, last = recurrent_kernel
        by_gate = isinstance(dropout, list | tuple)
        h_z, h_r = _recurrent(h, gated if by_gate else gated[0], None, 2, dropout[:2] if by_gate else dropout)
        z, r = recurrent_activation(ops.add(x_z, h_z)), recurrent_activation(ops.add(x_r, h_r))
        factor = dropout[2] if by_gate else dropout
        reset = ops.multiply(r, h if factor is None else ops.multiply(h, factor))
        g = activation(ops.add(x_g, ops.matmul(reset, last)))
    h = ops.add(ops.multiply(z, h), ops.multiply(ops.subtract(1, z), g))
    return h, [h]


# --- whole sequences ----------------------------------------------------------------------------------
def _prepare(
    name: str, gates: int, x: Any, kernel: Any, recurrent_kernel: Any, initial_state: Any, count: int
) -> tuple[Any, Any, Any, list[Any]]:
    """Tensors of agreeing shapes and dtypes, and ``count`` states."""
    kernel, recurrent_kernel = ops.as_tensor(kernel), ops.as_tensor(recurrent_kernel)
    x = ops.as_tensor(x, dtype=kernel.dtype)
    units = recurrent_kernel.shape[0] if recurrent_kernel.ndim == 2 else 0
    wanted = ((x.shape[-1] if x.ndim == 3 else 0, gates * units), (units, gates * units))
    if x.ndim != 3 or (kernel.shape, recurrent_kernel.shape) != wanted:
        raise ShapeError(
            f"{name} takes x of shape (batch, steps, features), a kernel of shape (features, {gates} * units) and a "
            f"recurrent_kernel of shape (units, {gates} * units); got {x.shape}, {kernel.shape} and "
            f"{recurrent_kernel.shape}."
        )
    if initial_state is None:
        return x, kernel, recurrent_kernel, [ops.zeros((x.shape[0], units), dtype=x.dtype)] * count
    states = list(initial_state) if isinstance(initial_state, list | tuple) else [initial_state]
    states = [ops.as_tensor(s, dtype=x.dtype) for s in states]
    if len(states) != count or any(s.shape != (x.shape[0], units) for s in states):
        raise ShapeError(
            f"{name} takes {count} initial state{'s' * (count > 1)} of shape {(x.shape[0], units)}; "
            f"got {', '.join(str(s.shape) for s in states)}."
        )
    return x, kernel, recurrent_kernel, states


def simple_rnn(
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any = None,
    initial_state: Any = None,
    *,
    activation: Activation = ops.tanh,
    mask: Any = None,
    go_backwards: bool = False,
    return_sequences: bool = False,
    zero_output_for_mask: bool = False,
) -> tuple[Any, list[Any]]:
    """A fully connected recurrent network: ``h = activation(x_t @ kernel + bias + h @ recurrent_kernel)``.

    Args:
        x: shape (batch, steps, features).
        kernel: shape (features, units).
        recurrent_kernel: shape (units, units).
        bias: shape (units,), or ``None``.
        initial_state: ``h`` before the first step, of shape (batch, units); default zeros.
        activation: elementwise function.
        mask: bools of shape (batch, steps).  Steps where it is false change nothing.
        go_backwards: start at the last step; outputs come in that order.
        return_sequences: whether to return ``h`` after every step, or only the last.
        zero_output_for_mask: give out 0, and not the ``h`` from before, where the mask is false.

    Returns:
        ``(output, [h])``: the output, of shape (batch, units) or (batch, steps, units), and the last state.

    Raises:
        ShapeError: shapes that do not agree.

    Example:
        >>> import lamina
        >>> eye = lamina.eye(2)
        >>> output, _ = lamina.nn.simple_rnn(lamina.ones((1, 3, 2)), eye, eye, activation=lamina.nn.relu)
        >>> output.tolist()
        [[3.0, 3.0]]
    """
    x, kernel, recurrent_kernel, states = _prepare("simple_rnn", 1, x, kernel, recurrent_kernel, initial_state, 1)
    return walk(
        lambda now, s: simple_rnn_step(now, s, recurrent_kernel, activation),
        project(x, kernel, bias),
        states,
        mask=mask,
        go_backwards=go_backwards,
        return_sequences=return_sequences,
        zero_output_for_mask=zero_output_for_mask,
    )


def lstm(
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any = None,
    initial_state: Any = None,
    *,
    activation: Activation = ops.tanh,
    recurrent_activation: Activation = nn.sigmoid,
    mask: Any = None,
    go_backwards: bool = False,
    return_sequences: bool = False,
    zero_output_for_mask: bool = False,
) -> tuple[Any, list[Any]]:
    """Long short-term memory.

    With ``i, f, g, o`` the four parts of ``x_t @ kernel + bias + h @ recurrent_kernel`` and ``s`` the recurrent
    activation: ``c = s(f) * c + s(i) * activation(g)``, then ``h = s(o) * activation(c)``.

    Args:
        x: shape (batch, steps, features).
        kernel: shape (features, 4 * units): the input, forget, cell and output gates.
        recurrent_kernel: shape (units, 4 * units).
        bias: shape (4 * units,), or ``None``.
        initial_state: ``[h, c]`` before the first step, each of shape (batch, units); default zeros.
        activation: elementwise function.
        recurrent_activation: elementwise function of the gates.
        mask: bools of shape (batch, steps).  Steps where it is false change nothing.
        go_backwards: start at the last step; outputs come in that order.
        return_sequences: whether to return ``h`` after every step, or only the last.
        zero_output_for_mask: give out 0, and not the ``h`` from before, where the mask is false.

    Returns:
        ``(output, [h, c])``: the output, of shape (batch, units) or (batch, steps, units), and the last states.

    Raises:
        ShapeError: shapes that do not agree.

    Example:
        >>> import lamina
        >>> x, kernel, recurrent = lamina.ones((2, 5, 3)), lamina.ones((3, 16)), lamina.zeros((4, 16))
        >>> output, (h, c) = lamina.nn.lstm(x, kernel, recurrent, return_sequences=True)
        >>> output.shape, h.shape, c.shape
        ((2, 5, 4), (2, 4), (2, 4))

    Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 9, 1997.
    """
    x, kernel, recurrent_kernel, states = _prepare("lstm", 4, x, kernel, recurrent_kernel, initial_state, 2)
    return walk(
        lambda now, s: lstm_step(now, s, recurrent_kernel, activation, recurrent_activation),
        project(x, kernel, bias),
        states,
        mask=mask,
        go_backwards=go_backwards,
        return_sequences=return_sequences,
        zero_output_for_mask=zero_output_for_mask,
    )


def gru(
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any = None,
    initial_state: Any = None,
    *,
    activation: Activation = ops.tanh,
    recurrent_activation: Activation = nn.sigmoid,
    reset_after: bool = True,
    mask: Any = None,
    go_backwards: bool = False,
    return_sequences: bool = False,
    zero_output_for_mask: bool = False,
) -> tuple[Any, list[Any]]:
    """Gated recurrent unit.

    With ``z = s(x_z + h_z)`` and ``r = s(x_r + h_r)``, where ``x_*`` are the three parts of ``x_t @ kernel + bias``,
    ``h_*`` those of ``h @ recurrent_kernel`` and ``s`` the recurrent activation: ``h = z * h + (1 - z) * g`` with
    ``g = activation(x_g + r * h_g)``; without ``reset_after`` ``h_g`` is ``(r * h) @ recurrent_kernel_g``.

    Args:
        x: shape (batch, steps, features).
        kernel: shape (features, 3 * units): the update gate, the reset gate and the candidate.
        recurrent_kernel: shape (units, 3 * units).
        bias: shape (3 * units,); with ``reset_after`` (2, 3 * units), one for each product; or ``None``.
        initial_state: ``h`` before the first step, of shape (batch, units); default zeros.
        activation: elementwise function.
        recurrent_activation: elementwise function of the gates.
        reset_after: whether the reset gate is applied after the product with the recurrent kernel.
        mask: bools of shape (batch, steps).  Steps where it is false change nothing.
        go_backwards: start at the last step; outputs come in that order.
        return_sequences: whether to return ``h`` after every step, or only the last.
        zero_output_for_mask: give out 0, and not the ``h`` from before, where the mask is false.

    Returns:
        ``(output, [h])``: the output, of shape (batch, units) or (batch, steps, units), and the last state.

    Raises:
        ShapeError: shapes that do not agree.

    Example:
        >>> import lamina
        >>> x, kernel, recurrent = lamina.ones((2, 5, 3)), lamina.ones((3, 12)), lamina.zeros((4, 12))
        >>> lamina.nn.gru(x, kernel, recurrent)[0].shape
        (2, 4)

    Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP 2014.
    """
    x, kernel, recurrent_kernel, states = _prepare("gru", 3, x, kernel, recurrent_kernel, initial_state, 1)
    bias, recurrent_bias = split_gru_bias(bias, reset_after, kernel.shape[-1])
    recurrent_kernel = split_kernel(recurrent_kernel, 3, None, reset_after)
    return walk(
        lambda now, s: gru_step(
            now, s, recurrent_kernel, recurrent_bias, activation, recurrent_activation, reset_after
        ),
        project(x, kernel, bias),
        states,
        mask=mask,
        go_backwards=go_backwards,
        return_sequences=return_sequences,
        zero_output_for_mask=zero_output_for_mask,
    )


def split_gru_bias(bias: Any, reset_after: bool, size: int) -> tuple[Any, Any]:
    """The biases of the input's and of the state's product.

    Raises:
        ShapeError: the bias has another shape than ``reset_after`` says.
    """
    if bias is None:
        return None, None
    bias = ops.as_tensor(bias)
    wanted = (2, size) if reset_after else (size,)
    if bias.shape != wanted:
        raise ShapeError(f"gru takes a bias of shape {wanted} with reset_after={reset_after}; got {bias.shape}.")
    return (bias[0], bias[1]) if reset_after else (bias, None)
