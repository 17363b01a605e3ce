"""The MLPerf Tiny int8 models deployed, beside what other tools need: ``make bench-deploy``.

Each model is exported as a user would, built by every installed compiler, and run on the emulated core on
random inputs, whose outputs are compared byte for byte with TensorFlow Lite Micro.  One binary per model has
to meet cycles, flash and RAM together: the compiler whose binary meets more of them, then takes fewer
cycles, counts.

Flash is .text + .rodata + .data of the linked image: the model and its kernels without the measuring harness
(vectors, start-up code and inference loop, in sections of their own).  RAM is the arena, which holds input,
output, scratch and state, and static variables; the stack stands apart.

    python tests/bench/deploy.py --models FOLDER [--only KWS] [--optimize speed] [--no-cores] [--json]

Exit code: 4 where bytes differ, 3 where a figure to reach is missed or, with ``--against FILE``, worse than
in an earlier ``--json``; 0 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcuprune.board import Board, load_board
from mcuprune.errors import BudgetError, McupruneError
from mcuprune.export import export
from mcuprune.resources.model import planned_calls
from mcuprune.verify.emulator import Emulator
from mcuprune.verify.oracle import run_tflm
from mcuprune.verify.prove import Subject, make_inputs
from mcuprune.verify.qemu import run_qemu, why_not
from mcuprune.verify.toolchain import find_toolchain
from tests.bench.deploy_page import page, summary

BOARD = "nucleo-l4r5zi"
CORES = ("rpi-pico", "nucleo-u575zi", "nucleo-h743zi", "mps3-an547", "esp32c3")
TOOLCHAINS = ("zig", "gcc")
FILES = {
    "ResNet-8": "image_classification__pretrainedResnet_quant.tflite",
    "KWS": "keyword_spotting__kws_ref_model.tflite",
    "VWW": "visual_wake_words__vww_96_int8.tflite",
    "AD": "anomaly_detection__ToyCar__baseline_tf23__model__model_ToyCar_quant_fullint_micro_intio.tflite",
}
PEERS = Path(__file__).with_name("peers.toml")
WORSE = 1.002  # --against: compilers of another version may move a figure by less than this


@dataclass(frozen=True)
class Row:
    """One binary.  Bytes, instructions and cycles of one inference; ``None`` where the emulator cannot say.

    ``nominal_macs`` are those of the file as it is, ``macs`` those that are executed.  ``differing`` counts
    output bytes that are not TensorFlow Lite Micro's, of ``inputs`` random inputs.
    """

    model: str
    board: str
    core: str
    compiler: str
    optimize: str
    nominal_macs: int
    macs: int
    instructions: int | None
    low: float | None
    mid: float | None
    high: float | None
    flash: int
    constants: int
    ram: int
    stack: int | None
    inputs: int
    differing: int
    chosen: bool = False

    def met(self, reach: dict[str, float]) -> tuple[bool, bool, bool]:
        """Whether cycles, flash and RAM are within the figures to reach."""
        cycles = self.mid is not None and self.mid <= 1e6 * reach["cycles_m"]
        return cycles, self.flash <= reach["flash"], self.ram <= reach["ram"]


def measure(model: str, path: Path, board: Board, compiler: str, optimize: str, inputs: int) -> Row:
    """Export, build, run and compare one model; raises the errors of ``mcuprune export``."""
    nominal = tomllib.loads(PEERS.read_text())[model]["macs"]
    with tempfile.TemporaryDirectory(prefix="mcuprune-") as folder:
        name = "".join(c for c in model.lower() if c.isalnum())
        built = export(path, board, Path(folder, name), name, toolchain=compiler, optimize=optimize)
        subject, sizes = built.deployment.subject, built.deployment.sizes
        samples = make_inputs(subject.graph, inputs)
        outputs, instructions, cycles, stack = _run(subject, samples.reshape(inputs, -1))
    expected = run_tflm(path.read_bytes(), samples).reshape(inputs, -1)
    return Row(
        model=model,
        board=board.name,
        core=board.core.cpu,
        compiler=str(built.deployment.toolchain),
        optimize=optimize,
        nominal_macs=nominal,
        macs=sum(call.macs for call in planned_calls(subject.graph, subject.plan)),
        instructions=instructions,
        low=cycles[0],
        mid=cycles[1],
        high=cycles[2],
        flash=sizes.flash,
        constants=sizes.constants,
        ram=sizes.static_ram,
        stack=stack,
        inputs=inputs,
        differing=int((outputs != expected[: len(outputs)]).sum()),
    )


Run = tuple[np.ndarray, int | None, tuple[float | None, ...], int | None]


def _run(subject: Subject, flat: np.ndarray) -> Run:
    """Outputs, instructions, cycles (low, mid, high) and stack, in the emulator that knows the core."""
    if subject.board.core.unicorn is not None:
        run = Emulator(subject.elf, subject.board, subject.sources.name, time_limit_s=600).run(flat)
        cycles = (None,) * 3 if run.cycles is None else (run.cycles.low, run.cycles.mid, run.cycles.high)
        return run.outputs, run.instructions, cycles, run.stack_bytes
    witness = run_qemu(subject.elf, subject.board, subject.sources.name, flat)
    assert witness is not None
    return witness.outputs, witness.instructions, (None,) * 3, None


def choose(rows: list[Row], reach: dict[str, float]) -> list[Row]:
    """The rows of one model with the one that counts marked."""
    best = min(rows, key=lambda row: (-sum(row.met(reach)), row.mid or 0, row.flash))
    return [Row(**{**asdict(row), "chosen": row is best}) for row in rows]


def bench(arguments: argparse.Namespace, peers: dict[str, Any]) -> Iterator[Row]:
    """The rows of the main board, then those of the other cores, model by model."""
    for model in arguments.only or FILES:
        path = arguments.models / FILES[model]
        rows = [
            measure(model, path, load_board(BOARD), compiler, arguments.optimize, arguments.inputs)
            for compiler in installed(load_board(BOARD))
        ]
        yield from choose(rows, peers[model]["reach"])
        for name in CORES if arguments.cores else ():
            board = load_board(name)
            if board.core.unicorn is None and (reason := why_not(board)):
                print(f"{model} on {board.core.cpu}: not run: {reason}", file=sys.stderr)
                continue
            try:
                yield measure(model, path, board, "zig", arguments.optimize, min(arguments.inputs, 4))
            except BudgetError as error:
                print(f"{model} on {board.name}: {str(error).splitlines()[0]}", file=sys.stderr)


def installed(board: Board) -> list[str]:
    """The compilers that are here; the pinned one from pip must be."""
    found = []
    for name in TOOLCHAINS:
        try:
            find_toolchain(board, name)
            found.append(name)
        except McupruneError as error:
            if name == "zig":
                raise
            print(f"without {name}: {error}", file=sys.stderr)
    return found


def verdict(rows: list[Row], peers: dict[str, Any], against: Path | None) -> int:
    """The exit code, each reason for one above 0 said on stderr."""
    wrong = [f"{r.model} on {r.core}, {r.compiler}: {r.differing} bytes differ" for r in rows if r.differing]
    late = []
    for row in (row for row in rows if row.chosen):
        met = zip(("cycles", "flash", "RAM"), row.met(peers[row.model]["reach"]), strict=True)
        late += [f"{row.model}: {what} not reached" for what, held in met if not held]
    if against is not None:
        late = regressions(rows, json.loads(against.read_text())["rows"])
    for reason in (*wrong, *late):
        print(reason, file=sys.stderr)
    return 4 if wrong else 3 if late else 0


def regressions(rows: list[Row], earlier: list[dict[str, Any]]) -> list[str]:
    """What became worse since an earlier result, model, board and compiler being the same."""
    before = {(r["model"], r["board"], r["compiler"], r["optimize"]): r for r in earlier}
    found = []
    for row in rows:
        old = before.get((row.model, row.board, row.compiler, row.optimize), {})
        for key in ("instructions", "mid", "flash", "ram"):
            new = getattr(row, key)
            if new is not None and old.get(key) is not None and new > WORSE * old[key]:
                found.append(
                    f"{row.model} on {row.core}, {row.compiler}: {key} {new:,.0f}, was {old[key]:,.0f}"
                )
    return found


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    data = os.environ.get("MCUPRUNE_DATA")
    default = Path(data, "mlperf_tiny", "models") if data else None
    parser.add_argument("--models", type=Path, default=default, help="default: in MCUPRUNE_DATA")
    parser.add_argument("--only", nargs="+", choices=FILES, help="these models (default: all)")
    parser.add_argument("--optimize", default="speed")
    parser.add_argument("--inputs", type=int, default=20, help="random inputs compared with TFLM")
    parser.add_argument("--no-cores", dest="cores", action="store_false", help="only the Cortex-M4")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--against", type=Path, help="fail where a figure is worse than in this file")
    parser.add_argument("--page", type=Path, help="write the table to this file (with all models)")
    arguments = parser.parse_args()
    if arguments.models is None or not arguments.models.is_dir():
        parser.error("--models: the folder of the MLPerf Tiny .tflite files, or set MCUPRUNE_DATA")
    return arguments


def main() -> int:
    arguments = read_arguments()
    peers = tomllib.loads(PEERS.read_text())
    rows = []
    for row in bench(arguments, peers):
        rows.append(row)
        print(summary(row), file=sys.stderr, flush=True)
    plain = [asdict(row) for row in rows]
    print(page(plain, peers))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"rows": plain}, indent=1) + "\n")
    if arguments.page is not None:
        arguments.page.write_text(page(plain, peers))
    return verdict(rows, peers, arguments.against)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except McupruneError as error:
        print(f"deployment benchmark: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
