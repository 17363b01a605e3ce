"""Residual network of image classification on microcontrollers."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mcuprune.models.blocks import ConvNorm, Residual, image_shape


class SmallResNet(nn.Module):
    """ResNet-8 of MLPerf Tiny (Banbury et al. 2021, arXiv 2106.07597): three residual blocks, 16-32-64.

    With ``blocks`` = 3 for every size of map it is the ResNet-20 of He et al. (2016, section 4.2), with 1x1
    convolutions as shortcuts.
    """

    def __init__(
        self, shape: tuple[int, ...] = (3, 32, 32), outputs: int = 10, width: int = 16, blocks: int = 1
    ) -> None:
        super().__init__()
        channels, _, _ = image_shape(shape, "small_resnet", 8)
        self.stem = ConvNorm(channels, width, 3)
        same = blocks - 1
        self.blocks = nn.Sequential(
            *(Residual(width, width) for _ in range(blocks)),
            Residual(width, 2 * width, 2),
            *(Residual(2 * width, 2 * width) for _ in range(same)),
            Residual(2 * width, 4 * width, 2),
            *(Residual(4 * width, 4 * width) for _ in range(same)),
        )
        self.head = nn.Linear(4 * width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.blocks(F.relu(self.stem(x))).mean((2, 3)))
        return out
