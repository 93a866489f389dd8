"""Text from language models: ``sample`` chooses a token, ``generate`` writes on."""

from __future__ import annotations

from lamina.generation.sampling import sample
from lamina.generation.text import generate

__all__ = ["generate", "sample"]
