"""``torch.utils``: data sets and loaders."""

from __future__ import annotations

from lamina.compat.torch.utils import data
