"""Fits the kernels' cycle formulas to emulated runs: ``python -m mcuprune.verify.calibrate [kernel ...]``.

Every kernel runs alone on the emulated core, on shapes that vary each of its features.  The coefficients
with the least squared relative errors go into ``mcuprune/kernels/cycle_coefficients.json``, with the share by
which a run exceeded the formula at most, over these shapes and over random ones.  Calls are the usual ones:
multipliers below one, and no clamp but to int8.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy.optimize import nnls

from mcuprune import share
from mcuprune.board import Board, load_board
from mcuprune.errors import ToolchainError
from mcuprune.graph.op_shape import OpShape
from mcuprune.kernels.catalogue import KERNELS
from mcuprune.kernels.kernel import Kernel
from mcuprune.verify.calibration_calls import Call
from mcuprune.verify.calibration_shapes import held_out, shapes
from mcuprune.verify.image import Image, load_image
from mcuprune.verify.machine import Machine
from mcuprune.verify.profile import Profile, Profiler
from mcuprune.verify.toolchain import FIRMWARE_FLAGS, Toolchain, find_toolchain
from mcuprune.verify.trace import Transitions

# One board per core that the emulator has; only the core matters.
BOARDS = ("rpi-pico", "stm32vldiscovery", "stm32f4", "nucleo-h743zi", "nucleo-u575zi", "esp32c3")
TABLE = Path(__file__).parents[1] / "kernels" / "cycle_coefficients.json"
MEMORY_BYTES = 1 << 20
SCRIPT = """SECTIONS {{
  . = {origin:#x};
  .text : {{ KEEP(*(.text .text.*)) *(.rodata .rodata.*) }}
  /DISCARD/ : {{ *(.ARM.*) }}
}}
"""


@dataclass(frozen=True)
class Sample:
    """One run: the features of the shape, and what was counted."""

    features: tuple[float, ...]
    profile: Profile


class Placed(Protocol):
    """A call whose parameters and data can be laid out in a core's memory."""

    def place(self, kernel: Kernel, base: int) -> tuple[bytes, tuple[int, ...], int, int]:
        """Memory content from ``base`` on, the arguments, where the output lies, and its size."""


class KernelBench(Protocol):
    """Something that runs single kernels and counts what they execute."""

    def run(self, kernel: Kernel, call: Placed) -> tuple[Profile, np.ndarray]:
        """What one call executes, and its output."""


def runnable(board: Board, names: Sequence[str] = ()) -> tuple[Kernel, ...]:
    """The kernels of the board's instruction sets, or those of them that are named."""
    wanted = names or [kernel.name for kernel in KERNELS]
    return tuple(kernel for kernel in KERNELS if kernel.isa in board.core.isa and kernel.name in wanted)


def build(board: Board, toolchain: Toolchain, folder: Path) -> Image:
    """An image of all kernels that the board's core runs, at the start of its flash."""
    kernels = share.folder("codegen") / "kernels"
    script = folder / "link.ld"
    script.write_text(SCRIPT.format(origin=board.memory.main("flash", "code").origin), encoding="utf-8")
    sources = [str(path) for isa in sorted(board.core.isa) for path in sorted((kernels / isa).glob("*.c"))]
    flags = [flag for flag in FIRMWARE_FLAGS if not flag.startswith("-Wl,--gc")]
    target = folder / "kernels.elf"
    command = [*toolchain.command, *toolchain.flags, *flags, "-nostdlib", f"-I{kernels}", *sources]
    done = subprocess.run(
        [*command, f"-Wl,-T,{script}", f"-Wl,-e,{runnable(board)[0].name}", "-o", str(target)],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise ToolchainError(f"{toolchain} could not build the kernels: {done.stderr.strip()[:800]}")
    return load_image(target)


class Bench:
    """Runs single kernels on an emulated core and counts what they execute."""

    def __init__(self, board: Board, toolchain: Toolchain | None = None) -> None:
        self.board = board
        with tempfile.TemporaryDirectory(prefix="mcuprune-") as folder:
            self.image = build(board, toolchain or find_toolchain(board), Path(folder))
        self._machine = Machine(self.image, board)
        self._memory = self._machine.map_outside(MEMORY_BYTES)
        self._return = board.memory.main("flash", "code").end - 4  # nothing is stored there
        self._profiler = Profiler(self.image, board.core)

    def has(self, kernel: Kernel) -> bool:
        return kernel.isa in self.board.core.isa

    def run(self, kernel: Kernel, call: Placed) -> tuple[Profile, np.ndarray]:
        """Instructions and cycles of one call (its return not included), and its output."""
        content, arguments, output, size = call.place(kernel, self._memory)
        self._machine.write(self._memory, content)
        registers = dict(zip(("a0", "a1", "a2", "a3"), arguments, strict=False))
        for register, value in {**registers, "sp": self._memory + MEMORY_BYTES, "lr": self._return}.items():
            self._machine.set_register(register, value)
        transitions = self._count(self.image.symbol(kernel.name).address)
        found = np.frombuffer(self._machine.read(output, size), np.int8)
        return self._profiler.profile(transitions), found

    def _count(self, entry: int) -> Transitions:
        transitions: Transitions = defaultdict(int)
        previous = 0

        def block(address: int, size: int) -> None:
            nonlocal previous
            here = address | size << 32
            if previous:
                transitions[previous, here] += 1
            previous = here

        stop = self._machine.on_block(block)
        try:
            self._machine.run(entry, self._return)
        finally:
            stop()
        transitions[previous, self._return] += 1
        return transitions


def samples(bench: KernelBench, kernel: Kernel, given: Iterable[OpShape]) -> list[Sample]:
    found = []
    for seed, shape in enumerate(given):
        profile, _ = bench.run(kernel, Call(shape, seed))
        found.append(Sample(tuple(float(value) for value in kernel.features(shape)), profile))
    return found


def fit(found: Sequence[Sample]) -> list[float]:
    """Non-negative coefficients with the least sum of squared relative errors."""
    cycles, features = _arrays(found)
    solution, _ = nnls(features / cycles[:, None], np.ones(len(cycles)))
    return [float(f"{value:.4g}") for value in solution]


def largest_excess(coefficients: Sequence[float], found: Sequence[Sample]) -> float:
    """The share by which a run exceeds the formula at most, rounded up to a tenth of a percent."""
    cycles, features = _arrays(found)
    excess = (cycles / (features @ np.array(coefficients))).max() - 1.0
    return float(np.ceil(1000.0 * max(0.0, excess)) / 1000.0)


def _arrays(found: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
    cycles = np.array([sample.profile.cycles.mid for sample in found])  # type: ignore[union-attr]
    return cycles, np.array([sample.features for sample in found])


def calibrate(bench: KernelBench, kernels: Iterable[Kernel]) -> dict[str, dict[str, Any]]:
    """Coefficients of kernels on the bench's core, and their largest excess, held-out shapes included."""
    figures = {}
    for kernel in kernels:
        found = samples(bench, kernel, shapes(kernel))
        coefficients = fit(found)
        excess = largest_excess(coefficients, [*found, *samples(bench, kernel, held_out(kernel))])
        figures[kernel.name] = {"coefficients": coefficients, "largest_excess": excess}
    return figures


def main() -> None:
    names = sys.argv[1:]
    stored = json.loads(TABLE.read_text(encoding="utf-8"))["kernels"]
    redone = {kernel.name for board in BOARDS for kernel in runnable(load_board(board), names)}
    known = {kernel.name for kernel in KERNELS}
    kernels = {name: figures for name, figures in stored.items() if name in known - redone}
    for name in BOARDS:
        board = load_board(name)
        for kernel, figures in calibrate(Bench(board), runnable(board, names)).items():
            kernels.setdefault(kernel, {})[board.core.name] = figures
        print(f"{board.core.name}: done")
    TABLE.write_text(json.dumps({"kernels": kernels}, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
