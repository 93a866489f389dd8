"""The examples that `make results` trains, and how each is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Case:
    """An example and how it is told of.

    The example ``examples/<example>.py`` has ``train(epochs, verbose=..., seed=...)``, which returns the model and a
    history; ``benchmarks/results/peers/<last part of example>.py`` has ``FRAMEWORK`` and ``train(module, epochs,
    seed)``, which returns a history of the same model elsewhere.

    Attributes:
        example: Path below ``examples/``, without ending.
        title: What was trained on what, for the page.
        epochs: How long.
        small: Epochs that are enough to see that it works.
        measure: The key of the history that counts, measured on data that was not trained on.
        better: Whether more or less of it is better.
        percent: Whether it is a share, which the page shows as percents.
    """

    example: str
    title: str
    epochs: int
    small: int = 1
    measure: str = "val_accuracy"
    better: Literal["higher", "lower"] = "higher"
    percent: bool = True

    @property
    def name(self) -> str:
        """Name of the example without its folder."""
        return self.example.rsplit("/", 1)[-1]


CASES = (
    Case("mnist_lenet", "LeNet on MNIST: 8,000 images to train, 2,000 to test", 15),
    Case("cifar_resnet", "ResNet with three blocks on CIFAR-10: 10,000 images to train, 2,000 to test", 15),
    Case("movie_reviews_lstm", "LSTM on movie reviews: 8,529 sentences to train, 2,133 to test", 5),
    Case(
        "sequences/captions",
        "Captions of pictures with MNIST's digits: 16,000 to train, 2,000 with other digits to test",
        5,
        measure="val_exact",
    ),
    Case(
        "sequences/dates",
        "Sequence to sequence with attention: 12,000 dates to train, 2,000 other days to test",
        4,
        measure="val_exact",
    ),
    Case(
        "sequences/tagging",
        "Vowels put back into lines of Shakespeare: 14,600 lines to train, 2,000 later ones to test",
        5,
        measure="val_vowels",
    ),
    Case(
        "sequences/word_vectors",
        "Skip-gram on Shakespeare: 890 words, 2.5 million pairs to train, 250,000 of later speeches to test",
        4,
        measure="val_loss",
        better="lower",
        percent=False,
    ),
    Case(
        "sequences/character_model",
        "LSTM as a language model of Shakespeare's letters: 1.0 million to train, 0.1 million to test; nats for each",
        3,
        measure="val_loss",
        better="lower",
        percent=False,
    ),
    Case(
        "sequences/transformer_model",
        "Transformer as a language model of Shakespeare's letters: 1.0 million to train, 0.1 million to test; nats "
        "for each",
        2,
        measure="val_loss",
        better="lower",
        percent=False,
    ),
    Case("learning/perceptron", "Perceptron, setosa against other irises: 105 flowers to train, 45 to test", 10, 4),
    Case("learning/xor", "Multilayer perceptron on XOR: 4 corners to train, 400 points around them to test", 200, 50),
    Case(
        "learning/cart_pole",
        "REINFORCE on the cart-pole: mean return, at most 500",
        8,
        4,
        measure="val_return",
        percent=False,
    ),
    Case(
        "generation/autoencoder",
        "Convolutional autoencoder on MNIST: 8,000 images to train, 2,000 to test",
        12,
        measure="val_loss",
        better="lower",
        percent=False,
    ),
    Case(
        "generation/variational_autoencoder",
        "Variational autoencoder on MNIST, negative ELBO in nats: 8,000 images to train, 2,000 to test",
        30,
        2,
        measure="val_loss",
        better="lower",
        percent=False,
    ),
    Case(
        "generation/gan",
        "GAN on 8,000 images of MNIST, Fréchet distance of its images from 2,000 others",
        12,
        measure="frechet",
        better="lower",
        percent=False,
    ),
    Case(
        "learning/copy_task",
        "Neural Turing machine, copies of 20 rows after learning from 1 to 10: bits that are right",
        5,
        measure="val_binary_accuracy",
    ),
    Case(
        "learning/forecasting",
        "LSTM, carbon dioxide 13 weeks ahead: mean absolute error in ppm (without learning 0.67)",
        20,
        4,
        measure="val_loss",
        better="lower",
        percent=False,
    ),
    Case(
        "learning/clusters",
        "Clusters of 2,000 MNIST images, adjusted Rand index (of pixels 0.45), features learned without labels from "
        "8,000 others",
        12,
        measure="val_rand",
        percent=False,
    ),
    Case(
        "transfer/linear_on_features",
        "A linear classifier on features of MNIST: 50 other digits to train, 360 to test",
        60,
        10,
    ),
    Case("transfer/fine_tune", "A network of MNIST, fine-tuned: 400 other digits to train, 360 to test", 15, 3),
)
