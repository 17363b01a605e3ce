"""A compression run as a value, between two steps, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from mcuprune.graph.channels import prunable
from mcuprune.graph.ir import Conv2d, Graph, Linear
from mcuprune.prune.constrain import Multipliers
from mcuprune.prune.method import Site, State
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.int8 import FakeQuantizer
from mcuprune.training.loop import EpochRecord


@dataclass
class Run:
    """The state of a compression run between two steps."""

    graph: Graph  # as given: dense, batch norms in place
    module: GraphModule
    optimizer: torch.optim.Optimizer
    sites: tuple[Site, ...]
    state: State
    multipliers: Multipliers
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    restart_rate: float = 0.0
    rate_scale: float = 1.0  # below 1 after a divergence
    frozen: bool = False  # masks are final, gates and method are gone
    keep: dict[str, np.ndarray] = field(default_factory=dict)  # units of ``graph`` that are left
    masks: dict[str, Tensor] = field(default_factory=dict)  # weight constant -> entries that are left
    quantizer: FakeQuantizer | None = None
    history: list[EpochRecord] = field(default_factory=list)
    levels: dict[str, int] = field(
        default_factory=dict
    )  # of the last allocation; empty: allocate from full widths


@dataclass(frozen=True)
class Found:
    """The result: a folded float graph that fits, the activation ranges that int8 training settled on."""

    graph: Graph
    ranges: Mapping[str, tuple[float, float]]
    keep: Mapping[str, np.ndarray]
    history: tuple[EpochRecord, ...]
    seconds: float


def learned(module: GraphModule, state: State, multipliers: Multipliers) -> Iterator[Tensor]:
    """All that a step changes: weights and statistics, the method's gates, the multipliers."""
    for tensors in (*module.state(), *state.tensors.values()):
        yield from (value.detach() for value in tensors.values())
    for prices in (multipliers.values, multipliers.sums):
        yield torch.tensor(list(prices.values()))


def sites_of(graph: Graph, kind: str) -> tuple[Site, ...]:
    """Where a method of that kind acts: ``channels`` by group, or ``weight`` constants."""
    if kind == "channels":
        return tuple(Site(group, kind, graph.widths[group]) for group in prunable(graph))
    names = [node.weight for node in graph.nodes if isinstance(node, Conv2d | Linear)]
    return tuple(Site(name, kind, graph.constants[name].values.size) for name in names)
