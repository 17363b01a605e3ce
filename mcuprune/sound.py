"""The audio front end of a run: planned before training, put into the package and proven after it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcuprune.board import Board
from mcuprune.codegen.front_end import emit_front_end, scratch_bytes
from mcuprune.deploy import SOURCE, Deployment
from mcuprune.errors import MismatchError
from mcuprune.signal import fixed
from mcuprune.signal.mfcc import Mfcc
from mcuprune.tasks.task import FrontEnd
from mcuprune.verify.front_end import (
    FrontEndRun,
    FrontEndSizes,
    HostFrontEnd,
    build_front_end,
    emulate_front_end,
    measure_front_end,
)
from mcuprune.verify.toolchain import Toolchain, find_toolchain

CLIPS = 8  # synthetic ones that host and emulated core are compared on
PLACEHOLDER = (0.03, 0)  # scale and zero point of an input before training: its constants have one size


@dataclass(frozen=True)
class Sound:
    """What the front end takes of the board, beside the network; ``run`` is its emulation of one clip."""

    sizes: FrontEndSizes
    scratch: int
    run: FrontEndRun | None

    def note(self, board: Board, name: str) -> str:
        """For the report's reader."""
        text = (
            f"The package computes the network's input from audio ({name}_features): "
            f"{self.sizes.flash} bytes of flash beside the network's, {self.sizes.constants} of them tables; "
            f"{self.scratch} bytes of scratch memory, which may be the arena's"
        )
        if self.run is None or self.run.cycles is None:
            return f"{text}."
        milliseconds = 1e3 * self.run.cycles.mid / board.clock_hz
        return f"{text}; {self.run.cycles.mid:,.0f} cycles ({milliseconds:.1f} ms) for each clip."


def reserve(front_end: FrontEnd, name: str, board: Board, toolchain: str) -> FrontEndSizes:
    """Flash that the front end will take, measured on an image of its own before anything is trained."""
    files = _files(front_end, name, *PLACEHOLDER)
    with tempfile.TemporaryDirectory(prefix="mcuprune-") as folder:
        elf = build_front_end(files, name, board, find_toolchain(board, toolchain), Path(folder))
        return measure_front_end(elf, name)


def add(front_end: FrontEnd, built: Deployment, folder: Path) -> Sound:
    """Write the front end of a built model into its package below ``folder``, and prove it.

    Raises MismatchError when host or emulated core differ from the specification in any byte.
    """
    subject = built.subject
    quantization = subject.graph.quantization[subject.graph.inputs[0]]
    name = subject.sources.name
    files = _files(front_end, name, quantization.scale, quantization.zero_point)
    for path, text in files.items():
        (folder / SOURCE / path).write_text(text, encoding="utf-8")
    quantizer = _quantizer(front_end, quantization.scale, quantization.zero_point)
    return prove(files, name, front_end.spec, quantizer, subject.board, built.toolchain)


def prove(
    files: dict[str, str],
    name: str,
    spec: Mfcc,
    quantizer: fixed.Quantizer,
    board: Board,
    toolchain: Toolchain,
) -> Sound:
    """Compare the generated code with :mod:`mcuprune.signal.fixed` on synthetic clips."""
    audio = clips(spec)
    wanted = fixed.quantize(fixed.coefficients(audio, spec), quantizer)
    with tempfile.TemporaryDirectory(prefix="mcuprune-") as folder:
        _require_equal(HostFrontEnd(files, name, spec, Path(folder)).run(audio), wanted, "C on the host")
        elf = build_front_end(files, name, board, toolchain, Path(folder))
        run = None
        if board.core.unicorn is not None:
            run = emulate_front_end(elf, name, spec, board, audio[0])
            _require_equal(run.features, wanted[0], "C on the emulated core")
        return Sound(measure_front_end(elf, name), scratch_bytes(spec), run)


def clips(spec: Mfcc) -> np.ndarray:
    """Noise from loud to quiet, each followed by silence, (CLIPS, samples) int16; always the same."""
    rng = np.random.default_rng(0)
    audio = rng.normal(0.0, 1.0, (CLIPS, spec.samples)) * np.geomspace(20000.0, 0.5, CLIPS)[:, None]
    for index in range(1, CLIPS):
        audio[index, spec.samples * index // CLIPS :] = 0.0
    return np.clip(audio, -32768, 32767).astype(np.int16)


def _require_equal(found: np.ndarray, wanted: np.ndarray, where: str) -> None:
    differing = int((found != wanted).sum())
    if differing:
        raise MismatchError(f"front end: {where} differs from its specification in {differing} bytes")


def _files(front_end: FrontEnd, name: str, scale: float, zero_point: int) -> dict[str, str]:
    return emit_front_end(name, front_end.spec, _quantizer(front_end, scale, zero_point))


def _quantizer(front_end: FrontEnd, scale: float, zero_point: int) -> fixed.Quantizer:
    return fixed.quantizer(np.array(front_end.mean), np.array(front_end.std), scale, zero_point)
