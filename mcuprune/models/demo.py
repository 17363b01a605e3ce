"""The network of the demonstration: far wider than its budget allows."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ConvNorm(nn.Module):
    """A 3x3 convolution without bias, and batch normalization."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        return out


class DemoCNN(nn.Module):
    """24x24 grey scenes to 10 digits: a stem, a residual block, two reductions, a linear head."""

    def __init__(self, width: int = 32, classes: int = 10) -> None:
        super().__init__()
        self.stem = ConvNorm(1, width, stride=2)
        self.body1, self.body2 = ConvNorm(width, width), ConvNorm(width, width)
        self.reduce1 = ConvNorm(width, 2 * width, stride=2)
        self.reduce2 = ConvNorm(2 * width, 2 * width, stride=2)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        x = F.relu(x + self.body2(F.relu(self.body1(x))))
        x = F.relu(self.reduce2(F.relu(self.reduce1(x))))
        out: Tensor = self.head(x.mean((2, 3)))
        return out
