"""Records gathered by budget and method, and what can be said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from mcuprune.prune.density import MODEL
from mcuprune.report.model import Amount, Saving
from tests.bench.compress.cells import CONTROL, DENSE, METHOD, Cell, Unit, group_of, units
from tests.bench.compress.experiments import (
    OWN_CONTROLS,
    SHARED_CONTROLS,
    Bound,
    Experiment,
)
from tests.bench.compress.paired import Difference, difference, mean
from tests.bench.compress.records import Record

TOLERATED = 1.0  # points below the best control
FILLED = 0.97  # of a density's limit that an export should reach
FIELDS = ("kind", "name", "of")  # of a cell
SAVINGS = (("nominal_macs", "MACs", "cycles", "cycles"), ("parameters", "parameters", "flash", "bytes"))


@dataclass(frozen=True)
class Row:
    """One method at one budget; records by unit, ``dense`` and ``controls`` (by name, then unit) likewise."""

    experiment: Experiment
    bound: Bound
    method: str
    ours: Mapping[str, Record]
    dense: Mapping[str, Record]
    controls: Mapping[str, Mapping[str, Record]]

    def percent(self, records: Mapping[str, Record], field: str = "score") -> float:
        """Mean over units; over all samples where folds are pooled."""
        values = [100 * r[field] for r in records.values()]
        return mean(values, [self._weight(r) for r in records.values()])

    def average(self, field: str, records: Mapping[str, Record] | None = None) -> float:
        return float(np.mean([r[field] for r in (self.ours if records is None else records).values()]))

    def minus(self, others: Mapping[str, Record]) -> Difference | None:
        """Ours minus theirs, float networks, in points; None where no unit has both."""
        both = [unit for unit in self.ours if unit in others]
        if not both:
            return None
        values = [[100 * records[unit]["score"] for unit in both] for records in (self.ours, others)]
        weights = [self._weight(self.ours[unit]) for unit in both]
        return difference(values[0], values[1], weights, [group_of(unit) for unit in both])

    @cached_property
    def gains(self) -> dict[str, Difference]:
        """Ours minus every control that has all our seeds or folds; of a fold, repetitions may be missing."""
        wanted = {group_of(unit) for unit in self.ours}
        whole = {
            name: theirs
            for name, theirs in self.controls.items()
            if {group_of(unit) for unit in self.ours if unit in theirs} == wanted
        }
        return {name: gain for name, theirs in whole.items() if (gain := self.minus(theirs))}

    @property
    def best(self) -> str:
        """The control that ours gains least on; empty without any."""
        return min(self.gains, key=lambda name: self.gains[name].mean, default="")

    @property
    def ratio(self) -> float | None:
        """Processor time of our training phases over that of the dense network's training: measured in
        turns, else where one kind of machine did both."""
        found = [_ratio(record, self.dense.get(unit)) for unit, record in self.ours.items()]
        known = [ratio for ratio in found if ratio is not None]
        return float(np.mean(known)) if known else None

    def densities(self, resource: str) -> list[float]:
        """What every network exports of a density, by the name that limits have."""
        return [r["densities"][resource] for r in self.ours.values()]

    def density(self, resource: str) -> float:
        return float(np.mean(self.densities(resource)))

    def _weight(self, record: Record) -> float:
        return float(record["n"]) if self.experiment.pooled else 1.0


def _ratio(ours: Record, dense: Record | None) -> float | None:
    if "dense_seconds" in ours:
        return float(ours["seconds"] / ours["dense_seconds"])
    if dense is None or ours["hardware"] != dense["hardware"]:
        return None
    return float(ours["seconds"] / dense["seconds"])


def current(experiment: Experiment, records: Mapping[str, Record]) -> list[Record]:
    """The records that were made with the experiment as it is now described."""
    bounds = {"": None} | {bound.name: bound for bound in experiment.bounds}
    found = []
    for record in records.values():
        unit = _unit(experiment, record["unit"])
        if unit is None or record["budget"] not in bounds:
            continue
        cell = Cell(experiment, unit, bounds[record["budget"]], *(record[k] for k in FIELDS))
        if cell.key == record["key"]:
            found.append(record)
    return found


def _unit(experiment: Experiment, name: str) -> Unit | None:
    seeds = [int(name)] if name.isdecimal() and not experiment.folds else None
    return next((unit for unit in units(experiment, seeds) if unit.name == name), None)


def gather(experiment: Experiment, records: Sequence[Record]) -> list[Row]:
    """Rows in the order of budgets; methods in the experiment's order, others behind."""

    def by_unit(budget: str, kind: str, name: str, of: str = "") -> dict[str, Record]:
        wanted = (budget, kind, name, of)
        found = {r["unit"]: r for r in records if (r["budget"], *(r[k] for k in FIELDS)) == wanted}
        return dict(sorted(found.items()))

    rows = []
    dense = by_unit("", DENSE, DENSE)
    for bound in experiment.bounds:
        seen = [r["name"] for r in records if r["budget"] == bound.name and r["kind"] == METHOD]
        known = [method for method in experiment.methods if method in seen]
        for method in dict.fromkeys((*known, *seen)):
            controls = {c: by_unit(bound.name, CONTROL, c) for c in SHARED_CONTROLS}
            controls |= {c: by_unit(bound.name, CONTROL, c, method) for c in OWN_CONTROLS}
            controls = {c: found for c, found in controls.items() if found}
            ours = by_unit(bound.name, METHOD, method)
            rows.append(Row(experiment, bound, method, ours, dense, controls))
    return rows


def tightest(experiment: Experiment) -> tuple[str, ...]:
    """Names of the two tightest budgets: the smallest shares, or all where there are no shares."""
    shared = sorted((b for b in experiment.bounds if b.share), key=lambda b: b.share or 1.0)
    return tuple(b.name for b in (shared or experiment.bounds)[:2])


Judgement = tuple[bool | None, str]  # True: reached, False: not, None: only told; and the words


class Judged(NamedTuple):
    """What a row shows, by what it is about."""

    figure: list[Judgement]
    density: list[Judgement]
    best_control: list[Judgement]
    uniform: list[Judgement]
    cost: list[Judgement]
    realised: list[Judgement]


def judged(row: Row) -> Judged:
    return Judged(_figure(row), _densities(row), _best(row), _uniform(row), _cost(row), _realised(row))


def verdict(row: Row) -> list[Judgement]:
    """All that the row shows."""
    return [judgement for part in judged(row) for judgement in part]


def _figure(row: Row) -> list[Judgement]:
    reach, int8 = row.bound.reach, row.percent(row.ours, "int8")
    found: list[Judgement] = []
    source = f" ({reach.source})" if reach.source else ""
    if reach.at_least is not None:
        found.append((int8 >= reach.at_least, f"{int8:.2f} % int8, {reach.at_least:.2f} asked{source}"))
    if reach.dense_gap is not None and row.dense:
        shared = {u: r for u, r in row.dense.items() if u in row.ours}
        gap = row.percent(shared) - int8
        found.append(
            (gap <= reach.dense_gap, f"int8 {gap:.2f} points below dense, {reach.dense_gap} allowed")
        )
    if reach.compared is not None:
        found.append((None, f"{int8:.2f} % int8, {int8 - reach.compared:+.2f} points to {reach.source}"))
    return found


def _densities(row: Row) -> list[Judgement]:
    """Exports fill published densities and are never above."""
    found: list[Judgement] = []
    for resource, _ in row.bound.limits:
        if resource.startswith(MODEL):
            limit = row.bound.holds(resource)
            whose = dict(row.bound.tied).get(resource)
            each = row.densities(resource)  # no mean: rounded, that of equal numbers can be above them
            filled = FILLED * limit <= min(each) and max(each) <= limit
            of = f"the limit of {whose}" if whose else "its limit"
            found.append((filled, f"{resource} at {row.density(resource) / limit:.1%} of {of}"))
    return found


def _cost(row: Row) -> list[Judgement]:
    if row.ratio is None:
        return []
    return [(row.ratio <= 1.0, f"training took {row.ratio:.2f} of the dense network's time")]


def _best(row: Row) -> list[Judgement]:
    if not row.best:
        return []
    gap = row.gains[row.best]
    return [(gap.mean >= -TOLERATED, f"{gap.mean:+.2f} points to the best control, {row.best}")]


def _uniform(row: Row) -> list[Judgement]:
    gain = row.minus(row.controls["uniform"]) if "uniform" in row.controls else None
    if gain is None or row.bound.name not in tightest(row.experiment):
        return []
    clear = gain.n > 1 and gain.low > 0
    return [(clear, f"{gain} points to uniform, interval {'clear' if clear else 'not clear'} of 0")]


def _realised(row: Row) -> list[Judgement]:
    """Flags savings of which less than half is left in what the board pays."""
    found: list[Judgement] = []
    dense = {u: r for u, r in row.dense.items() if u in row.ours}
    for paper, unit, device, real_unit in SAVINGS if dense else ():
        saving = Saving(
            Amount(unit, unit, row.average(paper, dense), row.average(paper)),
            Amount(device, real_unit, row.average(device, dense), row.average(device)),
        )
        if saving.flagged:
            on_paper, real = saving.nominal.saved, saving.realised.saved
            left = f"only by {real:.0%}" if real >= 0 else f"up by {-real:.0%}"
            found.append((False, f"{unit} down by {on_paper:.0%}, but {device} {left}"))
    return found
