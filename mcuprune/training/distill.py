"""Knowledge distillation: a small network also learns from a large one's outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mcuprune.graph.ir import Graph, Softmax
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import Arrays, Loss, predict

TEMPERATURE = 3.0
SMALLEST = 1.0 / 512.0  # added to probabilities before the logarithm: half an int8 step of a softmax


def distilled(data: Arrays, loss: Loss, teacher: Graph, share: float) -> tuple[Arrays, Loss]:
    """Data whose targets also hold the teacher's outputs, and a loss that reads them.

    ``(1 - share) * loss + share * T^2 * KL(teacher / T || student / T)`` for class labels (Hinton et al.
    2015, arXiv 1503.02531), mean squared distance for signals.  The teacher sees what the student sees: of
    augmented data every batch, in the step (Beyer et al. 2022, arXiv 2106.05237); of others it runs once
    over the data, and training costs what it costs without it.
    """
    module, labelled = GraphModule(teacher), data.y.ndim == 1
    module.eval()
    width = 1 if labelled else data.y.shape[1]
    ends_in_softmax = isinstance(next(n for n in teacher.nodes if n.name == teacher.outputs[0]), Softmax)

    def combined(found: Tensor, packed: Tensor) -> Tensor:
        target = packed[:, 0].long() if labelled else packed[:, :width]
        hard, wanted = loss(found, target), packed[:, width:]
        if not labelled:
            return (1 - share) * hard + share * F.mse_loss(found, wanted)
        if ends_in_softmax:
            found, wanted = torch.log(found + SMALLEST), torch.log(wanted + SMALLEST)
        soft = F.kl_div(
            F.log_softmax(found / TEMPERATURE, 1),
            F.log_softmax(wanted / TEMPERATURE, 1),
            reduction="batchmean",
            log_target=True,
        )
        return (1 - share) * hard + share * TEMPERATURE**2 * soft

    if data.augment is None:
        own = data.y.reshape(len(data.y), width).astype(np.float32)
        return replace(data, y=np.concatenate([own, predict(module, data.x)], axis=1)), combined

    def taught(x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([y.reshape(len(y), width).float(), module.to(x.device)(x)], dim=1)

    return replace(data, taught=taught), combined
