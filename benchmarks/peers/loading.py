"""The samples of the subject ``loading``, in a module that worker processes can import."""

from __future__ import annotations

from typing import Any

import numpy as np


class Samples:
    """Rows of an array, one by one, each with the number of its class."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Any:
        return self.x[index], int(self.y[index])
