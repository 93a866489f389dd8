"""Padded and packed sequences of ``compat.torch`` against PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lamina.compat import torch as ours
from lamina.core.errors import ArgumentError, ShapeError

theirs = pytest.importorskip("torch")
LENGTHS = [3, 6, 1, 6, 2]


def rows(batch_first: bool = True) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(5, 6, 4)).astype("float32")
    return x if batch_first else x.swapaxes(0, 1).copy()


def same(a: Any, b: Any, tolerance: float = 1e-6) -> None:
    if b is None:
        assert a is None
    elif isinstance(b, tuple | list):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            same(one, other, tolerance)
    else:
        np.testing.assert_allclose(np.asarray(a), b.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("batch_first", [False, True])
def test_packing_and_padding(batch_first: bool) -> None:
    from lamina.compat.torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, unpack_sequence

    x = rows(batch_first)
    mine = pack_padded_sequence(ours.tensor(x), LENGTHS, batch_first, enforce_sorted=False)
    other = theirs.nn.utils.rnn.pack_padded_sequence(
        theirs.tensor(x), theirs.tensor(LENGTHS), batch_first, enforce_sorted=False
    )
    same((mine.data, mine.batch_sizes), (other.data, other.batch_sizes))
    assert sorted(np.asarray(mine.sorted_indices).tolist()) == list(range(5))
    for options in ({}, {"batch_first": True, "padding_value": -1.5}, {"total_length": 9}):
        same(pad_packed_sequence(mine, **options), theirs.nn.utils.rnn.pad_packed_sequence(other, **options))
    same(unpack_sequence(mine), theirs.nn.utils.rnn.unpack_sequence(other))
    with pytest.raises(ArgumentError, match="longest has 6 steps"):
        pad_packed_sequence(mine, total_length=3)


def test_sequences() -> None:
    utils, peers = ours.nn.utils.rnn, theirs.nn.utils.rnn
    parts = [rows()[i, :n] for i, n in enumerate(LENGTHS)]
    mine, other = [ours.tensor(p) for p in parts], [theirs.tensor(p) for p in parts]
    same(utils.pad_sequence(mine), peers.pad_sequence(other))
    options: dict[str, Any] = {"batch_first": True, "padding_value": 2.0, "padding_side": "left"}
    same(utils.pad_sequence(mine, **options), peers.pad_sequence(other, **options))
    ordered = sorted(range(5), key=lambda i: -LENGTHS[i])
    same(utils.pack_sequence([mine[i] for i in ordered]), peers.pack_sequence([other[i] for i in ordered]))
    same(utils.unpad_sequence(ours.tensor(rows()), LENGTHS, True), other)
    with pytest.raises(ArgumentError, match="longest sequence comes first"):
        utils.pack_sequence(mine)
    with pytest.raises(ArgumentError, match="from 1 to 6"):
        utils.pack_padded_sequence(ours.tensor(rows()), [0, 1, 2, 3, 4], True)
    with pytest.raises(ShapeError, match="5 sequences"):
        utils.pack_padded_sequence(ours.tensor(rows()), [1, 2], True)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_recurrent_modules(kind: str, batch_first: bool) -> None:
    """Outputs, last states and gradients, of two layers in both directions."""
    x = rows(batch_first)
    results = []
    reference = None
    for torch, options in ((theirs, {}), (ours, {})):
        module = getattr(torch.nn, kind)(4, 3, 2, batch_first=batch_first, bidirectional=True, **options)
        if reference is None:
            reference = module
        else:
            module.load_state_dict({k: v.numpy() for k, v in reference.state_dict().items()})
        given = torch.tensor(x)
        given.requires_grad_()
        rnn = torch.nn.utils.rnn
        packed = rnn.pack_padded_sequence(given, torch.tensor(LENGTHS), batch_first, enforce_sorted=False)
        out, states = module(packed)
        padded, lengths = rnn.pad_packed_sequence(out, batch_first)
        assert np.asarray(lengths).tolist() == LENGTHS
        first = states[0] if kind == "LSTM" else states
        ((padded * padded).sum() + (first * 3).sum()).backward()
        results.append((padded, states, given.grad, *(p.grad for _, p in sorted(module.named_parameters()))))
    same(results[1], results[0], 2e-5)
