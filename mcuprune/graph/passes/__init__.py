"""Simplifications before quantization: pure functions from Graph to Graph that keep every output's value."""

from __future__ import annotations

from collections.abc import Callable

from mcuprune.graph.ir import Graph
from mcuprune.graph.passes.fold_batchnorm import fold_batchnorm
from mcuprune.graph.passes.fuse import fuse_activation, fuse_pad
from mcuprune.graph.passes.remove_noops import remove_noops
from mcuprune.graph.passes.rewrite import remove_dead
from mcuprune.graph.passes.separate_scales import separate_scales

PASSES: tuple[Callable[[Graph], Graph], ...] = (
    remove_dead,
    remove_noops,
    fuse_pad,
    fold_batchnorm,
    fuse_activation,
    remove_noops,
    separate_scales,
)


def run_passes(graph: Graph) -> Graph:
    """``graph`` after all :data:`PASSES`: no BatchNorm left, ReLUs and padding fused where they can be."""
    for apply in PASSES:
        graph = apply(graph)
    return graph
