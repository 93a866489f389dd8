"""MNIST: 70,000 handwritten digits, 28x28 pixels (LeCun, Cortes and Burges, 1998; CC BY-SA 3.0)."""

from __future__ import annotations

import os
from pathlib import Path

from lamina.datasets._images import Split, check_pair, load_images, read_pair
from lamina.datasets._object_arrays import read_npz
from lamina.datasets.files import RemoteFile, find_files

# The site of the authors no longer serves the files; these two mirrors are what TensorFlow and PyTorch use.
MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist",
)
# SHA-256 of the files as published.  Those of the t10k files were computed from the files themselves (their
# MD5, 9fb629c4... and ec29112d..., is the one that torchvision checks); those of the train files are as
# stated by several independent projects that download them.
FILES = (
    RemoteFile(
        "train-images-idx3-ubyte.gz", 9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    RemoteFile(
        "train-labels-idx1-ubyte.gz", 28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    RemoteFile(
        "t10k-images-idx3-ubyte.gz", 1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    RemoteFile(
        "t10k-labels-idx1-ubyte.gz", 4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
)
CLASS_NAMES = tuple("0123456789")


def load_data(path: str | os.PathLike[str] = "mnist.npz") -> tuple[Split, Split]:
    """MNIST's handwritten digits: 60,000 to train and 10,000 to test.

    The four files are looked for in the folder that the environment variable ``LAMINA_DATA`` names
    (in its subfolder ``mnist``, then in the folder itself), then in the cache, and are downloaded
    into the cache otherwise.

    Args:
        path: instead, a file ``.npz`` with the arrays ``x_train``, ``y_train``, ``x_test`` and ``y_test``, if it
            exists.  (It is Keras's name for its copy of the set, which is not needed here.)

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: images uint8 ``(n, 28, 28)`` from 0 (paper) to 255
        (ink), labels uint8 ``(n,)`` from 0 to 9.

    Raises:
        MissingDataError: files are missing and cannot be downloaded; it says what to put where.
        FileFormatError: a file is damaged.
        DataError: images and labels do not belong together.
    """
    if Path(path).is_file():
        arrays = read_npz(path, ("x_train", "y_train", "x_test", "y_test"))
        train, test = ((arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test"))
        return check_pair(*train, f"{path}: x_train", f"{path}: y_train"), check_pair(
            *test, f"{path}: x_test", f"{path}: y_test"
        )
    if str(path) != "mnist.npz":
        raise FileNotFoundError(f"There is no file {path}. Leave `path` out to use the published files.")
    return load_images("mnist", FILES, MIRRORS, in_root=True)


def load_test_images() -> Split:
    """The 10,000 test images alone: a small download, for quick experiments.

    Returns:
        ``(images, labels)``, as the second pair of ``load_data``.

    Raises:
        MissingDataError, FileFormatError, DataError: as ``load_data``.
    """
    return read_pair(*find_files("mnist", FILES[2:], MIRRORS, in_root=True))
