"""Defaults of the model level: float dtype, fuzz factor, place of the channels, automatic names."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from typing import Any, ClassVar

from lamina.core import dtypes, messages, tracebacks
from lamina.core.errors import ArgumentError


class _Settings:
    """What the setters change, and how often each automatic name was given."""

    floatx = "float32"
    epsilon = 1e-7
    image_data_format = "channels_last"
    dtype_policy: str | None = None
    max_epochs: int | None = None
    max_steps_per_epoch: int | None = None
    uids: ClassVar[Counter[str]] = Counter()
    flash_attention: bool | None = None
    names: ClassVar[Counter[str]] = Counter()


def floatx() -> str:
    """Name of the dtype that new layers, inputs, losses and metrics use by default.

    Example:
        >>> import lamina
        >>> lamina.config.floatx()
        'float32'
    """
    return _Settings.floatx


def set_floatx(value: Any) -> None:
    """Set the default float dtype: ``"float16"``, ``"bfloat16"``, ``"float32"`` or ``"float64"``.

    Raises:
        ArgumentError: the dtype is not a float dtype.
    """
    dtype = dtypes.as_dtype(value)
    if not dtypes.is_float(dtype):
        raise ArgumentError(f"floatx is a float dtype (float16, bfloat16, float32 or float64), not {dtype}.")
    _Settings.floatx = dtype.name


def dtype_policy() -> Any:
    """The ``DTypePolicy`` of layers that are given none (see ``lamina.dtype_policies``)."""
    from lamina import dtype_policies

    return dtype_policies.dtype_policy()


def set_dtype_policy(policy: Any) -> None:
    """Set what ``dtype_policy()`` returns: a policy, its name (``"mixed_bfloat16"``) or a dtype."""
    from lamina import dtype_policies

    dtype_policies.set_dtype_policy(policy)


def epsilon() -> float:
    """The small number that losses use to stay away from ``log(0)``.

    Example:
        >>> import lamina
        >>> lamina.config.epsilon()
        1e-07
    """
    return _Settings.epsilon


def set_epsilon(value: float) -> None:
    """Set the number that ``epsilon()`` returns."""
    _Settings.epsilon = float(value)


def image_data_format() -> str:
    """Where layers for images look for the channels unless told: ``"channels_last"`` or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.config.image_data_format()
        'channels_last'
    """
    return _Settings.image_data_format


def set_image_data_format(value: str) -> None:
    """Set what ``image_data_format()`` returns.

    Raises:
        ArgumentError: it is neither ``"channels_last"`` nor ``"channels_first"``.
    """
    if value not in ("channels_last", "channels_first"):
        raise ArgumentError(f"the image data format is 'channels_last' or 'channels_first'; got {value!r}.")
    _Settings.image_data_format = value


def enable_flash_attention() -> None:
    """Let attention layers stream over the keys, so that memory grows with the steps and not their square.

    This is how they are anyway, unless ``disable_flash_attention`` was called.
    """
    _Settings.flash_attention = True


def disable_flash_attention() -> None:
    """Let attention layers that are made from now on compute all weights, and then the output."""
    _Settings.flash_attention = False


def is_flash_attention_enabled() -> bool | None:
    """Which of the two was called last; ``None`` for neither.

    Example:
        >>> import lamina
        >>> lamina.config.is_flash_attention_enabled() is None
        True
    """
    return _Settings.flash_attention


def enable_interactive_logging() -> None:
    """Let ``fit`` and callbacks print what they say; so it is at first."""
    messages.set_interactive(True)


def disable_interactive_logging() -> None:
    """Let ``fit`` and callbacks log what they say (level INFO of the logger ``lamina``), for runs nobody looks at."""
    messages.set_interactive(False)


def is_interactive_logging_enabled() -> bool:
    """Whether ``fit`` and callbacks print what they say."""
    return messages.is_interactive()


def enable_traceback_filtering() -> None:
    """Let tracebacks leave out the frames inside Lamina; so it is at first."""
    tracebacks.set_filtering(True)


def disable_traceback_filtering() -> None:
    """Let tracebacks show the frames inside Lamina too."""
    tracebacks.set_filtering(False)


def is_traceback_filtering_enabled() -> bool:
    """Whether tracebacks leave out the frames inside Lamina."""
    return tracebacks.is_filtering()


def enable_unsafe_deserialization() -> None:
    """Here for the name, and warns: code from a file is never run."""
    warnings.warn(
        "enable_unsafe_deserialization() does nothing: Lamina never runs code from a file. Register functions with "
        "@lamina.register_serializable(), or pass them as custom_objects.",
        stacklevel=2,
    )


def max_epochs() -> int | None:
    """The most epochs that a ``fit`` runs, whatever it was asked for; ``None`` for no limit."""
    return _Settings.max_epochs


def set_max_epochs(value: int | None) -> None:
    """Limit the epochs of every ``fit``: to try a script out.

    Raises:
        ArgumentError: it is no positive integer.
    """
    _Settings.max_epochs = _limit("max_epochs", value)


def max_steps_per_epoch() -> int | None:
    """The most steps of an epoch, whatever ``fit`` was asked for; ``None`` for no limit."""
    return _Settings.max_steps_per_epoch


def set_max_steps_per_epoch(value: int | None) -> None:
    """Limit the steps of every epoch: to try a script out.

    Raises:
        ArgumentError: it is no positive integer.
    """
    _Settings.max_steps_per_epoch = _limit("max_steps_per_epoch", value)


def _limit(name: str, value: int | None) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ArgumentError(f"{name} is a positive integer or None, got {value!r}.")
    return value


def get_uid(prefix: str = "") -> int:
    """A number that was not given for this prefix before: 1, 2, ..., from the beginning after ``clear_session``."""
    _Settings.uids[prefix] += 1
    return _Settings.uids[prefix]


def snake_case(name: str) -> str:
    """``"BatchNormalization"`` becomes ``"batch_normalization"``.

    Example:
        >>> snake_case("Conv2D"), snake_case("MyMLPBlock")
        ('conv2d', 'my_mlp_block')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def auto_name(class_name: str) -> str:
    """A name for an object that was given none: ``dense``, ``dense_1``, ``dense_2``, ..."""
    prefix = snake_case(class_name)
    count = _Settings.names[prefix]
    _Settings.names[prefix] += 1
    return prefix if count == 0 else f"{prefix}_{count}"


def clear_session() -> None:
    """Start automatic names again from the beginning (``dense``, ``dense_1``, ...)."""
    _Settings.names.clear()
    _Settings.uids.clear()
