"""Recurrence along sequences, against plain NumPy loops and PyTorch, with masks, eagerly and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import nn
from lamina.core.errors import ShapeError

GATES = {"simple_rnn": 1, "lstm": 4, "gru": 3, "gru-before": 3}
B, T, F, H = 3, 6, 4, 5


def weights(kind: str, dtype: str = "float64") -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    g = GATES[kind]
    bias = (2, g * H) if kind == "gru" else (g * H,)
    return [rng.normal(size=s).astype(dtype) * 0.7 for s in ((F, g * H), (H, g * H), bias)]


def inputs(dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    mask = np.array([[1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 1, 0], [1, 1, 1, 1, 1, 1]], bool)
    return rng.normal(size=(B, T, F)).astype(dtype), mask


def run(kind: str, x: Any, kernel: Any, recurrent: Any, bias: Any, **options: Any) -> Any:
    if kind == "gru-before":
        return nn.gru(x, kernel, recurrent, bias, reset_after=False, **options)
    return getattr(nn, kind)(x, kernel, recurrent, bias, **options)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def one_sequence(kind: str, x: np.ndarray, w: np.ndarray, u: np.ndarray, b: np.ndarray) -> tuple[list[Any], list[Any]]:
    """The formulas for one sequence of shape (steps, features): outputs, and states."""
    h = c = np.zeros(H)
    outputs = []
    for now in x:
        if kind == "simple_rnn":
            h = np.tanh(now @ w + b + h @ u)
        elif kind == "lstm":
            i, f, g, o = np.split(now @ w + b + h @ u, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        else:
            after = kind == "gru"
            xz, xr, xg = np.split(now @ w + (b[0] if after else b), 3)
            hz, hr, hg = np.split(h @ u + (b[1] if after else 0), 3)
            z, r = sigmoid(xz + hz), sigmoid(xr + hr)
            g = np.tanh(xg + (r * hg if after else (r * h) @ u[:, 2 * H :]))
            h = z * h + (1 - z) * g
        outputs.append(h)
    return outputs, [h, c] if kind == "lstm" else [h]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("kind", GATES)
def test_a_masked_batch_equals_each_sequence_alone(kind: str, backwards: bool) -> None:
    x, mask = inputs()
    w = weights(kind)
    output, states = run(kind, x, *w, mask=mask, go_backwards=backwards)
    for row in range(B):
        alone = x[row][mask[row]]
        expected, last = one_sequence(kind, alone[::-1] if backwards else alone, *w)
        np.testing.assert_allclose(output.numpy()[row], expected[-1], rtol=1e-12)
        for found, wanted in zip(states, last, strict=True):
            np.testing.assert_allclose(found.numpy()[row], wanted, rtol=1e-12)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("kind", GATES)
def test_outputs_of_all_steps(kind: str, backwards: bool) -> None:
    x, mask = inputs()
    w = weights(kind)
    options = {"go_backwards": backwards, "return_sequences": True}
    plain, _ = run(kind, x, *w, **options)
    masked, _ = run(kind, x, *w, mask=mask, **options)
    zeroed, _ = run(kind, x, *w, mask=mask, zero_output_for_mask=True, **options)
    for row in range(B):
        walked = x[row][::-1] if backwards else x[row]
        kept = mask[row][::-1] if backwards else mask[row]
        np.testing.assert_allclose(plain.numpy()[row], one_sequence(kind, walked, *w)[0], rtol=1e-12)
        steps = iter(one_sequence(kind, walked[kept], *w)[0])
        held, expected, zeros = np.zeros(H), [], []
        for keep in kept:
            held = next(steps) if keep else held
            expected.append(held)
            zeros.append(held if keep else 0 * held)
        np.testing.assert_allclose(masked.numpy()[row], expected, rtol=1e-12)
        np.testing.assert_allclose(zeroed.numpy()[row], zeros, rtol=1e-12)


@pytest.mark.parametrize("kind", GATES)
def test_what_stands_in_masked_steps_never_matters(kind: str) -> None:
    """Neither for the result nor for any gradient, to the bit; not even infinities matter to the result."""
    x, mask = inputs("float32")
    w = [lamina.tensor(a) for a in weights(kind, "float32")]

    @lamina.function
    def gradients(*given: Any) -> Any:
        with lamina.GradientTape() as tape:
            tape.watch(given)
            loss = (run(kind, *given, mask=lamina.tensor(mask))[0] ** 2).sum()
        return [loss, *tape.gradient(loss, list(given))]

    other = np.where(mask[..., None], x, np.float32(7.0))
    for a, b in zip(gradients(lamina.tensor(x), *w), gradients(lamina.tensor(other), *w), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert not gradients(lamina.tensor(x), *w)[1].numpy()[~mask].any()
    infinite = np.where(mask[..., None], x, np.float32(np.inf))
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(
            run(kind, infinite, *w, mask=mask)[0].numpy(), run(kind, x, *w, mask=mask)[0].numpy()
        )


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", GATES)
def test_gradients_against_differences_eagerly_and_compiled(kind: str, masked: bool) -> None:
    x, mask = inputs()
    rng = np.random.default_rng(5)
    sources = [x, *weights(kind), *[rng.normal(size=(B, H)) for _ in range(2 if kind == "lstm" else 1)]]
    options: dict[str, Any] = {"return_sequences": True, "mask": mask if masked else None}
    projection = rng.normal(size=(B, T, H))

    def loss(*given: Any) -> Any:
        output, states = run(kind, *given[:4], initial_state=list(given[4:]), **options)
        return (output * projection).sum() + sum((s * s).sum() for s in states)

    def gradients(*given: Any) -> Any:
        with lamina.GradientTape() as tape:
            tape.watch(given)
            value = loss(*given)
        return tape.gradient(value, list(given))

    directions = [rng.normal(size=a.shape) for a in sources]
    step = 1e-6
    moved = [loss(*[lamina.tensor(a + s * d) for a, d in zip(sources, directions, strict=True)]) for s in (step, -step)]
    measured = (moved[0].item() - moved[1].item()) / (2 * step)
    tensors = [lamina.tensor(a) for a in sources]
    for found in (gradients(*tensors), lamina.function(gradients)(*tensors)):
        exact = sum(float((g.numpy() * d).sum()) for g, d in zip(found, directions, strict=True))
        assert measured == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("kind", GATES)
def test_compiled_equals_eager(kind: str, sequences: bool, masked: bool, backwards: bool) -> None:
    x, mask = inputs("float32")
    w = [lamina.tensor(a) for a in weights(kind, "float32")]
    options: dict[str, Any] = {"return_sequences": sequences, "go_backwards": backwards}

    def all_of(x: Any, mask: Any, *w: Any) -> Any:
        output, states = run(kind, x, *w, mask=mask if masked else None, **options)
        return [output, *states]

    given = [lamina.tensor(x), lamina.tensor(mask), *w]
    for a, b in zip(lamina.function(all_of)(*given), all_of(*given), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-6, atol=1e-6)


def test_against_pytorch() -> None:
    torch = pytest.importorskip("torch")
    x, _ = inputs()
    for kind, cls, order in (
        ("simple_rnn", torch.nn.RNN, [0]),
        ("lstm", torch.nn.LSTM, [0, 1, 2, 3]),
        ("gru", torch.nn.GRU, [1, 0, 2]),  # PyTorch has the reset gate first
    ):
        w, u, b = weights(kind)

        def ours_to_theirs(a: np.ndarray, order: list[int] = order) -> Any:
            parts = np.split(a, len(order), axis=-1)
            return torch.from_numpy(np.concatenate([parts[i] for i in order], axis=-1).T.copy())

        net = cls(F, H, batch_first=True, dtype=torch.float64)
        both = b if kind == "gru" else np.stack([b, np.zeros_like(b)])
        with torch.no_grad():
            net.weight_ih_l0.copy_(ours_to_theirs(w))
            net.weight_hh_l0.copy_(ours_to_theirs(u))
            net.bias_ih_l0.copy_(ours_to_theirs(both[0]))
            net.bias_hh_l0.copy_(ours_to_theirs(both[1]))
            expected = net(torch.from_numpy(x))[0].numpy()
        found = run(kind, x, w, u, b, return_sequences=True)[0].numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_the_loop_holds_only_what_depends_on_the_state() -> None:
    """The product of the inputs is one contraction before it, and nothing is returned that nobody asked for."""
    x, _ = inputs("float32")
    w = [lamina.tensor(a) for a in weights("lstm", "float32")]
    graph = lamina.function(lambda x, *w: nn.lstm(x, *w)[0]).graph(lamina.tensor(x), *w)
    (loop,) = [n for n in graph.nodes if n.primitive.name == "scan"]
    assert [n.primitive.name for n in graph.nodes].count("matmul") == 1
    body = loop.params["body"]
    assert [n.primitive.name for n in body.nodes].count("matmul") == 1
    assert len(body.outputs) == 2  # h and c are carried; there is no third


def test_edge_sizes() -> None:
    w = weights("lstm", "float32")
    assert nn.lstm(np.zeros((0, T, F), np.float32), *w)[0].shape == (0, H)
    output, states = nn.lstm(np.zeros((2, 0, F), np.float32), *w, initial_state=[np.ones((2, H)), np.ones((2, H))])
    assert output.tolist() == states[0].tolist() == [[1.0] * H] * 2
    assert nn.lstm(np.zeros((2, 0, F), np.float32), *w, return_sequences=True)[0].shape == (2, 0, H)
    assert nn.lstm(np.zeros((2, 1, F), np.float32), *w, return_sequences=True)[0].shape == (2, 1, H)


def test_shapes_that_do_not_agree_are_named() -> None:
    x, mask = inputs("float32")
    w = weights("lstm", "float32")
    with pytest.raises(ShapeError, match="lstm takes x of shape"):
        nn.lstm(x[0], *w)
    with pytest.raises(ShapeError, match="4 \\* units"):
        nn.lstm(x, *weights("gru", "float32"))
    with pytest.raises(ShapeError, match="2 initial states of shape"):
        nn.lstm(x, *w, initial_state=np.zeros((B, H), np.float32))
    with pytest.raises(ShapeError, match="mask of shape"):
        nn.lstm(x, *w, mask=mask[:, :3])
    with pytest.raises(ShapeError, match="reset_after"):
        nn.gru(x, *weights("gru-before", "float32"))
