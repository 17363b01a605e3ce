"""Sinusoidal representation network: coordinates in, signal out."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

OMEGA = 20.0  # frequency of the sines; the paper's 30 asks for finer phases than int8 has


class Siren(nn.Module):
    """``x -> W sin(omega ... sin(omega (W x + b)) ...) + b``, initialised to keep every layer's spread.

    Sitzmann et al. 2020 (arXiv 2006.09661), section 3.2: first layer uniform in +-1/inputs, the others in
    +-sqrt(6/inputs)/omega.
    """

    def __init__(
        self,
        shape: tuple[int, ...] = (2,),
        outputs: int = 3,
        hidden: int = 32,
        layers: int = 3,
        omega: float = OMEGA,
    ) -> None:
        super().__init__()
        self.omega = omega
        sizes = [math.prod(shape), *[hidden] * layers]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.head = nn.Linear(hidden, outputs)
        with torch.no_grad():
            for index, layer in enumerate((*self.hidden, self.head)):
                inputs = layer.weight.shape[1]
                bound = 1.0 / inputs if index == 0 else math.sqrt(6.0 / inputs) / omega
                layer.weight.uniform_(-bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = torch.sin(self.omega * layer(x))
        out: Tensor = self.head(x)
        return out
