"""The MLPerf Tiny models with vector kernels in QEMU: every byte, in fewer instructions than CMSIS-NN."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from mcuprune.board import load_board
from mcuprune.export import export
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.verify.prove import make_inputs
from mcuprune.verify.qemu import run_qemu, why_not

# CMSIS-NN 4ab83cc3cc98 called directly, gcc 12.2 -O2 -mcpu=cortex-m55, on the same machine and counter.
CMSIS_NN = {
    "image_classification__pretrainedResnet_quant": 4_906_103,
    "keyword_spotting__kws_ref_model": 1_811_484,
    "visual_wake_words__vww_96_int8": 6_546_994,
    "anomaly_detection__ToyCar__baseline_tf23__model__model_ToyCar_quant_fullint_micro_intio": 146_801,
}


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
@pytest.mark.parametrize("name", CMSIS_NN)
def test_same_bytes_in_three_quarters_of_the_instructions(name: str, toolchain: str, tmp_path: Path) -> None:
    model = Path(os.environ.get("MCUPRUNE_DATA", "")) / "mlperf_tiny" / "models" / f"{name}.tflite"
    if not os.environ.get("MCUPRUNE_DATA") or not model.is_file():
        pytest.skip("MCUPRUNE_DATA does not name a folder with mlperf_tiny/models")
    board = load_board("mps3-an547")
    if why_not(board):
        pytest.skip(str(why_not(board)))
    if toolchain == "gcc" and shutil.which(board.core.gcc) is None:
        pytest.skip(f"{board.core.gcc} is not installed")
    pytest.importorskip("ziglang")
    subject = export(model, board, tmp_path / "out", name="model", toolchain=toolchain).deployment.subject
    inputs = make_inputs(subject.graph, 2)
    run = run_qemu(subject.elf, board, "model", inputs.reshape(2, -1))
    assert run is not None
    np.testing.assert_array_equal(run.outputs, run_int8(subject.graph, inputs).reshape(2, -1))
    assert run.instructions is not None
    assert run.instructions < 0.75 * CMSIS_NN[name]
