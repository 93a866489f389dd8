"""Random numbers: known answers, distributions, state, and the same bits on every backend."""

from __future__ import annotations

import random as of_python

import numpy as np
import pytest
from scipy import special, stats

import lamina
from lamina import random
from lamina.ops.random import NUMPY, exact_log, normal_tail, philox

DRAWS = np.random.default_rng(0)

BACKENDS = ["eager", "native"]

# Random123's known-answer tests (kat_vectors, philox4x32 with 10 rounds).
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_philox_gives_the_published_words(counter, key, answer):
    words = philox(NUMPY, [np.uint64(c) for c in counter], [np.uint64(k) for k in key])
    assert tuple(int(w) for w in words) == answer


def test_bits_are_philox_of_the_flat_index_and_the_counter():
    drawn = random.bits((3, 4), key=random.key(5 + (7 << 32))).numpy()
    expected = philox(NUMPY, [np.uint64(6), np.uint64(0), np.uint64(0), np.uint64(0)], [np.uint64(5), np.uint64(7)])
    assert drawn[1, 2] == int(expected[0])


@pytest.mark.parametrize(("dtype", "smallest", "ulp"), [("float32", 2.0**-33, 2.0), ("float64", 2.0**-65, 2.0)])
def test_exact_log_is_within_two_ulp(rng, dtype, smallest, ulp):
    dtype = np.dtype(dtype)
    x = np.exp(rng.uniform(np.log(smallest), 0.7, 100_000)).astype(dtype)
    exact = np.log(x.astype(np.longdouble))
    assert np.max(np.abs(exact_log(NUMPY, x, dtype) - exact) / np.spacing(np.abs(exact).astype(dtype))) < ulp


@pytest.mark.parametrize(("dtype", "smallest", "error"), [("float32", 2.0**-33, 5e-7), ("float64", 2.0**-65, 2e-15)])
def test_inverse_normal_has_the_stated_accuracy(rng, dtype, smallest, error):
    dtype = np.dtype(dtype)
    p = np.minimum(np.exp(rng.uniform(np.log(smallest), np.log(0.499), 100_000)).astype(dtype), dtype.type(0.499))
    exact = -special.ndtri(p.astype(np.float64))
    np.testing.assert_allclose(normal_tail(NUMPY, p, dtype), exact, rtol=error)


# name, call, distribution function of scipy
DISTRIBUTIONS = {
    "uniform": (lambda n, k, d: random.uniform(n, -1.0, 3.0, d, k), stats.uniform(-1, 4).cdf),
    "normal": (lambda n, k, d: random.normal(n, 1.0, 2.0, d, k), stats.norm(1, 2).cdf),
    "truncated_normal": (lambda n, k, d: random.truncated_normal(n, dtype=d, key=k), stats.truncnorm(-2, 2).cdf),
    "exponential": (lambda n, k, d: random.exponential(n, 3.0, d, k), stats.expon(scale=3).cdf),
    "gumbel": (lambda n, k, d: random.gumbel(n, d, k), stats.gumbel_r().cdf),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_numbers_follow_their_distribution(name, dtype):
    draw, cdf = DISTRIBUTIONS[name]
    x = draw((200_000,), 11, dtype).numpy()
    assert x.dtype == dtype
    assert stats.kstest(x.astype(np.float64), cdf).pvalue > 1e-3


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_uniform_stays_below_one(dtype):
    x = random.uniform((500_000,), dtype=dtype, key=2).numpy()
    assert x.min() >= 0
    assert x.max() < 1


@pytest.mark.parametrize(("low", "high"), [(0, 10), (-3, 4), (5, 6), (-(2**63), 2**63), (0, 2**40)])
def test_randint_covers_its_range(low, high):
    x = random.randint((20_000,), low, high, key=3).numpy().astype(object)
    assert min(x) >= low
    assert max(x) < high
    if high - low <= 10:
        counts = np.bincount((x - low).astype(int), minlength=high - low)
        assert stats.chisquare(counts).pvalue > 1e-3 if high - low > 1 else counts[0] == 20_000
    else:
        middle = (high + low) // 2
        assert abs(sum(v < middle for v in x) / 20_000 - 0.5) < 0.02


def test_bernoulli_and_categorical_have_their_probabilities():
    assert abs(random.bernoulli((200_000,), 0.3, key=1).numpy().mean() - 0.3) < 0.005
    assert random.bernoulli((100,), 1.0, key=1).numpy().all()
    assert not random.bernoulli((100,), 0.0, key=1).numpy().any()
    p = np.array([0.1, 0.2, 0.7])
    drawn = random.categorical(np.log(p), (100_000,), key=4).numpy()
    np.testing.assert_allclose(np.bincount(drawn) / 100_000, p, atol=0.01)


def test_permutation_and_shuffle_are_orders_of_all_elements():
    assert sorted(random.permutation(1000, key=1).tolist()) == list(range(1000))
    assert sorted(random.permutation(70_000, key=1).tolist()) == list(range(70_000))
    x = np.arange(12.0).reshape(3, 4)
    shuffled = random.shuffle(x, axis=1, key=2).numpy()
    assert not np.array_equal(shuffled, x)
    np.testing.assert_array_equal(np.sort(shuffled, axis=1), x)
    # Each of the six orders of three elements comes up as often as the others.
    orders = [tuple(random.permutation(3, key=k).tolist()) for k in range(1200)]
    counts = [orders.count(o) for o in set(orders)]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


def test_dropout_keeps_the_mean_and_zeroes_the_rate():
    y = random.dropout(np.ones((1000, 100), np.float32), 0.25, key=1).numpy()
    assert abs((y == 0).mean() - 0.25) < 0.01
    np.testing.assert_array_equal(np.unique(y), np.array([0, 4 / 3], np.float32))
    y = random.dropout(np.ones((10, 5), np.float32), 0.5, noise_shape=(None, 1), key=1).numpy()
    assert (y == y[:, :1]).all()


def test_keys_split_into_different_streams():
    keys = random.split(random.key(0), 4)
    draws = [random.normal((1000,), key=k).numpy() for k in (*keys, random.key(0), random.fold_in(random.key(0), 1))]
    correlations = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlations).max() < 0.15
    np.testing.assert_array_equal(random.split(random.key(0), 4).numpy(), keys.numpy())


def test_the_seed_decides_and_draws_differ():
    lamina.random.seed(3)
    a, b = random.normal((5,)).numpy(), random.normal((5,)).numpy()
    lamina.random.seed(3)
    np.testing.assert_array_equal(random.normal((5,)).numpy(), a)
    np.testing.assert_array_equal(random.normal((5,)).numpy(), b)
    assert not np.array_equal(a, b)


def draw_everything(key):
    """One draw of each kind."""
    return {
        "bits": random.bits((3, 5), key=key),
        "uniform": random.uniform((1000,), key=key),
        "uniform between": random.uniform((10, 7), -1.0, 2.5, key=key),
        "uniform16": random.uniform((33,), dtype="float16", key=key),
        "uniform64": random.uniform((101,), dtype="float64", key=key),
        "normal": random.normal((1001,), 1.5, 0.3, key=key),
        "normal64": random.normal((1000,), dtype="float64", key=key),
        "normal 3-d": random.normal((2, 3, 5), key=key),
        "normal scalar": random.normal((), key=key),
        "truncated": random.truncated_normal((999,), key=key),
        "exponential": random.exponential((1000,), key=key),
        "gumbel": random.gumbel((1000,), key=key),
        "gumbel64": random.gumbel((1000,), "float64", key=key),
        "randint": random.randint((100,), 0, 10, key=key),
        "randint wide": random.randint((100,), -5, 2**40, key=key),
        "bernoulli": random.bernoulli((100,), 0.3, key=key),
        "permutation": random.permutation(100, key=key),
        "categorical": random.categorical(np.zeros((50, 4), np.float32), key=key),
        "split": random.split(key, 3),
        "fold_in": random.fold_in(key, 9),
        "dropout": random.dropout(np.ones((50,), np.float32), 0.5, key=key),
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_compiled_numbers_are_the_eager_ones_to_the_bit(backend):
    key = random.key(2**40 + 17)
    eager = draw_everything(key)
    compiled = lamina.function(draw_everything, backend=backend)(key)
    for name, value in eager.items():
        np.testing.assert_array_equal(compiled[name].numpy(), value.numpy(), err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_compiled_function_advances_the_default_generator(backend):
    def draw(x):
        return x + random.normal((4,)), random.uniform((2,))

    compiled = lamina.function(draw, backend=backend)
    x = np.zeros(4, np.float32)
    lamina.random.seed(1)
    eager = [draw(x) for _ in range(3)]
    lamina.random.seed(1)
    for (a, b), (c, d) in zip(eager, [compiled(x) for _ in range(3)], strict=True):
        np.testing.assert_array_equal(a.numpy(), c.numpy())
        np.testing.assert_array_equal(b.numpy(), d.numpy())
    assert len(compiled.captures) == 1


def test_generators_are_independent_and_restorable():
    g = random.Generator(seed=5)
    random.normal((3,), key=g)
    saved = [v.numpy() for v in g.variables]
    a = random.normal((3,), key=g).numpy()
    for variable, value in zip(g.variables, saved, strict=True):
        variable.assign(value)
    np.testing.assert_array_equal(random.normal((3,), key=g).numpy(), a)
    lamina.random.seed(9)
    first = random.Generator(), random.Generator()
    assert first[0].initial_seed != first[1].initial_seed
    lamina.random.seed(9)
    assert random.Generator().initial_seed == first[0].initial_seed


def test_drawing_inside_a_loop_body_says_what_to_do():
    @lamina.function(backend="eager")
    def walk(x):
        return lamina.scan(lambda c, x: (c + random.normal(()), c), 0.0, x)

    with pytest.raises(lamina.CaptureError, match="split one key before the loop"):
        walk(np.zeros(3, np.float32))


def test_loop_bodies_draw_from_keys(rng):
    @lamina.function(backend="eager")
    def walk(keys):
        return lamina.map(lambda k: random.normal((2,), key=k), keys)

    keys = random.split(random.key(0), 3)
    expected = np.stack([random.normal((2,), key=k).numpy() for k in keys])
    np.testing.assert_array_equal(walk(keys).numpy(), expected)


def test_gradients_reach_mean_and_stddev():
    z = random.normal((6,), key=1).numpy()
    slope = lamina.grad(lambda m, s: lamina.sum(random.normal((6,), m, s, key=1)), argnums=(0, 1))
    mean, stddev = slope(0.5, 2.0)
    assert mean.item() == 6.0
    np.testing.assert_allclose(stddev.item(), z.sum(), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: random.key(1.5), lamina.DTypeError, "seed is an int"),
        (lambda: random.normal((2,), key=np.zeros(3)), lamina.DTypeError, "key= takes a key"),
        (lambda: random.normal((2,), dtype="int32"), lamina.DTypeError, "randint"),
        (lambda: random.randint((2,), 5, 5), lamina.ArgumentError, "low < high"),
        (lambda: random.randint((2,), 0, 300, dtype="uint8"), lamina.ArgumentError, "within uint8"),
        (lambda: random.bernoulli((2,), 1.5), lamina.ArgumentError, "probability"),
        (lambda: random.dropout(np.ones(2, np.float32), 1.5), lamina.ArgumentError, "rate"),
        (lambda: random.permutation(np.ones(2), axis=1), lamina.ArgumentError, "axis 1"),
        (lambda: random.categorical(np.ones(2, np.int32)), lamina.ShapeError, "logits"),
        (lambda: random.fold_in(random.key(0), -1), lamina.ArgumentError, "fold_in"),
    ],
)
def test_bad_arguments_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("turn", range(2))
def test_every_test_draws_the_same(turn):
    """Whoever forgets a seed in a test, and whichever test ran before: see ``conftest.py``."""
    assert np.random.random() == np.random.RandomState(0).random()
    assert of_python.random() == of_python.Random(0).random()
    drawn = lamina.random.normal((3,)).tolist()
    lamina.random.seed(0)
    assert drawn == lamina.random.normal((3,)).tolist()
    assert DRAWS.random() == np.random.default_rng(0).random()
