"""Boards: a processor core, its memories and clock, read from strict TOML files.

Every number is written once, in ``boards/<name>.toml``, beside the document it comes from.  The linker
script, the default budget and the choice of kernels are derived from it.
"""

from __future__ import annotations

import difflib
import itertools
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcuprune import share
from mcuprune.core import CORES, Core
from mcuprune.errors import UsageError
from mcuprune.memory import HOLDS, KINDS, Memory, Region

STACK_BYTES = 1024  # more than any generated model needs


@dataclass(frozen=True)
class Reserved:
    """Bytes that belong to the application and not to the model."""

    flash: int = 0
    ram: int = 0


FLASH_BUFFERS = ("none", "prefetch", "cache")


@dataclass(frozen=True)
class FlashTiming:
    """``wait_states`` cycles for each ``line`` of bytes that is fetched from flash.

    buffer   what hides them: ``none``, a ``prefetch`` buffer that holds loops of code, or a ``cache`` that
             holds the constants in use as well
    """

    wait_states: int = 0
    line: int = 16
    buffer: str = "prefetch"


@dataclass(frozen=True)
class Board:
    """``clock_hz`` and ``flash``'s timing belong together; ``qemu`` is a system emulator's machine name.

    ``sources`` says where each group of numbers comes from.
    """

    name: str
    title: str
    soc: str
    core: Core
    memory: Memory
    clock_hz: int
    flash: FlashTiming
    reserved: Reserved
    qemu: str | None
    aliases: tuple[str, ...]
    sources: Mapping[str, str]

    def budget(self) -> dict[str, int]:
        """Default budget in bytes: all flash, and the main RAM bank, less what is reserved."""
        return {
            "flash": self.memory.total("flash") - self.reserved.flash,
            "ram": self.memory.main("ram").length - self.reserved.ram,
        }

    def ram_banks(self) -> tuple[int, ...]:
        """Bytes for the model in each bank of RAM, the main one first, less what is reserved there and the
        stack."""
        main = self.memory.main("ram")
        others = (bank.length for bank in self.memory.banks("ram") if bank != main)
        return (max(0, self.budget()["ram"] - STACK_BYTES), *others)

    def milliseconds(self, cycles: float) -> float:
        return 1e3 * cycles / self.clock_hz


def board_names() -> tuple[str, ...]:
    """Names of the boards that come with mcuprune, sorted."""
    return tuple(sorted(path.stem for path in share.folder("boards").glob("*.toml")))


def load_board(name_or_path: str | Path) -> Board:
    """A board by name, by alias, or from a TOML file.

    Raises UsageError for an unknown name (with the nearest ones) and for a file that does not hold a board.
    """
    return _parse(board_path(name_or_path))


def board_path(name_or_path: str | Path) -> Path:
    """The TOML file of a board; raises UsageError for an unknown name."""
    text = str(name_or_path)
    if text.endswith(".toml"):
        return Path(text)
    if text in board_names():
        return share.folder("boards") / f"{text}.toml"
    boards = [_parse(share.folder("boards") / f"{name}.toml") for name in board_names()]
    for board in boards:
        if text in board.aliases:
            return share.folder("boards") / f"{board.name}.toml"
    known = [name for board in boards for name in (board.name, *board.aliases)]
    raise UsageError(
        f"unknown board '{text}'{_suggest(text, known)}; `mcuprune boards` lists all, or give a file"
    )


def _suggest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f": did you mean '{close[0]}'?" if close else ""


def _read(path: Path) -> dict[str, Any]:
    """The file's tables, those of the board it ``extends`` underneath."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"board file {path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"board file {path} is not valid TOML: {error}") from error
    base = data.pop("extends", None)
    if base is None:
        return data
    if base not in board_names():
        raise UsageError(
            f"board file {path}: extends unknown board '{base}'{_suggest(str(base), board_names())}"
        )
    return {**_read(share.folder("boards") / f"{base}.toml"), "aliases": [], **data}


def _parse(path: Path) -> Board:
    where = f"board file {path.name}"
    data = _read(path)
    _check_keys(data, _BOARD, where)
    clock = _table(data, "clock", _CLOCK, where)
    reserved = _table(data, "reserved", _RESERVED, where)
    memory = _memory(data["memory"], where)
    core = data["core"]
    if core not in CORES:
        raise UsageError(f"{where}: unknown core '{core}'{_suggest(core, CORES)}; known: {', '.join(CORES)}")
    board = Board(
        name=data["name"],
        title=data["title"],
        soc=data["soc"],
        core=CORES[core],
        memory=memory,
        clock_hz=clock["hz"],
        flash=FlashTiming(
            clock["flash_wait_states"], clock.get("flash_line", 16), clock.get("flash_buffer", "prefetch")
        ),
        reserved=Reserved(reserved["flash"], reserved["ram"]),
        qemu=data.get("qemu"),
        aliases=tuple(data.get("aliases", ())),
        sources={
            "clock": clock["source"],
            **{f"memory.{region.name}": region.source for region in memory.regions},
            "reserved": reserved["source"],
        },
    )
    for check in _CHECKS:
        check(board, where)
    if path.parent == share.folder("boards") and path.stem != board.name:
        raise UsageError(f"{where}: it names the board '{board.name}', the file name must be the same")
    return board


# Key -> (type, required).
_BOARD = {
    "name": (str, True),
    "title": (str, True),
    "soc": (str, True),
    "core": (str, True),
    "clock": (dict, True),
    "memory": (list, True),
    "reserved": (dict, True),
    "qemu": (str, False),
    "aliases": (list, False),
}
_CLOCK = {
    "hz": (int, True),
    "flash_wait_states": (int, True),
    "flash_line": (int, False),
    "flash_buffer": (str, False),
    "source": (str, True),
}
_RESERVED = {"flash": (int, True), "ram": (int, True), "source": (str, True)}
_REGION = {
    "kind": (str, True),
    "name": (str, True),
    "origin": (int, True),
    "length": (int, True),
    "source": (str, True),
    "holds": (str, False),
}
_TYPE_NAMES = {str: "a text", int: "a whole number", dict: "a table", list: "a list"}


def _check_keys(table: Mapping[str, Any], schema: Mapping[str, tuple[type, bool]], where: str) -> None:
    for key, value in table.items():
        if key not in schema:
            known = ", ".join(schema)
            raise UsageError(f"{where}: unknown key '{key}'{_suggest(key, schema)} (known keys: {known})")
        kind = schema[key][0]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise UsageError(f"{where}: '{key}' must be {_TYPE_NAMES[kind]}, not {value!r}")
    for key, (_, required) in schema.items():
        if required and key not in table:
            raise UsageError(f"{where}: the key '{key}' is missing")


def _table(
    data: Mapping[str, Any], key: str, schema: Mapping[str, tuple[type, bool]], where: str
) -> dict[str, Any]:
    _check_keys(data[key], schema, f"{where} [{key}]")
    return dict(data[key])


def _memory(entries: list[Any], where: str) -> Memory:
    regions = []
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise UsageError(f"{where}: memory entry {index + 1} must be a [[memory]] table")
        _check_keys(entry, _REGION, f"{where} [[memory]] {index + 1}")
        regions.append(Region(**entry))
    return Memory(tuple(regions))


def _check_region_words(board: Board, where: str) -> None:
    for region in board.memory.regions:
        for key, value, known in (("kind", region.kind, KINDS), ("holds", region.holds, HOLDS)):
            if value not in known:
                raise UsageError(
                    f"{where}: memory '{region.name}' has {key} '{value}'; use {' or '.join(known)}"
                )
        if not region.name.isidentifier():
            raise UsageError(f"{where}: memory name '{region.name}' must be letters, digits and underscores")


def _check_ranges(board: Board, where: str) -> None:
    for region in board.memory.regions:
        if region.length <= 0 or region.origin < 0 or region.end > 1 << 32:
            raise UsageError(f"{where}: memory '{region.name}' does not fit into 32-bit addresses")
        if region.origin % 8:
            raise UsageError(
                f"{where}: memory '{region.name}' starts at {region.origin:#x}, not a multiple of 8"
            )


def _check_disjoint(board: Board, where: str) -> None:
    ordered = sorted(board.memory.regions, key=lambda region: region.origin)
    names = [region.name for region in ordered]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{where}: two memories are called '{name}'")
    for low, high in itertools.pairwise(ordered):
        if low.end > high.origin:
            raise UsageError(f"{where}: memories '{low.name}' and '{high.name}' overlap at {high.origin:#x}")


def _check_both_kinds(board: Board, where: str) -> None:
    for kind in KINDS:
        if not board.memory.banks(kind):
            raise UsageError(f"{where}: no [[memory]] of kind '{kind}'")


def _check_reserved(board: Board, where: str) -> None:
    for kind, left in board.budget().items():
        reserved = getattr(board.reserved, kind)
        if reserved < 0 or left <= 0:
            raise UsageError(f"{where}: {reserved} reserved bytes of {kind} leave {left} for the model")


def _check_clock(board: Board, where: str) -> None:
    if board.clock_hz <= 0 or board.flash.wait_states < 0 or board.flash.line <= 0:
        raise UsageError(f"{where} [clock]: hz must be above 0, flash_line too, flash_wait_states 0 or more")
    if board.flash.buffer not in FLASH_BUFFERS:
        known = " or ".join(FLASH_BUFFERS)
        raise UsageError(f"{where} [clock]: flash_buffer is '{board.flash.buffer}', use {known}")


_CHECKS: tuple[Callable[[Board, str], None], ...] = (
    _check_region_words,
    _check_ranges,
    _check_disjoint,
    _check_both_kinds,
    _check_reserved,
    _check_clock,
)
