"""Layers that several networks are made of."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mcuprune.errors import UsageError


class ConvNorm(nn.Module):
    """Convolution without bias, batch normalization; odd kernels keep the size at stride 1."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        return out


class Separable(nn.Module):
    """3x3 depthwise and 1x1 convolution, each with batch normalization and ReLU (Howard et al. 2017)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = ConvNorm(inputs, inputs, 3, stride, groups=inputs)
        self.pointwise = ConvNorm(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.pointwise(F.relu(self.depthwise(x))))


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut, a 1x1 convolution where sizes differ (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, 3, stride)
        self.second = ConvNorm(outputs, outputs, 3)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else ConvNorm(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.second(F.relu(self.first(x))))


def image_shape(shape: tuple[int, ...], network: str, smallest: int) -> tuple[int, int, int]:
    """``shape`` as (channels, height, width); UsageError unless both sides have ``smallest`` pixels."""
    if len(shape) != 3 or min(shape[1:]) < smallest:
        raise UsageError(
            f"model '{network}' needs images of at least {smallest}x{smallest} pixels, the data are "
            f"{shape}, channels first; choose another model"
        )
    return shape[0], shape[1], shape[2]
