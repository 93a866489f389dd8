"""Tensors: made from data, from arrays and from other tensors; their attributes; what is done with them."""

from __future__ import annotations

import numpy as np

from lamina.compat import torch


def main() -> None:
    data = [[1, 2], [3, 4]]
    x_data = torch.tensor(data)
    np_array = np.array(data)
    x_np = torch.from_numpy(np_array)
    print(f"from a list: {x_data.tolist()}  from NumPy: {x_np.tolist()}")
    x_ones = torch.ones_like(x_data)
    x_rand = torch.rand_like(x_data, dtype=torch.float)
    print(f"ones like it:\n{x_ones}\nrandom numbers between {x_rand.min().item():.0f} and 1: {tuple(x_rand.shape)}")
    shape = (2, 3)
    print(f"zeros:\n{torch.zeros(shape)}")

    tensor = torch.rand(3, 4)
    print(f"shape {tensor.shape}, dtype {tensor.dtype}, stored on {tensor.device}")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tensor = tensor.to(device)

    tensor = torch.ones(4, 4)
    tensor[:, 1] = 0
    print(f"first row: {tensor[0]}\nfirst column: {tensor[:, 0]}\nlast column: {tensor[..., -1]}\n{tensor}")
    joined = torch.cat([tensor, tensor, tensor], dim=1)
    print(f"joined: {joined.shape}, stacked: {torch.stack([tensor, tensor]).shape}")

    y1 = tensor @ tensor.T
    y2 = tensor.matmul(tensor.T)
    y3 = torch.matmul(tensor, tensor.T)
    print(f"three ways to one product: {torch.equal(y1, y2) and torch.equal(y2, y3)}")
    z = tensor * tensor
    print(f"elementwise the same as mul: {torch.equal(z, tensor.mul(tensor))}")
    total = tensor.sum()
    print(f"the sum as a Python number: {total.item()} {type(total.item()).__name__}")

    tensor.add_(5)
    print(f"five added in place: {tensor[0].tolist()}")
    t = torch.ones(5)
    n = t.numpy()
    t.add_(1)
    print(f"the array sees the change: {n}")
    n = np.ones(5)
    t = torch.from_numpy(n)
    np.add(n, 1, out=n)
    print(f"the tensor sees the change: {t}")

    points = torch.tensor([[4.0, 1.0], [5.0, 3.0], [2.0, 1.0]])
    print(f"mean of the columns: {points.mean(dim=0)}, largest in each row: {points.max(dim=1).values}")
    print(
        f"in one row: {points.view(1, -1).shape}, transposed: {points.t().shape}, one more axis: {points[None].shape}"
    )
    torch.manual_seed(1)
    first = torch.randn(2)
    torch.manual_seed(1)
    print(f"the same after the same seed: {torch.equal(first, torch.randn(2))}")


if __name__ == "__main__":
    main()
