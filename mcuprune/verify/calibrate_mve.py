"""Fits the mve kernels' formulas to runs in QEMU: ``python -m mcuprune.verify.calibrate_mve [kernel ...]``.

As :mod:`mcuprune.verify.calibrate`, for the core that the instruction-set emulator does not have.  QEMU
counts instructions; what the table holds as cycles is the estimate that ``verify/cycles.py`` makes of them.
"""

from __future__ import annotations

import json
import math
import sys

from mcuprune.board import load_board
from mcuprune.verify.calibrate import TABLE, calibrate, runnable
from mcuprune.verify.cycles import from_instructions
from mcuprune.verify.qemu_bench import QemuBench

BOARD = "mps3-an547"


def main() -> None:
    board = load_board(BOARD)
    kernels = [kernel for kernel in runnable(board, sys.argv[1:]) if kernel.isa == "mve"]
    with QemuBench(board) as bench:
        found = calibrate(bench, kernels)
    stored = json.loads(TABLE.read_text(encoding="utf-8"))["kernels"]
    span = from_instructions(1).high / from_instructions(1).mid
    for name, figures in found.items():
        # An upper bound must hold for the estimate's upper end too.
        excess = math.ceil(1000.0 * ((1.0 + figures["largest_excess"]) * span - 1.0)) / 1000.0
        stored[name] = {board.core.name: {**figures, "largest_excess": excess}}
    TABLE.write_text(json.dumps({"kernels": stored}, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
