"""Plain convolutional networks for small grey images."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mcuprune.models.blocks import ConvNorm, Residual, Separable, image_shape


class LeNet(nn.Module):
    """The LeNet-5 of the pruning literature, 20-50-500: 431,080 parameters on 28x28 (LeCun et al. 1998)."""

    def __init__(self, shape: tuple[int, ...] = (1, 28, 28), outputs: int = 10) -> None:
        super().__init__()
        channels, height, width = image_shape(shape, "lenet", 16)
        self.conv1 = nn.Conv2d(channels, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        left = [((side - 4) // 2 - 4) // 2 for side in (height, width)]
        self.hidden = nn.Linear(50 * left[0] * left[1], 500)
        self.head = nn.Linear(500, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        out: Tensor = self.head(F.relu(self.hidden(x)))
        return out


class PoolCNN(nn.Module):
    """Three 3x3 convolutions, each pooled by two, and a linear head that sees positions."""

    def __init__(self, shape: tuple[int, ...] = (1, 28, 28), outputs: int = 10, width: int = 16) -> None:
        super().__init__()
        channels, height, columns = image_shape(shape, "pool_cnn", 8)
        self.first = ConvNorm(channels, width, 3)
        self.second, self.third = ConvNorm(width, 2 * width, 3), ConvNorm(2 * width, 2 * width, 3)
        self.head = nn.Linear(2 * width * (height // 8) * (columns // 8), outputs)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.first, self.second, self.third):
            x = F.max_pool2d(F.relu(layer(x)), 2)
        out: Tensor = self.head(x.flatten(1))
        return out


class FashionCNN(nn.Module):
    """About 65,000 weights: a strided stem, a residual block, three separable ones, global pooling."""

    def __init__(self, shape: tuple[int, ...] = (1, 28, 28), outputs: int = 10, width: int = 40) -> None:
        super().__init__()
        channels, _, _ = image_shape(shape, "fashion_cnn", 8)
        self.stem = ConvNorm(channels, width, 3, stride=2)
        self.body = Residual(width, width)
        self.middle = nn.Sequential(Separable(width, 2 * width, 2), Separable(2 * width, 3 * width))
        self.last = Separable(3 * width, 4 * width, 2)
        self.head = nn.Linear(4 * width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.middle(self.body(F.relu(self.stem(x)))))
        out: Tensor = self.head(x.mean((2, 3)))
        return out
