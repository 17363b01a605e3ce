"""Report rows with what their bars need: every number that the HTML template shows is computed here."""

from __future__ import annotations

from dataclasses import dataclass

from mcuprune.report import units
from mcuprune.report.model import Accuracy, Layer, Region, Report, Resource, Section, Symbol
from mcuprune.report.verdict import final_accuracy

TOP_SYMBOLS = 10


@dataclass(frozen=True)
class Tile:
    """A headline figure; ``fill`` is the used percentage of a budget, when there is one."""

    label: str
    value: str
    details: tuple[str, ...]
    group: str
    fill: float | None = None
    over: bool = False


@dataclass(frozen=True)
class ResourceView:
    row: Resource
    part: bool  # a part of a total: indented
    fill: float | None  # percent of the budget, at most 100
    over: bool
    times_budget: str  # of the dense model


@dataclass(frozen=True)
class AccuracyView:
    row: Accuracy
    fill: float  # percent of the bar
    low: float | None
    high: float | None
    change: str  # against the dense model
    chosen: bool  # the figure the verdict rests on


@dataclass(frozen=True)
class LayerView:
    """Percentages are of the largest layer of the dense model (weights, MACs) or of all cycles."""

    row: Layer
    weights_before: float
    weights_after: float
    macs_before: float
    macs_after: float
    cycle_share: float | None


@dataclass(frozen=True)
class Segment:
    name: str
    size: int
    share: float  # percent
    style: str


@dataclass(frozen=True)
class RegionView:
    """``whole``: the region to scale.  ``parts``: what is used, enlarged.  ``symbols``: the largest."""

    region: Region
    used: int
    whole: tuple[Segment, ...]
    parts: tuple[Segment, ...]
    symbols: tuple[Segment, ...]


def tiles(report: Report) -> tuple[Tile, ...]:
    totals = [row for row in report.resources if row.key.endswith(".total")]
    shown = [row for row in totals if row.budget is not None or row.group in ("flash", "ram", "latency")]
    return (*(_accuracy_tiles(report)), *(_resource_tile(row) for row in shown if row.actual is not None))


def _resource_tile(row: Resource) -> Tile:
    details = [] if row.measured is not None else ["predicted"]
    if row.budget is not None:
        details.append(f"{units.percent(row.used)} of {_headline(row.budget, row.unit)}")
    if row.dense is not None:
        details.append(f"dense: {_headline(row.dense, row.unit)}")
    fill = None if row.used is None else min(100.0, 100 * row.used)
    over = row.used is not None and row.used > 1
    return Tile(row.label, _headline(row.actual, row.unit), tuple(details), row.group, fill, over)


def _accuracy_tiles(report: Report) -> tuple[Tile, ...]:
    final, dense, name = final_accuracy(report), report.accuracy("dense"), report.task.metric
    if final is None:
        return ()
    details = []
    if dense is not None:
        details.append(f"dense: {units.metric(name, dense.value)}")
    control = max(
        (row for row in report.accuracies if row.kind == "control"), key=lambda row: row.value, default=None
    )
    if control is not None:
        change = units.metric_change(name, final.value - control.value)
        details.append(f"{change} to the best control ({control.label})")
    label = "PSNR" if name == "psnr" else "Accuracy"
    return (Tile(label, units.metric(name, final.value), tuple(details), "score"),)


def _headline(value: float | None, unit: str) -> str:
    return units.kibi(value) if unit == "bytes" else units.quantity(value, unit)


def resource_views(report: Report) -> tuple[ResourceView, ...]:
    """Each group's total first, then its parts."""
    groups = list(dict.fromkeys(row.group for row in report.resources))
    ordered = sorted(
        report.resources, key=lambda row: (groups.index(row.group), not row.key.endswith(".total"))
    )
    views = []
    for row in ordered:
        ratio = row.dense / row.budget if row.dense and row.budget else None
        times = f"{ratio:.1f}× budget" if ratio else ""
        fill = None if row.used is None else min(100.0, 100 * row.used)
        over = row.used is not None and row.used > 1
        views.append(ResourceView(row, not row.key.endswith(".total"), fill, over, times))
    return tuple(views)


def accuracy_views(report: Report) -> tuple[AccuracyView, ...]:
    name, rows, dense, final = (
        report.task.metric,
        report.accuracies,
        report.accuracy("dense"),
        final_accuracy(report),
    )
    full = 1.0 if name != "psnr" else 1.1 * max((row.value for row in rows), default=1.0)

    def share(value: float | None) -> float | None:
        return None if value is None else min(100.0, max(0.0, 100 * value / full))

    def change(row: Accuracy) -> str:
        if dense is None or row is dense or row.n != dense.n:  # of other samples, a difference says nothing
            return ""
        return units.metric_change(name, row.value - dense.value)

    return tuple(
        AccuracyView(row, share(row.value) or 0.0, share(row.low), share(row.high), change(row), row is final)
        for row in rows
    )


def layer_views(report: Report) -> tuple[LayerView, ...]:
    rows = report.layers
    most_weights = max((max(row.weights_before, row.weights_after) for row in rows), default=0) or 1
    most_macs = max((max(row.macs_before, row.macs_after) for row in rows), default=0) or 1
    cycles = sum(row.cycles or 0 for row in rows)
    return tuple(
        LayerView(
            row,
            100 * row.weights_before / most_weights,
            100 * row.weights_after / most_weights,
            100 * row.macs_before / most_macs,
            100 * row.macs_after / most_macs,
            100 * row.cycles / cycles if cycles and row.cycles is not None else None,
        )
        for row in rows
    )


def region_views(report: Report) -> tuple[RegionView, ...]:
    return tuple(_region_view(region, report.sections) for region in report.board.regions)


def _region_view(region: Region, sections: tuple[Section, ...]) -> RegionView:
    inside = [section for section in sections if section.region == region.name and section.size]
    used = sum(section.size for section in inside)
    free = max(0, region.length - used - region.reserved)
    whole = (
        ("used", used, "used"),
        ("reserved for the application", region.reserved, "reserved"),
        ("free", free, "free"),
    )
    symbols = sorted(
        (item for section in inside for item in section.symbols), key=lambda item: (-item.size, item.name)
    )
    return RegionView(
        region,
        used,
        tuple(_segment(name, size, region.length, style) for name, size, style in whole if size),
        tuple(_segment(item.name, item.size, used, _style(item)) for item in inside),
        _largest(symbols),
    )


def _largest(symbols: list[Symbol]) -> tuple[Segment, ...]:
    most = max((item.size for item in symbols), default=0) or 1
    return tuple(_segment(item.name, item.size, most, "symbol") for item in symbols[:TOP_SYMBOLS])


def _segment(name: str, size: int, of: int, style: str) -> Segment:
    return Segment(name, size, 100 * size / of, style)


def _style(section: Section) -> str:
    """Colour by what a section holds, read from its conventional name."""
    kinds = ("text", "rodata", "arena", "stack", "data", "bss", "vectors")
    return next((kind for kind in kinds if kind in section.name), "other")
