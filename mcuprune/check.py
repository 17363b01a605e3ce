"""The gate for CI: a model measured in its run folder, or in firmware that a user linked, against budgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mcuprune.board import Board, load_board
from mcuprune.budget import Budget
from mcuprune.deploy import BOARD, SOURCE, TFLITE, open_deployment, read_manifest, read_samples
from mcuprune.errors import BudgetError, MismatchError, UsageError
from mcuprune.frontends.tflite import load_tflite
from mcuprune.quantize.flat import run_flat
from mcuprune.report.units import count
from mcuprune.resources.latency import Latency, error_bar, waiting_of
from mcuprune.resources.model import breakdown
from mcuprune.terminal import table
from mcuprune.verify.emulator import EmulatedRun
from mcuprune.verify.foreign import ForeignModel, find_model, library_bytes, open_emulator
from mcuprune.verify.prove import make_inputs, prove

INPUTS = 4  # the first is counted, all are compared


@dataclass(frozen=True)
class CheckResult:
    """Measured figures against limits: bytes, MACs, cycles (the upper end of ``latency``); ``parts`` of them.

    ``unmeasured`` says why a resource has no figure, or not all of it; ``required`` are those that the user's
    budget names.  Both may tell of the ``outputs``, by which a package is compared.  ``differing`` counts
    output bytes that are not the model's, ``None`` where there was nothing to compare with.
    """

    subject: str
    clock_hz: int
    measured: Mapping[str, float]
    limits: Mapping[str, float]
    parts: Mapping[str, float]
    unmeasured: Mapping[str, str]
    latency: Latency | None = None
    required: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    differing: int | None = None

    @property
    def exceeded(self) -> tuple[str, ...]:
        return tuple(k for k, limit in self.limits.items() if self.measured.get(k, 0) > limit)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What was asked for, and nothing measured."""
        return tuple(k for k in self.required if k in self.unmeasured)

    def text(self) -> str:
        rows = [
            (k, count(v), count(self.limits.get(k)), f"{v / self.limits[k]:.1%}" if k in self.limits else "-")
            for k, v in self.measured.items()
        ]
        lines = [self.subject, "", table(("resource", "measured", "budget", "used"), rows), ""]
        lines += [f"  {name}: {count(value)}" for name, value in self.parts.items()]
        if self.latency is not None:
            lines.append(f"  latency: {self.latency.text(self.clock_hz)}")
        lines += [f"  {name}: not measured: {why}" for name, why in self.unmeasured.items()]
        lines += [f"  note: {note}" for note in self.notes]
        if self.differing is not None:
            lines.append(f"  outputs: {count(self.differing)} bytes differ from the model's")
        verdict = f"over budget: {', '.join(self.exceeded)}" if self.exceeded else "every budget holds"
        if self.unknown and not self.exceeded:
            verdict = f"not measured: {', '.join(self.unknown)}"
        return "\n".join([*lines, "", verdict])

    def require(self) -> None:
        """Raise what is wrong: differing outputs, an exceeded budget, or what nothing measured."""
        if self.differing:
            raise MismatchError(f"{self.subject}: {self.differing} output bytes differ from the model's")
        over = [f"{k} {count(self.measured[k])} of {count(self.limits[k])}" for k in self.exceeded]
        if over:
            raise BudgetError(f"over budget: {'; '.join(over)}")
        if self.unknown:
            raise UsageError(
                "what was asked for could not be measured: "
                + "; ".join(f"{k}: {self.unmeasured[k]}" for k in self.unknown)
            )


def check(
    target: Path,
    budget: Budget | None = None,
    board: str | None = None,
    name: str | None = None,
    package: Path | None = None,
) -> CheckResult:
    """Measure a run folder's firmware, or the model in a user's ELF file; see :func:`check_image`.

    Limits are those of ``budget`` and of the board, whichever is tighter.
    """
    if target.is_dir():
        if board or name or package:
            raise UsageError("--board, --name and --package belong to an ELF file: a run folder has its own")
        return check_folder(target, budget or Budget())
    if not target.is_file():
        raise UsageError(f"{target}: no such run folder or ELF file")
    if board is None and package is None:
        raise UsageError(f"{target}: name the board that it runs on with --board, or the model's --package")
    found = load_board(board if board is not None else _inside(package, BOARD))
    return check_image(target, found, budget or Budget(), name, package)


def check_folder(folder: Path, budget: Budget) -> CheckResult:
    """Measure the firmware in a folder that ``compress`` or ``export`` wrote."""
    built = open_deployment(folder)
    subject, board, sizes = built.subject, built.subject.board, built.sizes
    proof = prove(subject, make_inputs(subject.graph, 1, read_samples(folder)))
    usage = breakdown(subject.graph, subject.plan, board.core, built.toolchain.name, board.flash)
    unmeasured = {} if proof.emulated else _no_emulator(board)
    cycles = None if proof.emulated is None else proof.emulated.cycles
    time = None if cycles is None else replace(usage.latency, core=cycles.mid)
    proof.require_equal()
    return CheckResult(
        subject=f"{folder}, built by {built.toolchain}",
        clock_hz=board.clock_hz,
        measured=_figures(sizes.flash, sizes.static_ram, proof.emulated, time, usage.macs),
        limits=_limits(budget, board),
        parts={
            "flash, constants": sizes.constants,
            "flash, code": sizes.code,
            "RAM, arena": sizes.arena,
            **_stack(proof.emulated),
        },
        unmeasured=unmeasured,
        latency=time,
        required=tuple(budget.limits(board.clock_hz)),
    )


def check_image(
    elf: Path, board: Board, budget: Budget, name: str | None = None, package: Path | None = None
) -> CheckResult:
    """Measure the model ``name`` in firmware that somebody else linked.

    Flash counts the model's symbols, its kernels and the compiler's functions that they use; RAM the arena,
    copies of code or constants in RAM, and the stack below the run function.  Cycles and stack come from
    calling the run function inside the image on the emulated core.  With ``package``, the folder that the
    model was exported to, its outputs are compared too.  Raises UsageError for an image without the model.
    """
    header = None
    if package is not None:
        name = name or read_manifest(package).name
        header = _inside(package, SOURCE, "include", f"{name}.h").read_text(encoding="utf-8")
    model = find_model(elf, board, name, header)
    run, time, why = None, None, "; ".join(model.notes)
    if board.core.unicorn is None:
        why = _no_emulator(board)["cycles"]
    elif model.run is not None and model.layout is not None:
        inputs = _inputs(model.layout.input_bytes)
        emulator = open_emulator(elf, board, model)
        run = emulator.run(inputs)
        time = _latency(run, emulator.flash_bytes_read(inputs[0]), board)
    library = library_bytes(elf, model, run) if run is not None else {}
    flash = model.code + model.constants + sum(library.values())
    static = model.static_ram + (model.layout.memory if model.layout else 0)
    unmeasured = {} if run is not None else {"cycles": why, "ram": f"without the stack: {why}"}
    differing, required = _differing(package, model, run), tuple(budget.limits(board.clock_hz))
    if package is not None and differing is None:
        unmeasured["outputs"] = why or "the run function cannot be called by itself"
        required = (*required, "outputs")
    return CheckResult(
        subject=f"{elf}: model {model.name} on {board.name}",
        clock_hz=board.clock_hz,
        measured=_figures(flash, static, run, time, None),
        limits=_limits(budget, board),
        parts=_parts(model, library, run),
        unmeasured={**unmeasured, "macs": "an image does not show them; check the run folder"},
        latency=time,
        required=required,
        notes=model.notes,
        differing=differing,
    )


def _latency(run: EmulatedRun, flash_bytes: int, board: Board) -> Latency | None:
    """Counted, but for the error on silicon: that of convolutions, the wider one."""
    if run.cycles is None:
        return None
    waiting = float(waiting_of(flash_bytes, run.cycles.mid, board.flash))
    return Latency(run.cycles.mid, waiting, error_bar(0.0))


def _figures(
    flash: int, static_ram: int, run: EmulatedRun | None, time: Latency | None, work: int | None
) -> dict[str, float]:
    figures: dict[str, float] = {"flash": flash, "ram": static_ram}
    if run is not None:
        figures["ram"] += run.stack_bytes
    if time is not None:
        figures["cycles"] = time.high
    return figures if work is None else {**figures, "macs": work}


def _limits(budget: Budget, board: Board) -> dict[str, float]:
    return budget.within(Budget(**board.budget())).limits(board.clock_hz)


def _parts(model: ForeignModel, library: Mapping[str, int], run: EmulatedRun | None) -> dict[str, float]:
    parts: dict[str, float] = {"flash, constants": model.constants, "flash, code": model.code}
    parts |= {f"flash, {name}, shared with the application": size for name, size in library.items()}
    if model.layout is not None:
        parts["RAM, arena"] = model.layout.arena
        if model.layout.state:
            parts["RAM, state"] = model.layout.state
    if model.static_ram:
        parts["RAM, copies of flash"] = model.static_ram
    return {**parts, **_stack(run)}


def _stack(run: EmulatedRun | None) -> dict[str, float]:
    if run is None:
        return {}
    cycles = {} if run.cycles is None else {"cycles, middle estimate": run.cycles.mid}
    return {"RAM, stack": run.stack_bytes, "instructions": run.instructions, **cycles}


def _no_emulator(board: Board) -> dict[str, str]:
    reason = f"the instruction-set emulator has no {board.core.cpu}"
    return {"cycles": reason, "ram": f"without the stack: {reason}"}


def _inputs(model_input_bytes: int) -> np.ndarray:
    """(INPUTS, bytes) int8, random but always the same."""
    return np.random.default_rng(0).integers(-128, 128, (INPUTS, model_input_bytes)).astype(np.int8)


def _differing(package: Path | None, model: ForeignModel, run: EmulatedRun | None) -> int | None:
    """Output bytes that differ from the specification's, over the inputs that ran."""
    if package is None or run is None or model.layout is None:
        return None
    inputs = _inputs(model.layout.input_bytes)
    graph = load_tflite(_inside(package, TFLITE))
    expected = run_flat(graph, inputs)
    return int((expected.reshape(len(inputs), -1) != run.outputs).sum())


def _inside(package: Path | None, *parts: str) -> Path:
    path = Path(str(package), *parts)
    if not path.is_file():
        raise UsageError(f"{path} is missing: --package is a folder that `compress` or `export` wrote")
    return path
