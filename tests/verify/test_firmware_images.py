"""The same small model linked for every board by the compiler from pip."""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path

import numpy as np
import pytest

from mcuprune.board import board_names, load_board
from mcuprune.errors import BudgetError, ToolchainError
from mcuprune.verify import toolchain as toolchain_module
from mcuprune.verify.emulator import Emulator
from mcuprune.verify.image import load_image
from mcuprune.verify.qemu import run_qemu, why_not
from mcuprune.verify.sizes import measure, read_symbol
from mcuprune.verify.toolchain import build_firmware, build_shared, find_toolchain, host_compiler
from tests.verify.firmware_models import KEY, tiny_files, tiny_inputs, tiny_reference

pytest.importorskip("ziglang")
STM32F4 = load_board("stm32f4")


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("firmware")
    return build_firmware(tiny_files(), "tiny", STM32F4, find_toolchain(STM32F4), folder)


@pytest.mark.parametrize("name", board_names())
def test_every_board_links_and_runs(name: str, tmp_path: Path) -> None:
    board = load_board(name)
    elf = build_firmware(tiny_files(), "tiny", board, find_toolchain(board), tmp_path)
    sizes = measure(elf, "tiny")
    assert (sizes.constants, sizes.arena, sizes.data, sizes.bss) == (16, 64, 0, 0)
    assert sizes.flash < 1024
    assert sizes.harness < 700
    inputs = tiny_inputs(3)
    _, expected = tiny_reference(inputs)
    if board.core.unicorn is not None:
        np.testing.assert_array_equal(Emulator(elf, board, "tiny").run(inputs).outputs, expected)
    if why_not(board) is None:
        run = run_qemu(elf, board, "tiny", inputs)
        assert run is not None
        np.testing.assert_array_equal(run.outputs, expected)


def test_layout_of_the_image(firmware: Path) -> None:
    image = load_image(firmware)
    vectors = np.frombuffer(image.read(0x0800_0000, 64), "<u4")
    assert vectors[0] == 0x2002_0000  # the stack starts at the end of SRAM2
    assert vectors[1] == image.symbol("harness_start").address | 1
    assert set(vectors[2:]) == {image.symbol("harness_fault").address | 1}
    assert image.symbol("harness_arena").address % 16 == 0
    assert image.where(image.symbol("tiny_run").address + 4) == "tiny_run+0x4"


def test_sizes_add_up(firmware: Path) -> None:
    image, sizes = load_image(firmware), measure(firmware, "tiny")
    stored = [section for section in image.sections if section.stored]
    assert sizes.image == sum(section.size for section in stored)
    assert sizes.image == sizes.flash + sizes.harness
    by_name = {symbol.name: symbol for symbol in sizes.symbols}
    assert by_name["tiny_key"].bytes == 16
    assert by_name["tiny_key"].kind == "constants"
    assert by_name["tiny_xor"].kind == "code"
    assert not any(name.startswith("harness") for name in by_name)
    code = sum(symbol.bytes for symbol in sizes.symbols if symbol.kind == "code")
    assert code <= sizes.code <= code + 16 * len(by_name)


def test_constants_can_be_read_back(firmware: Path) -> None:
    assert read_symbol(firmware, "tiny_key") == KEY.tobytes()
    with pytest.raises(ToolchainError, match="no symbol 'tiny_weights'"):
        read_symbol(firmware, "tiny_weights")


def test_same_input_same_bytes(firmware: Path, tmp_path: Path) -> None:
    again = build_firmware(tiny_files(), "tiny", STM32F4, find_toolchain(STM32F4), tmp_path / "elsewhere")
    assert again.read_bytes() == firmware.read_bytes()
    assert str(tmp_path).encode() not in again.read_bytes()
    assert b"/tmp/" not in again.read_bytes()


def test_gcc_builds_the_same_model(tmp_path: Path) -> None:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    toolchain = find_toolchain(STM32F4, "gcc")
    assert str(toolchain).startswith("gcc ")
    elf = build_firmware(tiny_files(), "tiny", STM32F4, toolchain, tmp_path)
    inputs = tiny_inputs(3)
    np.testing.assert_array_equal(
        Emulator(elf, STM32F4, "tiny").run(inputs).outputs, tiny_reference(inputs)[1]
    )
    assert measure(elf, "tiny").constants == 16


def test_compiler_errors_name_file_and_line(tmp_path: Path) -> None:
    files = {**tiny_files(), "src/tiny_sum.c": "int broken(void)\n{\n    return nothing;\n}\n"}
    with pytest.raises(ToolchainError, match=r"tiny_sum\.c:3.*undeclared"):
        build_firmware(files, "tiny", STM32F4, find_toolchain(STM32F4), tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_undefined_function_is_named(tmp_path: Path) -> None:
    files = {path: text for path, text in tiny_files().items() if path != "src/tiny_sum.c"}
    with pytest.raises(ToolchainError, match="tiny_sum"):
        build_firmware(files, "tiny", STM32F4, find_toolchain(STM32F4), tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("TINY_ARENA_SIZE 64", "TINY_ARENA_SIZE 131072"),  # all of the RAM, no stack
        ("TINY_ARENA_SIZE 64", "TINY_ARENA_SIZE 140000"),
    ],
)
def test_an_image_that_does_not_fit(tmp_path: Path, old: str, new: str) -> None:
    files = tiny_files()
    files["include/tiny.h"] = files["include/tiny.h"].replace(old, new)
    with pytest.raises(BudgetError, match="does not fit into the board's memory"):
        build_firmware(files, "tiny", STM32F4, find_toolchain(STM32F4), tmp_path)


def test_missing_compilers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ToolchainError, match="arm-none-eabi-gcc is not installed"):
        find_toolchain(STM32F4, "gcc")
    with pytest.raises(ToolchainError, match="unknown toolchain 'armcc'"):
        find_toolchain(STM32F4, "armcc")
    assert host_compiler().command[-2:] == ("ziglang", "cc")
    toolchain_module._zig.cache_clear()
    monkeypatch.setattr(toolchain_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolchainError, match=r"pip install 'mcuprune\[firmware\]'"):
        find_toolchain(STM32F4)


def test_shared_library_of_this_machine(tmp_path: Path) -> None:
    library = ctypes.CDLL(str(build_shared(tiny_files(), tmp_path, flags=("-Wall", "-Wextra", "-Werror"))))
    inputs = tiny_inputs(1)
    output, arena = np.zeros(8, np.int8), np.zeros(64, np.int8)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (inputs, output, arena)]
    assert library.tiny_run(*pointers) == 0
    np.testing.assert_array_equal(output, tiny_reference(inputs)[1][0])


def test_not_an_elf_file(tmp_path: Path) -> None:
    path = tmp_path / "firmware.elf"
    path.write_bytes(b"MZ")
    with pytest.raises(ToolchainError, match="not a readable ELF file"):
        measure(path, "tiny")


@pytest.mark.parametrize(
    "name", ["stm32f4", "f746-disco", "nucleo-u575zi", "mps3-an547", "rpi-pico", "esp32c3"]
)
@pytest.mark.parametrize("compiler", ["zig", "gcc"])
def test_compilers_are_told_of_the_instruction_set(name: str, compiler: str, tmp_path: Path) -> None:
    board = load_board(name)
    if compiler == "gcc" and shutil.which(board.core.gcc) is None:
        pytest.skip(f"{board.core.gcc} is not installed")
    check = "#ifndef" if "dsp" in board.core.isa else "#ifdef"
    files = tiny_files()
    files["src/tiny.c"] += f"{check} __ARM_FEATURE_DSP\n#error wrong instruction set\n#endif\n"
    build_firmware(files, "tiny", board, find_toolchain(board, compiler), tmp_path)
