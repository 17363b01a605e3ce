"""Post-training quantization of a float model: ranges from samples, and what that costs in accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcuprune.errors import UnsupportedError
from mcuprune.graph.ir import Graph, QuantizedGraph, Softmax
from mcuprune.graph.passes import run_passes
from mcuprune.graph.run_float import run_float
from mcuprune.quantize.convert import dequantize_output, quantize, quantize_input
from mcuprune.quantize.equalize import equalized
from mcuprune.quantize.observers import OBSERVERS, drawn
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.tasks.samples import Samples, load_samples

CALIBRATION = 128  # inputs that ranges are measured on
TRIAL = 32  # of them, for choosing the observer
JUDGED = 1000  # inputs that the result is judged by, at most
BATCH = 50  # inputs that are computed at once
RANDOM_INPUTS = 64  # without data


@dataclass(frozen=True)
class Quality:
    """How well the int8 model repeats the float one.

    ``sqnr`` is the output's signal to quantization noise ratio in dB over ``n`` inputs, ``agreement`` the
    share of them with the same largest output (None: no classifier); ``accuracy`` and ``float_accuracy`` need
    labels.
    ``random`` says that no data were given.
    """

    observer: str
    calibrated_on: int
    n: int
    sqnr: float
    agreement: float | None
    accuracy: float | None = None
    float_accuracy: float | None = None
    random: bool = False

    def text(self) -> str:
        if self.random:
            return (
                f"WARNING: no --data were given. The float model was quantized with ranges measured on "
                f"{self.calibrated_on} random inputs (standard normal): sizes and cycles are right, but its "
                "outputs are not to be trusted. Give --data with inputs as the model takes them."
            )
        parts = [f"quantized on {self.calibrated_on} inputs ({self.observer} ranges)"]
        if self.accuracy is not None and self.float_accuracy is not None:
            parts.append(f"accuracy {self.accuracy:.2%} int8, {self.float_accuracy:.2%} float")
        if self.agreement is not None:
            parts.append(f"same class as float {self.agreement:.2%}")
        return f"{', '.join(parts)}, output SQNR {self.sqnr:.1f} dB, over {self.n} inputs"


@dataclass(frozen=True)
class PostTrained:
    """``samples`` (n, *input shape) int8 are real inputs for the proof, None without data.

    ``quality`` is None for a model that was quantized before.
    """

    graph: QuantizedGraph
    quality: Quality | None
    samples: np.ndarray | None


def post_train(graph: Graph, data: str | None) -> PostTrained:
    """Quantize a trained float graph with the samples that ``data`` names, or with random ones.

    Of the observers, the one with the best output over the first samples is taken.  Raises UnsupportedError
    for graphs with several inputs or outputs, and what :func:`load_samples` raises.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UnsupportedError(
            f"model '{graph.name}' has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
            "post-training quantization needs one of each"
        )
    shape = graph.shape(graph.inputs[0])
    samples = _random(shape) if data is None else load_samples(data, shape)
    calibration = samples.calibration[drawn(len(samples.calibration), CALIBRATION)]
    folded = equalized(run_passes(graph), calibration)
    trials = {name: quantize(folded, calibration, name) for name in OBSERVERS}
    trial = calibration[:TRIAL]
    expected = _run_float(folded, trial)
    found = {name: sqnr(expected, _run_int8(quantized, trial)) for name, quantized in trials.items()}
    best = max(found, key=lambda name: found[name])
    quality = _judge(folded, trials[best], samples, best, len(calibration), data is None)
    if data is None:
        return PostTrained(trials[best], quality, None)
    kept = samples.x[drawn(len(samples.x), CALIBRATION)]
    return PostTrained(trials[best], quality, quantize_input(trials[best], kept))


def sqnr(expected: np.ndarray, found: np.ndarray) -> float:
    """Signal to noise ratio in dB of ``found``; the signal is what varies in ``expected`` about its mean."""
    signal = np.square(expected - expected.mean(), dtype=np.float64).sum()
    noise = np.square(expected - found, dtype=np.float64).sum()
    return 10.0 * float(np.log10(max(float(signal), 1e-30) / max(float(noise), 1e-30)))


def _judge(
    graph: Graph, quantized: QuantizedGraph, samples: Samples, observer: str, calibrated: int, random: bool
) -> Quality:
    chosen = drawn(len(samples.x), JUDGED)
    x = samples.x[chosen]
    exact, integer = _run_float(graph, x), _run_int8(quantized, x)
    ratio, last = sqnr(exact, integer), graph.nodes[-1]
    classifies = samples.labels is not None or isinstance(last, Softmax)
    agreement = float(np.mean(_classes(exact) == _classes(integer))) if classifies else None
    if samples.labels is None:
        return Quality(observer, calibrated, len(x), ratio, agreement, random=random)
    labels = samples.labels[chosen]
    ours, exactly = (float(np.mean(_classes(outputs) == labels)) for outputs in (integer, exact))
    return Quality(observer, calibrated, len(x), ratio, agreement, ours, exactly)


def _classes(outputs: np.ndarray) -> np.ndarray:
    """The class that outputs (n, k) stand for; a single output is the probability of class 1."""
    found: np.ndarray = (outputs[:, 0] > 0.5) if outputs.shape[1] == 1 else outputs.argmax(axis=1)
    return found.astype(np.int64)


def _run_float(graph: Graph, x: np.ndarray) -> np.ndarray:
    """(n, outputs) float32."""
    parts = [run_float(graph, x[i : i + BATCH]) for i in range(0, len(x), BATCH)]
    return np.concatenate([part.reshape(len(part), -1) for part in parts])


def _run_int8(graph: QuantizedGraph, x: np.ndarray) -> np.ndarray:
    """(n, outputs) float32, of float inputs."""
    outputs = run_int8(graph, quantize_input(graph, x))
    assert isinstance(outputs, np.ndarray)
    return dequantize_output(graph, outputs).reshape(len(outputs), -1)


def _random(shape: tuple[int, ...]) -> Samples:
    x = np.random.default_rng(0).standard_normal((RANDOM_INPUTS, *shape)).astype(np.float32)
    return Samples(x, x)
