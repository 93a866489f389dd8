"""``lamina.nn.Module``: parts found by attribute, states, modes; steps written with it compile."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import nn


class Dense(nn.Module):
    """A layer of one's own."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = lamina.Variable(lamina.random.normal((inputs, outputs), stddev=0.3))
        self.bias = lamina.Variable(lamina.zeros((outputs,)))

    def forward(self, x: Any) -> Any:
        return x @ self.weight + self.bias

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}"


class Network(nn.Module):
    """Parts, a list of parts, a buffer and a plain attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Dense(4, 8)
        self.rest = nn.ModuleList([Dense(8, 8), Dense(8, 3)])
        self.register_buffer("calls", lamina.tensor(0))
        self.register_buffer("scratch", lamina.zeros((2,)), persistent=False)
        self.rate = 0.5

    def forward(self, x: Any) -> Any:
        x = lamina.tanh(self.first(x))
        if self.training:
            self.calls = self.calls + 1
            x = lamina.random.dropout(x, self.rate)
        for layer in self.rest:
            x = layer(x)
        return x


def test_parts_are_found_by_attribute() -> None:
    model = Network()
    names = ["first.weight", "first.bias", "rest.0.weight", "rest.0.bias", "rest.1.weight", "rest.1.bias"]
    assert [name for name, _ in model.named_parameters()] == names
    assert [name for name, _ in model.named_buffers()] == ["calls", "scratch"]
    assert [name for name, _ in model.named_children()] == ["first", "rest"]
    assert [name for name, _ in model.named_modules()] == ["", "first", "rest", "rest.0", "rest.1"]
    assert len(list(model.modules())) == 5 and len(list(model.parameters(recurse=False))) == 0
    assert model.get_submodule("rest.1") is model.rest[1] and model.get_parameter("first.bias") is model.first.bias
    assert "rest" in dir(model) and len(model.trainable_variables) == 6
    with pytest.raises(AttributeError, match="no module 'second'"):
        model.get_submodule("second")
    with pytest.raises(AttributeError, match="no attribute 'lost'"):
        model.lost


def test_shared_parts_count_once() -> None:
    model = nn.Sequential(Dense(3, 3), Dense(3, 3))
    model[1].weight = model[0].weight
    assert len(list(model.parameters())) == 3
    assert list(model.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    again = nn.Sequential(model[0], model[0])
    assert len(list(again.children())) == 1 and len(list(again.modules())) == 2


def test_attributes_change_place() -> None:
    model = nn.Module()
    model.x = 3
    model.x = lamina.Variable([1.0])
    assert "x" in dict(model.named_parameters()) and "x" not in model.__dict__
    with pytest.raises(TypeError, match="is a parameter and cannot become"):
        model.x = 4
    model.x = lamina.Variable([1.0], trainable=False)
    assert "x" in dict(model.named_buffers()) and not list(model.parameters())
    before = model.x
    model.x = [5.0]
    assert model.x is before and model.x.tolist() == [5.0]
    model.x = nn.Module()
    assert [name for name, _ in model.named_children()] == ["x"]
    model.x = None
    assert model.x is None and not list(model.children())
    del model.x
    assert not hasattr(model, "x")
    model.frozen = nn.Parameter([1.0])
    model.frozen.trainable = False
    assert len(list(model.parameters())) == 1 and model.trainable_variables == []


def test_init_must_be_called_first() -> None:
    class Early(nn.Module):
        def __init__(self) -> None:
            self.weight = lamina.Variable([1.0])

    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\) first"):
        Early()


def test_layers_are_refused_and_not_forgotten() -> None:
    model = nn.Module()
    with pytest.raises(TypeError, match="weights a Module does not find"):
        model.dense = lamina.layers.Dense(3)


def test_modes_and_apply() -> None:
    model = Network()
    assert model.eval() is model and not any(m.training for m in model.modules())
    assert all(m.training for m in model.train().modules())
    seen: list[str] = []
    model.apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Dense", "Dense", "Dense", "ModuleList", "Network"]
    model.requires_grad_(False)
    assert model.trainable_variables == []


def test_state_dict_there_and_back() -> None:
    model, other = Network(), Network()
    model(lamina.ones((2, 4)))
    state = model.state_dict()
    assert list(state)[-1] == "rest.1.bias" and "scratch" not in state and state["calls"].item() == 1
    found = other.load_state_dict(state)
    assert found == ([], [])
    model.eval()
    other.eval()
    x = lamina.random.normal((3, 4))
    np.testing.assert_array_equal(model(x).numpy(), other(x).numpy())
    model.first.weight.assign(lamina.zeros((4, 8)))
    assert state["first.weight"].numpy().any()  # a copy


def test_state_dict_that_does_not_fit() -> None:
    model = Network()
    state = model.state_dict()
    before = model.first.bias.numpy()
    state["first.bias"] = np.ones(3)
    state["more"] = state.pop("rest.0.bias")
    with pytest.raises(lamina.StateDictError) as caught:
        model.load_state_dict(state)
    message = str(caught.value)
    assert (
        "Missing key(s) in state_dict: 'rest.0.bias'" in message
        and "Unexpected key(s) in state_dict: 'more'" in message
    )
    assert "size mismatch for first.bias: the state has shape (3,), the model (8,)" in message
    np.testing.assert_array_equal(model.first.bias.numpy(), before)
    state["first.bias"] = np.ones(8)
    found = model.load_state_dict(state, strict=False)
    assert found.missing_keys == ["rest.0.bias"] and found.unexpected_keys == ["more"]
    assert model.first.bias.numpy().tolist() == [1] * 8


def test_text() -> None:
    assert repr(Network()) == (
        "Network(\n  (first): Dense(4, 8)\n  (rest): ModuleList(\n    (0): Dense(8, 8)\n    (1): Dense(8, 3)\n  )\n)"
    )


def test_dtype_and_device() -> None:
    model = Network()
    first = model.first.weight
    assert model.to("cpu") is model and model.float().first.weight is first
    model.to("float64")
    assert model.first.weight.dtype == "float64" and model.calls.dtype == "int64"
    assert model.double()(lamina.ones((1, 4), dtype="float64")).dtype == "float64"
    for wrong in ("cuda", "cuda:1"):
        with pytest.raises(lamina.ArgumentError, match="no device 'cuda"):
            model.to(wrong)
    with pytest.raises(lamina.ArgumentError, match="floating-point dtype"):
        model.to("int32")


def test_hooks() -> None:
    layer, seen = Dense(2, 2), []
    handle = layer.register_forward_hook(lambda module, args, output: seen.append(output.shape))
    layer(lamina.ones((3, 2)))
    handle.remove()
    layer(lamina.ones((3, 2)))
    assert seen == [(3, 2)]
    layer.register_forward_hook(lambda module, args, output: output * 0)
    assert not layer(lamina.ones((3, 2))).numpy().any()


def test_containers() -> None:
    a, b, c = Dense(2, 2), Dense(2, 2), Dense(2, 2)
    line = nn.Sequential(a, b)
    line.append(c)
    assert len(line) == 3 and line[-1] is c and list(line[:2]) == [a, b] and list(line) == [a, b, c]
    del line[0]
    assert list(line.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"] and line[0] is b
    line[0] = a
    named = nn.Sequential({"one": a, "two": b})
    assert named.one is a and list(named._modules) == ["one", "two"]
    items = nn.ModuleList([a])
    items.insert(0, b)
    items += [c]
    assert list(items) == [b, a, c] and a in items and list(items[1:]) == [a, c]
    table = nn.ModuleDict({"a": a})
    table["b"] = b
    assert table.pop("a") is a and list(table.keys()) == ["b"] and "b" in table
    with pytest.raises(KeyError, match="no module 'z'"):
        table["z"]
    with pytest.raises(NotImplementedError):
        nn.Module()(1)


def test_copies_and_pickles() -> None:
    model = Network().eval()
    x = lamina.random.normal((2, 4))
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other(x).numpy(), model(x).numpy())
        other.first.weight.assign(lamina.zeros((4, 8)))
        assert model.first.weight.numpy().any()


def test_a_step_by_hand_is_one_compiled_graph() -> None:
    lamina.random.seed(0)
    model = Network()
    optimizer = lamina.optimizers.Adam(0.01)
    weights = model.trainable_variables
    x, y = lamina.random.normal((64, 4)), lamina.random.randint((64,), 0, 3)

    @lamina.function
    def step(x: Any, y: Any) -> Any:
        with lamina.GradientTape() as tape:
            loss = lamina.mean(nn.sparse_softmax_cross_entropy_with_logits(y, model(x)))
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    losses = [step(x, y).item() for _ in range(150)]
    assert losses[-1] < losses[0] and len(step.captures) == 1
    assert model.calls.numpy() == 150  # a buffer that the compiled step moves


def test_names_of_nn_are_pointed_to() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'sigmoid'; it is lamina\.nn\.sigmoid"):
        _ = lamina.sigmoid
    with pytest.raises(AttributeError, match="no attribute 'nothing'$"):
        _ = lamina.nothing
