"""The same bytes on the emulated cores: their own instructions instead of the portable twins."""

from __future__ import annotations

import ctypes as c
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from integer_cases import CASES
from kernel_calls import STRUCTURES, constants_for, structure_32
from kernel_cases import Case, int8

from mcuprune.board import load_board
from mcuprune.graph import ir
from mcuprune.graph.op_shape import OpShape, element_bytes
from mcuprune.kernels import catalogue
from mcuprune.kernels.kernel import Kernel
from mcuprune.quantize import parameters as quantized
from mcuprune.quantize.run_int8 import evaluate

pytest.importorskip("unicorn")
pytest.importorskip("ziglang")
from mcuprune.verify.calibrate import BOARDS, Bench, largest_excess, samples
from mcuprune.verify.calibration_shapes import held_out
from mcuprune.verify.qemu import why_not
from mcuprune.verify.qemu_bench import QemuBench

TESTED = ("rpi-pico", "stm32vldiscovery", "stm32f4", "esp32c3")
assert set(TESTED) <= set(BOARDS)
ON_QEMU = "mps3-an547"


@pytest.fixture(scope="module", params=[*TESTED, ON_QEMU])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench | QemuBench]:
    board = load_board(request.param)
    if request.param != ON_QEMU:
        yield Bench(board)
        return
    if why_not(board):
        pytest.skip(str(why_not(board)))
    with QemuBench(board) as opened:
        yield opened


class Content:
    """Memory of the emulated core, filled word by word."""

    def __init__(self, base: int) -> None:
        self.base, self.data = base, bytearray()

    def add(self, content: bytes) -> int:
        address = self.base + len(self.data)
        self.data += content + bytes(-len(content) % 4)
        return address


def store(parameters: Any, memory: Content) -> bytes:
    """The structure as a 32-bit core holds it; arrays go into ``memory``."""
    made = structure_32(STRUCTURES[type(parameters)])()
    for name, kind in made._fields_:
        value = getattr(parameters, name)
        if isinstance(value, np.ndarray):
            value = memory.add(np.ascontiguousarray(value).tobytes())
        elif isinstance(value, (quantized.Operand, quantized.Reduction)):
            value = kind.from_buffer_copy(store(value, memory))
        setattr(made, name, value if isinstance(value, c.Structure) else int(value))
    return bytes(made)


class PlacedCase:
    """A case in the form in which the bench takes a call."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def place(self, kernel: Kernel, base: int) -> tuple[bytes, tuple[int, ...], int, int]:
        memory = Content(base)
        inputs = [memory.add(values.tobytes()) for values in self.case.inputs]
        size = int(np.prod(self.case.shape.output)) * element_bytes(self.case.shape.node)[1]
        output = memory.add(bytes(size))
        op = memory.add(store(constants_for(kernel, self.case.parameters), memory))
        scratch = memory.add(bytes(int(kernel.scratch(self.case.shape))))
        arguments = (op, *inputs, output, scratch)
        return bytes(memory.data), arguments[:4], output, size


@pytest.mark.parametrize("name", [name for name in CASES if "concat" not in name])
def test_equals_the_specification(name: str, bench: Bench | QemuBench) -> None:
    kernel = catalogue.kernel(name)
    if not bench.has(kernel):
        pytest.skip("not a kernel of this core")

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(CASES[name])
    def check(case: Case) -> None:
        _, result = bench.run(kernel, PlacedCase(case))
        batch = [values[None] for values in case.inputs]
        expected = evaluate(case.shape.node, case.parameters, *batch).reshape(-1).view(np.int8)
        np.testing.assert_array_equal(result, expected)

    check()


def test_every_rounding_of_a_sum_is_that_of_the_specification(bench: Bench | QemuBench) -> None:
    """Fully connected with one weight of zero: the bias is the accumulator; ties and extremes included."""
    rng = np.random.default_rng(0)
    count = 3000
    near_ties = (rng.integers(-(2**20), 2**20, count) * 2 + 1) << rng.integers(0, 9, count)
    bias = np.where(rng.random(count) < 0.5, near_ties, rng.integers(-(2**31), 2**31, count))
    bias[:4] = [-(2**31), 2**31 - 1, -1, 0]
    parameters = quantized.FullyConnectedParameters(
        in_c=1,
        out_c=count,
        input_offset=0,
        output_offset=3,
        clamp_min=-128,
        clamp_max=127,
        per_channel=True,
        weight=np.zeros((count, 1), np.int8),
        bias=bias.astype(np.int32),
        multiplier=np.where(rng.random(count) < 0.5, 2**30, rng.integers(2**30, 2**31, count)).astype(
            np.int32
        ),
        shift=rng.integers(-31, 5, count).astype(np.int8),
    )
    node = ir.Linear("node", ("x",), "w", "b", own_multipliers=True)
    case = Case(OpShape(node, ((1, 1, 1),), (1, 1, count)), parameters, (int8(rng, (1,)),))
    expected = evaluate(node, parameters, case.inputs[0][None]).reshape(-1)
    linear = (k for k in catalogue.KERNELS if k.op is ir.Linear and k.accepts(case.shape))
    for kernel in filter(bench.has, linear):
        _, result = bench.run(kernel, PlacedCase(case))
        np.testing.assert_array_equal(result, expected, kernel.name)


@pytest.mark.parametrize("offset", [-43, 43])
def test_a_sum_beyond_32_bits_wraps_as_specified(bench: Bench | QemuBench, offset: int) -> None:
    """What is scaled to the ends of the range, plus the offset; the weights are zero, the bias is the sum."""
    bias = np.array([2, 1, -(2**31), 2**31 - 1, -1, 0, 6, 5] * 2, np.int32)
    parameters = quantized.Conv2dParameters(
        **dict.fromkeys(("in_h", "in_w", "out_h", "out_w", "kernel_h", "kernel_w"), 1),
        **dict.fromkeys(("stride_h", "stride_w", "dilation_h", "dilation_w"), 1),
        in_c=16,
        out_c=16,
        pad_top=0,
        pad_left=0,
        input_offset=0,
        output_offset=offset,
        clamp_min=-128,
        clamp_max=127,
        weight=np.zeros((1, 1, 16), np.int8),
        bias=bias,
        multiplier=np.full(16, 2**31 - 1, np.int32),
        shift=np.repeat([30, 0], 8).astype(np.int8),
    )
    node = ir.DepthwiseConv2d("node", ("x",), "w", "b", ir.Window((1, 1)), own_multipliers=True)
    case = Case(OpShape(node, ((1, 1, 16),), (1, 1, 16)), parameters, (np.zeros((1, 1, 16), np.int8),))
    expected = evaluate(node, parameters, case.inputs[0][None]).reshape(-1)
    kernels = [k for k in catalogue.KERNELS if k.op is ir.DepthwiseConv2d and k.accepts(case.shape)]
    for kernel in filter(bench.has, kernels):
        _, result = bench.run(kernel, PlacedCase(case))
        np.testing.assert_array_equal(result, expected, kernel.name)


def test_cycle_formulas_hold(bench: Bench | QemuBench) -> None:
    core = bench.board.core.name
    own = {"mve"} if core == "cortex-m55" else bench.board.core.isa  # the others are timed as on an M33
    for kernel in catalogue.KERNELS:
        if bench.has(kernel) and kernel.isa in own:
            found = samples(bench, kernel, held_out(kernel, count=3))
            coefficients = catalogue.coefficients(kernel, core)
            assert largest_excess(coefficients, found) <= catalogue.cycle_excess(kernel, core), kernel.name
