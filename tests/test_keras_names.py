"""Keras's public names: Lamina has each, or says in ``keras_names.py`` why not."""

from __future__ import annotations

import keras_names
import pytest


def test_every_name_of_keras_is_there_or_has_a_reason() -> None:
    pytest.importorskip("keras")
    lacking = keras_names.missing()
    without = [path for path in lacking if keras_names.reason_for(path) is None]
    assert not without, f"add these to lamina.compat.keras, or a reason to tests/keras_names.py: {without}"
    there = [path for path in keras_names.listed() if path not in lacking]
    assert not there, f"Lamina has these by now; delete them from tests/keras_names.py: {there}"
