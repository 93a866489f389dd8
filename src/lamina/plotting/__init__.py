"""Pictures: learning curves, models (SVG needs nothing else, other formats the extra ``plot``, which is matplotlib)."""

from lamina.plotting.curves import plot_history
from lamina.plotting.models import model_to_dot, plot_model
from lamina.plotting.picture import Picture

__all__ = ["Picture", "model_to_dot", "plot_history", "plot_model"]
