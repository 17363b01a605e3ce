"""One network to be trained: what identifies it, where its checkpoints lie, and the order of the work."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from mcuprune.problem import RECIPES
from mcuprune.training.recipe import FORGET, SGD_BATCH, SGD_DECAY, SGD_RATE, Recipe
from mcuprune.training.schedules import MASKED, ROUNDED
from tests.bench.compress.experiments import OWN_CONTROLS, SHARED_CONTROLS, Bound, Experiment

DEFAULTS = (SGD_RATE, SGD_BATCH, SGD_DECAY, FORGET, MASKED, ROUNDED)  # of training, beside the recipe
KINDS = DENSE, CONTROL, METHOD = "dense", "control", "method"


@dataclass(frozen=True)
class Unit:
    """What comparisons are paired over: a seed, or a fold with the seed of its number.

    ``name``: the seed, the fold, or ``fold+1`` for its first repetition.
    """

    name: str
    seed: int
    task: str


@dataclass(frozen=True)
class Cell:
    """``kind`` is dense, control or method; ``name`` which one, a method with its options; ``of`` the method
    whose widths a control has.
    """

    experiment: Experiment
    unit: Unit
    bound: Bound | None
    kind: str
    name: str
    of: str = ""

    @property
    def method(self) -> str:
        """The method it depends on; empty for the dense network and the controls that all methods share."""
        return self.name if self.kind == METHOD else self.of

    @property
    def key(self) -> str:
        parts = (self.bound.name if self.bound else "", self.unit.name, self.kind, self.name, self.of)
        return "|".join((*parts, _digest([_base(self), _within(self), _by(self)])))

    def folder(self, work: Path) -> Path:
        """Dense trainings are shared by all budgets of a unit, controls by all methods of a budget."""
        place = work / f"{self.experiment.name}-{_digest(_base(self))}" / self.unit.name
        if self.bound is not None:
            place /= f"{_slug(self.bound.name)}-{_digest(_within(self))}"
        return place / f"{_slug(self.method)}-{_digest(_by(self))}" if self.method else place


def units(experiment: Experiment, seeds: Sequence[int] | None = None) -> tuple[Unit, ...]:
    """Seeds, or folds by number (repetitions count on), that are asked for; by default all."""
    if not experiment.folds:
        chosen = experiment.seeds if seeds is None else seeds
        return tuple(Unit(str(seed), seed, experiment.task) for seed in chosen)
    found = [
        Unit(f"{fold}+{repeat}" if repeat else fold, seed, f"{experiment.task}/{fold}")
        for seed, (repeat, fold) in enumerate(product(range(experiment.repeats), experiment.folds))
    ]
    return tuple(unit for unit in found if seeds is None or unit.seed in seeds)


def group_of(unit: str) -> str:
    """What is drawn as one: the repetitions of a fold share its data."""
    return unit.partition("+")[0]


def dense_cell(experiment: Experiment, unit: Unit) -> Cell:
    return Cell(experiment, unit, None, DENSE, DENSE)


def cells(experiment: Experiment, unit: Unit) -> Iterator[Cell]:
    """All networks of a unit, each after those that it needs."""
    yield dense_cell(experiment, unit)
    for bound in experiment.bounds:
        cell = Cell(experiment, unit, bound, CONTROL, "")
        yield from (replace(cell, name=c) for c in SHARED_CONTROLS if c in experiment.controls)
        for method in experiment.methods:
            yield replace(cell, kind=METHOD, name=method)
            yield from (replace(cell, name=c, of=method) for c in OWN_CONTROLS if c in experiment.controls)


def in_order(experiments: Sequence[Experiment], seeds: Sequence[int] | None = None) -> Iterator[Cell]:
    """Seed by seed through all experiments: results that are there are paired whenever the bench stops."""
    found = [(experiment, units(experiment, seeds)) for experiment in experiments]
    for index in range(max((len(some) for _, some in found), default=0)):
        for experiment, some in found:
            if index < len(some):
                yield from cells(experiment, some[index])


def recipe_of(experiment: Experiment, seed: int) -> Recipe:
    recipe = RECIPES[experiment.task]
    return replace(recipe, seed=seed, epochs=experiment.epochs or recipe.epochs)


def _base(cell: Cell) -> list[Any]:
    recipe = asdict(recipe_of(cell.experiment, cell.unit.seed))
    del recipe["widths"]  # no matter of the dense network
    changed = [] if cell.experiment.augment == "task" else [cell.experiment.augment]
    more = [] if cell.experiment.more is None else [cell.experiment.more]
    return [cell.unit.task, cell.experiment.model, recipe, DEFAULTS, *changed, *more]


def _within(cell: Cell) -> list[Any]:
    if cell.bound is None:
        return []
    widths = recipe_of(cell.experiment, cell.unit.seed).widths
    return [cell.bound.share, cell.bound.of, cell.bound.limits, cell.experiment.objectives, widths]


def _by(cell: Cell) -> list[Any]:
    experiment = cell.experiment
    if not cell.method:
        return []
    layers = [] if experiment.drop_blocks is False else [experiment.drop_blocks]
    return [cell.method, experiment.distill, experiment.binding, *layers]


def _digest(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.=]+", "-", text).strip("-")
