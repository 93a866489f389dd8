"""Named functions over tensors, one file for each family."""

from lamina.ops import (
    control_flow,
    creation,
    elementwise,
    indexing,
    linalg,
    matmul as _matmul,
    nn,
    random,
    reduction,
    shape,
    sorting,
)
from lamina.ops.creation import as_tensor, astype, full, full_like, ones, ones_like, zeros, zeros_like
from lamina.ops.elementwise import add, exp, multiply
