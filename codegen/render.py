"""The text of a package: frozen records in, files out.  Templates hold C; every number is computed here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import jinja2

import mcuprune
from mcuprune import share
from mcuprune.board import Board
from mcuprune.codegen import Picked
from mcuprune.codegen.c_text import comment
from mcuprune.codegen.ends import Interface
from mcuprune.graph.ir import QuantizedGraph
from mcuprune.kernels import catalogue
from mcuprune.plan.ir import Plan, kernels_of
from mcuprune.plan.live import ALIGNMENT

ABI_VERSION = 1
# Kernel set -> the condition under which a build can run it, and what to do about it.
GUARDS = {
    "dsp": (
        "(defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP) || defined(MCP_EMULATE_DSP)",
        "needs the DSP instructions of a Cortex-M4, M7, M33 or newer: compile for it (-mcpu=cortex-m4), "
        "generate the model for this core, or define MCP_EMULATE_DSP",
    ),
    "mve": (
        "(defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)) || defined(MCP_EMULATE_MVE)",
        "needs the vector instructions of a Cortex-M55 or newer: compile for it (-mcpu=cortex-m55 "
        "-mfloat-abi=softfp or hard), generate the model for this core, or define MCP_EMULATE_MVE",
    ),
}


@dataclass(frozen=True)
class Constant:
    """``declaration`` without ``static const``; ``shape`` as a comment; ``body`` as lines."""

    declaration: str
    shape: str
    body: str


@dataclass(frozen=True)
class StructText:
    declaration: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class RowText:
    """One tensor of a row loop.  ``due``: the condition under which a row is made; ``buffer`` bytes from the
    loop's memory on hold ``kept`` rows (0: none, the rows go to the output); before the tick ``padding_from``
    ``calls`` make the row at ``row``, from it on it is filled with ``zero_point``."""

    title: str
    due: str
    buffer: int
    kept: int
    row_bytes: int
    zero_point: int
    row: str
    calls: tuple[str, ...]
    padding_from: int | None


@dataclass(frozen=True)
class LoopText:
    function: str
    ticks: int
    rows: tuple[RowText, ...]
    scratch: int


@dataclass(frozen=True)
class LayerText:
    title: str
    constants: tuple[Constant, ...]
    structs: tuple[StructText, ...]
    calls: tuple[str, ...]
    done: str
    loop: LoopText | None = None


@dataclass(frozen=True)
class ResetText:
    """How a state gets its first value: ``function`` called as ``call``, with the constants it needs."""

    function: str
    call: str
    constants: tuple[Constant, ...]
    structs: tuple[StructText, ...]


@dataclass(frozen=True)
class Guard:
    condition: str
    message: str


@dataclass(frozen=True)
class Package:
    """Everything that the templates print."""

    name: str
    prefix: str
    title: str
    version: str
    board: str
    ram: int
    abi: int
    align: int
    face: Interface
    guards: tuple[Guard, ...]
    resets: tuple[ResetText, ...]
    layers: tuple[LayerText, ...]
    picked: Picked | None

    @property
    def loops(self) -> bool:
        return any(layer.loop for layer in self.layers)

    @property
    def facts(self) -> tuple[tuple[str, int], ...]:
        """The header's numbers that who measures a linked image needs."""
        face = self.face
        sizes = ((f"{end.word}_SIZE", end.size) for end in face.ends)
        offsets = ((f"{end.word}_OFFSET", end.offset) for end in face.ends)
        special = () if face.plain else (("TAKES_STRUCTS", 1),)
        memories = ((f"{field.upper()}_SIZE", size) for field, size in face.memories)
        return (("ABI_VERSION", self.abi), ("ARENA_SIZE", face.arena), *special, *memories, *sizes, *offsets)

    @staticmethod
    def of(
        name: str,
        graph: QuantizedGraph,
        plan: Plan,
        board: Board,
        face: Interface,
        resets: tuple[ResetText, ...],
        layers: tuple[LayerText, ...],
        picked: Picked | None = None,
    ) -> Package:
        families = sorted({catalogue.kernel(name).isa for name in kernels_of(plan)})
        return Package(
            name=name,
            prefix=name.upper(),
            title=comment(graph.name),
            version=mcuprune.__version__,
            board=comment(board.name),
            ram=board.memory.main("ram").length,
            abi=ABI_VERSION,
            align=ALIGNMENT,
            face=face,
            guards=tuple(Guard(*GUARDS[isa]) for isa in families if isa in GUARDS),
            resets=resets,
            layers=layers,
            picked=picked,
        )

    def uses(self, memory: str) -> bool:
        """Whether a call of the run function has a place in the arena or the state."""
        return any(f"{memory} + " in call for layer in self.layers for call in layer.calls)


def render(package: Package) -> dict[str, str]:
    """The files of the package that are written for the model, path -> text."""
    return {
        f"include/{package.name}.h": template("model.h.j2").render(m=package),
        f"src/{package.name}.c": template("model.c.j2").render(m=package),
        "src/mcp_port.h": template("mcp_port.h.j2").render(),
    }


@cache
def template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(share.folder("firmware_templates") / "model"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template(name)
