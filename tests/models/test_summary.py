"""``model.summary()``."""

from __future__ import annotations

import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError
from lamina.models.summary import count_text
from lamina.models.work import work_of


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
    assert text.splitlines()[0] == 'Model: "digits"'
    row = next(line for line in text.splitlines() if "hidden (Dense)" in line)
    assert "(None, 512)" in row and "401,920" in row
    assert "Connected to" not in text
    assert "Total params: 403,968 (1.54 MB)" in text
    assert "Trainable params: 402,944" in text and "Non-trainable params: 1,024 (4.00 KB)" in text
    assert len({len(line) for line in text.splitlines()[1:-5]}) == 1  # the table is a rectangle


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
    assert " N " in row and "8" in row
    some = text_of(model, layer_range=("a", "b"))
    assert "sum" not in some
    with pytest.raises(ArgumentError, match="layer_range"):
        text_of(model, layer_range=("a", "z"))
    assert "│ a (InputLayer)" in text and "│ inner (Sequential)" in text


def test_before_and_after_building() -> None:
    model = lamina.Sequential([layers.Dense(3, name="first")])
    assert "? (unbuilt)" in text_of(model)
    model(lamina.ones((2, 5)))
    assert "(None, 3)" in text_of(model) and "18" in text_of(model)


def test_the_optimizers_state_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    model = lamina.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(lamina.ones((4, 2)).numpy(), lamina.ones((4, 1)).numpy(), verbose=0)
    model.summary()
    assert "Optimizer params: 8 (" in capsys.readouterr().out  # two slots for three weights, a step count and a rate


def test_operations_and_memory() -> None:
    inputs = layers.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv")(inputs)
    x = layers.DepthwiseConv2D(3, use_bias=False, name="depth")(x)
    x = layers.Flatten(name="flat")(x)
    shared = layers.Dense(5, use_bias=False, name="twice")
    model = lamina.Model(inputs, layers.Add(name="sum")([shared(x), shared(x)]))
    work = work_of(model)
    assert work is not None
    expected = {"conv": 2 * 8 * 8 * 4 * 27, "depth": 2 * 6 * 6 * 4 * 9, "flat": 0, "twice": 2 * 2 * 144 * 5, "sum": 5}
    assert {name: work.of((name,)) for name in expected} == expected
    assert work.total == sum(expected.values())
    rows = {line.split()[1]: line for line in text_of(model).splitlines() if line.startswith("│ ")}
    assert "13.8 K" in rows["conv"] and "1.00 KB" in rows["conv"]  # 8 * 8 * 4 float32
    assert "40 B" in rows["twice"] and "20 B" in rows["sum"] and " - " in rows["flat"]
    text = text_of(model)
    assert "FLOPs of a forward pass: 19.3 K a sample" in text
    assert "Memory of the outputs of all layers: 2.18 KB a sample" in text


def test_unknown_sizes_and_models_of_their_own() -> None:
    model = lamina.Sequential([layers.Input((None, 3)), layers.Dense(2)])
    assert "(unknown sizes as 1)" in text_of(model)

    class Own(lamina.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(4, use_bias=False, name="only")

        def call(self, inputs: object) -> object:
            return self.dense(inputs)

    own = Own()
    assert "FLOPs of" not in text_of(own)
    own(lamina.ones((2, 3)))
    assert "FLOPs of a forward pass: 24 a sample" in text_of(own)


def test_positions_and_line_length() -> None:
    model = lamina.Sequential([layers.Input((4,)), layers.Dense(2, name="a_rather_long_name_of_a_layer")])
    assert max(map(len, text_of(model, line_length=60).splitlines())) <= 60
    lines = text_of(model, line_length=120, positions=[0.5, 0.8, 1.0]).splitlines()
    borders = [i for i, c in enumerate(lines[1]) if c in "┌┬┐"]
    assert borders[:4] == [0, 47, 75, 94]
    lines = text_of(model, line_length=120, positions=[40, 60, 72]).splitlines()
    assert [i for i, c in enumerate(lines[1]) if c in "┌┬┐"][:4] == [0, 40, 60, 72]
    with pytest.raises(ArgumentError, match="positions"):
        text_of(model, positions=[0.5, 0.3])


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (999, "999"), (1000, "1.00 K"), (54321, "54.3 K"), (999_600, "1.00 M"), (2e9, "2.00 G")],
)
def test_numbers_of_operations(value: float, expected: str) -> None:
    assert count_text(value) == expected


def test_functions_between_layers() -> None:
    inputs = layers.Input((4,), name="x")
    model = lamina.Model(inputs, layers.Dense(2)(inputs * 2.0))
    assert any("(Multiply)" in line and " 4 " in line for line in text_of(model).splitlines())
