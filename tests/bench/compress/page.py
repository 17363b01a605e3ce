"""Result files as docs/results/compress.md, with its pictures beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.bench.compress.cells import units
from tests.bench.compress.experiments import DEFAULT_METHOD, Experiment
from tests.bench.compress.plots import draw
from tests.bench.compress.records import Record, path_of, read
from tests.bench.compress.rows import Row, current, gather, judged, verdict
from tests.bench.compress.sides import Side, as_lines, side_by_side

INTRODUCTION = """\
# Compressed networks beside their controls

    make bench-compress

Every row compares networks that saw the same data for the same number of epochs at the same budgets, paired
by seed or by fold. Test accuracies in percent (area under the curve where a title says so), means over seeds;
the training part alone decides what a network becomes, a validation part of it decided on defaults, the
test set is read once per network.

* Controls: `uniform` scales all widths by one factor; `scratch` trains the widths that were found anew,
  `scratch-b` for the same computation, at most twice the epochs; `magnitude` and `random` train dense, cut
  once, fine-tune.
* Differences are those of the float networks, in points, with 95 % bootstrap intervals of the mean over the
  pairs; repetitions of a fold (`+1`) are averaged first. The best control is the one that ours
  gains least on, of those that have every seed or fold.
* Ours int8 ends in int8 training; int8 of the dense network is rounded after training.
* Flash is constants and code, RAM arena (input included) and stack of the generated C for stm32f4; cycles are
  the upper bound of the model without wait states, as it was when the network was trained. A "nominal" saving
  (MACs, parameters) of which less than half arrives (cycles, flash) is named as not realised.
* Networks of the spoken digits (`taylor` and the controls), the demonstration, the accelerometer, the wand
  and the sounds were trained since channels of a layer share a multiplier
  (`docs/decisions/0006-shared-multipliers.md`). All others are older, with 5 to 6 bytes more for every
  channel: at the same widths they would take less flash now, and shares are those of a larger dense network.
  Of fully connected layers with DSP instructions that is so since later: the sounds and, for `taylor` and the
  controls, the accelerometer have it; in the others it is the classifier, 5 bytes for every class.
* Int8 is with channels equalized (`docs/explain/quantization.md`, section 11) for all networks of the
  accelerometer, the sounds and the spoken digits with more voices, and for `taylor` and the controls of the
  wand and the demonstration; for all others without.
* Training time is the processor time of our training phases over that of the dense network's training: of
  the latter's steps taken in turns with ours where they were, else of a training by the same kind of machine.
* The results themselves are in `docs/results/compress/*.jsonl`, one line per trained network.
"""
ACCURACY = (
    "budget",
    "method",
    "n",
    "dense",
    "ours",
    "ours int8",
    "uniform",
    "scratch",
    "scratch-b",
    "magnitude",
    "random",
    "ours - uniform",
    "ours - best control",
    "training time",
)
SIZES = (
    "budget",
    "network",
    "parameters",
    "flash",
    "constants",
    "RAM",
    "arena",
    "MACs",
    "modelled cycles",
    "kernels",
)
FIELDS = ("parameters", "flash", "constants", "ram", "arena", "macs", "cycles")
OVERVIEW = (
    "experiment, budget",
    "n",
    "figure asked",
    "best control, 1 point",
    "uniform, tightest two",
    "cost",
)
METHODS = """\
## Methods side by side

Float accuracy in percent over the units that all methods of a line have, the best of them in bold. Last line:
what a method lacks to the best of a line.
"""
SHORT = {True: "", False: "**not reached**: ", None: ""}
MARKS = {True: "reached", False: "**not reached**", None: "told"}


def write_page(experiments: Sequence[Experiment], results: Path) -> Path:
    """Writes the page beside the folder of results, and a picture for every experiment that has any."""
    page, parts, missing, first = results.with_suffix(".md"), list[str](), list[str](), list[list[str]]()
    sides = list[Side]()
    for experiment in experiments:
        records = read(path_of(results, experiment.name))
        found = current(experiment, records)
        rows = gather(experiment, found)
        if not rows:
            missing.append(f"`{experiment.name}`")
            continue
        first += _overview(rows)
        sides += side_by_side(rows)
        parts.append(_head(experiment))
        picture = results / f"{experiment.name}.svg"
        picture.write_text(draw(rows, experiment.title), encoding="utf-8")
        parts += [section(rows, found), f"![Accuracy against resources]({results.name}/{picture.name})\n"]
        if len(found) < len(records):
            parts.append(f"{len(records) - len(found)} older results, of other settings, are not shown.\n")
    if missing:
        parts.append(f"Described but not run with its present settings: {', '.join(missing)}.\n")
    overview = f"## In short: `{DEFAULT_METHOD}`, the default\n\n{_table(OVERVIEW, first)}"
    shown = [*([overview] if first else []), *([_methods(sides)] if sides else [])]
    page.write_text("\n".join([INTRODUCTION, *shown, *parts]), encoding="utf-8")
    return page


def _methods(sides: Sequence[Side]) -> str:
    head, lines = as_lines(sides)
    return f"{METHODS}\n{_table(head, lines)}"


def _overview(rows: Sequence[Row]) -> list[list[str]]:
    """A line for every budget, of the default method: what was asked and whether it is so."""
    lines = []
    for row in rows:
        if row.method != DEFAULT_METHOD:
            continue
        found = judged(row)
        shown = (found.figure, found.best_control, found.uniform, found.cost)
        told = ["; ".join(SHORT[held] + words for held, words in part) or "-" for part in shown]
        lines.append([f"{row.experiment.name}, {row.bound.name}", str(len(row.ours)), *told])
    return lines


def _head(experiment: Experiment) -> str:
    command = f'    make bench-compress ARGS="--only {experiment.name}"\n'
    note = f"\n{experiment.note}\n" if experiment.note else ""
    return f"## {experiment.title}\n\n{command}{note}"


def section(rows: Sequence[Row], records: Iterable[Record]) -> str:
    """Tables, verdicts and circumstances of one experiment."""
    parts = [_table(ACCURACY, [_accuracy(row) for row in rows]), _table(SIZES, _sizes(rows))]
    if "density" in (k.partition(":")[0] for row in rows for k, _ in row.bound.limits):
        parts.append(_densities(rows))
    parts += [_verdicts(rows), _circumstances(rows[0].experiment, list(records))]
    return "\n".join(parts)


def _accuracy(row: Row) -> list[str]:
    dense = {u: r for u, r in row.dense.items() if u in row.ours}
    cells = [row.bound.name, f"`{row.method}`", str(len(row.ours)), _percent(row, dense)]
    cells += [_percent(row, row.ours), f"{row.percent(row.ours, 'int8'):.2f}"]
    cells += [_percent(row, row.controls.get(name, {})) for name in ACCURACY[6:11]]
    gain = row.minus(row.controls.get("uniform", {}))
    cells += [str(gain or "-"), f"{row.best}: {row.gains[row.best]}" if row.best else "-"]
    return [*cells, "-" if row.ratio is None else f"{row.ratio:.2f}"]


def _percent(row: Row, records: Mapping[str, Record]) -> str:
    """Mean over the units that ours has too: an unfinished bench compares nothing else."""
    records = {unit: record for unit, record in records.items() if unit in row.ours}
    return f"{row.percent(records):.2f}" if records else "-"


def _sizes(rows: Sequence[Row]) -> list[list[str]]:
    """Means of the dense network once, and by budget of every method and shared control once."""
    lines = []
    if rows[0].dense:
        lines.append(["", "dense", *_figures(rows[0].dense)])
    for name in dict.fromkeys(row.bound.name for row in rows):
        same = [row for row in rows if row.bound.name == name]
        lines += [[name, f"`{row.method}`", *_figures(row.ours)] for row in same]
        shared = {k: v for k, v in same[0].controls.items() if not k.startswith("scratch")}
        lines += [[name, control, *_figures(records)] for control, records in shared.items()]
    return lines


def _figures(records: Mapping[str, Record]) -> list[str]:
    found = list(records.values())
    means = [f"{sum(r[field] for r in found) / len(found):,.0f}" for field in FIELDS]
    return [*means, "/".join(sorted({r["objective"] for r in found}))]


def _densities(rows: Sequence[Row]) -> str:
    head = (
        "budget",
        "method",
        "of",
        "limit",
        "by the gates alone",
        "exported",
        "exported / limit",
        "error %",
    )
    lines = []
    for row in rows:
        for resource, limit in row.bound.limits:
            layer, holds = resource.partition(":")[2], row.bound.holds(resource)
            gates = [r["gates"].get(resource) for r in row.ours.values()]
            known = [g for g in gates if g is not None]
            exported = row.density(resource)
            alone = f"{sum(known) / len(known):.4f}" if known else "-"
            told = f"{limit:.2f}" if holds == limit else f"{limit:.2f}, tied to {holds:.2f}"
            line = [row.bound.name, f"`{row.method}`", layer or "model", told, alone]
            error = f"{100 - row.percent(row.ours):.2f}"
            lines.append([*line, f"{exported:.4f}", f"{100 * exported / holds:.1f} %", error])
    return _table(head, lines)


def _verdicts(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        wanted = len(units(row.experiment))
        partly = f" ({len(row.ours)} of {wanted} so far)" if len(row.ours) < wanted else ""
        told = (
            "; ".join(f"{MARKS[held]}: {words}" for held, words in verdict(row)) or "nothing to compare with"
        )
        lines.append(f"* {row.bound.name}, `{row.method}`{partly}: {told}.")
    return "\n".join(lines) + "\n"


def _circumstances(experiment: Experiment, records: Sequence[Record]) -> str:
    what = "Folds" if experiment.folds else "Seeds"
    names = ", ".join(dict.fromkeys(str(r["unit"]) for r in records))
    epochs = ", ".join(map(str, sorted({r["epochs"] for r in records if r["name"] != "scratch-b"})))
    hours = sum(r["seconds"] for r in records) / 3600
    where = "; ".join(sorted({r["hardware"] for r in records}))
    told = f"{what}: {names}. Epochs: {epochs}. {hours:.1f} hours of processor time for training. {where}."
    network = f"`{experiment.model}`" if experiment.model else "the task's own"
    return f"{told} Network: {network}.\n"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows) + "\n"
