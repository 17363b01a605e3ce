"""Networks that the tests of several areas share: one per structural difficulty."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Chain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 6, 3, padding=1)
        self.b = nn.Conv2d(6, 8, 3, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.c = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.sigmoid(self.a(x))  # sigmoid(0) is not 0: gates on activations would be wrong here
        return F.adaptive_avg_pool2d(self.c(F.relu(self.norm(self.b(x)))), 1).flatten(1)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(2, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.body, self.body_norm = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem_norm(self.stem(x)))
        x = F.relu(x + self.body_norm(self.body(x)))
        return self.head(x.mean((2, 3)))


class Separable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 5, 3)
        self.depthwise, self.norm = nn.Conv2d(5, 10, 3, padding=1, groups=5), nn.BatchNorm2d(10)
        self.pointwise = nn.Conv2d(10, 7, 1)
        self.head = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.norm(self.depthwise(F.hardswish(self.stem(x)))))
        return self.head(F.adaptive_avg_pool2d(F.relu(self.pointwise(x)), 1).flatten(1))


class ConcatFlatten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 4, 1)
        self.head = nn.Linear(7 * 4 * 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([torch.tanh(self.left(x)), F.relu(self.right(x))], 1)
        return self.head(F.max_pool2d(x, 2).flatten(1))


class Siren(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(2, 12), nn.Linear(12, 9), nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.sin(6.0 * self.second(torch.sin(6.0 * self.first(x)))))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "chain": (Chain, (2, 8, 8)),
    "residual": (Residual, (2, 8, 8)),
    "separable": (Separable, (2, 8, 8)),
    "concat-flatten": (ConcatFlatten, (2, 8, 8)),
    "siren": (Siren, (2,)),
}


def make_module(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """A network with random weights and batch statistics, and its input shape (channels first)."""
    torch.manual_seed(sorted(NETWORKS).index(name))
    build, shape = NETWORKS[name]
    module = build()
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            nn.init.uniform_(child.weight, 0.5, 1.5)
            nn.init.normal_(child.bias, std=0.3)
            nn.init.normal_(child.running_mean, std=0.3)
            nn.init.uniform_(child.running_var, 0.5, 2.0)
    return module, shape
