"""``keras.wrappers``: loaded when a name is asked for, because scikit-learn is an extra."""

from __future__ import annotations

from typing import Any

_NAMES = ("SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer")


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"keras.wrappers has no {name!r}; it has: {', '.join(_NAMES)}.")
    from lamina import sklearn

    return getattr(sklearn, name)


def __dir__() -> list[str]:
    return list(_NAMES)
