"""The form of a network before its widths are searched: which inputs it reads, which layers it has.

Inputs and residual blocks are chosen by gates that train beside the network for a share of the epochs, the
depth of a plain chain by trying; then the search starts from the smaller network, untrained.  What the result
is compared with starts from the whole one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mcuprune.codegen import Picked
from mcuprune.config import RunConfig
from mcuprune.errors import UsageError
from mcuprune.graph.ir import Graph
from mcuprune.problem import Problem, make_setting
from mcuprune.progress import Progress
from mcuprune.prune.blocks import Branch, Stretch, branches, runs
from mcuprune.prune.depth import Depth, choose_branches, choose_stretches
from mcuprune.prune.experiment import Outcome
from mcuprune.prune.features import choose_inputs
from mcuprune.prune.setting import Setting
from mcuprune.prune.shrink import shrink
from mcuprune.prune.target import Target
from mcuprune.tasks.narrow import AXES, apart, check_choice, picked
from mcuprune.training.recipe import is_normalized

SHARE = 0.25  # of a run's epochs: what each choice by gates trains
TRIED = 0.125  # the same of every depth that is tried
NARROW = 0.3  # of the channels: a chain of more is not worth the trying
LAYERS = "choosing layers"  # what its seconds are reported as


@dataclass(frozen=True)
class Aims:
    """What networks of any form are weighed by: their ``figures`` as they are, the ``target`` of a search."""

    figures: Callable[[Graph], Mapping[str, float]]
    target: Callable[[Graph], Target]


@dataclass(frozen=True)
class Form:
    """``problem`` is what is searched and deployed; ``seconds`` of training by choice."""

    problem: Problem
    picked: Picked | None = None
    dropped: tuple[Branch | Stretch, ...] | None = None  # None: no layers were chosen among
    seconds: Mapping[str, float] = field(default_factory=dict)

    def notes(self) -> tuple[str, ...]:
        """For the report's reader."""
        found = []
        if self.picked is not None:
            found.append(
                f"The network reads {self.picked.words}, in this order; "
                "dense network and controls other than scratch read all of them."
            )
        if self.dropped == ():
            found.append("All layers stay: fewer, wider ones did no better.")
        elif self.dropped is not None:
            names = ", ".join(map(_words, self.dropped))
            found.append(f"Left out, because the network does better without: {names}.")
        return tuple(found)


def _words(piece: Branch | Stretch) -> str:
    if isinstance(piece, Branch):
        return f"the residual block before {piece.add}"
    return f"the layers from {piece.start} to {piece.end}"


@dataclass(frozen=True)
class Compressed:
    """A network and how it came about: ``whole`` is the problem as given, ``target`` that of the form."""

    whole: Problem
    form: Form
    target: Target
    outcome: Outcome


def check_form(problem: Problem, config: RunConfig) -> None:
    """UsageError, before any training, for a choice that this problem does not offer."""
    if config.inputs is not None:
        check_choice(problem.task, config.axis, config.inputs)
    if config.drop_blocks and not (branches(problem.graph) or runs(problem.graph)):
        raise UsageError(
            f"--drop-blocks: '{problem.name}' has no residual block, and no layers in a row that keep the "
            "shape, to leave out; drop the flag"
        )


def choose_form(problem: Problem, config: RunConfig, aims: Aims, folder: Path, progress: Progress) -> Form:
    """The form that ``config`` asks for."""
    form = Form(problem)
    if config.inputs is not None:
        setting = _short(replace(problem, task=apart(problem.task)), config, folder, SHARE)
        form = _fewer_inputs(form, config, config.inputs, setting, progress)
    if config.drop_blocks:
        setting = _short(form.problem, config, folder, SHARE)
        graph = form.problem.graph
        budgets = aims.target(graph).budgets
        form = _shallower(form, choose_branches(graph, setting, aims.figures, budgets, progress=progress))
    graph = form.problem.graph
    if _is_narrowed(graph, aims) if config.drop_blocks is None else config.drop_blocks:
        setting = _short(form.problem, config, folder, TRIED)
        form = _shallower(form, choose_stretches(graph, setting, aims.target, progress))
    for note in form.notes():
        progress.note(note)
    return form


def _is_narrowed(graph: Graph, aims: Aims) -> bool:
    """Whether depth is worth trying unasked: a chain that uniform scaling to the budgets leaves narrow."""
    if not (runs(graph) and is_normalized(graph)):
        return False
    uniform = aims.target(graph).uniform
    return sum(uniform.values()) < NARROW * sum(graph.widths[group] for group in uniform)


def _shallower(form: Form, found: Depth) -> Form:
    problem = replace(form.problem, graph=found.graph) if found.dropped else form.problem
    seconds = form.seconds.get(LAYERS, 0.0) + found.seconds
    dropped = (*(form.dropped or ()), *found.dropped)
    return replace(form, problem=problem, dropped=dropped, seconds={**form.seconds, LAYERS: seconds})


def _short(problem: Problem, config: RunConfig, folder: Path, share: float) -> Setting:
    setting = make_setting(problem, config, folder)
    epochs = math.ceil(share * setting.recipe.epochs)
    return replace(setting, recipe=replace(setting.recipe, epochs=epochs))


def _fewer_inputs(form: Form, config: RunConfig, count: int, setting: Setting, progress: Progress) -> Form:
    problem, axis = form.problem, config.axis
    size = problem.task.input_shape[AXES[axis]]
    if count == size:
        return form
    small = _reading(problem, axis, tuple(range(count)))  # before training: can the network be made so?
    found = choose_inputs(problem.graph, setting, count, AXES[axis], progress=progress)
    kept = tuple(int(place) for place in found.kept)
    small = _reading(problem, axis, kept)
    return replace(
        form,
        problem=small,
        picked=Picked(axis, kept, size),
        seconds={**form.seconds, "choosing inputs": found.seconds},
    )


def _reading(problem: Problem, axis: str, kept: tuple[int, ...]) -> Problem:
    """The problem on some of its inputs: channels are cut from the network, for columns it is built anew."""
    task = picked(problem.task, axis, kept)
    graph = problem.graph
    if axis == "channels":
        (block,) = graph.tensors[graph.inputs[0]].channels
        return replace(problem, task=task, graph=shrink(graph, {block.group: np.array(kept)}))
    return replace(problem, task=task, graph=problem.rebuild(task))
