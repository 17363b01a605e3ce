"""A second witness: the same firmware image on QEMU's model of the board, where QEMU is installed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcuprune.board import Board
from mcuprune.errors import ToolchainError
from mcuprune.verify.disassembly import disassembler
from mcuprune.verify.emulator import harness_layout, read_outputs, write_inputs
from mcuprune.verify.gdb_remote import Remote
from mcuprune.verify.image import Image, load_image
from mcuprune.verify.interface import Interface
from mcuprune.verify.toolchain import first_line

QEMU = {"arm": "qemu-system-arm", "riscv": "qemu-system-riscv32"}
# Each instruction takes 64 ns of virtual time; sleep=off keeps it still while the program is stopped.
ICOUNT = "shift=6,sleep=off"
NANOSECONDS_PER_INSTRUCTION = 64
# A free-running 32-bit counter of the machine: its address, and nanoseconds per tick.
COUNTERS = {"mps2-an386": (0x4002_8018, 40), "mps3-an547": (0x5930_2018, 50)}


@dataclass(frozen=True)
class QemuRun:
    """``outputs`` (n, output bytes) int8; ``instructions`` of the first inference, where a counter tells.

    ``machine`` and ``version`` name the witness.
    """

    outputs: np.ndarray
    instructions: int | None
    machine: str
    version: str


def why_not(board: Board) -> str | None:
    """Why QEMU cannot be asked about this board, or ``None`` when it can."""
    if board.qemu is None:
        return f"QEMU has no machine for board {board.name}"
    if shutil.which(QEMU[board.core.family]) is None:
        return f"{QEMU[board.core.family]} is not installed"
    return None


def run_qemu(elf: Path, board: Board, name: str, inputs: np.ndarray) -> QemuRun | None:
    """Runs model ``name`` on ``inputs`` (n, input bytes) int8; ``None`` when :func:`why_not` gives a reason.

    The program is driven from outside, so the image is the one that is measured and flashed.
    Raises ToolchainError when it faults or never ends.
    """
    if why_not(board) is not None:
        return None
    image = load_image(elf)
    layout = harness_layout(image)
    program = QEMU[board.core.family]
    command = [program, "-M", str(board.qemu), "-kernel", str(elf), "-icount", ICOUNT, "-S"]
    command += ["-nographic", "-monitor", "none", "-serial", "none", "-gdb", "stdio"]
    with Remote(command) as remote:
        wait = image.symbol("harness_wait").address
        remote.run_to(wait)
        first = _state(remote, image, layout)
        instructions = _count(remote, image, layout, name, inputs[0], str(board.qemu))
        if layout.state:
            remote.write(image.symbol("harness_state").address, first)
        outputs = [_infer(remote, image, layout, row, wait) for row in inputs]
    return QemuRun(np.stack(outputs), instructions, str(board.qemu), _version(program))


def _state(remote: Remote, image: Image, layout: Interface) -> bytes:
    """The memory of the model's states."""
    return remote.read(image.symbol("harness_state").address, layout.state) if layout.state else b""


def _infer(remote: Remote, image: Image, layout: Interface, row: np.ndarray, wait: int) -> np.ndarray:
    arena = image.symbol("harness_arena").address
    write_inputs(row, layout, lambda offset, data: remote.write(arena + offset, data))
    remote.run_to(wait)
    return read_outputs(layout, lambda offset, size: remote.read(arena + offset, size))


def _count(
    remote: Remote, image: Image, layout: Interface, name: str, row: np.ndarray, machine: str
) -> int | None:
    """Instructions between entering and leaving the run function, from virtual time."""
    if machine not in COUNTERS:
        return None
    address, _ = COUNTERS[machine]
    run = image.symbol(f"{name}_run").address
    arena = image.symbol("harness_arena").address
    write_inputs(row, layout, lambda offset, data: remote.write(arena + offset, data))
    remote.run_to(run)
    before = int.from_bytes(remote.read(address, 4), "little")
    remote.run_to(_return_address(image, run))
    after = int.from_bytes(remote.read(address, 4), "little")
    remote.run_to(image.symbol("harness_wait").address)
    return instructions_between(machine, before, after)


def instructions_between(machine: str, before: int, after: int) -> int:
    """Executed instructions between two readings of a machine's counter."""
    _, tick_ns = COUNTERS[machine]
    return round((after - before) % (1 << 32) * tick_ns / NANOSECONDS_PER_INSTRUCTION)


def _return_address(image: Image, run: int) -> int:
    """The instruction behind the harness's call of the run function."""
    main = image.symbol("harness_main")
    code = disassembler(image, "arm")(main.address, main.address + main.size)
    for instruction in code:
        if instruction.name == "bl" and int(instruction.text.split("#")[1], 0) == run:
            return instruction.address + instruction.size
    raise ToolchainError("the harness does not call the model's run function directly")


def _version(program: str) -> str:
    return first_line([program, "--version"]).removeprefix("QEMU emulator version ")
