"""What a linked firmware image takes: the model's bytes, apart from those of the measuring harness."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mcuprune.verify.image import Image, Section, Symbol, load_image
from mcuprune.verify.interface import BANKS

HARNESS_PREFIX = "harness_"
WORD = 4  # constants start on word boundaries


@dataclass(frozen=True)
class SymbolSize:
    """One function or array of the model; ``kind`` is ``code``, ``constants`` or ``ram``."""

    name: str
    kind: str
    bytes: int


@dataclass(frozen=True)
class ImageSizes:
    """Bytes of one image.

    code        the model's functions, with literal pools, tables of kernels and the compiler's library
                functions
    constants   the model's own constant data, symbols with its prefix
    data        initialised variables: in flash and in RAM (none in generated code)
    bss         zeroed variables of the model (none in generated code)
    arena       the model's working memory in the main bank of RAM
    banks       the rest of it, in other banks
    state       what it remembers from run to run
    harness     start-up code, vectors and inference loop, in flash
    image       everything that is flashed
    symbols     the model's parts by decreasing size
    """

    code: int
    constants: int
    data: int
    bss: int
    arena: int
    state: int
    harness: int
    image: int
    symbols: tuple[SymbolSize, ...]
    banks: int = 0

    @property
    def flash(self) -> int:
        """Flash of the model alone."""
        return self.code + self.constants + self.data

    @property
    def static_ram(self) -> int:
        """RAM of the model alone in the main bank, without the stack."""
        return self.arena + self.state + self.data + self.bss


def measure(elf: Path, name: str) -> ImageSizes:
    """Sizes of the firmware of model ``name``.

    Raises ToolchainError when the file is no ELF image or does not hold the model.
    """
    image = load_image(elf)
    image.symbol(f"{name}_run")
    sections = {section.name: section for section in image.sections}

    def size(*names: str) -> int:
        return sum(sections[name].size for name in names if name in sections)

    symbols = _symbols(image)
    own = [s for s in symbols if s.kind == "constants" and s.name.startswith(f"{name}_")]
    constants = sum(-(-s.bytes // WORD) * WORD for s in own)
    return ImageSizes(
        code=max(0, size(".text", ".rodata") - constants),
        constants=constants,
        data=size(".data"),
        bss=size(".bss"),
        arena=size(".arena"),
        state=size(".state"),
        harness=size(".vectors", ".harness"),
        image=sum(section.size for section in image.sections if section.stored),
        symbols=symbols,
        banks=size(*(f".bank{number}" for number in range(1, BANKS))),
    )


def read_symbol(elf: Path, symbol: str) -> bytes:
    """The stored bytes of a constant or function; raises ToolchainError when the image has no such symbol."""
    image = load_image(elf)
    found = image.symbol(symbol)
    return image.read(found.address, found.size)


def _symbols(image: Image) -> tuple[SymbolSize, ...]:
    sizes: dict[int, SymbolSize] = {}  # aliases share an address: the first name stands for all
    for symbol in image.symbols:
        section = None if symbol.kind == "absolute" else image.section_at(symbol.address)
        if symbol.size and section is not None and _is_model(symbol, section):
            sizes.setdefault(symbol.address, SymbolSize(symbol.name, _kind(section), symbol.size))
    return tuple(sorted(sizes.values(), key=lambda entry: (-entry.bytes, entry.name)))


def _is_model(symbol: Symbol, section: Section) -> bool:
    return section.name in (".text", ".rodata", ".data", ".bss") and not symbol.name.startswith(
        HARNESS_PREFIX
    )


def _kind(section: Section) -> str:
    if section.executable:
        return "code"
    return "ram" if section.writable else "constants"
