"""What the terminal shows at the end of a run, and what changed between two runs."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from mcuprune.report import units
from mcuprune.report.console import print_report
from mcuprune.report.diff import as_markdown, as_text, changed, changes


def printed(report, times=None, width=110) -> str:
    stream = io.StringIO()
    print_report(report, times, Console(file=stream, width=width, highlight=False))
    return stream.getvalue()


def test_the_table_has_all_columns_and_rows(report, times):
    text = printed(report, times)
    flash = next(line for line in text.splitlines() if line.startswith("Flash"))
    assert flash.split() == [
        "Flash",
        "bytes",
        "10,752",
        "90,284",
        "10,708",
        "10,724",
        "+0.1",
        "%",
        "99.7",
        "%",
    ]
    assert "yes  exact: 0 differing bytes in 4 comparisons, 200 inputs each" in text
    assert "training took 1.01 x plain training" in text
    assert "\x1b[" not in text


def test_parts_follow_their_total(report):
    lines = printed(replace(report, resources=tuple(reversed(report.resources)))).splitlines()
    names = [line.split()[0] for line in lines[2:12]]
    assert names.index("RAM") < names.index("stack") < names.index("Flash") < names.index("code")


def test_over_budget_is_said(report):
    rows = tuple(replace(row, budget=5000) if row.key == "flash.total" else row for row in report.resources)
    assert "NO   fits: over budget: Flash" in printed(replace(report, resources=rows))


def test_default_console_is_plain_when_piped(report, capsys):
    print_report(report)
    text = capsys.readouterr().out
    assert "\x1b[" not in text
    assert "99.7 %" in text


def test_no_change(report):
    assert changed(report, report) == ()
    assert as_text(report, report) == "no figure differs"
    assert len(changes(report, report)) == 2 * 10 + 9 + 5 * 10


def test_changes_are_named_by_layer_and_figure(report):
    layers = (replace(report.layers[0], macs_after=12_830, cycles=60_000), *report.layers[1:])
    accuracies = tuple(replace(row, value=0.9115) if row.key == "int8" else row for row in report.accuracies)
    new = replace(report, layers=layers, accuracies=accuracies)
    text = as_text(report, new)
    found = {(change.where, change.what): change for change in changed(report, new)}
    assert found["stem.conv", "MACs"].difference == 1166
    assert ("stem.conv", "cycles") in found
    assert len(found) == 3
    assert "+10.0 %" in text
    assert "+1.0 pt" in text


def test_added_and_removed_layers(report):
    new = replace(report, layers=(*report.layers[:-1], replace(report.layers[-1], name="classifier")))
    rows = {(row[0], row[-2]) for row in (line.split(None, 1) for line in as_text(report, new).splitlines())}
    assert {name for name, _ in rows} == {"where", "classifier", "head"}
    assert "added" in as_text(report, new)
    assert "removed" in as_text(report, new)


def test_markdown_is_a_table(report):
    new = replace(report, layers=(replace(report.layers[0], name="a|b"), *report.layers[1:]))
    lines = as_markdown(report, new).splitlines()
    assert lines[0] == "| where | what | old | new | change | relative |"
    assert all(line.replace("\\|", "").count("|") == 7 for line in lines)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.kibi(5944), "5.8 KiB"),
        (units.kibi(6144), "6 KiB"),
        (units.kibi(512), "512 B"),
        (units.kibi(1 << 20), "1 MiB"),
        (units.short(1_234_567), "1.235 M"),
        (units.short(9_999), "9,999"),
        (units.short(10_000), "10 k"),
        (units.count(5944), "5,944"),
        (units.seconds(0.0138), "13.8 ms"),
        (units.seconds(125), "2 min 05 s"),
        (units.seconds(4e-5), "40 us"),
        (units.seconds(9.996e-4), "1 ms"),
        (units.seconds(9.99e-4), "999 us"),
        (units.signed_percent(0.0), "exact"),
        (units.signed_percent(-0.041), "−4.1 %"),
        (units.metric("psnr", 31.25), "31.2 dB"),
        (units.metric("accuracy", None), "–"),
        (units.shape((6, 6, 22)), "6×6×22"),
        (units.shape(()), "–"),
    ],
)
def test_figures_as_people_read_them(shown, expected):
    assert shown == expected
