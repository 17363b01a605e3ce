"""report.json and times.json: the same data in, the same bytes out, and damage is named."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprune.errors import UsageError
from mcuprune.report.model import (
    SCHEMA_VERSION,
    BoardSummary,
    Epoch,
    Layer,
    Phase,
    Report,
    Resource,
    TaskSummary,
    Times,
)
from mcuprune.report.serialize import report_from_json, times_from_json, to_json


def test_round_trip_is_exact(report, times):
    text = to_json(report)
    assert report_from_json(text) == report
    assert to_json(report_from_json(text)) == text
    assert times_from_json(to_json(times)) == times


def test_records_keep_declared_order_and_mappings_are_sorted(report):
    data = json.loads(to_json(report))
    assert list(data)[:4] == ["name", "command", "method", "seed"]
    assert list(data["config"]) == sorted(data["config"])
    assert to_json(report) == to_json(replace(report, config=dict(reversed(list(report.config.items())))))


def test_numpy_scalars_become_plain_numbers():
    row = Resource("flash.total", "Flash", "bytes", measured=np.int64(12))
    epoch = Epoch(np.int64(1), "pruning", np.float32(0.5), usage={"flash": np.float64(1.5)})
    report = Report("m", "c", "keep_ratio", 0, BOARD, TASK, resources=(row,), curve=(epoch,))
    data = json.loads(to_json(report))
    assert data["resources"][0]["measured"] == 12
    assert data["curve"][0]["usage"] == {"flash": 1.5}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda data: data.pop("board"), "board"),
        (lambda data: data.update(surprise=1), "surprise"),
        (lambda data: data["layers"][0].update(weights_after="many"), "layers.0.weights_after"),
        (lambda data: data.update(schema_version=SCHEMA_VERSION + 1), "schema_version"),
    ],
)
def test_a_damaged_file_is_refused_by_field(report, change, named):
    data = json.loads(to_json(report))
    change(data)
    with pytest.raises(UsageError, match=named):
        report_from_json(json.dumps(data))


def test_text_that_is_no_json_is_refused():
    with pytest.raises(UsageError, match=r"report\.json"):
        report_from_json("{")


def test_a_figure_that_is_not_finite_is_refused():
    with pytest.raises(UsageError, match="training_s"):
        to_json(Times(training_s=float("nan")))


def test_training_ratio():
    times = Times((Phase("pruning", 30.0),), dense_training_s=40.0, training_s=42.0)
    assert times.training_ratio == pytest.approx(1.05)
    assert Times(training_s=42.0).training_ratio is None


def test_derived_figures_of_a_resource():
    row = Resource("flash.total", "Flash", "bytes", budget=1000, predicted=800, measured=820)
    assert (row.group, row.actual) == ("flash", 820)
    assert row.used == pytest.approx(0.82)
    assert row.error == pytest.approx(0.025)
    assert Resource("flash.total", "Flash", "bytes", predicted=800).used is None
    assert replace(row, measured=None).actual == 800
    assert replace(row, measured=None).error is None


finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=12)


@settings(deadline=None, max_examples=40)
@given(
    layers=st.lists(
        st.builds(Layer, texts, texts, sqnr_db=st.none() | finite, weights_after=st.integers()), max_size=4
    ),
    curve=st.lists(
        st.builds(Epoch, st.integers(0, 99), texts, finite, usage=st.dictionaries(texts, finite)), max_size=4
    ),
)
def test_any_report_survives_the_round_trip(layers, curve):
    report = Report("m", "c", "x", 0, BOARD, TASK, layers=tuple(layers), curve=tuple(curve))
    assert report_from_json(to_json(report)) == report


BOARD = BoardSummary("b", "board", "cortex-m4", "dsp", 1)
TASK = TaskSummary("t", "a task")
