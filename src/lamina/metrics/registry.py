"""Metrics by name."""

from __future__ import annotations

from typing import Any

from lamina.core.errors import ArgumentError
from lamina.serialization import Named

known = Named("metric", "lamina.metrics")


def get(identifier: Any) -> Any:
    """A metric or function from a name, a class, a configuration, or one already made.

    Raises:
        ArgumentError: the name is unknown or the object is not callable.
    """
    if identifier is None:
        return None
    identifier = known.resolve(identifier)
    if not callable(identifier):
        raise ArgumentError(f"{identifier!r} is not a metric: give a name, a Metric or a function (y_true, y_pred).")
    return identifier
