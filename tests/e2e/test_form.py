"""`mcuprune compress` with inputs and blocks chosen: what the package says, and what a resumed run gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mcuprune import pipeline
from mcuprune.config import RunConfig
from mcuprune.errors import UsageError
from mcuprune.prune import choice
from mcuprune.report.model import Report

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(6, 12, (3, 1), padding=(1, 0)), nn.BatchNorm2d(12)
        self.body = nn.Conv2d(12, 12, (3, 1), padding=(1, 0))
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(x + self.body(x))
        return self.head(x.mean((2, 3)))
"""
BUDGET = "flash=4K,macs=6K"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six sensors, of which 1 and 4 know the class."""
    folder = tmp_path_factory.mktemp("form")
    (folder / "net.py").write_text(NET)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 400)
    x = rng.normal(size=(400, 16, 1, 6)).astype(np.float32)
    x[:, :, 0, 1] += 1.5 * (y % 2)[:, None]
    x[:, :, 0, 4] += 1.5 * (y // 2)[:, None]
    np.savez(folder / "data.npz", x=x, y=y)
    return folder


def config(place: Path, out: str, **more: object) -> RunConfig:
    values: dict[str, object] = {
        "model": f"{place}/net.py:Net",
        "data": f"{place}/data.npz",
        "budget": BUDGET,
        "epochs": 16,
    }
    return RunConfig.model_validate(
        {**values, "batch_size": 16, "controls": False, "out": place / out, **more}
    )


@pytest.fixture(scope="module")
def chosen(place: Path) -> Report:
    report, _ = pipeline.compress(config(place, "run", inputs=2, drop_blocks=True, distill=0.3))
    return report


def test_the_informative_sensors_are_read_and_said(place: Path, chosen: Report) -> None:
    header = (place / "run/c/include/net.h").read_text()
    assert "#define NET_INPUT_CHANNELS {1, 4}" in header
    assert "#define NET_INPUT_SIZE 32\n" in header
    assert any("channels 1, 4 of the 6 of the data" in note for note in chosen.notes)
    assert any(note.startswith(("All layers stay", "Left out")) for note in chosen.notes)
    assert chosen.task.input_shape == (16, 1, 2)
    final = chosen.accuracy("emulated")
    assert final is not None
    assert final.value > 0.8
    times = json.loads((place / "run/times.json").read_text())
    assert [part["name"] for part in times["parts"]] == ["choosing inputs", "choosing layers", "the teacher"]


def test_a_folder_with_chosen_inputs_opens_again(place: Path, chosen: Report) -> None:
    from mcuprune.recheck import verify

    assert "equal" in verify(place / "run", inputs=20).text()


def test_interrupted_between_and_within_choices_it_ends_the_same(
    place: Path, chosen: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = config(place, "again", inputs=2, drop_blocks=True, distill=0.3)
    whole_epoch, calls = choice._epoch, list[str]()

    def interrupted(run, setting, what):  # type: ignore[no-untyped-def]
        calls.append(what.name)
        if len(calls) in (3, 8):  # within the choice of inputs, and later of blocks
            raise KeyboardInterrupt
        return whole_epoch(run, setting, what)

    monkeypatch.setattr(choice, "_epoch", interrupted)
    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            pipeline.compress(wanted.model_copy(update={"resume": resume}))
    pipeline.compress(wanted.model_copy(update={"resume": True}))
    assert calls == ["inputs"] * 5 + ["blocks"] * 5, "four epochs each, one of each begun twice"
    for name in ("report.json", "model.tflite", "c/src/net.c"):
        assert (place / "run" / name).read_bytes() == (place / "again" / name).read_bytes(), name


CHAIN = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        sizes = (6, 20, 20, 20, 20)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(sizes, sizes[1:]))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for b in sizes[1:])
        self.head = nn.Linear(20, 4)

    def forward(self, x):
        for layer, norm in zip(self.layers, self.norms):
            x = torch.relu(norm(layer(x)))
        return self.head(x.mean((2, 3)))
"""


def test_a_chain_is_as_deep_as_it_trains_best(place: Path) -> None:
    """Two bits that one layer can tell: of four, under this budget, some only cost width."""
    (place / "chain.py").write_text(CHAIN)
    wanted = {"model": f"{place}/chain.py:Net", "budget": "macs=2K"}
    report, _ = pipeline.compress(config(place, "chain", **wanted))
    (note,) = (note for note in report.notes if note.startswith("Left out"))
    assert "the layers from relu_3 to relu_4" in note
    assert all(row.used is None or row.used <= 1 for row in report.resources)
    parts = json.loads((place / "chain/times.json").read_text())["parts"]
    assert [part["name"] for part in parts] == ["choosing layers"]
    first = (place / "chain/model.tflite").read_bytes()
    repeated = RunConfig.model_validate({**config(place, "chain2", **wanted).model_dump()})
    pipeline.compress(repeated)
    assert (place / "chain2/model.tflite").read_bytes() == first
    wide = {**wanted, "budget": "macs=8K"}  # more than three tenths of the channels: nothing is tried
    for out, more in (("kept", {**wanted, "drop_blocks": False}), ("wide", wide)):
        other, _ = pipeline.compress(config(place, out, **more))
        assert not any(note.startswith(("All layers stay", "Left out")) for note in other.notes)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"inputs": 7}, "has 6 channels; give 1 to 6"),
        ({"resolution": 8}, "no images"),
        ({"inputs": 1, "input_axis": "columns", "budget": "flash=1"}, "cannot be reached"),
    ],
)
def test_what_cannot_be_is_said_before_training(place: Path, more: dict[str, object], says: str) -> None:
    from mcuprune.errors import McupruneError

    with pytest.raises(McupruneError, match=says) as error:
        pipeline.compress(config(place, "never", **more))
    assert isinstance(error.value, UsageError) or "flash" in str(error.value)
    assert not (place / "never").exists()
