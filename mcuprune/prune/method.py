"""The interface of a pruning method: how it touches training, and what it tells the allocator.

A method scores; it never inserts gates, binds budgets, allocates, slices or loops.  Its state is explicit
tensors, so a run can be saved and resumed.  What a user may set are the fields of its frozen dataclass.

The state of channel sites lies on the CPU whatever the module computes on: it is small, and allocation reads
it.  That of weight sites lies beside the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mcuprune.graph.channels import Keep
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import take_step


@dataclass(frozen=True)
class Site:
    """Something that can be reduced: a channel group (``channels``), or one weight constant (``weight``)."""

    key: str
    kind: str
    size: int  # channels: units of the group; weight: elements of the constant


@dataclass
class State:
    """Tensors of a method by purpose and site key; everything that a resumed run needs."""

    tensors: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    def __getitem__(self, purpose: str) -> dict[str, Tensor]:
        return self.tensors[purpose]

    def __setitem__(self, purpose: str, values: dict[str, Tensor]) -> None:
        self.tensors[purpose] = values


@dataclass
class Context:
    """What one training step may use.

    ``loss()`` is the loss of the current batch with the method's transforms applied; ``pressure(expected)``
    is the differentiable price of expected widths (site -> scalar tensor), by the run's binding; ``random``
    is seeded by the step, so that a resumed run draws the same numbers.
    """

    module: GraphModule
    sites: tuple[Site, ...]
    state: State
    optimizer: torch.optim.Optimizer
    loss: Callable[[], Tensor]
    pressure: Callable[[Mapping[str, Tensor]], Tensor]
    random: torch.Generator
    step: int
    progress: float  # 0 at the start of gating, 1 once the budgets are those of the target

    def plain_step(self, extra: Tensor | None = None) -> Tensor:
        """One plain optimizer step; ``extra`` is added to the loss."""
        loss = self.loss()
        take_step(self.optimizer, loss if extra is None else loss + extra.to(loss.device))
        return loss.detach()


def random_of(seed: int, step: int) -> torch.Generator:
    """What a step draws its random numbers from, whether the run was interrupted or not."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


class Method:
    """Base class: does nothing to training and has no opinion.  Subclasses live in ``prune/methods/``."""

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    kind: ClassVar[str] = "channels"
    binding: ClassVar[str] = "pi"  # how budgets bind unless the user says otherwise, see prune/constrain.py

    @property
    def is_pressed(self) -> bool:
        """Whether prices of budgets move its gates: then it says how many units they would keep."""
        return type(self).widths is not Method.widths

    def init(self, module: GraphModule, sites: tuple[Site, ...], random: torch.Generator) -> State:
        """What it learns and remembers, by purpose and site, on the module's device."""
        return State()

    def transform(self, site: Site, tensor: Tensor, state: State) -> Tensor:
        """What training uses for ``tensor``: the gate (ones) of a channel site, or a weight constant."""
        return tensor

    def step(self, context: Context) -> Tensor:
        """One training step; returns the loss."""
        return context.plain_step()

    def assign(self, state: State, keep: Keep) -> None:
        """Take note of the units that currently fit the budgets."""

    def widths(self, state: State) -> dict[str, int] | None:
        """Units that the gates themselves would keep now; None when the method keeps what it is assigned."""
        return None

    def final_masks(self, state: State) -> dict[str, Tensor]:
        """Of a weight method: constant -> the mask that it keeps from the freeze on."""
        return dict(state["mask"])

    def scores(self, state: State) -> dict[str, np.ndarray]:
        """Site -> (units,) predicted loss increase of removing each unit alone, non-negative."""
        raise NotImplementedError(f"{type(self).__name__} has no scores")

    def curves(self, state: State) -> dict[str, np.ndarray]:
        """Site -> (units + 1,) predicted loss increase of keeping ``n`` units; by default units add up."""
        return {key: curve(scores) for key, scores in self.scores(state).items()}


def curve(scores: np.ndarray) -> np.ndarray:
    """Loss increase of keeping ``n`` units, the lowest-scoring going first; entry ``n`` of ``len + 1``."""
    return np.concatenate([np.cumsum(np.sort(scores.astype(np.float64)))[::-1], [0.0]])


def best_units(scores: Mapping[str, np.ndarray], levels: Mapping[str, int]) -> dict[str, np.ndarray]:
    """The ``levels[site]`` best-scoring units of each site, ascending; ties go to the lower number."""
    return {
        key: np.sort(np.argsort(-scores[key], kind="stable")[: levels[key]]).astype(np.int64)
        for key in levels
    }


def mask_of(size: int, kept: np.ndarray) -> Tensor:
    """(size,) float32: 1 at the ``kept`` positions, otherwise 0."""
    mask = torch.zeros(size)
    mask[torch.from_numpy(kept)] = 1.0
    return mask
