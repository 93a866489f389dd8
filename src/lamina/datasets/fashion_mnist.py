"""Fashion-MNIST: 70,000 images of clothes, 28x28 pixels (Xiao, Rasul and Vollgraf, 2017; MIT licence)."""

from __future__ import annotations

from lamina.datasets._images import Split, load_images
from lamina.datasets.files import RemoteFile

MIRRORS = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
)
# The authors publish MD5; these SHA-256 are as stated by several independent projects beside that MD5.
FILES = (
    RemoteFile(
        "train-images-idx3-ubyte.gz", 26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
    ),
    RemoteFile(
        "train-labels-idx1-ubyte.gz", 29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
    ),
    RemoteFile(
        "t10k-images-idx3-ubyte.gz", 4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
    ),
    RemoteFile(
        "t10k-labels-idx1-ubyte.gz", 5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
    ),
)
CLASS_NAMES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


def load_data() -> tuple[Split, Split]:
    """Fashion-MNIST's images of clothes: 60,000 to train and 10,000 to test.

    The files have the same names as MNIST's, so they are looked for in the subfolder
    ``fashion_mnist`` of the folder that ``LAMINA_DATA`` names, then in the cache, and are downloaded
    into the cache otherwise.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: images uint8 ``(n, 28, 28)`` from 0 (background) to
        255, labels uint8 ``(n,)`` from 0 to 9, whose names are in ``CLASS_NAMES``.

    Raises:
        MissingDataError: files are missing and cannot be downloaded; it says what to put where.
        FileFormatError: a file is damaged.
        DataError: images and labels do not belong together.
    """
    return load_images("fashion_mnist", FILES, MIRRORS)
