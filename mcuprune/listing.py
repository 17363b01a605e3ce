"""What mcuprune knows: boards, methods, operators and tools, as plain records and as text."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from mcuprune.board import Board, board_names, load_board
from mcuprune.doctor import Finding
from mcuprune.graph.node import Node
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
    """``use`` is method or binding; ``options`` with their defaults, as ``name:option=value`` sets them."""

    name: str
    use: str
    title: str
    paper: str
    options: Mapping[str, object]


_WORDS = ("activation", "function", "kind")  # options that are words; other words name constants


@dataclass(frozen=True)
class OpEntry:
    """A layer, its options, what it does, and its C kernels, ``name (isa)`` each (none: no code).

    With ``tflite`` the entry is an operator that int8 .tflite files may contain.
    """

    op: str
    kernels: tuple[str, ...]
    options: tuple[str, ...] = ()
    what: str = ""
    tflite: bool = False


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
    """The pruning methods, and the bindings that may be combined with them."""
    from mcuprune.prune.constrain import BINDINGS
    from mcuprune.prune.methods import METHODS
    from mcuprune.prune.options import options

    uses = (("method", METHODS), ("binding", BINDINGS))
    return tuple(
        MethodEntry(entry.name, use, entry.title, entry.paper, options(entry))
        for use, entries in uses
        for entry in entries
    )


def methods_text(entries: Sequence[MethodEntry]) -> str:
    shown = []
    for use, title in (("method", "--method NAME[:OPTION=VALUE,...]"), ("binding", "--binding")):
        rows = ((e.name, e.title, e.paper, _options(e)) for e in entries if e.use == use)
        shown.append(table((title, "what it does", "paper", "options"), rows))
    return "\n\n".join(shown)


def _options(entry: MethodEntry) -> str | None:
    return ", ".join(f"{name}={value}" for name, value in entry.options.items()) or None


def ops() -> tuple[OpEntry, ...]:
    """Every layer there is, then every operator that int8 .tflite files may contain."""
    from mcuprune.frontends.tflite_ops import OPERATORS
    from mcuprune.graph.ir import INTEGER_ONLY, NODES

    layers = tuple(_layer(node) for node in (*NODES, *INTEGER_ONLY))
    return (*layers, *(OpEntry(code, (), tflite=True) for code in sorted(OPERATORS)))


def _layer(node: type[Node]) -> OpEntry:
    from mcuprune.kernels.catalogue import KERNELS

    kernels = tuple(f"{kernel.name} ({kernel.isa})" for kernel in KERNELS if kernel.op is node)
    own = [field for field in fields(node) if field.name not in ("name", "inputs")]
    options = tuple(f.name for f in own if f.name in _WORDS or f.type not in ("str", "str | None"))
    described = inspect.getdoc(node) or ""
    generated = described.startswith(f"{node.__name__}(")  # of a dataclass without a docstring
    what = "" if generated else " ".join(described.split("\n\n")[0].split()).replace("``", "")
    return OpEntry(node.__name__, kernels, options, what)


def ops_text(entries: Sequence[OpEntry]) -> str:
    rows = (
        (entry.op, ", ".join(entry.options) or None, ", ".join(entry.kernels) or None)
        for entry in entries
        if not entry.tflite
    )
    codes = ", ".join(entry.op for entry in entries if entry.tflite)
    imported = textwrap.fill(codes, 110, break_on_hyphens=False)
    return f"{table(('layer', 'options', 'C kernels'), rows)}\n\nOperators of int8 .tflite files:\n{imported}"


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
