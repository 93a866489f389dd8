"""What a network has learned, as numbers: features, kernels, attention, saliency, Grad-CAM, and more.

``lamina.plotting`` draws all of it.
"""

from lamina.inspection.attribution import grad_cam, integrated_gradients, saliency, smooth_grad
from lamina.inspection.layers import (
    activations,
    attention_weights,
    feature_maps,
    find_layer,
    kernels,
    weight_gradients,
)

__all__ = [
    "activations",
    "attention_weights",
    "feature_maps",
    "find_layer",
    "grad_cam",
    "integrated_gradients",
    "kernels",
    "saliency",
    "smooth_grad",
    "weight_gradients",
]
