"""The training curve and the arena as SVG, coloured by CSS classes: one drawing for both themes and print."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby

from mcuprune.report import units
from mcuprune.report.model import ArenaPicture, ArenaTensor, Epoch
from mcuprune.report.svg import Scale, dot, element, line, nice_ticks, picture, polyline, rect, spread, text

CHARACTER = 6.2  # mean advance of the label font, pixels


@dataclass(frozen=True)
class Series:
    label: str
    style: str  # CSS class of its colour
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Panel:
    """One chart of the stack: its own vertical axis over the shared axis of epochs."""

    title: str
    height: float
    series: tuple[Series, ...]
    unit: str = ""  # "%" shows fractions as percent, "x" as multiples
    logarithmic: bool = False
    limit: float | None = None
    limit_label: str = ""
    ticks: tuple[float, ...] = field(default=())


LEFT, RIGHT, TOP, TITLE, BOTTOM = 46.0, 86.0, 24.0, 26.0, 34.0


def training_curve(curve: tuple[Epoch, ...], metric: str, width: float) -> str:
    """Metric, use of each budget, loss and multipliers by epoch, with the phases of the run as bands."""
    if not curve:
        return ""
    panels = [panel for panel in _panels(curve, metric) if panel.series]
    x = Scale(curve[0].epoch - 0.5, curve[-1].epoch + 0.5, LEFT, width - RIGHT)
    height = TOP + sum(panel.height + TITLE for panel in panels) + BOTTOM
    parts = _phases(curve, x, height - BOTTOM)
    top = TOP
    for panel in panels:
        parts += _draw_panel(panel, x, top + TITLE)
        top += TITLE + panel.height
    wanted = max(2, round((x.stop - x.start) / 90))
    for tick in nice_ticks(curve[0].epoch, curve[-1].epoch, wanted):
        if x.low <= tick <= x.high and tick == round(tick):
            parts.append(text(x(tick), top + 16, f"{tick:g}", "tick", text_anchor="middle"))
    parts.append(text((x.start + x.stop) / 2, top + 31, "epoch", "tick", text_anchor="middle"))
    return picture(width, height, "training curve with the use of each budget", parts)


def _panels(curve: tuple[Epoch, ...], metric: str) -> list[Panel]:
    scored = tuple((row.epoch, row.accuracy) for row in curve if row.accuracy is not None)
    usage = _by_resource({row.epoch: row.usage for row in curve})
    forces = _by_resource({row.epoch: row.multipliers for row in curve})
    most = max((value for item in usage for _, value in item.points), default=1.0)
    unit = "" if metric == "psnr" else "%"
    score_title = "PSNR on validation data, dB" if metric == "psnr" else "accuracy on validation data"
    return [
        Panel("use of each budget", 150, usage, "x", most > 2.5, limit=1.0, limit_label="budget"),
        Panel(score_title, 120, (Series(metric, "score", scored),) if scored else (), unit),
        Panel("loss", 80, (Series("loss", "ink", tuple((row.epoch, row.loss) for row in curve)),)),
        Panel("multipliers λ: how hard each budget pushes", 70, forces),
    ]


def _by_resource(rows: Mapping[int, Mapping[str, float]]) -> tuple[Series, ...]:
    keys = sorted({key for values in rows.values() for key, value in values.items() if value})
    return tuple(
        Series(
            units.resource_name(key),
            f"of-{key}",
            tuple((at, values[key]) for at, values in rows.items() if key in values),
        )
        for key in keys
    )


def _phases(curve: tuple[Epoch, ...], x: Scale, bottom: float) -> list[str]:
    parts = []
    for index, (name, group) in enumerate(groupby(curve, key=lambda row: row.phase)):
        epochs = [row.epoch for row in group]
        left, right = x(epochs[0] - 0.5), x(epochs[-1] + 0.5)
        title = f"{name}: epochs {epochs[0]} to {epochs[-1]}"
        parts.append(rect(left, TOP - 4, right - left, bottom - TOP + 4, f"band band{index % 2}", title))
        shown = _fitted(name, right - left)
        parts.append(text((left + right) / 2, TOP - 10, shown, "phase", text_anchor="middle"))
        if index:
            parts.append(line(left, TOP - 4, left, bottom, "boundary"))
    return parts


def _draw_panel(panel: Panel, x: Scale, top: float) -> list[str]:
    values = [value for series in panel.series for _, value in series.points]
    limits = [] if panel.limit is None else [panel.limit]
    ticks = _ticks(panel, min(values + limits), max(values + limits))
    y = Scale(ticks[0], ticks[-1], top + panel.height - 6, top, panel.logarithmic)
    parts = [text(x.start, top - 9, panel.title, "title")]
    for tick in ticks:
        parts.append(line(x.start, y(tick), x.stop, y(tick), "grid"))
        parts.append(text(x.start - 6, y(tick) + 3.5, _value(tick, panel.unit), "tick", text_anchor="end"))
    if panel.limit is not None:
        parts.append(line(x.start, y(panel.limit), x.stop, y(panel.limit), "limit"))
        parts.append(text(x.start + 4, y(panel.limit) + 13, panel.limit_label, "limit-label"))
    for series in panel.series:
        parts.append(polyline([(x(at), y(value)) for at, value in series.points], f"curve {series.style}"))
        for at, value in series.points[:: _dot_step(series, x)]:
            title = f"{series.label} {_value(value, panel.unit, 3)}, epoch {at}"
            parts.append(dot(x(at), y(value), f"dot {series.style}", title))
    ends = spread([y(series.points[-1][1]) + 4 for series in panel.series], 14, top + 2, top + panel.height)
    for series, end in zip(panel.series, ends, strict=True):
        last = _value(series.points[-1][1], panel.unit, 2)
        label = f"{series.label} {last}" if len(panel.series) > 1 else last
        parts.append(text(x.stop + 7, end, label, f"end {series.style}"))
    return parts


def _dot_step(series: Series, x: Scale) -> int:
    """Every how many epochs a mark with a tooltip fits; a narrow screen has no pointer and needs few."""
    return max(1, math.ceil(len(series.points) * 14 / (x.stop - x.start)))


def _ticks(panel: Panel, low: float, high: float) -> list[float]:
    if not panel.logarithmic:
        return nice_ticks(low, high, max(2, round(panel.height / 30)))
    ticks: list[float] = []
    tick = 1.0
    while tick > low * 1.02:
        tick /= 2
    while not ticks or ticks[-1] < high / 1.02:
        ticks.append(tick)
        tick *= 2 if high / low < 70 else 10
    return ticks


def _value(value: float, unit: str, digits: int = 0) -> str:
    if unit == "%":
        return f"{100 * value:.{min(digits, 1)}f} %"
    shown = f"{value:.{digits}f}" if digits and abs(value) < 100 else f"{value:.4g}"
    return f"{shown}×" if unit == "x" else shown


def _tail(name: str, room: int) -> str:
    """The end of a layer's dotted name says more than its beginning."""
    if len(name) <= room:
        return name
    return "…" + name[len(name) - room + 1 :] if room >= 3 else ""


def _fitted(name: str, width: float) -> str:
    room = int(width / CHARACTER)
    if len(name) <= room:
        return name
    return name[: room - 1] + "…" if room >= 3 else ""


def arena_over_time(arena: ArenaPicture, width: float) -> str:
    """Steps to the right, bytes upward: each tensor as wide as it lives and as high as its size."""
    if not arena.steps or not arena.arena_bytes:
        return ""
    left, right, top, plot = 58.0, 14.0, 26.0, 300.0
    longest = min(max(len(name) for name in arena.steps), 14)
    bottom = 22 + longest * 4.4
    column = (width - left - right) / len(arena.steps)
    ticks = nice_ticks(0, arena.arena_bytes, 5, base=2)
    y = Scale(0, max(arena.arena_bytes * 1.02, 1), top + plot, top)
    parts = [text(left - 52, top - 12, "bytes", "tick")]
    peak = _peak_step(arena)
    parts.append(
        rect(left + peak * column, top, column, plot, "peak", f"peak: step {peak}, {arena.steps[peak]}")
    )
    for tick in (value for value in ticks if value <= y.high):
        parts.append(line(left, y(tick), width - right, y(tick), "grid"))
        parts.append(text(left - 6, y(tick) + 3.5, units.count(tick), "tick", text_anchor="end"))
    parts += [_tensor(tensor, left, column, y) for tensor in arena.tensors]
    parts += _bounds(arena, left, width - right, y)
    for index, name in enumerate(arena.steps):
        x = left + (index + 0.5) * column
        label = text(0, 0, _tail(name, longest), "tick", text_anchor="end")
        parts.append(
            element("g", label, transform=f"translate({x + 3:.1f},{top + plot + 13:.1f}) rotate(-40)")
        )
    return picture(width, top + plot + bottom, "arena over time", parts)


def _peak_step(arena: ArenaPicture) -> int:
    """The step with most live bytes; the first of equals."""
    live = [
        sum(tensor.size for tensor in arena.tensors if tensor.first <= step <= tensor.last)
        for step in range(len(arena.steps))
    ]
    return live.index(max(live))


def _tensor(tensor: ArenaTensor, left: float, column: float, y: Scale) -> str:
    x, width = left + tensor.first * column, (tensor.last - tensor.first + 1) * column
    upper, height = y(tensor.offset + tensor.size), y(tensor.offset) - y(tensor.offset + tensor.size)
    title = (
        f"{tensor.name}: {tensor.size:,} bytes at {tensor.offset:,} to {tensor.offset + tensor.size - 1:,},"
        f" steps {tensor.first} to {tensor.last}"
    )
    box = rect(x + 1, upper + 0.5, width - 2, max(height - 1, 1.5), f"tensor {tensor.kind}", title, rx=2)
    name, size = _tail(tensor.name, int((width - 8) / CHARACTER)), f"{tensor.size:,} B"
    words = ""
    if height >= 13 and name:
        lower = height >= 27 and len(size) * CHARACTER < width - 8
        middle = upper + height / 2 + (-2.5 if lower else 3.5)
        words = text(x + width / 2, middle, name, "inside", text_anchor="middle")
        if lower:
            words += text(x + width / 2, middle + 13, size, "inside faint", text_anchor="middle")
    return box + words


def _bounds(arena: ArenaPicture, left: float, right: float, y: Scale) -> list[str]:
    size, bound = y(arena.arena_bytes), y(arena.lower_bound)
    words = f"arena {arena.arena_bytes:,} B, lower bound {arena.lower_bound:,} B"
    words += ": optimal" if arena.gap == 0 else f", gap {arena.gap:,} B"
    return [
        line(left, size, right, size, "arena-size"),
        line(left, bound, right, bound, "bound"),
        text(right, size - 6, words, "title", text_anchor="end"),
    ]
