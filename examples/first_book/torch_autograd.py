"""Gradients: one layer by hand, histories, ``no_grad``, a straight line and a sine fitted by hand."""

from __future__ import annotations

import math

from lamina.compat import torch


def one_layer() -> None:
    """A product, a sum, a loss, and the gradients of both parameters."""
    x = torch.ones(5)
    y = torch.zeros(3)
    w = torch.full((5, 3), 0.1, requires_grad=True)
    b = torch.zeros(3, requires_grad=True)
    z = torch.matmul(x, w) + b
    loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y)
    print(f"how z came about: {z.grad_fn}, and the loss: {loss.grad_fn}")
    loss.backward()
    print(f"gradient of b: {b.grad}")
    print(f"gradient of w, first row: {w.grad[0]}")
    print(f"z requires a gradient: {z.requires_grad}")
    with torch.no_grad():
        z = torch.matmul(x, w) + b
    print(f"under no_grad: {z.requires_grad}, detached: {(w * 2).detach().requires_grad}")


def gradients_add_up() -> None:
    """``backward`` adds to what is there; a second walk needs the graph kept."""
    inp = torch.eye(2, 3, requires_grad=True)
    out = (inp + 1).pow(2).t()
    out.backward(torch.ones_like(out), retain_graph=True)
    print(f"first call:\n{inp.grad}")
    out.backward(torch.ones_like(out), retain_graph=True)
    print(f"second call adds:\n{inp.grad}")
    inp.grad.zero_()
    out.backward(torch.ones_like(out))
    print(f"after zeroing as at first: {inp.grad[0].tolist()}")


def straight_line() -> None:
    """Degrees of a thermometer without a unit, fitted by gradient descent."""
    t_c = torch.tensor([0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0])
    t_u = torch.tensor([35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4]) * 0.1
    params = torch.tensor([1.0, 0.0], requires_grad=True)
    for _ in range(5000):
        if params.grad is not None:
            params.grad.zero_()
        w, b = params
        loss = ((w * t_u + b - t_c) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            params -= 1e-2 * params.grad
    print(f"line: {params[0].item():.3f} t + {params[1].item():.3f}, loss {loss.item():.3f}")

    params = torch.tensor([1.0, 0.0], requires_grad=True)
    optimizer = torch.optim.SGD([params], lr=1e-2)
    for _ in range(5000):
        loss = ((params[0] * t_u + params[1] - t_c) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"the same with an optimizer: {params[0].item():.3f} t + {params[1].item():.3f}")


def sine() -> None:
    """A polynomial of third degree near the sine, then the same as a small network."""
    torch.manual_seed(0)
    x = torch.linspace(-math.pi, math.pi, 2000)
    y = torch.sin(x)
    a, b, c, d = (torch.randn((), requires_grad=True) for _ in range(4))
    for _ in range(2000):
        loss = (a + b * x + c * x**2 + d * x**3 - y).pow(2).sum()
        loss.backward()
        with torch.no_grad():
            for p in (a, b, c, d):
                p -= 1e-6 * p.grad
                p.grad = None
    print(
        f"sine: y = {a.item():.2f} + {b.item():.2f} x + {c.item():.2f} x^2 + {d.item():.2f} x^3, loss {loss.item():.1f}"
    )

    xx = x.unsqueeze(-1).pow(torch.tensor([1, 2, 3]))
    model = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0, 1))
    loss_fn = torch.nn.MSELoss(reduction="sum")
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    for _ in range(2000):
        loss = loss_fn(model(xx), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    linear = model[0]
    print(f"as a network: {linear.bias.item():.2f} + {linear.weight[:, 0].item():.2f} x + ..., loss {loss.item():.1f}")


def main() -> None:
    one_layer()
    gradients_add_up()
    straight_line()
    sine()


if __name__ == "__main__":
    main()
