"""Images, texts and sounds in folders as pipelines, under Keras's names."""

from __future__ import annotations

import wave
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina import config
from lamina.core.errors import ArgumentError, DataError
from lamina.core.optional import require
from lamina.data import folders
from lamina.data.folders import Files
from lamina.data.pipeline import Pipeline
from lamina.data.transforms import AUTOTUNE
from lamina.ops.resize import INTERPOLATIONS, resize

IMAGE_ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_MODES = {"grayscale": ("L", 1), "rgb": ("RGB", 3), "rgba": ("RGBA", 4)}


def image_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Any = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Batches of the images in a folder, read and resized as they are needed.

    Args:
        directory: the folder; with inferred labels each of its subfolders is a class.
        labels: ``"inferred"``, ``None``, or a list of integers in the order of the files' names.
        label_mode: ``"int"`` (int32 numbers), ``"categorical"`` (rows with one 1), ``"binary"`` (a column of 0 and 1)
            or ``None``.
        class_names: the subfolders to take, in the order of the classes.
        color_mode: ``"grayscale"``, ``"rgb"`` or ``"rgba"``.
        batch_size: images in a batch; ``None`` for single ones.
        image_size: height and width to which images are resized.
        shuffle: whether to mix the files; else they come in the order of their names.
        seed: of that; the order of the files is that of Keras.
        validation_split: share of the files kept for validation.
        subset: ``"training"``, ``"validation"``, or ``"both"`` for a list of both.
        interpolation: how to resize: ``"bilinear"``, ``"nearest"``, ``"bicubic"``, ``"lanczos3"``, ``"lanczos5"``.
        follow_links: whether to go into linked folders.
        crop_to_aspect_ratio: whether to cut images rather than change their proportions.
        pad_to_aspect_ratio: whether to add margins for that.
        data_format: ``"channels_last"`` or ``"channels_first"``; default that of ``lamina.config``.
        format: ``"tf"``, or ``"grain"`` for the same order in each pass.
        verbose: whether to print how many files there are.

    Returns:
        A ``Pipeline`` of float32 images from 0 to 255, or of ``(images, labels)``, with the attributes ``class_names``
        and ``file_paths``.

    Raises:
        ArgumentError: a value that is not allowed, or no images.
        DataError: while iterating: a file is no image.
        MissingExtraError: Pillow is not installed.
    """
    labels, label_mode = folders.check_arguments(
        "image", labels, label_mode, class_names, validation_split, subset, shuffle, seed, format
    )
    if color_mode not in _MODES:
        raise ArgumentError(f"`color_mode` must be one of {', '.join(map(repr, _MODES))}; got {color_mode!r}.")
    if isinstance(image_size, int):
        image_size = (image_size, image_size)
    if not isinstance(image_size, list | tuple) or len(image_size) != 2:
        raise ArgumentError(f"Invalid `image_size`: give height and width; got {image_size!r}.")
    way = str(interpolation).lower()
    if way not in INTERPOLATIONS:
        raise ArgumentError(
            f"Argument `interpolation` should be one of {', '.join(map(repr, INTERPOLATIONS))}; got {interpolation!r}."
        )
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ArgumentError("Only one of `pad_to_aspect_ratio`, `crop_to_aspect_ratio` can be set to True.")
    first = (data_format or config.image_data_format()) == "channels_first"
    require("PIL.Image", "images", "reading images")

    def load(path: str) -> np.ndarray:
        image = read_image(path, color_mode)
        image = _resized(image, tuple(image_size), way, crop_to_aspect_ratio, pad_to_aspect_ratio)
        return np.ascontiguousarray(image.transpose(2, 0, 1)) if first else image

    files = folders.find_files(
        directory, labels, IMAGE_ENDINGS, class_names, shuffle, seed, follow_links, verbose
    )
    folders.check_files(files, "images", directory, IMAGE_ENDINGS, label_mode)
    parts = folders.split_files(files, validation_split, subset, verbose)
    return _pipelines(parts, load, label_mode, batch_size, shuffle, seed, subset, format)


def read_image(path: str, color_mode: str = "rgb", dtype: Any = np.float32) -> np.ndarray:
    """The image in a file, ``(height, width, channels)`` with values from 0 to 255.

    Raises:
        DataError: it is no image.
        MissingExtraError: Pillow is not installed.
    """
    images = require("PIL.Image", "images", "reading images")
    mode, channels = _MODES[color_mode]
    try:
        with images.open(path) as image:
            keeps = channels == 1 and image.mode in ("L", "I;16", "I")
            array = np.asarray(image if keeps or image.mode == mode else image.convert(mode), dtype)
    except (OSError, SyntaxError, ValueError, images.DecompressionBombError) as error:
        raise DataError(f"The image {path!r} cannot be read: {error}.") from error
    return array.reshape(*array.shape[:2], channels)


def _resized(image: np.ndarray, size: tuple[int, int], interpolation: str, crop: bool, pad: bool) -> np.ndarray:
    rows, columns = image.shape[:2]
    if crop:
        height, width = min(rows, int(columns * size[0] / size[1])), min(columns, int(rows * size[1] / size[0]))
        top, left = (rows - height) // 2, (columns - width) // 2
        image = image[top : top + height, left : left + width]
    elif pad:
        height, width = max(rows, int(columns * size[0] / size[1])), max(columns, int(rows * size[1] / size[0]))
        top, left = (height - rows) // 2, (width - columns) // 2
        image = np.pad(image, [(top, height - rows - top), (left, width - columns - left), (0, 0)])
    if image.shape[:2] == size:
        return image
    result: np.ndarray = np.asarray(resize(image[None], size, interpolation, "channels_last")[0])
    return result


def text_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Batches of the texts in the ``.txt`` files of a folder, read as they are needed.

    Args:
        directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset, follow_links,
        format, verbose: as in ``image_dataset_from_directory``.
        max_length: cut texts to so many characters.

    Returns:
        A ``Pipeline`` of texts, or of ``(texts, labels)``: a batch of texts is a NumPy array of strings, a single one a
        string.

    Raises:
        ArgumentError: a value that is not allowed, or no texts.
    """
    labels, label_mode = folders.check_arguments(
        "text", labels, label_mode, class_names, validation_split, subset, shuffle, seed, format
    )

    def load(path: str) -> Any:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", errors="replace")[:max_length]

    files = folders.find_files(directory, labels, (".txt",), class_names, shuffle, seed, follow_links, verbose)
    folders.check_files(files, "text files", directory, (".txt",), label_mode)
    parts = folders.split_files(files, validation_split, subset, verbose)
    return _pipelines(parts, load, label_mode, batch_size, shuffle, seed, subset, format)


def audio_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """Batches of the sounds in the ``.wav`` files of a folder, read as they are needed.

    Args:
        directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset, follow_links,
        verbose: as in ``image_dataset_from_directory``.
        sampling_rate: values in a second to which sounds are converted; default as they are.
        output_sequence_length: cut or pad sounds to so many values; default the longest of the batch.
        ragged: must be false: there are no ragged tensors.

    Returns:
        A ``Pipeline`` of float32 ``(batch, length, channels)`` from -1 to 1, or of ``(sounds, labels)``.

    Raises:
        ArgumentError: a value that is not allowed, or no sounds.
        DataError: while iterating: a file is no sound of whole numbers.
    """
    labels, label_mode = folders.check_arguments(
        "audio", labels, label_mode, class_names, validation_split, subset, shuffle, seed, "tf"
    )
    for name, value in (("sampling_rate", sampling_rate), ("output_sequence_length", output_sequence_length)):
        if value is not None and not isinstance(value, int | np.integer):
            raise ArgumentError(f"`{name}` should have an integer value. Received: {value!r}.")
        if value is not None and value <= 0:
            raise ArgumentError(f"`{name}` should be higher than 0. Received: {value!r}.")
    if ragged and output_sequence_length is not None:
        raise ArgumentError("Cannot set both `ragged` and `output_sequence_length`.")
    if ragged:
        raise ArgumentError(
            "`ragged=True` cannot be used: there are no ragged tensors. Batches are padded to their longest sound."
        )

    def load(path: str) -> np.ndarray:
        sound, rate = read_wave(path)
        if sampling_rate is not None and rate != sampling_rate:
            sound = _resampled(sound, round(len(sound) * sampling_rate / rate))
        if output_sequence_length is not None:
            sound = sound[:output_sequence_length]
            sound = np.pad(sound, [(0, output_sequence_length - len(sound)), (0, 0)])
        return sound

    files = folders.find_files(directory, labels, (".wav",), class_names, shuffle, seed, follow_links, verbose)
    folders.check_files(files, "audio files", directory, (".wav",), label_mode)
    parts = folders.split_files(files, validation_split, subset, verbose)
    return _pipelines(parts, load, label_mode, batch_size, shuffle, seed, subset, "tf", output_sequence_length is None)


def read_wave(path: Any) -> tuple[np.ndarray, int]:
    """The sound in a ``.wav`` file: float32 ``(length, channels)`` from -1 to 1, and values in a second.

    Raises:
        DataError: it is no such file, or its values are no whole numbers.
    """
    try:
        with wave.open(str(path), "rb") as file:
            width, channels = file.getsampwidth(), file.getnchannels()
            data, rate = file.readframes(file.getnframes()), file.getframerate()
    except (OSError, EOFError, wave.Error) as error:
        raise DataError(f"The sound {str(path)!r} cannot be read: {error}.") from error
    raw = np.frombuffer(data, np.uint8)
    if width == 1:
        values = (raw.astype(np.float32) - 128) / 128
    elif width == 3:
        wide = np.zeros((len(raw) // 3, 4), np.uint8)
        wide[:, 1:] = raw.reshape(-1, 3)
        values = wide.view("<i4")[:, 0].astype(np.float32) / 2**31
    else:
        values = raw.view(f"<i{width}").astype(np.float32) / 2 ** (8 * width - 1)
    return values.reshape(-1, channels), rate


def _resampled(sound: np.ndarray, length: int) -> np.ndarray:
    """The sound with as many values as given: its Fourier series, without the tones that these cannot hold."""
    old = len(sound)
    if not old or length == old:
        return sound
    spectrum = np.fft.rfft(sound, axis=0)
    return (np.fft.irfft(spectrum, length, axis=0) * (length / old)).astype(np.float32)


def _pipelines(
    parts: Sequence[Files],
    load: Callable[[str], Any],
    label_mode: str | None,
    batch_size: int | None,
    shuffle: bool,
    seed: int | None,
    subset: str | None,
    format: str,
    pads: bool = False,
) -> Any:
    """The pipelines of files: one, or one for each part."""
    made = []
    for number, files in enumerate(parts):
        targets = files.targets(label_mode)
        paths = np.array(files.paths, object)
        data = Pipeline.from_tensor_slices(paths if targets is None else (paths, targets))
        if shuffle and number == 0:  # files for validation stay in one order
            data = data.shuffle(8 * batch_size if batch_size else 1024, seed, reshuffle_each_iteration=format == "tf")
        if targets is None:
            data = data.map(load, AUTOTUNE)
        else:
            data = data.map(lambda path, target: (load(path), target), AUTOTUNE)
        if batch_size is not None:
            data = data.padded_batch(batch_size) if pads else data.batch(batch_size)
        data = data.prefetch(AUTOTUNE)
        data.class_names, data.file_paths = files.class_names, files.paths
        made.append(data)
    return made if subset == "both" else made[0]
