"""How good simpler models are on the same data: ``compare(x, y)`` (needs the extra ``sklearn``)."""

from lamina.baselines.comparison import Comparison, Result
from lamina.baselines.validation import compare

__all__ = ["Comparison", "Result", "compare"]
