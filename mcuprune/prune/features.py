"""Choosing inputs: which sensor channels, features or coefficient bins a network should read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mcuprune.errors import UsageError
from mcuprune.graph.ir import Graph
from mcuprune.progress import SILENT, Progress
from mcuprune.prune.choice import Choice, learn
from mcuprune.prune.constrain import homotopy
from mcuprune.prune.gated import Gated
from mcuprune.prune.method import Site, State, best_units
from mcuprune.prune.methods.ensemble import Ensemble
from mcuprune.prune.setting import Setting
from mcuprune.training.graph_module import GraphModule

KEY = "inputs"


@dataclass(frozen=True)
class Chosen:
    """The kept positions along the axis, ascending, the score of every position, and processor seconds."""

    kept: np.ndarray
    scores: np.ndarray
    seconds: float = 0.0


def choose_inputs(
    graph: Graph,
    setting: Setting,
    count: int,
    axis: int = -1,
    method: Gated | None = None,
    progress: Progress = SILENT,
) -> Chosen:
    """The ``count`` positions of the inputs' ``axis`` that serve ``graph`` best, by gates trained with it.

    ``axis`` counts in an input without the batch: -1 the channels (sensors, features), 1 the columns of an
    (H, W, C) map (coefficient bins of a spectrogram).  The gates multiply the inputs, whose mean over the
    data takes the place of a closed one.  By default an ensemble of gate layers (Guan et al. 2021, arXiv
    2112.03487), which does not settle on early leaders.  Build the network for ``x.take(kept, axis)`` then.
    """
    shape = graph.shape(graph.inputs[0])
    size = shape[axis]
    if not 1 <= count <= size:
        raise UsageError(f"{count} of {size} inputs cannot be chosen; give 1 to {size}")
    method, site = method or Ensemble(), Site(KEY, "channels", size)
    mean = torch.from_numpy(setting.data.x.mean(axis=0, dtype=np.float64).astype(np.float32))
    view = [size if i == axis % len(shape) else 1 for i in range(len(shape))]

    def forward(module: GraphModule, x: Tensor, state: State) -> Tensor:
        gate = method.transform(site, torch.ones(size), state).view(view)
        middle = mean.to(x.device)
        return module(middle + (x - middle) * gate.to(x.device))  # type: ignore[no-any-return]

    def bounds(progress: float) -> Mapping[str, float]:
        return homotopy({KEY: size}, {KEY: count}, progress)

    choice = Choice(KEY, method, (site,), forward, lambda expected: expected, bounds)
    state, seconds = learn(graph, setting, choice, progress)
    scores = method.scores(state)[KEY]
    return Chosen(best_units({KEY: scores}, {KEY: count})[KEY], scores, seconds)
