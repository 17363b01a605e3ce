"""Flash wait states by hand, error bars from the published latencies, budgets on the upper end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprune.board import FlashTiming, load_board
from mcuprune.core import CORES
from mcuprune.graph import ir
from mcuprune.graph.op_shape import OpShape
from mcuprune.plan.make import make_plan
from mcuprune.resources.latency import ErrorBar, Latency, error_bar, waiting_cycles, waiting_of
from mcuprune.resources.model import ResourceModel, breakdown
from tests.random_graphs import random_graph

CONV = OpShape(
    ir.Conv2d("c", ("x",), "w", "b", ir.Window((3, 3), (1, 1), (1,) * 4)), ((8, 8, 4),), (8, 8, 16)
)
LINEAR = OpShape(ir.Linear("l", ("x",), "w", "b"), ((1, 1, 64),), (1, 1, 32))
L4 = FlashTiming(5, 8, "prefetch")


@pytest.mark.parametrize(
    ("shape", "timing", "core", "expected"),
    [
        (LINEAR, L4, 1000, 64 * 32 * 5 / 8),  # each weight once
        (CONV, L4, 1000, 9 * 4 * 16 * 64 / 2 * 5 / 8),  # every two of the 64 pixels
        (CONV, FlashTiming(4, 16, "cache"), 1000, 9 * 4 * 16 * 4 / 16),  # once
        (LINEAR, FlashTiming(2, 4, "none"), 1000, (64 * 32 + 2500) * 2 / 4),  # and the code
        (CONV, FlashTiming(0, 16, "prefetch"), 1000, 0),
    ],
)
def test_waiting_by_hand(shape: OpShape, timing: FlashTiming, core: float, expected: float) -> None:
    assert waiting_cycles([(shape, 1)], core, timing) == pytest.approx(expected)
    assert waiting_cycles([(shape, 3)], 0, timing) == pytest.approx(
        3 * (expected - float(waiting_of(0, core, timing)))
    )


def test_error_bars_hold_every_published_latency() -> None:
    """Ratios worked out by hand from the table in silicon.toml."""
    conv, linear = error_bar(0.0), error_bar(1.0)
    assert (conv.samples, linear.samples) == (5, 2)
    assert conv.low == pytest.approx(298.7 * 0.12 / (36.8 + 6.2515 * 5 / 8) - 1, abs=1e-3)
    assert conv.high == pytest.approx(99.8 * 0.12 / (9.3 + 1.185 * 5 / 8) - 1, abs=1e-3)
    assert linear.high == pytest.approx(8.6 * 0.12 / (0.736 + 0.264 * 5 / 8) - 1, abs=1e-3)
    assert linear.low == 0.0  # silicon was always slower: the bar still holds the estimate itself
    assert -0.2 < conv.low < 0 < conv.high < 0.3


def test_a_latency_in_words() -> None:
    latency = Latency(1_000_000.0, 200_000.0, ErrorBar(-0.1, 0.2, 5))
    assert latency.text(120e6) == (
        "10 ms (9 to 12 ms) at 120 MHz: 1,200,000 cycles, 200,000 of them waiting for flash; "
        "on silicon -10 % to +20 %"
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 400))
def test_budgets_are_held_against_the_upper_end(seed: int) -> None:
    graph, board = random_graph(seed), load_board("nucleo-l4r5zi")
    core = CORES["cortex-m4"]
    bare, timed = ResourceModel(graph, core), ResourceModel(graph, core, timing=board.flash)
    usage = breakdown(graph, make_plan(graph, core.isa), core, timing=board.flash)
    assert bare.exact({})["cycles"] == pytest.approx(usage.cycles)
    assert timed.exact({})["cycles"] == pytest.approx(usage.latency.high)
    assert usage.latency.high >= usage.latency.expected >= usage.cycles
    widths = {group: np.array([width]) for group, width in graph.widths.items()}
    assert timed.figures(widths)["cycles"][0] == pytest.approx(usage.latency.high)
    relaxed = timed.relaxed(graph.widths)["cycles"]
    assert float(relaxed) == pytest.approx(usage.latency.high, rel=1e-5)
