"""What mixed precision needs, under Keras's names: policies, and the optimizer that scales the loss.

Example:
    >>> import lamina
    >>> lamina.mixed_precision.set_dtype_policy("mixed_float16")
    >>> lamina.layers.Dense(2).compute_dtype
    'float16'
    >>> lamina.mixed_precision.set_dtype_policy(None)
"""

from __future__ import annotations

from lamina.dtype_policies import DTypePolicy, dtype_policy, set_dtype_policy
from lamina.optimizers import LossScaleOptimizer

Policy = DTypePolicy
global_policy, set_global_policy = dtype_policy, set_dtype_policy

__all__ = [
    "DTypePolicy",
    "LossScaleOptimizer",
    "Policy",
    "dtype_policy",
    "global_policy",
    "set_dtype_policy",
    "set_global_policy",
]
