"""What the listings in docs/ take for granted: the names that a page does not define itself, on little data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import lamina
from lamina import layers
from lamina.data import DataLoader, TensorDataset

Names = dict[str, Any]


def table() -> tuple[np.ndarray, np.ndarray]:
    """200 rows of three numbers, and the class of each."""
    x = np.random.default_rng(0).normal(size=(200, 3)).astype("float32")
    return x, (x[:, 0] > 0).astype("int32")


def images(count: int, size: int, channels: int = 1, classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Noise in which one row of pixels, the class's, is bright."""
    generator = np.random.default_rng(0)
    labels = np.arange(count) % classes
    pixels = generator.uniform(0, 0.5, (count, size, size, channels)).astype("float32")
    pixels[np.arange(count), labels] += 0.5
    return pixels, labels


def compiled(*parts: Any) -> lamina.Sequential:
    model = lamina.Sequential(list(parts))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def classifier(features: int = 3, classes: int = 2) -> lamina.Sequential:
    return compiled(
        layers.Input((features,)), layers.Dense(8, activation="relu"), layers.Dense(classes, activation="softmax")
    )


def convolutional(size: int = 28, channels: int = 1) -> lamina.Sequential:
    """The layers that docs/pictures.md names."""
    return compiled(
        layers.Input((size, size, channels)),
        layers.Conv2D(4, 3, activation="relu", name="conv2d"),
        layers.MaxPooling2D(name="max_pooling2d"),
        layers.Conv2D(4, 3, activation="relu", name="conv2d_1"),
        layers.Flatten(),
        layers.Dense(8, activation="relu"),
        layers.Dense(10, activation="softmax"),
    )


def common() -> Names:
    """The imports of any program, and a table with a model of it."""
    from lamina import applications, nn, ops, optimizers, plotting, transfer

    x, y = table()
    names = {"lamina": lamina, "np": np, "layers": layers, "applications": applications, "nn": nn, "ops": ops}
    return {**names, "optimizers": optimizers, "plotting": plotting, "transfer": transfer, "x": x, "y": y,
            "model": classifier()}  # fmt: skip


def augmentation() -> Names:
    pixels, labels = images(32, 16, 3)
    return {
        "images": 255 * pixels,
        "labels": labels,
        "one_hot_labels": np.eye(10, dtype="float32")[labels],
        "masks": np.random.default_rng(0).integers(0, 3, (32, 16, 16, 1)),
        "boxes": np.full((32, 1, 4), (2, 2, 6, 6), "float32"),
        "numbers": np.ones((32, 1), "int32"),
        "layer": layers.RandomZoom(0.2),
    }


def checkpoints() -> Names:
    x, y = table()
    model = classifier()
    optimizer = lamina.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    return {
        "build_model": classifier,
        "build": classifier,
        "make_callbacks": list,
        "loader": DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True),
        "optimizer": optimizer,
        "step": model.train_on_batch,
    }


def data() -> Names:
    return {"patients": np.arange(200) // 4, "times": np.arange(200)}


def steps() -> Names:
    """For pages that take any function apart."""
    return {"step": lamina.function(lambda v: lamina.sum(v * 2)), "args": (lamina.ones((3,)),)}


def language_models() -> Names:
    codes = np.tile(np.arange(20), 60)
    windows = np.lib.stride_tricks.sliding_window_view(codes, 17)[::7]
    return {
        "letters": 20, "x": windows[:, :-1], "y": windows[:, 1:], "prompt": [1, 2, 3],
        "tokens": np.array([[1, 2, 3]]), "more": np.array([[4]]), "texts": ["wherefore art thou romeo"] * 50,
    }  # fmt: skip


def pictures_of_images() -> Names:
    x, y = images(64, 28)
    return {
        "model": convolutional(), "x": x, "y": y, "x_test": x, "y_test": y, "wrong": [1, 5, 7],
        "names": [str(i) for i in range(10)],
    }  # fmt: skip


def attention() -> Names:
    codes = layers.Input((5,), dtype="int32")
    embedded = layers.Embedding(20, 8)(codes)
    model = lamina.Model(codes, layers.MultiHeadAttention(2, 4)(embedded, embedded))
    return {"model": model, "codes": np.arange(5)[None], "words_in": list("abcde"), "words_out": list("edcba")}


def embeddings() -> Names:
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype("float32")
    words = ["king", "river", *(f"word{i}" for i in range(38))]
    return {**pictures_of_images(), "vectors": vectors, "words": words}


def efficientnet() -> Names:
    """EfficientNet-Lite0 with its first weights, on pictures of half the usual size."""
    return {
        "model": lamina.applications.EfficientNetLite0(weights=None, input_shape=(96, 96, 3)),
        "photographs": 255 * images(2, 96, 3)[0],
    }


def plane() -> Names:
    x, y = table()
    return {"model": classifier(2), "x": x[:, :2], "y": y, "names": ["left", "right"]}


def profiling() -> Names:
    x, y = images(256, 28)
    return {**steps(), "model": convolutional(), "x": x, "y": y}


def pytorch() -> Names:
    return {
        "x": lamina.ones((5, 4)), "y": lamina.zeros((5, 3)), "loss_function": lamina.losses.MeanSquaredError(),
        "optimizer": lamina.optimizers.SGD(0.1),
    }  # fmt: skip


def packing() -> Names:
    sequences = [np.arange(1, n) for n in (20, 30, 10, 40)]
    return {"sequences": sequences, "targets": sequences, "words": 50}


def buckets() -> Names:
    from lamina.data import Pipeline, boundaries_of

    lines = [(np.ones(n, "int32"), np.ones(n, "int32")) for n in range(3, 40)] * 4
    model = lamina.Sequential([layers.Embedding(3, 4, mask_zero=True), layers.GRU(4, return_sequences=True),
                               layers.Dense(3)])  # fmt: skip
    model.compile("adam", lamina.losses.SparseCategoricalCrossentropy(from_logits=True))
    return {"lines": lines, "model": model, "Pipeline": Pipeline, "boundaries_of": boundaries_of}


def word_vectors() -> Names:
    from lamina.preprocessing.sequence import make_sampling_table, skipgrams

    return {"size": 50, "words_of_a_speech": list(range(1, 50)) * 3, "skipgrams": skipgrams,
            "make_sampling_table": make_sampling_table}  # fmt: skip


def tensorboard() -> Names:
    x, y = images(64, 28)
    model = convolutional()
    history = model.fit(x, y, verbose=0)
    return {"model": model, "x": x, "y": y, "loss": 0.5, "step": 1, "layer": model.layers[0], "history": history,
            "vectors": np.eye(4), "labels": list("abcd")}  # fmt: skip


def events() -> Names:
    return {"path_of_an_event_file": next(Path("runs/a").rglob("*.tfevents.*"))}


def several_outputs() -> Names:
    inputs = layers.Input((3,))
    kind = layers.Dense(2, activation="softmax", name="kind")(inputs)
    outputs = [layers.Dense(1)(inputs), {"box": layers.Dense(4, name="box")(inputs), "kind": kind}]
    return {"model": lamina.Model(inputs, outputs), "both_together": lambda y_true, y_pred: 0.0 * y_pred}


def transfer_learning() -> Names:
    pixels, labels = images(10, 224, 3, classes=5)
    made = lamina.applications.EfficientNetLite0(include_top=False, weights=None)
    made.save("efficientnet-lite0.safetensors")
    return {"images": pixels, "labels": labels}


def weights_of_networks() -> Names:
    lamina.applications.ResNet50(include_top=False, weights=None).save_weights("resnet50.weights.h5")
    return {"images": 255 * images(2, 224, 3)[0]}


# For a page, or for the first of its listings that has these words: what makes the names, once that listing is reached.
MAKERS: dict[tuple[str, str], Callable[[], Names]] = {
    ("applications", ""): weights_of_networks,
    ("augmentation", ""): augmentation,
    ("checkpoints", ""): checkpoints,
    ("data", ""): data,
    ("explain", ""): steps,
    ("language-models", ""): language_models,
    ("pictures", ""): pictures_of_images,
    ("pictures", "plot_decision_boundary"): plane,
    ("pictures", "plot_kernels"): pictures_of_images,
    ("pictures", "plot_attention"): attention,
    ("pictures", "plot_embeddings"): embeddings,
    ("pictures", "plot_grad_cam"): efficientnet,
    ("profiling", ""): profiling,
    ("pytorch", ""): pytorch,
    ("sequences", "boundaries_of"): buckets,
    ("sequences", "pack_sequences"): packing,
    ("sequences", "skipgrams"): word_vectors,
    ("tensorboard", ""): tensorboard,
    ("tensorboard", "read_events"): events,
    ("training", "both_together"): several_outputs,
    ("training", "overfitting_from"): common,
    ("transfer", ""): transfer_learning,
}
