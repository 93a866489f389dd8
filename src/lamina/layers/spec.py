"""What a layer wants of its inputs, and what its ``call`` and ``build`` take."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from lamina.core.errors import ArgumentError


class InputSpec:
    """What a layer wants of an input; set as ``self.input_spec`` in ``__init__`` or ``build``.

    Args:
        shape: the whole shape, ``None`` where any size will do.
        ndim: number of dimensions.
        min_ndim: least number of dimensions.
        max_ndim: greatest number of dimensions.
        axes: sizes by axis, for example ``{-1: 784}``.
        dtype: not checked; kept for compatibility with Keras.
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Sequence[int | None] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int | None] | None = None,
    ) -> None:
        self.shape = tuple(shape) if shape is not None else None
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.min_ndim, self.max_ndim, self.axes, self.dtype = min_ndim, max_ndim, dict(axes or {}), dtype

    def problem(self, shape: Sequence[int | None]) -> str | None:
        """What is wrong with this shape, or ``None``."""
        ndim = len(shape)
        if self.shape is not None and not _fits(self.shape, shape):
            return f"expected shape={self.shape}, found shape={tuple(shape)}"
        if self.ndim is not None and ndim != self.ndim:
            return f"expected {self.ndim} dimensions, got {ndim}: shape {tuple(shape)}"
        if self.min_ndim is not None and ndim < self.min_ndim:
            return f"expected at least {self.min_ndim} dimensions, got {ndim}: shape {tuple(shape)}"
        if self.max_ndim is not None and ndim > self.max_ndim:
            return f"expected at most {self.max_ndim} dimensions, got {ndim}: shape {tuple(shape)}"
        for axis, size in self.axes.items():
            if size is not None and shape[axis] is not None and shape[axis] != size:
                return f"expected size {size} on axis {axis}, got {shape[axis]}: shape {tuple(shape)}"
        return None


def _fits(wanted: Sequence[int | None], shape: Sequence[int | None]) -> bool:
    sizes = zip(wanted, shape, strict=False)
    return len(wanted) == len(shape) and all(a is None or b is None or a == b for a, b in sizes)


class Signature:
    """What a class's ``call`` and ``build`` take."""

    def __init__(self, cls: type) -> None:
        parameters = list(inspect.signature(cls.call).parameters.values())[1:]  # type: ignore[attr-defined]
        self.names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self.takes_anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self.has_training = any(p.name == "training" for p in parameters)
        names = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        self.taken = set(names)
        self.mask_names = {n for n in names if n == "mask" or (n.endswith("_mask") and n[:-5] in names)}
        self.needs_masks = any(p.name in self.mask_names and p.default is p.empty for p in parameters)
        found = [p.default for p in parameters if p.name == "training"]
        self.training_default = found[0] if found and found[0] is not inspect.Parameter.empty else None
        build = list(inspect.signature(cls.build).parameters.values())[1:]  # type: ignore[attr-defined]
        self.build_names = [p.name for p in build if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]

    def check_build(self, layer: str) -> None:
        """Each argument of a ``build`` with several is the shape of an argument of ``call``.

        Raises:
            ArgumentError: it is not.
        """
        for name in self.build_names:
            if not name.endswith("_shape"):
                raise ArgumentError(
                    f"Layer {layer}: build() has the argument `{name}`, which does not end in `_shape`. Where it takes "
                    "several, each is the shape of an argument of call(): build(self, a_shape, b_shape)."
                )
            if name[:-6] not in self.taken and not self.takes_anything:
                raise ArgumentError(
                    f"Layer {layer}: build() has the argument `{name}`, but `call()` does not have argument "
                    f"`{name[:-6]}`. Its arguments: {', '.join(self.names)}."
                )

    def wants_masks(self, args: tuple[Any, ...]) -> bool:
        """Whether the mask arguments want a value where no tensor carries a mask: a list of ``None``, or ``None``."""
        return self.needs_masks or bool(args and isinstance(args[0], list | tuple | dict))


_signatures: dict[type, Signature] = {}


def signature_of(cls: type) -> Signature:
    """The signature of a class, looked up once."""
    if cls not in _signatures:
        _signatures[cls] = Signature(cls)
    return _signatures[cls]


def map_shapes(make: Any, shape: Any) -> Any:
    """Apply ``make`` to each shape in nested lists, tuples and dicts of shapes, or to the one shape."""
    if isinstance(shape, dict):
        return {k: map_shapes(make, v) for k, v in shape.items()}
    if isinstance(shape, list | tuple) and any(isinstance(s, list | tuple | dict) for s in shape):
        made = [None if s is None else map_shapes(make, s) for s in shape]
        return made if isinstance(shape, list) else tuple(made)
    return make(shape)


def input_shape_argument(kwargs: dict[str, Any]) -> tuple[int | None, ...] | None:
    """``input_shape=``, ``input_dim=`` and ``batch_input_shape=`` of a first layer in ``Sequential``."""
    if (size := kwargs.pop("input_dim", None)) is not None:
        return (None, int(size))
    if (batch_shape := kwargs.pop("batch_input_shape", None)) is not None:
        return tuple(batch_shape)
    if (shape := kwargs.pop("input_shape", None)) is not None:
        return (None, *shape)
    return None
