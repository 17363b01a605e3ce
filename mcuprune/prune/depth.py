"""How deep a network is, before its widths are searched: what it can do without is left out, untrained.

Residual branches are weighed by gates on them; of a plain chain's stretches as many stay as train best with
the widths that the budgets leave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mcuprune.graph.ir import Graph
from mcuprune.progress import SILENT, Progress
from mcuprune.prune import baselines
from mcuprune.prune.blocks import Branch, Stretch, branches, runs, without
from mcuprune.prune.choice import Choice, learn
from mcuprune.prune.constrain import homotopy
from mcuprune.prune.method import Site, State
from mcuprune.prune.methods.bernoulli import Bernoulli
from mcuprune.prune.setting import Setting, trained
from mcuprune.prune.target import Target
from mcuprune.training.graph_module import GraphModule

GATES = Bernoulli(gate_rate=0.5)


@dataclass(frozen=True)
class Depth:
    """``graph``: the network, with its initial weights, without what was ``dropped``."""

    graph: Graph
    dropped: tuple[Branch | Stretch, ...] = ()
    seconds: float = 0.0


def choose_stretches(
    graph: Graph, setting: Setting, aim: Callable[[Graph], Target], progress: Progress = SILENT
) -> Depth:
    """``graph`` with as many stretches as serve it best.

    Fewer layers leave wider ones.  One stretch after the other, always of the longest run, is left out; each
    network trains with its uniform widths (``aim``) for the setting's epochs, and when the loss of the last
    one falls no more, the one before it is taken.
    """
    if not runs(graph):
        return Depth(graph)
    best = Depth(graph)
    least, spent = _tried(graph, setting, aim, progress)
    while left := runs(best.graph):
        stretch = max(left, key=len)[-1]
        shorter = without(best.graph, stretch)
        loss, seconds = _tried(shorter, setting, aim, progress)
        spent += seconds
        if loss >= least:
            break
        least, best = loss, Depth(shorter, (*best.dropped, stretch))
    return replace(best, seconds=spent)


def _tried(
    graph: Graph, setting: Setting, aim: Callable[[Graph], Target], progress: Progress
) -> tuple[float, float]:
    """Loss of the last epoch of a training with uniform widths, and the processor seconds that it took."""
    counts = "-".join(str(len(run)) for run in runs(graph)) or "0"
    narrow = baselines.uniform(graph, aim(graph), setting.recipe.seed)
    done = trained(f"depth-{counts}", narrow, setting, progress, "try")
    return done.history[-1].loss, done.seconds


def choose_branches(
    graph: Graph,
    setting: Setting,
    figures: Callable[[Graph], Mapping[str, float]],
    budgets: Mapping[str, float],
    share: float = 0.3,
    progress: Progress = SILENT,
) -> Depth:
    """``graph`` without the branches that Bernoulli gates closed.

    One gate per branch, with no floor (Guenter & Sideris 2024, arXiv 2406.04549), trained beside the weights
    for the setting's epochs; its price is all that the branch takes by ``figures``.  Depth may carry
    ``share`` of the way, in logarithms, from the dense usage to the budgets; the widths carry the rest.
    """
    found = branches(graph)
    if not found:
        return Depth(graph)
    state, seconds = learn(graph, setting, _choice(graph, found, figures, budgets, share), progress)
    kept, small = GATES.widths(state), graph
    closed = tuple(branch for branch in found if not kept[branch.output])
    for branch in closed:
        small = without(small, branch)
    return Depth(small, closed, seconds)


def _choice(
    graph: Graph,
    found: tuple[Branch, ...],
    figures: Callable[[Graph], Mapping[str, float]],
    budgets: Mapping[str, float],
    share: float,
) -> Choice:
    dense = figures(graph)
    smaller = {branch.output: figures(without(graph, branch)) for branch in found}
    saved = {k: {o: dense[k] - f[k] for o, f in smaller.items()} for k in budgets}

    def forward(module: GraphModule, x: Tensor, state: State) -> Tensor:
        gates = {name: gate.to(x.device) for name, gate in state["gate"].items()}
        return module(x, activation=lambda name, value: value * gates[name] if name in gates else value)  # type: ignore[no-any-return]

    def usage(on: Mapping[str, Tensor]) -> dict[str, Tensor]:
        rest = {k: sum((1 - on[o].reshape(())) * v for o, v in saved[k].items()) for k in budgets}
        return {k: dense[k] - torch.as_tensor(rest[k]) for k in budgets}

    def bounds(progress: float) -> Mapping[str, float]:
        return homotopy(dense, homotopy(dense, budgets, share), progress)

    sites = tuple(Site(branch.output, "block", 1) for branch in found)
    return Choice("blocks", GATES, sites, forward, usage, bounds)
