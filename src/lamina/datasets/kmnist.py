"""Kuzushiji-MNIST: 70,000 characters of old Japanese handwriting, 28x28 pixels (Clanuwat et al., 2018).

From "Deep learning for classical Japanese literature", made by ROIS-DS Center for Open Data in the Humanities from
the Kuzushiji Dataset of the National Institute of Japanese Literature; CC BY-SA 4.0, doi:10.20676/00000341.
"""

from __future__ import annotations

from lamina.datasets._images import Split, load_images
from lamina.datasets.files import RemoteFile

MIRRORS = ("https://codh.rois.ac.jp/kmnist/dataset/kmnist", "http://codh.rois.ac.jp/kmnist/dataset/kmnist")
# SHA-256 as stated by several independent projects that download them.
FILES = (
    RemoteFile(
        "train-images-idx3-ubyte.gz", 18_165_135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"
    ),
    RemoteFile(
        "train-labels-idx1-ubyte.gz", 29_497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"
    ),
    RemoteFile(
        "t10k-images-idx3-ubyte.gz", 3_041_136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"
    ),
    RemoteFile(
        "t10k-labels-idx1-ubyte.gz", 5_120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"
    ),
)
CLASS_NAMES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")  # the syllables


def load_data() -> tuple[Split, Split]:
    """Kuzushiji-MNIST's images of characters: 60,000 to train and 10,000 to test.

    The files have the same names as MNIST's, so they are looked for in the subfolder ``kmnist`` of the folder that
    ``LAMINA_DATA`` names, then in the cache, and are downloaded into the cache otherwise.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: images uint8 ``(n, 28, 28)`` from 0 (paper) to 255 (ink), labels
        uint8 ``(n,)`` from 0 to 9, whose names are in ``CLASS_NAMES``.

    Raises:
        MissingDataError: files are missing and cannot be downloaded; it says what to put where.
        FileFormatError: a file is damaged.
        DataError: images and labels do not belong together.
    """
    return load_images("kmnist", FILES, MIRRORS)
