"""Several runs beside each other."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from mcuprune.report.model import Report
from mcuprune.report.pareto import Cell, as_text, conclusions, rows
from mcuprune.report.pareto_page import write_html


def changed(report: Report, accuracy: float, flash: int) -> Report:
    """The report with other figures; every other resource as it is."""
    resources = tuple(
        replace(row, measured=flash, predicted=flash, budget=None) if row.key == "flash.total" else row
        for row in report.resources
    )
    scores = tuple(replace(row, value=accuracy) for row in report.accuracies)
    return replace(report, resources=resources, accuracies=scores)


@pytest.fixture
def cells(report: Report) -> list[Cell]:
    return [
        Cell("stm32f4", "flash=8K", "taylor", 0, "a", changed(report, 0.90, 8000)),
        Cell("stm32f4", "flash=8K", "taylor", 1, "b", changed(report, 0.92, 8100)),
        Cell("stm32f4", "flash=4K", "taylor", 0, "c", changed(report, 0.85, 4000)),
        Cell("stm32f4", "flash=9K", "uniform", 0, "d", changed(report, 0.80, 9000)),
        Cell("rpi-pico", "flash=1K", "taylor", 0, "e", None, "flash: no widths reach 1,024 bytes"),
    ]


def test_seeds_are_pooled(cells):
    first = rows(cells)[0]
    assert first.seeds == (0, 1)
    assert first.accuracy == pytest.approx(0.91)
    assert (first.lowest, first.highest, first.flash) == (0.90, 0.92, 8100)


def test_best_are_those_that_no_run_of_the_board_beats(cells):
    assert [row.best for row in rows(cells)] == [True, True, False, False]
    dearer = replace(cells[2], report=changed(cells[2].report, 0.95, 2000))  # type: ignore[arg-type]
    assert [row.best for row in rows([*cells[:2], dearer, *cells[3:]])] == [False, True, False, False]


@pytest.mark.parametrize(("flash", "best"), [(7960, False), (7900, True)])
def test_a_cost_lower_by_less_than_a_percent_is_none(cells, flash, best):
    other = Cell("stm32f4", "flash=8K", "uniform", 0, "f", changed(cells[0].report, 0.80, flash))
    assert [row.best for row in rows([cells[0], other])] == [True, best]


def test_conclusions_name_what_fits_and_what_does_not(cells):
    best, nothing = conclusions(rows(cells))
    assert best.startswith("stm32f4: 91.0 % with taylor within flash=8K, 7.9 KiB flash")
    assert nothing == "rpi-pico: no run succeeded; flash: no widths reach 1,024 bytes"
    assert "91.0 % (90.0 % to 92.0 %)" in as_text(rows(cells))


def test_the_page_escapes_and_draws(cells):
    odd = replace(cells[-1], error="<b>bold</b>")
    page = write_html(rows([*cells[:-1], odd]), "scenes & more")
    assert "<b>bold</b>" not in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "<title>scenes &amp; more: mcuprune sweep</title>" in page
    assert page.count('class="dot board0"') == 2 * 2  # best rows, in both widths
    assert page.count('class="dot beaten board0"') == 2
    assert "<svg" not in write_html(rows([odd]), "nothing")


def test_the_page_leads_to_the_report_of_every_run(cells):
    page = write_html(rows([replace(cell, folder=f"runs/at/{cell.folder} 1") for cell in cells]), "scenes")
    assert [f'<a href="{name}%201/report.html">' in page for name in "abcde"] == [True] * 4 + [False]


def test_the_staircase_of_a_board_only_rises(cells):
    """4,000 bytes with 85 %, then 8,100 with 91 %: drawn in both widths; the other board has no run."""
    page = write_html(rows(cells), "scenes")
    lines = re.findall(r'<polyline points="([^"]*)" class="curve board0"', page)
    assert len(lines) == 2
    points = [tuple(map(float, point.split(","))) for point in lines[0].split()]
    assert len(points) == 4
    assert all(a[0] <= b[0] and a[1] >= b[1] for a, b in pairwise(points))
    assert "no run succeeded" in page
