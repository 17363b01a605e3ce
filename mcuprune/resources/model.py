"""What a network takes of a board, as a function of its widths.

One set of formulas serves three readers: ``figures`` evaluates many candidate widths at once (numpy),
``relaxed`` gives gradients (torch), ``exact`` is what counts: kernels chosen anew and the arena packed by the
real planner.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mcuprune.board import FlashTiming
from mcuprune.core import Core
from mcuprune.graph.ir import Graph, axis_width
from mcuprune.graph.op_shape import Number, OpShape, op_shape
from mcuprune.kernels import catalogue
from mcuprune.kernels.kernel import Kernel
from mcuprune.plan.ir import Call, Plan, row_loops
from mcuprune.plan.live import LiveStep, Network, ShapeOf, step_bytes
from mcuprune.plan.make import live_steps, make_plan
from mcuprune.plan.rows import row_shape
from mcuprune.resources.clamping import clamping
from mcuprune.resources.cycles import run_cycles, upper_cycles
from mcuprune.resources.flash import code_bytes, constant_bytes, reset_costs, stored_bytes
from mcuprune.resources.latency import ErrorBar, Latency, error_bar, latency, linear_share, waiting_cycles
from mcuprune.resources.loops import loop_code_bytes, loop_cycles, loop_functions, loop_stack_bytes
from mcuprune.resources.macs import macs
from mcuprune.resources.stack import stack_bytes

Widths = Mapping[str, Number]
# Widths are tried by the thousand: a shorter search for the arena, never below what the final plan takes.
PLACEMENTS = 1_500
RESOURCES = ("flash", "ram", "macs", "cycles")


@dataclass(frozen=True)
class ResourceModel:
    """Costs of ``graph`` (batch norms folded, activations fused) on one core, as built by one toolchain.

    Flash counts constants, tables and code; RAM the arena, with input and output in it, and the stack; cycles
    are the upper bound of the cycle model, as far as latency is concerned: with ``timing`` they include what
    waiting for flash takes, and the error of such estimates on silicon.  ``clock_hz`` serves messages alone.
    ``figures`` and ``relaxed`` are exact at the ``usual`` widths, by default those of the graph: they assume
    the kernels of there, and that the plan needs as much more or less than its largest step as there.
    """

    by_step: ClassVar[tuple[str, ...]] = ("ram",)  # resources with a figure for every step of the schedule

    graph: Graph
    core: Core
    toolchain: str = "zig"
    objective: str = "cycles"
    timing: FlashTiming | None = None
    clock_hz: float | None = None
    usual: Mapping[str, int] = field(default_factory=dict)
    _memo: dict[tuple[int, ...], dict[str, float]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def steps(self) -> tuple[LiveStep, ...]:
        return live_steps(self._at(self.usual), self.core.isa, self.objective)

    def figures(
        self, levels: Mapping[str, np.ndarray], wanted: Collection[str] = RESOURCES
    ) -> dict[str, np.ndarray]:
        """Costs of candidates; ``levels``: group -> (candidates,) widths, a group left out keeps its own.

        RAM has one row per schedule step: (steps, candidates).
        """
        found = self._costs({**self.graph.widths, **levels}, wanted)
        count = max((len(v) for v in levels.values()), default=1)
        rows = {
            k: self._scales[k] * np.stack([np.broadcast_to(r, (count,)) for r in v]) for k, v in found.items()
        }
        return {k: v if k in self.by_step else v[0] for k, v in rows.items()}

    def relaxed(self, widths: Widths, wanted: Collection[str] = RESOURCES) -> dict[str, Tensor]:
        """The same costs of scalar tensors, differentiable; RAM is (steps,)."""
        found = self._costs(widths, wanted)
        rows = {
            k: self._scales[k] * torch.stack([torch.as_tensor(r, dtype=torch.float32) for r in v])
            for k, v in found.items()
        }
        return {k: v if k in self.by_step else v[0] for k, v in rows.items()}

    def exact(self, levels: Mapping[str, int]) -> dict[str, float]:
        """Costs of integer widths by the real planner."""
        narrow = self._at(levels)
        key = tuple(narrow.widths.values())
        if key not in self._memo:
            usage = breakdown(narrow, self.plan(narrow), self.core, self.toolchain, self.timing)
            self._memo[key] = self.named(usage)
        return self._memo[key]

    def named(self, usage: Breakdown) -> dict[str, float]:
        """The figures of a planned network by resource."""
        return {k: getattr(usage, k) for k in RESOURCES} | {"cycles": usage.latency.high}

    def choosing_for(self, objective: str) -> ResourceModel:
        """The same, with kernels chosen for another objective."""
        return replace(self, objective=objective, _memo={})

    def plan(self, network: Network) -> Plan:
        return make_plan(network, self.core.isa, self.objective, placement_limit=PLACEMENTS)

    def _at(self, widths: Mapping[str, int]) -> Graph:
        given = {group: int(widths.get(group, n)) for group, n in self.graph.widths.items()}
        return replace(self.graph, widths=given)

    @cached_property
    def _scales(self) -> dict[str, float]:
        """Resource -> the exact figure over the approximate one at the usual widths."""
        exact = self.exact(self.usual)
        near = {k: max(v, default=0) for k, v in self._costs(self._at(self.usual).widths, exact).items()}
        return {k: exact[k] / float(v) if v else 1.0 for k, v in near.items()}

    def _costs(self, widths: Widths, wanted: Collection[str]) -> dict[str, Sequence[Number]]:
        shape_of = self._shape_of(widths)
        calls = [(step.work.kernel, op_shape(step.work.node, shape_of)) for step in self.steps]
        code, stack = self._code_and_stack
        rules: dict[str, Callable[[], Sequence[Number]]] = {
            "flash": lambda: (constant_bytes(calls) + code,),
            "ram": lambda: [live + stack for live in step_bytes(self.steps, shape_of)],
            "macs": lambda: (sum(macs(shape.node, shape) for _, shape in calls),),
            "cycles": lambda: (self._cycles(calls),),
        }
        return {resource: rules[resource]() for resource in wanted}

    def _cycles(self, calls: Sequence[tuple[Kernel, OpShape]]) -> Number:
        core = run_cycles(len(calls)) + sum(
            upper_cycles(k, shape, self.core.name, shape.node.name in self._clamping) for k, shape in calls
        )
        if self.timing is None:
            return core
        waiting = waiting_cycles([(shape, 1) for _, shape in calls], core, self.timing)
        return (core + waiting) * (1 + self._error.high)

    @cached_property
    def _clamping(self) -> frozenset[str]:
        return clamping(self.graph)

    @cached_property
    def _error(self) -> ErrorBar:
        shapes = [(step.work.shape, 1) for step in self.steps]
        return error_bar(linear_share(shapes))

    @cached_property
    def _code_and_stack(self) -> tuple[int, int]:
        names = [step.work.kernel.name for step in self.steps]
        code = code_bytes(names, len(names), self.core.name, self.toolchain)
        return code, stack_bytes(names, self.core.name, self.toolchain)

    def _shape_of(self, widths: Widths) -> ShapeOf:
        @cache  # every tensor is asked for by its writer, its readers and the arena
        def shape(tensor: str) -> tuple[Number, ...]:
            kind = self.graph.tensors[tensor]
            return (*kind.spatial, axis_width(kind.channels, widths))

        return shape


@dataclass(frozen=True)
class Breakdown:
    """Usage in its parts; bytes, MACs, cycles of the core (upper bound), and the latency in cycles.

    RAM is that of the main bank; the arena may go on in others.
    """

    constants: int
    code: int
    arena: int
    state: int
    stack: int
    macs: int
    cycles: float
    latency: Latency
    other_banks: int = 0

    @property
    def flash(self) -> int:
        return self.constants + self.code

    @property
    def ram(self) -> int:
        return self.memory + self.stack

    @property
    def memory(self) -> int:
        """What the caller provides: the arena, and the memory of the states."""
        return self.arena + self.state


@dataclass(frozen=True)
class PlannedCall:
    """A kernel with the sizes it runs, ``times`` a run of the network: the rows of a loop, otherwise once.

    ``step`` is the node of the plan's step that it belongs to: the last one of a loop.
    """

    step: str
    kernel: Kernel
    shape: OpShape
    times: int = 1

    @property
    def macs(self) -> int:
        return int(macs(self.shape.node, self.shape)) * self.times


def breakdown(
    network: Network, plan: Plan, core: Core, toolchain: str = "zig", timing: FlashTiming | None = None
) -> Breakdown:
    """What a planned network takes: constants and arena exact, code and stack from toolchain tables.

    Without ``timing`` the latency is the core's cycles in memory without wait states, exact on silicon.
    """
    calls = planned_calls(network, plan)
    names = [call.kernel.name for call in calls]
    loops = row_loops(plan)
    resets = reset_costs(network, (*names, *loop_functions(loops)))
    clamped = clamping(network)
    cycles = sum(
        upper_cycles(call.kernel, call.shape, core.name, call.shape.node.name in clamped) * call.times
        for call in calls
    )
    cycles += run_cycles(len(plan.steps)) + loop_cycles(loops, core.name)
    return Breakdown(
        constants=int(constant_bytes([(call.kernel, call.shape) for call in calls]))
        + stored_bytes(network)
        + resets.constants,
        code=code_bytes(names, len(calls), core.name, toolchain)
        + loop_code_bytes(loops, core.name, toolchain)
        + resets.code(core.name, toolchain),
        arena=plan.arena_bytes,
        state=plan.state_bytes,
        stack=stack_bytes(names, core.name, toolchain) + loop_stack_bytes(loops),
        macs=sum(call.macs for call in calls),
        cycles=cycles,
        latency=latency([(call.shape, call.times) for call in calls], cycles, timing),
        other_banks=plan.memory_bytes - plan.arena_bytes,
    )


def planned_calls(network: Network, plan: Plan) -> list[PlannedCall]:
    """The kernels of a plan with the shapes they run, in order."""
    nodes = {node.name: node for node in network.nodes}
    found = []
    for step in plan.steps:
        if isinstance(step, Call):
            shape = op_shape(nodes[step.node], network.shape)
            found.append(PlannedCall(step.node, catalogue.kernel(step.kernel), shape))
            continue
        for row in (row for row in step.steps if row.kernel):
            shape = row_shape(op_shape(nodes[row.node], network.shape))
            found.append(PlannedCall(step.node, catalogue.kernel(row.kernel), shape, row.rows))
    return found
