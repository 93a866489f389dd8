"""Pictures of LeNet and MNIST's digits: its training, what it sees, and what its answers rest on."""

from __future__ import annotations

import numpy as np
from common import example, save

import lamina
from lamina import plotting, transfer
from lamina.applications import LeNet

EPOCHS = 6


def main() -> None:
    lamina.random.seed(0)
    (x_train, y_train), (x, y) = example("mnist_lenet").data()
    model = LeNet(dropout=0.4)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    watch = lamina.callbacks.Histograms((x_train[:256], y_train[:256]))
    history = model.fit(
        x_train, y_train, batch_size=64, epochs=EPOCHS, validation_data=(x, y), callbacks=[watch], verbose=2
    )
    save(history.plot(), "curves")
    kernels = [w.path for w in model.weights if w.path.endswith("kernel")]
    save(plotting.plot_histograms(watch, kind="gradients", names=kernels), "histograms")

    scores = model.predict(x, verbose=0)
    save(plotting.plot_confusion_matrix(y, scores), "confusion", 640)
    wrong = np.flatnonzero(scores.argmax(-1) != y)[:10]
    titles = [f"{y[i]} taken for {scores[i].argmax()}" for i in wrong]
    save(plotting.plot_images(x[wrong], titles, columns=5), "mistakes", 800)

    save(plotting.plot_kernels(model), "kernels")
    inner = [layer for layer in model.layers if len(layer.output.shape) == 4][1:]
    save(plotting.plot_feature_maps(model, x[3], inner), "feature-maps")
    methods = ["saliency", "smooth_grad", "integrated_gradients"]
    save(plotting.plot_saliency(model, x[[3, 8, 11]], method=methods), "saliency", 800)
    save(plotting.plot_maximized_activations(model, None, range(10), steps=200, columns=5), "ideal-digits", 800)

    features = transfer.features(model, -2).predict(x[:800], verbose=0)
    save(plotting.plot_embeddings(features, y[:800], "tsne"), "embeddings", 700)


if __name__ == "__main__":
    main()
