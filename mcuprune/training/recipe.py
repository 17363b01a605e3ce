"""How a network is trained, apart from its data: epochs, batches, optimizer and its rate."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import nn

from mcuprune.errors import UsageError
from mcuprune.graph.ir import BatchNorm, Conv2d, DepthwiseConv2d, Graph, Linear
from mcuprune.training.compute import Compute

OPTIMIZERS = ("adamw", "sgd")
MOMENTUM = 0.9
SGD_RATE, SGD_BATCH = 0.3, 64  # a rate for batches of that size; it grows with them (Goyal et al. 2017)
SGD_DECAY, FORGET = 5e-4, 0.85  # largest decay; largest product, about, of it with rate and steps


@dataclass(frozen=True)
class Recipe:
    """Batches are drawn anew each epoch; ``learning_rate`` is the largest of a schedule over all steps.

    ``optimizer``: ``adamw``, or ``sgd`` with Nesterov momentum.  ``widths``: the least and the most that a
    search tries, as multiples of those of uniform scaling (docs/explain/compression.md).
    """

    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    optimizer: str = "adamw"
    widths: tuple[float, float] = (0.75, 5.0)
    seed: int = 0
    compute: Compute = field(default_factory=Compute)

    def steps(self, samples: int) -> int:
        """Optimizer steps of an epoch."""
        return max(1, samples // self.batch_size)

    def with_sgd(self, samples: int, rate: float | None = None) -> Recipe:
        """The recipe for a network that :func:`is_normalized`, at that rate or the usual one.

        Decay works by what it takes of the weights in a whole run, so a long one has less of it (Wang &
        Aitchison 2024, arXiv 2405.13698).
        """
        rate = rate or SGD_RATE * self.batch_size / SGD_BATCH
        decay = min(SGD_DECAY, FORGET / (rate * self.epochs * self.steps(samples)))
        return replace(self, optimizer="sgd", learning_rate=rate, weight_decay=float(f"{decay:.0e}"))

    def without_norms(self) -> Recipe:
        """The recipe once batch norms are folded: sgd's rates are far too large for such a network."""
        if self.optimizer == "adamw":
            return self
        rate, decay = Recipe.learning_rate, Recipe.weight_decay
        return replace(self, optimizer="adamw", learning_rate=rate, weight_decay=decay)


def is_normalized(graph: Graph) -> bool:
    """Whether a batch norm follows every layer with weights but the last.

    The size of such weights means nothing but their rate (Zhang et al. 2019, arXiv 1810.12281): sgd may take
    large steps then, and small networks learn more by it than by AdamW (docs/explain/compression.md).
    """
    weighted = [node.name for node in graph.nodes if isinstance(node, Conv2d | DepthwiseConv2d | Linear)]
    normalized = {node.inputs[0] for node in graph.nodes if isinstance(node, BatchNorm)}
    return len(weighted) > 1 and normalized.issuperset(weighted[:-1])


def make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's; only weights (not biases and batch norms) decay.  UsageError for an unknown one."""
    learning = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learning if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in learning if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=MOMENTUM, nesterov=True, fused=True)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    raise UsageError(f"unknown optimizer '{recipe.optimizer}'; use {' or '.join(OPTIMIZERS)}")


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
