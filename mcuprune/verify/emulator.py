"""The real firmware image on an emulated core: outputs, exact instruction counts, modelled cycles, stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from mcuprune.board import Board
from mcuprune.errors import ToolchainError, UsageError
from mcuprune.verify import stack
from mcuprune.verify.cycles import Cycles
from mcuprune.verify.image import Image, load_image
from mcuprune.verify.interface import BANKS, Buffer, Interface
from mcuprune.verify.machine import Machine
from mcuprune.verify.profile import Profile, Profiler
from mcuprune.verify.trace import Recorder, block_range

ADOPTED_STACK_BYTES = 0x1_0000  # below a run function that is called from outside
GLOBAL_POINTER = "__global_pointer$"  # what RISC-V code may address its data from


@dataclass(frozen=True)
class CallResult:
    """Where a kernel call leaves its tensor: ``bytes`` at ``offset`` of ``memory``, ``arena`` or another."""

    tensor: str
    offset: int
    bytes: int
    memory: str = "arena"


@dataclass(frozen=True)
class LayerRun:
    """One kernel call of one inference, in order of execution."""

    kernel: str
    instructions: int
    cycles: Cycles | None


@dataclass(frozen=True)
class EmulatedRun:
    """``outputs`` (n, output bytes) int8 for all inputs; counts and stack are those of the first inference.
    Several outputs follow each other in a row, as bytes.

    ``instructions`` and ``cycles`` run from entering the model's run function to leaving it; ``glue`` is what
    the run function executes itself.  ``stack_bytes`` counts from the stack pointer of its caller.
    ``functions`` are the names of all that ran.
    """

    outputs: np.ndarray
    instructions: int
    cycles: Cycles | None
    stack_bytes: int
    layers: tuple[LayerRun, ...]
    glue: LayerRun
    functions: tuple[str, ...] = ()


class Emulator:
    """Runs the model ``name`` of a firmware image on the emulated core of ``board``.

    An image with the measuring harness starts at its reset vector.  In any other image (a user's own
    firmware) the model's functions are called with an arena and a stack in extra memory; ``layout``, the
    interface of its package, is then required.
    ToolchainError: no emulator for this core, an image that does not fit, or a run that faults or never ends.
    """

    def __init__(
        self, elf: Path, board: Board, name: str, layout: Interface | None = None, time_limit_s: float = 60.0
    ) -> None:
        self.image = load_image(elf)
        self.board, self.name = board, name
        self._memories: dict[str, int] = {}
        self._memory, self._first_state = 0, b""
        self.run_symbol = self.image.symbol(f"{name}_run")
        self.machine = Machine(self.image, board, time_limit_s)
        self._profiler = Profiler(self.image, board.core)
        if "harness_layout" in self.image.by_name:
            self.layout = harness_layout(self.image)
            self._begin, self._until, self._arena, self._outside = self._boot()
        elif layout is not None:
            self.layout = layout
            self._begin, self._until, self._arena, self._outside = self._adopt()
        else:
            raise UsageError(
                f"{elf} was not linked with the measuring harness: the model's arena layout is needed"
            )
        self._stack_top = self.machine.register("sp")
        adopted = self._begin == self.run_symbol.address
        self._stack_limit = self._stack_top - ADOPTED_STACK_BYTES if adopted else self._find_stack_limit()

    def run(self, inputs: np.ndarray) -> EmulatedRun:
        """``inputs`` (n, input bytes) int8, several inputs of a model following each other as bytes.

        The first inference is counted, the others run at full speed.  A model with states gets them as one
        sequence from reset.
        """
        inputs = self._checked(inputs)
        self._reset()
        stack.paint(self.machine, self._stack_limit, self._stack_top)
        recorder = self._recorder()
        outputs = [self._recorded(inputs[0], recorder)]
        painted = stack.depth(self.machine, self._stack_limit, self._stack_top)
        outputs += [self._infer(row) for row in inputs[1:]]
        profiles = [self._profiler.profile(call.transitions) for call in recorder.calls]
        glue = self._profiler.profile(recorder.glue)
        total = sum(profiles, glue)
        names = [self._kernel_name(call.entry) for call in recorder.calls]
        return EmulatedRun(
            outputs=np.stack(outputs),
            instructions=total.instructions,
            cycles=total.cycles,
            stack_bytes=max(painted, self._stack_top - recorder.lowest_stack),
            layers=tuple(_layer(name, part) for name, part in zip(names, profiles, strict=True)),
            glue=_layer(self.run_symbol.name, glue),
            functions=self._functions(recorder),
        )

    def tensors(
        self, values: np.ndarray, steps: Sequence[CallResult], before: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Every layer's output of one inference, read when its kernel has returned.

        ``steps`` tells for each kernel call in order what it leaves where; a tensor that several calls write
        stands there as often.  ``before`` is what a model with states has seen since its reset.  Raises
        ToolchainError when the model makes other calls.
        """
        found: dict[str, np.ndarray] = {}

        def after_call(index: int) -> None:
            if index < len(steps):
                step = steps[index]
                place = self._memories[step.memory] + step.offset
                found[step.tensor] = np.frombuffer(self.machine.read(place, step.bytes), np.int8)

        self._reset()
        for row in () if before is None else before:
            self._infer(row)
        recorder = self._recorder(after_call)
        self._recorded(self._checked(values[None])[0], recorder)
        if len(recorder.calls) != len(steps):
            made = ", ".join(self._kernel_name(call.entry) for call in recorder.calls)
            raise ToolchainError(
                f"{self.run_symbol.name} makes {len(recorder.calls)} calls ({made}), not {len(steps)}"
            )
        return found

    def flash_bytes_read(self, row: np.ndarray) -> int:
        """Bytes of constants that one inference loads from flash; ``row`` (input bytes) int8."""
        total = 0

        def read(size: int) -> None:
            nonlocal total
            total += size

        stop = self.machine.on_flash_read(read)
        try:
            self._infer(self._checked(row[None])[0])
        finally:
            stop()
        return total

    def _recorder(self, after_call: Callable[[int], None] | None = None) -> Recorder:
        return Recorder(self.run_symbol, self._outside, lambda: self.machine.register("sp"), after_call)

    def _recorded(self, row: np.ndarray, recorder: Recorder) -> np.ndarray:
        stops = (self.machine.on_block(recorder.block), self.machine.on_unaligned())
        try:
            return self._infer(row)
        finally:
            for stop in stops:
                stop()
            recorder.stop(self._until)

    def _infer(self, row: np.ndarray) -> np.ndarray:
        machine, layout = self.machine, self.layout
        write_inputs(row, layout, lambda offset, data: machine.write(self._arena + offset, data))
        self._prepare()
        machine.run(self._begin, self._until)
        status = machine.register("a0") if self._begin == self.run_symbol.address else self._status()
        if status:
            raise ToolchainError(f"{self.run_symbol.name} returned {status}")
        return read_outputs(layout, lambda offset, size: machine.read(self._arena + offset, size))

    def _reset(self) -> None:
        """The memory of the states as the model's reset function leaves it."""
        if self.layout.state:
            self.machine.write(self._memories["state"], self._first_state)

    def _status(self) -> int:
        return int.from_bytes(self.machine.read(self.image.symbol("harness_status").address, 4), "little")

    def _prepare(self) -> None:
        """Arguments and return address, for images that are called from outside."""
        if self._begin != self.run_symbol.address:
            return
        if self.layout.plain:
            ends = (*self.layout.inputs, *self.layout.outputs)
            arguments = [*(self._arena + end.offset for end in ends), self._arena]
        else:
            arguments = [self._memory, self._memory + 8]
        self._call(arguments)

    def _call(self, arguments: Sequence[int]) -> None:
        """Registers for a call from outside, which returns to a place where nothing is executed."""
        for number, value in enumerate(arguments):
            self.machine.set_register(f"a{number}", value)
        self.machine.set_register("sp", self._stack_top)
        self.machine.set_register("lr", self.machine.outside)

    def _boot(self) -> tuple[int, int, int, Callable[[int], bool]]:
        """From reset to the harness's waiting point; an inference runs from its return to the next call."""
        wait = self.image.symbol("harness_wait").address
        self.machine.run(self.machine.reset(), wait)
        harness = self.image.section(".harness")
        if harness is None:
            raise ToolchainError("the image has the harness's symbols, but not its section")
        self._memories = {name: self.image.symbol(f"harness_{name}").address for name in self.layout.memories}
        if self.layout.state:
            self._first_state = self.machine.read(self._memories["state"], self.layout.state)
        return self.machine.register("lr"), wait, self._memories["arena"], harness.holds

    def _adopt(self) -> tuple[int, int, int, Callable[[int], bool]]:
        machine, layout = self.machine, self.layout
        ends = (*layout.inputs, *layout.outputs)
        extra = layout.memory + 4 * (len(layout.memories) + len(ends))
        arena = machine.map_outside(ADOPTED_STACK_BYTES + extra) + ADOPTED_STACK_BYTES
        self._stack_top = arena
        machine.set_register("sp", arena)
        if GLOBAL_POINTER in self.image.by_name and self.board.core.family == "riscv":
            machine.set_register("gp", self.image.symbol(GLOBAL_POINTER).address)
        starts = accumulate(layout.memories.values(), initial=arena)
        self._memories = dict(zip(layout.memories, starts, strict=False))
        self._memory = arena + layout.memory  # the two structures of the interface lie behind the rest
        words = [*self._memories.values(), *(arena + end.offset for end in ends)]
        machine.write(self._memory, np.array(words, "<u4").tobytes())
        if layout.state:
            self._call([self._memory])
            machine.run(self.image.symbol(f"{self.name}_reset").address, machine.outside)
            self._first_state = machine.read(self._memories["state"], layout.state)
        return self.run_symbol.address, machine.outside, arena, lambda address: address == machine.outside

    def _find_stack_limit(self) -> int:
        """The lowest address that the stack may use: the end of the static data in the same memory."""
        bank = self.board.memory.main("ram")
        ends = [section.address + section.size for section in self.image.sections]
        inside = [end for end in ends if bank.origin <= end <= self._stack_top]
        return -(-max(inside, default=bank.origin) // 4) * 4

    def _functions(self, recorder: Recorder) -> tuple[str, ...]:
        blocks = {
            block for part in (recorder.glue, *(c.transitions for c in recorder.calls)) for block, _ in part
        }
        return tuple(sorted({self._kernel_name(block_range(block)[0]) for block in blocks}))

    def _kernel_name(self, address: int) -> str:
        function = self.image.function_at(address)
        return function.name if function else f"{address:#010x}"

    def _checked(self, inputs: np.ndarray) -> np.ndarray:
        expected = self.layout.input_bytes
        if inputs.dtype != np.int8 or inputs.ndim != 2 or inputs.shape[1] != expected or not len(inputs):
            raise UsageError(
                f"the emulator takes int8 inputs (n, {expected}), not {inputs.dtype} {inputs.shape}"
            )
        return inputs


def harness_layout(image: Image) -> Interface:
    """What the harness of an image says about its model; raises ToolchainError without a harness."""
    symbol = image.symbol("harness_layout")
    numbers = [int(value) for value in np.frombuffer(image.read(symbol.address, symbol.size), "<u4")]
    arena, state, inputs = numbers[:3]
    ends = [Buffer("", offset, size) for offset, size in zip(numbers[4::2], numbers[5::2], strict=True)]
    plain = "harness_io" not in image.by_name
    found = (image.by_name.get(f"harness_bank{number}") for number in range(1, BANKS))
    banks = tuple(bank.size for bank in found if bank is not None)
    return Interface(arena, 1, state, tuple(ends[:inputs]), tuple(ends[inputs:]), plain, banks)


def write_inputs(row: np.ndarray, layout: Interface, write: Callable[[int, bytes], None]) -> None:
    """``write(arena offset, bytes)`` for every input of one sample."""
    data = row.tobytes()
    for buffer in layout.inputs:
        write(buffer.offset, data[: buffer.bytes])
        data = data[buffer.bytes :]


def read_outputs(layout: Interface, read: Callable[[int, int], bytes]) -> np.ndarray:
    """The outputs of one inference, int8, from ``read(arena offset, size)``."""
    return np.frombuffer(b"".join(read(end.offset, end.bytes) for end in layout.outputs), np.int8)


def _layer(name: str, profile: Profile) -> LayerRun:
    return LayerRun(name, profile.instructions, profile.cycles)
