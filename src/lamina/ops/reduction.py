"""Reductions, cumulative sums and products."""

from __future__ import annotations
