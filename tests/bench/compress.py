"""Compressed networks beside their controls, paired over seeds: ``make bench-compress``.

For every task, budget and seed one dense network, the compressed one, and the controls at the same budgets:
uniform width scaling, the found widths from scratch, one-shot magnitude pruning with fine-tuning.  All see
the same data and epochs and are judged on the test set.  Writes a table with 95 % bootstrap intervals of the
paired differences.

    python tests/bench/compress.py --task digits-scenes --seeds 5 --out docs/results
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mcuprune.board import load_board
from mcuprune.config import load_config
from mcuprune.errors import UsageError
from mcuprune.graph.passes import run_passes
from mcuprune.problem import DEMO_BUDGET, Problem, load_problem
from mcuprune.prune.experiment import run_experiment
from mcuprune.prune.methods import find_method
from mcuprune.prune.setting import Setting
from mcuprune.prune.target import make_target
from mcuprune.quantize.convert import dequantize_output, quantize, quantize_input
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.resources.model import ResourceModel
from mcuprune.tasks.task import Split, Task
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import Arrays, predict

BOARD = "stm32f4"
CONTROLS = ("uniform", "scratch", "magnitude")


@dataclass(frozen=True)
class Row:
    """Test metrics of one seed at one budget; ``ratio`` is training time over dense training time."""

    task: str
    budget: str
    seed: int
    dense: float
    ours: float
    int8: float
    uniform: float
    scratch: float
    magnitude: float
    flash: float
    ratio: float


def shorten(task: Task, samples: int | None) -> Task:
    """The first ``samples`` training samples (they are shuffled when loaded); test set untouched."""
    if samples is None or samples >= len(task.train):
        return task
    order = np.random.default_rng(0).permutation(len(task.train))[:samples]
    return replace(task, train=Split(task.train.x[order], task.train.y[order]))


def budgets_of(
    problem: Problem, dense: dict[str, float], fractions: list[float]
) -> dict[str, dict[str, float]]:
    """The demonstration's own budget, or fractions of the dense flash."""
    if not fractions:
        return {str(DEMO_BUDGET): DEMO_BUDGET.limits()}
    return {f"flash 1/{round(1 / f)}": {"flash": dense["flash"] * f} for f in fractions}


def run_seed(arguments: argparse.Namespace, seed: int, folder: Path) -> list[Row]:
    task_name = None if arguments.task == "digits-scenes" and not arguments.model else arguments.task
    flags = {
        "task": task_name,
        "seed": seed,
        "epochs": arguments.epochs,
        "data": arguments.data,
        "model": arguments.model,
    }
    problem = load_problem(load_config(None, flags))
    task = shorten(problem.task, arguments.samples)
    resources = ResourceModel(run_passes(problem.graph), load_board(BOARD).core)
    test, validation = task.test, task.validation

    def score(module: nn.Module) -> float:
        return task.score(predict(module, validation.x), validation.y)

    rows = []
    for name, limits in budgets_of(problem, resources.exact({}), arguments.fractions).items():
        space = folder / f"{seed}-{name.replace('/', '_')}"
        space.mkdir(parents=True, exist_ok=True)
        if (folder / f"{seed}-dense.pt").exists():
            shutil.copy(folder / f"{seed}-dense.pt", space / "dense.pt")
        target = make_target(problem.graph, resources, limits)
        recipe = replace(problem.recipe, seed=seed)
        data = Arrays(task.train.x, task.train.y, task.augment)
        setting = Setting(data, task.loss_function, recipe, score, task.calibration(), space)
        outcome = run_experiment(problem.graph, target, find_method(arguments.method), setting)
        shutil.copy(space / "dense.pt", folder / f"{seed}-dense.pt")
        assert outcome.dense is not None
        found = outcome.found
        graphs = {"dense": outcome.dense.graph, "ours": found.graph}
        graphs |= {k: outcome.controls[k].graph for k in CONTROLS}
        metrics = {k: task.score(predict(GraphModule(g), test.x), test.y) for k, g in graphs.items()}
        integer = quantize(found.graph, task.calibration(), ranges=found.ranges or None)
        outputs = dequantize_output(integer, run_int8(integer, quantize_input(integer, test.x)))  # type: ignore[arg-type]
        levels = {group: len(units) for group, units in found.keep.items()}
        flash = resources.exact(levels)["flash"]
        ratio = found.seconds / outcome.dense.seconds
        rows.append(
            Row(task.name, name, seed, int8=task.score(outputs, test.y), flash=flash, ratio=ratio, **metrics)
        )
        print(rows[-1], flush=True)
    return rows


def interval(differences: np.ndarray, draws: int = 10_000) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean."""
    rng = np.random.default_rng(0)
    means = rng.choice(differences, (draws, len(differences))).mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def table(rows: list[Row]) -> str:
    """Markdown: means over seeds, and ours minus each control with its interval, in points."""
    lines = [
        "| task | budget | seeds | dense | ours | ours int8 | uniform | scratch | magnitude "
        "| ours - uniform | ours - best control | training time |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for key in dict.fromkeys((row.task, row.budget) for row in rows):
        group = [row for row in rows if (row.task, row.budget) == key]
        mean = {
            k: 100 * np.mean([getattr(r, k) for r in group]) for k in ("dense", "ours", "int8", *CONTROLS)
        }
        best = max(CONTROLS, key=lambda k: mean[k])
        gains = {k: 100 * np.array([r.ours - getattr(r, k) for r in group]) for k in ("uniform", best)}
        shown = [
            f"{g.mean():+.1f} ({interval(g)[0]:+.1f} to {interval(g)[1]:+.1f})"
            for g in (gains["uniform"], gains[best])
        ]
        cells = [*key, str(len(group)), *(f"{mean[k]:.1f}" for k in ("dense", "ours", "int8", *CONTROLS))]
        cells += [shown[0], f"{best}: {shown[1]}", f"{np.mean([r.ratio for r in group]):.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="digits-scenes")
    parser.add_argument("--data", default=None)
    parser.add_argument(
        "--model", default=None, help="a built-in network, e.g. lenet (default: the task's own)"
    )
    parser.add_argument("--method", default="taylor")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--samples", type=int, default=None, help="training samples used (default: all)")
    parser.add_argument("--fractions", type=float, nargs="*", default=[], help="of the dense flash")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/bench-compress"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = [
        row for seed in arguments.seeds for row in run_seed(arguments, seed, arguments.work / arguments.task)
    ]
    arguments.out.mkdir(parents=True, exist_ok=True)
    name = f"compress-{arguments.task}-{'-'.join(map(str, arguments.seeds))}"
    (arguments.out / f"{name}.json").write_text(json.dumps([vars(r) for r in rows], indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        raise SystemExit(f"compress benchmark: {error}") from None
