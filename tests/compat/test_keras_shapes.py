"""What functions of ``keras.ops`` give on placeholders where sizes depend on values or are not known."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina.compat import keras

K = keras.KerasTensor


def test_sizes_that_depend_on_values_are_unknown():
    x = K((None, 5, 6))
    assert [y.shape for y in keras.ops.nonzero(x)] == [(None,)] * 3
    assert [y.shape for y in keras.ops.where(K((2, 3), "bool"))] == [(None,)] * 2
    assert keras.ops.unique(K((2, 4))).shape == (None,)
    values, index, inverse, counts = keras.ops.unique(
        K((2, 4)), return_index=True, return_inverse=True, return_counts=True, axis=0, size=3
    )
    assert (values.shape, index.shape, inverse.shape, counts.shape) == ((3, 4), (3,), (2,), (3,))
    assert keras.ops.segment_sum(K((10, 4)), K((10,), "int32")).shape == (None, 4)
    assert keras.ops.segment_max(K((10, 4)), K((10,), "int32"), num_segments=5).shape == (5, 4)
    size = keras.ops.size(K((None, 3)))
    assert (size.shape, size.dtype) == ((), "int32")
    paths, scores = keras.ops.ctc_decode(K((10, 2, 3)), K((10,), "int32"), strategy="beam_search", top_paths=2)
    assert (paths.shape, scores.shape) == ((2, 10, 2), (10, 2))


def test_models_of_such_functions_compute():
    a = keras.Input((3,))
    model = keras.Model(a, keras.ops.nonzero(a))
    x = np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]], "float32")
    for found, wanted in zip(model(x), np.nonzero(x), strict=True):
        np.testing.assert_array_equal(found, wanted)
    size = keras.Model(a, keras.ops.size(a))
    assert int(size(x)) == 6 and str(np.asarray(size(x)).dtype) == "int32"


def test_sizes_of_loops_stay_unknown():
    carry, rows = keras.ops.scan(lambda c, x: (c + x, c), K((None,)), K((6, None)))
    assert (carry.shape, rows.shape) == ((None,), (6, None))
    assert keras.ops.while_loop(lambda x: x < 10, lambda x: x + 1, K((None,))).shape == (None,)


def test_floats_may_stand_for_integers_until_the_model_runs():
    a, b = K((None, 3)), K((2, None))
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift", "gcd", "lcm"):
        found = getattr(keras.ops, name)(a, b)
        assert (found.shape, found.dtype) == ((2, 3), "float32")
    taken = keras.ops.take_along_axis(K((2, 3)), K((1, 3)), axis=0)
    assert (taken.shape, taken.dtype) == ((1, 3), "float32")
    assert keras.ops.scatter_update(K((4, None)), K((5, 2)), K((5,))).shape == (4, None)
    with pytest.raises(lamina.DTypeError):
        keras.ops.bitwise_and(lamina.ones(3), lamina.ones(3))
    x = keras.Input((3,))
    model = keras.Model(x, keras.ops.bitwise_not(x))
    with pytest.raises(lamina.DTypeError):
        model(np.ones((1, 3), "float32"))


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="cannot be None"):
        keras.ops.concatenate([K((2, 3)), K((2, 3))], axis=None)
    with pytest.raises(ValueError, match="same shape except"):
        keras.ops.concatenate([K((None, 3, 5)), K((None, 4, 6))], axis=1)
    with pytest.raises(ValueError, match="rows of b"):
        keras.ops.solve_triangular(K((None, 20, 20)), K((None, None, 5)))
    with pytest.raises(ValueError, match="height of the images is unknown"):
        keras.ops.image.crop_images(K((None, 10, 3)), 2, 3, 4, 5)
    with pytest.raises(ValueError, match="width of the images is unknown"):
        keras.ops.image.pad_images(K((None, 10, None, 3)), 2, None, None, 1, target_height=20)
    with pytest.raises(ValueError, match="tuple of sizes"):
        K(3)
    with pytest.raises(ValueError, match="segment_ids"):
        keras.ops.segment_sum(K((10, 4)), K((10, 2), "int32"))
    for function in (keras.ops.cholesky, keras.ops.det, keras.ops.inv, keras.ops.eigh):
        assert keras.ops.det(K((None, 3, 3))).shape == (None,)
        with pytest.raises(ValueError, match="square matrix"):
            function(K((None, 3, None)))
    with pytest.raises(ValueError, match="fully-defined"):
        keras.ops.qr(K((None, 3, None)))
    with pytest.raises(ValueError, match="Cannot squeeze"):
        keras.ops.squeeze(K((None, 1)), 0)
    assert keras.ops.squeeze(K((None, 1)), -1).shape == (None,)


def test_images_of_unknown_sizes():
    images = K((None, None, None, 3))
    assert keras.ops.image.affine_transform(images, K((None, 8))).shape == images.shape
    assert keras.ops.image.elastic_transform(images).shape == images.shape
    assert keras.ops.image.extract_patches(images, (2, 2)).shape == (None, None, None, 12)
    a = keras.Input((None, None, 3))
    model = keras.Model(a, keras.ops.image.extract_patches(a, (2, 2)))
    assert model(np.ones((1, 4, 6, 3), "float32")).shape == (1, 2, 3, 12)


def test_counts_have_as_many_places_as_the_values_need():
    assert keras.ops.bincount(K((5,), "int32"), minlength=3).shape == (None,)
    weighted = keras.ops.bincount(K((2, 5), "int32"), weights=K((2, 5)))
    assert (weighted.shape, weighted.dtype) == ((2, None), "float32")
    taken = keras.ops.take_along_axis(K((2, 3), "int32"), K((1, 3)), axis=0)
    assert taken.dtype == "int32"
