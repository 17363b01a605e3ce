"""The MLPerf Tiny int8 models as generated C reach the accuracies that are known of them.

The known ones were measured with LiteRT, which rounds fully connected layers otherwise than TFLM does: over
many samples a few answers differ.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mcuprune.board import load_board
from mcuprune.codegen import emit
from mcuprune.frontends.tflite import load_tflite
from mcuprune.lossless.optimise import optimise
from mcuprune.plan.make import make_plan
from mcuprune.verify.host import HostModel

BOARD = load_board("nucleo-l4r5zi")
RESNET = "image_classification__pretrainedResnet_quant"
FAST = ("-O3",)


def data(*parts: str) -> Path:
    path = Path(os.environ.get("MCUPRUNE_DATA", "none"), *parts)
    if not path.exists():
        pytest.skip(f"MCUPRUNE_DATA has no {'/'.join(parts)}")
    return path


def generated(model: str, folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The folded model as C on this machine: int8 inputs to int8 outputs."""
    graph = replace(load_tflite(data("mlperf_tiny", "models", f"{model}.tflite")), name="model")
    folded = optimise(graph).graph
    sources = emit(folded, make_plan(folded, BOARD.core.isa), BOARD)
    return HostModel(sources.files, sources.name, folder, flags=FAST).run


def top1(outputs: np.ndarray, labels: np.ndarray) -> float:
    return 100.0 * float((outputs.argmax(axis=1) == labels).mean())


@pytest.mark.parametrize(("images", "expected"), [("ic01_energyrunner", 86.5), ("ic01_mlcommons", 87.5)])
def test_images_of_the_benchmark(images: str, expected: float, tmp_path: Path) -> None:
    file = np.load(data("mlperf_tiny", f"{images}.npz"))
    run = generated(RESNET, tmp_path)
    assert top1(run((file["x"].astype(np.int16) - 128).astype(np.int8)), file["y"]) == expected


@pytest.mark.slow
def test_all_images_of_cifar10(tmp_path: Path) -> None:
    records = np.fromfile(data("cifar-10-batches-bin", "test_batch.bin"), np.uint8).reshape(-1, 3073)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    run = generated(RESNET, tmp_path)
    found = top1(run((pixels.astype(np.int16) - 128).astype(np.int8)), records[:, 0])
    assert abs(found - 86.97) <= 0.15


def test_words_of_the_benchmark(tmp_path: Path) -> None:
    file = np.load(data("mlperf_tiny", "kws01.npz"))
    run = generated("keyword_spotting__kws_ref_model", tmp_path)
    assert round(top1(run(file["x"]), file["y"]), 1) == 90.1


@pytest.mark.slow
def test_machines_of_the_benchmark(tmp_path: Path) -> None:
    """Score of a recording: mean square distance of its windows of five frames to what comes back."""
    file = np.load(data("mlperf_tiny", "ad01_int8.npz"))
    model = "anomaly_detection__ToyCar__baseline_tf23__model__model_ToyCar_quant_fullint_micro_intio"
    graph = load_tflite(data("mlperf_tiny", "models", f"{model}.tflite"))
    into, out = (graph.quantization[name] for name in (graph.inputs[0], graph.outputs[0]))
    run = generated(model, tmp_path)
    scores = []
    for frames in file["x"]:
        windows = np.lib.stride_tricks.sliding_window_view(frames, 5, axis=0).transpose(0, 2, 1)
        windows = np.ascontiguousarray(windows.reshape(len(windows), -1))
        given = (windows.astype(np.float64) - into.zero_point) * into.scale
        found = (run(windows).astype(np.float64) - out.zero_point) * out.scale
        scores.append(float(np.mean((given - found) ** 2)))
    assert abs(float(roc_auc_score(file["y"], scores)) - 0.8595) <= 0.003
