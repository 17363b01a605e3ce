"""A compressed network and the controls it stands beside, each trained once and kept for a resumed run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mcuprune.graph.ir import Graph
from mcuprune.graph.passes import run_passes
from mcuprune.progress import SILENT, Progress
from mcuprune.prune import baselines, checkpoint
from mcuprune.prune.method import Method
from mcuprune.prune.methods.exact_obs import ExactOBS
from mcuprune.prune.search import Found, Search
from mcuprune.prune.target import Target
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import Arrays, Loss, Recipe, Trained, train
from mcuprune.training.schedules import Phases

BEFORE_CUT = Phases().freeze  # share of its epochs that the magnitude control trains the dense network


@dataclass(frozen=True)
class Setting:
    """What all networks of an experiment share."""

    data: Arrays
    loss: Loss
    recipe: Recipe
    score: Callable[[torch.nn.Module], float]
    calibration: np.ndarray
    folder: Path | None = None  # where finished and half-finished trainings are kept; None: nowhere


@dataclass(frozen=True)
class Outcome:
    """``dense`` and ``controls`` are empty when controls were not asked for."""

    found: Found
    dense: Trained | None
    controls: Mapping[str, Trained]


def run_experiment(
    initial: Graph,
    target: Target,
    method: Method | ExactOBS,
    setting: Setting,
    controls: bool = True,
    progress: Progress = SILENT,
) -> Outcome:
    """Compress ``initial`` to ``target``.

    With ``controls`` also train its dense, uniform, scratch, magnitude and linear counterparts.
    """
    recipe = setting.recipe
    needs_dense = controls or isinstance(method, ExactOBS)
    dense = _trained("dense", initial, setting, progress) if needs_dense else None
    if isinstance(method, ExactOBS):
        assert dense is not None
        found = _post_training(method, dense, target, setting)
    else:
        found = _compressed(method, initial, target, setting, progress)
    if not controls or dense is None:
        return Outcome(found, dense, {})
    return Outcome(
        found,
        dense,
        {
            "uniform": _trained(
                "uniform", baselines.uniform(initial, target, recipe.seed), setting, progress
            ),
            "scratch": _trained(
                "scratch", baselines.scratch(initial, found.keep, recipe.seed), setting, progress
            ),
            "magnitude": _magnitude(initial, target, setting, progress),
            "linear": _trained("linear", baselines.linear(initial), setting, progress),
        },
    )


def _magnitude(initial: Graph, target: Target, setting: Setting, progress: Progress) -> Trained:
    """Dense training, one cut by filter norms, fine-tuning; as many epochs altogether as everybody has."""
    before = max(1, round(BEFORE_CUT * setting.recipe.epochs))
    after = max(1, setting.recipe.epochs - before)
    first = replace(setting, recipe=replace(setting.recipe, epochs=before))
    second = replace(setting, recipe=replace(setting.recipe, epochs=after))
    trained = _trained("magnitude-dense", initial, first, progress)
    return _trained("magnitude", baselines.magnitude(trained.graph, target), second, progress)


def _trained(name: str, graph: Graph, setting: Setting, progress: Progress) -> Trained:
    path = None if setting.folder is None else setting.folder / f"{name}.pt"
    if path is not None and path.exists():
        return _unpack_trained(graph, checkpoint.load(path))
    progress.stage(f"control: {name}", setting.recipe.epochs)
    result = train(graph, setting.data, setting.loss, setting.recipe, setting.score, progress, phase=name)
    if path is not None:
        checkpoint.save(path, _pack_trained(result))
    return result


def _compressed(
    method: Method, initial: Graph, target: Target, setting: Setting, progress: Progress
) -> Found:
    search = Search(target, method, setting.data, setting.loss, setting.recipe, setting.score)
    path = None if setting.folder is None else setting.folder / "run.pt"
    run = search.start(initial)
    if path is not None and path.exists():
        run = checkpoint.unpack(search, initial, checkpoint.load(path))
        progress.note(f"resuming after epoch {run.epoch}")
    progress.stage(f"compress: {method.name}", setting.recipe.epochs - run.epoch)
    while run.epoch < setting.recipe.epochs:
        search.epoch(run, progress)
        if path is not None:
            checkpoint.save(path, checkpoint.pack(run))
    return search.finish(run)


def _post_training(method: ExactOBS, dense: Trained, target: Target, setting: Setting) -> Found:
    folded = run_passes(dense.graph)
    graph, keep = method.apply(folded, setting.calibration, target)
    return Found(graph, {}, keep, dense.history, dense.seconds)


def _pack_trained(result: Trained) -> dict[str, Any]:
    values = {name: torch.from_numpy(np.array(c.values)) for name, c in result.graph.constants.items()}
    return {"values": values, "history": checkpoint.pack_history(result.history), "seconds": result.seconds}


def _unpack_trained(graph: Graph, saved: Mapping[str, Any]) -> Trained:
    module = GraphModule(graph)
    checkpoint.restore(module, saved["values"])
    return Trained(module.to_graph(), tuple(checkpoint.unpack_history(saved["history"])), saved["seconds"])
