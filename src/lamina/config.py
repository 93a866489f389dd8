"""Defaults of the model level: float dtype, fuzz factor, place of the channels, automatic names."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, ClassVar

from lamina.core import dtypes
from lamina.core.errors import ArgumentError


class _Settings:
    """What the setters change, and how often each automatic name was given."""

    floatx = "float32"
    epsilon = 1e-7
    image_data_format = "channels_last"
    dtype_policy: str | None = None
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
