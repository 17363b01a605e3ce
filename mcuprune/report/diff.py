"""What changed between two runs: resources, accuracies, and each layer's bytes, MACs and cycles."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mcuprune.report import units
from mcuprune.report.model import Accuracy, Layer, Report, Resource


@dataclass(frozen=True)
class Change:
    """One figure in both runs; ``None`` where a run does not have it."""

    where: str
    what: str
    old: float | None
    new: float | None
    unit: str

    @property
    def difference(self) -> float | None:
        return None if self.old is None or self.new is None else self.new - self.old


def changes(old: Report, new: Report) -> tuple[Change, ...]:
    """Every figure of either run, in the order of the new one; equal figures are included."""
    return (*_resources(old, new), *_accuracies(old, new), *_layers(old, new))


def changed(old: Report, new: Report) -> tuple[Change, ...]:
    """Only the figures that differ."""
    return tuple(change for change in changes(old, new) if change.old != change.new)


def as_text(old: Report, new: Report) -> str:
    """An aligned table of what differs; one line that says so when nothing does."""
    rows = _rows(changed(old, new))
    if not rows:
        return "no figure differs"
    table = [_HEADER, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEADER))]
    lines = []
    for row in table:
        names = (cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True))
        figures = (cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True))
        lines.append("  ".join((*names, *figures)).rstrip())
    return "\n".join(lines)


def as_markdown(old: Report, new: Report) -> str:
    """The same table for a pull request."""
    rows = _rows(changed(old, new))
    if not rows:
        return "No figure differs."
    lines = [_HEADER, ("---", "---", "---:", "---:", "---:", "---:"), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


_HEADER = ("where", "what", "old", "new", "change", "relative")


def _rows(found: Iterable[Change]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for change in found:
        relative = "" if change.unit in ("accuracy", "psnr") else _relative(change)
        rows.append(
            (change.where, change.what, _shown(change.old, change.unit), _shown(change.new, change.unit),
             _difference(change), relative)
        )  # fmt: skip
    return rows


def _shown(value: float | None, unit: str) -> str:
    return units.metric(unit, value) if unit in ("accuracy", "psnr") else units.quantity(value, unit)


def _difference(change: Change) -> str:
    if change.difference is None:
        return "added" if change.old is None else "removed"
    if change.unit in ("accuracy", "psnr"):
        return units.metric_change(change.unit, change.difference)
    sign = "+" if change.difference > 0 else "\N{MINUS SIGN}"
    return sign + units.quantity(abs(change.difference), change.unit)


def _relative(change: Change) -> str:
    return units.signed_percent(change.difference / change.old) if change.difference and change.old else ""


def _resources(old: Report, new: Report) -> Iterable[Change]:
    def name(row: Resource) -> str:
        total = row.key.endswith(".total")
        return row.label if total else f"{units.resource_name(row.group)} {row.label}"

    for before, after in _paired(old.resources, new.resources, lambda row: row.key):
        row = after or before
        yield Change("run", f"{name(row)} budget", _of(before, "budget"), _of(after, "budget"), row.unit)
        yield Change("run", name(row), _of(before, "actual"), _of(after, "actual"), row.unit)


def _accuracies(old: Report, new: Report) -> Iterable[Change]:
    def key(row: Accuracy) -> str:
        return row.key

    for before, after in _paired(old.accuracies, new.accuracies, key):
        row = after or before
        yield Change("run", row.label, _of(before, "value"), _of(after, "value"), new.task.metric)


LAYER_FIGURES = (
    ("channels", "channels_after", "channels"),
    ("weights", "weights_after", "bytes"),
    ("MACs", "macs_after", "MACs"),
    ("instructions", "instructions", "instructions"),
    ("cycles", "cycles", "cycles"),
)


def _layers(old: Report, new: Report) -> Iterable[Change]:
    def key(row: Layer) -> str:
        return row.name

    for before, after in _paired(old.layers, new.layers, key):
        for what, field, unit in LAYER_FIGURES:
            yield Change((after or before).name, what, _of(before, field), _of(after, field), unit)


def _of(row: object, field: str) -> float | None:
    return None if row is None else getattr(row, field)


def _paired(old: tuple, new: tuple, key: Callable) -> list[tuple]:
    """Rows of both runs by key: those of the new run in its order, then those only the old one has."""
    before, after = {key(row): row for row in old}, {key(row): row for row in new}
    return [(before.get(name), after.get(name)) for name in {**after, **before}]
