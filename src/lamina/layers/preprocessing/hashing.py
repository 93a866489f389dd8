"""Values to a fixed number of bins without a vocabulary: ``Hashing`` and ``HashedCrossing``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, DataError
from lamina.layers.preprocessing.data import DataLayer
from lamina.layers.preprocessing.encoding import check_mode, check_sparse, encode
from lamina.layers.preprocessing.fingerprint import crossed, fingerprint64, siphash
from lamina.serialization import register_serializable
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")


def as_bytes(value: Any) -> bytes:
    """A string, or the decimal digits of an integer, in UTF-8."""
    return value if isinstance(value, bytes) else str(value).encode()


@_register
class Hashing(DataLayer):
    """``hash(x) % num_bins`` for strings or integers; the bins are those of Keras.

    Works on data, before a model: strings are no dtype of tensors.

    Args:
        num_bins: number of bins, including one for ``mask_value``.
        mask_value: a value that alone goes to bin 0; ``None`` for none.
        salt: one or two integers that choose another hash (SipHash instead of FarmHash).
        output_mode: ``"int"``, ``"one_hot"``, ``"multi_hot"`` or ``"count"``.
        sparse: must be false.

    Example:
        >>> import lamina
        >>> lamina.layers.Hashing(num_bins=3)([["A"], ["B"], ["C"], ["D"], ["E"]]).tolist()
        [[1], [0], [1], [1], [2]]
    """

    def __init__(
        self,
        num_bins: int,
        mask_value: Any = None,
        salt: int | Sequence[int] | None = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_bins is None or num_bins <= 0:
            raise ArgumentError(
                f"The `num_bins` for `Hashing` cannot be `None` or non-positive values. Received: num_bins={num_bins}."
            )
        check_sparse(sparse)
        self.output_mode = check_mode("Hashing", output_mode, ("int", "one_hot", "multi_hot", "count"))
        self.num_bins, self.mask_value, self.sparse = num_bins, mask_value, sparse
        if salt is None or isinstance(salt, int):
            self.salt = None if salt is None else [salt, salt]
        elif isinstance(salt, list | tuple) and len(salt) == 2:
            self.salt = list(salt)
        else:
            raise ArgumentError(f"The `salt` argument for `Hashing` can only be a tuple of 2 integers; got {salt!r}.")

    def _bin(self, value: Any) -> int:
        if self.mask_value is not None and value == self.mask_value:
            return 0
        s = as_bytes(value)
        found = fingerprint64(s) if self.salt is None else siphash(s, (self.salt[0], self.salt[1]))
        return found % self.num_bins if self.mask_value is None else 1 + found % (self.num_bins - 1)

    def call(self, inputs: Any) -> Tensor:
        bins = np.asarray([self._bin(v) for v in inputs.ravel().tolist()], np.int64).reshape(inputs.shape)
        dtype = "int64" if self.output_mode == "int" else self.compute_dtype
        return encode(Tensor(bins), self.output_mode, self.num_bins, dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_bins": self.num_bins,
            "salt": self.salt,
            "mask_value": self.mask_value,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
        }


@_register
class HashedCrossing(DataLayer):
    """Pairs (or longer tuples) of strings or integers hashed to bins ("crossed" categories); the bins are Keras's.

    Works on data, before a model.

    Args:
        num_bins: number of bins.
        output_mode: ``"int"`` or ``"one_hot"``.
        sparse: must be false.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.HashedCrossing(num_bins=5)
        >>> layer((['A', 'B', 'A', 'B', 'A'], [101, 101, 101, 102, 102])).tolist()
        [1, 4, 1, 1, 3]
    """

    def __init__(self, num_bins: int, output_mode: str = "int", sparse: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_sparse(sparse)
        self.num_bins, self.sparse = num_bins, sparse
        self.output_mode = check_mode("HashedCrossing", output_mode, ("int", "one_hot"))

    def prepare(self, inputs: Any) -> Any:
        if not isinstance(inputs, list | tuple) or len(inputs) < 2:
            raise DataError(
                "`HashedCrossing` should be called on a list or tuple of at least two inputs. "
                f"Received: inputs={inputs!r}"
            )
        return [np.asarray(x) for x in inputs]

    def call(self, inputs: Any) -> Tensor:
        shapes = {x.shape for x in inputs}
        if len(shapes) > 1:
            raise DataError(f"All `HashedCrossing` inputs should have equal shape. Received: {sorted(shapes)}")
        if any(x.dtype.kind == "f" for x in inputs):
            raise DataError("All `HashedCrossing` inputs should have an integer or string dtype.")
        flat = [x.ravel().tolist() for x in inputs]
        bins = np.asarray([self._bin(row) for row in zip(*flat, strict=True)], np.int64).reshape(inputs[0].shape)
        dtype = "int64" if self.output_mode == "int" else self.compute_dtype
        return encode(Tensor(bins), self.output_mode, self.num_bins, dtype)

    def _bin(self, values: Sequence[Any]) -> int:
        found = 0xDECAFCAFFE
        for value in values:
            found = crossed(found, value & (2**64 - 1) if isinstance(value, int) else fingerprint64(as_bytes(value)))
        return found % self.num_bins

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_bins": self.num_bins,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
        }
