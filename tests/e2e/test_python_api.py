"""`mcuprune.compress`, for those who have the model and the data as objects."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import mcuprune
from mcuprune.board import load_board
from mcuprune.deploy import open_deployment
from mcuprune.errors import AccuracyError, UsageError
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.passes import run_passes
from mcuprune.resources.model import ResourceModel, breakdown
from mcuprune.tasks.task import Split
from mcuprune.verify.prove import make_inputs


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()
        )
        self.head = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean((2, 3)))


@pytest.fixture(scope="module")
def task() -> mcuprune.Task:
    """Three levels of brightness."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 400)
    x = (rng.normal(size=(400, 8, 8, 1)) + 2 * y[:, None, None, None]).astype(np.float32)
    return mcuprune.classification("levels", Split(x[:300], y[:300]), Split(x[300:], y[300:]))


def test_a_module_becomes_firmware(task: mcuprune.Task, tmp_path: Path) -> None:
    torch.manual_seed(0)
    out = tmp_path / "run"
    report, times = mcuprune.compress(Net(), task, budget="flash=2K", epochs=6, batch_size=16, out=out)
    assert (out / "firmware.elf").exists()
    assert times.training_ratio is not None
    rows = {row.key: row for row in report.resources}
    assert rows["flash.total"].measured is not None
    assert rows["flash.total"].measured <= 2048

    board = load_board("stm32f4")
    dense = run_passes(trace(Net().eval(), (1, 8, 8)))
    for objective, is_dense in (("cycles", True), ("size", False)):
        plan = ResourceModel(dense, board.core, objective=objective).plan(dense)
        alone = breakdown(dense, plan, board.core, "zig", board.flash)
        figures = (rows["flash.total"].dense, rows["ram.total"].dense)
        assert ((alone.flash, alone.ram) == figures) is is_dense, "dense has the kernels of its own choice"
    assert (report.task.mean, report.task.std) == (task.mean, task.std)
    assert f"mean {task.mean[0]}, std {task.std[0]}" in (out / "report.html").read_text()
    graph = open_deployment(out).subject.graph
    with pytest.raises(UsageError, match="are not of a network that reads"):
        make_inputs(graph, 4, np.zeros((3, 63), np.int8))
    stated = {row.key: row.flash_bytes for row in report.accuracies}
    assert stated["dense"] == rows["flash.total"].dense


def test_features_that_int8_cannot_tell_apart_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    x = np.stack([1e5 * rng.normal(size=200), y + 0.1 * rng.normal(size=200)], axis=1).astype(np.float32)
    small, mended = (
        mcuprune.classification("units", Split(part[:150], y[:150]), Split(part[150:], y[150:]))
        for part in (x, x / np.float32([1e5, 1.0]))
    )
    for number, units in enumerate((small, mended)):
        options = {"epochs": 2, "controls": False, "out": tmp_path / str(number)}
        network = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
        with contextlib.suppress(AccuracyError):
            mcuprune.compress(network, units, **options)  # type: ignore[arg-type]
    text = [(tmp_path / str(number) / "report.html").read_text() for number in (0, 1)]
    assert "1 of 2 features have one int8 value for all test samples (the first is number 1)" in text[0]
    assert "have one int8 value" not in text[1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"family": ("flash=4K", "flash=2K")}, "no use for family"),
        ({"more_data": "voices", "data": "photos"}, "no use for data, more_data"),
        ({"epoch": 3}, "unknown key 'epoch'"),
        ({"input_axis": "columns"}, "give --inputs too"),
        ({"board": "stm32f5"}, "stm32f5"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    task: mcuprune.Task, options: dict[str, object], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        mcuprune.compress(Net(), task, **options)  # type: ignore[arg-type]
