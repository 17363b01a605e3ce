"""The catalogue's facts: complete, consistent with the C files, and the same for ints, arrays and tensors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from integer_cases import CASES
from kernel_cases import Case, windows

from mcuprune import share
from mcuprune.core import CORES
from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.graph import ir
from mcuprune.graph.op_shape import OpShape
from mcuprune.kernels import catalogue, geometry, layouts
from mcuprune.kernels.kernel import Kernel

C_FILES = share.folder("codegen") / "kernels"
PORTABLE, DSP = frozenset({"portable"}), frozenset({"portable", "dsp"})
KERNELS = {kernel.name: kernel for kernel in catalogue.KERNELS}


def conv(kernel: int = 3, in_c: Any = 8, out_c: Any = 8, **window: Any) -> OpShape:
    node = ir.Conv2d("stem", ("x",), "w", "b", ir.Window((kernel, kernel), **window))
    return OpShape(node, ((10, 10, in_c),), (*node.window.output_size(10, 10), out_c))


def test_names_are_unique_and_files_exist() -> None:
    assert len(KERNELS) == len(catalogue.KERNELS)
    header = (C_FILES / "mcp_kernels.h").read_text()
    for kernel in catalogue.KERNELS:
        assert (C_FILES / kernel.isa / f"{kernel.name}.c").is_file()
        assert f"void {kernel.name}(const " in header
        assert kernel.layout in {*layouts.LAYOUTS, *layouts.ROW_PAIRS}


def test_every_c_file_belongs_to_a_kernel() -> None:
    used = {*catalogue.sources((*KERNELS, *catalogue.RESET_SUPPORT)), *catalogue.ROW_LOOP_FILES}
    assert used == {str(path.relative_to(C_FILES)) for path in C_FILES.rglob("*.[ch]")}


def test_sources_are_what_the_file_includes() -> None:
    for kernel in catalogue.KERNELS:
        for file in catalogue.sources([kernel.name]):
            included = [
                line.split('"')[1]
                for line in (C_FILES / file).read_text().splitlines()
                if line.startswith('#include "')
            ]
            assert set(included) <= set(catalogue.sources([kernel.name])), (kernel.name, file)


def test_every_node_class_has_a_portable_kernel_or_needs_none() -> None:
    needing = {*ir.INTEGER_NODES} - {*ir.GIVEN, *ir.ALIASES}
    assert {kernel.op for kernel in catalogue.KERNELS if kernel.isa == "portable"} == needing


@pytest.mark.parametrize("node", [ir.BatchNorm("bn", ("x",), "g", "b", "m", "v"), ir.Input("in", ())])
def test_node_without_kernel(node: ir.Node) -> None:
    with pytest.raises(UnsupportedError, match=node.name):
        catalogue.candidates(OpShape(node, ((1, 1, 4),), (1, 1, 4)), PORTABLE)


def test_shape_that_no_kernel_takes() -> None:
    with pytest.raises(UnsupportedError, match="stem"):
        catalogue.candidates(conv(stride=(300, 1)), PORTABLE)


def test_arithmetic_that_no_kernel_has() -> None:
    shape = conv()
    with pytest.raises(UnsupportedError, match="stem"):
        catalogue.candidates(replace(shape, node=replace(shape.node, arithmetic="s1")), PORTABLE)


def test_unknown_names() -> None:
    with pytest.raises(UsageError, match="mcp_spiral"):
        catalogue.kernel("mcp_spiral")
    with pytest.raises(UsageError, match="beauty"):
        catalogue.choose(conv(), PORTABLE, "beauty")
    with pytest.raises(UsageError, match="z80"):
        catalogue.cycles(catalogue.kernel("mcp_conv2d_s8"), conv(), "z80")


def test_choice_follows_the_instruction_set() -> None:
    assert catalogue.choose(conv(), PORTABLE).name == "mcp_conv2d_shared_s8"
    assert catalogue.choose(conv(), DSP).name == "mcp_conv2d_3x3_shared_s8_dsp"
    assert catalogue.choose(conv(stride=(2, 2)), DSP).name == "mcp_conv2d_shared_s8_dsp"
    assert catalogue.choose(conv(kernel=1), PORTABLE).name == "mcp_conv2d_1x1_shared_s8"
    assert catalogue.choose(conv(kernel=1), DSP).name == "mcp_conv2d_1x1_shared_s8_dsp"
    assert catalogue.choose(conv(dilation=(2, 2)), DSP).name == "mcp_conv2d_shared_s8"


def test_channels_with_multipliers_of_their_own_have_kernels_of_their_own() -> None:
    for isa in (PORTABLE, DSP):
        shape = conv()
        own = replace(shape, node=replace(shape.node, own_multipliers=True))
        sharing = {kernel.name for kernel in catalogue.candidates(shape, isa)}
        others = {kernel.name for kernel in catalogue.candidates(own, isa)}
        assert others == {name.replace("_shared", "") for name in sharing} != sharing


def test_choice_for_size_is_the_smallest() -> None:
    shape = conv(in_c=3, out_c=5)
    sizes = {
        kernel.name: kernel.constants(shape) + catalogue.code_bytes(kernel, "cortex-m4")
        for kernel in catalogue.candidates(shape, DSP)
    }
    assert catalogue.choose(shape, DSP, "size").name == min(sizes, key=lambda name: sizes[name])


@pytest.mark.parametrize("name", KERNELS)
def test_figures_are_there_for_every_core_that_runs_the_kernel(name: str) -> None:
    kernel = KERNELS[name]
    for core in CORES.values():
        if kernel.isa not in core.isa:
            continue
        assert catalogue.code_bytes(kernel, core.name) > 0
        assert catalogue.stack_bytes(name, core.name) >= 0
        if core.timing is not None:
            assert 0.0 <= catalogue.cycle_excess(kernel, core.name) < 0.15


def facts(kernel: Kernel) -> dict[str, Callable[[OpShape], Any]]:
    return {
        "scratch": kernel.scratch,
        "constants": kernel.constants,
        "overlap": lambda shape: tuple(-1 if d is None else d for d in kernel.overlap(shape)),
        "features": kernel.features,
    }


def with_channels(shape: OpShape, inputs: Any, output: Any) -> OpShape:
    dims = tuple((h, w, inputs) for h, w, _ in shape.inputs)
    return OpShape(shape.node, dims, (*shape.output[:2], output))


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("kind", [np.array, lambda values: torch.tensor(values, dtype=torch.float64)])
def test_facts_are_plain_arithmetic(name: str, kind: Callable[[list[float]], Any]) -> None:
    kernel = KERNELS[name]
    all_counts = [1, 2, 3, 4, 5, 8, 13, 31]
    mixes = kernel.op in (ir.Conv2d, ir.Linear)

    @settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
    @given(CASES[name])
    def check(case: Case) -> None:
        times = 1 if mixes else case.shape.multiplier
        counts = [n for n in all_counts if kernel.accepts(with_channels(case.shape, n, n * times))]
        outputs = counts[::-1] if mixes else [count * times for count in counts]
        many = with_channels(case.shape, kind(counts), kind(outputs))
        if not kernel.accepts(many):  # two inputs, broadcast
            return
        for what, fact in facts(kernel).items():
            singles = [fact(with_channels(case.shape, *pair)) for pair in zip(counts, outputs, strict=True)]
            found = fact(many)
            rows = found if isinstance(found, tuple) else (found,)
            for index, single in enumerate(singles):
                expected = single if isinstance(single, tuple) else (single,)
                assert [_at(row, index) for row in rows] == pytest.approx(expected), what

    check()


def _at(value: Any, index: int) -> float:
    return float(value[index]) if hasattr(value, "shape") and value.shape else float(value)


@settings(max_examples=200, deadline=None)
@given(windows(), st.integers(1, 9), st.integers(1, 9), st.integers(0, 9))
def test_window_distance_is_the_maximum_over_all_pixels(
    given_window: tuple[ir.Window, tuple[int, int]], in_c: int, out_c: int, held: int
) -> None:
    window, (height, width) = given_window
    out_h, out_w = window.output_size(height, width)
    node = ir.Conv2d("x", ("i",), "w", "b", window)
    shape = OpShape(node, ((height, width, in_c),), (out_h, out_w, out_c))
    starts = [
        max(0, y * window.stride[0] - window.padding[0]) * width
        + max(0, x * window.stride[1] - window.padding[1])
        for y in range(out_h)
        for x in range(out_w)
    ]
    needed = [min(starts[pixel:]) * in_c for pixel in range(len(starts))]
    expected = max(0, *(pixel * out_c + held - first for pixel, first in enumerate(needed)))
    assert geometry.window_distance(shape, held) == expected


@pytest.mark.parametrize("name", KERNELS)
def test_one_coefficient_per_feature(name: str) -> None:
    table = json.loads((share.PACKAGE / "kernels" / "cycle_coefficients.json").read_text())["kernels"]

    @settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck))
    @given(CASES[name])
    def check(case: Case) -> None:
        features = KERNELS[name].features(case.shape)
        assert {len(figures["coefficients"]) for figures in table[name].values()} == {len(features)}

    check()


def test_slide_counts_groups_and_columns() -> None:
    """Rows of 7 = 3 + 2 + 2 and of 16 = 4 * 3 + 2 + 2; columns 6 and 7 of scratch are stored twice."""
    assert geometry.slide(3, 3, 1) == geometry.Slide(1, 0, 3, 2)
    assert geometry.slide(7, 9, 0) == geometry.Slide(1, 2, 5 + 3 + 4, 0)
    assert geometry.slide(16, 16, 1) == geometry.Slide(4, 2, 20, 2)
    assert geometry.slide(1, 1, 1) == geometry.Slide(0, 1, 1, 2)
