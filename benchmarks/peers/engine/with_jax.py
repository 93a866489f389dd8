"""JAX with Optax: jitted steps, convolutions of channels-last images by ``lax``, LSTMs by ``lax.scan``."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from benchmarks import engine
from benchmarks.peers import Measurement, per_call, timed

Model = tuple[Any, Any, Callable[..., Any]]  # parameters, moving statistics, function of both and the input


def _wait(call: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: jax.block_until_ready(call())


def convolution(seconds: float, **case: Any) -> tuple[Measurement, dict[str, Any]]:
    """A convolution and its two gradients, each jitted."""
    work = engine.Convolution(**case)
    x, w, ct = map(jnp.asarray, work.arrays())

    def conv(x: Any, w: Any) -> Any:
        sides = [(work.padding, work.padding)] * 2
        return _conv(x, w, work.stride, sides, work.groups)

    forward = jax.jit(conv)
    input_gradient = jax.jit(lambda x, w, ct: jax.vjp(lambda v: conv(v, w), x)[1](ct))
    kernel_gradient = jax.jit(lambda x, w, ct: jax.vjp(lambda v: conv(x, v), w)[1](ct))
    calls = {
        "forward": _wait(lambda: forward(x, w)),
        "input": _wait(lambda: input_gradient(x, w, ct)),
        "kernel": _wait(lambda: kernel_gradient(x, w, ct)),
    }
    for call in calls.values():
        call()

    def run() -> dict[str, Any]:
        found = {name: per_call(call, seconds) for name, call in calls.items()}
        return {**found, "seconds": sum(found.values())}

    return run, {}


def _conv(x: Any, w: Any, stride: int = 1, padding: Any = "SAME", groups: int = 1) -> Any:
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, w, (stride, stride), padding, dimension_numbers=layout, feature_group_count=groups
    )


def _pool(x: Any) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def _kernel(rng: np.random.Generator, *shape: int, glorot: bool = True) -> Any:
    """Glorot's uniform weights, or He's normal ones."""
    inputs, outputs = np.prod(shape[:-1]), np.prod(shape[:-2]) * shape[-1]
    if glorot:
        return jnp.asarray(rng.uniform(-1, 1, shape) * np.sqrt(6 / (inputs + outputs)), jnp.float32)
    return jnp.asarray(rng.normal(0, np.sqrt(2 / inputs), shape), jnp.float32)


# --- networks: parameters and a function of them --------------------------------------------------
def _plain(widths: tuple[tuple[int, ...], ...], size: int, hidden: int, kernel: int, channels: int) -> Model:
    """Groups of convolutions with a pooling after each group, then two dense layers."""
    rng = np.random.default_rng(engine.SEED)
    parameters: dict[str, Any] = {}
    inputs = channels
    for i, group in enumerate(widths):
        size //= 2
        for j, filters in enumerate(group):
            parameters[f"conv{i}{j}"] = (_kernel(rng, kernel, kernel, inputs, filters), jnp.zeros(filters))
            inputs = filters
    sizes = (size * size * inputs, hidden, engine.CLASSES)
    for i in range(2):
        parameters[f"dense{i}"] = (_kernel(rng, *sizes[i : i + 2]), jnp.zeros(sizes[i + 1]))

    def apply(p: Any, statistics: Any, x: Any, training: bool) -> tuple[Any, Any]:
        for i, group in enumerate(widths):
            for j in range(len(group)):
                w, b = p[f"conv{i}{j}"]
                x = jax.nn.relu(_conv(x, w) + b)
            x = _pool(x)
        x = x.reshape(len(x), -1)
        x = jax.nn.relu(x @ p["dense0"][0] + p["dense0"][1])
        return x @ p["dense1"][0] + p["dense1"][1], statistics

    return parameters, {}, apply


def _resnet18() -> Model:
    rng = np.random.default_rng(engine.SEED)
    parameters: dict[str, Any] = {}
    statistics: dict[str, Any] = {}
    plan: list[tuple[str, int, bool]] = []

    def add(name: str, size: int, inputs: int, filters: int) -> None:
        kernel = _kernel(rng, size, size, inputs, filters, glorot=False)
        parameters[name] = (kernel, jnp.ones(filters), jnp.zeros(filters))
        statistics[name] = (jnp.zeros(filters), jnp.ones(filters))

    add("stem", 3, 3, 64)
    inputs = 64
    for stage, filters in enumerate((64, 128, 256, 512)):
        for block in range(2):
            name, stride = f"block{stage}{block}", 2 if stage and not block else 1
            add(f"{name}a", 3, inputs, filters)
            add(f"{name}b", 3, filters, filters)
            if stride > 1:
                add(f"{name}s", 1, inputs, filters)
            plan.append((name, stride, stride > 1))
            inputs = filters
    parameters["head"] = (_kernel(rng, 512, engine.CLASSES), jnp.zeros(engine.CLASSES))

    def apply(p: Any, moving: Any, x: Any, training: bool) -> tuple[Any, Any]:
        kept = {}

        def norm(name: str, x: Any, stride: int = 1) -> Any:
            w, gamma, beta = p[name]
            x = _conv(x, w, stride)
            if training:
                mean = x.mean((0, 1, 2))
                variance = jnp.maximum(0.0, (x * x).mean((0, 1, 2)) - mean * mean)  # as Flax does
                old = moving[name]
                kept[name] = (0.9 * old[0] + 0.1 * mean, 0.9 * old[1] + 0.1 * variance)
            else:
                mean, variance = moving[name]
            return (x - mean) * (lax.rsqrt(variance + 1e-5) * gamma) + beta

        x = jax.nn.relu(norm("stem", x))
        for name, stride, projected in plan:
            y = jax.nn.relu(norm(f"{name}a", x, stride))
            y = norm(f"{name}b", y)
            x = jax.nn.relu((norm(f"{name}s", x, stride) if projected else x) + y)
        w, b = p["head"]
        return x.mean((1, 2)) @ w + b, kept

    return parameters, statistics, apply


BUILDERS: dict[str, Callable[[], Model]] = {
    "lenet": lambda: _plain(((32,), (64,)), 28, 128, 5, 1),
    "vgg": lambda: _plain(((64, 64), (128, 128)), 32, 256, 3, 3),
    "resnet18": _resnet18,
}


def _picture_step(network: str) -> tuple[Any, Any]:
    """The jitted training step, which takes its rows from all the data, and the first state."""
    parameters, statistics, apply = BUILDERS[network]()
    optimizer = optax.adam(engine.LEARNING_RATE, eps=1e-7)

    def loss_of(p: Any, moving: Any, x: Any, y: Any) -> tuple[Any, Any]:
        logits, moving = apply(p, moving, x, True)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), moving

    @partial(jax.jit, donate_argnums=0)
    def step(state: Any, x: Any, y: Any, rows: Any) -> tuple[Any, Any]:
        p, moving, slots = state
        x, y = x.at[rows].get(mode="clip"), y.at[rows].get(mode="clip")
        (loss, moving), gradients = jax.value_and_grad(loss_of, has_aux=True)(p, moving, x, y)
        updates, slots = optimizer.update(gradients, slots, p)
        return (optax.apply_updates(p, updates), moving, slots), loss

    return step, (parameters, statistics, optimizer.init(parameters))


def pictures(trial: bool, **case: Any) -> tuple[Measurement, dict[str, Any]]:
    """Epochs of jitted steps."""
    work = engine.Pictures(**case)
    x, y = map(jnp.asarray, work.data())
    step, state = _picture_step(work.network)
    rng = np.random.default_rng(0)
    weights = sum(p.size for p in jax.tree.leaves(state[0]))

    def epoch() -> float:
        nonlocal state
        order = rng.permutation(work.rows).astype(np.int32).reshape(-1, work.batch)
        losses = []
        for rows in order:
            state, loss = step(state, x, y, rows)
            losses.append(loss)
        return float(jnp.stack(losses).mean())

    loss = epoch()

    return timed(epoch), {"loss": loss, "weights": weights}


# --- sequences ------------------------------------------------------------------------------------
def _lstm_weights(inputs: int, hidden: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(engine.SEED)
    shapes = ((inputs, 4 * hidden), (hidden, 4 * hidden))
    w, u = (jnp.asarray(rng.uniform(-1, 1, s) / np.sqrt(hidden), jnp.float32) for s in shapes)
    return w, u, jnp.zeros(4 * hidden)


def _lstm(weights: Any, x: Any, every: bool) -> Any:
    """All states (batch, steps, hidden), or the last one; the inputs of all steps in one product."""
    w, u, b = weights
    gates = jnp.swapaxes(x, 0, 1) @ w + b

    def body(state: Any, given: Any) -> tuple[Any, Any]:
        h, c = state
        i, f, g, o = jnp.split(given + h @ u, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h if every else None

    zeros = jnp.zeros((x.shape[0], u.shape[0]))
    (last, _), states = lax.scan(body, (zeros, zeros), gates)
    return jnp.swapaxes(states, 0, 1) if every else last


def recurrence(seconds: float, **case: Any) -> tuple[Measurement, dict[str, Any]]:
    """A scan with the gradients of its input and weights, jitted."""
    work = engine.Recurrence(**case)
    x, ct = map(jnp.asarray, work.arrays())
    weights = _lstm_weights(work.inputs, work.hidden)

    @jax.jit
    def gradients(weights: Any, x: Any, ct: Any) -> Any:
        out, pull = jax.vjp(lambda p, v: _lstm(p, v, True), weights, x)
        return out, pull(ct)

    call = _wait(lambda: gradients(weights, x, ct))
    call()
    return lambda: {"seconds": per_call(call, seconds)}, {}


def sentences(rows: int, trial: bool) -> tuple[Measurement, dict[str, Any]]:
    """Whole epochs in one jitted scan over shuffled batches."""
    x, y = map(jnp.asarray, engine.sentences(rows))
    optimizer = optax.rmsprop(engine.LEARNING_RATE, 0.9, 1e-7)
    rng = np.random.default_rng(engine.SEED)
    parameters = {
        "embedding": jnp.asarray(rng.uniform(-0.05, 0.05, (engine.WORDS, engine.WIDTH)), jnp.float32),
        "lstm": _lstm_weights(engine.WIDTH, engine.HIDDEN),
        "head": (_kernel(rng, engine.HIDDEN, 1), jnp.zeros(1)),
    }
    state = (parameters, optimizer.init(parameters))
    weights = sum(p.size for p in jax.tree.leaves(parameters))

    def loss_of(p: Any, x: Any, y: Any) -> Any:
        last = _lstm(p["lstm"], p["embedding"].at[x].get(mode="clip"), False)
        return optax.sigmoid_binary_cross_entropy(last @ p["head"][0] + p["head"][1], y).mean()

    @partial(jax.jit, donate_argnums=0)
    def epoch(state: Any, x: Any, y: Any, order: Any) -> tuple[Any, Any]:
        def body(state: Any, rows: Any) -> tuple[Any, Any]:
            p, slots = state
            loss, gradients = jax.value_and_grad(loss_of)(p, x[rows], y[rows])
            updates, slots = optimizer.update(gradients, slots, p)
            return (optax.apply_updates(p, updates), slots), loss

        state, losses = lax.scan(body, state, order)
        return state, losses.mean()

    def once() -> float:
        nonlocal state
        order = rng.permutation(rows).astype(np.int32).reshape(-1, engine.SENTENCE_BATCH)
        state, loss = epoch(state, x, y, order)
        return float(loss)

    loss = once()

    return timed(once), {"loss": loss, "weights": weights}


def attention(seconds: float, **case: Any) -> tuple[Measurement, dict[str, Any]]:
    """The formula as it stands and three gradients, jitted; faster here than ``jax.nn.dot_product_attention``."""
    q, k, v, ct = map(jnp.asarray, engine.Attention(**case).arrays())

    def formula(q: Any, k: Any, v: Any) -> Any:
        return jax.nn.softmax(q @ jnp.swapaxes(k, -1, -2) * q.shape[-1] ** -0.5) @ v

    @jax.jit
    def gradients(q: Any, k: Any, v: Any, ct: Any) -> Any:
        out, pull = jax.vjp(formula, q, k, v)
        return out, pull(ct)

    call = _wait(lambda: gradients(q, k, v, ct))
    call()
    return lambda: {"seconds": per_call(call, seconds)}, {}


def predict(network: str, seconds: float) -> tuple[Measurement, dict[str, Any]]:
    """A jitted function of a NumPy array, whose result is one again."""
    x = engine.pictures(network).smaller().data()[0][:1]
    parameters, statistics, apply = BUILDERS[network]()
    function = jax.jit(lambda p, s, x: jax.nn.softmax(apply(p, s, x, False)[0]))
    return lambda: {"seconds": per_call(lambda: np.asarray(function(parameters, statistics, x)), seconds)}, {}


def first_step(x: np.ndarray, y: np.ndarray, form: str) -> tuple[float, Callable[[], Any]]:
    """Seconds of the first step of a new ResNet-18, and what trains one more step."""
    step, state = _picture_step("resnet18")
    started = time.perf_counter()
    rows = np.arange(engine.pictures("resnet18").batch, dtype=np.int32)
    xs, ys = jnp.asarray(x), jnp.asarray(y)

    def again() -> float:
        nonlocal state
        state, loss = step(state, xs, ys, rows)
        return float(loss)

    again()
    return time.perf_counter() - started, again
