"""Modules and functions of ``compat.torch`` against PyTorch's: the same weights give the same numbers and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lamina.compat import torch as ours

theirs = pytest.importorskip("torch")

Make = Callable[[Any], Any]


def copied(module: Any, reference: Any) -> None:
    module.load_state_dict({k: v.numpy() for k, v in reference.state_dict().items()})


def compare(a: Any, b: Any, tolerance: float = 2e-5) -> None:
    np.testing.assert_allclose(np.asarray(a), b.detach().numpy(), rtol=tolerance, atol=tolerance)


def leaves(result: Any) -> list[Any]:
    return [x for part in result for x in leaves(part)] if isinstance(result, tuple) else [result]


def random_inputs(*shapes: Any) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, shape[0], shape[1])
        if len(shape) == 2 and isinstance(shape[1], tuple)
        else rng.normal(size=shape).astype("float32")
        for shape in shapes
    ]


ACTIVATIONS = (
    "ReLU ReLU6 SELU Mish Hardswish Hardsigmoid Sigmoid Tanh Tanhshrink Softsign LogSigmoid SiLU LeakyReLU ELU "
    "CELU GELU GLU Hardtanh Hardshrink Softshrink Softplus Identity"
)
MODULES: dict[str, tuple[Make, list[Any]]] = {
    "linear": (lambda nn: nn.Linear(5, 3), [(4, 5)]),
    "linear_3d": (lambda nn: nn.Linear(5, 3, bias=False), [(2, 4, 5)]),
    "bilinear": (lambda nn: nn.Bilinear(3, 4, 2), [(5, 3), (5, 4)]),
    "embedding": (lambda nn: nn.Embedding(7, 4, padding_idx=2), [(7, (3, 5))]),
    "conv1d": (lambda nn: nn.Conv1d(3, 4, 3, stride=2, padding=1), [(2, 3, 9)]),
    "conv2d": (lambda nn: nn.Conv2d(3, 4, 3), [(2, 3, 8, 7)]),
    "conv2d_without_batch": (lambda nn: nn.Conv2d(3, 4, 3), [(3, 8, 7)]),
    "conv2d_settings": (lambda nn: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), groups=2), [(2, 4, 8, 7)]),
    "conv2d_depthwise": (lambda nn: nn.Conv2d(4, 8, 3, groups=4, padding="same", bias=False), [(2, 4, 6, 6)]),
    "conv2d_same": (lambda nn: nn.Conv2d(2, 3, 4, padding="same", dilation=2), [(2, 2, 9, 8)]),
    "conv2d_reflect": (lambda nn: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), [(2, 2, 6, 5)]),
    "conv2d_circular": (lambda nn: nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode="circular"), [(2, 2, 6, 5)]),
    "conv3d": (lambda nn: nn.Conv3d(2, 3, 2, padding=1), [(1, 2, 4, 5, 3)]),
    "conv_transpose1d": (lambda nn: nn.ConvTranspose1d(3, 2, 4, stride=3), [(2, 3, 5)]),
    "conv_transpose2d": (lambda nn: nn.ConvTranspose2d(3, 4, 3), [(2, 3, 5, 4)]),
    "conv_transpose2d_settings": (
        lambda nn: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=2),
        [(2, 4, 5, 4)],
    ),
    "conv_transpose2d_dcgan": (lambda nn: nn.ConvTranspose2d(3, 4, 4, 2, 1, bias=False), [(2, 3, 4, 4)]),
    "conv_transpose3d": (lambda nn: nn.ConvTranspose3d(2, 3, 2, stride=2), [(1, 2, 3, 2, 3)]),
    "batch_norm1d": (lambda nn: nn.BatchNorm1d(5), [(8, 5)]),
    "batch_norm1d_3d": (lambda nn: nn.BatchNorm1d(5, momentum=None), [(4, 5, 6)]),
    "batch_norm2d": (lambda nn: nn.BatchNorm2d(3, eps=1e-3, momentum=0.3), [(4, 3, 5, 5)]),
    "batch_norm2d_plain": (lambda nn: nn.BatchNorm2d(3, affine=False, track_running_stats=False), [(4, 3, 5, 5)]),
    "layer_norm": (lambda nn: nn.LayerNorm(6), [(4, 5, 6)]),
    "layer_norm_2": (lambda nn: nn.LayerNorm([5, 6], elementwise_affine=False), [(4, 5, 6)]),
    "group_norm": (lambda nn: nn.GroupNorm(2, 6), [(3, 6, 4, 4)]),
    "instance_norm": (lambda nn: nn.InstanceNorm2d(3, affine=True), [(2, 3, 4, 5)]),
    "local_response_norm": (lambda nn: nn.LocalResponseNorm(3, alpha=0.1), [(2, 6, 4, 4)]),
    "softmax2d": (lambda nn: nn.Softmax2d(), [(2, 6, 4, 4)]),
    "rnn": (lambda nn: nn.RNN(4, 5), [(6, 3, 4)]),
    "rnn_relu": (lambda nn: nn.RNN(4, 5, 2, nonlinearity="relu", batch_first=True), [(3, 6, 4), (2, 3, 5)]),
    "lstm": (lambda nn: nn.LSTM(4, 5, batch_first=True), [(3, 6, 4)]),
    "lstm_deep": (lambda nn: nn.LSTM(4, 5, 2, bidirectional=True), [(6, 3, 4)]),
    "lstm_one_sequence": (lambda nn: nn.LSTM(4, 5, bias=False), [(6, 4)]),
    "gru": (lambda nn: nn.GRU(4, 5, 2, batch_first=True), [(3, 6, 4), (2, 3, 5)]),
    "gru_bidirectional": (lambda nn: nn.GRU(4, 5, bidirectional=True), [(6, 3, 4)]),
    "rnn_cell": (lambda nn: nn.RNNCell(4, 5), [(3, 4), (3, 5)]),
    "lstm_cell": (lambda nn: nn.LSTMCell(4, 5), [(3, 4)]),
    "gru_cell": (lambda nn: nn.GRUCell(4, 5), [(3, 4), (3, 5)]),
    "prelu": (lambda nn: nn.PReLU(3), [(4, 3, 5)]),
    "flatten": (lambda nn: nn.Flatten(), [(4, 3, 5)]),
    "unflatten": (lambda nn: nn.Unflatten(1, (2, 3)), [(4, 6)]),
    "max_pool1d": (lambda nn: nn.MaxPool1d(3, 2), [(2, 3, 9)]),
    "max_pool2d": (lambda nn: nn.MaxPool2d(2), [(2, 3, 7, 6)]),
    "max_pool2d_padded": (lambda nn: nn.MaxPool2d(3, stride=2, padding=1), [(2, 3, 8, 7)]),
    "max_pool2d_ceil": (lambda nn: nn.MaxPool2d(3, stride=2, ceil_mode=True), [(2, 3, 8, 8)]),
    "max_pool2d_dilated": (lambda nn: nn.MaxPool2d(2, stride=1, dilation=2), [(2, 3, 8, 7)]),
    "max_pool3d": (lambda nn: nn.MaxPool3d(2), [(1, 2, 4, 4, 4)]),
    "avg_pool1d": (lambda nn: nn.AvgPool1d(3, 2, 1), [(2, 3, 9)]),
    "avg_pool2d": (lambda nn: nn.AvgPool2d(2), [(2, 3, 7, 6)]),
    "avg_pool2d_padded": (lambda nn: nn.AvgPool2d(3, 2, padding=1), [(2, 3, 8, 7)]),
    "avg_pool2d_uncounted": (lambda nn: nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), [(2, 3, 8, 7)]),
    "avg_pool2d_ceil": (lambda nn: nn.AvgPool2d(3, 2, padding=1, ceil_mode=True), [(2, 3, 8, 8)]),
    "avg_pool2d_ceil_uncounted": (
        lambda nn: nn.AvgPool2d((2, 3), (3, 2), ceil_mode=True, count_include_pad=False), [(2, 3, 9, 8)]
    ),
    "avg_pool2d_divisor": (lambda nn: nn.AvgPool2d(2, divisor_override=3), [(2, 3, 8, 8)]),
    "adaptive_avg_pool2d": (lambda nn: nn.AdaptiveAvgPool2d((3, None)), [(2, 3, 8, 7)]),
    "adaptive_avg_pool2d_one": (lambda nn: nn.AdaptiveAvgPool2d(1), [(2, 3, 8, 7)]),
    "adaptive_max_pool1d": (lambda nn: nn.AdaptiveMaxPool1d(4), [(2, 3, 9)]),
    "zero_pad": (lambda nn: nn.ZeroPad2d((1, 2, 0, 1)), [(2, 3, 4, 4)]),
    "reflection_pad": (lambda nn: nn.ReflectionPad2d(2), [(2, 3, 4, 4)]),
    "upsample": (lambda nn: nn.Upsample(scale_factor=2), [(2, 3, 4, 5)]),
    "upsample_bilinear": (lambda nn: nn.Upsample(size=(7, 9), mode="bilinear"), [(2, 3, 4, 5)]),
    "cosine": (lambda nn: nn.CosineSimilarity(), [(4, 5), (4, 5)]),
    "pairwise_distance": (lambda nn: nn.PairwiseDistance(), [(4, 5), (4, 5)]),
    **{
        name: (lambda nn, name=name: getattr(nn, name)(), [(4, 6)])
        for name in ACTIVATIONS.split()
    },
    "gelu_tanh": (lambda nn: nn.GELU(approximate="tanh"), [(4, 6)]),
    "softplus": (lambda nn: nn.Softplus(beta=2), [(4, 6)]),
    "threshold": (lambda nn: nn.Threshold(0.1, 20), [(4, 6)]),
    "softmax": (lambda nn: nn.Softmax(dim=1), [(4, 6)]),
    "log_softmax": (lambda nn: nn.LogSoftmax(dim=0), [(4, 6)]),
    "softmin": (lambda nn: nn.Softmin(dim=1), [(4, 6)]),
    "eval_dropout": (lambda nn: nn.Dropout(0.5).eval(), [(4, 6)]),
    "sequential": (
        lambda nn: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)),
        [(2, 1, 8, 8)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_module(name: str) -> None:
    make, shapes = MODULES[name]
    mine, reference = make(ours.nn), make(theirs.nn)
    copied(mine, reference)
    arrays = random_inputs(*shapes)
    xs = [ours.tensor(a) for a in arrays]
    rs = [theirs.tensor(a) for a in arrays]
    for x, r in zip(xs, rs):
        if r.is_floating_point():
            x.requires_grad_()
            r.requires_grad_()
    results, expected = leaves(mine(*xs)), leaves(reference(*rs))
    for a, b in zip(results, expected, strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        compare(a, b)
    weights = random_inputs(*[tuple(r.shape) or (1,) for r in expected])
    sum((a * ours.tensor(w.reshape(a.shape))).sum() for a, w in zip(results, weights)).backward()
    sum((b * theirs.tensor(w).reshape(b.shape)).sum() for b, w in zip(expected, weights)).backward()
    for x, r in zip(xs, rs):
        if r.grad is not None:
            compare(x.grad, r.grad, 1e-4)
    for (key, p), q in zip(mine.named_parameters(), reference.parameters(), strict=True):
        assert p.grad is not None, key
        compare(p.grad, q.grad, 2e-4)
    for (key, value), b in zip(mine.state_dict().items(), reference.state_dict().values(), strict=True):
        np.testing.assert_allclose(np.asarray(value), b.numpy(), rtol=1e-5, atol=1e-6, err_msg=key)
    mine.eval()
    reference.eval()
    with ours.no_grad(), theirs.no_grad():
        for a, b in zip(leaves(mine(*xs)), leaves(reference(*rs)), strict=True):
            compare(a, b)
            assert a.is_leaf


@pytest.mark.parametrize("name", [n for n, (make, _) in MODULES.items() if n not in ("prelu",)])
def test_first_values_have_the_distribution_of_pytorch(name: str) -> None:
    make, _ = MODULES[name]
    mine, reference = make(ours.nn), make(theirs.nn)
    assert list(mine.state_dict()) == list(reference.state_dict())
    for (key, value), other in zip(mine.state_dict().items(), reference.state_dict().values()):
        a, b = np.asarray(value).astype(float), other.numpy().astype(float)
        assert a.shape == b.shape and value.dtype.name == str(other.dtype).removeprefix("torch.")
        if b.size and np.ptp(b) == 0:
            np.testing.assert_array_equal(a, b, err_msg=key)


def many(draw: Callable[[], Any]) -> np.ndarray:
    return np.concatenate([np.asarray(draw()).ravel() for _ in range(30)])


FIRST_VALUES: dict[str, Make] = {
    "linear": lambda nn: nn.Linear(30, 40).weight,
    "linear_bias": lambda nn: nn.Linear(30, 400).bias,
    "conv2d": lambda nn: nn.Conv2d(8, 16, 3, groups=2).weight,
    "conv2d_bias": lambda nn: nn.Conv2d(8, 400, 3).bias,
    "conv_transpose2d": lambda nn: nn.ConvTranspose2d(8, 16, 3).weight,
    "embedding": lambda nn: nn.Embedding(20, 30).weight,
    "lstm": lambda nn: nn.LSTM(10, 20).weight_ih_l0,
    "xavier_uniform_": lambda nn: nn.init.xavier_uniform_(nn.Linear(30, 40).weight),
    "xavier_normal_": lambda nn: nn.init.xavier_normal_(nn.Conv2d(4, 8, 5).weight, gain=2.0),
    "kaiming_uniform_": lambda nn: nn.init.kaiming_uniform_(nn.Linear(30, 40).weight, nonlinearity="relu"),
    "kaiming_normal_": lambda nn: nn.init.kaiming_normal_(nn.Conv2d(4, 8, 5).weight, mode="fan_out"),
    "trunc_normal_": lambda nn: nn.init.trunc_normal_(nn.Linear(30, 40).weight, 0.1, 0.5, -0.5, 1.0),
    "sparse_": lambda nn: nn.init.sparse_(nn.Linear(30, 40).weight, 0.3, 1.0),
}


@pytest.mark.parametrize("name", FIRST_VALUES)
def test_distribution_of_first_values(name: str) -> None:
    ours.manual_seed(1)
    theirs.manual_seed(1)
    a = many(lambda: FIRST_VALUES[name](ours.nn).detach())
    b = many(lambda: FIRST_VALUES[name](theirs.nn).detach())
    at = np.linspace(0.02, 0.98, 21)
    spread = b.std()
    np.testing.assert_allclose(np.quantile(a, at), np.quantile(b, at), atol=0.1 * spread)
    if "normal" not in name and name not in ("embedding", "sparse_"):
        np.testing.assert_allclose([a.min(), a.max()], [b.min(), b.max()], rtol=0.01)


def test_orthogonal() -> None:
    w = ours.nn.init.orthogonal_(ours.empty(6, 4), gain=2.0)
    np.testing.assert_allclose((w.T @ w).numpy(), 4 * np.eye(4), atol=1e-5)


Call = Callable[[Any, Any, Any], Any]
F_LOSSES: dict[str, tuple[str, Call]] = {
    "mse": ("values", lambda F, x, y: F.mse_loss(x, y)),
    "mse_sum": ("values", lambda F, x, y: F.mse_loss(x, y, reduction="sum")),
    "mse_none": ("values", lambda F, x, y: F.mse_loss(x, y, reduction="none")),
    "l1": ("values", lambda F, x, y: F.l1_loss(x, y)),
    "huber": ("values", lambda F, x, y: F.huber_loss(x, y, delta=0.7)),
    "smooth_l1": ("values", lambda F, x, y: F.smooth_l1_loss(x, y, beta=0.5)),
    "cross_entropy": ("classes", lambda F, x, y: F.cross_entropy(x, y)),
    "cross_entropy_sum": ("classes", lambda F, x, y: F.cross_entropy(x, y, reduction="sum")),
    "cross_entropy_none": ("classes", lambda F, x, y: F.cross_entropy(x, y, reduction="none")),
    "cross_entropy_smooth": ("classes", lambda F, x, y: F.cross_entropy(x, y, label_smoothing=0.1)),
    "cross_entropy_ignore": ("classes", lambda F, x, y: F.cross_entropy(x, y, ignore_index=1)),
    "cross_entropy_ignore_sum": (
        "classes", lambda F, x, y: F.cross_entropy(x, y, ignore_index=1, reduction="sum", label_smoothing=0.2)
    ),
    "cross_entropy_ignore_smooth": (
        "classes", lambda F, x, y: F.cross_entropy(x, y, ignore_index=1, label_smoothing=0.2)
    ),
    "cross_entropy_images": ("images", lambda F, x, y: F.cross_entropy(x, y)),
    "cross_entropy_soft": ("probabilities", lambda F, x, y: F.cross_entropy(x, y, label_smoothing=0.1)),
    "nll": ("classes", lambda F, x, y: F.nll_loss(F.log_softmax(x, dim=1), y)),
    "nll_images": ("images", lambda F, x, y: F.nll_loss(F.log_softmax(x, dim=1), y, ignore_index=2)),
    "bce": ("probabilities", lambda F, x, y: F.binary_cross_entropy(F.softmax(x, 1), y)),
    "bce_logits": ("probabilities", lambda F, x, y: F.binary_cross_entropy_with_logits(x, y)),
    "kl_div": ("probabilities", lambda F, x, y: F.kl_div(F.log_softmax(x, 1), y, reduction="batchmean")),
    "kl_div_mean": ("probabilities", lambda F, x, y: F.kl_div(F.log_softmax(x, 1), y, reduction="sum")),
    "poisson": ("probabilities", lambda F, x, y: F.poisson_nll_loss(x, y * 5, full=True)),
    "gaussian": ("values", lambda F, x, y: F.gaussian_nll_loss(x, y, y * y + 0.1)),
    "hinge": ("values", lambda F, x, y: F.hinge_embedding_loss(x, y.sign())),
    "margin": ("values", lambda F, x, y: F.margin_ranking_loss(x[:, 0], x[:, 1], y[:, 0].sign(), margin=0.3)),
    "cosine": ("values", lambda F, x, y: F.cosine_embedding_loss(x, y, y[:, 0].sign(), margin=0.1)),
    "triplet": ("values", lambda F, x, y: F.triplet_margin_loss(x, y, -y)),
    "triplet_swap": ("values", lambda F, x, y: F.triplet_margin_loss(x, y, -y, swap=True)),
}  # fmt: skip


def loss_arrays(kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    if kind == "images":
        return rng.normal(size=(2, 4, 3, 3)).astype("float32"), rng.integers(0, 4, (2, 3, 3))
    x = rng.normal(size=(6, 4)).astype("float32")
    if kind == "classes":
        return x, np.array([0, 1, 2, 3, 1, 1])
    y = rng.normal(size=(6, 4)).astype("float32")
    if kind == "probabilities":
        y = np.exp(y) / np.exp(y).sum(1, keepdims=True)
    return x, y


@pytest.mark.parametrize("name", F_LOSSES)
def test_loss(name: str) -> None:
    kind, call = F_LOSSES[name]
    x, y = loss_arrays(kind)
    a, b = ours.tensor(x, requires_grad=True), theirs.tensor(x, requires_grad=True)
    mine, reference = call(ours.nn.functional, a, ours.tensor(y)), call(theirs.nn.functional, b, theirs.tensor(y))
    compare(mine, reference)
    mine.sum().backward()
    reference.sum().backward()
    compare(a.grad, b.grad)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("CrossEntropyLoss", {"weight": [0.2, 1.0, 3.0, 0.5]}),
        ("CrossEntropyLoss", {"weight": [0.2, 1.0, 3.0, 0.5], "label_smoothing": 0.1}),
        ("CrossEntropyLoss", {"weight": [0.2, 1.0, 3.0, 0.5], "reduction": "sum", "ignore_index": 3}),
        ("NLLLoss", {"weight": [0.2, 1.0, 3.0, 0.5]}),
        ("BCEWithLogitsLoss", {"pos_weight": [0.2, 1.0, 3.0, 0.5]}),
        ("MSELoss", {}),
        ("L1Loss", {"reduction": "sum"}),
        ("HuberLoss", {"delta": 0.5}),
        ("SmoothL1Loss", {}),
        ("BCELoss", {}),
    ],
)
def test_loss_module(name: str, settings: dict[str, Any]) -> None:
    kind = {"CrossEntropyLoss": "classes", "NLLLoss": "classes", "BCEWithLogitsLoss": "probabilities"}.get(name)
    x, y = loss_arrays(kind or ("probabilities" if name == "BCELoss" else "values"))
    x = 1 / (1 + np.exp(-x)) if name == "BCELoss" else x
    results = []
    for torch in (ours, theirs):
        given = {k: torch.tensor(v) if isinstance(v, list) else v for k, v in settings.items()}
        t = torch.tensor(x, requires_grad=True)
        loss = getattr(torch.nn, name)(**given)(t, torch.tensor(y))
        loss.backward()
        results.append((loss.item(), np.asarray(t.grad)))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-6)


def test_labels_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match="target 7 is out of bounds for 3 classes"):
        ours.nn.functional.cross_entropy(ours.zeros(2, 3), ours.tensor([0, 7]))


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        ours.nn.MSELoss()(ours.zeros(4, 1), ours.zeros(4))


def test_attention_against_pytorch() -> None:
    q, k, v = random_inputs((2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 4))
    for settings in ({}, {"is_causal": True}, {"scale": 0.3}):
        a = ours.nn.functional.scaled_dot_product_attention(*map(ours.tensor, (q, k, v)), **settings)
        b = theirs.nn.functional.scaled_dot_product_attention(*map(theirs.tensor, (q, k, v)), **settings)
        compare(a, b)


def test_dropout_keeps_the_mean_and_drops_channels() -> None:
    x = ours.ones(200, 50)
    dropped = ours.nn.Dropout(0.3)(x)
    np.testing.assert_allclose(np.unique(dropped.numpy()), [0, 1 / 0.7], rtol=1e-6)
    assert abs(dropped.mean().item() - 1) < 0.05
    channels = ours.nn.Dropout2d(0.5)(ours.ones(8, 16, 3, 3)).numpy()
    assert (np.ptp(channels, axis=(2, 3)) == 0).all() and 0 < (channels[:, :, 0, 0] == 0).mean() < 1


def test_repr_is_that_of_pytorch() -> None:
    def network(nn: Any) -> Any:
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(10, 2, bias=False),
            nn.Embedding(3, 4), nn.GroupNorm(2, 4),
            nn.LSTM(3, 4, num_layers=2, batch_first=True), nn.LayerNorm(4), nn.ModuleList([nn.GRU(2, 3)]),
        )  # fmt: skip

    assert repr(network(ours.nn)) == repr(network(theirs.nn))


def test_lazy_layers_learn_the_size_of_their_input() -> None:
    nn = ours.nn
    net = nn.Sequential(
        nn.LazyConv2d(4, 3),
        nn.LazyBatchNorm2d(),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(5),
        nn.LazyLinear(2, bias=False),
    )
    assert not list(net.parameters())
    net.eval()
    assert net(ours.ones(2, 3, 6, 6)).shape == (2, 2) and not net[0].training
    assert [type(m).__name__ for m in net][:2] == ["Conv2d", "BatchNorm2d"]
    assert net[4].weight.shape == (5, 64) and net[5].bias is None and net[0].weight.shape == (4, 3, 3, 3)
    compiled = ours.compile(nn.Sequential(nn.LazyLinear(3)))
    assert compiled(ours.ones(2, 4)).shape == (2, 3) and len(list(compiled.parameters())) == 2
