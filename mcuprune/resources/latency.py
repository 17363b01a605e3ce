"""From modelled core cycles to a time on silicon: flash wait states, and how far off such estimates were.

Waiting for flash: an access brings a line of some bytes and takes the wait states of the board.  Behind a
prefetch buffer that holds loops (``prefetch``: ST's ART accelerator and its like) code costs nothing, but
weights are read anew for every few outputs that a kernel computes together.  A ``cache`` that holds data
as well gets each weight once.  With neither (``none``) each line of code waits, too.

Error bars: the smallest and the largest ratio of published latencies to such an estimate, in
``silicon.toml``, apart for networks whose work is convolutions and for those of fully connected layers;
widened to include 1.  They are of a Cortex-M4; for other cores nothing comparable has been published.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from mcuprune.board import FlashTiming
from mcuprune.graph import ir
from mcuprune.graph.op_shape import Number, OpShape
from mcuprune.resources.macs import macs

OUTPUTS_AT_ONCE = 2  # pixels that one reading of a convolution's weights serves; newer kernels do more
CODE_BYTES_PER_CYCLE = 2.5  # fetched, of Thumb-2 code in which every second instruction has four bytes


@dataclass(frozen=True)
class ErrorBar:
    """Silicon took between ``1 + low`` and ``1 + high`` times the estimate, in ``samples`` cases."""

    low: float
    high: float
    samples: int

    def text(self) -> str:
        return f"{100 * self.low:+.0f} % to {100 * self.high:+.0f} %"


@dataclass(frozen=True)
class Latency:
    """Cycles of an inference on a board: of the core, and waiting for flash; ``high`` is promised."""

    core: float
    waiting: float
    error: ErrorBar

    def text(self, clock_hz: float) -> str:
        """``310 ms (273 to 369 ms) at 120 MHz: ...``."""
        low, middle, high = (1e3 * value / clock_hz for value in (self.low, self.expected, self.high))
        waits = f", {self.waiting:,.0f} of them waiting for flash" if self.waiting else ""
        bars = f"; on silicon {self.error.text()}" if self.error.samples else ""
        return (
            f"{middle:.3g} ms ({low:.3g} to {high:.3g} ms) at {clock_hz / 1e6:g} MHz: "
            f"{self.expected:,.0f} cycles{waits}{bars}"
        )

    @property
    def expected(self) -> float:
        return self.core + self.waiting

    @property
    def low(self) -> float:
        return self.expected * (1 + self.error.low)

    @property
    def high(self) -> float:
        return self.expected * (1 + self.error.high)


def weight_bytes_read(shape: OpShape, timing: FlashTiming) -> Number:
    """Bytes of weights that one call reads from flash; plain arithmetic."""
    if not isinstance(shape.node, ir.Conv2d | ir.DepthwiseConv2d | ir.Linear):
        return 0
    height, width, _ = shape.output
    once = macs(shape.node, shape) / (height * width)
    if timing.buffer == "cache" or isinstance(shape.node, ir.Linear):
        return once
    passes = height if isinstance(shape.node, ir.DepthwiseConv2d) else height * width / OUTPUTS_AT_ONCE
    return once * passes


def waiting_cycles(calls: Sequence[tuple[OpShape, int]], core_cycles: Number, timing: FlashTiming) -> Number:
    """Cycles spent waiting for flash; ``calls`` are shapes with the number of times that they run."""
    read = sum(weight_bytes_read(shape, timing) * times for shape, times in calls)
    return waiting_of(read, core_cycles, timing)


def waiting_of(read: Number, core_cycles: Number, timing: FlashTiming) -> Number:
    """Cycles spent waiting for flash where ``read`` bytes of constants are loaded from it."""
    if timing.buffer == "none":
        read = read + core_cycles * CODE_BYTES_PER_CYCLE
    return read * timing.wait_states / timing.line


def latency(calls: Sequence[tuple[OpShape, int]], core: float, timing: FlashTiming | None) -> Latency:
    """Of an inference that takes ``core`` cycles where memory never waits; without ``timing`` just that."""
    if timing is None:
        return Latency(core, 0.0, ErrorBar(0.0, 0.0, 0))
    return Latency(core, float(waiting_cycles(calls, core, timing)), error_bar(linear_share(calls)))


def linear_share(calls: Sequence[tuple[OpShape, int]]) -> float:
    """The part of all MACs that fully connected layers have."""
    work = [
        (isinstance(shape.node, ir.Linear), float(macs(shape.node, shape)) * times) for shape, times in calls
    ]
    total = sum(amount for _, amount in work)
    return sum(amount for linear, amount in work if linear) / total if total else 0.0


def error_bar(linear_share: float) -> ErrorBar:
    """For a network with that share of its MACs in fully connected layers."""
    return _bars()["linear" if linear_share > 0.5 else "convolution"]


@cache
def _bars() -> dict[str, ErrorBar]:
    data = tomllib.loads(resources.files("mcuprune.resources").joinpath("silicon.toml").read_text("utf-8"))
    ratios: dict[str, list[float]] = {"linear": [], "convolution": []}
    for run in data["run"]:
        read = run["conv_mmacs"] / OUTPUTS_AT_ONCE + run["linear_mmacs"]
        estimate = run["modelled_mcycles"] + read * data["wait_states"] / data["line"]
        kind = "linear" if run["linear_mmacs"] > run["conv_mmacs"] else "convolution"
        ratios[kind].append(run["milliseconds"] * data["clock_mhz"] / 1e3 / estimate)
    return {
        kind: ErrorBar(min(*found, 1.0) - 1, max(*found, 1.0) - 1, len(found))
        for kind, found in ratios.items()
    }
