"""Layers for images and sequences by their formulas in NumPy, and what they say about wrong use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, ShapeError


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).normal(size=shape).astype(np.float32)


def close(got: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4, atol=1e-5)


def gradient(function: Any, x: np.ndarray) -> np.ndarray:
    tensor = lamina.tensor(x)
    with lamina.GradientTape() as tape:
        tape.watch(tensor)
        total = function(tensor).sum()
    return np.asarray(tape.gradient(total, tensor).numpy())


# --- convolution ----------------------------------------------------------------------------------
def windows2d(x: np.ndarray, kernel: int, stride: int) -> np.ndarray:
    """Shape (batch, rows, columns, channels, kernel, kernel)."""
    return np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (1, 2))[:, ::stride, ::stride]


def test_conv2d() -> None:
    x = normal(2, 7, 8, 3)
    layer = layers.Conv2D(4, 3, strides=2, activation="relu", bias_initializer="ones")
    layer.build(x.shape)
    expected = np.einsum("bijcuv,uvcf->bijf", windows2d(x, 3, 2), layer.kernel.numpy()) + 1
    close(layer(x), np.maximum(expected, 0))


def test_channels_first_is_channels_last_moved() -> None:
    x = normal(2, 6, 5, 4)
    for make in (
        lambda f: layers.Conv2D(6, 3, padding="same", strides=2, groups=2, data_format=f),
        lambda f: layers.Conv2DTranspose(3, 3, strides=2, data_format=f),
        lambda f: layers.DepthwiseConv2D(3, depth_multiplier=2, data_format=f),
        lambda f: layers.SeparableConv2D(3, 3, data_format=f),
        lambda f: layers.MaxPooling2D(3, 2, "same", data_format=f),
        lambda f: layers.AveragePooling2D(3, 2, "same", data_format=f),
        lambda f: layers.UpSampling2D((2, 3), data_format=f, interpolation="bilinear"),
    ):
        last, first = make("channels_last"), make("channels_first")
        expected = last(x).numpy()
        first.build((2, 4, 6, 5))
        first.set_weights(last.get_weights())
        close(first(np.moveaxis(x, -1, 1)), np.moveaxis(expected, -1, 1))


def test_causal_convolution_does_not_see_the_future() -> None:
    x = normal(1, 9, 2)
    layer = layers.Conv1D(3, 3, padding="causal", dilation_rate=2)
    before = layer(x).numpy()
    x[:, 5:] += 1
    after = layer(x).numpy()
    np.testing.assert_array_equal(after[:, :5], before[:, :5])
    assert not np.array_equal(after[:, 5], before[:, 5])


def test_depthwise_and_separable() -> None:
    x = normal(2, 5, 6, 3)
    layer = layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)
    layer.build(x.shape)
    expected = np.einsum("bijcuv,uvcm->bijcm", windows2d(x, 3, 1), layer.kernel.numpy()).reshape(2, 3, 4, 6)
    close(layer(x), expected)
    separable = layers.SeparableConv2D(5, 3, depth_multiplier=2)
    separable.build(x.shape)
    pointwise = normal(1, 1, 6, 5)
    separable.set_weights([layer.kernel.numpy(), pointwise, np.ones(5)])
    close(separable(x), expected @ pointwise[0, 0] + 1)


def test_transposed_convolution_is_the_gradient_of_convolution() -> None:
    x, y = normal(2, 7, 8, 3), normal(2, 3, 3, 4)
    forward = layers.Conv2D(4, 3, strides=2, use_bias=False)
    forward.build(x.shape)
    back = layers.Conv2DTranspose(3, 3, strides=2, use_bias=False, output_padding=(0, 1))
    back.build(y.shape)
    back.set_weights(forward.get_weights())
    close(back(y), gradient(lambda t: forward(t) * y, x))


def test_initial_kernels_have_the_variance_of_their_fans() -> None:
    layer = layers.Conv2D(64, 3)
    layer.build((None, 8, 8, 32))
    assert layer.kernel.numpy().var() == pytest.approx(2 / (9 * 32 + 9 * 64), rel=0.05)
    assert layer.count_params() == 9 * 32 * 64 + 64


# --- pooling --------------------------------------------------------------------------------------
def test_of_equal_elements_the_first_gets_the_gradient() -> None:
    x = np.zeros((1, 4, 4, 1), np.float32)
    expected = np.zeros((4, 4))
    expected[::2, ::2] = 1
    np.testing.assert_array_equal(gradient(layers.MaxPooling2D(), x)[0, ..., 0], expected)
    ties = np.array([1.0, 3, 3, 0, 3, 3], np.float32).reshape(1, 6, 1)
    found = gradient(layers.MaxPooling1D(3, 1), ties)
    np.testing.assert_array_equal(found[0, :, 0], [0, 2, 1, 0, 1, 0])
    compiled = lamina.function(lambda x: gradient_of_max(x))(lamina.tensor(x)).numpy()
    np.testing.assert_array_equal(compiled[0, ..., 0], expected)


def gradient_of_max(x: Any) -> Any:
    with lamina.GradientTape() as tape:
        tape.watch(x)
        total = lamina.nn.max_pool(x, 2).sum()
    return tape.gradient(total, x)


def test_large_windows_also_pick_the_first_of_equals() -> None:
    x = np.random.default_rng(0).integers(0, 2, (2, 9, 8, 2)).astype(np.float32)
    found = gradient(lambda t: lamina.nn.max_pool(t, (6, 5), 1), x)
    expected = np.zeros_like(x)
    for b, i, j, c in np.ndindex(2, 4, 4, 2):
        at = np.argmax(x[b, i : i + 6, j : j + 5, c])
        expected[b, i + at // 5, j + at % 5, c] += 1
    np.testing.assert_array_equal(found, expected)


def test_max_pool_shows_nan() -> None:
    for place in range(4):
        x = np.ones((1, 2, 2, 1), np.float32)
        x.reshape(-1)[place] = np.nan
        assert np.isnan(lamina.nn.max_pool(x, 2).numpy()).all()


def test_same_padding_does_not_count() -> None:
    x = -np.ones((1, 3, 3, 1), np.float32)
    np.testing.assert_array_equal(layers.MaxPooling2D(2, 1, "same")(x).numpy(), x)
    np.testing.assert_array_equal(layers.AveragePooling2D(3, 1, "same")(x).numpy(), x)


def test_pooling_of_placeholders_without_sizes() -> None:
    x = lamina.Input((None, None, 3))
    y = layers.AveragePooling2D(3, 2, "same")(layers.Conv2D(4, 3, padding="same")(layers.ZeroPadding2D(1)(x)))
    assert y.shape == (None, None, None, 4)
    model = lamina.Model(x, layers.GlobalMaxPooling2D()(y))
    assert model(normal(2, 5, 6, 3)).shape == model(normal(2, 9, 4, 3)).shape == (2, 4)


def test_integers_keep_their_dtype() -> None:
    x = lamina.tensor(np.arange(16, dtype=np.int32).reshape(1, 4, 4, 1))
    for layer in (layers.MaxPooling2D(), layers.ZeroPadding2D(), layers.Cropping2D(1), layers.UpSampling2D()):
        assert layer(x).dtype == np.int32
        assert layer(lamina.Input((4, 4, 1), dtype="int32")).dtype == np.int32
    assert layers.AveragePooling2D(2)(x).dtype == np.float32


# --- reshaping ------------------------------------------------------------------------------------
def test_padding_cropping_and_repeating() -> None:
    x = normal(2, 3, 4, 2)
    padded = layers.ZeroPadding2D(((1, 2), (0, 3)))(x)
    close(padded, np.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0))))
    close(layers.Cropping2D(((1, 2), (0, 3)))(padded), x)
    close(layers.UpSampling2D((2, 3))(x), x.repeat(2, 1).repeat(3, 2))
    close(layers.Permute((3, 1, 2))(x), x.transpose(0, 3, 1, 2))
    close(layers.RepeatVector(3)(x[:, 0, 0]), np.stack([x[:, 0, 0]] * 3, 1))


# --- normalization --------------------------------------------------------------------------------
def standardized(x: np.ndarray, axes: tuple[int, ...], epsilon: float) -> np.ndarray:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def with_weights(layer: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    layer.build(x.shape)
    gamma, beta = normal(*layer.gamma.shape), normal(*layer.beta.shape) * 2
    layer.set_weights([gamma, beta])
    return gamma, beta


def test_layer_normalization() -> None:
    x = normal(3, 4, 5) * 3 + 1
    layer = layers.LayerNormalization()
    gamma, beta = with_weights(layer, x)
    close(layer(x), standardized(x, (2,), 1e-3) * gamma + beta)
    layer = layers.LayerNormalization(axis=1, epsilon=1e-5)
    gamma, beta = with_weights(layer, x)
    close(layer(x), standardized(x, (1,), 1e-5) * gamma[:, None] + beta[:, None])


def test_group_normalization() -> None:
    x = normal(3, 4, 5, 6) * 3 + 1
    layer = layers.GroupNormalization(3)
    gamma, beta = with_weights(layer, x)
    expected = standardized(x.reshape(3, 4, 5, 3, 2), (1, 2, 4), 1e-3).reshape(x.shape)
    close(layer(x), expected * gamma + beta)
    instance = layers.GroupNormalization(-1, axis=1)
    gamma, beta = with_weights(instance, x)
    close(instance(x), standardized(x, (2, 3), 1e-3) * gamma[:, None, None] + beta[:, None, None])


def test_rms_and_unit_normalization() -> None:
    x = normal(3, 6)
    close(layers.RMSNormalization()(x), x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-6))
    close(layers.UnitNormalization()(x), x / np.linalg.norm(x, axis=1, keepdims=True))
    zeros = np.zeros((1, 3), np.float32)
    assert np.isfinite(gradient(layers.UnitNormalization(), zeros)).all()


def test_variance_does_not_cancel() -> None:
    """Deviations of 1 around 10,000, where the mean of squares minus the square of the mean loses them."""
    x = (normal(4, 64) + 1e4).astype(np.float32)
    expected = standardized(x.astype(np.float64), (1,), 1e-3)
    for layer in (layers.LayerNormalization(), layers.GroupNormalization(1)):
        assert np.abs(layer(x).numpy() - expected).max() < 5e-3


def test_half_precision_does_not_overflow() -> None:
    x = (normal(2, 256) * 1000).astype(np.float16)
    for layer in (layers.LayerNormalization(dtype="float16"), layers.RMSNormalization(dtype="float16")):
        y = layer(x)
        assert y.dtype == np.float16
        assert 0.8 < y.numpy().astype(np.float32).std() < 1.2


# --- noise ----------------------------------------------------------------------------------------
def test_spatial_dropout_drops_whole_channels() -> None:
    x = np.ones((3, 5, 4, 200), np.float32)
    y = layers.SpatialDropout2D(0.25, seed=1)(x, training=True).numpy()
    assert (y == y[:, :1, :1]).all()
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.06)
    first = layers.SpatialDropout3D(0.5, "channels_first", seed=1)(np.ones((2, 9, 2, 2, 2)), training=True).numpy()
    assert (first == first[:, :, :1, :1, :1]).all()


def test_gaussian_noise_and_dropout() -> None:
    x = np.full((200, 200), 2.0, np.float32)
    noisy = layers.GaussianNoise(0.3, seed=1)(x, training=True).numpy()
    assert noisy.mean() == pytest.approx(2, abs=0.01) and noisy.std() == pytest.approx(0.3, rel=0.02)
    dropped = layers.GaussianDropout(0.2, seed=1)(x, training=True).numpy()
    assert dropped.mean() == pytest.approx(2, abs=0.02) and dropped.std() == pytest.approx(1, rel=0.02)
    for layer in (layers.GaussianNoise(0.3), layers.GaussianDropout(0.2)):
        np.testing.assert_array_equal(layer(x).numpy(), x)


# --- activation -----------------------------------------------------------------------------------
def test_activations() -> None:
    x = np.array([[-2.0, -0.5, 0.0, 0.5, 3.0]], np.float32)
    close(layers.ReLU(2.0, 0.1, 1.0)(x), np.array([[-0.3, -0.15, -0.1, -0.05, 2.0]], np.float32))
    close(layers.LeakyReLU()(x), np.where(x > 0, x, 0.3 * x))
    close(layers.ELU(0.5)(x), np.where(x > 0, x, 0.5 * np.expm1(np.minimum(x, 0))))
    close(layers.PReLU(lamina.initializers.Constant(0.2))(x), np.where(x > 0, x, 0.2 * x))


def test_softmax_mask() -> None:
    x = normal(2, 3)
    mask = np.array([[True, False, True], [False, False, False]])
    y = layers.Softmax()(x, mask=mask).numpy()
    e = np.exp(x[0, [0, 2]])
    np.testing.assert_allclose(y[0], [e[0] / e.sum(), 0, e[1] / e.sum()], rtol=1e-5)
    np.testing.assert_array_equal(y[1], 0)
    for wrong in (mask[None], mask[:, :2]):
        with pytest.raises(ShapeError, match="must be broadcastable"):
            layers.Softmax()(x, mask=wrong)


def test_mean_of_unmasked_steps() -> None:
    x = normal(2, 4, 3)
    mask = np.array([[True, True, False, False], [False, True, True, True]])
    expected = np.stack([x[0, :2].mean(0), x[1, 1:].mean(0)])
    close(layers.GlobalAveragePooling1D()(x, mask=mask), expected)
    first = layers.GlobalAveragePooling1D("channels_first", keepdims=True)
    close(first(x.transpose(0, 2, 1), mask=mask), expected[..., None])


# --- errors ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: layers.Conv2D(0, 3), "filters"),
        (lambda: layers.Conv2D(3, (3, 3, 3)), "`kernel_size` argument must be a tuple of 2 integers"),
        (lambda: layers.Conv2D(3, 3, padding="causal"), "'valid' or 'same'"),
        (lambda: layers.Conv2D(3, 3, strides=2, dilation_rate=2), "not supported in conjunction"),
        (lambda: layers.Conv2D(3, 3, groups=2), "groups"),
        (lambda: layers.Conv2D(3, 3, data_format="channels"), "channels_first"),
        (lambda: layers.Conv2DTranspose(3, 3, strides=2, output_padding=2), "output_padding"),
        (lambda: layers.MaxPooling2D(0), "pool_size"),
        (lambda: layers.MaxPooling2D(2, padding="full"), "padding"),
        (lambda: layers.ZeroPadding2D(-1), "value >= 0"),
        (lambda: layers.Cropping2D((1, 2, 3)), "2 pairs"),
        (lambda: layers.Cropping1D((1,)), "tuple of 2 integers"),
        (lambda: layers.UpSampling2D(interpolation="cubic"), "bicubic"),
        (lambda: layers.Permute((0, 1)), "dims"),
        (lambda: layers.GroupNormalization(0), "groups"),
        (lambda: layers.LayerNormalization("last"), "axis"),
        (lambda: layers.GaussianDropout(1.0), "rate"),
        (lambda: layers.ReLU(negative_slope=-1), "negative_slope"),
    ],
)
def test_wrong_arguments(make: Any, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "says"),
    [
        (layers.Conv2D(3, 3), (4, 28, 28), r"for one channel use x\[..., None\]"),
        (layers.Conv2D(3, 5), (4, 4, 4, 1), "does not fit"),
        (layers.Conv2D(4, 3, groups=2), (4, 8, 8, 3), "evenly divisible"),
        (layers.MaxPooling2D(3), (4, 2, 8, 1), "does not fit"),
        (layers.Cropping1D(3), (4, 6, 1), "leaves nothing"),
        (layers.GroupNormalization(4), (4, 6), "multiple of the number of groups"),
    ],
)
def test_wrong_shapes(layer: Any, shape: tuple[int, ...], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        layer(np.zeros(shape, np.float32))
    fresh = type(layer).from_config(layer.get_config())
    with pytest.raises(ShapeError, match=says):
        fresh(lamina.Input(shape[1:]))


def test_other_channels_than_at_first() -> None:
    layer = layers.Conv2D(3, 3)
    layer(normal(1, 5, 5, 2))
    with pytest.raises(ShapeError, match="expected size 2 on axis 3, got 3"):
        layer(normal(1, 5, 5, 3))


def test_the_default_data_format() -> None:
    x = normal(2, 3, 6, 6)
    lamina.config.set_image_data_format("channels_first")
    try:
        layer = layers.Conv2D(4, 3)
        assert layer.data_format == "channels_first"
        assert layers.MaxPooling2D()(layer(x)).shape == (2, 4, 2, 2)
        assert lamina.nn.average_pool(x, 2).shape == (2, 3, 3, 3)
    finally:
        lamina.config.set_image_data_format("channels_last")
    assert layers.Conv2D(4, 3).data_format == "channels_last"
    with pytest.raises(ArgumentError, match="channels_first"):
        lamina.config.set_image_data_format("first")


def test_normalization_of_the_last_axes_takes_any_rank() -> None:
    for layer in (layers.LayerNormalization(), layers.RMSNormalization(axis=[-2, -1])):
        layer(normal(2, 3, 4))
        assert layer(normal(2, 5, 3, 4)).shape == (2, 5, 3, 4)
        with pytest.raises(ShapeError, match="expected size 4"):
            layer(normal(2, 3, 5))
