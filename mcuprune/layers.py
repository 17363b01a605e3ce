"""What each layer of a deployed model cost in an emulated inference."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from mcuprune.graph.ir import QuantizedGraph
from mcuprune.plan.ir import Plan
from mcuprune.plan.live import call_count
from mcuprune.report.units import count
from mcuprune.resources.model import planned_calls
from mcuprune.terminal import table
from mcuprune.verify.cycles import Cycles
from mcuprune.verify.emulator import EmulatedRun


@dataclass(frozen=True)
class LayerProfile:
    """One layer, counted: all calls that it makes together.

    ``cycles`` is the middle estimate, ``None`` where the core's timing is not modelled.  ``share`` is the
    layer's part of all cycles, of all instructions where there are none.
    """

    layer: str
    op: str
    kernel: str
    macs: int
    instructions: int
    cycles: float | None
    instructions_per_mac: float | None
    share: float


GLUE = "run function"


def layer_profiles(graph: QuantizedGraph, plan: Plan, run: EmulatedRun) -> tuple[LayerProfile, ...]:
    """Every layer in the order in which they run, then what the run function executes itself.

    Layers that run together row by row are one entry, with the name of the last.
    The instructions, and the cycles, add up to those of the inference.
    """
    costs = layer_costs(graph, plan, run)
    work = Counter[str]()
    for call in planned_calls(graph, plan):
        work[call.step] += call.macs
    ops = {node.name: type(node).__name__ for node in graph.nodes}
    rows = [
        _profile((step.node, ops[step.node], step.kernel), work[step.node], cost, run)
        for step, cost in zip(plan.steps, costs, strict=True)
    ]
    glue = (run.glue.instructions, run.glue.cycles)
    return (*rows, _profile((GLUE, "", run.glue.kernel), 0, glue, run))


def layer_costs(graph: QuantizedGraph, plan: Plan, run: EmulatedRun) -> list[tuple[int, Cycles | None]]:
    """Instructions and cycles of each step of the plan; a step may be several calls."""
    calls = list(run.layers)
    nodes = {node.name: node for node in graph.nodes}
    found = []
    for step in plan.steps:
        number = call_count(step, nodes[step.node])
        own, calls = calls[:number], calls[number:]
        parts = [part.cycles for part in own if part.cycles is not None]
        cycles = sum(parts[1:], parts[0]) if parts else None
        found.append((sum(part.instructions for part in own), cycles))
    return found


def _profile(
    names: tuple[str, str, str], work: int, cost: tuple[int, Cycles | None], run: EmulatedRun
) -> LayerProfile:
    """``names``: layer, op and kernel; ``work``: its MACs."""
    layer, op, kernel = names
    instructions, cycles = cost
    if cycles is not None and run.cycles is not None:
        share = cycles.mid / run.cycles.mid
    else:
        share = instructions / run.instructions
    return LayerProfile(
        layer=layer,
        op=op,
        kernel=kernel,
        macs=work,
        instructions=instructions,
        cycles=None if cycles is None else cycles.mid,
        instructions_per_mac=instructions / work if work else None,
        share=share,
    )


def profile_text(rows: tuple[LayerProfile, ...]) -> str:
    """A table with a total."""
    head = ("layer", "kernel", "MACs", "instructions", "cycles", "instr/MAC", "cycles/MAC", "share")
    lines = [_line(row.layer, row.kernel, row.macs, row.instructions, row.cycles, row.share) for row in rows]
    known = [row.cycles for row in rows if row.cycles is not None]
    cycles = sum(known) if known else None
    work = sum(row.macs for row in rows)
    lines.append(_line("total", "", work, sum(row.instructions for row in rows), cycles, 1.0))
    return table(head, lines)


def _line(
    layer: str, kernel: str, work: int, instructions: int, cycles: float | None, share: float
) -> tuple[str, ...]:
    per_mac = (f"{instructions / work:.2f}" if work else "-",)
    cycles_per_mac = f"{cycles / work:.2f}" if work and cycles is not None else "-"
    shown = (count(work) if work else "-", count(instructions), "-" if cycles is None else count(cycles))
    return (layer, kernel, *shown, *per_mac, cycles_per_mac, f"{100 * share:.1f} %")
