"""What all trainings of an experiment share, and trainings that are kept for a resumed run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mcuprune.graph.ir import Graph
from mcuprune.progress import SILENT, Progress
from mcuprune.prune import checkpoint
from mcuprune.prune.constrain import Binding
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import Arrays, Loss, Trained, pack_history, train, unpack_history
from mcuprune.training.recipe import Recipe
from mcuprune.training.saved import load, save


@dataclass(frozen=True)
class Setting:
    """What all networks of an experiment share.

    ``binding``: how budgets bind, None: as the method prefers.  ``distill``: share of the compressed
    network's loss that is the distance to the dense network's outputs, 0 to 1.
    """

    data: Arrays
    loss: Loss
    recipe: Recipe
    score: Callable[[torch.nn.Module], float]
    calibration: np.ndarray
    folder: Path | None = None  # where finished and half-finished trainings are kept; None: nowhere
    binding: Binding | None = None
    distill: float = 0.0


def trained(
    name: str, graph: Graph, setting: Setting, progress: Progress = SILENT, what: str = "control"
) -> Trained:
    """``graph`` trained by the setting's recipe, or the result of an earlier run under that name.

    ``what`` it is trained as is what progress is told.
    """

    def work(unfinished: Path | None) -> Trained:
        progress.stage(f"{what}: {name}", setting.recipe.epochs)
        given = (setting.data, setting.loss, setting.recipe, setting.score, progress)
        return train(graph, *given, phase=name, unfinished=unfinished)

    return kept(name, graph, setting, work)


def kept(name: str, graph: Graph, setting: Setting, work: Callable[[Path | None], Trained]) -> Trained:
    """The result of ``work``, a training of ``graph``; saved, and read back by a resumed run.

    ``work`` is given the file in which it may keep what is unfinished.
    """
    if setting.folder is None:
        return work(None)
    path, unfinished = (setting.folder / f"{name}{suffix}.pt" for suffix in ("", "-unfinished"))
    if path.exists():
        return _unpack(graph, load(path))
    result = work(unfinished)
    save(path, _pack(result))
    unfinished.unlink(missing_ok=True)
    return result


def _pack(result: Trained) -> dict[str, Any]:
    values = {name: torch.from_numpy(np.array(c.values)) for name, c in result.graph.constants.items()}
    return {"values": values, "history": pack_history(result.history), "seconds": result.seconds}


def _unpack(graph: Graph, saved: Mapping[str, Any]) -> Trained:
    module = GraphModule(graph)
    checkpoint.restore(module, saved["values"])
    return Trained(module.to_graph(), tuple(unpack_history(saved["history"])), saved["seconds"])
