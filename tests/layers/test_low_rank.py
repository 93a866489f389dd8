"""LoRA: a frozen weight with a trained update of low rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(16, 5, 6, 3)).astype(np.float32)
VECTORS = RNG.normal(size=(16, 4, 6)).astype(np.float32)
WORDS = RNG.integers(0, 9, (16, 4))
CASES: list[tuple[Any, np.ndarray, str]] = [
    (lambda **k: layers.Dense(7, activation="tanh", **k), VECTORS, "kernel"),
    (lambda **k: layers.EinsumDense("abc,cde->abde", (None, 2, 5), bias_axes="e", **k), VECTORS, "kernel"),
    (lambda **k: layers.Embedding(9, 5, **k), WORDS, "embeddings"),
    (lambda **k: layers.Conv2D(4, 3, **k), IMAGES, "kernel"),
]
IDS = ["dense", "einsum", "embedding", "conv"]


def trained(make: Any, x: np.ndarray, **arguments: Any) -> Any:
    """A model of one layer whose update has been trained a little."""
    model = lamina.Sequential([lamina.Input(x.shape[1:], dtype=x.dtype), make(**arguments)])
    if not arguments:
        model.layers[0].enable_lora(2, lora_alpha=3.0)
    model.compile("adam", "mse")
    model.fit(x, RNG.normal(size=(len(x), *model.output_shape[1:])).astype(np.float32), epochs=2, verbose=0)
    return model


@pytest.mark.parametrize(("make", "x", "name"), CASES, ids=IDS)
def test_only_the_update_is_trained(make: Any, x: np.ndarray, name: str) -> None:
    layer = make()
    before = layer(x).numpy()
    base = layer.weights[0]
    count = len(layer.trainable_weights)
    layer.enable_lora(2, lora_alpha=3.0)
    assert not base.trainable and len(layer.trainable_weights) == count + 1
    np.testing.assert_array_equal(layer(x).numpy(), before)  # B is zero
    value = base.numpy()
    model = lamina.Sequential([layer])
    model.compile("adam", "mse")
    model.fit(x, np.ones_like(before), verbose=0)
    np.testing.assert_array_equal(base.numpy(), value)
    a, b = (getattr(layer, f"lora_{name}_{part}").numpy() for part in "ab")
    assert a.shape[-1] == 2 and np.abs(b).max() > 0
    np.testing.assert_allclose(np.asarray(getattr(layer, name)), value + 1.5 * (a @ b), rtol=1e-5, atol=1e-6)
    plain = make()
    plain(x)
    merged = [np.asarray(getattr(layer, name)) if v is base else v.numpy() for v in layer._stored_variables()]
    plain.set_weights(merged)
    np.testing.assert_allclose(layer(x).numpy(), plain(x).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("make", "x", "name"), CASES, ids=IDS)
def test_files(make: Any, x: np.ndarray, name: str, tmp_path: Path) -> None:
    model = trained(make, x)
    expected = model.predict(x, verbose=0)
    for ending in ("safetensors", "keras"):
        model.save(tmp_path / f"model.{ending}")
        again = lamina.models.load_model(tmp_path / f"model.{ending}")
        assert again.layers[0].lora_enabled and again.layers[0].lora_alpha == 3.0
        np.testing.assert_allclose(again.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
    # A file of Keras's formats holds the sum: it fits models without LoRA, and theirs fit this one.
    model.save_weights(tmp_path / "model.weights.h5")
    plain = lamina.Sequential([lamina.Input(x.shape[1:], dtype=x.dtype), make()])
    plain.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(plain.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
    plain.save_weights(tmp_path / "plain.weights.h5")
    model.load_weights(tmp_path / "plain.weights.h5")
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("make", "x", "name"), CASES, ids=IDS)
def test_rank_as_an_argument(make: Any, x: np.ndarray, name: str) -> None:
    model = trained(make, x, lora_rank=3)
    layer = model.layers[0]
    assert layer.lora_enabled and layer.lora_alpha == 3
    assert layer.get_config()["lora_rank"] == 3 and "lora_rank" not in make().get_config()
    assert type(layer).from_config(layer.get_config()).lora_rank == 3


def test_freezing_keeps_the_weight_frozen() -> None:
    layer = layers.Dense(2, lora_rank=1)
    layer.build((None, 3))
    layer.trainable = False
    assert not layer.trainable_weights
    layer.trainable = True
    assert [v.name for v in layer.trainable_weights] == ["bias", "lora_kernel_a", "lora_kernel_b"]


def test_mixed_precision() -> None:
    layer = layers.Dense(4, lora_rank=2, dtype="mixed_bfloat16")
    assert layer(VECTORS).dtype.name == "bfloat16" and layer.lora_kernel_a.dtype == np.float32


def test_wrong_use() -> None:
    with pytest.raises(ArgumentError, match="isn't yet built"):
        layers.Dense(2).enable_lora(1)
    layer = layers.Dense(2, lora_rank=1)
    layer.build((None, 3))
    with pytest.raises(ArgumentError, match="lora is already enabled"):
        layer.enable_lora(1)
    with pytest.raises(ArgumentError, match="incompatible with embedding constraints"):
        layers.Embedding(3, 2, embeddings_constraint="max_norm", lora_rank=1).build()
    with pytest.raises(ArgumentError, match="an integer of at least 1, got 0"):
        layers.Dense(2, lora_rank=0)
