"""Pictures: models, learning curves, what a network sees and knows, functions and the ways over them.

Drawings of models as SVG need nothing else; everything else needs the extra ``plot``, which is matplotlib.  All
functions return the matplotlib ``Figure``, which a notebook shows; nothing opens a window.  The numbers behind the
pictures are computed in ``lamina.inspection``.
"""

from lamina.plotting.attribution import heat_of, plot_grad_cam, plot_maximized_activations, plot_saliency
from lamina.plotting.classification import confusion_matrix, plot_confusion_matrix
from lamina.plotting.curves import plot_history
from lamina.plotting.embeddings import plot_embeddings, plot_neighbors
from lamina.plotting.functions import plot_activations
from lamina.plotting.histograms import plot_histograms
from lamina.plotting.images import plot_images
from lamina.plotting.inside import plot_attention, plot_feature_maps, plot_kernels
from lamina.plotting.models import model_to_dot, plot_model
from lamina.plotting.picture import Picture
from lamina.plotting.surfaces import plot_decision_boundary, plot_optimizer_paths, plot_surface

__all__ = [
    "Picture",
    "confusion_matrix",
    "heat_of",
    "model_to_dot",
    "plot_activations",
    "plot_attention",
    "plot_confusion_matrix",
    "plot_decision_boundary",
    "plot_embeddings",
    "plot_feature_maps",
    "plot_grad_cam",
    "plot_histograms",
    "plot_history",
    "plot_images",
    "plot_kernels",
    "plot_maximized_activations",
    "plot_model",
    "plot_neighbors",
    "plot_optimizer_paths",
    "plot_saliency",
    "plot_surface",
]
