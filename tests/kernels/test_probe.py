"""The stored code and stack sizes are what the compiler makes of the kernels now."""

from __future__ import annotations

import json
import subprocess

import pytest

from mcuprune.core import CORES
from mcuprune.kernels import catalogue, probe


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m55", "rv32imc"])
def test_table_is_up_to_date(core: str) -> None:
    pytest.importorskip("ziglang")
    table = json.loads(probe.TABLE.read_text())
    version = subprocess.check_output([*probe.ZIG[:-1], "version"], text=True).strip()
    if version != table["compilers"]["zig"]:
        pytest.skip(f"measured with zig {table['compilers']['zig']}, not {version}")
    chosen = CORES[core]
    for name, figures in probe.probe(probe.ZIG, probe.target_flags(chosen, "zig"), chosen.isa).items():
        assert table["kernels"][name][core]["zig"] == figures


def test_kernels_are_small() -> None:
    """What a demonstration of a few kilobytes can afford on a Cortex-M4, or a Cortex-M55 with vectors."""
    assert catalogue.function_bytes("mcp_rows_s8_dsp", "cortex-m4") <= 1600
    fast = {
        "mcp_conv2d_s8_dsp": 860,
        "mcp_conv2d_3x3_s8_dsp": 3100,
        "mcp_fully_connected_s8_dsp": 1600,
        "mcp_depthwise_conv2d_3x3_s8_dsp": 2600,
        "mcp_depthwise_conv2d_s8_mve": 1300,
        "mcp_log_softmax_s8": 1500,
        "mcp_lstm_s8": 1200,
    }
    for kernel in catalogue.KERNELS:
        usual = 1100 if kernel.op.__name__ in ("Softmax", "DepthwiseConv2d") else 760
        limit = fast.get(kernel.name.replace("_shared", ""), usual)
        core = "cortex-m55" if kernel.isa == "mve" else "cortex-m4"
        assert catalogue.function_bytes(kernel.name, core) <= limit, kernel.name


def test_stack_of_a_kernel_includes_what_it_calls() -> None:
    conv = catalogue.stack_bytes("mcp_conv2d_s8_dsp", "cortex-m4")
    assert conv > catalogue.stack_bytes("mcp_rows_s8_dsp", "cortex-m4") > 0
