"""Boston housing: 506 districts of 1970 and the median value of their houses (Harrison and Rubinfeld, 1978).

One of its columns (``B``) was built on the assumption that the share of Black residents lowers prices.  The set is
here because older books use it; ``california_housing`` serves the same purposes without that.
"""

from __future__ import annotations

import os

import numpy as np

from lamina.datasets._sequences import one_file
from lamina.datasets._tables import check_split, read_table, split
from lamina.datasets.files import RemoteFile

Split = tuple[np.ndarray, np.ndarray]

FILE = RemoteFile("boston_housing.npz", 57_026, "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5")
FEATURE_NAMES = ("CRIM", "ZN", "INDUS", "CHAS", "NOX", "RM", "AGE", "DIS", "RAD", "TAX", "PTRATIO", "B", "LSTAT")


def load_data(
    path: str | os.PathLike[str] = "boston_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[Split, Split]:
    """Thirteen numbers about a district each, and the median value of its houses: 404 to train and 102 to test.

    The file ``boston_housing.npz`` is looked for in the folder that ``LAMINA_DATA`` names (in its subfolder
    ``boston_housing``, then in the folder itself), then in the cache, and is downloaded into it otherwise.

    Args:
        path: another file in the same format.
        test_split: share of the districts that is kept for testing.
        seed: of the order before the split, which is the same as Keras's.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: float64 ``(n, 13)``, whose columns are named in
        ``FEATURE_NAMES``, and values float64 ``(n,)`` in thousands of dollars.

    Raises:
        ArgumentError: ``test_split`` is out of range.
        MissingDataError: the file is not here and cannot be downloaded; it says what to put where.
        FileFormatError: the file is damaged.
        DataError: the arrays do not belong together.
    """
    check_split(test_split)
    x, y = read_table(one_file("boston_housing", path, FILE), columns=len(FEATURE_NAMES))
    return split(x, y, test_split, seed)
