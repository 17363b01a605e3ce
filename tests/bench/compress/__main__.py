"""``python -m tests.bench.compress``: trains what is missing in the result files, then writes the page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from mcuprune.errors import McupruneError
from tests.bench.compress.cells import DENSE, KINDS, in_order
from tests.bench.compress.experiments import EXPERIMENTS, Experiment
from tests.bench.compress.page import write_page
from tests.bench.compress.records import append, path_of, read
from tests.bench.compress.training import record, summary


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.compress", description=__doc__)
    parser.add_argument("--only", nargs="+", help=f"of {', '.join(e.name for e in EXPERIMENTS)}")
    parser.add_argument("--seeds", type=int, nargs="+", help="seeds, or numbers of folds")
    parser.add_argument("--methods", nargs="+", help="with options, as of --method")
    parser.add_argument("--budgets", nargs="+", help='by name, e.g. "1/4"')
    parser.add_argument("--controls", nargs="*", help="which of the experiment's controls (default: all)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of networks to train")
    parser.add_argument("--epochs", type=int, help="others than the experiment's: give --results elsewhere")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--results", type=Path, default=Path("docs/results/compress"))
    parser.add_argument("--work", type=Path, default=Path("runs/bench-compress"), help="checkpoints")
    parser.add_argument("--page", action="store_true", help="write the page from what there is; no training")
    parser.add_argument("--list", action="store_true", help="name the cells that are missing; no training")
    return parser.parse_args(arguments)


def chosen(arguments: argparse.Namespace, known: Sequence[Experiment]) -> list[Experiment]:
    """The experiments asked for, with the methods, budgets and controls asked for."""
    names = arguments.only or [e.name for e in known]
    unknown = set(names) - {e.name for e in known}
    if unknown:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(e.name for e in known)}")
    found = []
    for experiment in (e for e in known if e.name in names):
        if arguments.epochs is not None:
            experiment = replace(experiment, epochs=arguments.epochs)
        if arguments.methods is not None:
            experiment = replace(experiment, methods=tuple(arguments.methods))
        if arguments.budgets is not None:
            kept = tuple(b for b in experiment.bounds if b.name in arguments.budgets)
            experiment = replace(experiment, bounds=kept)
        if arguments.controls is not None:
            kept_controls = tuple(c for c in experiment.controls if c in arguments.controls)
            experiment = replace(experiment, controls=kept_controls)
        found.append(experiment)
    if not any(e.bounds for e in found):
        names = [b.name for e in known if e.name in names for b in e.bounds]
        raise SystemExit(f"no such budget; known: {', '.join(names)}")
    return found


def fill(experiments: Sequence[Experiment], arguments: argparse.Namespace) -> int:
    """Trains and records every missing cell; the number of those that could not be trained."""
    done = {e.name: set(read(path_of(arguments.results, e.name))) for e in experiments}
    failed, without = 0, set()  # units whose data or dense network cannot be had
    for cell in in_order(experiments, arguments.seeds):
        name = cell.experiment.name
        if cell.kind not in arguments.kinds or cell.key in done[name] or (name, cell.unit) in without:
            continue
        if arguments.list:
            print(name, cell.key)
            continue
        try:
            found = record(cell, arguments.work)
        except McupruneError as error:
            failed += 1
            if cell.kind == DENSE:
                without.add((name, cell.unit))
            print(f"{name} {cell.key}: {error}", flush=True)
            continue
        append(path_of(arguments.results, name), found)
        done[name].add(cell.key)
        print(name, summary(found), flush=True)
    return failed


def main(arguments: Sequence[str] | None = None, known: Sequence[Experiment] = EXPERIMENTS) -> int:
    given = parse(arguments)
    torch.set_num_threads(given.threads)
    experiments = chosen(given, known)
    failed = 0 if given.page else fill(experiments, given)
    if not given.list:
        described = known if given.epochs is None else experiments
        print(write_page(described, given.results))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
