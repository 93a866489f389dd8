"""Text from language models: ``sample`` chooses a token, ``generate`` writes on, ``beam_search`` finds likely texts."""

from __future__ import annotations

from lamina.generation.beams import Beams, beam_search
from lamina.generation.sampling import sample
from lamina.generation.text import generate

__all__ = ["Beams", "beam_search", "generate", "sample"]
