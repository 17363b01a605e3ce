"""The verdict: three answers, and what was not checked is never a pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcuprune.report.model import Equality, Resource
from mcuprune.report.verdict import FAIL, PASS, UNKNOWN, accurate, exact, final_accuracy, fits
from mcuprune.report.views import accuracy_views


def test_the_sample_run_passes(report):
    assert [answer.status for answer in (fits(report), exact(report), accurate(report))] == [PASS] * 3
    assert exact(report).detail == "0 differing bytes in 4 comparisons, 200 inputs each"


def test_one_byte_over_budget_fails(report):
    row = Resource("flash.total", "Flash", "bytes", budget=100, predicted=90, measured=101)
    answer = fits(replace(report, resources=(row,)))
    assert answer.status == FAIL
    assert "Flash" in answer.detail


def test_exactly_at_budget_fits(report):
    row = Resource("flash.total", "Flash", "bytes", budget=100, predicted=100, measured=100)
    assert fits(replace(report, resources=(row,))).status == PASS


@pytest.mark.parametrize(
    "rows",
    [(), (Resource("ram.total", "RAM", "bytes", predicted=3),), (Resource("ram.total", "RAM", "bytes", 9),)],
)
def test_without_a_budget_or_a_figure_nothing_is_claimed(report, rows):
    assert fits(replace(report, resources=rows)).status == UNKNOWN


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ((), UNKNOWN),
        ((Equality("numpy", "TFLM", "not applicable", reason="sine"),), UNKNOWN),
        ((Equality("numpy", "TFLM", "equal", 9, 0), Equality("numpy", "ELF", "not run")), UNKNOWN),
        (
            (Equality("numpy", "TFLM", "equal", 9, 0), Equality("numpy", "ELF", "differs", 9, 1, "conv1[3]")),
            FAIL,
        ),
        ((Equality("numpy", "TFLM", "equal", 9, 0), Equality("numpy", "ELF", "not applicable")), PASS),
    ],
)
def test_exactness(report, rows, status):
    assert exact(replace(report, equalities=rows)).status == status


def test_a_difference_is_located(report):
    rows = (Equality("numpy", "firmware.elf", "differs", 9, 1, "first at conv1[3]"),)
    assert "conv1[3]" in exact(replace(report, equalities=rows)).detail


def test_accuracy_rests_on_the_largest_sample_nearest_to_the_device(report):
    assert final_accuracy(report) is report.accuracy("host")
    rows = tuple(replace(row, n=200) for row in report.accuracies)
    assert final_accuracy(replace(report, accuracies=rows)).key == "emulated"
    assert final_accuracy(replace(report, accuracies=())) is None


@pytest.mark.parametrize(
    ("floor", "chance", "status"),
    [
        (0.95, 0.1, FAIL),
        (0.9015, 0.1, PASS),
        (0.05, 0.95, FAIL),  # a floor below chance does not make chance good enough
        (0.9015, None, PASS),
        (None, 0.95, FAIL),
        (None, 0.1, PASS),
        (None, None, UNKNOWN),
    ],
)
def test_accurate_enough(report, floor, chance, status):
    assert accurate(replace(report, task=replace(report.task, floor=floor, chance=chance))).status == status


def test_a_difference_to_dense_is_told_of_the_same_samples_only(report):
    changes = {view.row.key: view.change for view in accuracy_views(report)}
    assert changes["dense"] == changes["emulated"] == ""  # itself, and 200 of the 2,000
    assert changes["host"] == "−3.9 pt"
