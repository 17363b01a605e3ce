"""From a wide graph to a small one that fits: gate, freeze, cut, train narrow, train int8.

The order of events and their shares of the run are in :class:`~mcuprune.training.schedules.Phases`.  A run is
a value that is advanced epoch by epoch and can be saved between epochs; two runs with equal inputs do equal
arithmetic.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcuprune.graph.channels import constant_indices
from mcuprune.graph.ir import Graph
from mcuprune.graph.passes import run_passes
from mcuprune.progress import SILENT, Progress
from mcuprune.prune.allocate import Problem, allocate, allocate_greedily
from mcuprune.prune.constrain import Binding, Multipliers, Observed, find_binding, homotopy, pressure
from mcuprune.prune.importance import filter_scores
from mcuprune.prune.method import Context, Method, State, best_units, random_of
from mcuprune.prune.run import Found, Run, learned, sites_of
from mcuprune.prune.shrink import carry_optimizer, shrink
from mcuprune.prune.target import Target
from mcuprune.training.divergence import check_finite, check_state
from mcuprune.training.graph_module import GraphModule, Seen, fold_gates
from mcuprune.training.int8 import FakeQuantizer, ready_for_int8
from mcuprune.training.loop import Arrays, EpochRecord, Loss, batches, make_module, take_step
from mcuprune.training.recipe import Recipe, make_optimizer, set_rate
from mcuprune.training.schedules import HALF, Phases, allr_start, int8_rate, run_rate, weights_of

REFRESH = 10  # steps, at least, between two integer allocations while masks move
REFRESHES = 60  # of them, at most, in a run: allocation must stay cheap beside training
RESTART = 12  # every so many start again from the full widths, the others from the previous levels
CHUNK = 0.1  # of a group's width may go at once while masks still move


class Search:
    """Everything about a run that does not change while it runs."""

    def __init__(
        self,
        target: Target,
        method: Method,
        data: Arrays,
        loss: Loss,
        recipe: Recipe,
        score: Callable[[torch.nn.Module], float],
        phases: Phases | None = None,
        binding: Binding | None = None,
    ) -> None:
        self.target, self.method, self.data, self.loss = target, method, data, loss
        self.recipe, self.score = recipe, score
        self.binding = binding or find_binding(method.binding)
        self.total = recipe.epochs * recipe.steps(len(data.x))
        self.phases = phases or Phases.of(self.total)
        moving = self.total * (self.phases.freeze - self.phases.warmup)
        self.refresh = max(REFRESH, math.ceil(moving / REFRESHES))

    def start(self, graph: Graph) -> Run:
        """From the largest filters: as many as are tried or, as masks of weights free no flash, as fit."""
        levels = self.target.uniform if self.method.kind == "weight" else self.target.ceilings
        keep = best_units(filter_scores(graph), levels)
        module = self.module(shrink(graph, keep), frozen=False)
        sites = sites_of(module.graph, self.method.kind)
        state = self.method.init(module, sites, torch.Generator().manual_seed(self.recipe.seed))
        optimizer = make_optimizer(module, self.recipe)
        return Run(graph, module, optimizer, sites, state, Multipliers.zero(self.target.budgets), keep=keep)

    def module(self, graph: Graph, frozen: bool) -> GraphModule:
        """Gates, and masks of weights also after the freeze, address every channel: none is spare."""
        return make_module(graph, self.recipe, addressed=self.method.kind == "weight" or not frozen)

    def finish(self, run: Run) -> Found:
        quantizer = run.quantizer
        ranges = {} if quantizer is None else quantizer.ranges()
        graph = run.module.to_graph()
        return Found(run_passes(graph), ranges, run.keep, tuple(run.history), run.seconds)

    def epoch(self, run: Run, progress: Progress = SILENT) -> None:
        """Advance by one epoch."""
        run.module.train()
        losses: list[Tensor] = []
        started = time.process_time()
        for x, y in batches(self.data, self.recipe, run.epoch):
            losses.append(self._step(run, x, y))
            check_finite(losses[-1], run.epoch, float(run.optimizer.param_groups[0]["lr"]))
        rate = float(run.optimizer.param_groups[0]["lr"])
        check_state(learned(run.module, run.state, run.multipliers), run.epoch, rate)
        run.seconds += time.process_time() - started
        share = run.step / self.total
        mean = float(torch.stack(losses).mean())
        if not run.frozen and run.epoch + 1 == self.recipe.epochs:
            self._freeze(run)  # a run of very few steps: the guarantee does not depend on the schedule
        usage = self._usage(run)
        record = EpochRecord(
            run.epoch,
            self.phases.name(share - 1e-9),
            mean,
            self._score(run),
            rate,
            usage,
            dict(run.multipliers.values),
        )
        run.history.append(record)
        run.epoch += 1
        progress.step(f"{record.phase:8s} loss {mean:.3f}  score {record.score:.3f}", usage)

    def _step(self, run: Run, x: Tensor, y: Tensor) -> Tensor:
        share = run.step / self.total
        if not run.frozen and share >= self.phases.freeze:
            self._freeze(run)
        if run.frozen and run.quantizer is None and share >= self.phases.int8:
            self._start_int8(run)
        set_rate(run.optimizer, self._rate(run, share + HALF / self.total))
        run.step += 1
        if run.frozen:
            return self._plain_step(run, x, y)
        loss = self.method.step(self._context(run, x, y, share))
        if self.method.kind == "channels" and share >= self.phases.warmup and run.step % self.refresh == 0:
            self._refresh(run, share, float(loss))
        return loss

    def _rate(self, run: Run, share: float) -> float:
        if run.quantizer is not None:
            done = (share - self.phases.int8) / (1.0 - self.phases.int8)
            return run.rate_scale * int8_rate(done, self.recipe.without_norms().learning_rate)
        peak = self.recipe.learning_rate
        restart = run.restart_rate if run.frozen else peak
        return run.rate_scale * run_rate(share, peak, restart, self.phases)

    def _plain_step(self, run: Run, x: Tensor, y: Tensor) -> Tensor:
        loss = take_step(run.optimizer, self.loss(run.module(x, **self._transforms(run)), y))
        if run.masks:
            _apply_masks(run)
        return loss

    def _context(self, run: Run, x: Tensor, y: Tensor, share: float) -> Context:
        def loss() -> Tensor:
            return self.loss(run.module(x, **self._transforms(run)), y)

        def price(expected: Mapping[str, Tensor]) -> Tensor:
            if share < self.phases.warmup:
                return torch.zeros(())
            paid = self.binding.paid(run.multipliers)
            usage = self.target.resources.relaxed({**run.graph.widths, **expected}, paid)
            return pressure(usage, self._bound_at(share), run.multipliers, self.binding)

        random, progress = random_of(self.recipe.seed, run.step), self.phases.progress(share)
        return Context(
            run.module, run.sites, run.state, run.optimizer, loss, price, random, run.step, progress
        )

    def _transforms(self, run: Run) -> dict[str, Any]:
        """How training sees the module: through gates or masked weights, later through quantization."""
        if run.frozen:
            quantizer = run.quantizer
            return (
                {} if quantizer is None else {"weight": quantizer.weight, "activation": quantizer.activation}
            )
        sites = {site.key: site for site in run.sites}
        if self.method.kind == "channels":
            return {"gates": self._gates(run)}

        def weight(name: str, value: Tensor) -> Tensor:
            return self.method.transform(sites[name], value, run.state) if name in sites else value

        return {"weight": weight}

    def _gates(self, run: Run) -> dict[str, Tensor]:
        return {s.key: self.method.transform(s, torch.ones(s.size), run.state) for s in run.sites}

    def _budgets_at(self, share: float) -> dict[str, float]:
        return homotopy(self._first, self.target.budgets, self.phases.progress(share))

    @cached_property
    def _first(self) -> Mapping[str, float]:
        """The figures of all that is tried."""
        return self.target.resources.exact(self.target.ceilings)

    def _bound_at(self, share: float) -> Mapping[str, float]:
        """The budgets that prices are about."""
        return self._budgets_at(share) if self.binding.moving else self.target.budgets

    def _refresh(self, run: Run, share: float, loss: float) -> None:
        """Choose the units that fit the present budgets, and move the multipliers by the exact violation."""
        wanted = self.method.widths(run.state)
        if wanted is not None:
            figures = self.target.resources.exact({k: max(1, n) for k, n in wanted.items()})
            violation = {k: math.log(figures[k] / b) for k, b in self._bound_at(share).items()}
            seen = Observed(violation, loss, self.phases.progress(share))
            run.multipliers = self.binding.update(run.multipliers, seen)
            return
        if run.step // self.refresh % RESTART == 0:
            run.levels = {}
        budgets = {k: max(b, self._least[k]) for k, b in self._budgets_at(share).items()}
        problem = self._problem(run, budgets)
        run.levels = allocate_greedily(problem, CHUNK, run.levels)
        self.method.assign(run.state, best_units(self.method.scores(run.state), run.levels))

    @cached_property
    def _least(self) -> dict[str, float]:
        """What the approximate costs can reach: at the floors they may exceed the exact ones."""
        found = self.target.costs({group: np.array([n]) for group, n in self.target.floors.items()})
        return {k: float(np.max(v)) for k, v in found.items()}

    def _problem(self, run: Run, budgets: Mapping[str, float]) -> Problem:
        weights = {k: 1.0 + v for k, v in run.multipliers.values.items()}
        curves = self.method.curves(run.state)
        return Problem(curves, self.target.costs, budgets, self.target.floors, weights=weights)

    def _freeze(self, run: Run) -> None:
        """Make the masks final: cut weights, batch norms and optimiser state, drop the method."""
        if self.method.kind == "channels":
            problem = replace(self._problem(run, self.target.budgets), exact=self.target.resources.exact)
            self._cut(run, best_units(self.method.scores(run.state), allocate(problem)))
        else:
            run.masks = self.method.final_masks(run.state)
            _apply_masks(run)
            run.restart_rate = self.recipe.learning_rate
        run.frozen, run.sites, run.state = True, (), State()
        run.multipliers = Multipliers.zero(self.target.budgets)

    def _cut(self, run: Run, keep: Mapping[str, np.ndarray]) -> None:
        """Go on with the units of ``keep`` alone; half-open gates are folded into the weights behind them."""
        opened = {group: torch.where(gate > 0, gate, 1.0) for group, gate in self._gates(run).items()}
        before = fold_gates(run.module.to_graph(), opened)
        narrow = shrink(before, keep)
        module = self.module(narrow, frozen=True)
        optimizer = make_optimizer(module, self.recipe)
        carry_optimizer(run.module, run.optimizer, module, optimizer, constant_indices(before, keep))
        rate, left = self.recipe.learning_rate, 1.0 - run.step / self.total
        run.restart_rate = allr_start(rate, weights_of(before), weights_of(narrow), left)
        run.module, run.optimizer = module, optimizer
        run.keep = {group: run.keep[group][units] for group, units in keep.items()}

    def _start_int8(self, run: Run) -> None:
        """Go on training with quantized weights and activations."""
        folded = ready_for_int8(run.module.to_graph(), self.data.x)
        run.module = self.module(folded, frozen=True)
        run.optimizer = make_optimizer(run.module, self.recipe.without_norms())
        run.quantizer = FakeQuantizer(run.module.graph)
        run.quantizer.calibrate(run.module, self.data.x, self.recipe.compute.find_device())

    def _usage(self, run: Run) -> dict[str, float]:
        """Exact use over budget of the network as it stands."""
        if run.frozen or self.method.kind == "weight":
            levels = {group: len(units) for group, units in run.keep.items()}
        else:
            levels = self.method.widths(run.state) or {
                key: int((gate > 0.5).sum()) for key, gate in self._gates(run).items()
            }
        figures = self.target.resources.exact({k: max(1, n) for k, n in levels.items()})
        return {k: figures[k] / b for k, b in self.target.budgets.items()}

    def _score(self, run: Run) -> float:
        return self.score(Seen(run.module, self._transforms(run)))


def _apply_masks(run: Run) -> None:
    parameters, _ = run.module.state()
    with torch.no_grad():
        for name, mask in run.masks.items():
            parameters[name].mul_(mask.to(parameters[name].device))
