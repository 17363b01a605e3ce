"""Integer models of other projects: every executor gives the bytes of the golden vectors.

The vectors come from LiteRT's reference kernels.  TensorFlow Lite Micro rounds fully connected layers
differently; where the two differ it is what counts.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcuprune.board import load_board
from mcuprune.codegen import Sources, emit
from mcuprune.frontends.tflite import load_tflite
from mcuprune.graph.ir import QuantizedGraph
from mcuprune.plan.ir import Plan
from mcuprune.plan.make import make_plan
from mcuprune.quantize.flat import join, run_flat, sample_bytes
from mcuprune.verify.emulator import Emulator
from mcuprune.verify.host import HostModel
from mcuprune.verify.oracle import flat_tflm
from mcuprune.verify.toolchain import build_firmware, find_toolchain

DATA = Path(os.environ.get("MCUPRUNE_DATA", ""))
BOARD = load_board("nucleo-l4r5zi")
SMALL_MACS, SMALL_BYTES = 150_000, 100_000  # of a model that is emulated in every test run
ROUNDED_BY_LITERT = "ad01"  # its fully connected layers


def index() -> dict[str, Any]:
    """Entries of the zoo that compute with integers, by name."""
    path = DATA / "zoo" / "index.json"
    if not path.is_file():
        return {}
    return {entry["name"]: entry for entry in json.loads(path.read_text()) if entry["dtype"] != "float32"}


def mlperf() -> dict[str, Path]:
    """The models of MLPerf Tiny that compute with integers."""
    names = (
        "anomaly_detection__ToyCar__baseline_tf23__model__model_ToyCar_quant_fullint",
        "anomaly_detection__ToyCar__baseline_tf23__model__model_ToyCar_quant_fullint_micro_intio",
        "image_classification__pretrainedResnet_large_int8",
        "image_classification__pretrainedResnet_quant",
        "keyword_spotting__kws_ref_model",
        "streaming_wakeword__str_ww_ref_model",
        "visual_wake_words__vww_96_int8",
    )
    paths = {name: DATA / "mlperf_tiny" / "models" / f"{name}.tflite" for name in names}
    return {name: path for name, path in paths.items() if path.is_file()}


ZOO, MLPERF = index(), mlperf()
NAMES = pytest.mark.parametrize("name", [*ZOO, *MLPERF] or ["absent"])
pytestmark = pytest.mark.skipif(not ZOO, reason="MCUPRUNE_DATA does not name a folder with zoo/")


@cache
def model(name: str) -> tuple[bytes, QuantizedGraph]:
    data = (MLPERF[name] if name in MLPERF else DATA / "zoo" / "models" / f"{name}.tflite").read_bytes()
    return data, load_tflite(data, "model")


@cache
def generated(name: str) -> tuple[Plan, Sources]:
    _, graph = model(name)
    plan = make_plan(graph, BOARD.core.isa)
    return plan, emit(graph, plan, BOARD)


def quantized(values: np.ndarray, scale: float, zero_point: int, dtype: str) -> np.ndarray:
    """As QUANTIZE of TensorFlow Lite Micro: float32 division, halves away from zero."""
    ratio = values.astype(np.float32) / np.float32(scale)
    rounded = np.trunc(ratio + np.copysign(np.float32(0.5), ratio)) + zero_point
    limits = np.iinfo(dtype)
    return np.clip(rounded, limits.min, limits.max).astype(dtype)


def samples(name: str) -> np.ndarray:
    """The golden inputs, or random ones, as the bytes that the network takes."""
    _, graph = model(name)
    if name not in ZOO:
        return np.random.default_rng(0).integers(-128, 128, (3, sample_bytes(graph))).astype(np.int8)
    vectors = np.load(DATA / "zoo" / ZOO[name]["golden"])
    tensors = {}
    for place, tensor in enumerate(graph.inputs):
        values, kind = vectors[f"in{place}"], graph.quantization[tensor]
        if values.dtype == np.float32:
            values = quantized(values, kind.scale, kind.zero_point, kind.dtype)
        tensors[tensor] = values.reshape(len(values), -1)
    return join(graph.inputs, tensors)


def golden(name: str) -> np.ndarray:
    """The golden outputs as bytes; real numbers as the integers that they stand for, which must be exact."""
    _, graph = model(name)
    vectors = np.load(DATA / "zoo" / ZOO[name]["golden"])
    tensors = {}
    for place, tensor in enumerate(graph.outputs):
        values, kind = vectors[f"out{place}"], graph.quantization[tensor]
        if values.dtype == np.float32:
            stored = quantized(values, kind.scale, kind.zero_point, kind.dtype)
            real = np.float32(kind.scale) * (stored.astype(np.float32) - kind.zero_point)
            np.testing.assert_array_equal(real, values)
            values = stored
        tensors[tensor] = values.reshape(len(values), -1)
    return join(graph.outputs, tensors)


@NAMES
def test_specification(name: str) -> None:
    data, graph = model(name)
    flat = samples(name)
    found = run_flat(graph, flat)
    np.testing.assert_array_equal(found, flat_tflm(data, graph, flat))
    if name in ZOO and ROUNDED_BY_LITERT not in name:
        np.testing.assert_array_equal(found, golden(name))


@NAMES
def test_c_on_the_host(name: str, tmp_path: Path) -> None:
    _, graph = model(name)
    _, sources = generated(name)
    flat = samples(name)
    host = HostModel(sources.files, sources.name, tmp_path, flags=("-Wall", "-Wextra", "-Werror"))
    np.testing.assert_array_equal(host.run(flat, in_arena=True), run_flat(graph, flat))


def is_small(name: str) -> bool:
    return name in ZOO and ZOO[name]["macs"] <= SMALL_MACS and ZOO[name]["bytes"] <= SMALL_BYTES


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if is_small(name) else pytest.mark.slow) for name in (*ZOO, *MLPERF)]
    or ["absent"],
)
def test_firmware_on_a_cortex_m4(name: str, tmp_path: Path) -> None:
    _, graph = model(name)
    plan, sources = generated(name)
    flat = samples(name)
    elf = build_firmware(sources.files, sources.name, BOARD, find_toolchain(BOARD), tmp_path)
    run = Emulator(elf, BOARD, sources.name).run(flat)
    np.testing.assert_array_equal(run.outputs, run_flat(graph, flat))
    assert plan.arena_bytes >= plan.lower_bound
