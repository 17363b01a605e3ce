"""The network of the demonstration: far wider than its budget, with every topology that pruning must get right."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class _ConvNorm(nn.Module):
    """Convolution without bias and batch normalization."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        return out


class DemoCNN(nn.Module):
    """24x24 grey scenes to 10 digits: a stem, a residual block, two depthwise-separable blocks, a linear head."""

    def __init__(self, width: int = 32, classes: int = 10) -> None:
        super().__init__()
        self.stem = _ConvNorm(1, width, 3, stride=2)
        self.body = nn.ModuleList([_ConvNorm(width, width, 3), _ConvNorm(width, width, 3)])
        self.depthwise1 = _ConvNorm(width, width, 3, stride=2, groups=width)
        self.pointwise1 = _ConvNorm(width, 2 * width, 1)
        self.depthwise2 = _ConvNorm(2 * width, 2 * width, 3, groups=2 * width)
        self.pointwise2 = _ConvNorm(2 * width, 3 * width, 1)
        self.head = nn.Linear(3 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        x = F.relu(x + self.body[1](F.relu(self.body[0](x))))
        x = F.relu(self.pointwise1(F.relu(self.depthwise1(x))))
        x = F.relu(self.pointwise2(F.relu(self.depthwise2(x))))
        out: Tensor = self.head(x.mean((2, 3)))
        return out
