"""A linked ELF file, read: what is loaded where, and which symbols name it."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from mcuprune.errors import ToolchainError

ALLOCATED = 0x2  # SHF_ALLOC


@dataclass(frozen=True)
class Section:
    """One allocated section; ``data`` is empty for memory that is not stored in the file."""

    name: str
    address: int
    size: int
    stored: bool
    executable: bool
    writable: bool
    data: bytes

    def holds(self, address: int) -> bool:
        return self.address <= address < self.address + self.size


@dataclass(frozen=True)
class Symbol:
    """A function or object; for Thumb functions ``address`` has its lowest bit cleared.

    kind       ``func``, ``object``, ``notype``, or ``absolute``: then ``address`` is a number and no place
    estimated  the file does not tell its size: it is taken to reach to the next symbol
    file       of a function or object that is local to it, if known
    """

    name: str
    kind: str
    address: int
    size: int
    estimated: bool = False
    file: str = ""


@dataclass(frozen=True)
class Image:
    """Sections and symbols in order of address; ``entry`` and ``machine`` as in the ELF header."""

    entry: int
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    machine: str = "EM_ARM"

    @cached_property
    def by_name(self) -> Mapping[str, Symbol]:
        return {symbol.name: symbol for symbol in self.symbols}

    @cached_property
    def functions(self) -> tuple[Symbol, ...]:
        return tuple(symbol for symbol in self.symbols if symbol.kind == "func" and symbol.size)

    def section_at(self, address: int) -> Section | None:
        """The section that holds the address."""
        return next((section for section in self.sections if section.holds(address)), None)

    @cached_property
    def _starts(self) -> list[int]:
        return [symbol.address for symbol in self.functions]

    def symbol(self, name: str) -> Symbol:
        """Raises ToolchainError when the image has no such symbol."""
        if name not in self.by_name:
            raise ToolchainError(
                f"the image has no symbol '{name}': was it stripped, or built from another model?"
            )
        return self.by_name[name]

    def section(self, name: str) -> Section | None:
        return next((section for section in self.sections if section.name == name), None)

    def function_at(self, address: int) -> Symbol | None:
        """The function whose code holds the address."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        function = self.functions[index]
        return function if address < function.address + function.size else None

    def where(self, address: int) -> str:
        """``name+0x12`` for error messages."""
        function = self.function_at(address)
        return f"{function.name}+{address - function.address:#x}" if function else f"{address:#010x}"

    def read(self, address: int, size: int) -> bytes:
        """Stored bytes; raises ToolchainError when the file does not hold them."""
        for section in self.sections:
            if section.stored and section.holds(address) and address + size <= section.address + section.size:
                start = address - section.address
                return section.data[start : start + size]
        raise ToolchainError(f"the image stores no {size} bytes at {address:#010x}")


def load_image(path: Path) -> Image:
    """Raises ToolchainError for a file that is missing or no ELF executable."""
    try:
        with path.open("rb") as stream:
            return _image(ELFFile(stream))
    except (OSError, ELFError) as error:
        raise ToolchainError(f"{path} is not a readable ELF file: {error}") from error


def _image(elf: ELFFile) -> Image:
    thumb = elf["e_machine"] == "EM_ARM"
    sections: list[Section] = []
    symbols: list[Symbol] = []
    for section in elf.iter_sections():
        if isinstance(section, SymbolTableSection):
            symbols += _symbols(section, thumb)
        elif section["sh_flags"] & ALLOCATED:
            sections.append(_section(section))
    symbols = _with_sizes(symbols, sections)
    return Image(
        entry=elf["e_entry"],
        sections=tuple(sorted(sections, key=lambda entry: (entry.address, entry.name))),
        symbols=tuple(sorted(symbols, key=lambda entry: (entry.address, entry.name))),
        machine=elf["e_machine"],
    )


def _with_sizes(symbols: list[Symbol], sections: list[Section]) -> list[Symbol]:
    """Functions and objects without a size get one that reaches to the next symbol or the section's end."""
    starts = sorted({symbol.address for symbol in symbols if symbol.kind != "absolute"})

    def complete(symbol: Symbol) -> Symbol:
        section = next((entry for entry in sections if entry.holds(symbol.address)), None)
        if symbol.size or symbol.kind not in ("func", "object") or section is None:
            return symbol
        following = bisect.bisect_right(starts, symbol.address)
        ends = (*starts[following : following + 1], section.address + section.size)
        return replace(symbol, size=min(ends) - symbol.address, estimated=True)

    return [complete(symbol) for symbol in symbols]


def _section(section: object) -> Section:
    header = section.header  # type: ignore[attr-defined]
    stored = header["sh_type"] != "SHT_NOBITS"
    return Section(
        name=section.name,  # type: ignore[attr-defined]
        address=header["sh_addr"],
        size=header["sh_size"],
        stored=stored,
        executable=bool(header["sh_flags"] & 0x4),
        writable=bool(header["sh_flags"] & 0x1),
        data=section.data() if stored else b"",  # type: ignore[attr-defined]
    )


def _symbols(section: SymbolTableSection, thumb: bool) -> list[Symbol]:
    """The named ones.  A symbol of type FILE stands before the local symbols of that file."""
    found, file = [], ""
    for entry in section.iter_symbols():
        if entry["st_info"]["type"] == "STT_FILE":
            file = entry.name
        elif _is_named(entry):
            local = entry["st_info"]["bind"] == "STB_LOCAL"
            found.append(replace(_symbol(entry, thumb), file=file if local else ""))
    return found


def _is_named(entry: object) -> bool:
    kind = entry["st_info"]["type"]  # type: ignore[index]
    name = entry.name  # type: ignore[attr-defined]
    return bool(name) and kind in ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE") and not name.startswith("$")


def _symbol(entry: object, thumb: bool) -> Symbol:
    kind = entry["st_info"]["type"].removeprefix("STT_").lower()  # type: ignore[index]
    address = entry["st_value"]  # type: ignore[index]
    if entry["st_shndx"] == "SHN_ABS":  # type: ignore[index]
        kind = "absolute"
    if thumb and kind == "func":
        address &= ~1
    return Symbol(entry.name, kind, address, entry["st_size"])  # type: ignore[attr-defined,index]
