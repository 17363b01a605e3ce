"""From a trained network to its package: quantized, built, run everywhere, compared, measured, reported."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcuprune.board import Board
from mcuprune.config import RunConfig
from mcuprune.deploy import Deployment, Manifest, board_text, deploy
from mcuprune.evidence import Evidence
from mcuprune.form import Compressed
from mcuprune.progress import Progress
from mcuprune.quantize.convert import quantize_trained
from mcuprune.report.html import write_html
from mcuprune.report.model import Phase, Report, Times
from mcuprune.report.serialize import to_json
from mcuprune.report.verdict import judge
from mcuprune.score import Scores, evaluate
from mcuprune.sound import add as add_sound
from mcuprune.summarize import make_report
from mcuprune.verify.prove import SAMPLES, Proof, make_inputs, prove

# That all executors are compared on: Problem.real_inputs of the test set, the others random bytes.
INPUTS = 200


@dataclass(frozen=True)
class Package:
    """What a run left in its folder, and the proof that it is judged by."""

    report: Report
    times: Times
    proof: Proof

    def judge(self) -> None:
        """Raise what the run failed at, by its report's verdict: equality, then budget, then accuracy."""
        self.proof.require_equal()
        judge(self.report)


def package(
    compressed: Compressed, board: Board, config: RunConfig, folder: Path, clock: Clock, progress: Progress
) -> Package:
    """Build, prove and report in ``folder``, which exists."""
    progress.stage("quantize, generate, build")
    problem, found = compressed.form.problem, compressed.outcome.found
    graph = quantize_trained(found.graph, problem.task.calibration(), found.ranges)
    objective = compressed.target.resources.objective
    manifest = Manifest(problem.name, config.toolchain, objective, picked=compressed.form.picked)
    built = deploy(graph, board, manifest, folder, board_text(config.board))
    front_end = problem.task.front_end
    sound = None if front_end is None else add_sound(front_end, built, folder)
    clock.lap("build")
    progress.stage("verify")
    proof, scores = _verify(compressed, built, folder)
    clock.lap("verification")
    report = make_report(Evidence(compressed, config, board, built, proof, scores, sound))
    times = _times(compressed, clock)
    _write(report, times, folder)
    return Package(report, times, proof)


def _verify(compressed: Compressed, built: Deployment, folder: Path) -> tuple[Proof, Scores]:
    scores, real = evaluate(compressed, built)
    samples = real[: compressed.form.problem.real_inputs]
    np.save(folder / SAMPLES, samples)
    return prove(built.subject, make_inputs(built.subject.graph, INPUTS, samples)), scores


class Clock:
    """Wall-clock time between stages; kept out of everything that must be reproducible."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.phases.append(Phase(name, now - self._last))
        self._last = now


def _times(compressed: Compressed, clock: Clock) -> Times:
    outcome = compressed.outcome
    dense = None if outcome.dense is None else outcome.dense.seconds
    parts = tuple(
        Phase(name, seconds) for name, seconds in {**compressed.form.seconds, **outcome.parts}.items()
    )
    training = outcome.found.seconds + sum(part.seconds for part in parts)
    return Times(tuple(clock.phases), dense, training, parts)


def _write(report: Report, times: Times, folder: Path) -> None:
    texts: Mapping[str, str] = {
        "report.json": to_json(report),
        "times.json": to_json(times),
        "report.html": write_html(report, times),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
