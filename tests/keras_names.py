"""Public names of Keras 3 that ``lamina.compat.keras`` lacks, each with the reason.

``python tests/keras_names.py`` (where Keras is installed) prints what has to be added here, and what Lamina
has by now and is to be deleted.
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Iterator
from typing import Any

# reason -> module -> names in it ("*": all of them)
REASONS: dict[str, dict[str, str]] = {
    "lamina.applications has the architectures of a first book": {
        "applications": """
            ConvNeXtBase ConvNeXtLarge ConvNeXtSmall ConvNeXtTiny ConvNeXtXLarge DenseNet121 DenseNet169 DenseNet201
            EfficientNetB0 EfficientNetB1 EfficientNetB2 EfficientNetB3 EfficientNetB4 EfficientNetB5 EfficientNetB6
            EfficientNetB7 EfficientNetV2B0 EfficientNetV2B1 EfficientNetV2B2 EfficientNetV2B3 EfficientNetV2L
            EfficientNetV2M EfficientNetV2S InceptionResNetV2 MobileNet MobileNetV3Large MobileNetV3Small NASNetLarge
            NASNetMobile ResNet152 ResNet152V2 Xception
            """,
        "applications.convnext": "*",
        "applications.densenet": "*",
        "applications.efficientnet": "*",
        "applications.efficientnet_v2": "*",
        "applications.inception_resnet_v2": "*",
        "applications.mobilenet": "*",
        "applications.mobilenet_v3": "*",
        "applications.nasnet": "*",
        "applications.resnet": "ResNet152",
        "applications.resnet_v2": "ResNet152V2",
        "applications.xception": "*",
    },
    "quantisation (int8, int4, float8) is outside Lamina's scope": {
        "": "Quantizer",
        "dtype_policies": """
            AWQDTypePolicy GPTQDTypePolicy Int4DTypePolicy QuantizedDTypePolicy QuantizedFloat8DTypePolicy
            """,
        "quantizers": """
            AWQConfig AbsMaxQuantizer Float8QuantizationConfig GPTQConfig Int4QuantizationConfig
            Int8QuantizationConfig QuantizationConfig Quantizer abs_max_quantize
            abs_max_quantize_grouped_with_zero_point compute_float8_amax_history compute_float8_scale deserialize
            fake_quant_with_min_max_vars get pack_int4 quantize_and_dequantize serialize unpack_int4
            """,
    },
    "drawings on images: computer vision beyond classification is outside Lamina's scope": {
        "visualization": """
            draw_bounding_boxes draw_segmentation_masks plot_bounding_box_gallery plot_image_gallery
            plot_segmentation_mask_gallery
            """,
    },
    "wraps another framework's module": {
        "callbacks": "OrbaxCheckpoint",
        "config": "is_nnx_enabled",
        "layers": "FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper",
    },
    "a way of Keras to run on other frameworks: Lamina has one kind of state, captured by lamina.function": {
        "": "RematScope StatelessScope SymbolicScope device name_scope remat",
        "config": "backend set_backend",
    },
    "not there yet: several devices and hosts": {
        "distribution": """
            DataParallel DeviceMesh LayoutMap ModelParallel TensorLayout distribute_tensor distribution
            get_device_count initialize list_devices set_distribution
            """,
    },
    "distillation is a training loop of a few lines; outside Lamina's scope": {
        "distillation": "DistillationLoss Distiller FeatureDistillation LogitsDistillation",
    },
    "not there yet: export to other formats": {
        "export": "ExportArchive",
    },
    "complex numbers are no dtype of Lamina's tensors": {
        "ops": "eig polar view_as_complex view_as_real",
        "ops.linalg": "eig",
        "ops.nn": "polar",
    },
}


def public_names() -> list[str]:
    """Every public function, class and constant of Keras, by its path below ``keras``."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras

    def walk(module: Any, prefix: str) -> Iterator[str]:
        for name, value in sorted(vars(module).items()):
            if name.startswith("_"):
                continue
            if not inspect.ismodule(value):
                yield prefix + name
            elif value.__name__.startswith("keras.") and not value.__name__.startswith("keras.src"):
                if not value.__name__.endswith(".legacy"):
                    yield from walk(value, f"{prefix}{name}.")

    return list(walk(keras, ""))


def has(root: Any, path: str) -> bool:
    """Whether the attribute, or attribute of an attribute, exists."""
    for part in path.split("."):
        if not hasattr(root, part):
            return False
        root = getattr(root, part)
    return True


def reason_for(path: str) -> str | None:
    """Why Lamina lacks a name, or ``None`` if no reason is given."""
    module, _, name = path.rpartition(".")
    for reason, modules in REASONS.items():
        names = modules.get(module, "").split()
        if name in names or names == ["*"]:
            return reason
    return None


def missing() -> list[str]:
    """The public names of Keras that Lamina lacks."""
    from lamina.compat import keras as ours

    return [path for path in public_names() if not has(ours, path)]


def listed() -> list[str]:
    """Every name in ``REASONS``."""
    return [
        f"{module}.{name}" if module else name
        for modules in REASONS.values()
        for module, names in modules.items()
        for name in names.split()
        if name != "*"
    ]


if __name__ == "__main__":
    lacking = missing()
    print("to add:   ", *(path for path in lacking if reason_for(path) is None), sep="\n  ")
    print("to delete:", *(path for path in listed() if path not in lacking), sep="\n  ")
