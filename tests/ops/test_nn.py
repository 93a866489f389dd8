"""Cross-entropies and activations at extreme values, and their errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import nn
from lamina.core.errors import DTypeError, ShapeError


def gradient(function: Any, x: Any) -> Any:
    t = lamina.tensor(np.asarray(x, np.float64))
    with lamina.GradientTape() as tape:
        tape.watch(t)
        y = function(t)
    return tape.gradient(y, t).numpy()


def test_binary_cross_entropy_far_out() -> None:
    logits = lamina.tensor([1000.0, -1000.0, 1000.0, -1000.0, 0.0])
    labels = lamina.tensor([1.0, 0.0, 0.0, 1.0, 1.0])
    losses = nn.binary_cross_entropy_with_logits(labels, logits).tolist()
    assert losses == pytest.approx([0, 0, 1000, 1000, np.log(2)], rel=1e-6)


def test_binary_cross_entropy_at_zero_logits() -> None:
    slope = gradient(lambda x: nn.binary_cross_entropy_with_logits(lamina.tensor([0.0, 1.0, 0.25]), x), [0.0] * 3)
    np.testing.assert_allclose(slope, [0.5, -0.5, 0.25])


def test_binary_cross_entropy_curves_at_zero_logits() -> None:
    x = lamina.tensor(np.zeros(1))
    with lamina.GradientTape() as outer:
        outer.watch(x)
        with lamina.GradientTape() as inner:
            inner.watch(x)
            loss = nn.binary_cross_entropy_with_logits([1.0], x)
        slope = inner.gradient(loss, x)
    assert outer.gradient(slope, x).tolist() == [0.25]


def test_softmax_cross_entropy_far_out() -> None:
    logits = lamina.tensor([[1000.0, 0.0], [0.0, 1000.0]])
    assert nn.sparse_softmax_cross_entropy_with_logits([0, 0], logits).tolist() == [0.0, 1000.0]
    dense = nn.softmax_cross_entropy_with_logits([[1.0, 0.0], [1.0, 0.0]], logits)
    assert dense.tolist() == [0.0, 1000.0]


def test_gradient_of_the_cross_entropy_is_softmax_minus_one_hot() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 3))
    labels = lamina.tensor([0, 2, 1, 1])
    slope = gradient(lambda x: nn.sparse_softmax_cross_entropy_with_logits(labels, x), logits)
    expected = nn.softmax(lamina.tensor(logits)).numpy() - np.eye(3)[labels.numpy()]
    np.testing.assert_allclose(slope, expected, atol=1e-14)


def test_labels_are_checked() -> None:
    logits = lamina.ones((2, 3))
    with pytest.raises(DTypeError, match="integer labels"):
        nn.sparse_softmax_cross_entropy_with_logits([0.0, 1.0], logits)
    with pytest.raises(ShapeError, match=r"expected labels of shape \(2,\)"):
        nn.sparse_softmax_cross_entropy_with_logits([[0], [1]], logits)
    with pytest.raises(ShapeError, match="expected the same shape"):
        nn.softmax_cross_entropy_with_logits([1.0, 0.0, 0.0], logits)
    with pytest.raises(ShapeError, match="expected the same shape"):
        nn.binary_cross_entropy_with_logits([1.0, 0.0], logits)


def test_softmax_sums_to_one() -> None:
    x = lamina.tensor(np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32) * 50)
    for axis in (0, 1, (0, 1)):
        np.testing.assert_allclose(nn.softmax(x, axis=axis).sum(axis=axis).numpy(), 1, rtol=1e-6)


def test_activations_keep_half_precision() -> None:
    for name in ("relu", "gelu", "silu", "softplus", "softmax", "selu", "hard_silu", "mish", "log_sigmoid"):
        assert getattr(nn, name)(lamina.ones((3,), "float16")).dtype == np.float16
