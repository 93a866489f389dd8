"""``FeatureSpace``: columns of a table, each prepared in its way, as one vector."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lamina import config, ops
from lamina.core.errors import ArgumentError
from lamina.core.messages import did_you_mean
from lamina.layers.base import Layer
from lamina.layers.input import Input
from lamina.layers.preprocessing.encoding import CategoryEncoding, Discretization
from lamina.layers.preprocessing.hashing import HashedCrossing, Hashing
from lamina.layers.preprocessing.lookup import IntegerLookup, StringLookup
from lamina.layers.preprocessing.scaling import Normalization, Rescaling
from lamina.layers.preprocessing.text import TextVectorization
from lamina.layers.wrapping import Identity
from lamina.serialization import deserialize, is_serialized, register_serializable, serialize

_register = register_serializable("lamina.utils")
TYPES = (
    "float",
    "float_normalized",
    "float_rescaled",
    "float_discretized",
    "integer_categorical",
    "string_categorical",
    "integer_hashed",
    "string_hashed",
)


def _check_mode(given: str, allowed: Sequence[str]) -> str:
    if given not in allowed:
        raise ArgumentError(
            "Invalid value for argument `output_mode`. "
            f"Expected one of {', '.join(map(repr, allowed))}. Received: output_mode={given}"
        )
    return given


@_register
class Cross:
    """Features taken together.

    Args:
        feature_names: their names.
        crossing_dim: number of bins.
        output_mode: ``"one_hot"`` or ``"int"``.
    """

    def __init__(self, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> None:
        self.output_mode = _check_mode(output_mode, ("int", "one_hot"))
        self.feature_names, self.crossing_dim = tuple(feature_names), crossing_dim

    @property
    def name(self) -> str:
        """The features' names, joined."""
        return "_X_".join(self.feature_names)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "feature_names": list(self.feature_names),
            "crossing_dim": self.crossing_dim,
            "output_mode": self.output_mode,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Cross:
        """A cross from what ``get_config`` returned."""
        return cls(**config)


@_register
class Feature:
    """A column and the layer that prepares it.

    Args:
        dtype: ``"float32"``, ``"int32"`` or ``"string"``.
        preprocessor: the layer.
        output_mode: ``"float"`` for what the layer gives, ``"int"`` for its indices, ``"one_hot"`` for these as rows.
    """

    def __init__(self, dtype: str, preprocessor: Any, output_mode: str) -> None:
        self.output_mode = _check_mode(output_mode, ("int", "one_hot", "float"))
        self.dtype = dtype
        self.preprocessor = deserialize(preprocessor) if is_serialized(preprocessor) else preprocessor

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; a layer's with what it has learned."""
        layer = self.preprocessor
        if isinstance(layer, Normalization) and layer.built and layer.input_mean is None:
            learned = {"mean": layer.adapt_mean.numpy().tolist(), "variance": layer.adapt_variance.numpy().tolist()}
            layer = Normalization.from_config({**layer.get_config(), **learned})
        return {"dtype": self.dtype, "preprocessor": serialize(layer), "output_mode": self.output_mode}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Feature:
        """A feature from what ``get_config`` returned."""
        return cls(**config)


@_register
class FeatureSpace(Layer):
    """The columns of a table as one vector for each row (or a dict of them).

    Like all layers that take strings it works on data, before a model: ``model.fit(space(table), y)``.

    Args:
        features: for each column's name a type (``"float"``, ``"float_normalized"``, ``"float_rescaled"``,
            ``"float_discretized"``, ``"integer_categorical"``, ``"string_categorical"``, ``"integer_hashed"``,
            ``"string_hashed"``), or what the class method of that name returned.
        output_mode: ``"concat"`` for one vector, first the columns and then the crosses, both by name; ``"dict"``.
        crosses: tuples of names of columns that are hashed together, or what ``cross`` returned.
        crossing_dim: bins of crosses.
        hashing_dim: bins of hashed columns.
        num_discretization_bins: bins of ``"float_discretized"``.
        name: name of the layer.

    Raises:
        ArgumentError: an unknown type or mode, a cross of columns that are not there, or no features.

    Example:
        >>> import lamina
        >>> table = {"age": [20.0, 30.0, 40.0], "town": ["Rome", "Bonn", "Rome"]}
        >>> space = lamina.utils.FeatureSpace({"age": "float_normalized", "town": "string_categorical"})
        >>> space.adapt(table)
        >>> space(table).shape, space({"age": 30.0, "town": "Rome"}).numpy().round(3).tolist()
        ((3, 4), [0.0, 0.0, 1.0, 0.0])
    """

    autocast = False

    def __init__(
        self,
        features: dict[str, Any],
        output_mode: str = "concat",
        crosses: Sequence[Any] | None = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if not features:
            raise ArgumentError("The `features` argument cannot be None or empty.")
        self.output_mode = _check_mode(output_mode, ("concat", "dict"))
        self.crossing_dim, self.hashing_dim = crossing_dim, hashing_dim
        self.num_discretization_bins = num_discretization_bins
        self.features = {name: self._feature(name, given) for name, given in features.items()}
        self.crosses = [self._cross(given) for given in crosses or ()]
        self.preprocessors = {name: feature.preprocessor for name, feature in self.features.items()}
        self.crossers = {c.name: HashedCrossing(c.crossing_dim, name=c.name) for c in self.crosses}
        self.built = True

    # --- kinds of features ------------------------------------------------------------------------------
    @classmethod
    def cross(cls, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        """Columns that are hashed together."""
        return Cross(feature_names, crossing_dim, output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: Any, output_mode: str) -> Feature:
        """A column that a layer of one's own prepares."""
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:
        """Numbers as they are."""
        return Feature("float32", Identity(name=_named("float", name)), "float")

    @classmethod
    def float_rescaled(
        cls, scale: builtins.float = 1.0, offset: builtins.float = 0.0, name: str | None = None
    ) -> Feature:
        """Numbers times ``scale`` plus ``offset``."""
        return Feature("float32", Rescaling(scale, offset, name=_named("float_rescaled", name)), "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Numbers with mean 0 and variance 1."""
        return Feature("float32", Normalization(name=_named("float_normalized", name)), "float")

    @classmethod
    def float_discretized(
        cls, num_bins: int, bin_boundaries: Any = None, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """The interval that a number lies in."""
        given = {"num_bins": num_bins} if bin_boundaries is None else {"bin_boundaries": bin_boundaries}
        return Feature("float32", Discretization(**given, name=_named("float_discretized", name)), output_mode)

    @classmethod
    def integer_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Integers by their index in a vocabulary."""
        name = _named("integer_categorical", name)
        layer = IntegerLookup(max_tokens=max_tokens, num_oov_indices=num_oov_indices, name=name)
        return Feature("int32", layer, output_mode)

    @classmethod
    def string_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Strings by their index in a vocabulary."""
        name = _named("string_categorical", name)
        layer = StringLookup(max_tokens=max_tokens, num_oov_indices=num_oov_indices, name=name)
        return Feature("string", layer, output_mode)

    @classmethod
    def string_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Strings by the bin of their hash."""
        return Feature("string", Hashing(num_bins, name=_named("string_hashed", name)), output_mode)

    @classmethod
    def integer_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Integers by the bin of their hash."""
        return Feature("int32", Hashing(num_bins, name=_named("integer_hashed", name)), output_mode)

    def _feature(self, name: str, given: Any) -> Feature:
        given = deserialize(given) if is_serialized(given) else given
        if isinstance(given, Feature):
            return given
        if given not in TYPES:
            raise ArgumentError(
                f"Invalid feature type: {given!r} of {name!r}. It is one of {', '.join(TYPES)}."
                + did_you_mean(given, TYPES)
            )
        sizes = {
            "float_discretized": self.num_discretization_bins,
            "integer_hashed": self.hashing_dim,
            "string_hashed": self.hashing_dim,
        }
        made: Feature = getattr(self, given)(*([sizes[given]] if given in sizes else []), name=name)
        return made

    def _cross(self, given: Any) -> Cross:
        given = deserialize(given) if is_serialized(given) else given
        cross = given if isinstance(given, Cross) else Cross(given, self.crossing_dim)
        missing = [name for name in cross.feature_names if name not in self.features]
        if missing:
            raise ArgumentError(
                f"All features referenced in the `crosses` argument should be present in the `features` dict. "
                f"Received unknown features: {', '.join(map(repr, missing))}"
            )
        return cross

    # --- adapting ---------------------------------------------------------------------------------------
    def adapt(self, dataset: Any) -> None:
        """Find vocabularies, means, boundaries.

        Args:
            dataset: a dict of columns, or an iterable of dicts (of single rows or of batches).

        Raises:
            ArgumentError: it is neither.
        """
        if not isinstance(dataset, dict) and not isinstance(dataset, Iterable):
            raise ArgumentError(
                "`adapt()` can only be called on a dict of arrays or lists, or on an iterable of dicts. "
                f"Received instead: {dataset!r} (of type {type(dataset)})"
            )
        parts = [dataset] if isinstance(dataset, dict) else list(dataset)
        for name in self._adaptable():
            column = np.concatenate([np.atleast_1d(np.asarray(part[name])) for part in parts])
            self.preprocessors[name].adapt(column[:, None] if column.ndim == 1 else column)

    def _adaptable(self) -> list[str]:
        """The columns whose layers learn from data."""

        def learns(layer: Any) -> bool:
            if isinstance(layer, Normalization):
                return layer.input_mean is None
            if isinstance(layer, Discretization):
                return layer.num_bins is not None
            return hasattr(layer, "adapt") and not getattr(layer, "_given", False)

        return [name for name, layer in self.preprocessors.items() if learns(layer)]

    # --- use --------------------------------------------------------------------------------------------
    def __call__(self, data: Any, **kwargs: Any) -> Any:
        """The encoded rows of a dict of columns, or of one row."""
        if not isinstance(data, dict):
            raise ArgumentError(f"A FeatureSpace can only be called with a dict. Received: data={data!r}")
        missing = [name for name in self.features if name not in data]
        if missing:
            raise ArgumentError(f"The data has no column {', '.join(map(repr, missing))}.")
        columns = {name: np.asarray(data[name]) for name in self.features}
        single = any(c.ndim == 0 for c in columns.values())
        columns = {name: c.reshape(-1, 1) if c.ndim < 2 else c for name, c in columns.items()}
        with self._naming_errors():
            found = {name: self.preprocessors[name](column) for name, column in columns.items()}
            crossed = {
                c.name: self.crossers[c.name]([np.asarray(found[name]) for name in c.feature_names])
                for c in self.crosses
            }
        specs: dict[str, Any] = {**self.features, **{c.name: c for c in self.crosses}}
        merged = {
            name: self._encoded(name, value, specs[name].output_mode)
            for part in (found, crossed)
            for name, value in sorted(part.items())
        }
        if self.output_mode == "dict":
            return {name: value[0] if single else value for name, value in merged.items()}
        for name, value in merged.items():
            if value.dtype.kind in "iu":
                raise ArgumentError(
                    f"Cannot concatenate features because feature {name!r} has not been encoded (it has dtype "
                    f"{value.dtype}). Consider using `output_mode='dict'`."
                )
        vector = ops.concat(list(merged.values()), axis=-1)
        return vector[0] if single else vector

    def _encoded(self, name: str, value: Any, mode: str) -> Any:
        value = ops.as_tensor(value)
        if mode != "one_hot":
            return value if mode == "int" or value.dtype.kind not in "iu" else ops.astype(value, config.floatx())
        return CategoryEncoding(self._size(name), output_mode="multi_hot")(value)

    def _size(self, name: str) -> int:
        layer = self.preprocessors.get(name) or self.crossers[name]
        if isinstance(layer, IntegerLookup | StringLookup | TextVectorization):
            return len(layer.get_vocabulary())
        if isinstance(layer, Discretization):
            return len(layer.bin_boundaries or ()) + 1
        if isinstance(layer, Hashing | HashedCrossing):
            return layer.num_bins
        raise ArgumentError(
            f"Feature {name!r} has `output_mode='one_hot'`, and how many values a {type(layer).__name__} gives is not "
            "known. Try using `output_mode='int'`."
        )

    def get_encoded_features(self) -> Any:
        """Placeholders for encoded rows, from which a model goes on (a dict of them in ``"dict"`` mode)."""
        row = {name: "" if f.dtype == "string" else 0 for name, f in self.features.items()}
        found = self(row)
        if isinstance(found, dict):
            return {name: Input(v.shape, dtype=v.dtype, name=name) for name, v in found.items()}
        return Input(found.shape, dtype=found.dtype, name=f"{self.name}_encoded")

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "features": {name: serialize(feature) for name, feature in self.features.items()},
            "output_mode": self.output_mode,
            "crosses": [serialize(c) for c in self.crosses],
            "crossing_dim": self.crossing_dim,
            "hashing_dim": self.hashing_dim,
            "num_discretization_bins": self.num_discretization_bins,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FeatureSpace:
        return cls(**config)


def _named(kind: str, name: str | None) -> str:
    return f"{name or config.auto_name(kind)}_preprocessor"
