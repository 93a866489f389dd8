"""From raw data to arrays: ``text`` (words to numbers) and ``sequence`` (sequences to equal lengths)."""

from __future__ import annotations

from lamina.preprocessing import sequence, text

__all__ = ["sequence", "text"]
