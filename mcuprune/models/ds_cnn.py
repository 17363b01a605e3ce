"""Depthwise-separable network of keyword spotting."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mcuprune.models.blocks import ConvNorm, Separable, image_shape


class DSCNN(nn.Module):
    """DS-CNN (Zhang et al. 2017, arXiv 1711.07128) for images of any size: 64 channels, four blocks.

    The stem's stride is 2; large images are halved again, block by block, until a side is 8 pixels or less.
    """

    def __init__(self, shape: tuple[int, ...] = (1, 49, 10), outputs: int = 12, width: int = 64) -> None:
        super().__init__()
        channels, height, columns = image_shape(shape, "ds_cnn", 4)
        self.stem = ConvNorm(channels, width, 5, stride=2)
        blocks, side = [], min(height, columns) // 2
        for _ in range(4):
            blocks.append(Separable(width, width, 2 if side > 8 else 1))
            side = side // 2 if side > 8 else side
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.blocks(F.relu(self.stem(x))).mean((2, 3)))
        return out
