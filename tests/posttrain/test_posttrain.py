"""Post-training quantization of float models from files: what is measured, what is said, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from PIL import Image

from mcuprune.analyze import analyze
from mcuprune.board import load_board
from mcuprune.budget import Budget
from mcuprune.errors import UsageError
from mcuprune.export import export
from mcuprune.frontends.load import load_model
from mcuprune.graph.ir import Graph
from mcuprune.posttrain import post_train, sqnr
from mcuprune.tasks.samples import load_samples
from tests.frontends.float_files import FloatFile

SIZES = (6, 5, 3)


def classifier() -> bytes:
    """A convolution, a mean, a linear layer and a softmax; the weights are random."""
    rng, f = np.random.default_rng(3), FloatFile()

    def weight(*shape: int) -> int:
        return f.constant(rng.standard_normal(shape))

    options = schema.Conv2DOptionsT(strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1)
    x = f.op("CONV_2D", [f.input(1, *SIZES), weight(8, 3, 3, 3), weight(8)], (1, 6, 5, 8), options)
    x = f.op("RELU", [x], (1, 6, 5, 8))
    reducer = schema.ReducerOptionsT(keepDims=False)
    x = f.op("MEAN", [x, f.constant([1, 2], np.int32)], (1, 8), reducer)
    x = f.op("FULLY_CONNECTED", [x, weight(4, 8), weight(4)], (1, 4), schema.FullyConnectedOptionsT())
    f.op("SOFTMAX", [x], (1, 4), schema.SoftmaxOptionsT(beta=1.0))
    return f.bytes()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.tflite"
    path.write_bytes(classifier())
    return path


def graph_of(path: Path) -> Graph:
    graph = load_model(str(path))
    assert isinstance(graph, Graph)
    return graph


def inputs(count: int) -> np.ndarray:
    return np.random.default_rng(5).normal(1.0, 2.0, (count, *SIZES)).astype(np.float32)


def test_accuracy_and_agreement_are_those_of_the_evaluation_part(model: Path, tmp_path: Path) -> None:
    from mcuprune.graph.run_float import run_float

    graph, x = graph_of(model), inputs(200)
    labels = run_float(graph, x).argmax(axis=1)
    labels[:50] = (labels[:50] + 1) % 4  # a quarter is wrong for the float model
    np.savez(tmp_path / "d.npz", x_train=inputs(40), y_train=np.zeros(40, int), x_test=x, y_test=labels)
    found = post_train(graph, str(tmp_path / "d.npz"))
    quality = found.quality
    assert quality is not None
    assert (quality.calibrated_on, quality.n, quality.float_accuracy) == (40, 200, 0.75)
    assert quality.agreement is not None
    assert quality.agreement > 0.9
    assert abs(quality.accuracy - 0.75) <= 1 - quality.agreement + 1e-9
    assert quality.sqnr > 20
    assert "accuracy" in quality.text()
    assert found.samples is not None
    assert found.samples.dtype == np.int8


def test_without_data_the_result_says_so(model: Path) -> None:
    found = post_train(graph_of(model), None)
    assert found.quality is not None
    assert "WARNING: no --data" in found.quality.text()
    assert found.samples is None


def test_sqnr_of_known_noise() -> None:
    signal = np.tile([1.0, -1.0], 500)
    assert sqnr(signal, signal + 0.1) == pytest.approx(20.0)


@pytest.mark.parametrize(
    "array",
    [
        inputs(7),
        inputs(7).transpose(0, 3, 1, 2),
        inputs(7).reshape(7, -1),
        inputs(7)[:, None],
    ],
    ids=["as it is", "channels first", "rows", "with a batch of one"],
)
def test_forms_of_one_sample_set(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array)
    np.testing.assert_array_equal(load_samples(str(tmp_path / "x.npy"), SIZES).x, inputs(7))


def test_a_folder_of_images_gives_samples_with_labels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, *SIZES), np.uint8)
    for number, image in enumerate(pixels):
        folder = tmp_path / "pets" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    found = load_samples(str(tmp_path / "pets"), SIZES)
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(found.x, pixels[[0, 2, 4, 1, 3, 5]] / np.float32(255))


def test_a_function_may_give_inputs_alone_or_with_labels(tmp_path: Path) -> None:
    (tmp_path / "d.py").write_text(
        "import numpy as np\n"
        "def alone(): return np.ones((3, 6, 5, 3), np.uint8)\n"
        "def pair(): return np.ones((3, 6, 5, 3)), np.array([0, 1, 2])\n"
    )
    alone = load_samples(f"{tmp_path}/d.py:alone", SIZES)
    assert alone.labels is None
    assert np.all(alone.x == np.float32(1 / 255))
    pair = load_samples(f"{tmp_path}/d.py:pair", SIZES)
    assert pair.labels is not None
    assert pair.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"x": np.zeros((3, 4, 5, 3))}, r"samples have shape \(4, 5, 3\), the model reads \(6, 5, 3\)"),
        ({"x": inputs(3), "y": np.zeros(2, int)}, "3 inputs but 2 labels"),
        ({"z": inputs(3)}, "no 'x' or 'x_train'"),
        ({"x": np.full((3, *SIZES), np.nan)}, "NaN or infinity"),
        ({"x": inputs(0)}, "no samples"),
        ({"x": np.array(["a"])}, "give numbers"),
    ],
)
def test_samples_that_cannot_be_used(arrays: dict, problem: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(UsageError, match=problem):
        load_samples(str(tmp_path / "d.npz"), SIZES)


def test_samples_that_do_not_exist() -> None:
    with pytest.raises(UsageError, match=r"give FILE\.npz"):
        load_samples("nowhere.npz", SIZES)


def write_onnx(path: Path) -> None:
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 4 * 3, 4)]
    torch.onnx.export(torch.nn.Sequential(*layers).eval(), (torch.zeros(1, 3, 6, 5),), path, dynamo=False)


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_float_files_of_every_kind_are_analysed_and_exported(kind: str, model: Path, tmp_path: Path) -> None:
    if kind == "onnx":
        model = tmp_path / "net.onnx"
        write_onnx(model)
    board = load_board("stm32f4")
    assert analyze(str(model), board, Budget()).usage.macs > 0
    np.save(tmp_path / "x.npy", inputs(20))
    exported = export(model, board, tmp_path / "out", data=str(tmp_path / "x.npy"))
    assert exported.quality is not None
    assert exported.quality.sqnr > 20
    assert "output SQNR" in exported.text()
    samples = np.load(tmp_path / "out" / "samples.npy")
    assert samples.shape == (20, *SIZES)
    with pytest.raises(UsageError, match="is quantized already"):
        export(tmp_path / "out" / "model.tflite", board, tmp_path / "again", data=str(tmp_path / "x.npy"))


def test_what_onnx_has_no_form_for_is_exported_without_it(tmp_path: Path) -> None:
    """A mean with a scale of its own, as an int8 model has it; the export says why a file is missing."""
    onnxruntime = pytest.importorskip("onnxruntime.quantization", reason="writes the quantized file")
    from tests.frontends.qdq_files import Pooled, float_file, quantized_file

    path = quantized_file(float_file(Pooled, tmp_path), weight_type=onnxruntime.QuantType.QInt8)
    exported = export(path, load_board("stm32f4"), tmp_path / "out")
    assert (tmp_path / "out" / "firmware.elf").is_file()
    assert (tmp_path / "out" / "model.onnx").is_file() == (not exported.deployment.without_onnx)
    assert ("no model.onnx: layer" in exported.text()) == bool(exported.deployment.without_onnx)
