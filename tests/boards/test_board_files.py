from __future__ import annotations

import re
from pathlib import Path

import pytest

from mcuprune import share
from mcuprune.board import FlashTiming, board_names, load_board
from mcuprune.core import CORES
from mcuprune.errors import UsageError

KIB = 1024
OWN = """
name = "mine"
title = "My board"
soc = "X1"
core = "cortex-m3"

[clock]
hz = 8000000
flash_wait_states = 1
source = "its data sheet"

[reserved]
flash = 1024
ram = 256
source = "my application"

[[memory]]
kind = "flash"
name = "rom"
origin = 0x1000
length = 0x4000
source = "its data sheet"

[[memory]]
kind = "ram"
name = "low"
origin = 0x20000000
length = 0x1000
source = "its data sheet"

[[memory]]
kind = "ram"
name = "high"
origin = 0x20001000
length = 0x800
source = "its data sheet"

[[memory]]
kind = "ram"
name = "apart"
origin = 0x30000000
length = 0x4000
source = "its data sheet"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "stm32f4",
        "stm32f407-discovery",
        "nucleo-f446re",
        "nucleo-l4r5zi",
        "f746-disco",
        "nucleo-h743zi",
        "nucleo-u575zi",
        "stm32vldiscovery",
        "nrf52840-dk",
        "rpi-pico",
        "rpi-pico2",
        "esp32c3",
        "mps2-an386",
        "mps3-an547",
    ],
)
def test_every_board_is_complete(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    assert all(len(source) > 10 for source in board.sources.values())
    assert {f"memory.{region.name}" for region in board.memory.regions} | {"clock", "reserved"} == set(
        board.sources
    )
    assert 0 < board.budget()["flash"] <= board.memory.total("flash")
    assert 0 < board.budget()["ram"] <= board.memory.main("ram").length


def test_the_family_is_the_stm32f407vg() -> None:
    board = load_board("stm32f4")
    sizes = {region.name: (region.origin, region.length) for region in board.memory.regions}
    assert sizes == {
        "flash": (0x0800_0000, 1024 * KIB),
        "sram1": (0x2000_0000, 112 * KIB),
        "sram2": (0x2001_C000, 16 * KIB),
        "ccm": (0x1000_0000, 64 * KIB),
    }
    assert (board.clock_hz, board.flash) == (168_000_000, FlashTiming(5, 16, "prefetch"))
    assert board.budget() == {"flash": (1024 - 128) * KIB, "ram": (128 - 32) * KIB}
    assert board.milliseconds(168_000) == pytest.approx(1.0)


def test_a_board_extends_its_family() -> None:
    family, board = load_board("stm32f4"), load_board("stm32f407-discovery")
    assert (board.memory, board.core, board.clock_hz) == (family.memory, family.core, family.clock_hz)
    assert board.title != family.title


@pytest.mark.parametrize(("name", "dsp"), [("rpi-pico", False), ("stm32f4", True), ("nucleo-u575zi", True)])
def test_instruction_sets(name: str, dsp: bool) -> None:
    assert ("dsp" in load_board(name).core.isa) == dsp


def test_every_core_runs_portable_kernels() -> None:
    assert all("portable" in core.isa for core in CORES.values())
    assert CORES["cortex-m55"].isa == {"portable", "dsp", "mve"}


def test_aliases() -> None:
    assert load_board("pico").name == "rpi-pico"
    assert load_board("rp2350").name == "rpi-pico2"
    aliases = [alias for name in board_names() for alias in load_board(name).aliases]
    assert len(set(aliases)) == len(aliases)
    assert not set(aliases) & set(board_names())


def test_own_board_file(tmp_path: Path) -> None:
    board = load_board(write(tmp_path, OWN))
    assert board.core is CORES["cortex-m3"]
    assert board.budget() == {"flash": 15 * KIB, "ram": 5888}


def test_adjacent_regions_are_one_bank(tmp_path: Path) -> None:
    banks = load_board(write(tmp_path, OWN)).memory.banks("ram")
    assert [(bank.name, bank.origin, bank.length) for bank in banks] == [
        ("low_high", 0x2000_0000, 0x1800),
        ("apart", 0x3000_0000, 0x4000),
    ]


def test_own_board_may_extend_one_of_ours(tmp_path: Path) -> None:
    text = 'extends = "nucleo-f446re"\nname = "mine"\ntitle = "Mine"\nsoc = "STM32F446VE"\n'
    board = load_board(write(tmp_path, text))
    assert board.memory == load_board("nucleo-f446re").memory
    assert board.aliases == ()


def test_code_and_constants_windows_of_the_esp32c3() -> None:
    memory = load_board("esp32c3").memory
    assert memory.main("flash", "code").name == "irom"
    assert memory.main("flash", "constants").name == "drom"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('soc = "X1"', 'sco = "X1"', "unknown key 'sco': did you mean 'soc'?"),
        ('soc = "X1"\n', "", "the key 'soc' is missing"),
        ("hz = 8000000", 'hz = "8 MHz"', "'hz' must be a whole number, not '8 MHz'"),
        ("hz = 8000000", "hz = true", "'hz' must be a whole number, not True"),
        ("hz = 8000000", "hz = 0", "hz must be above 0"),
        ("hz = 8000000", "hz = ", "not valid TOML"),
        ('core = "cortex-m3"', 'core = "cortexm3"', "unknown core 'cortexm3': did you mean 'cortex-m3'?"),
        ('kind = "flash"', 'kind = "flsh"', "memory 'rom' has kind 'flsh'"),
        ("origin = 0x20001000", "origin = 0x20000800", "memories 'low' and 'high' overlap at 0x20000800"),
        ('name = "high"', 'name = "low"', "two memories are called 'low'"),
        ('name = "high"', 'name = "high-2"', "memory name 'high-2'"),
        ("origin = 0x1000\n", "origin = 0x1001\n", "memory 'rom' starts at 0x1001"),
        ("length = 0x4000", "length = 0xFFFFFFFF", "does not fit into 32-bit addresses"),
        ("ram = 256", "ram = 65536", "65536 reserved bytes of ram leave -59392"),
        ("length = 0x800\n", "length = 0x800\nwidth = 3\n", "[[memory]] 3: unknown key 'width'"),
        ('name = "mine"', 'extends = "stm32f5"\nname = "mine"', "did you mean 'stm32f4'?"),
    ],
)
def test_bad_board_files_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in OWN
    with pytest.raises(UsageError, match=re.escape(message)):
        load_board(write(tmp_path, OWN.replace(old, new, 1)))


def test_no_ram(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no \[\[memory\]\] of kind 'ram'"):
        load_board(write(tmp_path, OWN.split('[[memory]]\nkind = "ram"')[0]))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_board(tmp_path / "none.toml")


def test_unknown_board_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown board 'stm32f5': did you mean 'stm32f4'\?"):
        load_board("stm32f5")


def test_shared_folders() -> None:
    assert (share.folder("boards") / "stm32f4.toml").is_file()
    assert (share.folder("firmware_templates") / "baremetal" / "link.ld.j2").is_file()
    with pytest.raises(ValueError, match="no shared folder 'docs'"):
        share.folder("docs")
