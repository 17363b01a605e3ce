"""A generated model inside firmware that somebody else compiled and linked: found by its symbols, measured.

Everything that a model brings starts with its name (``kws_run``, ``kws_conv_weight``) or, its kernels, with
``mcp_``, or is local to a file that does.  The numbers of its header stand in the image as absolute symbols
(``KWS_ARENA_SIZE``); where the compiler left these out, they are read from the header itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcuprune.board import Board
from mcuprune.errors import ToolchainError, UsageError
from mcuprune.memory import Region
from mcuprune.verify.emulator import EmulatedRun, Emulator
from mcuprune.verify.image import Image, Symbol, load_image
from mcuprune.verify.interface import WORD, Interface, header_numbers, interface_of

KERNEL_PREFIX = "mcp_"
MACHINES = {"arm": "EM_ARM", "riscv": "EM_RISCV"}


@dataclass(frozen=True)
class ForeignModel:
    """What an image holds of a model; sizes in bytes, every symbol rounded up to words.

    code, constants  functions and data of the model and its kernels, in flash
    static_ram       what of them is copied to RAM by a linker script; generated code has no variables
    kernels          kernel functions that have a symbol: inlined ones have none
    numbers          the header's numbers, by name without the model's prefix
    run              the run function; ``None`` where it was inlined into its caller
    notes            what cannot be told from this image
    """

    name: str
    code: int
    constants: int
    static_ram: int
    kernels: tuple[str, ...]
    numbers: Mapping[str, int]
    run: Symbol | None
    notes: tuple[str, ...]

    @property
    def layout(self) -> Interface | None:
        """How it is called, and where inputs and outputs lie in the arena, if image or header say so."""
        return interface_of(self.numbers) if "ARENA_SIZE" in self.numbers else None


def find_model(elf: Path, board: Board, name: str | None = None, header: str | None = None) -> ForeignModel:
    """The model ``name`` (default: the only one) in an image; ``header`` is the text of its C header.

    Raises UsageError that names what was looked for when there is none, or several.
    """
    try:
        image = load_image(elf)
    except ToolchainError as error:
        raise UsageError(str(error)) from None
    found = _names(image)
    if name is None and len(found) > 1:
        raise UsageError(f"{elf} holds {len(found)} models ({', '.join(found)}): choose one with --name")
    chosen = name or next(iter(found), None)
    if chosen is None or chosen not in found:
        raise UsageError(_not_found(elf, image, name, found))
    return _describe(image, board, chosen, header)


def open_emulator(elf: Path, board: Board, model: ForeignModel) -> Emulator:
    """An emulator that calls the run function inside the image.

    Raises UsageError when the image cannot be run, saying why.
    """
    image = load_image(elf)
    if image.machine != MACHINES[board.core.family]:
        raise UsageError(f"{elf} is code for {image.machine}, board {board.name} has a {board.core.cpu}")
    if model.run is None or model.layout is None:
        raise UsageError("; ".join(model.notes))
    return Emulator(elf, board, model.name, model.layout)


def library_bytes(elf: Path, model: ForeignModel, run: EmulatedRun) -> dict[str, int]:
    """Functions of the compiler's library that the model executes, such as ``memcpy``, with their bytes."""
    image = load_image(elf)
    own = {symbol.name for symbol in image.functions if _is_own(symbol, model.name)}
    names = (name for name in run.functions if name not in own and name in image.by_name)
    return {name: _words(image.by_name[name].size) for name in names}


def _names(image: Image) -> dict[str, bool]:
    """Names of models -> whether the run function has a symbol."""
    functions = {symbol.name for symbol in image.functions}
    marked = {
        symbol.name.removesuffix("_ABI_VERSION").lower()
        for symbol in image.symbols
        if symbol.kind == "absolute" and symbol.name.endswith("_ABI_VERSION")
    }
    objects = [symbol.name for symbol in image.symbols if symbol.kind == "object"]
    for function in sorted(functions):
        stem = function.removesuffix("_run")
        if stem and stem != function and any(entry.startswith(f"{stem}_") for entry in objects):
            marked.add(stem)
    return {name: f"{name}_run" in functions for name in sorted(marked)}


def _not_found(elf: Path, image: Image, name: str | None, found: Mapping[str, bool]) -> str:
    stem = name or "NAME"
    looked = (
        f"a function {stem}_run, constants {stem}_..., kernels {KERNEL_PREFIX}..., {stem.upper()}_ABI_VERSION"
    )
    if not image.symbols:
        why = "it has no symbol table: check the image before it is stripped"
    elif found:
        why = f"it holds {', '.join(found)}"
    else:
        kernels = [s.name for s in image.functions if s.name.startswith(KERNEL_PREFIX)]
        why = f"of its {len(image.symbols)} symbols {len(kernels)} are kernels"
    return f"{elf}: no model found. Looked for {looked}; {why}"


def _describe(image: Image, board: Board, name: str, header: str | None) -> ForeignModel:
    parts = _parts(image, name)
    own = [*parts["code"], *parts["constants"]]
    in_ram = sum(_words(s.size) for s in own if any(_holds(bank, s) for bank in board.memory.banks("ram")))
    numbers = _absolute(image, name) or header_numbers(header or "", name)
    run = next((symbol for symbol in image.functions if symbol.name == f"{name}_run"), None)
    kernels = tuple(s.name for s in parts["code"] if s.name.startswith(KERNEL_PREFIX))
    notes = []
    if run is None:
        notes.append(
            f"{name}_run has no symbol: link-time optimization inlined it; compile it with -fno-lto, or "
            "keep the function, to measure cycles and stack"
        )
    if "ARENA_SIZE" not in numbers:
        notes.append(
            f"{name.upper()}_ARENA_SIZE and the like have no symbols: give the model's folder with --package"
        )
    if run is not None and not kernels:
        notes.append(f"no kernel has a symbol: they are part of {name}_run")
    if guessed := [symbol.name for symbol in own if symbol.estimated]:
        notes.append(f"{len(guessed)} symbols have no size, which was taken to reach to the next symbol")
    sizes = {kind: sum(_words(symbol.size) for symbol in part) for kind, part in parts.items()}
    return ForeignModel(name, sizes["code"], sizes["constants"], in_ram, kernels, numbers, run, tuple(notes))


def _holds(bank: Region, symbol: Symbol) -> bool:
    return bank.origin <= symbol.address < bank.end


def _parts(image: Image, name: str) -> dict[str, list[Symbol]]:
    """The model's symbols in flash, one for each address, by what they are."""
    parts: dict[str, list[Symbol]] = {"code": [], "constants": []}
    seen: set[int] = set()
    for symbol in image.symbols:
        section = None if symbol.kind == "absolute" else image.section_at(symbol.address)
        if section is None or not section.stored or not symbol.size or symbol.address in seen:
            continue
        if not _is_own(symbol, name):
            continue
        seen.add(symbol.address)
        if symbol.kind == "func":
            parts["code"].append(symbol)
        else:
            parts["constants"].append(symbol)
    return parts


def _is_own(symbol: Symbol, name: str) -> bool:
    """By its name or, where it is local to a source file, by the file's: ``kws_arena`` is the user's."""
    file = symbol.file.rpartition("/")[2]
    if file.endswith(".c"):
        return file.startswith((f"{name}.", KERNEL_PREFIX))
    return symbol.name.startswith((f"{name}_", KERNEL_PREFIX))


def _absolute(image: Image, name: str) -> dict[str, int]:
    prefix = f"{name.upper()}_"
    return {
        symbol.name.removeprefix(prefix): symbol.address
        for symbol in image.symbols
        if symbol.kind == "absolute" and symbol.name.startswith(prefix)
    }


def _words(size: int) -> int:
    return -(-size // WORD) * WORD
