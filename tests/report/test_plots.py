"""Pictures: scales, ticks and label placement on figures that can be checked by hand."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprune.report.model import ArenaPicture, ArenaTensor, Epoch
from mcuprune.report.plots import arena_over_time, training_curve
from mcuprune.report.svg import Scale, element, nice_ticks, spread


def test_scale_maps_its_ends():
    scale = Scale(0, 10, 100, 0)
    assert (scale(0), scale(10), scale(5)) == (100, 0, 50)
    logarithmic = Scale(1, 100, 0, 200, logarithmic=True)
    assert logarithmic(10) == pytest.approx(100)
    assert Scale(3, 3, 0, 10)(3) == 5


def test_ticks_are_round_and_enclose():
    assert nice_ticks(0, 1, 4) == [0, 0.5, 1.0]
    assert nice_ticks(0, 3312, 5, base=2) == [0, 1024, 2048, 3072, 4096]


@settings(deadline=None, max_examples=100)
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 8))
def test_ticks_enclose_any_range(low, span, wanted):
    ticks = nice_ticks(low, low + span, wanted)
    slack = (ticks[1] - ticks[0]) * 1e-6
    assert ticks[0] <= low + slack
    assert ticks[-1] >= low + span - slack
    assert len(ticks) <= wanted + 3


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=6))
def test_labels_keep_their_distance_and_order(positions):
    placed = spread(positions, 14, 0, 100)
    ordered = sorted(placed)
    assert all(right - left >= 14 - 1e-9 for left, right in pairwise(ordered))
    assert max(placed) <= 100
    ranks = sorted(range(len(positions)), key=lambda index: positions[index])
    assert [placed[index] for index in ranks] == ordered


def test_elements_escape_and_round():
    assert element("a", "b", class_="x y", stroke_width=1.25) == '<a class="x y" stroke-width="1.2">b</a>'
    assert element("a", title='"<') == '<a title="&quot;&lt;"/>'


@pytest.mark.parametrize("width", [400.0, 1040.0])
def test_pictures_are_well_formed_and_inside_their_frame(report, width):
    for drawing in (training_curve(report.curve, "accuracy", width), arena_over_time(report.arena, width)):
        root = ET.fromstring(drawing)
        _, _, right, bottom = map(float, root.attrib["viewBox"].split())
        assert right == width
        for box in root.iter("rect"):
            assert float(box.attrib["x"]) >= 0
            assert float(box.attrib["x"]) + float(box.attrib["width"]) <= right + 0.2
            assert float(box.attrib["y"]) + float(box.attrib["height"]) <= bottom + 0.2


def test_every_epoch_and_phase_is_drawn(report):
    root = ET.fromstring(training_curve(report.curve, "accuracy", 1040.0))
    curves = [item.attrib["points"].split() for item in root.iter("polyline")]
    assert sorted(len(points) for points in curves) == [13, 13, 13, 28, 28, 28, 28, 28]
    titles = " ".join(item.text or "" for item in root.iter("title"))
    for phase in ("warm-up: epochs 1 to 3", "pruning: epochs 4 to 16", "QAT: epochs 25 to 28"):
        assert phase in titles


def test_use_below_the_budget_is_below_the_line():
    curve = (Epoch(1, "p", 1.0, usage={"flash": 4.0}), Epoch(2, "p", 0.9, usage={"flash": 0.8}))
    root = ET.fromstring(training_curve(curve, "accuracy", 1040.0))
    limit = next(float(item.attrib["y1"]) for item in root.iter("line") if item.attrib["class"] == "limit")
    points = next(
        item.attrib["points"] for item in root.iter("polyline") if "of-flash" in item.attrib["class"]
    )
    first, last = (float(pair.split(",")[1]) for pair in points.split())
    assert first < limit < last


def test_tensors_lie_at_their_offsets_without_overlap():
    tensors = (ArenaTensor("a", 0, 512, 0, 1), ArenaTensor("b", 512, 512, 1, 1, "scratch"))
    drawing = arena_over_time(ArenaPicture(("s0", "s1"), tensors, 1024, 1024), 1040.0)
    boxes = [item.attrib for item in ET.fromstring(drawing).iter("rect") if "tensor" in item.attrib["class"]]
    lower, upper = boxes
    assert float(upper["y"]) + float(upper["height"]) <= float(lower["y"])
    assert float(lower["width"]) > 1.9 * float(upper["width"])
    assert float(lower["height"]) == pytest.approx(float(upper["height"]), abs=0.2)


def test_the_peak_step_is_shaded(report):
    drawing = arena_over_time(report.arena, 1040.0)
    assert re.search(r"peak: step 5, block3\.conv1", drawing)


def test_nothing_to_draw():
    assert training_curve((), "accuracy", 400.0) == ""
    assert arena_over_time(ArenaPicture(), 400.0) == ""


def test_a_curve_of_loss_only(report):
    curve = tuple(replace(row, accuracy=None, usage={}, multipliers={}) for row in report.curve)
    assert len(list(ET.fromstring(training_curve(curve, "accuracy", 400.0)).iter("polyline"))) == 1
