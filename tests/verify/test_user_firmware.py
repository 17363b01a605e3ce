"""``check`` on firmware that a user compiled and linked: other compilers, flags and memory maps."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mcuprune.board import load_board
from mcuprune.budget import parse_budget
from mcuprune.check import CheckResult, check
from mcuprune.errors import BudgetError, MismatchError, UsageError
from mcuprune.export import export
from mcuprune.verify.toolchain import compiler_environment, find_toolchain

pytest.importorskip("ziglang")
pytest.importorskip("unicorn")
MODEL = Path(__file__).resolve().parents[1] / "golden" / "interpreter.tflite"
BOARD = load_board("stm32f4")
APPLICATION = r"""
#include <stdint.h>
#include "small.h"
int8_t small_arena[SMALL_ARENA_SIZE] __attribute__((aligned(16)));
volatile int8_t answer;
uint32_t samples[64] = {1};
extern uint32_t stack_top[];
void reset(void);
void reset(void)
{
    for (;;) {
        SMALL(small_arena + SMALL_INPUT_OFFSET, small_arena + SMALL_OUTPUT_OFFSET, small_arena);
        answer = small_arena[SMALL_OUTPUT_OFFSET];
    }
}
/* What a C library would bring for compilers that call it. */
#define FILL(name) \
    void name(volatile char *p, unsigned n); \
    void name(volatile char *p, unsigned n) { while (n > 0) { p[--n] = 0; } }
#define COPY(name) \
    void name(volatile char *to, const char *from, unsigned n); \
    void name(volatile char *to, const char *from, unsigned n) { while (n > 0) { --n; to[n] = from[n]; } }
FILL(__aeabi_memclr)
FILL(__aeabi_memclr4)
FILL(__aeabi_memclr8)
COPY(__aeabi_memcpy)
COPY(__aeabi_memcpy4)
void *memset(void *p, int value, unsigned n);
void *memset(void *p, int value, unsigned n)
{
    while (n > 0) {
        ((volatile char *)p)[--n] = (char)value;
    }
    return p;
}
void *memcpy(void *to, const void *from, unsigned n);
void *memcpy(void *to, const void *from, unsigned n)
{
    __aeabi_memcpy(to, from, n);
    return to;
}
__attribute__((section(".isr_vector"), used))
void (*const vectors[])(void) = {(void (*)(void))stack_top, reset};
"""
# A boot loader in front, constants behind the code, the arena in the second bank.
SCRIPT = """
MEMORY
{
  BOOT (rx) : ORIGIN = 0x08000000, LENGTH = 0x8000
  APP (rx) : ORIGIN = 0x08008000, LENGTH = 0xF8000
  QSPI (r) : ORIGIN = 0x90000000, LENGTH = 0x800000
  MAIN (rwx) : ORIGIN = 0x20000000, LENGTH = 0x1C000
}
SECTIONS
{
  .isr_vector : { KEEP(*(.isr_vector)) } > APP
  .external : { *(.external*) } > QSPI
  .code : { *(.text .text.*) *(.rodata .rodata.*) } > APP
  .variables : { *(.data .data.*) } > MAIN AT> APP
  .zeroed (NOLOAD) : { *(.bss .bss.* COMMON) } > MAIN
  stack_top = ORIGIN(MAIN) + LENGTH(MAIN);
  /DISCARD/ : { *(.ARM.*) *(.comment) }
}
"""
HARD_FLOAT = ("-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user") / "small"
    export(MODEL, BOARD, folder, "small")
    return folder


def link(package: Path, folder: Path, compiler: str, *flags: str) -> Path:
    if compiler == "gcc" and shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    (folder / "app.c").write_text(APPLICATION)
    (folder / "app.ld").write_text(SCRIPT)
    toolchain = find_toolchain(BOARD, compiler)
    target = [flag for flag in toolchain.flags if not (HARD_FLOAT[0] in flags and "float-abi" in flag)]
    if compiler == "zig" and HARD_FLOAT[0] in flags:
        target = ["-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4"]
    sources = [str(path) for path in sorted((package / "c" / "src").glob("*.c"))]
    command = [*toolchain.command, *target, "-nostdlib", "-ffreestanding", *flags]
    command += ["-DSMALL=small_run"] if not any("SMALL=" in flag for flag in flags) else []
    command += [f"-I{package / 'c' / 'include'}", f"-I{package / 'c' / 'src'}", "-T", "app.ld"]
    command += ["-Wl,--entry=reset", "app.c", *sources]
    command += ["-lgcc"] if compiler == "gcc" else []
    done = subprocess.run(
        [*command, "-o", "app.elf"], cwd=folder, env=compiler_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / "app.elf"


VARIANTS = {
    "zig-Os": ("zig", "-Os", "-g"),
    "zig-O3-hard": ("zig", "-O3", "-g", *HARD_FLOAT),
    "gcc-O0": ("gcc", "-O0"),
    "gcc-Os-sections": ("gcc", "-Os", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"),
    "gcc-O3-hard": ("gcc", "-O3", *HARD_FLOAT),
    "gcc-external": ("gcc", "-O2", '-DSMALL_SECTION_WEIGHTS=__attribute__((section(".external")))'),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_model_is_found_measured_and_compared(variant: str, package: Path, tmp_path: Path) -> None:
    elf = link(package, tmp_path, *VARIANTS[variant])
    found = check(elf, board="stm32f4", package=package)
    ours = check(package)
    assert found.differing == 0
    assert {"flash", "ram", "cycles"} <= set(found.measured)
    assert found.parts["RAM, arena"] == ours.parts["RAM, arena"]
    assert found.parts["flash, constants"] == pytest.approx(ours.parts["flash, constants"], abs=64)
    assert 0.3 < found.parts["flash, code"] / ours.parts["flash, code"] < 6
    assert 0.5 < found.measured["cycles"] / ours.measured["cycles"] < 20
    assert 0 < found.parts["RAM, stack"] < 4096
    assert found.measured["ram"] == found.parts["RAM, arena"] + found.parts["RAM, stack"]
    library = {name for name in found.parts if "shared with the application" in name}
    assert not [name for name in library if "mem" not in name]
    assert all("size" not in note for note in found.notes)
    found.require()


def test_budgets_apply_to_it(package: Path, tmp_path: Path) -> None:
    elf = link(package, tmp_path, "zig", "-O2", "-g")
    measured = check(elf, board="stm32f4").measured
    for resource, unit in (("flash", "B"), ("ram", "B")):
        limit = int(measured[resource])
        check(elf, parse_budget(f"{resource}={limit}{unit}"), "stm32f4").require()
        with pytest.raises(BudgetError, match=f"over budget: {resource} "):
            check(elf, parse_budget(f"{resource}={limit - 1}{unit}"), "stm32f4").require()
    with pytest.raises(BudgetError, match="over budget: cycles"):
        check(elf, parse_budget("latency=1us"), "stm32f4").require()
    with pytest.raises(UsageError, match="macs: an image does not show them"):
        check(elf, parse_budget("macs=1M"), "stm32f4").require()


def test_kernels_that_were_inlined(package: Path, tmp_path: Path) -> None:
    """Link-time optimization of everything: what is left can still be measured, or is said to be gone."""
    found = check(link(package, tmp_path, "gcc", "-O2", "-flto"), board="stm32f4", package=package)
    assert isinstance(found, CheckResult)
    assert found.measured["flash"] > 0
    if "cycles" in found.measured:
        assert found.differing == 0
    else:
        assert "small_run has no symbol" in found.unmeasured["cycles"]
        with pytest.raises(UsageError, match="could not be measured: cycles"):
            check(tmp_path / "app.elf", parse_budget("latency=1s"), "stm32f4", package=package).require()


def test_images_without_a_model(package: Path, tmp_path: Path) -> None:
    stripped = link(package, tmp_path, "zig", "-O2", "-s")
    with pytest.raises(UsageError, match=r"Looked for a function NAME_run, .*before it is stripped"):
        check(stripped, board="stm32f4")
    elf = link(package, tmp_path, "zig", "-O2", "-g")
    with pytest.raises(UsageError, match=r"function other_run, constants other_.*; it holds small"):
        check(elf, board="stm32f4", name="other")
    with pytest.raises(UsageError, match="not a readable ELF"):
        check(package / "board.toml", board="stm32f4")
    with pytest.raises(UsageError, match="--board"):
        check(elf)
    with pytest.raises(UsageError, match="code for EM_ARM, board esp32c3 has a RV32IMC"):
        check(elf, board="esp32c3")
    with pytest.raises(UsageError, match="no such run folder"):
        check(tmp_path / "nothing.elf", board="stm32f4")


def test_another_models_outputs_are_an_error(package: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(package, tmp_path / "changed")
    source = changed / "c" / "src" / "small.c"
    text = source.read_text()
    *_, last = re.finditer(r"\.output_offset = (-?\d+)", text)
    source.write_text(f"{text[: last.start(1)]}{int(last[1]) ^ 8}{text[last.end(1) :]}")
    elf = link(changed, tmp_path, "zig", "-O2", "-g")
    with pytest.raises(MismatchError, match="output bytes differ"):
        check(elf, package=package).require()
