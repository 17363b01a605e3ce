"""The kernels compile without a warning everywhere, call nothing, and touch nothing they should not."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from kernel_library import KERNELS, SANITIZERS, WARNINGS, build_library, host_compiler

from mcuprune.core import CORES
from mcuprune.kernels.probe import KERNEL_FLAGS, ZIG, target_flags

TARGETS = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m55", "rv32imc")


def symbols(path: Path) -> tuple[set[str], set[str]]:
    """The names that an object file makes known to others, and those that it wants."""
    with path.open("rb") as stream:
        table = list(ELFFile(stream).get_section_by_name(".symtab").iter_symbols())
    wanted = {symbol.name for symbol in table if symbol["st_shndx"] == "SHN_UNDEF"} - {""}
    return {s.name for s in table if s["st_info"]["bind"] == "STB_GLOBAL"} - wanted, wanted


@pytest.mark.parametrize("core", TARGETS)
@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
def test_clean_and_self_contained_on_the_target(core: str, toolchain: str, tmp_path: Path) -> None:
    chosen = CORES[core]
    if toolchain == "zig" and importlib.util.find_spec("ziglang") is None:
        pytest.skip("ziglang is not installed")
    if toolchain == "gcc" and shutil.which(chosen.gcc) is None:
        pytest.skip(f"{chosen.gcc} is not installed")
    compiler = ZIG if toolchain == "zig" else (chosen.gcc,)
    flags = (*target_flags(chosen, toolchain), *KERNEL_FLAGS, *WARNINGS, f"-I{KERNELS}")
    defined, wanted = set(), set()
    for isa in sorted(chosen.isa):
        for source in sorted((KERNELS / isa).glob("*.c")):
            target = tmp_path / f"{source.stem}.o"
            command = [*compiler, *flags, "-c", str(source), "-o", str(target)]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            made, missing = symbols(target)
            assert all(name.startswith("mcp_") for name in made), source.name
            defined |= made
            wanted |= missing
    assert wanted <= defined


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
@pytest.mark.parametrize("flags", [("-O0",), ("-O2", "-fno-omit-frame-pointer")], ids=["O0", "frame-pointer"])
def test_assembly_leaves_the_frame_pointer_to_the_compiler(
    toolchain: str, flags: tuple[str, ...], tmp_path: Path
) -> None:
    core = CORES["cortex-m4"]
    if toolchain == "zig" and importlib.util.find_spec("ziglang") is None:
        pytest.skip("ziglang is not installed")
    if toolchain == "gcc" and shutil.which(core.gcc) is None:
        pytest.skip(f"{core.gcc} is not installed")
    compiler = ZIG if toolchain == "zig" else (core.gcc,)
    for source in sorted((KERNELS / "dsp").glob("*.c")):
        machine = (*target_flags(core, toolchain), "-std=c99", *WARNINGS, f"-I{KERNELS}")
        command = [*compiler, *machine, *flags, "-c", str(source), "-o", str(tmp_path / "kernel.o")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("optimization", ["-O0", "-O3"])
def test_clean_on_this_machine(optimization: str, tmp_path: Path) -> None:
    build_library(tmp_path / "kernels.so", [optimization])


def test_clean_on_this_machine_with_clang(tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    build_library(tmp_path / "kernels.so", [], ZIG)


def test_nothing_undefined_and_nothing_out_of_bounds(tmp_path: Path) -> None:
    """The equality tests once more, in a process with the address and undefined-behaviour sanitizers."""
    runtime = subprocess.run(
        [*host_compiler(), "-print-file-name=libasan.so"], capture_output=True, text=True
    ).stdout.strip()
    if not Path(runtime).is_absolute():
        pytest.skip(f"the host compiler has no runtime for {SANITIZERS}")
    environment = {
        **os.environ,
        "MCUPRUNE_SANITIZE": "1",
        "LD_PRELOAD": str(Path(runtime).resolve()),
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    tests = Path(__file__).with_name("test_int8_kernels.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, env=environment, cwd=tests.parents[2], capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
