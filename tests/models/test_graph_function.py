"""Parts of functional graphs as functions."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina.compat.keras import KerasTensor, ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.models.graph_function import Function


def test_a_function_of_several_placeholders() -> None:
    a, b = KerasTensor((2, 3)), KerasTensor((2, 3))
    total = ops.add(a, b)
    function = Function({"a": a, "b": b}, [total * 3, total**2], name="both")
    ones = np.ones((2, 3), np.float32)
    tripled, squared = function({"a": ones, "b": ones})
    np.testing.assert_array_equal(tripled.numpy(), 6 * ones)
    np.testing.assert_array_equal(squared.numpy(), 4 * ones)
    again = Function([a, b], function({"a": a, "b": b}))
    np.testing.assert_array_equal(again([ones, ones])[1].numpy(), 4 * ones)


def test_shapes_follow_the_inputs() -> None:
    x = KerasTensor((None, 3))
    function = Function(x, x**2)
    assert function.compute_output_spec(KerasTensor((4, 3))).shape == (4, 3)
    assert function.compute_output_shape((None, 3)) == (None, 3)


def test_what_does_not_fit_is_refused() -> None:
    x = KerasTensor((None, 3))
    function = Function([x, x * 2], x + 1)
    with pytest.raises(ShapeError, match="invalid input structure"):
        function(lamina.ones((2, 3)))
    with pytest.raises(ShapeError, match="incompatible inputs"):
        function([lamina.ones((2, 4)), lamina.ones((2, 3))])
    with pytest.raises(ArgumentError, match="cannot be empty"):
        Function(x, [])
