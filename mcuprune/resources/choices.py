"""Why each layer has the kernel that it has, in figures of the kernels that it could have had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcuprune.core import Core
from mcuprune.kernels import catalogue
from mcuprune.kernels.kernel import Kernel
from mcuprune.plan.ir import Plan
from mcuprune.plan.live import Network
from mcuprune.plan.make import make_plan
from mcuprune.resources.model import Breakdown, PlannedCall, breakdown, planned_calls


@dataclass(frozen=True)
class Alternative:
    """A kernel for a layer: modelled cycles; ``flash`` bytes of its constants and of code that no other layer
    needs anyway; ``scratch`` bytes while it runs."""

    kernel: str
    cycles: float
    flash: int
    scratch: int


@dataclass(frozen=True)
class KernelChoice:
    """The kernel of one layer, why, and the ``alternatives``, the fastest first, itself among them."""

    layer: str
    kernel: str
    why: str
    alternatives: tuple[Alternative, ...]

    @property
    def chosen(self) -> Alternative:
        return next(entry for entry in self.alternatives if entry.kernel == self.kernel)


def kernel_choices(network: Network, plan: Plan, core: Core) -> tuple[KernelChoice, ...]:
    """One entry for each layer of the plan that runs a kernel, in the order in which they run."""
    calls = planned_calls(network, plan)
    return tuple(_choice(index, calls, core) for index in range(len(calls)))


def _choice(index: int, calls: Sequence[PlannedCall], core: Core) -> KernelChoice:
    call = calls[index]
    shared = {
        name
        for place, other in enumerate(calls)
        if place != index
        for name in catalogue.functions(other.kernel)
    }
    found = [
        _alternative(kernel, call, shared, core) for kernel in catalogue.candidates(call.shape, core.isa)
    ]
    ordered = tuple(sorted(found, key=lambda entry: (entry.cycles, entry.flash)))
    chosen = next(entry for entry in ordered if entry.kernel == call.kernel.name)
    why = _why(chosen, ordered)
    rows = f"; {call.times} rows in a loop" if call.times > 1 else ""
    return KernelChoice(call.shape.node.name, call.kernel.name, why + rows, ordered)


def _alternative(kernel: Kernel, call: PlannedCall, shared: set[str], core: Core) -> Alternative:
    code = sum(
        catalogue.function_bytes(name, core.name)
        for name in catalogue.functions(kernel)
        if name not in shared
    )
    return Alternative(
        kernel.name,
        float(catalogue.cycles(kernel, call.shape, core.name)) * call.times,
        int(kernel.constants(call.shape)) + code,
        int(kernel.scratch(call.shape)),
    )


def _why(chosen: Alternative, ordered: Sequence[Alternative]) -> str:
    if len(ordered) == 1:
        return "the only kernel for it"
    fastest = ordered[0]
    if chosen is fastest:
        return f"fastest: {ordered[1].cycles / chosen.cycles:.2f}x as long with {ordered[1].kernel}"
    saved = [
        f"{getattr(fastest, what) - getattr(chosen, what):,} B less {word}"
        for what, word in (("flash", "flash"), ("scratch", "scratch"))
        if getattr(fastest, what) > getattr(chosen, what)
    ]
    gain = " and ".join(saved) or "memory of the whole model"
    return f"{gain}, {chosen.cycles / fastest.cycles:.2f}x as long as {fastest.kernel}"


@dataclass(frozen=True)
class Price:
    """What an objective other than speed gains and costs: the plan's figures, and those of the fastest."""

    objective: str
    found: Breakdown
    fastest: Breakdown

    def text(self) -> str:
        def change(what: str) -> str:
            before, after = getattr(self.fastest, what), getattr(self.found, what)
            return f"{100 * (after / before - 1):+.1f} %" if before else "-"

        parts = (f"{what} {change(what)}" for what in ("cycles", "flash", "arena"))
        return f"optimized for {self.objective}, against speed: {', '.join(parts)}"


def price(network: Network, plan: Plan, core: Core, objective: str, toolchain: str = "zig") -> Price | None:
    """``None`` where the plan is the fastest one's."""
    if objective == "cycles":
        return None
    fastest = make_plan(network, core.isa)
    return Price(
        objective, breakdown(network, plan, core, toolchain), breakdown(network, fastest, core, toolchain)
    )
