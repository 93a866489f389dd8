"""Pictures: learning curves, confusion matrices, activation functions, models.

Drawings of models as SVG need nothing else; everything else needs the extra ``plot``, which is matplotlib.
"""

from lamina.plotting.classification import confusion_matrix, plot_confusion_matrix
from lamina.plotting.curves import plot_history
from lamina.plotting.functions import plot_activations
from lamina.plotting.images import plot_images
from lamina.plotting.models import model_to_dot, plot_model
from lamina.plotting.picture import Picture

__all__ = [
    "Picture",
    "confusion_matrix",
    "model_to_dot",
    "plot_activations",
    "plot_confusion_matrix",
    "plot_history",
    "plot_images",
    "plot_model",
]
