"""What a network has learned, as numbers: features, kernels, attention, saliency, Grad-CAM, and more.

``lamina.plotting`` draws all of it.
"""

from lamina.inspection.attribution import grad_cam, integrated_gradients, saliency, smooth_grad
from lamina.inspection.distributions import histogram
from lamina.inspection.layers import (
    activations,
    attention_weights,
    feature_maps,
    find_layer,
    kernels,
    weight_gradients,
)
from lamina.inspection.maximization import maximize_activation
from lamina.inspection.projection import nearest, pca, tsne
from lamina.inspection.surfaces import decision_grid, optimizer_path

__all__ = [
    "activations",
    "attention_weights",
    "decision_grid",
    "feature_maps",
    "find_layer",
    "grad_cam",
    "histogram",
    "integrated_gradients",
    "kernels",
    "maximize_activation",
    "nearest",
    "optimizer_path",
    "pca",
    "saliency",
    "smooth_grad",
    "tsne",
    "weight_gradients",
]
