"""Single kernels on QEMU's model of a board: for cores that the instruction-set emulator does not have."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np

from mcuprune import share
from mcuprune.board import Board
from mcuprune.errors import ToolchainError
from mcuprune.kernels import catalogue
from mcuprune.kernels.kernel import Kernel
from mcuprune.verify.calibrate import Placed, runnable
from mcuprune.verify.cycles import from_instructions
from mcuprune.verify.gdb_remote import Remote
from mcuprune.verify.image import load_image
from mcuprune.verify.profile import Profile
from mcuprune.verify.qemu import COUNTERS, ICOUNT, QEMU, instructions_between, why_not
from mcuprune.verify.toolchain import Toolchain, build_firmware, find_toolchain

SP, LR, PC = 13, 14, 15  # numbers that GDB's protocol gives the registers of an Arm core
# The functions are called from outside; the table keeps them in the image.
MAIN = """#include "harness.h"
{declarations}
typedef void (*function)(void);
HARNESS_CONSTANT const function functions[] = {{{names}}};
HARNESS_CODE void harness_wait(void) {{ __asm__ volatile("" : : : "memory"); }}
HARNESS_CODE void harness_main(void) {{ for (;;) {{ harness_wait(); }} }}
"""


class QemuBench:
    """Runs single kernels of an Arm board and counts their instructions; a context manager.

    Raises ToolchainError when QEMU cannot be asked about the board.
    """

    def __init__(self, board: Board, toolchain: Toolchain | None = None) -> None:
        reason = why_not(board)
        if reason is not None or board.qemu not in COUNTERS:
            raise ToolchainError(reason or f"QEMU's {board.qemu} has no counter that tells instructions")
        self.board = board
        self._folder = tempfile.TemporaryDirectory(prefix="mcuprune-")
        elf = _build(board, toolchain or find_toolchain(board), Path(self._folder.name))
        self.image = load_image(elf)
        command = [QEMU[board.core.family], "-M", str(board.qemu), "-kernel", str(elf), "-icount", ICOUNT]
        command += ["-S", "-nographic", "-monitor", "none", "-serial", "none", "-gdb", "stdio"]
        self._remote = Remote(command)
        ram = board.memory.main("ram")
        self._memory, self._stack = ram.origin, ram.end
        self._return = board.memory.main("flash", "code").end - 4  # nothing is stored there
        self._remote.read_description()
        for _ in range(2):  # the counter stands still until the processor has been stopped once
            self._remote.run_to(self.image.symbol("harness_wait").address)

    def __enter__(self) -> QemuBench:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._remote.__exit__(kind, error, trace)
        self._folder.cleanup()

    def has(self, kernel: Kernel) -> bool:
        return kernel.isa in self.board.core.isa

    def run(self, kernel: Kernel, call: Placed) -> tuple[Profile, np.ndarray]:
        """Instructions of one call, its return included, what they may take, and its output."""
        content, arguments, output, size = call.place(kernel, self._memory)
        self._remote.write(self._memory, content)
        entry = self.image.symbol(kernel.name).address
        registers = {**dict(enumerate(arguments)), SP: self._stack, LR: self._return | 1}
        for number, value in {**registers, PC: entry}.items():
            self._remote.set_register(number, value)
        before = self._count()
        self._remote.run_to(self._return)
        instructions = instructions_between(str(self.board.qemu), before, self._count())
        found = np.frombuffer(self._remote.read(output, size), np.int8)
        return Profile(instructions, from_instructions(instructions)), found

    def _count(self) -> int:
        address, _ = COUNTERS[str(self.board.qemu)]
        return int.from_bytes(self._remote.read(address, 4), "little")


def _build(board: Board, toolchain: Toolchain, folder: Path) -> Path:
    """An image of all kernels that the board's core runs, behind start-up code."""
    kernels = runnable(board)
    paths = catalogue.sources(kernel.name for kernel in kernels)
    root = share.folder("codegen") / "kernels"
    files = {f"src/{Path(path).name}": (root / path).read_text(encoding="utf-8") for path in paths}
    main = MAIN.format(
        declarations="\n".join(f"void {kernel.name}(void);" for kernel in kernels),
        names=", ".join(kernel.name for kernel in kernels),
    )
    return build_firmware(files, "kernels", board, toolchain, folder, main)
