"""Savings on paper beside those of the device, and the flag where the device sees less than half."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from mcuprune.figures import nominal
from mcuprune.frontends.torch_export import trace
from mcuprune.report.console import summary
from mcuprune.report.html import write_html
from mcuprune.report.model import Amount, Phase, Report, Saving, Times
from mcuprune.report.pareto import Cell, as_text, rows
from mcuprune.report.serialize import report_from_json, to_json
from mcuprune.report.units import FLAGGED

HALF = Saving(Amount("MACs", "MACs", 1000, 200), Amount("cycles", "cycles", 5000, 3000))
LITTLE = Saving(Amount("parameters", "parameters", 1000, 200), Amount("flash", "bytes", 1000, 700))


def shown(report: Report) -> str:
    console = Console(file=StringIO(), width=110, no_color=True)
    console.print(summary(report))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(("ours", "flagged"), [(3000, False), (3001, True), (5000, True), (6000, True)])
def test_less_than_half_is_flagged(ours: int, flagged: bool) -> None:
    saving = replace(HALF, realised=replace(HALF.realised, ours=ours))
    assert HALF.nominal.saved == pytest.approx(0.8)
    assert saving.flagged is flagged


def test_nothing_saved_on_paper_flags_nothing() -> None:
    for cycles in (9, 10, 11):
        assert not Saving(Amount("MACs", "MACs", 10, 10), Amount("cycles", "cycles", 10, cycles)).flagged


def test_every_form_of_the_report_says_it(report: Report) -> None:
    report = replace(report, savings=(HALF, LITTLE))
    assert report_from_json(to_json(report)) == report
    assert shown(report).count(FLAGGED) == 1
    assert "30.0 %" in shown(report)
    assert write_html(report).count("under half of the nominal saving is realised") == 1
    table = as_text(rows([Cell("stm32f4", "flash=4K", "taylor", 0, "a", report)]))
    assert "flash saved under half of parameters" in table


def test_the_ratio_says_what_it_is_made_of() -> None:
    times = Times((), 40.0, 60.0, (Phase("the teacher", 40.0), Phase("choosing inputs", 10.0)))
    assert times.training_words == (
        "training took 1.50 x plain training of the dense model "
        "(1.00 for the teacher, 0.25 for choosing inputs)"
    )
    assert Times().training_words == ""


def test_on_paper_a_weight_of_zero_costs_nothing() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    graph = trace(net, (2, 4, 4), "net")
    assert nominal(graph) == (16 * 72 + 192, 72 + 4 + 192 + 3)
    name = next(node.weight for node in graph.nodes if hasattr(node, "weight"))
    values = np.array(graph.constants[name].values)
    values[:2] = 0.0
    sparse = replace(graph, constants=graph.constants | {name: replace(graph.constants[name], values=values)})
    assert nominal(sparse) == (16 * 36 + 192, 36 + 4 + 192 + 3)
