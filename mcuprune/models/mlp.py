"""Fully connected network."""

from __future__ import annotations

import math
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class MLP(nn.Module):
    """Hidden layers of the given widths, ReLU behind each; images are flattened first."""

    def __init__(
        self, shape: tuple[int, ...] = (64,), outputs: int = 10, hidden: tuple[int, ...] = (128, 128)
    ) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((math.prod(shape), *hidden)))
        self.head = nn.Linear(hidden[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.hidden:
            x = F.relu(layer(x))
        out: Tensor = self.head(x)
        return out
