"""One-dimensional convolutions over time, as maps of width 1."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from mcuprune.errors import UsageError


class TimeConv(nn.Module):
    """Convolution along time without bias, batch normalization, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, (kernel, 1), (stride, 1), (kernel // 2, 0), groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class SequenceCNN(nn.Module):
    """Sensor sequences (channels, time, 1): a convolution, three separable ones that halve time, a mean."""

    def __init__(self, shape: tuple[int, ...] = (3, 52, 1), outputs: int = 3, width: int = 32) -> None:
        super().__init__()
        if len(shape) != 3 or shape[2] != 1 or shape[1] < 8:
            raise UsageError(
                f"model 'sequence_cnn' needs sequences of at least 8 steps, (channels, steps, 1), the data "
                f"are {shape}; choose another model"
            )
        widths = (width, width, 2 * width, 2 * width)
        blocks: list[nn.Module] = [TimeConv(shape[0], width, 5)]
        for inputs, wide in pairwise(widths):
            blocks += [TimeConv(inputs, inputs, 5, 2, groups=inputs), TimeConv(inputs, wide, 1)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(widths[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.blocks(x).mean((2, 3)))
        return out
