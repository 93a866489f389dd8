"""From raw data to arrays: ``text`` (words to numbers), ``sequence`` (to equal lengths, to vectors), ``image``."""

from __future__ import annotations

from lamina.preprocessing import image, sequence, text

__all__ = ["image", "sequence", "text"]
