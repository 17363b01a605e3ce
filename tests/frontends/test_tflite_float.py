"""Float .tflite files mean what LiteRT computes: single operators, whole models, stored forms of weights."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.frontends.tflite import load_any
from mcuprune.graph.ir import Conv2d, Flatten, Graph, Linear, Pad
from mcuprune.graph.passes import run_passes
from mcuprune.graph.run_float import run_float
from tests.frontends.float_files import FloatFile, real_weights, run_litert

RELATIVE = 1e-4
RELU, RELU6 = schema.ActivationFunctionType.RELU, schema.ActivationFunctionType.RELU6
SAME, VALID = schema.Padding.SAME, schema.Padding.VALID


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def numbers(*shape: int) -> np.ndarray:
    return rng().standard_normal(shape).astype(np.float32)


def conv(f: FloatFile, x: int, out: tuple[int, ...], weight: int, **options: int) -> int:
    options = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, **options}
    bias = f.constant(numbers(out[-1]))
    return f.op("CONV_2D", [x, weight, bias], out, schema.Conv2DOptionsT(**options))


def convolution() -> FloatFile:
    f = FloatFile()
    x, weight = f.input(1, 7, 6, 3), f.constant(numbers(4, 3, 2, 3))
    conv(f, x, (1, 4, 3, 4), weight, padding=SAME, strideH=2, strideW=2, fusedActivationFunction=RELU6)
    return f


def dilated_depthwise() -> FloatFile:
    f = FloatFile()
    x, weight, bias = f.input(1, 8, 8, 3), f.constant(numbers(1, 3, 3, 6)), f.constant(numbers(6))
    options = schema.DepthwiseConv2DOptionsT(
        padding=SAME, strideH=1, strideW=1, depthMultiplier=2, dilationHFactor=2, dilationWFactor=2
    )
    f.op("DEPTHWISE_CONV_2D", [x, weight, bias], (1, 8, 8, 6), options)
    return f


def half_precision_weights() -> FloatFile:
    f = FloatFile()
    x, half = f.input(1, 5, 5, 2), f.constant(numbers(4, 3, 3, 2), np.float16)
    weight = f.op("DEQUANTIZE", [half], (4, 3, 3, 2), schema.DequantizeOptionsT())
    conv(f, x, (1, 3, 3, 4), weight, padding=VALID)
    return f


def keras_flatten() -> FloatFile:
    """Flatten of a model with a dynamic batch: its shape is computed, and read by a linear layer."""
    f = FloatFile()
    x = f.input(1, 3, 4, 2)
    shape = f.op("SHAPE", [x], (4,), schema.ShapeOptionsT(outType=schema.TensorType.INT32), np.int32)
    ends = [f.constant([value], np.int32) for value in (0, 1, 1)]
    slicing = schema.StridedSliceOptionsT(shrinkAxisMask=1)
    batch = f.op("STRIDED_SLICE", [shape, *ends], (), slicing, np.int32)
    rest = f.constant(24, np.int32)
    target = f.op("PACK", [batch, rest], (2,), schema.PackOptionsT(valuesCount=2), np.int32)
    flat = f.op("RESHAPE", [x, target], (1, 24), schema.ReshapeOptionsT())
    operands = [flat, f.constant(numbers(5, 24)), f.constant(numbers(5))]
    f.op("FULLY_CONNECTED", operands, (1, 5), schema.FullyConnectedOptionsT(fusedActivationFunction=RELU))
    return f


def leftover_normalization() -> FloatFile:
    f = FloatFile()
    x = f.input(1, 4, 4, 3)
    scaled = f.op("MUL", [x, f.constant(numbers(3))], (1, 4, 4, 3), schema.MulOptionsT())
    options = schema.AddOptionsT(fusedActivationFunction=RELU)
    shifted = f.op("ADD", [scaled, f.constant(numbers(1, 1, 1, 3))], (1, 4, 4, 3), options)
    again = f.op("MUL", [f.constant(numbers(3)), shifted], (1, 4, 4, 3), schema.MulOptionsT())
    f.op("SUB", [f.constant([0.5]), again], (1, 4, 4, 3), schema.SubOptionsT())
    return f


def scaled_flat_map() -> FloatFile:
    """A factor per channel that waits until the linear layer behind the flattening takes it."""
    f = FloatFile()
    x = f.input(1, 2, 3, 4)
    pooled = f.op("MUL", [x, f.constant(numbers(4))], (1, 2, 3, 4), schema.MulOptionsT())
    shape = f.constant([-1, 24], np.int32)
    flat = f.op("RESHAPE", [pooled, shape], (1, 24), schema.ReshapeOptionsT())
    f.op("FULLY_CONNECTED", [flat, f.constant(numbers(5, 24)), -1], (1, 5), schema.FullyConnectedOptionsT())
    return f


def padding_and_pools() -> FloatFile:
    f = FloatFile()
    x, amounts = f.input(1, 6, 7, 3), f.constant([[0, 0], [1, 2], [0, 1], [0, 0]], np.int32)
    padded = f.op("PAD", [x, amounts], (1, 9, 8, 3), schema.PadOptionsT())
    weight = f.constant(numbers(4, 3, 3, 3))
    made = conv(f, padded, (1, 7, 6, 4), weight, padding=VALID)
    sizes = {"filterHeight": 3, "filterWidth": 2, "strideH": 2, "strideW": 2, "padding": SAME}
    made = f.op("MAX_POOL_2D", [made], (1, 4, 3, 4), schema.Pool2DOptionsT(**sizes))
    made = f.op("AVERAGE_POOL_2D", [made], (1, 2, 2, 4), schema.Pool2DOptionsT(**sizes))
    f.op("MEAN", [made, f.constant([1, 2], np.int32)], (1, 4), schema.ReducerOptionsT(keepDims=False))
    return f


def sequence() -> FloatFile:
    """A one-dimensional convolution as Keras writes it: a height of 1 comes and goes around it."""
    f = FloatFile()
    x = f.input(1, 9, 3)
    made = f.op("EXPAND_DIMS", [x, f.constant(1, np.int32)], (1, 1, 9, 3), schema.ExpandDimsOptionsT())
    made = conv(f, made, (1, 1, 7, 4), f.constant(numbers(4, 1, 3, 3)), padding=VALID)
    squeezing = schema.SqueezeOptionsT(squeezeDims=np.array([1], np.int32))
    made = f.op("SQUEEZE", [made], (1, 7, 4), squeezing)
    made = f.op("ADD", [made, f.constant(numbers(4))], (1, 7, 4), schema.AddOptionsT())
    f.op("MEAN", [made, f.constant([1], np.int32)], (1, 4), schema.ReducerOptionsT(keepDims=False))
    return f


def squeeze_and_excite() -> FloatFile:
    f = FloatFile()
    x = f.input(1, 4, 4, 3)
    axes = f.constant([1, 2], np.int32)
    gate = f.op("MEAN", [x, axes], (1, 1, 1, 3), schema.ReducerOptionsT(keepDims=True))
    gate = conv(f, gate, (1, 1, 1, 3), f.constant(numbers(3, 1, 1, 3)), padding=VALID)
    gate = f.op("LOGISTIC", [gate], (1, 1, 1, 3))
    made = f.op("MUL", [x, gate], (1, 4, 4, 3), schema.MulOptionsT())
    joined = f.op("CONCATENATION", [made, x], (1, 4, 4, 6), schema.ConcatenationOptionsT(axis=3))
    f.op("HARD_SWISH", [joined], (1, 4, 4, 6), schema.HardSwishOptionsT())
    return f


def bounded() -> FloatFile:
    f = FloatFile()
    x, zero, six = f.input(1, 12), f.constant(0.0), f.constant(6.0)
    scaled = f.op("MUL", [x, f.constant(5.0)], (1, 12), schema.MulOptionsT())
    operands = [scaled, f.constant(numbers(8, 12)), f.constant(numbers(8))]
    made = f.op("FULLY_CONNECTED", operands, (1, 8), schema.FullyConnectedOptionsT())
    made = f.op("MAXIMUM", [made, zero], (1, 8), schema.MaximumMinimumOptionsT())
    made = f.op("MINIMUM", [six, made], (1, 8), schema.MaximumMinimumOptionsT())
    f.op("SOFTMAX", [made], (1, 8), schema.SoftmaxOptionsT(beta=1.0))
    return f


CASES: tuple[Callable[[], FloatFile], ...] = (
    convolution,
    dilated_depthwise,
    half_precision_weights,
    keras_flatten,
    leftover_normalization,
    scaled_flat_map,
    padding_and_pools,
    sequence,
    squeeze_and_excite,
    bounded,
)


def assert_same(graph: Graph, data: bytes, inputs: np.ndarray) -> None:
    """The graph before and after the passes computes what LiteRT does, relative to the largest output."""
    expected = run_litert(data, inputs)
    shaped = inputs.reshape(len(inputs), *graph.shape(graph.inputs[0]))
    for form in (graph, run_passes(graph)):
        found = run_float(form, shaped).reshape(expected.shape)
        assert np.abs(found - expected).max() <= RELATIVE * np.abs(expected).max()


def loaded(data: bytes) -> Graph:
    graph = load_any(data)
    assert isinstance(graph, Graph)
    return graph


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_operators_mean_what_litert_computes(case: Callable[[], FloatFile]) -> None:
    f = case()
    shape = tuple(f.tensors[f.inputs[0]].shape)
    inputs = np.random.default_rng(1).standard_normal((6, *shape[1:])).astype(np.float32)
    assert_same(loaded(f.bytes()), f.bytes(), inputs)


def test_flatten_of_a_dynamic_batch_leaves_one_node() -> None:
    kinds = [type(node) for node in loaded(keras_flatten().bytes()).nodes[1:]]
    assert kinds[:2] == [Flatten, Linear]


def test_padding_becomes_the_convolutions_own() -> None:
    kinds = [type(node) for node in run_passes(loaded(padding_and_pools().bytes())).nodes]
    assert Pad not in kinds
    assert Conv2d in kinds


def test_int8_weights_stand_for_real_numbers() -> None:
    f = FloatFile()
    scale = np.array([0.01, 0.5, 0.002, 0.1], np.float32)
    kind = schema.QuantizationParametersT(scale=scale, zeroPoint=np.zeros(4, np.int64), quantizedDimension=0)
    stored = rng().integers(-127, 128, (4, 3, 3, 2)).astype(np.int8)
    x, weight = f.input(1, 6, 6, 2), f.constant(stored, np.int8, kind)
    conv(f, x, (1, 4, 4, 4), weight, padding=VALID)
    graph = loaded(f.bytes())
    weights = next(graph.constants[n.weight].values for n in graph.nodes if isinstance(n, Conv2d))
    np.testing.assert_array_equal(weights, stored * scale[:, None, None, None])
    assert_same(graph, real_weights(f.bytes()), numbers(3, 6, 6, 2))


def test_an_unknown_operator_is_named() -> None:
    f = FloatFile()
    f.op("ERF" if hasattr(schema.BuiltinOperator, "ERF") else "CEIL", [f.input(1, 4)], (1, 4))
    with pytest.raises(UnsupportedError, match=r"producing tensor 't1': this operator is not supported"):
        load_any(f.bytes())


def test_a_minimum_with_six_alone_is_no_relu6() -> None:
    f = FloatFile()
    f.op("MINIMUM", [f.input(1, 4), f.constant(6.0)], (1, 4), schema.MaximumMinimumOptionsT())
    with pytest.raises(UnsupportedError, match="only right after a ReLU"):
        load_any(f.bytes())


def test_a_shared_weight_is_refused() -> None:
    f = FloatFile()
    x, weight = f.input(1, 4), f.constant(numbers(4, 4))
    made = f.op("FULLY_CONNECTED", [x, weight, -1], (1, 4), schema.FullyConnectedOptionsT())
    f.op("FULLY_CONNECTED", [made, weight, -1], (1, 4), schema.FullyConnectedOptionsT())
    with pytest.raises(UnsupportedError, match="shares its weights"):
        load_any(f.bytes())


@pytest.mark.parametrize("values", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(values: float) -> None:
    f = FloatFile()
    weight = numbers(4, 4)
    weight[1, 2] = values
    operands = [f.input(1, 4), f.constant(weight), -1]
    f.op("FULLY_CONNECTED", operands, (1, 4), schema.FullyConnectedOptionsT())
    with pytest.raises(UsageError, match="NaN or infinite"):
        load_any(f.bytes())


def test_an_operand_that_nothing_computes_is_refused() -> None:
    f = FloatFile()
    f.op("ADD", [f.input(1, 4), f.tensor((1, 4))], (1, 4), schema.AddOptionsT())
    with pytest.raises(UsageError, match="nothing computes its operand"):
        load_any(f.bytes())


MODELS = (  # and the samples kept with them, if any
    "mlperf_tiny/models/anomaly_detection__ToyCar__baseline_tf23__model__model_ToyCar.tflite",
    "mlperf_tiny/models/anomaly_detection__ToyCar__baseline_tf23__model__model_ToyCar_quant.tflite",
    "mlperf_tiny/models/image_classification__pretrainedResnet.tflite",
    "mlperf_tiny/models/image_classification__pretrainedResnet_large_float.tflite",
    "mlperf_tiny/models/keyword_spotting__kws_ref_model_float32.tflite",
    "mlperf_tiny/models/visual_wake_words__vww_96_float.tflite",
    "zoo/models/TinyMaix__cifar10_f__ddfd09a3.tflite",
    "zoo/models/TinyMaix__mnist_dw_f__af43c5a1.tflite",
    "zoo/models/TinyMaix__mnist_resnet_f__27ff6080.tflite",
    "zoo/models/TinyMaix__mnist_valid_f__ccce4f50.tflite",
    "zoo/models/tflite-micro__sine_float__ee939863.tflite",
)


@pytest.mark.parametrize("name", MODELS, ids=lambda name: Path(name).stem)
def test_published_models(name: str) -> None:
    path = Path(os.environ.get("MCUPRUNE_DATA", "")) / name
    if not path.is_file():
        pytest.skip("MCUPRUNE_DATA does not name a folder with mlperf_tiny/models and zoo/models")
    graph = load_any(path)
    assert isinstance(graph, Graph)
    shape = graph.shape(graph.inputs[0])
    inputs = np.random.default_rng(0).standard_normal((3, *shape)).astype(np.float32)
    golden = path.parents[1] / "golden" / f"{path.stem}.npz"
    if golden.is_file():
        inputs = np.concatenate([inputs, np.load(golden)["in0"].reshape(-1, *shape).astype(np.float32)])
    assert_same(graph, real_weights(path.read_bytes()), inputs)
