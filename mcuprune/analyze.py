"""What a model as it is would take of a board, layer by layer, without training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mcuprune.board import Board
from mcuprune.budget import Budget
from mcuprune.config import objective_of
from mcuprune.deploy import fold
from mcuprune.errors import UsageError
from mcuprune.frontends.load import load_model
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import Graph, QuantizedGraph
from mcuprune.graph.passes import run_passes
from mcuprune.lossless.record import HEAD, Change
from mcuprune.plan.live import Network
from mcuprune.plan.make import make_plan
from mcuprune.report.units import count, kibi, seconds
from mcuprune.resources.choices import KernelChoice, Price, kernel_choices, price
from mcuprune.resources.macs import total_macs
from mcuprune.resources.model import Breakdown, breakdown, planned_calls
from mcuprune.terminal import table


@dataclass(frozen=True)
class LayerCost:
    """One layer; ``constants`` bytes of flash; ``choice`` has its cycles and the kernel's alternatives."""

    name: str
    op: str
    kernel: str
    shape: tuple[int, ...]
    constants: int
    macs: int
    choice: KernelChoice


@dataclass(frozen=True)
class Analysis:
    """What a model would take of a board as it is, int8."""

    model: str
    board: str
    usage: Breakdown
    limits: Mapping[str, float]
    layers: tuple[LayerCost, ...]
    arena_gap: int
    clock_hz: int
    folded: tuple[Change, ...] = ()
    macs_before: int | None = None
    price: Price | None = None

    @property
    def fits(self) -> bool:
        used = {"cycles": self.usage.latency.high}
        return all(used.get(k, getattr(self.usage, k)) <= limit for k, limit in self.limits.items())

    def text(self) -> str:
        head = ("layer", "op", "output", "constants", "MACs", "cycles", "kernel", "why")
        rows = [
            (
                layer.name,
                layer.op,
                "x".join(map(str, layer.shape)),
                count(layer.constants),
                count(layer.macs),
                count(layer.choice.chosen.cycles),
                layer.kernel,
                layer.choice.why,
            )
            for layer in self.layers
        ]
        usage = self.usage
        banks = f", and {kibi(usage.other_banks)} in other banks" if usage.other_banks else ""
        totals = [
            ("flash", kibi(usage.flash), f"{kibi(usage.constants)} constants, {kibi(usage.code)} code"),
            (
                "RAM",
                kibi(usage.ram),
                f"{kibi(usage.arena)} arena (lower bound + {self.arena_gap} B), {usage.stack} B stack{banks}",
            ),
            ("MACs", count(usage.macs), ""),
            (
                "latency",
                f"at most {seconds(usage.latency.high / self.clock_hz)}",
                usage.latency.text(self.clock_hz),
            ),
        ]
        limits = ", ".join(f"{k} {count(v)}" for k, v in self.limits.items())
        verdict = f"{'fits' if self.fits else 'does NOT fit'} {self.board} ({limits})"
        price = () if self.price is None else (self.price.text(), "")
        costs = [table(head, rows), "", table(("int8", "total", "of which"), totals), "", *price, verdict]
        return "\n".join([*folding(self.folded, self.macs_before, usage.macs), *costs])


def folding(changes: tuple[Change, ...], before: int | None, after: int) -> list[str]:
    """The lines that say what was folded; none if nothing was."""
    if not changes:
        return []
    saved = f"folded without changing an output byte: {count(before)} -> {count(after)} MACs"
    return [table(HEAD, [change.row() for change in changes]), "", saved, ""]


def analyze(
    model: str,
    board: Board,
    budget: Budget,
    input_shape: tuple[int, ...] | None = None,
    lossless: bool = True,
    optimize: str = "speed",
) -> Analysis:
    """Costs per layer and in total of a model as it is, without training.

    ``input_shape`` (channels first) is needed for PyTorch modules; without ``lossless`` an integer model is
    taken unfolded.  Raises UnsupportedError for the first layer that cannot be deployed.
    """
    graph, objective = as_network(model, input_shape), objective_of(optimize)
    changes: tuple[Change, ...] = ()
    before = None
    if isinstance(graph, QuantizedGraph):
        folded = fold(graph, lossless)
        before, graph, changes = total_macs(graph), folded.graph, folded.changes
    plan = make_plan(graph, board.core.isa, objective, banks=board.ram_banks())
    calls, choices = planned_calls(graph, plan), kernel_choices(graph, plan, board.core)
    layers = tuple(
        LayerCost(
            choice.layer,
            type(call.shape.node).__name__,
            choice.kernel,
            graph.shape(choice.layer),
            int(call.kernel.constants(call.shape)),
            call.macs,
            choice,
        )
        for call, choice in zip(calls, choices, strict=True)
    )
    return Analysis(
        model=model,
        board=board.name,
        usage=breakdown(graph, plan, board.core, timing=board.flash),
        limits=budget.within(Budget(**board.budget())).limits(board.clock_hz),
        layers=layers,
        arena_gap=plan.memory_bytes - plan.lower_bound,
        clock_hz=board.clock_hz,
        folded=changes,
        macs_before=before,
        price=price(graph, plan, board.core, objective),
    )


def as_network(model: str, input_shape: tuple[int, ...] | None) -> Network:
    """A loaded model as something that can be planned."""
    found = load_model(model)
    if input_shape is not None and isinstance(found, Graph | QuantizedGraph):
        raise UsageError(f"--input is for PyTorch modules; '{model}' knows its input shape: leave it out")
    if isinstance(found, QuantizedGraph):
        return found
    if isinstance(found, Graph):
        return run_passes(found)
    if input_shape is None:
        raise UsageError(
            "a PyTorch module needs --input, its input shape without the batch, e.g. --input 1,28,28"
        )
    return run_passes(trace(found, input_shape))
