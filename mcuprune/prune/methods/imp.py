"""Iterative magnitude pruning on a budget of epochs: train, cut, retrain with a rate that fits the cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from mcuprune.graph.channels import prunable
from mcuprune.graph.ir import Graph
from mcuprune.graph.passes import run_passes
from mcuprune.progress import Progress
from mcuprune.prune.constrain import homotopy
from mcuprune.prune.importance import filter_scores
from mcuprune.prune.options import require
from mcuprune.prune.run import Found
from mcuprune.prune.setting import Setting, kept
from mcuprune.prune.shrink import shrink
from mcuprune.prune.stage import Stage
from mcuprune.prune.target import Target, cut
from mcuprune.training.int8 import train_int8
from mcuprune.training.loop import Trained, train
from mcuprune.training.schedules import Phases, allr_start, linear_with_warmup, llr, weights_of

INT8 = 1.0 - Phases.int8  # share of all epochs that train with int8 rounding


@dataclass(frozen=True)
class IMP(Stage):
    """Dense training for ``dense`` of the epochs, then ``cycles`` of cutting and retraining.

    Budgets fall geometrically from cycle to cycle; units go by squared filter norm per price, the allocator's
    currency.  Every retraining restarts its learning rate: at the peak (``llr``) or at what the violence of
    the cut asks for (``allr``).  ``budgeted``: all of it within the epochs of plain training (BIMP);
    otherwise the dense network gets all epochs and the cycles come on top, as published before.
    """

    name = "imp"
    title = "iterative magnitude pruning, retrained with LLR or ALLR, on a budget of epochs"
    paper = "Zimmer et al. 2023 (arXiv 2111.00843)"
    cycles: int = 2
    schedule: str = "allr"
    dense: float = 0.3
    budgeted: bool = True

    def __post_init__(self) -> None:
        require(self.schedule in ("llr", "allr"), self.name, "schedule is llr or allr")
        require(self.cycles >= 1, self.name, "cycles is at least 1")
        require(0.0 <= self.dense <= 1.0, self.name, "dense lies between 0 and 1")

    def compress(self, initial: Graph, target: Target, setting: Setting, progress: Progress) -> Found:
        epochs = setting.recipe.epochs
        first, parts, int8 = split_epochs(epochs, self.cycles, self.dense, self.budgeted)
        progress.stage(f"compress: {self.name}", first + sum(parts) + int8)
        work = partial(_train, method=self.name, setting=setting, progress=progress)
        done = [work(initial, first, linear_with_warmup, "warm-up", 0)] if first else []
        graph = done[-1].graph if done else initial
        keep = {group: np.arange(graph.widths[group]) for group in prunable(graph)}
        for cycle, length in enumerate(parts, start=1):
            dense = target.resources.exact({})
            budgets = homotopy(dense, target.budgets, cycle / len(parts))
            now = cut(target, filter_scores(graph), budgets)  # groups of one unit too: they count
            keep = {group: keep[group][now[group]] for group in keep}
            narrow = shrink(graph, now)
            rate = self._rate(graph, narrow, setting, length / epochs)
            done.append(work(narrow, length, rate, "narrow", cycle))
            graph = done[-1].graph
        last, ranges = train_int8(
            graph,
            setting.data,
            setting.loss,
            replace(setting.recipe, epochs=int8),
            setting.score,
            progress,
        )
        history = tuple(record for each in (*done, last) for record in each.history)
        numbered = tuple(replace(record, epoch=i) for i, record in enumerate(history))
        return Found(run_passes(last.graph), ranges, keep, numbered, sum(d.seconds for d in (*done, last)))

    def _rate(
        self, before: Graph, after: Graph, setting: Setting, share: float
    ) -> Callable[[float, float], float]:
        peak = setting.recipe.learning_rate
        start = (
            peak if self.schedule == "llr" else allr_start(peak, weights_of(before), weights_of(after), share)
        )
        return lambda done, _: llr(done, start)


def split_epochs(
    epochs: int, cycles: int, dense: float, budgeted: bool = True
) -> tuple[int, tuple[int, ...], int]:
    """Epochs of dense training, of every cycle (the remainder goes to the last), and of int8 training.

    Budgeted, they add up to ``epochs``, with at least one for int8 and for the last cycle where there are
    two; a run of few epochs does without dense training or with fewer cycles.
    """
    int8 = max(1, round(INT8 * epochs))
    first = min(round(dense * epochs), max(0, epochs - int8 - 1))
    rest = max(1, epochs - first - int8) if budgeted else max(1, round((1 - dense) * epochs) - int8)
    count = min(cycles, rest)
    parts = [rest // count] * count
    parts[-1] += rest - sum(parts)
    return (first if budgeted else epochs), tuple(parts), int8


def _train(
    graph: Graph,
    epochs: int,
    rate: Callable[[float, float], float],
    phase: str,
    part: int,
    method: str,
    setting: Setting,
    progress: Progress,
) -> Trained:
    """One part of the run, or what an interrupted run left of it."""
    recipe = replace(setting.recipe, epochs=epochs)

    def work(unfinished: Path | None) -> Trained:
        given = (setting.data, setting.loss, recipe, setting.score, progress, phase)
        return train(graph, *given, rate=rate, unfinished=unfinished)

    return kept(f"{method}-{part}", graph, setting, work)
