"""Pictures of what small networks have learned: XOR, and clusters of digits."""

from __future__ import annotations

from common import example, save

from lamina import plotting


def main() -> None:
    module = example("learning.xor")
    model, _ = module.train(200, verbose=0)
    _, (x, y) = module.data()
    save(plotting.plot_decision_boundary(model, x, y[:, 0].astype(int), labels=["0", "1"]), "xor", 480)

    module = example("learning.clusters")
    model, history = module.train(12)
    print(history)
    _, (x, y) = module.data()
    features = model.predict(x[:1000], verbose=0)
    save(plotting.plot_embeddings(features, y[:1000], method="tsne"), "clusters", 640)


if __name__ == "__main__":
    main()
