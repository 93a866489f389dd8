"""The optimizers, with PyTorch's formulas, defaults and places of epsilon."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lamina import ops
from lamina.compat.torch.optim.optimizer import Group, Optimizer
from lamina.core.errors import ArgumentError

_Slot = Callable[..., Any]
_Number = Callable[[], Any]


def _like(scalar: Any, w: Any) -> Any:
    """A number computed in float64, in the dtype of the weights."""
    return ops.astype(scalar, w.dtype)


def _decayed(group: Group, w: Any, g: Any) -> Any:
    """The gradient with that of the penalty ``weight_decay / 2 * |w|**2``."""
    return ops.add(g, ops.multiply(w, group["weight_decay"])) if group["weight_decay"] else g


def _shrunk(group: Group, w: Any) -> Any:
    """The weights after a decay that has nothing to do with the gradient."""
    if not group["weight_decay"]:
        return w
    return ops.multiply(w, _like(ops.subtract(1.0, ops.multiply(group.rate.value, group["weight_decay"])), w))


def _follow(slot: Any, value: Any, keep: float) -> Any:
    """The slot's new mean: ``keep`` of the old one and the rest of the value."""
    mean = ops.add(ops.multiply(slot.value, keep), ops.multiply(value, 1 - keep))
    slot.assign(mean)
    return mean


def _check_betas(betas: Any) -> None:
    if len(betas) != 2 or not all(0 <= b < 1 for b in betas):
        raise ArgumentError(f"betas are two numbers from 0 to below 1; got {betas}.")


class SGD(Optimizer):
    """``v = momentum * v + (1 - dampening) * g; w -= lr * v`` (without momentum ``w -= lr * g``).

    With ``nesterov`` the step is along ``g + momentum * v``.

    Args:
        params: parameters or groups.
        lr: learning rate.
        momentum: see the formula.
        dampening: see the formula; the first ``v`` is ``g``.
        weight_decay: times the weights, added to the gradient.
        nesterov: see above.
        maximize: go up instead of down.
        kwargs: ``foreach``, ``fused`` and the like, which change nothing here.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        **kwargs: Any,
    ) -> None:
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ArgumentError("Nesterov momentum requires a momentum and zero dampening")
        _known(kwargs)
        super().__init__(
            params,
            dict(
                lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov,
                maximize=maximize,
            ),
        )  # fmt: skip

    def _update(self, group: Group, w: Any, g: Any, slot: _Slot, number: _Number) -> Any:
        g, momentum = _decayed(group, w, g), group["momentum"]
        if momentum:
            buffer = slot("momentum_buffer")
            velocity = ops.multiply(buffer.value, momentum)
            if group["dampening"]:
                first = ops.equal(number(), 1.0)
                velocity = ops.where(first, g, ops.add(velocity, ops.multiply(g, 1 - group["dampening"])))
            else:
                velocity = ops.add(velocity, g)
            buffer.assign(velocity)
            g = ops.add(g, ops.multiply(velocity, momentum)) if group["nesterov"] else velocity
        return ops.subtract(w, ops.multiply(g, _like(group.rate.value, w)))


class Adam(Optimizer):
    """``w -= lr / (1 - b1**t) * m / (sqrt(v / (1 - b2**t)) + eps)``: running means ``m`` of ``g``, ``v`` of ``g**2``.

    Args:
        params: parameters or groups.
        lr: learning rate.
        betas: how slowly the two means follow.
        eps: see the formula.
        weight_decay: times the weights, added to the gradient.
        amsgrad: whether the largest ``v`` so far is used.
        maximize: go up instead of down.
        kwargs: ``foreach``, ``fused`` and the like, which change nothing here.

    Source: Kingma and Ba, "Adam", ICLR 2015.
    """

    _decoupled = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **kwargs: Any,
    ) -> None:
        _check_betas(betas)
        _known(kwargs)
        defaults = dict(
            lr=lr, betas=tuple(betas), eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize
        )
        super().__init__(params, defaults)

    def _update(self, group: Group, w: Any, g: Any, slot: _Slot, number: _Number) -> Any:
        if self._decoupled:
            w = _shrunk(group, w)
        else:
            g = _decayed(group, w, g)
        t, (b1, b2) = number(), group["betas"]
        m = _follow(slot("exp_avg"), g, b1)
        v = _follow(slot("exp_avg_sq"), ops.square(g), b2)
        if group["amsgrad"]:
            largest = slot("max_exp_avg_sq")
            v = ops.maximum(largest.value, v)
            largest.assign(v)
        size = _like(ops.divide(group.rate.value, ops.subtract(1.0, ops.pow(b1, t))), w)
        correction = _like(ops.rsqrt(ops.subtract(1.0, ops.pow(b2, t))), w)
        step = ops.divide(ops.multiply(m, size), ops.add(ops.multiply(ops.sqrt(v), correction), group["eps"]))
        return ops.subtract(w, step)


class AdamW(Adam):
    """``Adam`` whose weights first shrink by ``lr * weight_decay`` times themselves.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """

    _decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, **kwargs)


class Adamax(Optimizer):
    """``w -= lr / (1 - b1**t) * m / u`` with ``u = max(b2 * u, |g| + eps)``."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **kwargs: Any,
    ) -> None:
        _check_betas(betas)
        _known(kwargs)
        super().__init__(params, dict(lr=lr, betas=tuple(betas), eps=eps, weight_decay=weight_decay, maximize=maximize))

    def _update(self, group: Group, w: Any, g: Any, slot: _Slot, number: _Number) -> Any:
        g, (b1, b2) = _decayed(group, w, g), group["betas"]
        m, largest = _follow(slot("exp_avg"), g, b1), slot("exp_inf")
        u = ops.maximum(ops.multiply(largest.value, b2), ops.add(ops.abs(g), group["eps"]))
        largest.assign(u)
        size = _like(ops.divide(group.rate.value, ops.subtract(1.0, ops.pow(b1, number()))), w)
        return ops.subtract(w, ops.multiply(ops.divide(m, u), size))


class NAdam(Optimizer):
    """``Adam`` with Nesterov's momentum (Dozat, 2016)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **kwargs: Any,
    ) -> None:
        _check_betas(betas)
        _known(kwargs)
        super().__init__(
            params,
            dict(
                lr=lr, betas=tuple(betas), eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay,
                decoupled_weight_decay=decoupled_weight_decay, maximize=maximize,
            ),
        )  # fmt: skip

    def _update(self, group: Group, w: Any, g: Any, slot: _Slot, number: _Number) -> Any:
        if group["decoupled_weight_decay"]:
            w = _shrunk(group, w)
        else:
            g = _decayed(group, w, g)
        t, (b1, b2), decay = number(), group["betas"], group["momentum_decay"]

        def share(n: Any) -> Any:
            return ops.multiply(b1, ops.subtract(1.0, ops.multiply(0.5, ops.pow(0.96, ops.multiply(n, decay)))))

        now, following = share(t), share(ops.add(t, 1.0))
        product = slot("mu_product", 1.0, (), "float64")
        whole = ops.multiply(product.value, now)
        product.assign(whole)
        m, v = _follow(slot("exp_avg"), g, b1), _follow(slot("exp_avg_sq"), ops.square(g), b2)
        root = ops.sqrt(ops.multiply(v, _like(ops.reciprocal(ops.subtract(1.0, ops.pow(b2, t))), w)))
        rate = group.rate.value
        of_g = ops.divide(ops.multiply(rate, ops.subtract(1.0, now)), ops.subtract(1.0, whole))
        of_m = ops.divide(ops.multiply(rate, following), ops.subtract(1.0, ops.multiply(whole, following)))
        step = ops.add(ops.multiply(g, _like(of_g, w)), ops.multiply(m, _like(of_m, w)))
        return ops.subtract(w, ops.divide(step, ops.add(root, group["eps"])))


class RMSprop(Optimizer):
    """``v = alpha * v + (1 - alpha) * g**2; w -= lr * g / (sqrt(v) + eps)``.

    Args:
        params: parameters or groups.
        lr: learning rate.
        alpha: see the formula.
        eps: see the formula.
        weight_decay: times the weights, added to the gradient.
        momentum: if set, the steps are accumulated: ``b = momentum * b + step; w -= lr * b``.
        centered: whether the square of the mean gradient is subtracted from ``v``.
        maximize: go up instead of down.
        kwargs: ``foreach`` and the like, which change nothing here.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
        **kwargs: Any,
    ) -> None:
        _known(kwargs)
        super().__init__(
            params,
            dict(
                lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered,
                maximize=maximize,
            ),
        )  # fmt: skip

    def _update(self, group: Group, w: Any, g: Any, slot: _Slot, number: _Number) -> Any:
        g = _decayed(group, w, g)
        v = _follow(slot("square_avg"), ops.square(g), group["alpha"])
        if group["centered"]:
            v = ops.subtract(v, ops.square(_follow(slot("grad_avg"), g, group["alpha"])))
        step = ops.divide(g, ops.add(ops.sqrt(v), group["eps"]))
        if group["momentum"]:
            buffer = slot("momentum_buffer")
            step = ops.add(ops.multiply(buffer.value, group["momentum"]), step)
            buffer.assign(step)
        return ops.subtract(w, ops.multiply(step, _like(group.rate.value, w)))


class Adagrad(Optimizer):
    """``s += g**2; w -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)``."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        **kwargs: Any,
    ) -> None:
        _known(kwargs)
        super().__init__(
            params,
            dict(
                lr=lr, lr_decay=lr_decay, weight_decay=weight_decay,
                initial_accumulator_value=initial_accumulator_value, eps=eps, maximize=maximize,
            ),
        )  # fmt: skip

    def _update(self, group: Group, w: Any, g: Any, slot: _Slot, number: _Number) -> Any:
        g, total = _decayed(group, w, g), slot("sum", group["initial_accumulator_value"])
        squares = ops.add(total.value, ops.square(g))
        total.assign(squares)
        slower = ops.add(1.0, ops.multiply(ops.subtract(number(), 1.0), group["lr_decay"]))
        size = _like(ops.divide(group.rate.value, slower), w)
        return ops.subtract(w, ops.divide(ops.multiply(g, size), ops.add(ops.sqrt(squares), group["eps"])))


class Adadelta(Optimizer):
    """``d = sqrt(u + eps) / sqrt(v + eps) * g; w -= lr * d``: running means ``v`` of ``g**2``, ``u`` of ``d**2``."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **kwargs: Any,
    ) -> None:
        _known(kwargs)
        super().__init__(params, dict(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize))

    def _update(self, group: Group, w: Any, g: Any, slot: _Slot, number: _Number) -> Any:
        g, eps, steps = _decayed(group, w, g), group["eps"], slot("acc_delta")
        v = _follow(slot("square_avg"), ops.square(g), group["rho"])
        delta = ops.multiply(ops.divide(ops.sqrt(ops.add(steps.value, eps)), ops.sqrt(ops.add(v, eps))), g)
        _follow(steps, ops.square(delta), group["rho"])
        return ops.subtract(w, ops.multiply(delta, _like(group.rate.value, w)))


def _known(kwargs: dict[str, Any]) -> None:
    """PyTorch's arguments about how the work is done say nothing here."""
    unknown = set(kwargs) - {"foreach", "fused", "capturable", "differentiable"}
    if unknown:
        raise TypeError(f"This optimizer has no argument {', '.join(sorted(map(repr, unknown)))}.")
