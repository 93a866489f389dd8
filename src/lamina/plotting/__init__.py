"""Pictures of training (needs the extra ``plot``, which is matplotlib)."""

from lamina.plotting.curves import plot_history

__all__ = ["plot_history"]
