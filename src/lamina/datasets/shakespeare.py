"""Shakespeare: 40,000 lines of his plays as one text, 1.1 million characters (put together by Karpathy, 2015)."""

from __future__ import annotations

from lamina.core.errors import DataError, FileFormatError
from lamina.datasets._tables import check_split
from lamina.datasets.files import RemoteFile, data_folders, find_files

MIRRORS = ("https://storage.googleapis.com/download.tensorflow.org/data",)
# SHA-256 computed from the file itself, and as stated by several independent projects that download it.
FILE = RemoteFile("shakespeare.txt", 1_115_394, "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed")
OTHER_NAMES = ("tinyshakespeare.txt", "input.txt")  # under which the same text goes around


def load_text() -> str:
    """The whole text.

    The file ``shakespeare.txt`` (or ``tinyshakespeare.txt``) is looked for in the folder that ``LAMINA_DATA`` names
    (in its subfolder ``shakespeare``, then in the folder itself), then in the cache, and is downloaded into it
    otherwise.

    Raises:
        MissingDataError: the file is not here and cannot be downloaded; it says what to put where.
        FileFormatError: it is no text.
        DataError: it is empty.
    """
    path = None
    for folder in data_folders("shakespeare", in_root=True):
        for name in OTHER_NAMES if path is None else ():
            path = folder / name if (folder / name).is_file() else path
    if path is None:
        (path,) = find_files("shakespeare", [FILE], MIRRORS, in_root=True)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: not a text in UTF-8 ({error}). Download it again.") from error
    if not text:
        raise DataError(f"{path} is empty.")
    return text


def load_data(test_split: float = 0.1) -> tuple[str, str]:
    """The text's beginning to train on, and its end to test on.

    Args:
        test_split: share of the characters that is kept for testing, from 0 up to, and without, 1.

    Returns:
        ``(train, test)``: two texts.

    Raises:
        ArgumentError: ``test_split`` is out of range.
        MissingDataError, FileFormatError, DataError: as ``load_text``.
    """


    check_split(test_split)
    text = load_text()
    cut = int(len(text) * (1 - test_split))
    return text[:cut], text[cut:]
