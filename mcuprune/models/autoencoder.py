"""Autoencoder of anomaly detection on microcontrollers."""

from __future__ import annotations

import math
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class Autoencoder(nn.Module):
    """The network of MLPerf Tiny (Banbury et al. 2021): 128-128-128-128-8 and back, batch norm and ReLU."""

    def __init__(
        self, shape: tuple[int, ...] = (640,), outputs: int = 640, width: int = 128, code: int = 8
    ) -> None:
        super().__init__()
        sizes = [math.prod(shape), *[width] * 4, code, *[width] * 4]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.BatchNorm1d(size) for size in sizes[1:])
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.relu(norm(layer(x)))
        out: Tensor = self.head(x)
        return out
