"""``ImageDataGenerator``: batches of images that are moved, turned and normalised anew in every epoch."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lamina import config, ops
from lamina.core.errors import ArgumentError, DataError, ShapeError
from lamina.layers.preprocessing.sampling import FILL_MODES, affine
from lamina.ops.pool import data_format_of
from lamina.training.streams import PyDataset

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff", ".gif")
CLASS_MODES = ("categorical", "binary", "sparse", "input", None)


class ImageDataGenerator:
    """Batches of images, changed at random and normalised, from arrays or from a folder.

    The layers (``RandomRotation`` and so on) do the same inside a compiled model, and faster; this class is for code
    of the older books.

    Args:
        featurewise_center: subtract the mean of the images that ``fit`` saw, channel by channel.
        samplewise_center: subtract each image's own mean.
        featurewise_std_normalization: divide by the standard deviation of the images that ``fit`` saw.
        samplewise_std_normalization: divide by each image's own.
        zca_whitening: take out the correlations between pixels that ``fit`` found.
        zca_epsilon: added to the variances then.
        rotation_range: degrees to turn, either way.
        width_shift_range: how far to shift across: a share of the width below 1, else pixels; an int stands for whole
            pixels, a list for what to choose from.
        height_shift_range: likewise down.
        brightness_range: a pair of factors for the values.
        shear_range: degrees to slant.
        zoom_range: a pair of factors, or ``f`` for ``(1 - f, 1 + f)``, drawn for rows and columns by themselves.
        channel_shift_range: a number up to which each channel's values may move, either way.
        fill_mode: what comes in from outside: ``"nearest"``, ``"constant"``, ``"reflect"`` or ``"wrap"``.
        cval: the constant.
        horizontal_flip: whether to mirror half of the images.
        vertical_flip: whether to turn half of them upside down.
        rescale: a factor for all values, after everything else.
        preprocessing_function: called with each image, before that; a layer will do.
        data_format: ``"channels_last"`` or ``"channels_first"``; default that of ``lamina.config``.
        validation_split: share of the images for ``subset="validation"``.
        interpolation_order: 1 for bilinear, 0 for the nearest pixel.
        dtype: of the images; default ``lamina.config.floatx()``.

    Example:
        >>> import numpy as np
        >>> from lamina.preprocessing.image import ImageDataGenerator
        >>> flow = ImageDataGenerator(rescale=1 / 255, horizontal_flip=True).flow(
        ...     np.full((5, 4, 4, 3), 255.0), np.arange(5), batch_size=2, seed=1)
        >>> len(flow), flow[0][0].shape, float(flow[0][0].max())
        (3, (2, 4, 4, 3), 1.0)
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: Any = 0.0,
        height_shift_range: Any = 0.0,
        brightness_range: Sequence[float] | None = None,
        shear_range: float = 0.0,
        zoom_range: Any = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[np.ndarray], Any] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: Any = None,
    ) -> None:
        self.featurewise_center = featurewise_center or featurewise_std_normalization or zca_whitening
        self.featurewise_std_normalization = featurewise_std_normalization and not zca_whitening
        self.samplewise_center = samplewise_center or samplewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening, self.zca_epsilon = zca_whitening, zca_epsilon
        self.rotation_range, self.shear_range = rotation_range, shear_range
        self.width_shift_range, self.height_shift_range = width_shift_range, height_shift_range
        self.brightness_range, self.channel_shift_range = brightness_range, channel_shift_range
        if brightness_range is not None and len(tuple(brightness_range)) != 2:
            raise ArgumentError(f"`brightness_range` should be a pair of numbers. Received: {brightness_range}")
        zoom = (1 - zoom_range, 1 + zoom_range) if isinstance(zoom_range, int | float) else tuple(zoom_range)
        if len(zoom) != 2:
            raise ArgumentError(f"`zoom_range` should be a float or a pair of two floats. Received: {zoom_range}")
        self.zoom_range = zoom
        if fill_mode not in FILL_MODES:
            raise ArgumentError(f"`fill_mode` is one of {', '.join(map(repr, FILL_MODES))}; got {fill_mode!r}.")
        if interpolation_order not in (0, 1):
            raise ArgumentError(f"`interpolation_order` is 0 or 1; got {interpolation_order!r}.")
        if validation_split and not 0 < validation_split < 1:
            raise ArgumentError(f"`validation_split` must be strictly between 0 and 1. Received: {validation_split}")
        self.fill_mode, self.cval, self.interpolation_order = fill_mode, cval, interpolation_order
        self.horizontal_flip, self.vertical_flip, self.rescale = horizontal_flip, vertical_flip, rescale
        self.preprocessing_function, self.validation_split = preprocessing_function, validation_split
        self.data_format = data_format_of("ImageDataGenerator", data_format)
        self.dtype = np.dtype(dtype if dtype is not None else config.floatx())
        self.mean: np.ndarray | None = None
        self.std: np.ndarray | None = None
        self.whitening: np.ndarray | None = None

    # --- sources of images --------------------------------------------------------------------------
    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        subset: str | None = None,
    ) -> ImageIterator:
        """Batches from arrays.

        Args:
            x: images, four axes.
            y: targets, or ``None``.
            batch_size: images in a batch.
            shuffle: whether to take them in a new order in every epoch.
            sample_weight: a weight for each image, or ``None``.
            seed: of the order and of the changes.
            subset: ``"training"`` or ``"validation"``: the part behind or before ``validation_split``.

        Returns:
            Batches ``images``, ``(images, targets)`` or ``(images, targets, weights)``; for ``fit``, by number, or in
            a loop without end.
        """
        images = np.asarray(x, dtype=self.dtype)
        if images.ndim != 4:
            raise ShapeError(f"flow() takes a batch of images, 4 axes; got shape {images.shape}.")
        extra = [None if v is None else np.asarray(v) for v in (y, sample_weight)]
        for name, v in zip(("y", "sample_weight"), extra, strict=True):
            if v is not None and len(v) != len(images):
                raise ShapeError(f"`x` and `{name}` should have the same length. Found: {len(images)} and {len(v)}.")
        part = self._part(len(images), subset)
        images, (targets, weights) = images[part], [None if v is None else v[part] for v in extra]
        iterator = ImageIterator(self, len(images), lambda i: images[i], targets, weights, batch_size, shuffle, seed)
        iterator.image_shape = images.shape[1:]
        return iterator

    def flow_from_directory(
        self,
        directory: Any,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        subset: str | None = None,
        interpolation: str = "nearest",
        follow_links: bool = False,
        keep_aspect_ratio: bool = False,
    ) -> ImageIterator:
        """Batches from a folder with one subfolder of images for each class.

        Args:
            directory: the folder.
            target_size: height and width of the images.
            color_mode: ``"rgb"``, ``"rgba"`` or ``"grayscale"``.
            classes: the subfolders, in the order of the classes; default all, by name.
            class_mode: targets: ``"categorical"`` (rows with one 1), ``"sparse"`` (numbers), ``"binary"`` (0 and 1),
                ``"input"`` (the images themselves) or ``None``.
            batch_size: images in a batch.
            shuffle: whether to take them in a new order in every epoch.
            seed: of the order and of the changes.
            subset: ``"training"`` or ``"validation"``, by ``validation_split`` of each class.
            interpolation: how images are resized: see ``load_img``.
            follow_links: whether to go into linked folders.
            keep_aspect_ratio: whether to cut off margins rather than distort.

        Returns:
            Batches, with ``class_indices``, ``classes``, ``filenames`` and ``filepaths``.

        Raises:
            ArgumentError: an unknown ``class_mode``.
            DataError: a folder is missing, or there are no images.
        """
        from lamina.preprocessing.image import img_to_array, load_img

        if class_mode not in CLASS_MODES:
            raise ArgumentError(f"`class_mode` is one of {', '.join(map(repr, CLASS_MODES))}; got {class_mode!r}.")
        names, files, labels = _files(directory, classes, follow_links, lambda n: self._part(n, subset))
        size = tuple(target_size)

        def load(numbers: np.ndarray) -> np.ndarray:
            found = [
                img_to_array(
                    load_img(os.path.join(directory, files[i]), color_mode, size, interpolation, keep_aspect_ratio),
                    self.data_format,
                    self.dtype,
                )
                for i in numbers
            ]
            return np.stack(found)

        targets: Any = None
        if class_mode == "categorical":
            targets = (labels[:, None] == np.arange(len(names))).astype(self.dtype)
        elif class_mode in ("sparse", "binary"):
            targets = labels.astype(self.dtype)
        iterator = ImageIterator(self, len(files), load, targets, None, batch_size, shuffle, seed)
        iterator.returns_inputs = class_mode == "input"
        channels = {"grayscale": 1, "rgb": 3, "rgba": 4}.get(color_mode, 3)
        iterator.image_shape = (channels, *size) if self.data_format == "channels_first" else (*size, channels)
        iterator.class_indices = {name: i for i, name in enumerate(names)}
        iterator.classes, iterator.filenames = labels, files
        iterator.filepaths = [os.path.join(directory, f) for f in files]
        return iterator

    def _part(self, count: int, subset: str | None) -> slice:
        if subset is None:
            return slice(None)
        if subset not in ("training", "validation"):
            raise ArgumentError(f'Invalid subset name: {subset}; expected "training" or "validation".')
        first = int(count * self.validation_split)
        return slice(0, first) if subset == "validation" else slice(first, None)

    # --- statistics -----------------------------------------------------------------------------------
    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Find what the ``featurewise`` normalisations and ZCA whitening need to know of the images.

        Args:
            x: a batch of images.
            augment: whether to look at changed images.
            rounds: how many versions of each then.
            seed: of the changes.
        """
        images = np.array(x, dtype=self.dtype)
        if images.ndim != 4:
            raise ShapeError(f"Input to `.fit()` should have rank 4. Got array with shape: {images.shape}")
        if augment:
            generator = np.random.default_rng(seed)
            images = np.concatenate([self.random_transform_batch(images, generator) for _ in range(rounds)])
        axes = (0, 2, 3) if self.data_format == "channels_first" else (0, 1, 2)
        if self.featurewise_center:
            self.mean = images.mean(axis=axes, keepdims=True)[0]
            images = images - self.mean
        if self.featurewise_std_normalization:
            self.std = images.std(axis=axes, keepdims=True)[0]
            images = images / (self.std + 1e-6)
        if self.zca_whitening:
            flat = images.reshape(len(images), -1)
            u, s, _ = np.linalg.svd(flat.T @ flat / len(flat))
            self.whitening = (u / np.sqrt(s + self.zca_epsilon)) @ u.T

    def standardize(self, x: Any) -> np.ndarray:
        """One image normalised as the arguments say; ``fit`` comes first where they speak of features.

        Raises:
            ArgumentError: ``fit`` was not called.
        """
        x = np.asarray(x)
        if self.preprocessing_function is not None:
            x = np.asarray(self.preprocessing_function(x))
        if self.rescale is not None:
            x = x * self.rescale
        if self.samplewise_center:
            x = x - x.mean(keepdims=True)
        if self.samplewise_std_normalization:
            x = x / (x.std(keepdims=True) + 1e-6)
        for wanted, known in (
            (self.featurewise_center, self.mean),
            (self.featurewise_std_normalization, self.std),
            (self.zca_whitening, self.whitening),
        ):
            if wanted and known is None:
                raise ArgumentError("This ImageDataGenerator normalises by statistics: call .fit(images) first.")
        if self.mean is not None:
            x = x - self.mean
        if self.std is not None:
            x = x / (self.std + 1e-6)
        if self.whitening is not None:
            x = (x.reshape(1, -1) @ self.whitening).reshape(x.shape)
        return x.astype(self.dtype)

    # --- changes ----------------------------------------------------------------------------------------
    def _shift(self, generator: np.random.Generator, given: Any, count: int, size: int) -> np.ndarray:
        if np.ndim(given):
            return generator.choice(np.asarray(given), count) * generator.choice([-1, 1], count)
        if isinstance(given, int) and given:
            return generator.integers(-given, given, count).astype(np.float64)
        pixels = generator.uniform(-given, given, count)
        return pixels * size if max(np.abs(given), 0) < 1 else pixels

    def random_matrix(self, count: int, rows: int, columns: int, generator: np.random.Generator) -> np.ndarray:
        """Where each pixel of each image comes from: the six numbers of an affine map, ``(count, 6)``."""
        turn = np.deg2rad(generator.uniform(-self.rotation_range, self.rotation_range, count))
        down = self._shift(generator, self.height_shift_range, count, rows)
        across = self._shift(generator, self.width_shift_range, count, columns)
        slant = np.deg2rad(generator.uniform(-self.shear_range, self.shear_range, count))
        tall, wide = (generator.uniform(*self.zoom_range, count) for _ in range(2))
        if tuple(self.zoom_range) == (1, 1):
            tall, wide = np.ones(count), np.ones(count)
        cos, sin = np.cos(turn), np.sin(turn)
        # Rows first: turn, shift, slant and zoom about the middle, as products of matrices.
        a, b = cos * tall, (-cos * np.sin(slant) - sin * np.cos(slant)) * wide
        d, e = sin * tall, (-sin * np.sin(slant) + cos * np.cos(slant)) * wide
        moved_down, moved_across = cos * down - sin * across, sin * down + cos * across
        y, x = rows / 2 - 0.5, columns / 2 - 0.5
        c, f = moved_down + y - a * y - b * x, moved_across + x - d * y - e * x
        return np.stack([e, d, f, b, a, c], axis=1)

    def random_transform_batch(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Each image of a batch changed at random."""
        first = self.data_format == "channels_first"
        x = images.transpose(0, 2, 3, 1) if first else images
        count, rows, columns = x.shape[:3]
        still = self.zoom_range == (1, 1) and not (
            self.rotation_range or self.shear_range or np.any(self.width_shift_range) or np.any(self.height_shift_range)
        )
        if not still:
            matrix = self.random_matrix(count, rows, columns, generator).astype(np.float32)
            way = "bilinear" if self.interpolation_order else "nearest"
            x = np.asarray(affine(ops.as_tensor(x), ops.as_tensor(matrix), self.fill_mode, self.cval, way))
        if self.channel_shift_range:
            amount = generator.uniform(-self.channel_shift_range, self.channel_shift_range, (count, 1, 1, 1))
            bounds = x.min(axis=(1, 2, 3), keepdims=True), x.max(axis=(1, 2, 3), keepdims=True)
            x = np.clip(x + amount, *bounds)
        for wanted, axis in ((self.horizontal_flip, 2), (self.vertical_flip, 1)):
            if wanted:
                x = np.where(generator.random((count, 1, 1, 1)) < 0.5, np.flip(x, axis), x)
        if self.brightness_range is not None:
            low, high = self.brightness_range
            factor = generator.uniform(low, high, (count, 1, 1, 1))
            x = np.clip(x * factor, 0, 255)
        x = x.astype(self.dtype)
        return x.transpose(0, 3, 1, 2) if first else x

    def random_transform(self, x: Any, seed: int | None = None) -> np.ndarray:
        """One image changed at random.

        Args:
            x: three axes.
            seed: of the change.
        """
        image = np.asarray(x, dtype=self.dtype)
        return self.random_transform_batch(image[None], np.random.default_rng(seed))[0]


def _files(
    directory: Any, classes: Sequence[str] | None, follow_links: bool, part: Callable[[int], slice]
) -> tuple[list[str], list[str], np.ndarray]:
    """Names of the classes, the images' paths below the folder, and the numbers of their classes.

    Raises:
        DataError: a folder is missing, or there are no images.
    """
    directory = os.fspath(directory)
    if not os.path.isdir(directory):
        raise DataError(f"There is no folder {directory!r}.")
    names = list(classes or sorted(e.name for e in os.scandir(directory) if e.is_dir()))
    files: list[str] = []
    labels: list[int] = []
    for number, name in enumerate(names):
        folder = os.path.join(directory, name)
        if not os.path.isdir(folder):
            raise DataError(f"There is no folder {folder!r} for class {name!r}.")
        found = sorted(
            os.path.relpath(os.path.join(place, file), directory)
            for place, _, inside in os.walk(folder, followlinks=follow_links)
            for file in inside
            if file.lower().endswith(ENDINGS)
        )
        found = found[part(len(found))]
        files += found
        labels += [number] * len(found)
    if not files:
        raise DataError(f"Below {directory!r} there are no images ({', '.join(ENDINGS)}) in folders named as classes.")
    return names, files, np.array(labels, np.int32)


class ImageIterator(PyDataset):
    """What ``flow`` and ``flow_from_directory`` return: batches by number, and in a loop without end.

    Attributes:
        n: the number of images (``samples`` as well).
        image_shape: shape of one.
        class_indices: numbers of the classes by name (folders only).
        classes: the number of each image's class (folders only).
        filenames: where each image is, below the folder (folders only).
    """

    class_indices: dict[str, int]
    classes: np.ndarray
    filenames: list[str]
    filepaths: list[str]
    image_shape: tuple[int, ...]

    def __init__(
        self,
        generator: ImageDataGenerator,
        count: int,
        load: Callable[[np.ndarray], np.ndarray],
        targets: np.ndarray | None,
        weights: np.ndarray | None,
        batch_size: int,
        shuffle: bool,
        seed: int | None,
    ) -> None:
        super().__init__()
        self.image_data_generator, self.n, self.samples = generator, count, count
        self.load, self.targets, self.weights = load, targets, weights
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.returns_inputs = False
        self.epoch, self.batch_index = 0, 0
        self._seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
        self._order = self._new_order()

    @property
    def num_classes(self) -> int:
        """The number of classes (folders only)."""
        return len(self.class_indices)

    def _new_order(self) -> np.ndarray:
        if not self.shuffle:
            return np.arange(self.n)
        return np.random.default_rng([self._seed, self.epoch]).permutation(self.n)

    def __len__(self) -> int:
        return math.ceil(self.n / self.batch_size)

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"There are {len(self)} batches; there is no batch {index}.")
        index %= len(self)
        chosen = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        random = np.random.default_rng([self._seed, self.epoch, 1 + index])  # so that batches can be made in any order
        images = self.image_data_generator.random_transform_batch(self.load(chosen), random)
        images = np.stack([self.image_data_generator.standardize(image) for image in images])
        targets = images.copy() if self.returns_inputs else None if self.targets is None else self.targets[chosen]
        if targets is None:
            return images
        return (images, targets) if self.weights is None else (images, targets, self.weights[chosen])

    def on_epoch_end(self) -> None:
        """Another order and other changes from now on."""
        self.epoch += 1
        self._order = self._new_order()

    def reset(self) -> None:
        """Go on with the first batch."""
        self.batch_index = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        batch = self[self.batch_index]
        self.batch_index += 1
        if self.batch_index == len(self):
            self.batch_index = 0
            self.on_epoch_end()
        return batch

    next = __next__
