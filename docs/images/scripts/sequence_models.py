"""Pictures of captions, of attention between characters, and of word vectors."""

from __future__ import annotations

from common import example, save

from lamina import plotting
from lamina.inspection import nearest


def captions() -> None:
    module = example("sequences.captions")
    (encoder, decoder), history = module.train(5, verbose=0)
    print(history["val_exact"])
    x = module.data()[1][0][:8]
    figure = plotting.plot_images(x[..., 0], module.describe(encoder, decoder, x), columns=4, cmap="Greys")
    figure.set_size_inches(9, 5)
    save(figure, "captions", 800)


def dates() -> None:
    module = example("sequences.dates")
    model, history = module.train(4, verbose=0)
    print(history["val_exact"])
    text = "wednesday, november 21st 2046"
    found, looked = module.translate(model, module.encode([text]))
    written = [module.TARGET[number] for number in found[0]]
    figure = plotting.plot_attention(looked[0, :, : len(text)], written, list(text))
    save(figure, "date-attention", 800)


def words() -> None:
    module = example("sequences.word_vectors")
    model, history = module.train(4, verbose=0)
    print(history["val_loss"])
    vectors, vocabulary = model.get_layer("vectors").get_weights()[0], module.data()[2]
    kinds = ("three", "king", "thou", "blood")
    chosen = {kind: [kind, *(word for word, _ in nearest(vectors, kind, 8, vocabulary))] for kind in kinds}
    rows, texts = zip(*((number, word) for number, kind in enumerate(kinds) for word in chosen[kind]), strict=True)
    shown = vectors[[vocabulary.index(word) for word in texts]]
    save(
        plotting.plot_embeddings(shown, list(rows), texts=texts, labels=[f"near {kind}" for kind in kinds]),
        "word-vectors",
        800,
    )


def main() -> None:
    captions()
    dates()
    words()


if __name__ == "__main__":
    main()
