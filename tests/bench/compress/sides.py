"""All methods of every budget beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.compress.cells import DENSE
from tests.bench.compress.experiments import SHARED_CONTROLS
from tests.bench.compress.records import Record
from tests.bench.compress.rows import Row

LEAST_UNITS, LEAST_METHODS = 3, 3  # that make a line
OTHERS = (DENSE, *SHARED_CONTROLS)


@dataclass(frozen=True)
class Side:
    """Mean accuracies at one budget over the same ``n`` units: of methods, the dense network and controls."""

    name: str
    n: int
    methods: Mapping[str, float]
    others: Mapping[str, float]


def side_by_side(rows: Sequence[Row]) -> list[Side]:
    """One for every budget for which so many methods as :data:`LEAST_METHODS` are trained."""
    found = []
    for name in dict.fromkeys(row.bound.name for row in rows):
        same = [row for row in rows if row.bound.name == name and len(row.ours) >= LEAST_UNITS]
        if len(same) < LEAST_METHODS:
            continue
        shared = set.intersection(*(set(row.ours) for row in same))
        others = {DENSE: same[0].dense} | {c: same[0].controls.get(c, {}) for c in SHARED_CONTROLS}
        found.append(
            Side(
                f"{same[0].experiment.name}, {name}",
                len(shared),
                {row.method: _mean(row, row.ours, shared) for row in same},
                {k: _mean(same[0], v, shared) for k, v in others.items() if shared <= set(v)},
            )
        )
    return found


def _mean(row: Row, records: Mapping[str, Record], shared: set[str]) -> float:
    return row.percent({unit: records[unit] for unit in sorted(shared)})


def as_lines(sides: Sequence[Side]) -> tuple[list[str], list[list[str]]]:
    """A table's head and lines; the last one has what every method lacks to the best of a line."""
    methods = list(dict.fromkeys(method for side in sides for method in side.methods))
    lines = []
    for side in sides:
        best = max(side.methods.values())
        ours = [_shown(side.methods.get(method), best) for method in methods]
        lines.append([side.name, str(side.n), *ours, *(_shown(side.others.get(other)) for other in OTHERS)])
    whole = [side for side in sides if set(side.methods) == set(methods)]
    if whole:
        lacks = [sum(side.methods[m] - max(side.methods.values()) for side in whole) for m in methods]
        means = [f"{lack / len(whole):+.2f}" for lack in lacks]
        lines.append([f"mean of {len(whole)}, to the best", "", *means, *[""] * len(OTHERS)])
    controls = (f"{control} (control)" for control in SHARED_CONTROLS)
    return ["experiment, budget", "n", *(f"`{m}`" for m in methods), "dense", *controls], lines


def _shown(value: float | None, best: float | None = None) -> str:
    if value is None:
        return "-"
    return f"**{value:.2f}**" if value == best else f"{value:.2f}"
