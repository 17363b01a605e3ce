"""Controls that every result stands beside: networks of the same budgets, found without the method."""

from __future__ import annotations

import numpy as np

from mcuprune.graph.channels import Keep, build_graph, prunable
from mcuprune.graph.ir import Constant, Flatten, Graph, Input, Linear, Node, Softmax, ends_in_softmax
from mcuprune.prune.importance import filter_scores
from mcuprune.prune.shrink import shrink
from mcuprune.prune.target import Target, cut
from mcuprune.training.graph_module import reinitialise


def uniform(initial: Graph, target: Target, seed: int) -> Graph:
    """All widths scaled by one factor to the same budgets, weights drawn anew (train them from scratch)."""
    keep = {group: np.arange(width) for group, width in target.uniform.items()}
    return reinitialise(shrink(initial, keep), initial, seed)


def scratch(initial: Graph, keep: Keep, seed: int) -> Graph:
    """The widths that a run found, weights drawn anew: Scratch-E of Liu et al. 2019 (arXiv 1810.05270)."""
    return reinitialise(shrink(initial, keep), initial, seed)


def linear(initial: Graph) -> Graph:
    """One linear layer from all inputs to all outputs: what the task gives without a network."""
    shape, outputs = initial.shape(initial.inputs[0]), initial.shape(initial.outputs[0])[-1]
    constants = {
        "linear.weight": Constant(np.zeros((outputs, int(np.prod(shape))), np.float32)),
        "linear.bias": Constant(np.zeros(outputs, np.float32)),
    }
    nodes: list[Node] = [
        Input("x", ()),
        Flatten("flat", ("x",)),
        Linear("linear", ("flat",), "linear.weight", "linear.bias"),
    ]
    if ends_in_softmax(initial):  # the loss is one of probabilities then
        nodes.append(Softmax("softmax", ("linear",)))
    return build_graph("linear", nodes, {"x": shape}, [nodes[-1].name], constants)


def magnitude(trained: Graph, target: Target) -> Graph:
    """A trained dense network cut to the budgets by filter norms in one shot (to be fine-tuned)."""
    return shrink(trained, cut(target, filter_scores(trained)))


def random(trained: Graph, target: Target, seed: int) -> Graph:
    """The same by scores drawn by chance: what floors and allocator give without any knowledge."""
    generator = np.random.default_rng(seed)
    scores = {group: generator.random(trained.widths[group]) for group in prunable(trained)}
    return shrink(trained, cut(target, scores))
