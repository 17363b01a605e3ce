"""Proof that a model means the same everywhere: specification, TensorFlow Lite Micro, C on host and core."""

from __future__ import annotations

import importlib.util
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mcuprune.board import Board
from mcuprune.codegen import Sources
from mcuprune.errors import MismatchError, ToolchainError, UsageError
from mcuprune.graph.ir import QuantizedGraph
from mcuprune.plan.ir import Plan
from mcuprune.plan.live import call_count
from mcuprune.quantize.flat import run_flat, run_tensors, sample_bytes, tensor_bytes
from mcuprune.verify.compare import Difference, first_difference
from mcuprune.verify.constants import compare_constants
from mcuprune.verify.emulator import CallResult, EmulatedRun, Emulator
from mcuprune.verify.host import HostModel
from mcuprune.verify.oracle import flat_tflm
from mcuprune.verify.qemu import run_qemu, why_not

NUMPY, TFLM, HOST, ELF = "specification", "TensorFlow Lite Micro", "C on the host", "firmware, emulated"
QEMU = "firmware, QEMU"
ORIGINAL = "TensorFlow Lite Micro, original model"
QEMU_INPUTS = 16  # a second witness of the same image: a few inputs are enough
SAMPLES = "samples.npy"


@dataclass(frozen=True)
class Subject:
    """One deployed model in all its forms; ``files`` is the C that counts, generated or changed since.

    ``tflite`` says what ``graph`` says; ``original`` is the file from before anything was folded.
    """

    graph: QuantizedGraph
    plan: Plan
    sources: Sources
    files: Mapping[str, str]
    tflite: bytes
    elf: Path
    board: Board
    original: bytes | None = None


@dataclass(frozen=True)
class Comparison:
    """An executor against the specification.  ``status``: equal, differs, not applicable or not run."""

    right: str
    status: str
    inputs: int = 0
    differing_bytes: int | None = None
    reason: str = ""
    left: str = NUMPY


@dataclass(frozen=True)
class Proof:
    """All comparisons, and what the emulated core showed on the way (None: the emulator has no such core)."""

    comparisons: tuple[Comparison, ...]
    outputs: Mapping[str, np.ndarray]
    emulated: EmulatedRun | None

    def require_equal(self) -> None:
        """Raise MismatchError naming the first layer and index, and the constant, that differ, if any do."""
        wrong = [entry for entry in self.comparisons if entry.status == "differs"]
        if wrong:
            raise MismatchError("\n".join(f"{c.right} differ from {c.left}: {c.reason}" for c in wrong))


def make_inputs(
    graph: QuantizedGraph, count: int, samples: np.ndarray | None = None, seed: int = 0
) -> np.ndarray:
    """(count, bytes of a sample) int8: the given real samples first, then random bytes.

    A sample of a network with one int8 input keeps that input's shape.  Raises UsageError for samples of
    another network.
    """
    plain = len(graph.inputs) == 1 and graph.quantization[graph.inputs[0]].dtype == "int8"
    shape = graph.shape(graph.inputs[0]) if plain else (sample_bytes(graph),)
    samples = np.zeros((0, *shape), np.int8) if samples is None else samples
    if samples.size % math.prod(shape):
        raise UsageError(f"samples of shape {samples.shape} are not of a network that reads {shape}")
    real = samples.reshape(-1, *shape)[:count]
    random = np.random.default_rng(seed).integers(-128, 128, (count - len(real), *shape)).astype(np.int8)
    return np.concatenate([real, random])


def prove(subject: Subject, inputs: np.ndarray, emulated: int | None = None) -> Proof:
    """Run all executors on ``inputs``, int8 of :func:`make_inputs`' form, and compare their output bytes.

    ``emulated`` limits how many inputs the emulated core gets (None: all).
    """
    flat = inputs.reshape(len(inputs), -1)
    expected = run_flat(subject.graph, flat)
    outputs = {NUMPY: expected}
    comparisons = []
    with tempfile.TemporaryDirectory(prefix="mcuprune-") as folder:
        host = HostModel(subject.files, subject.sources.name, Path(folder), subject.sources.layers)
        core = _emulator(subject)
        outputs[TFLM] = flat_tflm(subject.tflite, subject.graph, flat)
        outputs[HOST] = host.run(flat)
        comparisons.append(_compare(TFLM, expected, outputs[TFLM], None))
        comparisons += _original(subject, flat, expected)
        comparisons.append(
            _compare(
                HOST,
                expected,
                outputs[HOST],
                lambda i: _locate(subject, flat[: i + 1], host.tensors(flat[i], flat[:i])),
            )
        )
        run = None
        if core is not None:
            count = min(len(flat), emulated or len(flat))
            run = core.run(flat[:count])
            outputs[ELF] = run.outputs
            steps = _calls(subject)
            comparisons.append(
                _compare(
                    ELF,
                    expected[:count],
                    run.outputs,
                    lambda i: _locate(subject, flat[: i + 1], core.tensors(flat[i], steps, flat[:i])),
                )
            )
        else:
            reason = f"the instruction-set emulator has no {subject.board.core.cpu}"
            comparisons.append(Comparison(ELF, "not applicable", reason=reason))
    comparisons.append(_second_witness(subject, expected[:QEMU_INPUTS], flat[:QEMU_INPUTS]))
    comparisons.append(_constants(subject))
    return Proof(tuple(comparisons), outputs, run)


def _original(subject: Subject, flat: np.ndarray, expected: np.ndarray) -> list[Comparison]:
    """The model as it was given, in the oracle: what folding and importing must not have changed."""
    if subject.original is None or subject.original == subject.tflite:
        return []
    try:
        found = flat_tflm(subject.original, subject.graph, flat)
    except ToolchainError as error:
        return [Comparison(ORIGINAL, "not run", reason=str(error))]
    return [_compare(ORIGINAL, expected, found, None)]


def _emulator(subject: Subject) -> Emulator | None:
    if subject.board.core.unicorn is None:
        return None
    return Emulator(subject.elf, subject.board, subject.sources.name)


def _calls(subject: Subject) -> list[CallResult]:
    """Where each kernel call leaves its result."""
    plan = subject.plan
    nodes = {node.name: node for node in subject.graph.nodes}
    found = []
    for step in plan.steps:
        if step.node in plan.state_offsets:
            memory, offset = "state", plan.state_offsets[step.node]
        else:
            bank, offset = plan.place(plan.offsets[step.node])
            memory = f"bank{bank}" if bank else "arena"
        place = CallResult(step.node, offset, tensor_bytes(subject.graph, step.node), memory)
        found += [place] * call_count(step, nodes[step.node])
    return found


def _second_witness(subject: Subject, expected: np.ndarray, flat: np.ndarray) -> Comparison:
    """The image in QEMU; where nothing else can run it, its absence leaves a gap."""
    if subject.plan.banks:
        return Comparison(QEMU, "not applicable", reason="its machines have only the main bank of RAM")
    reason = why_not(subject.board)
    run = run_qemu(subject.elf, subject.board, subject.sources.name, flat)
    if run is None:
        status = "not applicable" if subject.board.core.unicorn else "not run"
        return Comparison(QEMU, status, reason=str(reason))
    found = _compare(QEMU, expected, run.outputs, None)
    if found.status != "equal" or run.instructions is None:
        return found
    return replace(found, reason=f"{run.instructions:,} instructions an inference")


def _compare(
    name: str, expected: np.ndarray, found: np.ndarray, locate: Callable[[int], Difference | None] | None
) -> Comparison:
    expected = expected.reshape(len(expected), -1)
    found = found.reshape(len(found), -1)
    wrong = expected != found
    if not wrong.any():
        return Comparison(name, "equal", len(expected), 0)
    row = int(np.flatnonzero(wrong.any(axis=1))[0])
    column = int(np.flatnonzero(wrong[row])[0])
    reason = f"output {column} is {found[row, column]} instead of {expected[row, column]}"
    difference = None if locate is None else locate(row)
    if difference is not None:
        reason = (
            f"first in layer '{difference.layer}' at index {difference.index}: "
            f"{difference.got} instead of {difference.expected}"
        )
    return Comparison(name, "differs", len(expected), int(wrong.sum()), f"input {row}, {reason}")


def _locate(subject: Subject, flat: np.ndarray, found: Mapping[str, np.ndarray]) -> Difference | None:
    """The first layer, in the order in which they run, whose output differs for the last sample."""
    tensors = run_tensors(subject.graph, flat)
    kinds = subject.graph.quantization
    reference = {call.node: tensors[call.node][-1].reshape(-1) for call in subject.plan.steps}
    other = {name: values.view(kinds[name].dtype) for name, values in found.items()}
    return first_difference(reference, other)


def _constants(subject: Subject) -> Comparison:
    """The constants stored in the image against those of the model."""
    problems = compare_constants(subject.elf, subject.sources)
    total = subject.sources.constant_bytes
    if not problems:
        return Comparison(
            "constants in the image", "equal", 0, 0, f"{total} bytes compared", left="the model"
        )
    return Comparison("constants in the image", "differs", 0, len(problems), problems[0], left="the model")


def available(board: Board) -> None:
    """Raises ToolchainError unless all that a proof needs is installed; for use before training."""
    missing = [name for name in ("unicorn", "tflite_micro") if not _importable(name)]
    if board.core.unicorn is None:
        missing = [name for name in missing if name != "unicorn"]
    if missing:
        extra = {"unicorn": "firmware", "tflite_micro": "oracle"}[missing[0]]
        raise ToolchainError(
            f"{missing[0]} is missing; install the '{extra}' extra: pip install 'mcuprune[{extra}]'"
        )


def _importable(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
