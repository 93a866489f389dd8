"""CIFAR-100: 60,000 colour photographs of 32x32 pixels in 100 classes of 20 groups (Krizhevsky, 2009)."""

from __future__ import annotations

import numpy as np

from lamina import config
from lamina.core.errors import ArgumentError, DataError, FileFormatError
from lamina.datasets._archives import read_members
from lamina.datasets.files import RemoteFile

Split = tuple[np.ndarray, np.ndarray]

MIRRORS = ("https://www.cs.toronto.edu/~kriz",)
# The binary version: unlike the one for Python it holds no pickles.  SHA-256 as stated by several
# independent projects that download it.
ARCHIVE = RemoteFile(
    "cifar-100-binary.tar.gz", 168_513_733, "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"
)
FILES = ("cifar-100-binary/train.bin", "cifar-100-binary/test.bin")
RECORD = 2 + 3 * 32 * 32  # the group, the class, then the red, the green and the blue pixels
GROUP_NAMES = (
    "aquatic_mammals", "fish", "flowers", "food_containers", "fruit_and_vegetables", "household_electrical_devices",
    "household_furniture", "insects", "large_carnivores", "large_man-made_outdoor_things",
    "large_natural_outdoor_scenes", "large_omnivores_and_herbivores", "medium_mammals", "non-insect_invertebrates",
    "people", "reptiles", "small_mammals", "trees", "vehicles_1", "vehicles_2",
)  # fmt: skip
CLASS_NAMES = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish",
    "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
    "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange",
    "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine",
    "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk",
    "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
    "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale",
    "willow_tree", "wolf", "woman", "worm",
)  # fmt: skip


def load_data(label_mode: str = "fine") -> tuple[Split, Split]:
    """CIFAR-100: 50,000 photographs to train and 10,000 to test.

    The archive, or its files unpacked, is looked for in the subfolder ``cifar100`` of the folder that the
    environment variable ``LAMINA_DATA`` names, then in the cache, and is downloaded into the cache otherwise.

    Args:
        label_mode: ``"fine"`` for the 100 classes (``CLASS_NAMES``), ``"coarse"`` for the 20 groups
            (``GROUP_NAMES``).

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: images uint8 ``(n, 32, 32, 3)``, or ``(n, 3, 32, 32)`` where
        ``lamina.config.image_data_format()`` is ``"channels_first"``, and labels uint8 ``(n, 1)``.

    Raises:
        ArgumentError: an unknown ``label_mode``.
        MissingDataError: the archive is not here and cannot be downloaded; it says what to put where.
        FileFormatError: a file is damaged.
        DataError: a label is out of range.
    """
    if label_mode not in ("fine", "coarse"):
        raise ArgumentError(f"label_mode is 'fine' or 'coarse', not {label_mode!r}.")
    train, test = read_members("cifar100", ARCHIVE, MIRRORS, FILES)
    return _parse(*train, label_mode), _parse(*test, label_mode)


def _parse(where: str, content: bytes, label_mode: str) -> Split:
    if not content or len(content) % RECORD:
        raise FileFormatError(
            f"{where}: {len(content):,} bytes are no whole number of records of {RECORD:,} bytes. "
            "Download the archive again."
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    for column, names in enumerate((GROUP_NAMES, CLASS_NAMES)):
        if records[:, column].max() >= len(names):
            row = int(records[:, column].argmax())
            raise DataError(f"{where}: label {records[row, column]} in row {row}; they go up to {len(names) - 1}.")
    images = records[:, 2:].reshape(-1, 3, 32, 32)
    images = images if config.image_data_format() == "channels_first" else images.transpose(0, 2, 3, 1)
    column = 1 if label_mode == "fine" else 0
    return np.ascontiguousarray(images), records[:, column : column + 1].copy()
