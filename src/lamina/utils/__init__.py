"""Small helpers, under the names that Keras gives them in ``keras.utils``."""

from __future__ import annotations

from lamina.preprocessing.sequence import pad_sequences

__all__ = ["pad_sequences"]
