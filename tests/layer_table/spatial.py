"""Rows of the layers for sequences, images and volumes, of normalization, noise and activation."""

from __future__ import annotations

from typing import Any

from lamina import layers
from layer_table.case import Case

CASES: list[Case] = []
FIRST = {"data_format": "channels_first"}


def row(
    name: str, cls: type, arguments: dict[str, Any], shape: tuple[int, ...], output: tuple[int, ...], **more: Any
) -> None:
    CASES.append(Case(name, cls, arguments, shape, output, **more))


# --- convolution ----------------------------------------------------------------------------------
row("conv1d", layers.Conv1D, {"filters": 3, "kernel_size": 3}, (4, 6, 2), (4, 4, 3), weights=2)
row(
    "conv1d-causal",
    layers.Conv1D,
    {"filters": 4, "kernel_size": 3, "padding": "causal", "dilation_rate": 2, "activation": "tanh"},
    (4, 6, 2),
    (4, 6, 4),
    weights=2,
)
row(
    "conv2d",
    layers.Conv2D,
    {"filters": 4, "kernel_size": (3, 2), "strides": (2, 1), "padding": "same", "activation": "gelu"},
    (4, 5, 4, 3),
    (4, 3, 4, 4),
    weights=2,
)
row(
    "conv2d-first",
    layers.Conv2D,
    {"filters": 4, "kernel_size": 3, "groups": 2, "use_bias": False, **FIRST},
    (4, 2, 5, 4),
    (4, 4, 3, 2),
    weights=1,
)
row(
    "conv2d-first-bias", layers.Conv2D, {"filters": 2, "kernel_size": 1, **FIRST}, (4, 3, 2, 2), (4, 2, 2, 2), weights=2
)
row("conv3d", layers.Conv3D, {"filters": 2, "kernel_size": 2}, (4, 3, 3, 3, 2), (4, 2, 2, 2, 2), weights=2)
row(
    "conv1d-transpose",
    layers.Conv1DTranspose,
    {"filters": 3, "kernel_size": 3, "strides": 2, "output_padding": 1},
    (4, 4, 2),
    (4, 10, 3),
    weights=2,
)
row(
    "conv2d-transpose",
    layers.Conv2DTranspose,
    {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same", **FIRST},
    (4, 3, 2, 3),
    (4, 2, 4, 6),
    weights=2,
)
row(
    "conv3d-transpose",
    layers.Conv3DTranspose,
    {"filters": 2, "kernel_size": 2},
    (4, 2, 2, 2, 1),
    (4, 3, 3, 3, 2),
    weights=2,
)
row(
    "depthwise1d",
    layers.DepthwiseConv1D,
    {"kernel_size": 3, "depth_multiplier": 2, "padding": "same"},
    (4, 5, 2),
    (4, 5, 4),
    weights=2,
)
row("depthwise2d", layers.DepthwiseConv2D, {"kernel_size": 2, "strides": 2}, (4, 4, 4, 3), (4, 2, 2, 3), weights=2)
row(
    "separable1d",
    layers.SeparableConv1D,
    {"filters": 4, "kernel_size": 3, "padding": "same"},
    (4, 5, 2),
    (4, 5, 4),
    weights=3,
)
row(
    "separable2d",
    layers.SeparableConv2D,
    {"filters": 3, "kernel_size": 3, "depth_multiplier": 2, **FIRST},
    (4, 2, 4, 5),
    (4, 3, 2, 3),
    weights=3,
)

# --- pooling --------------------------------------------------------------------------------------
for _word in ("Max", "Average"):
    _low = _word.lower()

    def pooling(name: str, kind: str = _word) -> type:
        return getattr(layers, name.replace("X", kind))  # type: ignore[no-any-return]

    _size = {"pool_size": 2}
    row(f"{_low}-pool1d", pooling("XPooling1D"), _size, (4, 5, 3), (4, 2, 3))
    row(f"{_low}-pool2d", pooling("XPooling2D"), _size, (4, 4, 6, 3), (4, 2, 3, 3))
    row(
        f"{_low}-pool2d-same",
        pooling("XPooling2D"),
        {"pool_size": (3, 2), "strides": 2, "padding": "same", **FIRST},
        (4, 2, 5, 4),
        (4, 2, 3, 2),
    )
    row(f"{_low}-pool3d", pooling("XPooling3D"), _size, (4, 2, 3, 4, 2), (4, 1, 1, 2, 2))
    row(f"global-{_low}-pool1d", pooling("GlobalXPooling1D"), {}, (4, 5, 3), (4, 3))
    row(f"global-{_low}-pool2d", pooling("GlobalXPooling2D"), {"keepdims": True}, (4, 5, 2, 3), (4, 1, 1, 3))
    row(f"global-{_low}-pool3d", pooling("GlobalXPooling3D"), FIRST, (4, 3, 2, 2, 3), (4, 3))
    row(f"adaptive-{_low}-pool1d", pooling("AdaptiveXPooling1D"), {"output_size": 3}, (4, 5, 2), (4, 3, 2))
    row(
        f"adaptive-{_low}-pool2d",
        pooling("AdaptiveXPooling2D"),
        {"output_size": (2, 3), **FIRST},
        (4, 2, 5, 3),
        (4, 2, 2, 3),
    )
    row(f"adaptive-{_low}-pool3d", pooling("AdaptiveXPooling3D"), {"output_size": 2}, (4, 2, 3, 4, 1), (4, 2, 2, 2, 1))

# --- reshaping ------------------------------------------------------------------------------------
row("pad1d", layers.ZeroPadding1D, {"padding": (2, 1)}, (4, 3, 2), (4, 6, 2))
row("pad2d", layers.ZeroPadding2D, {"padding": (1, 2)}, (4, 3, 2, 2), (4, 5, 6, 2))
row("pad2d-first", layers.ZeroPadding2D, {"padding": ((1, 0), (0, 2)), **FIRST}, (4, 2, 3, 2), (4, 2, 4, 4))
row("pad3d", layers.ZeroPadding3D, {}, (4, 1, 2, 1, 2), (4, 3, 4, 3, 2))
row("crop1d", layers.Cropping1D, {}, (4, 5, 2), (4, 3, 2))
row("crop2d", layers.Cropping2D, {"cropping": ((1, 0), (0, 2)), **FIRST}, (4, 2, 3, 4), (4, 2, 2, 2))
row("crop3d", layers.Cropping3D, {"cropping": (1, 0, 1)}, (4, 3, 2, 4, 2), (4, 1, 2, 2, 2))
row("up1d", layers.UpSampling1D, {"size": 3}, (4, 2, 2), (4, 6, 2))
row("up2d", layers.UpSampling2D, {"size": (2, 1), **FIRST}, (4, 2, 3, 2), (4, 2, 6, 2))
row("up2d-bilinear", layers.UpSampling2D, {"interpolation": "bilinear"}, (4, 2, 3, 2), (4, 4, 6, 2))
row("up3d", layers.UpSampling3D, {}, (4, 1, 2, 1, 2), (4, 2, 4, 2, 2))
row("permute", layers.Permute, {"dims": (2, 3, 1)}, (4, 2, 3, 5), (4, 3, 5, 2))
row("repeat-vector", layers.RepeatVector, {"n": 3}, (4, 2), (4, 3, 2))

# --- normalization --------------------------------------------------------------------------------
row("layernorm", layers.LayerNormalization, {}, (4, 6), (4, 6), weights=2)
row(
    "layernorm-axes",
    layers.LayerNormalization,
    {"axis": [2, 1], "epsilon": 1e-2},
    (4, 3, 2, 2),
    (4, 3, 2, 2),
    weights=2,
)
row("layernorm-bare", layers.LayerNormalization, {"center": False, "scale": False}, (4, 3, 2), (4, 3, 2))
row("groupnorm", layers.GroupNormalization, {"groups": 2}, (4, 3, 2, 4), (4, 3, 2, 4), weights=2)
row("groupnorm-first", layers.GroupNormalization, {"groups": -1, "axis": 1}, (4, 3, 5), (4, 3, 5), weights=2)
row("groupnorm-bare", layers.GroupNormalization, {"groups": 2, "center": False}, (4, 6), (4, 6), weights=1)
row("rmsnorm", layers.RMSNormalization, {}, (4, 6), (4, 6), weights=1)
row("rmsnorm-axis", layers.RMSNormalization, {"axis": [2, 1], "epsilon": 1e-3}, (4, 3, 2), (4, 3, 2), weights=1)
row("unitnorm", layers.UnitNormalization, {}, (4, 6), (4, 6))
row("unitnorm-axes", layers.UnitNormalization, {"axis": [1, 2]}, (4, 3, 2), (4, 3, 2))

# --- noise ----------------------------------------------------------------------------------------
row("spatial-dropout1d", layers.SpatialDropout1D, {"rate": 0.5, "seed": 3}, (4, 3, 4), (4, 3, 4), random=True)
row(
    "spatial-dropout2d",
    layers.SpatialDropout2D,
    {"rate": 0.5, "seed": 3, **FIRST},
    (4, 3, 2, 2),
    (4, 3, 2, 2),
    random=True,
)
row(
    "spatial-dropout3d",
    layers.SpatialDropout3D,
    {"rate": 0.5, "seed": 3},
    (4, 2, 2, 2, 3),
    (4, 2, 2, 2, 3),
    random=True,
)
row("gaussian-noise", layers.GaussianNoise, {"stddev": 0.5, "seed": 3}, (4, 6), (4, 6), random=True)
row("gaussian-dropout", layers.GaussianDropout, {"rate": 0.5, "seed": 3}, (4, 6), (4, 6), random=True)

# --- activation -----------------------------------------------------------------------------------
row("relu", layers.ReLU, {}, (4, 6), (4, 6))
row("relu-all", layers.ReLU, {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}, (4, 6), (4, 6))
row("leaky-relu", layers.LeakyReLU, {}, (4, 6), (4, 6))
row("elu", layers.ELU, {"alpha": 0.5}, (4, 6), (4, 6))
row("softmax", layers.Softmax, {}, (4, 6), (4, 6))
row("softmax-axes", layers.Softmax, {"axis": [1, 2]}, (4, 3, 2), (4, 3, 2))
row("prelu", layers.PReLU, {"alpha_initializer": "ones"}, (4, 6), (4, 6), weights=1)
row("prelu-shared", layers.PReLU, {"shared_axes": (1,)}, (4, 3, 2), (4, 3, 2), weights=1)
