"""The form of a network before its widths are searched: which inputs it reads, which blocks it has.

Both are chosen by gates that train beside the network for a share of the epochs; then the search starts from
the smaller network, untrained.  What the result is compared with starts from the whole one.
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
from mcuprune.prune.blocks import Branch, branches, choose_depth
from mcuprune.prune.experiment import Outcome
from mcuprune.prune.features import choose_inputs
from mcuprune.prune.setting import Setting
from mcuprune.prune.shrink import shrink
from mcuprune.prune.target import Target
from mcuprune.tasks.narrow import AXES, check_choice, picked

SHARE = 0.25  # of a run's epochs: what each choice trains

Figures = Callable[[Graph], Mapping[str, float]]


@dataclass(frozen=True)
class Form:
    """``problem`` is what is searched and deployed; ``seconds`` of training by choice."""

    problem: Problem
    picked: Picked | None = None
    dropped: tuple[Branch, ...] | None = None  # None: no blocks were chosen among
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
            found.append("All residual blocks stay: the widths alone reach the budgets.")
        elif self.dropped is not None:
            names = ", ".join(branch.add for branch in self.dropped)
            found.append(f"Left out, because the network can do without: the residual blocks before {names}.")
        return tuple(found)


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
        check_choice(problem.task, config.input_axis, config.inputs)
    if config.drop_blocks and not branches(problem.graph):
        raise UsageError(f"--drop-blocks: '{problem.name}' has no residual block to leave out; drop the flag")


def choose_form(
    problem: Problem,
    config: RunConfig,
    figures: Figures,
    budgets: Mapping[str, float],
    folder: Path,
    progress: Progress,
) -> Form:
    """The form that ``config`` asks for; ``figures`` and ``budgets`` are what blocks are weighed by."""
    form = Form(problem)
    if config.inputs is not None:
        form = _fewer_inputs(form, config, config.inputs, _short(problem, config, folder), progress)
    if config.drop_blocks:
        setting = _short(form.problem, config, folder)
        found = choose_depth(form.problem.graph, setting, figures, budgets, progress=progress)
        small = replace(form.problem, graph=found.graph)
        seconds = {**form.seconds, "choosing blocks": found.seconds}
        form = replace(form, problem=small, dropped=found.dropped, seconds=seconds)
    for note in form.notes():
        progress.note(note)
    return form


def _short(problem: Problem, config: RunConfig, folder: Path) -> Setting:
    setting = make_setting(problem, config, folder)
    epochs = math.ceil(SHARE * setting.recipe.epochs)
    return replace(setting, recipe=replace(setting.recipe, epochs=epochs))


def _fewer_inputs(form: Form, config: RunConfig, count: int, setting: Setting, progress: Progress) -> Form:
    problem, axis = form.problem, config.input_axis
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
