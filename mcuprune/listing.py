"""What mcuprune knows: boards, methods, operators and tools, as plain records and as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcuprune.board import Board, board_names, load_board
from mcuprune.doctor import Finding
from mcuprune.terminal import table


@dataclass(frozen=True)
class BoardEntry:
    """``flash`` and ``ram`` are the default budgets in bytes: what is left beside the application's share."""

    name: str
    title: str
    core: str
    clock_hz: int
    flash: int
    ram: int
    aliases: tuple[str, ...]
    qemu: str | None
    emulated: bool


@dataclass(frozen=True)
class MethodEntry:
    name: str
    paper: str


@dataclass(frozen=True)
class OpEntry:
    """A layer and its C kernels, ``name (isa)`` each; none for layers that need no code."""

    op: str
    kernels: tuple[str, ...]


def boards() -> tuple[BoardEntry, ...]:
    return tuple(_entry(load_board(name)) for name in board_names())


def _entry(board: Board) -> BoardEntry:
    budget = board.budget()
    return BoardEntry(
        name=board.name,
        title=board.title,
        core=board.core.cpu,
        clock_hz=board.clock_hz,
        flash=budget["flash"],
        ram=budget["ram"],
        aliases=board.aliases,
        qemu=board.qemu,
        emulated=board.core.unicorn is not None,
    )


def boards_text(entries: Sequence[BoardEntry]) -> str:
    rows = (
        (
            entry.name,
            entry.core,
            f"{entry.clock_hz / 1e6:g} MHz",
            _size(entry.flash),
            _size(entry.ram),
            entry.title,
        )
        for entry in entries
    )
    lines = table(("board", "core", "clock", "flash budget", "RAM budget", "what it is"), rows)
    return f"{lines}\nBudgets are what a model may use; `mcuprune boards show NAME` says what is reserved."


def board_text(board: Board) -> str:
    """Memory map, reserve, default budget, and the source of each number."""
    budget = board.budget()
    head = (
        f"{board.name}: {board.title}",
        f"{board.soc}, {board.core.cpu} at {board.clock_hz / 1e6:g} MHz",
        f"flash wait states: {board.flash.wait_states} for {board.flash.line} bytes; "
        f"buffer: {board.flash.buffer}",
        f"kernels: {', '.join(sorted(board.core.isa))}; QEMU machine: {board.qemu or 'none'}",
    )
    regions = table(
        ("memory", "kind", "origin", "bytes", "source"),
        (
            (region.name, region.kind, f"{region.origin:#010x}", region.length, region.source)
            for region in board.memory.regions
        ),
    )
    share = table(
        ("", "reserved for the application", "default budget"),
        ((kind, getattr(board.reserved, kind), left) for kind, left in budget.items()),
    )
    sources = (f"clock: {board.sources['clock']}", f"reserved: {board.sources['reserved']}")
    return "\n".join((*head, "", regions, "", share, "", *sources))


def methods() -> tuple[MethodEntry, ...]:
    from mcuprune.prune.methods import METHODS

    return tuple(MethodEntry(method.name, method.paper) for method in METHODS)


def methods_text(entries: Sequence[MethodEntry]) -> str:
    return table(("method", "paper"), ((entry.name, entry.paper) for entry in entries))


def ops() -> tuple[OpEntry, ...]:
    from mcuprune.graph.ir import INTEGER_ONLY, NODES
    from mcuprune.kernels.catalogue import KERNELS

    return tuple(
        OpEntry(node.__name__, tuple(f"{k.name} ({k.isa})" for k in KERNELS if k.op is node))
        for node in (*NODES, *INTEGER_ONLY)
    )


def ops_text(entries: Sequence[OpEntry]) -> str:
    return table(("layer", "C kernels"), ((entry.op, ", ".join(entry.kernels) or None) for entry in entries))


def doctor_text(findings: Sequence[Finding]) -> str:
    rows = (
        (
            finding.name,
            finding.version or ("MISSING" if finding.required else "not installed"),
            finding.purpose,
            None if finding.version else finding.install,
        )
        for finding in findings
    )
    return table(("tool", "version", "what for", "how to get it"), rows)


def _size(count: int) -> str:
    return f"{count // 1024} KB" if count % 1024 == 0 else f"{count:,} B"
