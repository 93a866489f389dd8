"""The part of ``Layer`` that owns state: weights, the layers below, and how they are made, listed, set and stored."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from typing import Any

import numpy as np

from lamina import constraints, initializers, regularizers
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, LaminaError, ShapeError
from lamina.core.limits import spend
from lamina.core.primitive import outside_capture, state
from lamina.layers import penalties
from lamina.layers.calls import calls
from lamina.random import SeedGenerator
from lamina.tensor import Variable

POSITIONAL = ("shape", "initializer", "dtype")  # the arguments of ``add_weight`` that need no name


class PositionalArgumentsError(LaminaError, TypeError):
    """``add_weight`` was given more arguments without a name than it takes so."""


def in_own_scope(build: Callable[..., None]) -> Callable[..., None]:
    """A ``build`` method that names what it makes after the layer, and marks the layer as built."""

    @functools.wraps(build)
    def scoped(self: Any, *args: Any, **kwargs: Any) -> None:
        if self._building or not hasattr(self, "_weights"):  # called by the build of a subclass
            build(self, *args, **kwargs)
            return
        outer, state.scope = state.scope, (*state.scope, self.name)
        self._building, self._build_path = True, "/".join(state.scope)
        if self._policies is not None:  # the path says which is this layer's
            self._set_policy(self._policies)
        try:
            build(self, *args, **kwargs)
        finally:
            state.scope, self._building = outer, False
        self.built = True
        given = inspect.signature(build).bind(self, *args, **kwargs).arguments
        self._build_shapes = {k: v for k, v in list(given.items())[1:] if v is not None}

    return scoped


class Weights:
    """The methods of ``Layer`` about its state."""

    name: str
    built: bool
    _trainable: bool
    _policy: Any
    _weights: list[Variable]
    _initially_trainable: dict[int, bool]
    _untracked: frozenset[str]
    _building = False  # whether ``build`` runs
    _build_path: str | None = None
    _build_shapes: Any = None
    _unlocked: bool
    _kept_frozen: tuple[Variable, ...] = ()  # weights that ``trainable = True`` does not thaw

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in vars(cls):
            cls.build = in_own_scope(vars(cls)["build"])  # type: ignore[attr-defined]

    def _path(self) -> str:
        """Where the layer is called: its name after those of the layers around it."""
        return "/".join(state.scope if self._building else (*state.scope, self.name))

    @property
    def path(self) -> str:
        """The layer's name after those of the layers that it was built in: ``model/block/dense``."""
        return self._build_path or self.name

    def __setattr__(self, name: str, value: Any) -> None:
        before = self.__dict__.get(name)
        kind: Any = type(before)
        if before is not value and _is_part(kind):
            replacements.count += 1
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        kind: Any = type(self.__dict__.get(name))
        replacements.count += _is_part(kind)
        object.__delattr__(self, name)

    # --- making weights ---------------------------------------------------------------------------
    def add_weight(
        self,
        *args: Any,
        shape: Sequence[int] | int | None = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Make a weight of this layer.

        Args:
            args: ``shape``, ``initializer`` and ``dtype`` may be given without their names, in this order.
            shape: its shape; default a scalar.
            initializer: name or callable; default ``"glorot_uniform"`` for floats, zeros for others.
            dtype: default the layer's.
            trainable: whether training changes it.
            autocast: whether ``call`` sees it in the dtype of the computation.
            regularizer: name or callable: a penalty on the weight that joins the loss.
            constraint: name or callable that is applied to the weight after each update.
            aggregation: how copies on several devices are joined: ``"none"``, ``"mean"``, ``"sum"`` or
                ``"only_first_replica"``.
            overwrite_with_gradient: whether optimizers set it to its gradient: for statistics.
            name: name within the layer.

        Raises:
            ShapeError: a size is ``None``: the layer needs an input with that size known.
            ArgumentError: it is made by ``call`` of a layer that is built, where every call would make another one.
        """
        given = {"shape": shape, "initializer": initializer, "dtype": dtype}
        _take_positional(args, given)
        if self.built and not self._building and calls.depth and not self._unlocked:
            raise ArgumentError(
                f"Layer {self._path()}: call() cannot add new elements of state (variables or layers) to a layer that "
                "is already built. Make weights in __init__() or build()."
            )
        shape, initializer, dtype = (given[key] for key in POSITIONAL)
        sizes = (int(shape),) if isinstance(shape, int | np.integer) else tuple(shape or ())
        if any(n is None for n in sizes):
            raise ShapeError(
                f"Layer {self._path()}: weight {name!r} cannot have shape {sizes}. "
                "It depends on a size of the input that is not known; give that size in Input(shape=...)."
            )
        dtype = dtypes.as_dtype(dtype if dtype is not None else self._policy.variable_dtype)
        if initializer is None:
            initializer = "glorot_uniform" if dtypes.is_float(dtype) else "zeros"
        spend(sizes, dtype)
        with outside_capture():
            initializer = initializers.get(initializer)
            value = initializer(sizes, dtype=dtype)
            variable = Variable(value, dtype=dtype, name=name or "variable", trainable=trainable and self._trainable)
        if variable.shape != sizes:
            raise ShapeError(
                f"Layer {self._path()}: the initializer of weight {name!r} made shape {variable.shape}, "
                f"expected {sizes}."
            )
        variable.path = f"{self._path() if self._building else self.path}/{variable.name}"
        variable._origin = initializers.repeated(initializer, sizes, dtype)
        variable.autocast, variable.overwrite_with_gradient = autocast, overwrite_with_gradient
        variable.regularizer, variable.constraint = regularizers.get(regularizer), constraints.get(constraint)
        self._weights.append(variable)
        self._initially_trainable[id(variable)] = trainable
        return variable

    def add_variable(self, shape: Any, initializer: Any, dtype: Any = None, **kwargs: Any) -> Variable:
        """Another name of ``add_weight``."""
        return self.add_weight(shape=shape, initializer=initializer, dtype=dtype, **kwargs)

    def _penalties(self, name: str) -> dict[str, Any]:
        """For ``add_weight``: what the arguments ``<name>_regularizer`` and ``<name>_constraint`` say."""
        return penalties.of_weight(self, name)

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes that ``build`` was called with, for ``build_from_config``; ``None`` before."""
        shapes = self._build_shapes
        if shapes is None:
            return None
        if len(shapes) == 1 and "input_shape" in shapes:
            return {"input_shape": shapes["input_shape"]}
        return {"shapes_dict": dict(shapes)}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the layer as ``get_build_config`` says."""
        if not config:
            return
        if "input_shape" in config:
            self.build(config["input_shape"])  # type: ignore[attr-defined]
        elif "shapes_dict" in config:
            self.build(**config["shapes_dict"])  # type: ignore[attr-defined]

    # --- what it holds -------------------------------------------------------------------------------
    def _contents(self) -> Iterator[Any]:
        """Layers, Variables, metrics, optimizers and seed generators that are attributes, in order, without repeats."""
        seen: set[int] = set()
        untracked = self._untracked
        for key, value in list(vars(self).items()):
            kind: Any = type(value)
            if _may_track(kind) and key not in untracked:
                for item in _find_tracked(value):
                    if id(item) not in seen:
                        seen.add(id(item))
                        yield item

    def _sublayers(self) -> list[Any]:
        """The layers that are attributes of this one."""
        return layers_among(self._contents())

    def _own_variables(self) -> list[Variable]:
        """Variables of this layer itself, the trainable ones first."""
        return self._own_among(self._contents())

    def _own_among(self, contents: Iterable[Any]) -> list[Variable]:
        """The same, where ``_contents`` has been gone through."""
        own = [x for x in contents if isinstance(x, Variable)]
        first = self._initially_trainable
        for v in own:
            first.setdefault(id(v), v.trainable)
        return sorted(own, key=lambda v: not first[id(v)]) if len(own) > 1 else own

    def _walk(self) -> Iterator[tuple[Any, list[Any]]]:
        """This layer and all below it, each once, outermost first, with their contents."""
        seen: set[int] = set()
        stack: list[Any] = [self]
        while stack:
            layer = stack.pop()
            if id(layer) not in seen:
                seen.add(id(layer))
                contents = list(layer._contents())
                yield layer, contents
                stack.extend(layers_among(reversed(contents)))

    def _flatten_layers(self) -> list[Any]:
        """This layer and all below it, each once, outermost first."""
        return [layer for layer, _ in self._walk()]

    @property
    def weights(self) -> list[Variable]:
        """Every weight: this layer's own, then those of the layers in it."""
        contents = list(self._contents())
        found: dict[int, Variable] = {id(v): v for v in self._own_among(contents)}
        for layer in layers_among(contents):
            for v in layer.weights:
                found.setdefault(id(v), v)
        return list(found.values())

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training changes."""
        return [v for v in self.weights if v.trainable] if self._trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training leaves alone: frozen ones, and statistics."""
        return [v for v in self.weights if not v.trainable] if self._trainable else self.weights

    @property
    def variables(self) -> list[Variable]:
        """The weights, and the state of seed generators; that of metrics is in ``metrics_variables``."""
        found = {id(v): v for v in self.weights}
        for _, contents in self._walk():
            for item in contents:
                if isinstance(item, SeedGenerator):
                    found.update({id(v): v for v in item.variables})
        return list(found.values())

    @property
    def metrics(self) -> list[Any]:
        """The metrics that are attributes, here and in the layers below."""
        found = [item for _, contents in self._walk() for item in contents]
        return list({id(m): m for m in found if getattr(m, "_role", None) == "metric"}.values())

    @property
    def metrics_variables(self) -> list[Variable]:
        """The state of ``metrics``."""
        return [v for metric in self.metrics for v in metric.variables]

    @property
    def trainable_variables(self) -> list[Variable]:
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        trainable = {id(v) for v in self.trainable_weights}
        return [v for v in self.variables if id(v) not in trainable]

    @property
    def trainable(self) -> bool:
        """Whether training changes this layer's weights; setting it takes effect at once, also below."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._flatten_layers():
            for variable in layer._own_variables():
                kept = any(variable is v for v in layer._kept_frozen)
                variable.trainable = bool(value) and layer._initially_trainable[id(variable)] and not kept
            layer._trainable = bool(value)

    @property
    def _has_its_weights(self) -> bool:
        """Whether nothing is left to build."""
        return bool(self.built)

    def count_params(self) -> int:
        """The number of values in all weights."""
        if not self.built and not self.weights:
            raise ArgumentError(f"Layer {self.name!r} has no weights yet: call it once, or build it with a shape.")
        return sum(math.prod(v.shape) for v in self.weights)

    def get_weights(self) -> list[np.ndarray]:
        """The values of ``weights`` as NumPy arrays."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set ``weights`` from arrays in the same order.

        Raises:
            ArgumentError: there are more or fewer arrays than weights.
            ShapeError: an array has another shape than its weight; nothing is changed then.
        """
        variables, arrays = self.weights, list(weights)
        if len(variables) != len(arrays):
            raise ArgumentError(
                f"Layer {self.name!r} has {len(variables)} weights and was given {len(arrays)} arrays."
                + ("" if self.built else " It is not built yet: call it once first.")
            )
        for v, array in zip(variables, arrays, strict=True):
            if tuple(np.shape(array)) != v.shape:
                raise ShapeError(
                    f"Layer {self.name!r}: weight {v.path!r} has shape {v.shape}; given was {tuple(np.shape(array))}."
                )
        for v, array in zip(variables, arrays, strict=True):
            v.assign(np.asarray(array))

    # --- files --------------------------------------------------------------------------------------
    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Put the values of the layer's own variables (not of layers in it) into ``store``, by ``"0"``, ``"1"``, ...

        A subclass may override this and ``load_own_variables`` to keep other state in files of Keras's formats.
        """
        for i, variable in enumerate(self._stored_variables()):
            store[str(i)] = variable.numpy()

    def _stored_variables(self) -> list[Variable]:
        """The variables that ``save_own_variables`` stores, in order."""
        return self._own_variables()

    def _after_loading(self) -> None:
        """Called when these were set from a file."""

    def load_own_variables(self, store: Any) -> None:
        """Set the layer's own variables from what ``save_own_variables`` stored.

        Raises:
            ArgumentError: there are more or fewer arrays than variables.
        """
        variables = self._stored_variables()
        if len(store.keys()) != len(variables):
            reason = "" if variables or self.built else " It was never built: call it once, or build it with a shape."
            raise ArgumentError(
                f"Layer {self.name!r} has {len(variables)} variables and {len(store.keys())} are stored for it.{reason}"
            )
        for i, variable in enumerate(variables):
            variable.assign(np.asarray(store[str(i)]))
        self._after_loading()


def _take_positional(args: tuple[Any, ...], given: dict[str, Any]) -> None:
    """Put the arguments without names where they belong."""
    if args and isinstance(args[0], str):
        raise ArgumentError(f"add_weight({args[0]!r}): its name is a keyword argument: add_weight(name={args[0]!r}).")
    if len(args) > len(POSITIONAL):
        raise PositionalArgumentsError(
            f"add_weight takes at most {len(POSITIONAL)} positional arguments ({POSITIONAL}); got {len(args)}."
        )
    for name, value in zip(POSITIONAL, args, strict=False):
        if given[name] is not None:
            raise ArgumentError(f"add_weight: `{name}` was passed both positionally and as a keyword argument.")
        given[name] = value


_TRACKED = ("layer", "metric", "optimizer")


@functools.lru_cache(maxsize=1024)
def _may_track(kind: type) -> bool:
    """Whether values of a class are state, or hold some: most attributes are neither, and are passed over quickly."""
    return _is_tracked(kind) or issubclass(kind, list | tuple | dict)


@functools.lru_cache(maxsize=1024)
def _is_tracked(kind: type) -> bool:
    return issubclass(kind, Variable | SeedGenerator) or getattr(kind, "_role", None) in _TRACKED


@functools.lru_cache(maxsize=1024)
def _is_part(kind: type) -> bool:
    """Whether values of a class are a part of what a layer computes: layers and Variables."""
    return issubclass(kind, Variable) or getattr(kind, "_role", None) == "layer"


class _Replacements:
    """How often an attribute of any layer that was a layer or a Variable has become another.

    As long as the number is the same, no model has other parts than before, and nobody needs to look.
    """

    count = 0


replacements = _Replacements()


def layers_among(contents: Iterable[Any]) -> list[Any]:
    """Those of a layer's contents that are layers."""
    return [x for x in contents if getattr(x, "_role", None) == "layer"]


def _find_tracked(value: Any, around: tuple[int, ...] = ()) -> Iterator[Any]:
    kind: Any = type(value)
    if _is_tracked(kind):
        yield value
    elif id(value) not in around:  # a list may hold itself
        for item in value.values() if isinstance(value, dict) else value:
            kind = type(item)
            if _may_track(kind):
                yield from _find_tracked(item, (*around, id(value)))
