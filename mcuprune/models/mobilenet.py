"""Depthwise-separable network for small colour images."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mcuprune.models.blocks import ConvNorm, Separable, image_shape


class SmallMobileNet(nn.Module):
    """MobileNet (Howard et al. 2017, arXiv 1704.04861) for 32x32 pixels: a strided 3x3 stem and six blocks.

    Maps are halved by the stem and twice more; widths double with every halving.
    """

    def __init__(self, shape: tuple[int, ...] = (3, 32, 32), outputs: int = 10, width: int = 32) -> None:
        super().__init__()
        channels, _, _ = image_shape(shape, "small_mobilenet", 8)
        self.stem = ConvNorm(channels, width, 3, stride=2)
        self.blocks = nn.Sequential(
            Separable(width, width),
            Separable(width, 2 * width, 2),
            Separable(2 * width, 2 * width),
            Separable(2 * width, 4 * width, 2),
            Separable(4 * width, 4 * width),
            Separable(4 * width, 4 * width),
        )
        self.head = nn.Linear(4 * width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.blocks(F.relu(self.stem(x))).mean((2, 3)))
        return out
