"""The figures of a report: what a network takes, predicted and measured; and what compression saved."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from mcuprune.evidence import Evidence
from mcuprune.graph.ir import Graph, QuantizedGraph
from mcuprune.graph.op_shape import op_shape
from mcuprune.graph.passes import run_passes
from mcuprune.report import model as r
from mcuprune.resources.macs import macs
from mcuprune.resources.model import Breakdown, breakdown


def breakdowns(e: Evidence) -> tuple[Breakdown, Breakdown]:
    """Of the dense network, deployed by itself with the kernels that would be chosen first; and of ours."""
    graph, subject = run_passes(e.whole.graph), e.built.subject
    core, toolchain, flash = e.board.core, e.config.toolchain, e.board.flash
    alone = e.target.resources.choosing_for(e.config.objectives[0])
    dense = breakdown(graph, alone.plan(graph), core, toolchain, flash)
    return dense, breakdown(subject.graph, subject.plan, core, toolchain, flash)


def savings(e: Evidence) -> tuple[r.Saving, ...]:
    """What the network lost on paper, and what the device gained by it, both by the same models."""
    dense, ours = breakdowns(e)
    before, after = nominal(run_passes(e.whole.graph)), nominal(e.built.subject.graph)
    paper = [r.Amount(*words, *figures) for words, *figures in zip(NOMINAL, before, after, strict=True)]
    return (
        r.Saving(paper[0], r.Amount("cycles", "cycles", math.ceil(dense.cycles), math.ceil(ours.cycles))),
        r.Saving(paper[1], r.Amount("flash", "bytes", dense.flash, ours.flash)),
    )


NOMINAL = (("MACs", "MACs"), ("parameters", "parameters"))


def nominal(graph: Graph | QuantizedGraph) -> tuple[int, int]:
    """Multiplications by weights that are not zero, and such weights with all biases: as papers count.

    In int8 a weight that rounds to zero is zero.
    """
    products, parameters = 0.0, 0
    for node in graph.nodes:
        weight = getattr(node, "weight", None)
        values = None if weight is None else graph.constants[weight].values
        share = 1.0 if values is None else np.count_nonzero(values) / max(1, values.size)
        products += share * int(macs(node, op_shape(node, graph.shape)))
    for constant in graph.constants.values():
        whole = constant.values.ndim < 2
        parameters += constant.values.size if whole else int(np.count_nonzero(constant.values))
    return math.ceil(products), parameters


def resource_rows(e: Evidence) -> tuple[r.Resource, ...]:
    """Budget, dense, predicted and measured of every resource."""
    dense, ours = breakdowns(e)
    sizes, run = e.built.sizes, e.proof.emulated
    limits = e.target.budgets
    stack = None if run is None else run.stack_bytes
    cycles = None if run is None or run.cycles is None else round(run.cycles.mid)
    hz = e.board.clock_hz

    def row(key: str, label: str, unit: str, pick: str, measured: float | None, **more: object) -> r.Resource:
        values = (getattr(dense, pick), getattr(ours, pick))
        return r.Resource(key, label, unit, dense=values[0], predicted=values[1], measured=measured, **more)  # type: ignore[arg-type]

    rows = [
        row(
            "flash.total", "Flash", "bytes", "flash", sizes.flash, budget=limits.get("flash"), tolerance=0.01
        ),
        row("flash.constants", "constants", "bytes", "constants", sizes.constants, tolerance=0.0),
        row("flash.code", "code", "bytes", "code", sizes.code, tolerance=0.01),
        row(
            "ram.total",
            "RAM",
            "bytes",
            "ram",
            None if stack is None else sizes.static_ram + stack,
            budget=limits.get("ram"),
        ),
        row("ram.arena", "arena", "bytes", "memory", sizes.static_ram, tolerance=0.0),
        row(
            "ram.stack",
            "stack",
            "bytes",
            "stack",
            stack,
            note="predicted from the deepest frames: never below",
        ),
        row("macs.total", "MACs", "MACs", "macs", ours.macs, budget=limits.get("macs")),
        row(
            "cycles.total",
            "Cycles",
            "cycles",
            "cycles",
            cycles,
            note="upper bound of the cycle model; measured: emulated core, zero wait states",
        ),
    ]
    rows.append(
        r.Resource(
            "latency.total",
            "Latency",
            "s",
            budget=None if "cycles" not in limits else limits["cycles"] / hz,
            dense=dense.latency.high / hz,
            predicted=ours.latency.high / hz,
            measured=None if cycles is None else replace(ours.latency, core=cycles).high / hz,
            note=f"at most; {ours.latency.text(hz)}; measured: cycles of the emulated core in its place",
        )
    )
    return tuple(_whole(entry) for entry in rows)


def _whole(row: r.Resource) -> r.Resource:
    """Cycles are modelled as fractions and shown as whole numbers, rounded up."""
    if row.unit == "s":
        return row
    up = {k: math.ceil(v) for k in ("dense", "predicted", "budget") if (v := getattr(row, k)) is not None}
    return replace(row, **up)
