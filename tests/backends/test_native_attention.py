"""The attention kernels: against the formula in float64, PyTorch, themselves on more threads; their memory."""

from __future__ import annotations

import numpy as np
import pytest
from op_table.attention import attention

import lamina
from lamina import nn, ops
from lamina.backends.native import target as targets
from lamina.backends.native.program import NativeExecutable
from lamina.backends.native.threads import set_num_threads
from lamina.core.errors import ArgumentError, DTypeError, ShapeError
from lamina.core.primitive import Spec
from lamina.graph.capture import capture_graph

LEVELS = {"avx512": ("avx512", "avx2", "sse"), "avx2": ("avx2", "sse"), "sse": ("sse",), "neon": ("neon",)}


def with_gradients(causal=False, scale=None):
    """A function of query, key, value, the output's cotangent and perhaps a mask: output and three gradients."""

    def function(q, k, v, ct, *mask):
        with lamina.GradientTape() as tape:
            tape.watch([q, k, v])
            out = nn.scaled_dot_product_attention(q, k, v, *mask, causal=causal, scale=scale)
        return (out, *tape.gradient(out, [q, k, v], ct))

    return function


def compiled(function, arrays, target=None):
    graph, _ = capture_graph(function, [Spec(a.shape, a.dtype) for a in arrays])
    executable = NativeExecutable(graph, target)
    assert sum(g.kind == "attention" for g in executable.groups.values()) == 2
    assert not any(g.kind == "opaque" for g in executable.groups.values())
    return executable


def generated(rng, i):
    """Sizes of query (b, h, t, d), key and value (b, g, s, d and e): 1, primes, multiples of lanes and others."""
    lengths = (1, 2, 5, 13, 16, 17, 31, 32, 33, 64, 67, 127, 130, 257)
    sizes = (1, 2, 3, 7, 8, 15, 16, 17, 32, 33, 64, 80)
    b, g, each = rng.integers(1, 3), rng.integers(1, 3), rng.integers(1, 3)
    t, s = rng.choice(lengths, 2)
    d, e = rng.choice(sizes, 2)
    return (b, g * each, t, d), (b, g, s, d), (b, g, s, e)


def mask_of(kind, rng, q, k):
    full = (q[0], q[1], q[2], k[2])
    if kind == "padding":
        return rng.random((q[0], 1, 1, k[2])) > 0.3
    if kind == "bool":
        return rng.random((*full[:1], 1, *full[2:])) > 0.5
    if kind == "added":
        return rng.normal(size=full[1:])
    if kind == "one":
        return rng.normal(size=(1, 1, q[2], 1))
    return None


@pytest.mark.parametrize("i", range(24))
def test_generated_shapes(i):
    rng = np.random.default_rng(i)
    q, k, v = generated(rng, i)
    dtype = ("float32", "float64")[i % 2]
    causal = bool(i // 2 % 2)
    kind = (None, "padding", "bool", "added", "one")[i % 5]
    arrays = [rng.normal(size=s) for s in (q, k, v, (*q[:-1], v[-1]))]
    mask = mask_of(kind, rng, q, k)
    arrays += [] if mask is None else [mask]
    cast = [a if a.dtype == bool else a.astype(dtype) for a in arrays]
    tensors = [lamina.tensor(a) for a in arrays]  # float64, by the NumPy meaning
    expected = [x.numpy() for x in with_gradients(causal)(*tensors)]
    np.testing.assert_allclose(expected[0], attention(*arrays[:3], *arrays[4:], causal=causal), rtol=1e-10, atol=1e-12)
    got = compiled(with_gradients(causal), cast).run(cast)
    bound = 2e-5 if dtype == "float32" else 1e-12
    for have, want in zip(got, expected, strict=True):
        assert have.dtype == dtype
        np.testing.assert_allclose(have, want, rtol=bound, atol=bound * max(1, np.abs(want).max()))


@pytest.mark.parametrize("name", LEVELS[targets.host().simd])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_vector_width(name, dtype, rng):
    arrays = [rng.normal(size=s).astype(dtype) for s in [(2, 37, 19), (2, 41, 19), (2, 41, 23), (2, 37, 23)]]
    expected = with_gradients(True)(*[lamina.tensor(a.astype("float64")) for a in arrays])
    got = compiled(with_gradients(True), arrays, targets.named(name)).run(arrays)
    bound = 2e-5 if dtype == "float32" else 1e-12
    for have, want in zip(got, expected, strict=True):
        np.testing.assert_allclose(have, want.numpy(), rtol=bound, atol=bound * 8)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("sizes", [(2, 3, 3, 150, 170), (2, 4, 1, 150, 170), (1, 2, 1, 300, 700)])
def test_the_same_bits_on_any_number_of_threads(causal, sizes, rng):
    b, h, g, t, s = sizes
    shapes = [(b, h, t, 40), (b, g, s, 40), (b, g, s, 24), (b, h, t, 24)]
    arrays = [rng.normal(size=s).astype("float32") for s in shapes]
    executable = compiled(with_gradients(causal), arrays)
    assert not executable.serial
    splits = [g.nodes[0].params.get("splits", 1) for g in executable.groups.values() if g.kind == "attention"]
    assert max(splits) == (5 if b == 1 else 1)  # too few heads: ranges of keys are worked on apart
    for have, want in zip(
        executable.run(arrays), with_gradients(causal)(*[lamina.tensor(a) for a in arrays]), strict=True
    ):
        np.testing.assert_allclose(have, want.numpy(), rtol=1e-4, atol=2e-5)
    results = []
    try:
        for threads in (1, 2, 4):
            set_num_threads(threads)
            results.append([x.copy() for x in executable.run(arrays)])
    finally:
        set_num_threads(None)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a.view("u4"), b.view("u4"))


def test_memory_is_linear_in_the_steps():
    """The arena holds a few vectors for each step; the weights of one head would be 256 MiB for 8192 steps."""
    sizes = []
    for heads, steps in ((16, 1024), (16, 8192), (1, 8192)):
        spec = Spec((1, heads, steps, 16), np.dtype("float32"))
        graph, _ = capture_graph(with_gradients(True), [spec] * 4)
        sizes.append(NativeExecutable(graph).schedule.arena_bytes)
    assert sizes[1] <= 8.5 * sizes[0]
    assert sizes[1] < 8 * 16 * 8192 * 16 * 4
    assert sizes[2] < 24 * 8192 * 16 * 4  # the query's gradient comes in 16 parts


def test_operands_are_read_where_they_lie(rng):
    """Heads beside each other in memory, as a layer makes them: no copies but of a last axis with gaps."""

    def function(q, k, v, ct):
        q, k, v, ct = (ops.permute_dims(x, (0, 2, 1, 3)) for x in (q, k, v, ct))
        return with_gradients()(q, k, v, ct)

    arrays = [rng.normal(size=(2, 50, 3, 20)).astype("float32") for _ in range(4)]
    executable = compiled(function, arrays)
    assert sorted(g.kind for g in executable.groups.values()) == ["attention", "attention"]
    expected = function(*[lamina.tensor(a.astype("float64")) for a in arrays])
    for have, want in zip(executable.run(arrays), expected, strict=True):
        np.testing.assert_allclose(have, want.numpy(), rtol=2e-5, atol=2e-5)

    def turned(q, k, v, ct):
        return with_gradients()(*(ops.matrix_transpose(x) for x in (q, k, v, ct)))

    arrays = [rng.normal(size=(2, 20, 50)).astype("float32") for _ in range(4)]
    expected = turned(*[lamina.tensor(a.astype("float64")) for a in arrays])
    for have, want in zip(compiled(turned, arrays).run(arrays), expected, strict=True):
        np.testing.assert_allclose(have, want.numpy(), rtol=2e-5, atol=2e-5)


def test_outputs_are_stored_as_they_are_used(rng):
    """Between the products of a layer of several heads nothing is copied."""

    def function(x, w, u, ct):
        with lamina.GradientTape() as tape:
            tape.watch([w, u])
            heads = ops.permute_dims(ops.reshape(ops.matmul(x, w), (2, 40, 3, 8)), (0, 2, 1, 3))
            out = nn.scaled_dot_product_attention(heads, heads, heads, causal=True)
            y = ops.matmul(ops.reshape(ops.permute_dims(out, (0, 2, 1, 3)), (80, 24)), u)
        return (y, *tape.gradient(y, [w, u], ct))

    arrays = [rng.normal(size=s).astype("float32") for s in [(80, 6), (6, 24), (24, 5), (80, 5)]]
    executable = compiled(function, arrays)
    names = [n.primitive.name for g in executable.groups.values() for n in g.nodes]
    assert "copy" not in names, names
    expected = function(*[lamina.tensor(a.astype("float64")) for a in arrays])
    for have, want in zip(executable.run(arrays), expected, strict=True):
        np.testing.assert_allclose(have, want.numpy(), rtol=1e-4, atol=1e-5 * np.abs(want.numpy()).max())


@pytest.mark.parametrize("value", [-np.inf, -1e9, float(np.finfo("float32").min)])
def test_rows_that_see_nothing(value, rng):
    """-inf hides: such rows give zeros and no gradient.  Large numbers only count: all keys alike."""
    arrays = [rng.normal(size=(1, 20, 4)).astype("float32") for _ in range(4)]
    mask = np.zeros((1, 20, 20), "float32")
    mask[0, 3:5] = value
    got = compiled(with_gradients(), [*arrays, mask]).run([*arrays, mask])
    want = with_gradients()(*[lamina.tensor(a) for a in (*arrays, mask)])
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-4, atol=2e-5)
    if value == -np.inf:
        assert (got[0][0, 3:5] == 0).all() and (got[1][0, 3:5] == 0).all()
    elif value < -1e30:
        np.testing.assert_allclose(got[0][0, 3:5], np.broadcast_to(arrays[2].mean(1), (2, 4)), rtol=1e-5)


def test_nan_and_large_scores(rng):
    q, k, v = (rng.normal(size=(2, 20, 8)).astype("float32") for _ in range(3))
    q[0, 3] = np.nan
    q[1] *= 1e4  # the softmax is a choice of one key
    out = lamina.function(nn.scaled_dot_product_attention)(q, k, v).numpy()
    assert np.isnan(out[0, 3]).all() and np.isfinite(np.delete(out[0], 3, 0)).all()
    best = np.argmax(q[1].astype("float64") @ k[1].T, -1)
    np.testing.assert_allclose(out[1], v[1][best], rtol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_against_pytorch(causal, masked, rng):
    torch = pytest.importorskip("torch")
    if causal and masked:
        causal = False
    arrays = [rng.normal(size=(2, 3, n, 32)).astype("float32") for n in (45, 61, 61, 45)]
    mask = [rng.random((2, 1, 45, 61)) > 0.4] if masked else []
    got = compiled(with_gradients(causal), [*arrays, *mask]).run([*arrays, *mask])
    q, k, v = (torch.tensor(a, requires_grad=True) for a in arrays[:3])
    out = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=torch.tensor(mask[0]) if masked else None, is_causal=causal
    )
    out.backward(torch.tensor(arrays[3]))
    for have, want in zip(got, (out.detach(), q.grad, k.grad, v.grad), strict=True):
        np.testing.assert_allclose(have, want.numpy(), rtol=1e-4, atol=1e-5)


def test_half_precision_computes_in_float32(rng):
    arrays = [rng.normal(size=(2, 20, 16)).astype("float16") for _ in range(4)]
    got = compiled(with_gradients(), arrays).run(arrays)
    wide = [lamina.tensor(a.astype("float64")) for a in arrays]
    for have, want in zip(got, with_gradients()(*wide), strict=True):
        assert have.dtype == np.float16
        np.testing.assert_allclose(have, want.numpy(), rtol=4e-3, atol=4e-3)


def test_no_elements():
    for t, s in ((0, 3), (3, 0)):
        out = lamina.function(nn.scaled_dot_product_attention)(
            lamina.ones((2, t, 4)), lamina.ones((2, s, 4)), lamina.ones((2, s, 5))
        )
        assert out.shape == (2, t, 5) and not out.numpy().any()


def test_wrong_arguments():
    x = lamina.ones((2, 4, 3, 8))
    attend = nn.scaled_dot_product_attention
    with pytest.raises(ShapeError, match="vectors of one size"):
        attend(x, lamina.ones((2, 4, 3, 7)), x)
    with pytest.raises(ShapeError, match="one value for each key"):
        attend(x, x, lamina.ones((2, 4, 2, 8)))
    with pytest.raises(ShapeError, match="divisor"):
        attend(x, x[:, :3], x[:, :3])
    with pytest.raises(ShapeError, match="divisor"):
        attend(x[0], x[0, :2], x[0, :2])
    with pytest.raises(ShapeError, match="broadcasts"):
        attend(x, x, x, mask=lamina.ones((2, 3)))
    with pytest.raises(ShapeError, match="rank"):
        attend(x, x[0], x[0])
    with pytest.raises(DTypeError, match="mask != 0"):
        attend(x, x, x, mask=lamina.ones((3, 3), "int32"))
    with pytest.raises(ArgumentError, match="scale"):
        attend(x, x, x, scale="large")
