"""JAX with Optax: a whole epoch in one compiled scan over shuffled batches, with donated parameters."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import work
from benchmarks.peers import Measurement, per_call


def build(network: work.Network, folder: str) -> tuple[Any, Any]:
    """The function of one epoch, jitted, and the first state."""
    if network.optimizer == "adam":
        optimizer = optax.adam(work.LEARNING_RATE, eps=work.EPSILON)
    else:
        optimizer = optax.rmsprop(work.LEARNING_RATE, work.RHO, work.EPSILON)

    def loss_of(parameters: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        for i, (w, b) in enumerate(parameters):
            x = x @ w + b
            if i < len(parameters) - 1:
                x = jax.nn.relu(x)
        if network.loss == "classes":
            return optax.softmax_cross_entropy_with_integer_labels(x, y).mean()
        return optax.sigmoid_binary_cross_entropy(x, y).mean()

    def step(state: Any, x: jax.Array, y: jax.Array) -> tuple[Any, jax.Array]:
        parameters, slots = state
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
        updates, slots = optimizer.update(gradients, slots, parameters)
        return (optax.apply_updates(parameters, updates), slots), loss

    @partial(jax.jit, donate_argnums=0)
    def epoch(state: Any, x: jax.Array, y: jax.Array, order: jax.Array) -> tuple[Any, jax.Array]:
        whole = len(order) - len(order) % network.batch

        def body(state: Any, rows: jax.Array) -> tuple[Any, jax.Array]:
            # The rows are a permutation: no check of their range is needed.
            take = partial(jnp.take, indices=rows, axis=0, mode="clip", unique_indices=True)
            return step(state, take(x), take(y))

        state, losses = jax.lax.scan(body, state, order[:whole].reshape(-1, network.batch))
        total = losses.sum() * network.batch
        if whole < len(order):
            state, loss = body(state, order[whole:])
            total += loss * (len(order) - whole)
        return state, total / len(order)

    parameters = [(jnp.asarray(w), jnp.zeros(w.shape[1])) for w in work.read_weights(folder)]
    return epoch, (parameters, optimizer.init(parameters))


def training(network: dict[str, Any], folder: str) -> tuple[Measurement, dict[str, Any]]:
    """Epochs of the scan."""
    net = work.from_json(network)
    x, y = (jnp.asarray(a) for a in work.read_data(folder))
    epoch, state = build(net, folder)
    rng = np.random.default_rng(0)
    state, loss = epoch(state, x, y, rng.permutation(net.rows).astype(np.int32))
    first = float(loss)

    def run() -> dict[str, Any]:
        nonlocal state
        started = time.perf_counter()
        for _ in range(net.epochs):
            state, loss = epoch(state, x, y, rng.permutation(net.rows).astype(np.int32))
            float(loss)
        return {"seconds": (time.perf_counter() - started) / net.epochs}

    return run, {"loss": first, "how": "lax.scan"}


def matmul(sizes: list[int], seconds: float) -> tuple[Measurement, dict[str, Any]]:
    """Products of square matrices."""
    rng = np.random.default_rng(0)
    pairs = {n: [jnp.asarray(rng.standard_normal((n, n), np.float32)) for _ in range(2)] for n in sizes}
    product = jax.jit(jnp.matmul)

    def run() -> dict[str, Any]:
        found = {}
        for n, (a, b) in pairs.items():
            found[str(n)] = per_call(lambda a=a, b=b: product(a, b).block_until_ready(), seconds)
        return found

    return run, {}


def eager(size: int, seconds: float) -> tuple[Measurement, dict[str, Any]]:
    """A sum of two small matrices; a product, tanh and sum with the gradients of both matrices, compiled."""
    rng = np.random.default_rng(0)
    a, b = (jnp.asarray(rng.standard_normal((size, size), np.float32)) for _ in range(2))
    gradients = jax.jit(jax.grad(lambda v, w: jnp.tanh(v @ w).sum(), argnums=(0, 1)))

    def run() -> dict[str, Any]:
        return {
            "add": per_call(lambda: a + b, seconds, jax.block_until_ready),
            "gradient": per_call(lambda: gradients(a, b), seconds, jax.block_until_ready),
        }

    return run, {}


def first_step(network: work.Network, folder: str, x: np.ndarray, y: np.ndarray) -> float:
    """Seconds from the first call to the end of a first epoch that has one step."""
    epoch, state = build(network, folder)
    started = time.perf_counter()
    order = np.random.default_rng(0).permutation(len(x))[: network.batch]
    float(epoch(state, jnp.asarray(x), jnp.asarray(y), order.astype(np.int32))[1])
    return time.perf_counter() - started


def epochs(network: work.Network, folder: str, x: np.ndarray, y: np.ndarray) -> None:
    """Two epochs, for the memory that they take."""
    epoch, state = build(network, folder)
    xs, ys = jnp.asarray(x), jnp.asarray(y)
    for _ in range(2):
        order = np.random.default_rng(0).permutation(len(x)).astype(np.int32)
        state, loss = epoch(state, xs, ys, order)
        float(loss)
