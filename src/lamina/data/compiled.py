"""Functions of a pipeline's elements as compiled code: layers, and what ``lamina.function`` made.

Their random numbers are those that they would draw uncompiled: keyed by the element's place, the key being an argument
of the compiled code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina import random
from lamina.core.errors import CaptureError
from lamina.core.primitive import wrap
from lamina.core.trees import flatten
from lamina.data.keys import current_key
from lamina.graph.function import Function
from lamina.layers.base import Layer
from lamina.tensor import Tensor

SHAPES = 8  # of elements that code is compiled for; images of ever new sizes are not worth it


class Compiled:
    """A function of Tensors that runs as compiled code where it can.

    Args:
        function: a layer or a ``lamina.function``.
    """

    def __init__(self, function: Layer | Function) -> None:
        self.function = function
        self._plain: Callable[..., Any] = function.python_function if isinstance(function, Function) else function
        self._compiled = Function(self._keyed, name=getattr(function, "name", None) or type(function).__name__)
        self._seen: set[Any] = set()
        self._capturable = True

    def __reduce__(self) -> Any:
        return Compiled, (self.function,)

    def _keyed(self, key: Any, *args: Any) -> Any:
        """The function, drawing from the key: as ``keys`` does for code that is not compiled."""
        drawn = 0

        def draw(draws: int) -> tuple[Any, Any]:
            nonlocal drawn
            counter, drawn = drawn, drawn + draws
            return key, wrap(np.array(counter, np.uint64))

        keyed = random.keyed
        before = keyed.draw, keyed.in_captures
        keyed.draw, keyed.in_captures = draw, True
        try:
            return self._plain(*args)
        finally:
            keyed.draw, keyed.in_captures = before

    def __call__(self, *args: Any) -> Any:
        key = current_key()
        leaves = flatten(args)[0]
        numbers = all(isinstance(leaf, Tensor) for leaf in leaves)  # and no strings
        if key is None or not (numbers and self._capturable and self._worth_it(leaves)):
            return self._plain(*args)
        try:
            return self._compiled(key, *args)
        except CaptureError:
            if isinstance(self.function, Function):
                raise
            self._capturable = False  # a layer that looks at values runs as it is
            return self._plain(*args)

    def _worth_it(self, leaves: list[Any]) -> bool:
        shapes = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        if shapes not in self._seen:
            if len(self._seen) == SHAPES:
                return False
            if getattr(self.function, "built", True) is False:
                return False  # the first call builds it
            self._seen.add(shapes)
        return True


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of an element as ``Map`` calls it: compiled if it is a layer or a ``lamina.function``.

    A layer changes the first part of a tuple, and hands on the others.
    """
    if isinstance(function, Function):
        return Compiled(function)
    if not isinstance(function, Layer):
        return function
    return _First(Compiled(function))


class _First:
    """A function of the first part of a tuple."""

    def __init__(self, function: Compiled) -> None:
        self.function = function

    def __call__(self, first: Any, *rest: Any) -> Any:
        changed = self.function(first)
        return (changed, *rest) if rest else changed
