"""``model.summary()``."""

from __future__ import annotations

import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError


def text_of(model: lamina.Model, **arguments: object) -> str:
    lines: list[str] = []
    model.summary(print_fn=lines.append, **arguments)
    return "\n".join(lines)


def test_a_chain() -> None:
    model = lamina.Sequential(
        [
            layers.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(512, "relu", name="hidden"),
            layers.BatchNormalization(),
        ],
        name="digits",
    )
    text = text_of(model)
    assert text.splitlines()[0] == 'Model "digits"'
    row = next(line for line in text.splitlines() if "hidden (Dense)" in line)
    assert "(None, 512)" in row and "401,920" in row
    assert "Connected to" not in text
    assert "Total parameters: 403,968 (1.54 MB)" in text
    assert "Trainable: 402,944" in text and "Not trainable: 1,024 (4.00 KB)" in text
    assert len({len(line) for line in text.splitlines()[1:-3]}) == 1  # the table is a rectangle


def test_a_graph() -> None:
    a, b = layers.Input((3,), name="a"), layers.Input((3,), name="b")
    inner = lamina.Sequential([layers.Input((3,)), layers.Dense(2, name="deep")], name="inner")
    model = lamina.Model([a, b], layers.Add(name="sum")([inner(a), inner(b)]))
    text = text_of(model, show_trainable=True)
    assert "Connected to" in text and "deep" not in text
    assert "inner, inner" in next(line for line in text.splitlines() if "sum (Add)" in line)
    inner.trainable = False
    nested = text_of(model, expand_nested=True, show_trainable=True)
    row = next(line for line in nested.splitlines() if "deep (Dense)" in line)
    assert " no " in row and "8" in row
    some = text_of(model, layer_range=("a", "b"))
    assert "sum" not in some
    with pytest.raises(ArgumentError, match="layer_range"):
        text_of(model, layer_range=("a", "z"))


def test_before_and_after_building() -> None:
    model = lamina.Sequential([layers.Dense(3, name="first")])
    assert "? (not built)" in text_of(model)
    model(lamina.ones((2, 5)))
    assert "(None, 3)" in text_of(model) and "18" in text_of(model)


def test_the_optimizers_state_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    model = lamina.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(lamina.ones((4, 2)).numpy(), lamina.ones((4, 1)).numpy(), verbose=0)
    model.summary()
    assert "Optimizer: 8 (" in capsys.readouterr().out  # two slots for three weights, a step count and a rate
