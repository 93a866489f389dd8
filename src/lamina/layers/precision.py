"""A layer's dtypes: the policy, and what follows from it."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import dtype_policies
from lamina.core import dtypes
from lamina.core.errors import ArgumentError
from lamina.serialization import register_serializable

for _class in (dtype_policies.DTypePolicy, dtype_policies.FloatDTypePolicy):
    register_serializable("lamina")(_class)
register_serializable("lamina.dtype_policies")(dtype_policies.DTypePolicyMap)


class Precision:
    """The part of ``Layer`` that knows dtypes.

    ``_dtype`` is the dtype of the computation, ``_cast_weights`` the dtype in which ``call`` sees the
    float weights, where it is another than theirs.
    """

    autocast = True
    _policy: dtype_policies.DTypePolicy
    _dtype: np.dtype[Any]
    _cast_weights: np.dtype[Any] | None

    _policies: dtype_policies.DTypePolicyMap | None = None  # those of all layers by path, if given so

    def _set_policy(self, policy: Any) -> None:
        self._policy = dtype_policies.get(policy)
        if isinstance(self._policy, dtype_policies.DTypePolicyMap):
            self._policies = self._policy
            self._policy = self._policies[self.path]  # type: ignore[attr-defined]
        self._dtype = self._policy._compute
        mixed = self._dtype != self._policy._variable and dtypes.is_float(self._dtype)
        self._cast_weights = self._dtype if mixed else None

    @property
    def dtype_policy(self) -> dtype_policies.DTypePolicy:
        """The policy; it may be set before the layer has weights."""
        return self._policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        policy = dtype_policies.get(value)
        if policy.variable_dtype != self._policy.variable_dtype and getattr(self, "weights", None):
            raise ArgumentError(
                f"Layer {getattr(self, 'name', '')!r} has {self.variable_dtype} weights, which the policy "
                f"{policy.name!r} would want in {policy.variable_dtype}. Set the policy before the layer is built."
            )
        if self._policies is not None and not isinstance(policy, dtype_policies.DTypePolicyMap):
            self._policies.pop(self.path, None)  # type: ignore[attr-defined]
            self._policies[self.path] = policy  # type: ignore[attr-defined]
        self._set_policy(policy)

    @property
    def dtype(self) -> str:
        """Name of the dtype of the weights."""
        return self._policy.variable_dtype

    variable_dtype = dtype

    @property
    def compute_dtype(self) -> str:
        """Name of the dtype of the computation and of the outputs."""
        return self._policy.compute_dtype

    input_dtype = compute_dtype
