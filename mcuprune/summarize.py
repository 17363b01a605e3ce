"""From the results of the stages to a Report: plain bookkeeping, one small function per table."""

from __future__ import annotations

import math
import shlex
from importlib import metadata

import numpy as np

from mcuprune import __version__
from mcuprune.board import Board
from mcuprune.config import PLACES, RunConfig
from mcuprune.deploy import ORIGINAL, RECORD, Deployment
from mcuprune.evidence import Evidence
from mcuprune.figures import breakdowns, resource_rows, savings
from mcuprune.graph.ir import Graph, QuantizedGraph
from mcuprune.graph.op_shape import op_shape
from mcuprune.graph.passes import run_passes
from mcuprune.kernels import catalogue
from mcuprune.layers import layer_costs
from mcuprune.lossless.record import Folded
from mcuprune.plan.ir import Plan, planned_layers
from mcuprune.plan.live import lifetimes_of_plan
from mcuprune.quantize.convert import dequantize_output, quantize_input
from mcuprune.report import model as r
from mcuprune.resources.choices import kernel_choices
from mcuprune.resources.macs import macs
from mcuprune.score import Score, score_outputs
from mcuprune.tasks.task import Task
from mcuprune.verify.image import load_image


def make_report(e: Evidence) -> r.Report:
    """The report of a run; deterministic in its evidence."""
    plan, graph = e.built.subject.plan, e.built.subject.graph
    return r.Report(
        name=e.problem.name,
        command=command(e.config),
        method=e.config.method,
        seed=e.config.seed,
        board=board_summary(e.board),
        task=_task(e.problem.task, e.config),
        config=e.config.model_dump(mode="json", exclude={"out", "resume"}),
        versions=_versions(e.built),
        resources=resource_rows(e),
        savings=savings(e),
        accuracies=_accuracies(e),
        equalities=tuple(
            r.Equality(c.left, c.right, c.status, c.inputs, c.differing_bytes, c.reason)
            for c in e.proof.comparisons
        ),
        curve=tuple(
            r.Epoch(h.epoch, h.phase, h.loss, h.score, h.learning_rate, h.usage, h.multipliers)
            for h in e.outcome.found.history
        ),
        layers=_layers(run_passes(e.whole.graph), e),
        arena=arena_picture(graph, plan),
        sections=_sections(e),
        notes=_notes(e),
    )


def _notes(e: Evidence) -> tuple[str, ...]:
    """What the report's reader should know, most general first."""
    given = (e.problem.note,) if e.problem.note else ()
    found = (*_resolution(e), *_erased(e), *_folding(e.built.folded), *_sound(e))
    return (*given, *e.compressed.form.notes(), *found)


def _erased(e: Evidence) -> tuple[str, ...]:
    """Of vectors: features that differ among test samples, but not after quantization."""
    x = e.problem.task.test.x
    if x.ndim != 2:
        return ()
    codes = quantize_input(e.built.subject.graph, x)
    lost = np.flatnonzero((np.ptp(x, axis=0) > 0) & (codes == codes[0]).all(axis=0))
    if not len(lost):
        return ()
    return (
        f"{len(lost)} of {x.shape[1]} features have one int8 value for all test samples (the first is number "
        f"{lost[0]}): inputs share one scale. Bring features to similar ranges before training.",
    )


def _resolution(e: Evidence) -> tuple[str, ...]:
    if e.config.resolution is None:
        return ()
    rows, columns = e.problem.task.input_shape[:2]
    return (
        f"Images are averaged down to {rows}x{columns} before the network, in training and test; "
        "the firmware takes the smaller image.",
    )


def _sound(e: Evidence) -> tuple[str, ...]:
    return () if e.sound is None else (e.sound.note(e.board, e.problem.name),)


def _folding(folded: Folded | None) -> tuple[str, ...]:
    """What was folded after quantization, in one sentence; the run folder has the record by layer."""
    if folded is None or not folded.changes:
        return ()
    removed = sum(change.before - change.after for change in folded.changes)
    return (
        f"After quantization {removed} channels in {len(folded.changes)} layers were folded because they are "
        f"constant or unread; no output byte changes by it ({RECORD}, {ORIGINAL}).",
    )


def command(config: RunConfig) -> str:
    """The command line that repeats a run: every setting that is not its default."""
    values = config.model_dump(mode="json", exclude={*PLACES, "model", "family"})
    values["budget"] = [str(budget) for budget in config.family or (config.budget,)]
    usual = {name: field.default for name, field in RunConfig.model_fields.items()}
    parts = ["mcuprune", "compress", *([config.model] if config.model else [])]
    for name, value in values.items():
        flag = name.replace("_", "-")
        if value in (None, "", [""]) or (value == usual[name] and name not in ALWAYS):
            continue
        if isinstance(value, bool):
            parts.append(f"--{flag}" if value else NEGATED.get(name, f"--no-{flag}"))
        else:
            for one in value if isinstance(value, list) else [value]:
                parts += [f"--{flag}", str(one)]
    return shlex.join(parts)


def board_summary(board: Board) -> r.BoardSummary:
    main = {kind: board.memory.main(kind).name for kind in ("flash", "ram")}
    reserved = {main["flash"]: board.reserved.flash, main["ram"]: board.reserved.ram}
    banks = (*board.memory.banks("flash"), *board.memory.banks("ram"))
    isa = max(board.core.isa, key=("portable", "dsp", "mve").index)
    regions = tuple(r.Region(b.name, b.kind, b.origin, b.length, reserved.get(b.name, 0)) for b in banks)
    return r.BoardSummary(board.name, board.title, board.core.name, isa, board.clock_hz, regions)


def _task(task: Task, config: RunConfig) -> r.TaskSummary:
    return r.TaskSummary(
        name=task.name,
        label=task.data_kind,
        metric=task.metric,
        input_shape=task.input_shape,
        classes=task.classes or None,
        train_size=len(task.train),
        validation_size=len(task.validation),
        test_size=len(task.test),
        floor=config.min_accuracy,
        chance=task.chance if task.metric != "psnr" else None,
        mean=task.mean if task.front_end is None else (),
        std=task.std if task.front_end is None else (),
        labels=task.labels,
    )


def _versions(built: Deployment) -> dict[str, str]:
    packages = ("torch", "numpy", "unicorn", "tflite_micro", "onnx")
    found = {"mcuprune": __version__, "compiler": str(built.toolchain)}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


NEGATED = {"drop_blocks": "--keep-layers"}
ALWAYS = ("board", "method", "seed")  # said in the command also where they are the defaults

LABELS = {
    "dense": ("dense", "dense network, float", "dense"),
    "compressed": ("compressed", "compressed, float", "ours"),
    "int8": ("int8", "compressed, int8", "ours"),
    "host": ("host", "C on the host", "ours"),
    "uniform": ("uniform", "uniform width scaling, float", "control"),
    "scratch": ("scratch", "the found widths from scratch, float", "control"),
    "scratch-b": ("scratch-b", "the same for equal computation, float", "control"),
    "random": ("random", "cut once by chance, float", "control"),
    "magnitude": ("magnitude", "cut once by magnitude, float", "control"),
    "linear": ("linear", "linear classifier, float", "control"),
}


def _accuracies(e: Evidence) -> tuple[r.Accuracy, ...]:
    task = e.problem.task
    found = {key: score for key, score in e.scores.values.items() if key in LABELS}
    flash = {**e.scores.flash, "dense": breakdowns(e)[0].flash}
    rows = [_accuracy(*LABELS[key], found[key], task, flash.get(key)) for key in LABELS if key in found]
    run = e.proof.emulated
    if run is not None:
        graph = e.built.subject.graph
        count = min(len(run.outputs), e.problem.real_inputs, len(task.test))
        outputs = dequantize_output(graph, run.outputs[:count].reshape(count, *graph.shape(graph.outputs[0])))
        position = 1 + max((i for i, entry in enumerate(rows) if entry.kind == "ours"), default=-1)
        rows.insert(
            position,
            _accuracy(
                "emulated",
                "C on the emulated core",
                "ours",
                score_outputs(task, outputs),
                task,
                flash["emulated"],
            ),
        )
    return tuple(rows)


def _accuracy(key: str, label: str, kind: str, score: Score, task: Task, flash: int | None) -> r.Accuracy:
    low, high = wilson(score.value, score.n) if task.classes else (None, None)
    return r.Accuracy(key, label, kind, score.value, score.n, low, high, flash)


def wilson(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927)."""
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def _layers(dense: Graph, e: Evidence) -> tuple[r.Layer, ...]:
    graph, plan, run = e.built.subject.graph, e.built.subject.plan, e.proof.emulated
    why = {choice.layer: choice.why for choice in kernel_choices(graph, plan, e.board.core)}
    before = {node.name: node for node in dense.nodes}
    after = {node.name: node for node in graph.nodes}
    costs = [] if run is None else layer_costs(graph, plan, run)
    profile = {step.node: cost for step, cost in zip(plan.steps, costs, strict=False)}
    rows = []
    for name, used in planned_layers(plan):
        node, kernel = after[name], catalogue.kernel(used)
        shape = op_shape(node, graph.shape)
        old = op_shape(before[name], dense.shape) if name in before else None
        instructions, cycles = profile.get(name, (None, None))
        rows.append(
            r.Layer(
                name=name,
                op=type(node).__name__,
                kernel=used,
                shape_before=dense.shape(name) if old else (),
                shape_after=graph.shape(name),
                weights_before=int(kernel.constants(old)) if old else 0,
                weights_after=int(kernel.constants(shape)),
                macs_before=int(macs(old.node, old)) if old else 0,
                macs_after=int(macs(node, shape)),
                instructions=instructions,
                cycles=None if cycles is None else round(cycles.mid),
                sqnr_db=e.scores.sqnr.get(name),
                kernel_choice=why[name],
            )
        )
    return tuple(rows)


def arena_picture(graph: QuantizedGraph, plan: Plan) -> r.ArenaPicture:
    lives = lifetimes_of_plan(graph, plan)
    ends = {**dict.fromkeys(graph.inputs, "input"), **dict.fromkeys(graph.outputs, "output")}
    tensors = [
        r.ArenaTensor(name, plan.offsets[name], plan.sizes[name], first, last, ends.get(name, "tensor"))
        for name, (first, last) in lives.items()
    ]
    tensors += [
        r.ArenaTensor(f"{call.node}: scratch", call.scratch, call.scratch_bytes, i, i, "scratch")
        for i, call in enumerate(plan.steps)
        if call.scratch_bytes
    ]
    steps = tuple(call.node for call in plan.steps)
    return r.ArenaPicture(steps, tuple(tensors), plan.arena_bytes, plan.lower_bound)


def _sections(e: Evidence) -> tuple[r.Section, ...]:
    image = load_image(e.built.subject.elf)
    banks = (*e.board.memory.banks("flash"), *e.board.memory.banks("ram"))
    rows = []
    for section in image.sections:
        bank = next((b for b in banks if b.origin <= section.address < b.end), None)
        if section.size and bank is not None:
            inside = [s for s in image.symbols if s.size and section.holds(s.address)]
            largest = sorted(inside, key=lambda s: (-s.size, s.name))[:8]
            symbols = tuple(r.Symbol(s.name, s.size) for s in largest)
            rows.append(r.Section(section.name, bank.name, section.address, section.size, symbols))
    return tuple(rows)
