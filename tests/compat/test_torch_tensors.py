"""Tensors, their methods and ``backward`` of ``compat.torch`` against PyTorch's."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.compat import torch as ours
from lamina.compat.torch import autograd
from lamina.core.errors import DifferentiationError

theirs = pytest.importorskip("torch")

A = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
B = np.random.default_rng(1).normal(size=(3, 4)).astype("float32")
I = np.random.default_rng(2).integers(0, 4, (3, 4))

# Expressions of a, b (floats), i (integers), all of shape (3, 4), and torch.
EXPRESSIONS = """
a + b
a - 2
3 * a / b
a ** 2
2 ** a
a @ b.T
a.matmul(b.t())
torch.mm(a, b.t())
torch.add(a, b, alpha=2)
torch.div(i, 3, rounding_mode="floor")
torch.div(a, 0.3, rounding_mode="trunc")
torch.fmod(a, 0.3)
torch.remainder(a, 0.3)
a.abs() + a.exp() + a.sin() + a.sigmoid() + a.tanh() + a.relu()
torch.sqrt(a.abs())
torch.round(a * 10, decimals=1)
a.clamp(min=-0.5, max=0.5)
torch.where(a > 0, a, b)
torch.maximum(a, b)
torch.lerp(a, b, 0.3)
a.sum()
a.sum(dim=1)
a.sum(0, keepdim=True)
a.sum((0, 1))
(a > 0).sum()
i.sum(dim=0)
a.mean(dim=-1)
a.var(), a.std()
a.var(dim=1, unbiased=False)
a.sum(axis=0), a.mean(axis=1, keepdims=True), a.argmax(axis=1), a.cumsum(axis=0), torch.cat((a, b), axis=1)
a[range(3), [0, 1, 2]]
torch.zeros(size=(2, 1)), torch.full(size=(2,), fill_value=1.0)
a.std(0, keepdim=True)
torch.std(a, dim=1, correction=0)
a.max(), a.min()
a.max(dim=1).values
a.max(dim=1).indices
a.min(0, keepdim=True)[0]
torch.max(a, b)
a.argmax(), a.argmin(dim=1), a.argmax(1, keepdim=True)
a.amax(dim=(0, 1)), a.amin(0)
a.prod(dim=1)
a.norm(), a.norm(p=1), a.norm(dim=1)
torch.linalg.norm(a, dim=0)
torch.logsumexp(a, dim=1)
a.softmax(dim=1)
torch.softmax(a, -1)
torch.log_softmax(a, dim=0)
a.cumsum(0), a.cumprod(1)
a.sort(dim=1)[0], a.sort(dim=1, descending=True)[1]
torch.argsort(a, dim=0)
a.topk(2)[0], a.topk(2, dim=0, largest=False)[1]
a.median(), a.median(dim=1)[0]
torch.unique(i)
torch.unique(i, return_counts=True)[1]
torch.bincount(i.flatten(), minlength=6)
(a > 0).any(), (a > -9).all(), (a > 0).any(dim=1)
(a > 0) & (b > 0) | ~(a > 1)
torch.isclose(a, a + 1e-9)
torch.nonzero(a > 0)
torch.count_nonzero(a > 0)
a.view(2, 6)
a.view(-1)
a.view(4, -1).shape
a.reshape(2, 2, 3).transpose(0, 2)
a.permute(1, 0)
a.T
a.flatten()
a.reshape(3, 2, 2).flatten(start_dim=1)
a.unsqueeze(0).squeeze()
a.unsqueeze(-1).shape
a[None, :, None].squeeze(0).shape
a.reshape(3, 1, 4).squeeze(1)
a.reshape(3, 1, 4).squeeze(0).shape
a.expand(2, 3, 4)
a.repeat(2, 1)
torch.tile(a, (1, 2))
torch.repeat_interleave(a, 2, dim=0)
torch.cat([a, b])
torch.cat((a, b), dim=1)
torch.stack([a, b], dim=1)
torch.vstack([a, b]), torch.hstack([a, b])
torch.split(a, 3, dim=1)[1]
a.split([1, 3], dim=1)[1]
torch.chunk(a, 2)[1]
a.unbind(0)[2]
torch.flip(a, dims=[0])
torch.flip(a, (0, 1))
torch.roll(a, 1, 0)
torch.fliplr(a), torch.flipud(a), torch.column_stack([a[:, 0], b]), a.diagonal(), a.ravel()
torch.diff(a, dim=0), a.diff(n=2), torch.quantile(a, 0.3), torch.quantile(a, torch.tensor([0.1, 0.5]), dim=1)
torch.searchsorted(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, 2.0, 9.0]), right=True)
a.clamp_min(0), torch.clamp_max(a, 0.1), torch.addcmul(a, a, b, value=2), a.addcdiv(a, b)
torch.cosine_similarity(a, b)
torch.diag(a[:, :3])
torch.diag(a[0])
torch.diag(a[0], 1)
torch.tril(a), torch.triu(a, 1)
torch.gather(a, 1, i)
a.gather(0, i % 3)
torch.index_select(a, 1, torch.tensor([2, 0]))
torch.take(a, torch.tensor([0, 5]))
a.masked_fill(a > 0, -1.0)
torch.masked_select(a, a > 0)
a[a > 0]
a[1:, ::2]
a[..., -1]
a[[0, 2]]
a[[0, 2], [1, 3]]
a[i % 3].shape
a[0, 1]
torch.einsum("ij,kj->ik", a, b)
torch.outer(a[0], b[0]), torch.dot(a[0], b[0])
torch.bmm(a.reshape(1, 3, 4), b.reshape(1, 4, 3))
torch.tensordot(a, b, dims=([1], [1])) if "lamina" not in torch.__name__ else torch.tensordot(a, b, ((1,), (1,)))
torch.cdist(a, b)
torch.addmm(a[:, :3], a, b.T, beta=0.5, alpha=2)
torch.trace(a @ b.T)
torch.det(a @ b.T + torch.eye(3) * 3)
torch.inverse(a[:, :3] + 3 * torch.eye(3))
torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")[1]
a.long(), a.int(), a.bool(), i.float(), a.double(), a.half()
a.to(torch.float64)
i.type(torch.float)
a.type_as(i)
a.numel(), a.dim(), a.size(0), a.ndim, len(a)
torch.arange(5), torch.arange(1, 2, 0.25), torch.linspace(0, 1, 5), torch.arange(5.0)
torch.zeros(2, 3), torch.ones((2,)), torch.full((2, 2), 7), torch.full((2,), 1.5), torch.eye(2, 3)
torch.zeros_like(i), torch.ones_like(a, dtype=torch.int64)
torch.tensor([1, 2]), torch.tensor([1.0, 2]), torch.tensor([True]), torch.tensor(3), torch.tensor([[1], [2]])
a.new_zeros(2), i.new_ones((2, 1)), a.new_tensor([1, 2])
torch.zeros(3, 5).scatter_(1, i[:, :1], 1.0)
torch.zeros(10).scatter_(0, torch.tensor(3), value=1)
torch.nn.functional.one_hot(i, 5)
torch.nn.functional.normalize(a, dim=1)
torch.nn.functional.pad(a, (1, 2)), torch.nn.functional.pad(a, (1, 0, 0, 2), value=3.0)
torch.allclose(a, a), torch.equal(a, b), torch.is_tensor(a), a.is_floating_point()
a.stride(), a.T.stride(), a[1:].storage_offset(), a.T.is_contiguous(), a.contiguous().is_contiguous()
a.clone(), a.detach(), a.tolist()
""".strip().splitlines()


def flat(value: Any) -> list[Any]:
    if isinstance(value, tuple | list) and type(value).__name__ != "Size":
        return [x for v in value for x in flat(v)]
    return [value]


def same(a: Any, b: Any, tolerance: float = 1e-5) -> None:
    if isinstance(b, theirs.Tensor):
        assert isinstance(a, ours.Tensor), type(a)
        assert a.dtype.name == str(b.dtype).removeprefix("torch.")
        assert tuple(a.shape) == tuple(b.shape)
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance)
    else:
        assert a == b and type(a).__name__ == type(b).__name__


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression(expression: str) -> None:
    results = []
    for torch in (ours, theirs):
        names = {"a": torch.tensor(A), "b": torch.tensor(B), "i": torch.tensor(I), "torch": torch}
        results.append(flat(eval(expression, names)))
    for mine, reference in zip(*results, strict=True):
        same(mine, reference)


IN_PLACE = """
a.add_(1)
a.mul_(b)
a += b
a -= 2
a *= 3
a /= 2
a **= 2
a.zero_()
a.fill_(3)
a[0] = 5
a[:, 1] = b[:, 0]
a[a > 0] = 0
a[0, 2] = 9.5
a[1:, ::2] = -1
a[[0, 2]] = b[[1, 2]]
a.clamp_(min=0)
a.copy_(b)
a.relu_()
a.masked_fill_(a < 0, 7.0)
a.view(-1)[3] = 8
a.t_()
a.unsqueeze_(0)
a.sub_(b, alpha=0.5)
a.addcmul_(a, b, value=0.3)
a.lerp_(b, 0.2)
""".strip().splitlines()


@pytest.mark.parametrize("statement", IN_PLACE)
def test_in_place(statement: str) -> None:
    results = []
    for torch in (ours, theirs):
        names = {"a": torch.tensor(A), "b": torch.tensor(B), "torch": torch}
        before = names["a"]
        exec(statement, names)
        assert names["a"] is before
        results.append(before)
    same(*results)


GRADIENTS = """
(w * w).sum()
(w @ v.T).pow(2).mean()
((w - v) ** 2).mean() + w.abs().sum()
(w.view(-1) * v.reshape(-1)).sum()
torch.cat([w, v]).exp().sum()
(w.softmax(dim=1) * c).sum()
torch.stack([w.sum(0), v.mean(0)]).norm()
w.max(dim=1).values.sum() + v.min()
(w[0] * v[1:].sum(0)).sum() + w[:, 2].prod()
w.masked_fill(c > 0, 0.0).sum() + torch.where(c > 0, w, v * 2).sum()
w.std() + v.var(dim=0).sum()
torch.sigmoid(w).log().sum() - torch.tanh(v).sum()
w.t().unsqueeze(1).expand(4, 2, 3).pow(3).sum()
w.gather(1, torch.tensor([[0], [1], [3]])).sum()
torch.einsum("ij,ij->i", w, v).logsumexp(0)
w.clone().add_(v).mul_(w).sum()
w.detach().mul(v).sum() + (w.sum() * 2)
w.sort(dim=1)[0][:, 0].sum() + w.cumsum(1)[:, -1].sum() + v.sum()
""".strip().splitlines()


@pytest.mark.parametrize("expression", GRADIENTS)
def test_gradient(expression: str) -> None:
    results = []
    for torch in (ours, theirs):
        w, v = torch.tensor(A, requires_grad=True), torch.nn.Parameter(torch.tensor(B))
        loss = eval(expression, {"w": w, "v": v, "c": torch.tensor(A * B), "torch": torch})
        loss.backward()
        results.append((loss, w.grad, v.grad))
    for mine, reference in zip(*results, strict=True):
        same(mine, reference)


def test_gradients_add_up_until_they_are_cleared() -> None:
    w = ours.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(3):
        (w * 2).sum().backward()
    assert w.grad.tolist() == [6.0, 6.0]
    w.grad.zero_()
    assert w.grad.tolist() == [0.0, 0.0]
    w.grad = None
    (w * w).sum().backward()
    assert w.grad.tolist() == [2.0, 4.0]


def test_gradients_of_two_tensors_do_not_share_memory() -> None:
    a, b = ours.tensor([1.0], requires_grad=True), ours.tensor([1.0], requires_grad=True)
    (a + b).backward()
    a.grad.zero_()
    assert b.grad.tolist() == [1.0]


def test_a_regression_by_hand() -> None:
    def run(torch: Any) -> list[float]:
        x = torch.linspace(-3, 3, 50)
        y = torch.sin(x)
        weights = [torch.tensor(v, requires_grad=True) for v in (0.1, -0.2, 0.3, 0.05)]
        losses = []
        for _ in range(60):
            a, b, c, d = weights
            loss = (a + b * x + c * x**2 + d * x**3 - y).pow(2).mean()
            loss.backward()
            losses.append(loss.item())
            with torch.no_grad():
                for w in weights:
                    w -= 1e-3 * w.grad
                    w.grad = None
        return losses

    np.testing.assert_allclose(run(ours), run(theirs), rtol=1e-4)


def test_data_is_changed_in_place() -> None:
    for torch in (ours, theirs):
        w = torch.tensor([1.0, 2.0], requires_grad=True)
        (w * w).sum().backward()
        w.data -= 0.1 * w.grad.data
        w.grad.data.zero_()
        p = torch.nn.Linear(2, 1)
        p.weight.data.fill_(3.0)
        p.bias.data = torch.tensor([0.5])
        assert w.tolist() == pytest.approx([0.8, 1.6]) and w.requires_grad and w.grad.tolist() == [0, 0]
        assert p(torch.tensor([[1.0, 2.0]])).item() == 9.5


def test_memory_is_shared_with_numpy_and_with_views() -> None:
    for torch in (ours, theirs):
        n = np.ones(5)
        t = torch.from_numpy(n)
        np.add(n, 1, out=n)
        assert t.tolist() == [2.0] * 5 and t.dtype == torch.float64
        t.add_(1)
        assert n.tolist() == [3.0] * 5
        x = torch.zeros(4)
        view = x.view(2, 2)
        view[0] = 7
        assert x.tolist() == [7, 7, 0, 0]
        assert x.data_ptr() == view.data_ptr()
        copy_of_x = x.clone()
        copy_of_x.zero_()
        assert x.tolist() == [7, 7, 0, 0]


def test_work_in_place_leaves_what_a_history_needs() -> None:
    x, w = ours.tensor([1.0, 2.0]), ours.tensor([3.0, 4.0], requires_grad=True)
    loss = (x * w).sum()
    x.add_(10)
    loss.backward()
    assert w.grad.tolist() == [1.0, 2.0] and x.tolist() == [11.0, 12.0]


def test_a_leaf_is_not_changed_in_place_while_recording() -> None:
    w = ours.ones(2, requires_grad=True)
    for change in (lambda: w.add_(1), lambda: w.__setitem__(0, 1), lambda: ours.nn.Parameter(ours.ones(1)).zero_()):
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            change()


def test_backward_says_what_is_wrong() -> None:
    w = ours.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="only for scalar outputs"):
        (w * 2).backward()
    loss = (w * w).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()
    with pytest.raises(RuntimeError, match="does not require"):
        ours.ones(1).backward()
    with pytest.raises(RuntimeError, match="detach"):
        (w * 2).numpy()
    with pytest.raises(DifferentiationError, match="floating"):
        ours.arange(3).requires_grad_()


def test_retained_graphs_and_gradients_on_the_way() -> None:
    w = ours.tensor([2.0], requires_grad=True)
    h = w * 3
    h.retain_grad()
    loss = (h * h).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert h.grad.tolist() == [24.0] and w.grad.tolist() == [72.0]


def test_backward_with_a_gradient() -> None:
    for torch in (ours, theirs):
        w = torch.tensor([1.0, 2.0], requires_grad=True)
        (w * w).backward(torch.tensor([1.0, 0.5]))
        assert w.grad.tolist() == [2.0, 2.0]


def test_autograd_grad_and_second_derivatives() -> None:
    for torch in (ours, theirs):
        x = torch.tensor([2.0, 3.0], requires_grad=True)
        p = torch.nn.Parameter(torch.tensor([1.0, 4.0]))
        y = (p * x**3).sum()
        (first,) = torch.autograd.grad(y, x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x, create_graph=True)
        third, by_p = torch.autograd.grad(second.sum(), [x, p])
        assert first.tolist() == [12.0, 108.0] and second.tolist() == [12.0, 72.0]
        assert third.tolist() == [6.0, 24.0] and by_p.tolist() == [12.0, 18.0]
        assert x.grad is None
        assert torch.autograd.grad(x.sum(), [x, p], allow_unused=True)[1] is None


def test_nothing_is_recorded_under_no_grad() -> None:
    w = ours.ones(2, requires_grad=True)
    with ours.no_grad():
        assert not (w * 2).requires_grad
        with ours.enable_grad():
            assert (w * 2).requires_grad
    assert (w * 2).requires_grad and ours.is_grad_enabled()

    @ours.no_grad()
    def evaluate() -> Any:
        return w * 2

    @ours.inference_mode
    def infer() -> Any:
        return w * 2

    assert not evaluate().requires_grad and not infer().requires_grad
    ours.set_grad_enabled(False)
    assert not (w * 2).requires_grad
    ours.set_grad_enabled(True)
    assert (w * 2).detach().requires_grad is False and (w > 0).requires_grad is False


def test_histories_are_freed_with_their_tensors() -> None:
    w = ours.ones(3, requires_grad=True)
    loss = (w * w).exp().sum()
    node = weakref.ref(loss._node)
    before = sum(autograd._saved.values())
    gc.disable()
    try:
        del loss
        assert node() is None and sum(autograd._saved.values()) < before
    finally:
        gc.enable()


def test_parameters_are_variables_and_tensors_are_tensors() -> None:
    p = ours.nn.Parameter(ours.ones(2))
    assert isinstance(p, ours.Tensor) and not isinstance(ours.ones(1), ours.nn.Parameter)
    assert isinstance(p, lamina.Variable) and isinstance(ours.ones(2), lamina.Tensor) and isinstance(p * 2, ours.Tensor)
    with lamina.GradientTape() as tape:
        loss = (p * ours.tensor([2.0, 3.0])).sum()
    assert tape.gradient(loss, p).tolist() == [2.0, 3.0]
    assert lamina.sum(ours.ones(3)).item() == 3.0
    assert type(lamina.ones((2,)) * 2) is lamina.Tensor


def test_functions_keep_the_class_of_tensors() -> None:
    @lamina.function
    def f(x: Any) -> Any:
        return x.view(-1).unsqueeze(0)

    assert f(ours.ones(2, 2)).size() == (1, 4)
    assert type(lamina.function(lambda x: x * 2)(lamina.ones((2,)))) is lamina.Tensor


def test_transforms_keep_the_class_of_tensors() -> None:
    gradient = lamina.grad(lambda x: (x.view(-1) ** 2).sum())(ours.tensor([[1.0, 2.0]]))
    assert gradient.size() == (1, 2) and gradient.tolist() == [[2.0, 4.0]]
    hessian = lamina.hessian(lambda x: (x * x * x).sum())(ours.tensor([1.0, 2.0]))
    assert hessian.tolist() == [[6.0, 0.0], [0.0, 12.0]]


def test_batches_of_worker_processes() -> None:
    dataset = ours.utils.data.TensorDataset(ours.arange(5.0).unsqueeze(1), ours.arange(5))
    for workers in (0, 1):
        batches = list(ours.utils.data.DataLoader(dataset, 2, num_workers=workers))
        assert [y.tolist() for _, y in batches] == [[0, 1], [2, 3], [4]]
        assert all(isinstance(x, ours.Tensor) and x.size(1) == 1 for x, _ in batches)
    sizes = ours.utils.data.DataLoader(dataset, batch_size=2, collate_fn=len)
    assert list(sizes) == [2, 2, 1]


def test_text() -> None:
    shown = [
        "torch.tensor([1.0, 2.0])", "torch.tensor([[1, -20], [3, 4]])", "torch.tensor([0.5, 1.25])",
        "torch.tensor(3.14159)", "torch.tensor(True)", "torch.tensor([[True], [True]])",
        "torch.tensor([True, False])", "torch.tensor([1e-5, 1.0])", "torch.tensor([1.0], requires_grad=True)",
        "torch.tensor([1.5], dtype=torch.float64)", "torch.tensor([1, 2], dtype=torch.int32)", "torch.arange(2000.0)",
        "torch.tensor([float('inf'), 1.5])", "torch.tensor([123456.0, 0.5])", "torch.tensor([])", "torch.zeros(2, 0)",
        "torch.zeros(2, 3).shape", "torch.arange(24.0).reshape(2, 3, 4) / 7", "torch.tensor([-0.1, 22.25])",
        "torch.tensor([100.0, 1e9])", "torch.tensor([float('nan'), 1.0])", "torch.nn.Parameter(torch.zeros(2))",
    ]  # fmt: skip
    for expression in shown:
        assert repr(eval(expression, {"torch": ours})) == repr(eval(expression, {"torch": theirs})), expression
    assert f"{ours.tensor(3.14159):.2f}" == "3.14"
    w = ours.ones(1, requires_grad=True)
    assert "grad_fn=<" in repr(w * 2)


def test_devices() -> None:
    device = "cuda" if ours.cuda.is_available() else "mps" if ours.backends.mps.is_available() else "cpu"
    assert device == "cpu" and ours.device(device).type == "cpu"
    x = ours.ones(2).to(device)
    assert x.device == ours.device("cpu") and str(x.device) == "cpu"
    assert ours.nn.Linear(1, 1).to(device).weight.device.type == "cpu"
    for wrong in (
        lambda: ours.device("cuda:0"),
        lambda: x.to("cuda"),
        lambda: x.cuda(),
        lambda: ours.nn.Linear(1, 1).cuda(),
    ):
        with pytest.raises(ValueError, match=r"no device .*cuda"):
            wrong()


def test_seeds_and_random_numbers() -> None:
    ours.manual_seed(3)
    a = ours.rand(2, 3)
    ours.manual_seed(3)
    assert ours.equal(a, ours.rand(2, 3)) and not ours.equal(a, ours.rand(2, 3))
    generator = ours.Generator().manual_seed(1)
    b = ours.randn(4, generator=generator)
    assert ours.equal(b, ours.randn(4, generator=generator.manual_seed(1)))
    assert sorted(ours.randperm(6).tolist()) == list(range(6))
    drawn = ours.randint(0, 3, (200,))
    assert drawn.dtype == ours.int64 and sorted(set(drawn.tolist())) == [0, 1, 2]
    counts = ours.bincount(ours.multinomial(ours.tensor([0.0, 1.0, 3.0]), 4000, replacement=True), minlength=3)
    assert counts[0] == 0 and abs(counts[2].item() / 4000 - 0.75) < 0.04
    assert sorted(ours.multinomial(ours.ones(5), 5).tolist()) == [0, 1, 2, 3, 4]
    assert abs(ours.bernoulli(ours.full((2000,), 0.3)).mean().item() - 0.3) < 0.05
    assert ours.empty(300).uniform_(2, 3).min() >= 2 and abs(ours.empty(3000).normal_(1, 2).std().item() - 2) < 0.2


def test_copies_and_pickles() -> None:
    x = ours.tensor([1.0, 2.0], requires_grad=True)
    y = copy.deepcopy(x)
    assert y.requires_grad and y is not x
    model = ours.nn.Sequential(ours.nn.Linear(2, 2), ours.nn.BatchNorm1d(2))
    twin = copy.deepcopy(model)
    with ours.no_grad():
        twin[0].weight.zero_()
    assert model[0].weight.abs().sum() > 0 and isinstance(twin[0].weight, ours.nn.Parameter)
    assert pickle.loads(pickle.dumps(ours.arange(3))).tolist() == [0, 1, 2]


def test_save_and_load(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = ours.nn.Sequential(ours.nn.Linear(3, 2), ours.nn.BatchNorm1d(2))
    ours.save(model.state_dict(), path)
    other = ours.nn.Sequential(ours.nn.Linear(3, 2), ours.nn.BatchNorm1d(2))
    found = other.load_state_dict(ours.load(path, weights_only=True))
    assert found.missing_keys == [] and ours.equal(other[0].weight, model[0].weight)
    nested = {"epoch": 3, "loss": [0.5, float("inf")], "x": (ours.arange(3), None, {"deep": ours.ones(1)}), 7: "text"}
    ours.save(nested, path)
    back = ours.load(path)
    assert back["epoch"] == 3 and back["loss"] == [0.5, float("inf")] and back[7] == "text"
    assert back["x"][0].tolist() == [0, 1, 2] and back["x"][1] is None and back["x"][2]["deep"].tolist() == [1.0]
    with pytest.raises(ValueError, match="state_dict"):
        ours.save(model, path)
    with pytest.raises(ValueError, match="only dicts, lists"):
        ours.save({"f": print}, path)


def test_files_of_pytorch(tmp_path: Path) -> None:
    save_file = pytest.importorskip("safetensors.torch").save_file
    theirs.manual_seed(0)
    reference = theirs.nn.Sequential(
        theirs.nn.Conv2d(1, 4, 3),
        theirs.nn.BatchNorm2d(4),
        theirs.nn.ReLU(),
        theirs.nn.Flatten(),
        theirs.nn.Linear(144, 3),
    )
    reference(theirs.randn(5, 1, 8, 8))  # moves the statistics
    save_file(reference.state_dict(), tmp_path / "reference.safetensors")
    model = ours.nn.Sequential(
        ours.nn.Conv2d(1, 4, 3), ours.nn.BatchNorm2d(4), ours.nn.ReLU(), ours.nn.Flatten(), ours.nn.Linear(144, 3)
    )
    model.load_state_dict(ours.load(tmp_path / "reference.safetensors"))
    x = np.random.default_rng(0).normal(size=(2, 1, 8, 8)).astype("float32")
    model.eval()
    reference.eval()
    np.testing.assert_allclose(
        model(ours.tensor(x)).detach().numpy(), reference(theirs.tensor(x)).detach().numpy(), atol=1e-5
    )
    ours.save(model.state_dict(), tmp_path / "back.safetensors")
    from safetensors.torch import load_file

    reference.load_state_dict(load_file(tmp_path / "back.safetensors"))
    theirs.save(reference.state_dict(), tmp_path / "pickle.pth")
    with pytest.raises(ValueError, match=r"pickle.*safetensors\.torch\.save_file"):
        ours.load(tmp_path / "pickle.pth")
    (tmp_path / "old.pth").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match="pickle"):
        ours.load(tmp_path / "old.pth")
