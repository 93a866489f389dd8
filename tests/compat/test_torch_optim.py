"""Optimizers and schedules of ``compat.torch`` against PyTorch's, over several steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.compat import torch as ours

theirs = pytest.importorskip("torch")

OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd_default": ("SGD", {}),
    "sgd_momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "sgd_all": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    "sgd_nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "sgd_maximize": ("SGD", {"lr": 0.01, "maximize": True}),
    "adam": ("Adam", {}),
    "adam_settings": ("Adam", {"lr": 0.03, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    "adam_amsgrad": ("Adam", {"lr": 0.03, "amsgrad": True}),
    "adamw": ("AdamW", {"lr": 0.03}),
    "adamw_settings": ("AdamW", {"lr": 0.03, "weight_decay": 0.3, "amsgrad": True}),
    "adamax": ("Adamax", {"weight_decay": 0.1}),
    "nadam": ("NAdam", {"lr": 0.02}),
    "nadam_settings": ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "momentum_decay": 0.01}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop_all": ("RMSprop", {"momentum": 0.5, "centered": True, "weight_decay": 0.1, "alpha": 0.9}),
    "adagrad": ("Adagrad", {}),
    "adagrad_all": ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.2}),
    "adadelta": ("Adadelta", {"lr": 0.5, "weight_decay": 0.1}),
}  # fmt: skip

X = np.random.default_rng(0).normal(size=(12, 5)).astype("float32")
Y = np.random.default_rng(1).normal(size=(12, 3)).astype("float32")


def network(torch: Any, start: Any = None) -> Any:
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    if start is not None:
        model.load_state_dict({k: v.numpy() for k, v in start.state_dict().items()})
    return model


def train(torch: Any, model: Any, optimizer: Any, steps: int, compiled: bool = False) -> list[float]:
    loss_function = torch.nn.MSELoss()

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    step = torch.compile(step) if compiled else step
    return [step(torch.tensor(X), torch.tensor(Y)).item() for _ in range(steps)]


def compare_weights(mine: Any, reference: Any, tolerance: float = 2e-5) -> None:
    for a, b in zip(mine.parameters(), reference.parameters(), strict=True):
        np.testing.assert_allclose(np.asarray(a), b.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name: str) -> None:
    kind, settings = OPTIMIZERS[name]
    reference = network(theirs)
    mine, other = network(ours, reference), network(ours, reference)
    expected = train(theirs, reference, getattr(theirs.optim, kind)(reference.parameters(), **settings), 8)
    losses = train(ours, mine, getattr(ours.optim, kind)(mine.parameters(), **settings), 8)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    compare_weights(mine, reference)
    compiled = train(ours, other, getattr(ours.optim, kind)(other.parameters(), **settings), 8, compiled=True)
    np.testing.assert_allclose(compiled, expected, rtol=1e-5)
    compare_weights(other, reference)


def test_default_settings_are_those_of_pytorch() -> None:
    for kind in sorted({kind for kind, _ in OPTIMIZERS.values()}):
        mine = getattr(ours.optim, kind)([ours.nn.Parameter(ours.ones(1))])
        reference = getattr(theirs.optim, kind)([theirs.nn.Parameter(theirs.ones(1))])
        for key, value in mine.param_groups[0].items():
            if key != "params":
                assert value == reference.param_groups[0][key], (kind, key)


def test_groups_have_settings_of_their_own() -> None:
    def run(torch: Any, model: Any) -> Any:
        groups = [{"params": model[0].parameters()}, {"params": [model[2].weight], "lr": 0.5}]
        optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.5)
        optimizer.add_param_group({"params": model[2].bias, "lr": 0.0})
        train(torch, model, optimizer, 4)
        return model

    reference = network(theirs)
    compare_weights(run(ours, network(ours, reference)), run(theirs, reference))


def test_optimizer_of_plain_tensors() -> None:
    def run(torch: Any) -> Any:
        x = torch.tensor([3.0, -2.0], requires_grad=True)
        optimizer = torch.optim.Adam([x], lr=0.1)
        for _ in range(5):
            optimizer.zero_grad()
            (x**2).sum().backward()
            optimizer.step()
        return x.detach().numpy()

    np.testing.assert_allclose(run(ours), run(theirs), rtol=1e-6)


def test_state_goes_on_where_it_was(tmp_path: Path) -> None:
    mine = network(ours)
    optimizer = ours.optim.Adam(mine.parameters(), lr=0.02)
    train(ours, mine, optimizer, 3)
    ours.save({"epoch": 3, "model": mine.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c.pt")
    train(ours, mine, optimizer, 3)
    saved = ours.load(tmp_path / "c.pt")
    other = network(ours)
    other.load_state_dict(saved["model"])
    again = ours.optim.Adam(other.parameters(), lr=0.5)
    again.load_state_dict(saved["optimizer"])
    train(ours, other, again, 3)
    assert saved["epoch"] == 3 and again.param_groups[0]["lr"] == 0.02
    for a, b in zip(mine.parameters(), other.parameters()):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_optimizer_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="empty parameter list"):
        ours.optim.SGD([])
    with pytest.raises(ValueError, match="lr is at least 0; got -1"):
        ours.optim.SGD([ours.nn.Parameter(ours.ones(1))], lr=-1)
    with pytest.raises(TypeError, match="no argument 'rate'"):
        ours.optim.SGD([ours.nn.Parameter(ours.ones(1))], rate=1)
    with pytest.raises(TypeError, match="write \\[tensor\\]"):
        ours.optim.SGD(ours.nn.Parameter(ours.ones(1)))


Schedule = Callable[[Any, Any], Any]
SCHEDULES: dict[str, Schedule] = {
    "step": lambda s, o: s.StepLR(o, 3, 0.5),
    "multi_step": lambda s, o: s.MultiStepLR(o, [2, 5, 5], 0.3),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.9),
    "constant": lambda s, o: s.ConstantLR(o, 0.5, 4),
    "linear": lambda s, o: s.LinearLR(o, 0.2, 0.9, 6),
    "polynomial": lambda s, o: s.PolynomialLR(o, 6, 2.0),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 5, 0.01),
    "warm_restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2, 0.01),
    "lambda": lambda s, o: s.LambdaLR(o, lambda epoch: 0.9**epoch),
    "multiplicative": lambda s, o: s.MultiplicativeLR(o, lambda epoch: 0.8),
    "one_cycle": lambda s, o: s.OneCycleLR(o, 1.0, total_steps=12),
    "one_cycle_linear": lambda s, o: s.OneCycleLR(o, 1.0, epochs=3, steps_per_epoch=4, anneal_strategy="linear"),
    "sequential": lambda s, o: s.SequentialLR(o, [s.ConstantLR(o, 0.1, 20), s.ExponentialLR(o, 0.9)], milestones=[4]),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule(name: str) -> None:
    rates = []
    for torch in (ours, theirs):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.3)
        scheduler = SCHEDULES[name](torch.optim.lr_scheduler, optimizer)
        found = [optimizer.param_groups[0]["lr"]]
        for _ in range(11):
            optimizer.step()
            scheduler.step()
            found.append(optimizer.param_groups[0]["lr"])
        assert scheduler.get_last_lr() == [found[-1]]
        rates.append(found)
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-9, atol=1e-12)


def test_reduce_on_plateau() -> None:
    losses = [1.0, 0.9, 0.9, 0.95, 0.9, 0.89, 0.9, 0.9, 0.9, 0.9, 0.9]
    for settings in ({"patience": 1}, {"patience": 0, "factor": 0.5, "cooldown": 2, "min_lr": 0.05},
                     {"mode": "max", "patience": 2, "threshold": 0.02, "threshold_mode": "abs"}):  # fmt: skip
        rates = []
        for torch in (ours, theirs):
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.3)
            scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
            found = []
            for loss in losses:
                scheduler.step(loss)
                found.append(optimizer.param_groups[0]["lr"])
            rates.append(found)
        np.testing.assert_allclose(rates[0], rates[1])


def test_a_compiled_step_follows_the_schedule() -> None:
    reference = network(theirs)
    mine = network(ours, reference)

    def run(torch: Any, model: Any) -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

        def step(x: Any, y: Any) -> None:
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(x), y).backward()
            optimizer.step()

        step = torch.compile(step) if torch is ours else step
        for _ in range(4):
            step(torch.tensor(X), torch.tensor(Y))
            scheduler.step()

    run(ours, mine)
    run(theirs, reference)
    compare_weights(mine, reference)


def test_clipping_of_gradients() -> None:
    reference = network(theirs)
    mine = network(ours, reference)
    for torch, model in ((ours, mine), (theirs, reference)):
        torch.nn.functional.mse_loss(model(torch.tensor(X)), torch.tensor(Y)).backward()
    before = ours.nn.utils.clip_grad_norm_(mine.parameters(), 0.1)
    assert before.item() == pytest.approx(theirs.nn.utils.clip_grad_norm_(reference.parameters(), 0.1).item(), rel=1e-5)
    for a, b in zip(mine.parameters(), reference.parameters()):
        np.testing.assert_allclose(np.asarray(a.grad), b.grad.numpy(), rtol=1e-4, atol=1e-7)
    ours.nn.utils.clip_grad_value_(mine.parameters(), 0.001)
    assert max(abs(np.asarray(p.grad)).max() for p in mine.parameters()) <= 0.001


def test_lamina_optimizers_tapes_and_functions_work_on_the_parameters() -> None:
    model = network(ours)
    optimizer = lamina.optimizers.Adam(0.01)
    variables = list(model.parameters())

    @lamina.function
    def step(x: Any, y: Any) -> Any:
        with lamina.GradientTape() as tape:
            loss = ours.nn.functional.mse_loss(model(x), y)
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    losses = [step(ours.tensor(X), ours.tensor(Y)).item() for _ in range(50)]
    assert losses[-1] < 0.7 * losses[0]
    assert len(step.captures) == 1


def transposes(function: Any, *arguments: Any) -> list[int]:
    nodes = function.graph(*arguments).nodes
    return sorted(n.outputs[0].size for n in nodes if n.primitive.name == "transpose")


def test_a_compiled_step_moves_no_more_memory_than_one_of_lamina_layers() -> None:
    x, y = ours.tensor(X), ours.tensor(Y)
    model = network(ours)
    torch_optimizer, optimizer = ours.optim.Adam(model.parameters()), lamina.optimizers.Adam()

    @lamina.function
    def torch_step(x: Any, y: Any) -> Any:
        torch_optimizer.zero_grad()
        loss = ours.nn.functional.mse_loss(model(x), y)
        loss.backward()
        torch_optimizer.step()
        return loss

    layers = lamina.layers
    reference = lamina.Sequential([layers.Input((5,)), layers.Dense(8, "tanh"), layers.Dense(3)])

    def step_of(model: Any) -> Any:
        weights = list(model.trainable_variables)

        @lamina.function
        def step(x: Any, y: Any) -> Any:
            with lamina.GradientTape() as tape:
                loss = ours.nn.functional.mse_loss(model(x), y)
            optimizer.apply(tape.gradient(loss, weights), weights)
            return loss

        return step

    expected = transposes(step_of(reference), x, y)
    assert transposes(torch_step, x, y) == expected
    optimizer = lamina.optimizers.Adam()
    assert transposes(step_of(model), x, y) == expected


def test_a_compiled_module_is_differentiated() -> None:
    reference = network(ours)
    mine = network(ours)
    mine.load_state_dict(reference.state_dict())
    compiled = ours.compile(mine)
    for model in (compiled, reference):
        train(ours, model, ours.optim.SGD(model.parameters(), lr=0.1), 4)
    for a, b in zip(mine.parameters(), reference.parameters()):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6)
    assert next(iter(compiled.state_dict())) == "_orig_mod.0.weight" and compiled._orig_mod is mine
    with ours.no_grad():
        assert not compiled(ours.tensor(X)).requires_grad


def test_a_compiled_step_follows_the_mode() -> None:
    model = ours.nn.Sequential(ours.nn.Linear(5, 5), ours.nn.Dropout(0.5))
    run = ours.compile(lambda x: model(x))
    x = ours.tensor(X)
    model.eval()
    first = run(x)
    assert ours.equal(first, run(x)) and ours.allclose(first, model(x), atol=1e-6)
    model.train()
    assert not ours.allclose(run(x), run(x))


def test_a_compiled_step_that_never_clears_gradients_is_refused() -> None:
    model = network(ours)

    @ours.compile
    def step(x: Any) -> Any:
        loss = model(x).sum()
        loss.backward()
        return loss

    with pytest.raises(lamina.CaptureError, match=r"optimizer\.zero_grad\(\)"):
        step(ours.tensor(X))
    assert all(p.grad is None for p in model.parameters())
