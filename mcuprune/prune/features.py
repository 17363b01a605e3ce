"""Choosing inputs: which sensor channels, features or coefficient bins a network should read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mcuprune.errors import UsageError
from mcuprune.graph.ir import Graph
from mcuprune.prune.constrain import Augmented, Multipliers, Observed, homotopy, pressure
from mcuprune.prune.gated import Gated
from mcuprune.prune.method import Context, Site, best_units
from mcuprune.prune.methods.ensemble import Ensemble
from mcuprune.prune.setting import Setting
from mcuprune.training.loop import batches, check_finite, make_module, make_optimizer, set_rate

KEY = "inputs"
BINDING = Augmented(penalty=0.2, rate=0.02)
WARMUP, CHOSEN = 0.1, 0.7  # shares of the steps: no price before, all of it after


@dataclass(frozen=True)
class Chosen:
    """The kept positions along the axis, ascending, and the score of every position."""

    kept: np.ndarray
    scores: np.ndarray


def choose_inputs(
    graph: Graph, setting: Setting, count: int, axis: int = -1, method: Gated | None = None
) -> Chosen:
    """The ``count`` positions of the inputs' ``axis`` that serve ``graph`` best, by gates trained with it.

    ``axis`` counts in an input without the batch: -1 the channels (sensors, features), 1 the columns of an
    (H, W, C) map (coefficient bins of a spectrogram).  The gates multiply the inputs, whose mean over the
    data takes the place of a closed one.  By default an ensemble of gate layers (Guan et al. 2021, arXiv
    2112.03487), which does not settle on early leaders.  Build the network for ``x.take(kept, axis)`` then.
    """
    size = graph.shape(graph.inputs[0])[axis]
    if not 1 <= count <= size:
        raise UsageError(f"{count} of {size} inputs cannot be chosen; give 1 to {size}")
    method = method or Ensemble()
    scores = _learned_scores(graph, setting, count, axis, method)
    return Chosen(best_units({KEY: scores}, {KEY: count})[KEY], scores)


def _learned_scores(graph: Graph, setting: Setting, count: int, axis: int, method: Gated) -> np.ndarray:
    recipe, shape = setting.recipe, graph.shape(graph.inputs[0])
    module = make_module(graph, recipe)
    site = Site(KEY, "channels", shape[axis])
    state = method.init(module, (site,), torch.Generator().manual_seed(recipe.seed))
    optimizer, multipliers = make_optimizer(module, recipe), Multipliers.zero({KEY: 0.0})
    mean = torch.from_numpy(setting.data.x.mean(axis=0, dtype=np.float64).astype(np.float32))
    mean = mean.to(recipe.compute.find_device())
    view = [site.size if i == axis % len(shape) else 1 for i in range(len(shape))]
    total = recipe.epochs * recipe.steps(len(setting.data.x))
    set_rate(optimizer, recipe.learning_rate)
    steps = ((e, x, y) for e in range(recipe.epochs) for x, y in batches(setting.data, recipe, e))
    for step, (epoch, x, y) in enumerate(steps):
        progress = min(max((step / total - WARMUP) / (CHOSEN - WARMUP), 0.0), 1.0)
        budgets = homotopy({KEY: site.size}, {KEY: count}, progress)

        def loss(x: Tensor = x, y: Tensor = y) -> Tensor:
            gate = method.transform(site, torch.ones(site.size), state).view(view).to(x.device)
            return setting.loss(module(mean + (x - mean) * gate), y)

        def price(
            expected: Mapping[str, Tensor],
            budgets: Mapping[str, float] = budgets,
            multipliers: Multipliers = multipliers,
        ) -> Tensor:
            return pressure(expected, budgets, multipliers, BINDING)

        random = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
        rate = recipe.learning_rate
        context = Context(module, (site,), state, optimizer, loss, price, random, step, progress, rate)
        check_finite(method.step(context), epoch, rate)
        wide = max(0.5, float((method.widths(state) or {KEY: site.size})[KEY]))
        if step >= WARMUP * total:
            multipliers = BINDING.update(multipliers, Observed({KEY: np.log(wide / budgets[KEY])}))
    return method.scores(state)[KEY]
