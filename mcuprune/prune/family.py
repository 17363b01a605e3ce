"""One gated run that yields a whole family of networks, one for each of several budgets."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcuprune.graph.ir import Graph
from mcuprune.progress import SILENT, Progress
from mcuprune.prune import checkpoint
from mcuprune.prune.checkpoint import next_epoch
from mcuprune.prune.method import Method
from mcuprune.prune.run import Found, Run
from mcuprune.prune.search import Search
from mcuprune.prune.setting import Setting
from mcuprune.prune.target import Target
from mcuprune.training.saved import load, save
from mcuprune.training.schedules import Phases


def family(
    graph: Graph,
    targets: Sequence[Target],
    method: Method,
    setting: Setting,
    progress: Progress = SILENT,
) -> tuple[Found, ...]:
    """A network for every target, in their order, from one gated run towards the last, the tightest.

    The budgets of the run shrink from what it starts with; where they pass those of a looser target, a copy
    of the run is frozen for that target and trained as long as a run of its own is after the freeze.  Costs
    the gated share of the setting's epochs once, and the rest, of a small network, per target.  With a folder
    in the setting an interrupted family goes on from its last whole epoch.
    """
    epochs = max(2, setting.recipe.epochs)  # the last one of a run freezes
    usual = Phases.of(epochs * setting.recipe.steps(len(setting.data.x)))
    gating = math.ceil(usual.freeze * epochs)  # whole epochs: the shared run itself never freezes
    freeze = gating / epochs
    ceilings = {group: max(target.ceilings[group] for target in targets) for group in targets[-1].ceilings}
    tightest = replace(targets[-1], ceilings=ceilings)  # wide enough for all
    shared = _search(tightest, method, setting, epochs, replace(usual, freeze=freeze))
    run, found = _kept(shared, graph, _file(setting, "family")) or shared.start(graph), list[Found]()
    while len(found) < len(targets):
        target = targets[len(found)]
        start = target.resources.exact(tightest.ceilings)  # built for its own objective, like its budgets
        done = shared.phases.progress(run.step / shared.total)
        path = _file(setting, f"branch-{len(found)}")
        begun = path is not None and path.exists()  # the shared run may have gone on since
        if begun or run.epoch >= gating or done >= crossing(start, target.budgets, tightest.budgets):
            progress.stage(f"budget {len(found) + 1} of {len(targets)}", epochs - gating)
            found.append(_branch(run, target, shared, setting, usual, progress, path))
        else:
            run = next_epoch(shared, run, progress)
            _keep(run, run.epoch, _file(setting, "family"))
    return tuple(found)


def crossing(
    start: Mapping[str, float], budgets: Mapping[str, float], tightest: Mapping[str, float]
) -> float:
    """The progress at which geometrically shrinking budgets first fall below one of ``budgets``.

    Those that the network keeps from the start say nothing; where it keeps all, no time is too early.
    """
    shares = [
        math.log(start[k] / max(budgets[k], last)) / math.log(start[k] / last)
        for k, last in tightest.items()
        if budgets.get(k, math.inf) < start[k] > last
    ]
    return min((min(share, 1.0) for share in shares), default=0.0)


def _branch(
    run: Run,
    target: Target,
    shared: Search,
    setting: Setting,
    usual: Phases,
    progress: Progress,
    path: Path | None,
) -> Found:
    """The run frozen for ``target`` and trained on, its phases as long as those of a run of its own."""
    saved: dict[str, Any] = {"start": run.epoch, "run": copy.deepcopy(checkpoint.pack(run))}
    if path is not None and path.exists():
        saved = load(path)
    start, whole = saved["start"], shared.recipe.epochs
    epochs = start + whole - round(shared.phases.freeze * whole)
    freeze, longer = start / epochs, whole / epochs
    phases = Phases(0.0, freeze, freeze, 1.0 - longer * (1.0 - usual.int8))
    search = _search(target, shared.method, setting, epochs, phases)
    branch = checkpoint.unpack(search, run.graph, saved["run"])
    _keep(branch, start, path)
    while branch.epoch < epochs:
        branch = next_epoch(search, branch, progress)
        _keep(branch, start, path)
    return search.finish(branch)


def _file(setting: Setting, name: str) -> Path | None:
    return None if setting.folder is None else setting.folder / f"{name}.pt"


def _keep(run: Run, start: int, path: Path | None) -> None:
    if path is not None:
        save(path, {"start": start, "run": checkpoint.pack(run)})


def _kept(search: Search, graph: Graph, path: Path | None) -> Run | None:
    if path is None or not path.exists():
        return None
    return checkpoint.unpack(search, graph, load(path)["run"])


def _search(target: Target, method: Method, setting: Setting, epochs: int, phases: Phases) -> Search:
    recipe = replace(setting.recipe, epochs=epochs)
    return Search(
        target,
        method,
        setting.data,
        setting.loss,
        recipe,
        setting.score,
        phases,
        setting.binding,
    )
