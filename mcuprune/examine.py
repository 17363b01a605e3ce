"""What can be said of a model or a run folder without training: analyze, export, verify."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mcuprune.board import Board
from mcuprune.budget import Budget
from mcuprune.config import objective_of
from mcuprune.deploy import Deployment, Manifest, board_text, deploy, fold, open_deployment, read_samples
from mcuprune.errors import ToolchainError, UnsupportedError, UsageError
from mcuprune.frontends.load import load_model
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import Graph, QuantizedGraph
from mcuprune.graph.passes import run_passes
from mcuprune.layers import LayerProfile, layer_profiles, profile_text
from mcuprune.lossless.record import HEAD, Change
from mcuprune.plan.live import Network
from mcuprune.plan.make import make_plan
from mcuprune.posttrain import PostTrained, Quality, post_train
from mcuprune.problem import identifier
from mcuprune.report.units import count, kibi, seconds
from mcuprune.resources.choices import KernelChoice, Price, kernel_choices, price
from mcuprune.resources.macs import total_macs
from mcuprune.resources.model import Breakdown, breakdown, planned_calls
from mcuprune.terminal import table
from mcuprune.verify.prove import SAMPLES, Proof, make_inputs, prove
from mcuprune.workspace import open_workspace


@dataclass(frozen=True)
class LayerCost:
    """One layer; ``constants`` bytes of flash; ``choice`` has its cycles and the kernel's alternatives."""

    name: str
    op: str
    kernel: str
    shape: tuple[int, ...]
    constants: int
    macs: int
    choice: KernelChoice


@dataclass(frozen=True)
class Analysis:
    """What a model would take of a board as it is, int8."""

    model: str
    board: str
    usage: Breakdown
    limits: Mapping[str, float]
    layers: tuple[LayerCost, ...]
    arena_gap: int
    clock_hz: int
    folded: tuple[Change, ...] = ()
    macs_before: int | None = None
    price: Price | None = None

    @property
    def fits(self) -> bool:
        used = {"cycles": self.usage.latency.high}
        return all(used.get(k, getattr(self.usage, k)) <= limit for k, limit in self.limits.items())

    def text(self) -> str:
        head = ("layer", "op", "output", "constants", "MACs", "cycles", "kernel", "why")
        rows = [
            (
                layer.name,
                layer.op,
                "x".join(map(str, layer.shape)),
                count(layer.constants),
                count(layer.macs),
                count(layer.choice.chosen.cycles),
                layer.kernel,
                layer.choice.why,
            )
            for layer in self.layers
        ]
        usage = self.usage
        banks = f", and {kibi(usage.other_banks)} in other banks" if usage.other_banks else ""
        totals = [
            ("flash", kibi(usage.flash), f"{kibi(usage.constants)} constants, {kibi(usage.code)} code"),
            (
                "RAM",
                kibi(usage.ram),
                f"{kibi(usage.arena)} arena (lower bound + {self.arena_gap} B), {usage.stack} B stack{banks}",
            ),
            ("MACs", count(usage.macs), ""),
            (
                "latency",
                f"at most {seconds(usage.latency.high / self.clock_hz)}",
                usage.latency.text(self.clock_hz),
            ),
        ]
        limits = ", ".join(f"{k} {count(v)}" for k, v in self.limits.items())
        verdict = f"{'fits' if self.fits else 'does NOT fit'} {self.board} ({limits})"
        price = () if self.price is None else (self.price.text(), "")
        costs = [table(head, rows), "", table(("int8", "total", "of which"), totals), "", *price, verdict]
        return "\n".join([*_folding(self.folded, self.macs_before, usage.macs), *costs])


def _folding(changes: tuple[Change, ...], before: int | None, after: int) -> list[str]:
    """The lines that say what was folded; none if nothing was."""
    if not changes:
        return []
    saved = f"folded without changing an output byte: {count(before)} -> {count(after)} MACs"
    return [table(HEAD, [change.row() for change in changes]), "", saved, ""]


def analyze(
    model: str,
    board: Board,
    budget: Budget,
    input_shape: tuple[int, ...] | None = None,
    lossless: bool = True,
    optimize: str = "speed",
) -> Analysis:
    """Costs per layer and in total of a model as it is, without training.

    ``input_shape`` (channels first) is needed for PyTorch modules; without ``lossless`` an integer model is
    taken unfolded.  Raises UnsupportedError for the first layer that cannot be deployed.
    """
    graph, objective = as_network(model, input_shape), objective_of(optimize)
    changes: tuple[Change, ...] = ()
    before = None
    if isinstance(graph, QuantizedGraph):
        folded = fold(graph, lossless)
        before, graph, changes = total_macs(graph), folded.graph, folded.changes
    plan = make_plan(graph, board.core.isa, objective, banks=board.ram_banks())
    calls, choices = planned_calls(graph, plan), kernel_choices(graph, plan, board.core)
    layers = tuple(
        LayerCost(
            choice.layer,
            type(call.shape.node).__name__,
            choice.kernel,
            graph.shape(choice.layer),
            int(call.kernel.constants(call.shape)),
            call.macs,
            choice,
        )
        for call, choice in zip(calls, choices, strict=True)
    )
    return Analysis(
        model=model,
        board=board.name,
        usage=breakdown(graph, plan, board.core, timing=board.flash),
        limits=budget.within(Budget(**board.budget())).limits(board.clock_hz),
        layers=layers,
        arena_gap=plan.memory_bytes - plan.lower_bound,
        clock_hz=board.clock_hz,
        folded=changes,
        macs_before=before,
        price=price(graph, plan, board.core, objective),
    )


def as_network(model: str, input_shape: tuple[int, ...] | None) -> Network:
    """A loaded model as something that can be planned."""
    found = load_model(model)
    if isinstance(found, QuantizedGraph):
        return found
    if isinstance(found, Graph):
        return run_passes(found)
    if input_shape is None:
        raise UsageError(
            "a PyTorch module needs --input, its input shape without the batch, e.g. --input 1,28,28"
        )
    return run_passes(trace(found, input_shape))


@dataclass(frozen=True)
class Exported:
    """``quality`` is set where a float model was quantized on the way."""

    out: str
    deployment: Deployment
    quality: Quality | None = None
    price: Price | None = None

    def text(self) -> str:
        sizes, folded = self.deployment.sizes, self.deployment.folded
        before = after = 0
        if folded is not None and folded.changes:
            before, after = total_macs(folded.original), total_macs(folded.graph)
        lines = _folding(folded.changes if folded else (), before, after)
        quality = [] if self.quality is None else [self.quality.text(), ""]
        price = "" if self.price is None else f"\n{self.price.text()}"
        reason = self.deployment.without_onnx
        without = f"\nno model.onnx: {reason}" if reason else ""
        return "\n".join([*lines, *quality]) + (
            f"wrote {self.out}: C package, model.tflite, {'' if reason else 'model.onnx, '}firmware.elf"
            f"{without}\n"
            f"flash {count(sizes.flash)} B ({count(sizes.constants)} constants, {count(sizes.code)} code), "
            f"arena {count(sizes.arena)} B, {self.deployment.toolchain}{price}"
        )


def export(
    model: Path,
    board: Board,
    out: Path,
    name: str | None = None,
    board_spec: str | None = None,
    toolchain: str = "zig",
    optimize: str = "speed",
    data: str | None = None,
    lossless: bool = True,
) -> Exported:
    """The C package, models and firmware of a model as it is, in ``out``.

    A float model is quantized after training, with the samples that ``data`` names (see
    :func:`~mcuprune.tasks.samples.load_samples`); ``toolchain`` and ``optimize`` as in
    :class:`~mcuprune.config.RunConfig`; without ``lossless`` the network is exported unfolded.
    """
    found = load_model(str(model))
    if isinstance(found, QuantizedGraph):
        if data is not None:
            raise UsageError(f"'{model}' is quantized already and needs no samples; leave out --data")
        trained = PostTrained(found, None, None)
    elif isinstance(found, Graph):
        trained = post_train(found, data)
    else:
        raise UnsupportedError(
            f"'{model}' is a PyTorch module: `mcuprune compress {model} --data ...` trains and exports it"
        )
    manifest = Manifest(name or identifier(model.stem), toolchain, objective_of(optimize), lossless)
    with open_workspace(out) as space:
        source = (
            model.read_bytes() if isinstance(found, QuantizedGraph) and model.suffix == ".tflite" else None
        )
        board_file = board_text(board_spec or board.name)
        built = deploy(trained.graph, board, manifest, space.build, board_file, source)
        if trained.samples is not None:
            np.save(space.build / SAMPLES, trained.samples)
        space.publish()
    subject = replace(built.subject, elf=out / built.subject.elf.name)
    plan, objective = subject.plan, manifest.objective
    cost = price(subject.graph, plan, board.core, objective, manifest.toolchain)
    return Exported(str(out), replace(built, subject=subject), trained.quality, cost)


@dataclass(frozen=True)
class VerifyResult:
    proof: Proof
    rebuilt_equal: bool
    profile: tuple[LayerProfile, ...]
    latency: str = ""

    def text(self) -> str:
        head = ("compared", "with", "inputs", "result")
        rows = [
            (c.left, c.right, str(c.inputs or "-"), f"{c.status}{': ' + c.reason if c.reason else ''}")
            for c in self.proof.comparisons
        ]
        parts = [table(head, rows)]
        if not self.rebuilt_equal:
            parts.append("note: firmware.elf is not what the C in this folder compiles to; both were run")
        if self.profile:
            parts += [profile_text(self.profile), f"latency: {self.latency}"]
        return "\n\n".join(parts)


def verify(folder: Path, inputs: int = 200, profile: bool = False) -> VerifyResult:
    """Compare all executors on the C, the models and the firmware in ``folder``.

    The C is built anew, so that a change in it is found; where the result is not the folder's firmware.elf,
    that image is run too.  Raises MismatchError naming the first differing layer and index.
    """
    with tempfile.TemporaryDirectory(prefix="mcuprune-") as scratch:
        rebuilt = open_deployment(folder, rebuild=Path(scratch))
        shipped = open_deployment(folder)
        same = rebuilt.subject.elf.read_bytes() == shipped.subject.elf.read_bytes()
        values = make_inputs(rebuilt.subject.graph, inputs, read_samples(folder))
        proof = prove(rebuilt.subject, values)
        proof.require_equal()
        if not same:
            prove(shipped.subject, values).require_equal()
        rows = _profile(rebuilt, proof) if profile else ()
        time = _latency(rebuilt, proof) if profile else ""
    return VerifyResult(proof, same, rows, time)


def _latency(built: Deployment, proof: Proof) -> str:
    """From the counted cycles, with flash wait states and error bars."""
    subject, run = built.subject, proof.emulated
    if run is None or run.cycles is None:
        return f"the timing of the {subject.board.core.cpu} is not modelled"
    board = subject.board
    usage = breakdown(subject.graph, subject.plan, board.core, built.toolchain.name, board.flash)
    return replace(usage.latency, core=run.cycles.mid).text(board.clock_hz)


def _profile(built: Deployment, proof: Proof) -> tuple[LayerProfile, ...]:
    subject = built.subject
    if proof.emulated is None:
        raise ToolchainError(f"--profile: the instruction-set emulator has no {subject.board.core.cpu}")
    return layer_profiles(subject.graph, subject.plan, proof.emulated)
