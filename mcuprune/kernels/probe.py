"""Code and stack of the kernels, as compiled: ``python -m mcuprune.kernels.probe [name ...]``.

The figures are stored in ``code_bytes.json`` beside this file, per kernel, core and toolchain, so that nobody
needs a compiler to predict flash and stack.  A test measures them again and compares.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from mcuprune import share
from mcuprune.core import CORES, Core
from mcuprune.errors import ToolchainError
from mcuprune.kernels.catalogue import KERNELS

# The flags that decide what a kernel becomes; the firmware is built with the same.
KERNEL_FLAGS = (
    "-std=c99",
    "-O2",
    "-g0",
    "-fomit-frame-pointer",
    "-ffreestanding",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
)
ZIG = (sys.executable, "-m", "ziglang", "cc")
TABLE = Path(__file__).with_name("code_bytes.json")


def target_flags(core: Core, toolchain: str) -> tuple[str, ...]:
    return ("-target", core.zig_target, f"-mcpu={core.zig_cpu}") if toolchain == "zig" else core.gcc_flags


def probe(compiler: Sequence[str], flags: Sequence[str], isa: frozenset[str]) -> dict[str, dict[str, int]]:
    """``{function: {code_bytes, stack_bytes}}`` of all kernels and support functions for ``isa``.

    ``compiler`` and ``flags`` start the compiler for one core.  ``stack_bytes`` bounds the stack below the
    function's caller, support functions it calls included.  Raises ToolchainError.
    """
    measured: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory(prefix="mcuprune-") as folder:
        for source in _sources(isa):
            measured[source.stem] = _measure(source, (*compiler, *flags), Path(folder))
    for kernel in KERNELS:
        if kernel.isa in isa:
            frames = [measured[need]["stack_bytes"] for need in kernel.needs if not need.endswith(".h")]
            measured[kernel.name]["stack_bytes"] += max(frames, default=0)
    return measured


def update(table: dict[str, Any], measured: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """``table`` with the entries ``names`` of ``measured`` (all if none is named) in place of its own.

    Entries of functions that no longer exist are dropped.
    """
    kept = {name: figures for name, figures in table["kernels"].items() if name in measured["kernels"]}
    fresh = measured["kernels"]
    return {**measured, "kernels": {**fresh, **kept, **{name: fresh[name] for name in names or fresh}}}


def _sources(isa: frozenset[str]) -> Iterator[Path]:
    for folder in sorted(isa):
        yield from sorted((share.folder("codegen") / "kernels" / folder).glob("*.c"))


def _measure(source: Path, command: Sequence[str], folder: Path) -> dict[str, int]:
    target = folder / f"{source.stem}.o"
    # GCC writes the frames to a .su file, clang into a section.
    frames = "-fstack-size-section" if "ziglang" in command else "-fstack-usage"
    files = (f"-I{source.parents[1]}", "-c", str(source), "-o", str(target))
    done = subprocess.run((*command, *KERNEL_FLAGS, frames, *files), capture_output=True, text=True)
    if done.returncode != 0:
        raise ToolchainError(f"{command[0]} could not compile {source.name}: {done.stderr.strip()[:400]}")
    with target.open("rb") as stream:
        sections = [(section.name, section.data()) for section in ELFFile(stream).iter_sections()]
    usage = target.with_suffix(".su")
    stack = _gcc_frames(usage.read_text()) if usage.exists() else _clang_frames(sections)
    return {"code_bytes": _code_bytes(sections), "stack_bytes": sum(stack) + _pushed(source, command)}


def _pushed(source: Path, command: Sequence[str]) -> int:
    """Bytes that the inline assembly of the target pushes: no compiler counts them."""
    files = (f"-I{source.parents[1]}", "-E", str(source))
    text = subprocess.run(
        (*command, *KERNEL_FLAGS, *files), capture_output=True, text=True, check=True
    ).stdout
    return 4 * sum(len(registers.split(",")) for registers in re.findall(r'"push \{([^}]*)\}', text))


def _code_bytes(sections: list[tuple[str, bytes]]) -> int:
    """Bytes of code and read-only data, each section rounded up to words."""
    kept = [data for name, data in sections if name.startswith((".text", ".rodata", ".srodata"))]
    return sum(-(-len(data) // 4) * 4 for data in kept)


# The frames of a file are added up: its static functions call each other in a chain, none of them twice.
def _gcc_frames(usage: str) -> list[int]:
    return [int(frame) for frame in re.findall(r"\t(\d+)\tstatic", usage)]


def _clang_frames(sections: list[tuple[str, bytes]]) -> list[int]:
    """``.stack_sizes``: per function its address (32 bits) and its frame as a ULEB128 number."""
    frames = []
    for data in (data for name, data in sections if name == ".stack_sizes"):
        position = 0
        while position < len(data):
            position += 4
            frame, shift = 0, 0
            while True:
                byte = data[position]
                position, frame, shift = position + 1, frame | (byte & 0x7F) << shift, shift + 7
                if byte < 0x80:
                    break
            frames.append(frame)
    return frames


def measure_all() -> dict[str, Any]:
    """The whole table; toolchains that are not installed are left out."""
    kernels: dict[str, Any] = {}
    for core in CORES.values():
        for toolchain, compiler in (("zig", ZIG), ("gcc", (core.gcc,))):
            if shutil.which(compiler[0]) is None:
                continue
            for name, figures in probe(compiler, target_flags(core, toolchain), core.isa).items():
                kernels.setdefault(name, {}).setdefault(core.name, {})[toolchain] = figures
    return {"flags": " ".join(KERNEL_FLAGS), "compilers": _versions(), "kernels": kernels}


def _versions() -> dict[str, str]:
    found = {"zig": [*ZIG[:-1], "version"]}
    if shutil.which("arm-none-eabi-gcc"):
        found["gcc"] = ["arm-none-eabi-gcc", "-dumpfullversion"]
    return {name: subprocess.check_output(command, text=True).strip() for name, command in found.items()}


if __name__ == "__main__":
    found = update(json.loads(TABLE.read_text()), measure_all(), sys.argv[1:])
    TABLE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    print(f"wrote {TABLE.name}")
