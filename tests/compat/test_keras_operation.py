"""``keras.Operation`` as a base class."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina.compat import keras


@keras.saving.register_keras_serializable("test_keras_operation")
class Line(keras.Operation):
    def __init__(self, slope, *, offset=1.0, name=None):
        super().__init__(name=name)
        self.slope, self.offset = slope, offset

    def call(self, x):
        return self.slope * x + self.offset


class Pair(keras.Operation):
    def call(self, x, y=None):
        return x, x + y

    def compute_output_spec(self, x, y=None):
        return keras.KerasTensor(x.shape, x.dtype), keras.KerasTensor(x.shape, x.dtype)


def test_tensors_and_placeholders():
    np.testing.assert_allclose(Line(2.0)(np.ones(3, "float32")), [3, 3, 3])
    x, y = keras.KerasTensor((2, 3)), keras.KerasTensor((2, 3))
    pair = Pair(name="pair")
    with pytest.raises(ValueError, match="never been called"):
        _ = pair.output
    first = pair(x, y=y)
    again = pair.symbolic_call(y, x)
    assert isinstance(first, tuple) and first[0].shape == (2, 3)
    assert pair.input == [x, y] and pair.output == list(first) and again[0] is not first[0]


def test_config():
    line = Line(0.5, name="line")
    assert line.get_config() == {"slope": 0.5, "offset": 1.0, "name": "line"}
    assert Line.from_config(line.get_config()).get_config() == line.get_config()
    assert Pair(name="pair").get_config() == {"name": "pair"}
    with pytest.raises(NotImplementedError, match="slope"):
        Line(object()).get_config()
    with pytest.raises(ValueError, match="cannot contain"):
        Pair(name="a/b")


def test_config_of_other_constructors():
    class NoName(keras.Operation):
        def __init__(self, slope):
            super().__init__()
            self.slope = slope

    class Several(keras.Operation):
        def __init__(self, *slopes, name=None):
            super().__init__(name=name)

    class Named(Line):
        def get_config(self):
            return {**keras.Operation.get_config(self), "slope": self.slope}

    assert NoName(2.0).get_config() == {"slope": 2.0}
    with pytest.raises(NotImplementedError, match="slopes"):
        Several(1, 2).get_config()
    assert Named(3.0, name="n").get_config() == {"name": "n", "slope": 3.0}


def test_in_a_saved_model(tmp_path):
    a = keras.Input((3,))
    model = keras.Model(a, keras.layers.Dense(2)(Line(2.0)(a)))
    x = np.ones((4, 3), "float32")
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    with lamina.GradientTape() as tape:
        loss = lamina.sum(model(x))
    assert tape.gradient(loss, model.trainable_weights[0]).shape == (3, 2)
