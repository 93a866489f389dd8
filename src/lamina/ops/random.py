"""Random numbers from a counter-based generator."""

from __future__ import annotations
