"""The generated front end alone: what it takes of a board, what it computes here and on the emulated core."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcuprune.board import Board
from mcuprune.errors import MismatchError
from mcuprune.signal.mfcc import Mfcc
from mcuprune.verify import stack
from mcuprune.verify.cycles import Cycles
from mcuprune.verify.image import load_image
from mcuprune.verify.machine import Machine
from mcuprune.verify.profile import Profiler
from mcuprune.verify.sizes import WORD
from mcuprune.verify.toolchain import Toolchain, build_firmware, build_shared
from mcuprune.verify.trace import Recorder

STACK_BYTES = 4096
GUARD = 0x5A
MAIN = """#include "harness.h"
#include "{name}_features.h"

/* What keeps the function in the image. */
HARNESS_CONSTANT int (*const harness_keep)(const int16_t *, int8_t *, void *) = {name}_features;

HARNESS_CODE void harness_wait(void)
{{
}}

HARNESS_CODE void harness_main(void)
{{
    for (;;) {{
        harness_wait();
    }}
}}
"""


@dataclass(frozen=True)
class FrontEndSizes:
    """Bytes of flash, without the harness's."""

    code: int
    constants: int

    @property
    def flash(self) -> int:
        return self.code + self.constants


@dataclass(frozen=True)
class FrontEndRun:
    """``features`` (frames, coefficients) int8 of one clip; what the call executed; its stack in bytes."""

    features: np.ndarray
    instructions: int
    cycles: Cycles | None
    stack_bytes: int


def build_front_end(
    files: Mapping[str, str], name: str, board: Board, toolchain: Toolchain, directory: Path
) -> Path:
    """An image for the board that holds the front end; returns ``directory/firmware.elf``."""
    return build_firmware(files, name, board, toolchain, directory, main=MAIN.format(name=name))


def measure_front_end(elf: Path, name: str) -> FrontEndSizes:
    """What the front end of the model ``name`` takes of an image that :func:`build_front_end` made."""
    image = load_image(elf)
    total = sum(section.size for section in image.sections if section.name in (".text", ".rodata"))
    tables = [s for s in image.symbols if s.name.startswith(f"{name}_features_") and s.size]
    constants = sum(-(-symbol.size // WORD) * WORD for symbol in tables)
    return FrontEndSizes(total - constants, constants)


def emulate_front_end(elf: Path, name: str, spec: Mfcc, board: Board, audio: np.ndarray) -> FrontEndRun:
    """One clip (samples,) int16 on the emulated core, called as an application would."""
    image = load_image(elf)
    machine, function = Machine(image, board), image.symbol(f"{name}_features")
    sizes = (2 * spec.samples, spec.frames * spec.coefficients, 4 * (spec.fft + spec.mels), STACK_BYTES)
    places = _places(machine.map_outside(sum(sizes) + 4 * len(sizes)), sizes)
    top = places[3] + STACK_BYTES
    machine.write(places[0], audio.astype("<i2").tobytes())
    for register, value in {"a0": places[0], "a1": places[1], "a2": places[2], "sp": top}.items():
        machine.set_register(register, value)
    machine.set_register("lr", machine.outside)
    stack.paint(machine, places[3], top)
    recorder = Recorder(function, lambda address: address == machine.outside, lambda: machine.register("sp"))
    stop = machine.on_block(recorder.block)
    try:
        machine.run(function.address, machine.outside)
    finally:
        stop()
        recorder.stop(machine.outside)
    profiler = Profiler(image, board.core)
    glue = profiler.profile(recorder.glue)
    total = sum((profiler.profile(call.transitions) for call in recorder.calls), glue)
    features = np.frombuffer(machine.read(places[1], sizes[1]), np.int8)
    depth = stack.depth(machine, places[3], top)
    shape = (spec.frames, spec.coefficients)
    return FrontEndRun(features.reshape(shape), total.instructions, total.cycles, depth)


def _places(start: int, sizes: tuple[int, ...]) -> list[int]:
    places = []
    for size in sizes:
        places.append(start)
        start += -(-size // 4) * 4
    return places


class HostFrontEnd:
    """The front end as a library of this machine, built from ``files`` into ``directory``."""

    def __init__(
        self,
        files: Mapping[str, str],
        name: str,
        spec: Mfcc,
        directory: Path,
        toolchain: Toolchain | None = None,
        flags: tuple[str, ...] = (),
    ) -> None:
        library = ctypes.CDLL(str(build_shared(files, directory, toolchain, flags, f"{name}_features")))
        self.spec, self._function = spec, getattr(library, f"{name}_features")

    def run(self, audio: np.ndarray) -> np.ndarray:
        """int16 (N, samples) to int8 (N, frames, coefficients); MismatchError for writes outside memory."""
        spec = self.spec
        count = spec.frames * spec.coefficients
        found = np.empty((len(audio), spec.frames, spec.coefficients), np.int8)
        for index, clip in enumerate(np.ascontiguousarray(audio, np.int16)):
            memory = np.full(4 * (spec.fft + spec.mels) + 8, GUARD, np.uint8)
            features = np.full(count + 8, GUARD, np.int8)
            status = self._function(
                *(ctypes.c_void_p(array.ctypes.data) for array in (clip, features, memory))
            )
            if status or (features[count:] != GUARD).any() or (memory[-8:] != GUARD).any():
                raise MismatchError(f"the front end returned {status}, or wrote outside its memory")
            found[index] = features[:count].reshape(found.shape[1:])
        return found
