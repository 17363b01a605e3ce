"""Accuracy against flash, RAM and MACs as one SVG that can stand alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcuprune.report.svg import Scale, dot, element, line, nice_ticks, polyline, text
from tests.bench.compress.rows import Row

AXES = (("flash", "flash, bytes"), ("ram", "RAM, bytes"), ("macs", "MACs"))
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7a5195", "#8c564b", "#56b4e9", "#b8860b", "#666666")
PANEL, HEIGHT, LEFT, TOP, FOOT, GAP = 300.0, 240.0, 52.0, 24.0, 44.0, 16.0
LEGEND = 180.0  # pixels of an entry
STYLE = (
    "svg{font:12px sans-serif;background:#fff}text{fill:#222}.grid{stroke:#ddd}"
    ".curve{fill:none;stroke-width:1.6}.control{stroke-dasharray:4 3}.target{fill:transparent}"
)


@dataclass(frozen=True)
class Series:
    """Points (flash, RAM, MACs, percent) of a method, or of a control, by ascending flash."""

    name: str
    control: bool
    points: tuple[tuple[float, float, float, float], ...]


def series(rows: Sequence[Row]) -> list[Series]:
    """Means over seeds or folds; controls of a method's widths are those of the first method."""
    found: dict[tuple[bool, str], dict[str, tuple[float, float, float, float]]] = {}
    for row in rows:
        groups = {(False, row.method): row.ours} | {(True, c): r for c, r in row.controls.items()}
        for key, records in groups.items():
            sizes = (float(np.mean([r[axis] for r in records.values()])) for axis, _ in AXES)
            found.setdefault(key, {}).setdefault(row.bound.name, (*sizes, row.percent(records)))  # type: ignore[arg-type]
    return [Series(name, control, tuple(sorted(p.values()))) for (control, name), p in sorted(found.items())]


def draw(rows: Sequence[Row], title: str) -> str:
    """Three charts side by side with one legend; a dashed line for the dense network's accuracy."""
    shown = series(rows)
    dense = rows[0].percent(rows[0].dense) if rows[0].dense else None
    scores = [p[3] for s in shown for p in s.points] + ([] if dense is None else [dense])
    ticks = nice_ticks(min(scores), max(scores))
    y = Scale(ticks[0], ticks[-1], TOP + HEIGHT - FOOT, TOP)
    width = len(AXES) * (PANEL + GAP) + LEFT
    parts = [element("style", STYLE), text(LEFT, 14, title)]
    for index, (_, words) in enumerate(AXES):
        parts += _panel(shown, index, words, LEFT + index * (PANEL + GAP), y, ticks, dense)
    columns = int(width // LEGEND)
    for index, one in enumerate(shown):
        x, at = LEFT + index % columns * LEGEND, TOP + HEIGHT + 16 * (index // columns) + 8
        parts.append(element("g", line(x, at - 4, x + 18, at - 4, _class(one)), stroke=_colour(index)))
        parts.append(text(x + 23, at, one.name + " (control)" * one.control))
    height = TOP + HEIGHT + 16 * (1 + (len(shown) - 1) // columns) + 16
    view = {"viewBox": f"0 0 {width:.0f} {height:.0f}", "width": round(width), "height": round(height)}
    return element("svg", "".join(parts), xmlns="http://www.w3.org/2000/svg", role="img", **view) + "\n"


def _panel(
    shown: Sequence[Series],
    axis: int,
    words: str,
    left: float,
    y: Scale,
    ticks: Sequence[float],
    dense: float | None,
) -> list[str]:
    values = [p[axis] for s in shown for p in s.points]
    x = Scale(min(values) / 1.15, max(values) * 1.15, left, left + PANEL, logarithmic=True)
    parts = []
    for tick in ticks:
        parts.append(line(left, y(tick), left + PANEL, y(tick), "grid"))
        if axis == 0:
            parts.append(text(left - 6, y(tick) + 4, f"{tick:g} %", text_anchor="end"))
    if dense is not None:
        parts.append(element("g", line(left, y(dense), left + PANEL, y(dense), "control"), stroke="#222"))
        parts.append(text(left + 4, y(dense) + 13, f"dense {dense:.1f}"))
    for index, one in enumerate(shown):
        marks = [
            dot(x(p[axis]), y(p[3]), "dot", f"{one.name}: {p[3]:.2f} %, {p[axis]:,.0f} {words}")
            for p in one.points
        ]
        path = polyline([(x(p[axis]), y(p[3])) for p in one.points], _class(one))
        parts.append(element("g", path + element("g", "".join(marks), stroke="none"), **_paint(index)))
    for end, anchor in ((min(values), "start"), (max(values), "end")):
        parts.append(text(x(end), y.start + 16, f"{end:,.0f}", text_anchor=anchor))
    return [*parts, text(left + PANEL / 2, y.start + 32, words, text_anchor="middle")]


def _class(one: Series) -> str:
    return "curve control" if one.control else "curve"


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _paint(index: int) -> dict[str, object]:
    return {"stroke": _colour(index), "fill": _colour(index)}
