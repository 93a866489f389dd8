"""California housing: 20,640 districts of 1990 and the median value of their houses (Pace and Barry, 1997)."""

from __future__ import annotations

import os

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.datasets._sequences import one_file
from lamina.datasets._tables import check_split, read_table, split
from lamina.datasets.files import RemoteFile

Split = tuple[np.ndarray, np.ndarray]

FILE = RemoteFile("california_housing.npz", 743_530, "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f")
FEATURE_NAMES = (
    "MedInc", "HouseAge", "AveRooms", "AveBedrms", "Population", "AveOccup", "Latitude", "Longitude",
)  # fmt: skip
SMALL = 600  # districts in the small version: the first ones


def load_data(
    version: str = "large",
    path: str | os.PathLike[str] = "california_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
) -> tuple[Split, Split]:
    """Eight numbers about a district each, and the median value of its houses: 16,512 to train and 4,128 to test.

    The file ``california_housing.npz`` is looked for in the folder that ``LAMINA_DATA`` names (in its subfolder
    ``california_housing``, then in the folder itself), then in the cache, and is downloaded into it otherwise.

    Args:
        version: ``"large"``, or ``"small"`` for the first 600 districts, in place of Boston's.
        path: another file in the same format.
        test_split: share of the districts that is kept for testing.
        seed: of the order before the split, which is the same as Keras's.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: floats ``(n, 8)``, whose columns are named in
        ``FEATURE_NAMES``, and values ``(n,)`` in dollars.

    Raises:
        ArgumentError: an unknown version, or ``test_split`` is out of range.
        MissingDataError: the file is not here and cannot be downloaded; it says what to put where.
        FileFormatError: the file is damaged.
        DataError: the arrays do not belong together.
    """
    check_split(test_split)
    if version not in ("small", "large"):
        raise ArgumentError(f"version is 'small' or 'large', not {version!r}.")
    x, y = read_table(one_file("california_housing", path, FILE), columns=len(FEATURE_NAMES))
    count = SMALL if version == "small" else len(x)
    return split(x[:count], y[:count], test_split, seed)
