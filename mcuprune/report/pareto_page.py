"""``sweep.html``: several runs beside each other, as one page without scripts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mcuprune.report import units
from mcuprune.report.html import drawn, page_environment
from mcuprune.report.pareto import Row, by_board, most_accurate
from mcuprune.report.svg import Scale, dot, line, nice_ticks, picture, polyline, spread, text

HUES = 6  # of the style sheet; further boards begin again
HEIGHT, TOP, BOTTOM, LEFT = 340.0, 14.0, 46.0, 58.0
CHARACTER = 6.6  # pixels, about, of the labels
FEW_SIZES = 5


@dataclass(frozen=True)
class BoardView:
    """The runs of a board; ``style``: the class of its colour."""

    name: str
    style: str
    rows: tuple[Row, ...]

    @property
    def winner(self) -> Row | None:
        """Its most accurate run, None where none succeeded."""
        return most_accurate(self.rows)

    @property
    def front(self) -> tuple[tuple[float, float], ...]:
        """(flash, accuracy) by flash, each more accurate than all that take less of it."""
        best = sorted(
            (row.flash, row.accuracy)
            for row in self.rows
            if row.best and row.flash and row.accuracy is not None
        )
        found: list[tuple[float, float]] = []
        for flash, accuracy in best:
            if not found or accuracy > found[-1][1]:
                found.append((flash, accuracy))
        return tuple(found)


def write_html(found: Sequence[Row], title: str) -> str:
    """The page as text.  Everything that comes from the model or the command line is escaped."""
    boards = _boards(found)
    return (
        page_environment()
        .get_template("pareto.html.j2")
        .render(
            title=title,
            boards=boards,
            count=sum(len(row.seeds) for row in found),
            drawing=drawn(lambda width: draw(boards, width)),
        )
    )


def _boards(found: Sequence[Row]) -> tuple[BoardView, ...]:
    return tuple(
        BoardView(name, f"board{index % HUES}", tuple(rows))
        for index, (name, rows) in enumerate(by_board(found).items())
    )


def draw(boards: Sequence[BoardView], width: float) -> str:
    """Accuracy over flash; for every board a staircase: what is reached with so much flash.

    Empty where no run has both.
    """
    shown = [row for board in boards for row in board.rows if row.accuracy is not None and row.flash]
    if not shown:
        return ""
    flashes, scores = [row.flash or 1.0 for row in shown], [row.accuracy or 0.0 for row in shown]
    right = 14.0 + CHARACTER * max(len(board.name) for board in boards)
    x = Scale(min(flashes) / 1.15, max(flashes) * 1.15, LEFT, width - right, logarithmic=True)
    levels = nice_ticks(min(scores), max(scores))
    y = Scale(levels[0], levels[-1], HEIGHT - BOTTOM, TOP)
    parts = []
    for level in levels:
        parts.append(line(x.start, y(level), x.stop, y(level), "grid"))
        words = units.metric(shown[0].metric, level)
        parts.append(text(x.start - 8, y(level) + 4, words, "tick", text_anchor="end"))
    for size in _sizes(x) or [min(flashes)]:
        parts.append(line(x(size), y.start, x(size), y.stop, "grid"))
        parts.append(text(x(size), y.start + 17, units.kibi(size), "tick", text_anchor="middle"))
    middle = (x.start + x.stop) / 2
    parts.append(text(middle, HEIGHT - 8, "flash", "tick", text_anchor="middle"))
    for board in boards:
        parts += _board(board, x, y)
    reached = [board for board in boards if board.front]
    ends = spread([y(b.front[-1][1]) + 4 for b in reached], 14, TOP + 4, y.start)
    parts += [text(x.stop + 8, at, b.name, f"end {b.style}") for b, at in zip(reached, ends, strict=True)]
    return picture(width, HEIGHT, "accuracy over flash", parts)


def _sizes(x: Scale) -> list[float]:
    """Powers of two along the axis; where they are few, what lies half way between them, too."""
    powers = [2.0**k for k in range(math.floor(math.log2(x.low)), math.ceil(math.log2(x.high)) + 1)]
    between = [1.5 * size for size in powers] if len(powers) <= FEW_SIZES else []
    return sorted(size for size in (*powers, *between) if x.low <= size <= x.high)


def _board(board: BoardView, x: Scale, y: Scale) -> list[str]:
    corners: list[tuple[float, float]] = []
    for flash, accuracy in board.front:
        corners += [(x(flash), corners[-1][1])] if corners else []
        corners.append((x(flash), y(accuracy)))
    parts = [polyline([*corners, (x.stop, corners[-1][1])], f"curve {board.style}")] if corners else []
    for row in board.rows:
        if row.accuracy is None or not row.flash:
            continue
        named = (row.board, row.budget, row.method, row.score)
        sizes = (f"{units.kibi(row.flash)} flash", f"{units.kibi(row.ram)} RAM", units.seconds(row.latency))
        kind = "dot" if row.best else "dot beaten"
        words = " · ".join(part for part in (*named, *sizes) if part)
        parts.append(
            dot(x(row.flash), y(row.accuracy), f"{kind} {board.style}", words, 4.5 if row.best else 3.5)
        )
    return parts
