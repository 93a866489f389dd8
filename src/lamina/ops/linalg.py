"""Linear algebra on the CPU through NumPy."""

from __future__ import annotations
