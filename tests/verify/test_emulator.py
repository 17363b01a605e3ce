"""The emulated core: counts of hand-written loops, cycles worked out by hand, stack, faults."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from mcuprune.board import Board, load_board
from mcuprune.errors import ToolchainError, UsageError
from mcuprune.verify.cycles import Cycles
from mcuprune.verify.emulator import CallResult, EmulatedRun, Emulator
from mcuprune.verify.interface import Buffer, Interface
from mcuprune.verify.qemu import run_qemu, why_not
from mcuprune.verify.toolchain import build_firmware, compiler_environment, find_toolchain
from tests.verify.firmware_models import assembly_model, tiny_files, tiny_inputs, tiny_reference

pytest.importorskip("ziglang")
pytest.importorskip("unicorn")
STM32F4 = load_board("stm32f4")

# Body -> instructions, and cycles on a Cortex-M4 without what is in the last column: taken branches.
M4_BODIES = {
    # 1 + 4 * 100 + 1 instructions; 99 branches and the return are taken.
    "loop": ("movs r1, #100\n1: nop\nsubs r1, #1\nnop\nbne 1b\nbx lr", 402, (402, 402, 402), 100),
    # IT counts, and so does the instruction that it skips: 1 + 7 * 1000 + 1; IT is free in the low estimate.
    "choice": (
        "mov r1, #1000\n1: tst r1, #1\nite eq\nmoveq r2, #1\nmovne r2, #2\nsubs r1, #1\nnop\nbne 1b\nbx lr",
        7002,
        (6002, 7002, 7002),
        1000,
    ),
    # 2, 1 behind a load, 2 because the load before gives its address, 1 (store behind a load), return 1.
    "loads": (
        "ldr r1, [r0]\nldr r2, [r0, #4]\nldr r3, [sp, #-4]\nadd r12, r3, #0\nbx lr",
        5,
        (2 + 1 + 1 + 1 + 1,) * 3,
        1,
    ),
    # Multiplications and SIMD 1 each; the load waits for the address computed before it.
    "macs": (
        "mov r1, #3\nsmlad r2, r1, r1, r1\nsmull r2, r3, r1, r1\nsxtb16 r2, r1, ror #8\n"
        "add r12, r0, #4\nldr r3, [r12]\nbx lr",
        7,
        (8, 9, 9),
        1,
    ),
    # PUSH of 3: 4; BL 1; NOP 1; BX 1; POP of 3 with the program counter: 4.
    "call": ("push {r4, r5, lr}\nbl 1f\npop {r4, r5, pc}\n1: nop\nbx lr", 5, (11, 11, 11), 3),
    # Store 1, store with register offset 2, STRD 3, LDRD 3, SDIV 2 to 12.
    "stores": (
        "mov r1, #7\nstr r1, [r0, #16]\nmov r2, #8\nstrb r1, [r0, r2]\nstrd r1, r2, [r0, #24]\n"
        "ldrd r1, r2, [r0, #24]\nsdiv r1, r2, r1\nbx lr",
        8,
        (1 + 1 + 1 + 2 + 3 + 3 + 2 + 1, 1 + 1 + 1 + 3 + 3 + 3 + 7 + 1, 1 + 1 + 1 + 3 + 3 + 3 + 12 + 1),
        1,
    ),
}
M0_BODIES = {
    "loop": ("movs r1, #50\n1: subs r1, #1\nbne 1b\nbx lr", 102, (102,) * 3, 50),
    # PUSH of 2: 3; LDR 2; STR 2; MULS 1; BL 2; NOP, BX 1 each; POP of 2 with the program counter: 4.
    "call": (
        "push {r4, lr}\nldr r1, [r0]\nstr r1, [r0, #32]\nmuls r1, r1, r1\nbl 1f\npop {r4, pc}\n1: nop\nbx lr",
        8,
        (16,) * 3,
        3,
    ),
}
RV_BODIES = {
    "loop": ("li a1, 50\n1: addi a1, a1, -1\nbnez a1, 1b\nret", 102, (102,) * 3, 50),
    "loads": ("lw a1, 0(a0)\nsw a1, 32(a0)\nmul a1, a1, a1\nmulh a1, a1, a1\nret", 5, (5, 6, 6), 1),
}
P_M4, P_M0 = (1, 2, 3), (1, 1, 1)


def build(files: Mapping[str, str], name: str, board: Board, folder: Path) -> Path:
    return build_firmware(files, name, board, find_toolchain(board), folder)


@pytest.mark.parametrize(
    ("board_name", "bodies", "refill"),
    [("stm32f4", M4_BODIES, P_M4), ("rpi-pico", M0_BODIES, P_M0), ("esp32c3", RV_BODIES, P_M4)],
)
def test_counts_and_cycles_of_hand_written_loops(
    board_name: str,
    bodies: dict[str, tuple[str, int, tuple[float, float, float], int]],
    refill: tuple[float, float, float],
    tmp_path: Path,
) -> None:
    board = load_board(board_name)
    files = assembly_model({name: body for name, (body, *_) in bodies.items()})
    run = Emulator(build(files, "probe", board, tmp_path), board, "probe").run(np.zeros((1, 4), np.int8))
    assert [layer.kernel for layer in run.layers] == list(bodies)
    for layer, (_, instructions, cycles, taken) in zip(run.layers, bodies.values(), strict=True):
        assert (layer.kernel, layer.instructions) == (layer.kernel, instructions)
        expected = Cycles(*(own + taken * part for own, part in zip(cycles, refill, strict=True)))
        assert (layer.kernel, layer.cycles) == (layer.kernel, expected)
    assert run.instructions == sum(layer.instructions for layer in run.layers) + run.glue.instructions


def test_counts_agree_with_qemu(tmp_path: Path) -> None:
    board = load_board("mps2-an386")
    if why_not(board) is not None:
        pytest.skip(str(why_not(board)))
    files = assembly_model({name: body for name, (body, *_) in M4_BODIES.items()})
    for name, sources, inputs in (
        ("probe", files, np.zeros((1, 4), np.int8)),
        ("tiny", tiny_files(), tiny_inputs(1)),
    ):
        elf = build(sources, name, board, tmp_path / name)
        witness = run_qemu(elf, board, name, inputs)
        assert witness is not None
        assert witness.instructions is not None
        assert abs(witness.instructions - Emulator(elf, board, name).run(inputs).instructions) <= 1


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tiny_files(), "tiny", STM32F4, tmp_path_factory.mktemp("tiny"))


def test_outputs_of_many_inputs(tiny: Path) -> None:
    inputs = tiny_inputs(200)
    run = Emulator(tiny, STM32F4, "tiny").run(inputs)
    np.testing.assert_array_equal(run.outputs, tiny_reference(inputs)[1])
    assert [layer.kernel for layer in run.layers] == ["tiny_xor", "tiny_sum"]
    assert run.cycles is not None
    assert run.instructions < run.cycles.low < run.cycles.mid < run.cycles.high


def test_runs_repeat_exactly(tiny: Path) -> None:
    def counts(run: EmulatedRun) -> tuple[object, ...]:
        return run.instructions, run.cycles, run.stack_bytes, run.layers

    emulator, inputs = Emulator(tiny, STM32F4, "tiny"), tiny_inputs(2)
    first = counts(emulator.run(inputs))
    assert counts(emulator.run(inputs)) == first
    assert counts(Emulator(tiny, STM32F4, "tiny").run(inputs)) == first


def test_tensors_of_every_layer(tiny: Path) -> None:
    inputs = tiny_inputs(1)
    mixed, output = tiny_reference(inputs)
    emulator = Emulator(tiny, STM32F4, "tiny")
    found = emulator.tensors(inputs[0], [CallResult("mixed", 16, 16), CallResult("output", 32, 8)])
    np.testing.assert_array_equal(found["mixed"], mixed[0])
    np.testing.assert_array_equal(found["output"], output[0])
    with pytest.raises(ToolchainError, match=r"makes 2 calls \(tiny_xor, tiny_sum\), not 1"):
        emulator.tensors(inputs[0], [CallResult("mixed", 16, 16)])


def test_wrong_inputs_are_refused(tiny: Path) -> None:
    emulator = Emulator(tiny, STM32F4, "tiny")
    for inputs in (np.zeros((1, 15), np.int8), np.zeros((1, 16), np.float32), np.zeros((0, 16), np.int8)):
        with pytest.raises(UsageError, match=r"int8 inputs \(n, 16\)"):
            emulator.run(inputs)


@pytest.mark.parametrize("depth", [0, 8, 64, 1024])
def test_stack_by_painting(depth: int, tmp_path: Path) -> None:
    """The kernel stores one word at the bottom of a frame that it opens and closes within one block."""
    frame = f"sub sp, #{depth}\nmov r1, #0\nstr r1, [sp]\nadd sp, #{depth}\nbx lr" if depth else "bx lr"
    elf = build(assembly_model({"frame": frame}), "probe", STM32F4, tmp_path)
    used = Emulator(elf, STM32F4, "probe").run(np.zeros((1, 4), np.int8)).stack_bytes
    own = 8  # the run function saves its return address, and one register to keep the stack aligned
    assert own <= used - depth <= own + 16


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "mov r1, #0xF0000000\nldr r1, [r1]\nbx lr",
            r"read outside memory: 4 bytes at 0xf0000000, in fault\+0x",
        ),
        (
            "mov r1, #0x08000000\nstr r1, [r1]\nbx lr",
            r"write into flash: 4 bytes at 0x08000000, in fault\+0x",
        ),
        ("udf #0\nbx lr", r"emulated stm32f4: .*, in fault"),
        ("1: b 1b", r"not finished after 0\.3 seconds, in fault"),
    ],
)
def test_faults_name_the_place(body: str, message: str, tmp_path: Path) -> None:
    elf = build(assembly_model({"fault": body}), "probe", STM32F4, tmp_path)
    with pytest.raises(ToolchainError, match=message):
        Emulator(elf, STM32F4, "probe", time_limit_s=0.3).run(np.zeros((1, 4), np.int8))


def test_unaligned_accesses_fault_where_the_core_faults(tmp_path: Path) -> None:
    model = assembly_model({"fault": "ldr r1, [r0]\nadds r0, #1\nldr r1, [r0]\nbx lr"})
    plain = np.zeros((1, 4), np.int8)
    assert Emulator(build(model, "probe", STM32F4, tmp_path), STM32F4, "probe").run(plain).instructions
    pico = load_board("rpi-pico")
    with pytest.raises(ToolchainError, match=r"unaligned access: 4 bytes at 0x2000\w+, in fault"):
        Emulator(build(model, "probe", pico, tmp_path), pico, "probe").run(plain)


def test_a_model_that_reports_failure(tmp_path: Path) -> None:
    files = tiny_files()
    files["src/tiny.c"] = files["src/tiny.c"].replace("return 0", "return 3")
    elf = build(files, "tiny", STM32F4, tmp_path)
    with pytest.raises(ToolchainError, match="tiny_run returned 3"):
        Emulator(elf, STM32F4, "tiny").run(tiny_inputs(1))


def test_no_such_model(tiny: Path) -> None:
    with pytest.raises(ToolchainError, match="no symbol 'other_run'"):
        Emulator(tiny, STM32F4, "other")


def test_a_core_without_emulator(tiny: Path) -> None:
    with pytest.raises(ToolchainError, match="no Cortex-M55; use QEMU"):
        Emulator(tiny, load_board("mps3-an547"), "tiny")


def test_firmware_of_others(tiny: Path, tmp_path: Path) -> None:
    """An image without our harness, linked by its own script: the model's function is called in it."""
    for path, text in tiny_files().items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "app.c").write_text(
        '#include "tiny.h"\nint main(void) { static int8_t a[64]; return tiny_run(a, a, a); }\n'
    )
    (tmp_path / "app.ld").write_text(
        "SECTIONS { . = 0x08000000; .code : { *(.text*) *(.rodata*) }\n"
        "           .bss 0x20000000 : { *(.bss*) } /DISCARD/ : { *(.ARM.*) } }\n"
    )
    toolchain = find_toolchain(STM32F4)
    sources = ["app.c", "src/tiny.c", "src/tiny_sum.c", "src/tiny_xor.c"]
    command = [
        *toolchain.command,
        *toolchain.flags,
        "-O2",
        "-Iinclude",
        "-T",
        "app.ld",
        "-Wl,--entry=main",
        *sources,
    ]
    subprocess.run([*command, "-o", "app.elf"], cwd=tmp_path, env=compiler_environment(), check=True)
    with pytest.raises(UsageError, match="layout is needed"):
        Emulator(tmp_path / "app.elf", STM32F4, "tiny")
    layout = Interface(64, 4, 0, (Buffer("input", 0, 16),), (Buffer("output", 32, 8),))
    inputs = tiny_inputs(5)
    run = Emulator(tmp_path / "app.elf", STM32F4, "tiny", layout).run(inputs)
    np.testing.assert_array_equal(run.outputs, tiny_reference(inputs)[1])
    ours = Emulator(tiny, STM32F4, "tiny").run(inputs)
    assert [layer.kernel for layer in run.layers] == [layer.kernel for layer in ours.layers]
    assert 0 < run.stack_bytes <= ours.stack_bytes + 8
