"""The one table of ops that drives their tests: values, dtypes, compiled against eager, gradients.

A row names an op, makes its arguments, and gives the same function written with NumPy or SciPy,
which knows nothing of Lamina.  ``tests/ops/test_op_table.py`` runs every row through eager mode,
through each backend, and through numerical differentiation to second order.  The rows stand in
one file for each family of ops.
"""

from op_table import attention, conv, elementwise, linalg, nn, pool, reduction, shape, signal
from op_table.case import CASES, Case
