"""Compilers, and the images they make: the firmware of a board, and a shared library for this machine."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import jinja2

from mcuprune import share
from mcuprune.board import Board
from mcuprune.errors import BudgetError, ToolchainError
from mcuprune.verify.interface import read_interface

# What every generated file is compiled with, on any compiler.  -O2 is what vendors' builds use for kernels.
C_FLAGS = (
    "-std=c99",
    "-O2",
    "-g0",
    "-fomit-frame-pointer",
    "-ffreestanding",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",
)
FIRMWARE_FLAGS = (
    *C_FLAGS,
    "-ffunction-sections",
    "-fdata-sections",
    "-Wl,--gc-sections",
    "-Wl,-z,max-page-size=4096",
)
HARNESS = ("harness.h", "harness.c", "start.c", "freestanding.c", "link.ld")
MINIMUM_STACK_BYTES = 256
FIRMWARE_HINT = "install the 'firmware' extra: pip install 'mcuprune[firmware]'"
_FULL = re.compile(r"will not fit in region|overflowed by|no room for the stack|unable to (?:place|allocate)")


@dataclass(frozen=True)
class Toolchain:
    """A C compiler: ``command`` starts it, ``flags`` choose the target, name and version go into reports."""

    name: str
    version: str
    command: tuple[str, ...]
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def find_toolchain(board: Board, name: str | None = None) -> Toolchain:
    """The cross compiler for a board: ``zig`` (the default, from pip) or ``gcc``.

    Raises ToolchainError when it is not installed, saying how to get it.
    """
    core = board.core
    if name in (None, "zig"):
        return _zig("zig", ("-target", core.zig_target, f"-mcpu={core.zig_cpu}"))
    if name != "gcc":
        raise ToolchainError(f"unknown toolchain '{name}': use zig or gcc")
    path = shutil.which(core.gcc)
    if path is None:
        raise ToolchainError(
            f"{core.gcc} is not installed or not on the PATH; use the default toolchain, zig"
        )
    return Toolchain(
        "gcc", _gcc_version(path), (path,), (*core.gcc_flags, "-nostdlib", "-Wl,--build-id=none")
    )


def host_compiler() -> Toolchain:
    """A C compiler for this machine: cc, gcc, clang or, failing these, zig."""
    for name in ("cc", "gcc", "clang"):
        path = shutil.which(name)
        if path is not None:
            return Toolchain(name, _gcc_version(path), (path,))
    return _zig("zig", ())


def build_firmware(
    files: Mapping[str, str],
    name: str,
    board: Board,
    toolchain: Toolchain,
    directory: Path,
    main: str | None = None,
) -> Path:
    """Compiles and links a generated package with the measuring harness; returns ``directory/firmware.elf``.

    ``files`` maps relative paths to text; every ``.c`` under ``src/`` is compiled.  ``name`` is the model's.
    ``main`` is C in place of the harness's inference loop, for code that is no model.
    The same arguments give the same bytes, wherever the folder lies.  Raises BudgetError when the image does
    not fit into the board's memory, ToolchainError for anything else the compiler refuses.
    """
    harness = _harness(board)
    harness["harness.c"] = _harness_main(files, name) if main is None else main
    everything = {**files, **{f"harness/{path}": text for path, text in harness.items()}}
    sources = (*_sources(files), *(f"harness/{path}" for path in HARNESS if path.endswith(".c")))
    libraries = ("-lgcc",) if toolchain.name == "gcc" else ()
    entry = "harness_start" if board.core.family == "arm" else "harness_reset"
    link = (f"-Wl,--entry={entry}", "-T", "harness/link.ld")
    flags = (*toolchain.flags, *FIRMWARE_FLAGS, *_includes(everything), *link)
    return _build(everything, (*flags, *sources, *libraries), toolchain, directory / "firmware.elf")


def build_shared(
    files: Mapping[str, str],
    directory: Path,
    toolchain: Toolchain | None = None,
    flags: Sequence[str] = (),
    library: str = "model",
) -> Path:
    """Compiles a generated package into ``directory/lib<library>.so`` for this machine.

    ``flags`` are added to the usual ones (sanitizers, warnings as errors).
    """
    arguments = (*C_FLAGS, "-fPIC", "-shared", *flags, *_includes(files), *_sources(files))
    return _build(files, arguments, toolchain or host_compiler(), directory / f"lib{library}.so")


def _sources(files: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(path for path in files if path.startswith("src/") and path.endswith(".c")))


def _includes(files: Mapping[str, str]) -> tuple[str, ...]:
    folders = sorted({str(PurePosixPath(path).parent) for path in files if path.endswith(".h")})
    return tuple(f"-I{folder}" for folder in folders)


def _harness_main(files: Mapping[str, str], name: str) -> str:
    """The harness's main file: it calls the model the way its header says."""
    face = read_interface(files, name)
    return _template("harness.c").render(name=name, prefix=name.upper(), face=face)


def _template(path: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(share.folder("firmware_templates") / "baremetal"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(f"{path}.j2")


def _harness(board: Board) -> dict[str, str]:
    """The harness's other files, filled in for one board."""
    code, constants = board.memory.main("flash", "code"), board.memory.main("flash", "constants")
    ram = board.memory.main("ram")
    banks = tuple(bank for bank in board.memory.banks("ram") if bank != ram)
    values = {
        "board": board,
        "core": board.core,
        "code": code,
        "constants": constants,
        "ram": ram,
        "banks": banks,
        "regions": tuple({region.name: region for region in (code, constants, ram, *banks)}.values()),
        "minimum_stack": MINIMUM_STACK_BYTES,
    }
    return {path: _template(path).render(values) for path in HARNESS if path != "harness.c"}


def _build(files: Mapping[str, str], arguments: Sequence[str], toolchain: Toolchain, output: Path) -> Path:
    """Runs the compiler in a folder of its own, so that no path of this machine reaches the image."""
    with tempfile.TemporaryDirectory(prefix="mcuprune-") as folder:
        for path, text in files.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        command = [*toolchain.command, *arguments, "-o", output.name]
        done = subprocess.run(command, cwd=folder, env=compiler_environment(), capture_output=True, text=True)
        if done.returncode != 0:
            raise _build_error(toolchain, done.stderr or done.stdout)
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(folder, output.name), output)
    return output


def _build_error(toolchain: Toolchain, text: str) -> ToolchainError | BudgetError:
    lines = [line for line in text.splitlines() if line.strip()]
    important = [line for line in lines if "error" in line or _FULL.search(line)] or lines
    shown = "\n".join(f"  {line[:200]}" for line in important[:8])
    if any(_FULL.search(line) for line in lines):
        return BudgetError(f"the image does not fit into the board's memory ({toolchain}):\n{shown}")
    return ToolchainError(f"{toolchain} could not build the image:\n{shown}")


def compiler_environment() -> dict[str, str]:
    """The environment with a place for zig's cache outside the project."""
    cache_home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    zig_cache = str(Path(cache_home, "mcuprune", "zig"))
    return {"ZIG_GLOBAL_CACHE_DIR": zig_cache, "ZIG_LOCAL_CACHE_DIR": zig_cache, **os.environ}


@cache
def _zig(name: str, flags: tuple[str, ...]) -> Toolchain:
    if importlib.util.find_spec("ziglang") is None:
        raise ToolchainError(f"the zig compiler is missing; {FIRMWARE_HINT}")
    command = (sys.executable, "-m", "ziglang")
    return Toolchain(name, first_line([*command, "version"]), (*command, "cc"), flags)


@cache
def _gcc_version(path: str) -> str:
    return first_line([path, "-dumpfullversion", "-dumpversion"])


def first_line(command: Sequence[str]) -> str:
    done = subprocess.run(command, env=compiler_environment(), capture_output=True, text=True)
    if done.returncode != 0 or not done.stdout.strip():
        raise ToolchainError(f"{' '.join(command[:3])} does not run: {done.stderr.strip()[:200]}")
    return done.stdout.strip().splitlines()[0]
