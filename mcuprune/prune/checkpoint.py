"""Saving a compression run between epochs, so that an interrupted one continues to the same result."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcuprune.errors import UsageError
from mcuprune.graph.ir import Graph
from mcuprune.graph.passes import run_passes
from mcuprune.progress import SILENT, Progress
from mcuprune.prune.constrain import Multipliers
from mcuprune.prune.method import State
from mcuprune.prune.run import Run, sites_of
from mcuprune.prune.search import Search
from mcuprune.prune.shrink import shrink
from mcuprune.training.divergence import safe_epoch
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.int8 import FakeQuantizer
from mcuprune.training.loop import pack_history, unpack_history
from mcuprune.training.recipe import make_optimizer


def next_epoch(search: Search, run: Run, progress: Progress = SILENT) -> Run:
    """``run`` after one more epoch; DivergedError where lower learning rates do not help."""

    def once(run: Run) -> None:
        search.epoch(run, progress)

    return safe_epoch(run, once, pack, partial(unpack, search, run.graph), progress)


def pack(run: Run) -> dict[str, Any]:
    """Everything that changes during a run, as tensors and plain values."""
    return {
        "values": values(run.module),
        "optimizer": run.optimizer.state_dict(),
        **pack_state(run.state),
        "multipliers": [dict(run.multipliers.values), dict(run.multipliers.sums)],
        "counters": [run.epoch, run.step, run.seconds, run.restart_rate, run.rate_scale, run.frozen],
        "keep": pack_keep(run.keep),
        "levels": dict(run.levels),
        "masks": dict(run.masks),
        "ranges": None if run.quantizer is None else run.quantizer.state(),
        "history": pack_history(run.history),
    }


def unpack(search: Search, graph: Graph, saved: Mapping[str, Any]) -> Run:
    """The run that :func:`pack` was given; ``graph`` is the dense graph that it started from."""
    keep = unpack_keep(saved["keep"])
    epoch, step, seconds, restart_rate, rate_scale, frozen = saved["counters"]
    narrow = shrink(graph, keep)
    quantized, weights = saved["ranges"] is not None, search.method.kind == "weight"
    module = search.module(run_passes(narrow) if quantized else narrow, frozen)
    restore(module, saved["values"])
    optimizer = make_optimizer(module, search.recipe.without_norms() if quantized else search.recipe)
    optimizer.load_state_dict(saved["optimizer"])
    quantizer = FakeQuantizer(module.graph) if quantized else None
    if quantizer is not None:
        quantizer.restore(saved["ranges"])
    return Run(
        graph=graph,
        module=module,
        optimizer=optimizer,
        sites=() if frozen else sites_of(narrow, search.method.kind),
        state=unpack_state(saved, search.recipe.compute.find_device() if weights else "cpu"),
        multipliers=Multipliers(*saved["multipliers"]),
        epoch=epoch,
        step=step,
        seconds=seconds,
        restart_rate=restart_rate,
        rate_scale=rate_scale,
        frozen=frozen,
        keep=keep,
        levels=dict(saved["levels"]),
        masks=dict(saved["masks"]),
        quantizer=quantizer,
        history=unpack_history(saved["history"]),
    )


def pack_state(state: State) -> dict[str, Any]:
    """A method's tensors, and which of them learn."""
    return {
        "state": {p: {k: v.detach() for k, v in d.items()} for p, d in state.tensors.items()},
        "learned": [[p, k] for p, d in state.tensors.items() for k, v in d.items() if v.requires_grad],
    }


def unpack_state(saved: Mapping[str, Any], device: torch.device | str = "cpu") -> State:
    state = State({p: {k: v.to(device) for k, v in d.items()} for p, d in saved["state"].items()})
    for purpose, key in saved["learned"]:
        state[purpose][key].requires_grad_()
    return state


def pack_keep(keep: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {group: torch.from_numpy(np.asarray(units)) for group, units in keep.items()}


def unpack_keep(saved: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {group: units.numpy() for group, units in saved.items()}


def values(module: GraphModule) -> dict[str, Tensor]:
    """Copies of its parameters and statistics by name, for :func:`restore`."""
    parameters, statistics = module.state()
    return {name: value.detach().clone() for name, value in (parameters | statistics).items()}


def restore(module: GraphModule, saved: Mapping[str, Tensor]) -> None:
    """Saved values of exactly this module's constants; UsageError for those of another network."""
    parameters, statistics = module.state()
    live = parameters | statistics
    if saved.keys() != live.keys() or any(saved[k].shape != v.shape for k, v in live.items()):
        raise UsageError(
            f"what an earlier run left of '{module.graph.name}' is of another network, or of another version "
            "of mcuprune; start again without --resume"
        )
    with torch.no_grad():
        for name, target in live.items():
            target.copy_(saved[name])
