"""Fully connected network."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn


class MLP(nn.Module):
    """Two hidden layers of 128; images are flattened first."""

    def __init__(self, shape: tuple[int, ...] = (64,), outputs: int = 10, hidden: int = 128) -> None:
        super().__init__()
        self.first = nn.Linear(math.prod(shape), hidden)
        self.second = nn.Linear(hidden, hidden)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(F.relu(self.second(F.relu(self.first(x.flatten(1))))))
        return out
