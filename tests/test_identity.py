"""Runs are the same when their configuration, their model file and their data are."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from mcuprune import pipeline
from mcuprune.config import RunConfig
from mcuprune.errors import UsageError
from mcuprune.frontends.torch_export import trace
from mcuprune.identity import identity, of_objects
from mcuprune.report.model import BoardSummary, Report, TaskSummary
from mcuprune.report.serialize import to_json
from mcuprune.sweep import finished
from mcuprune.tasks.load import load_task
from mcuprune.tasks.task import Split
from mcuprune.training.augment import flip
from mcuprune.workspace import CONFIG, TRAINING, open_workspace

REPORT = to_json(
    Report("m", "c", "taylor", 0, BoardSummary("b", "b", "cortex-m4", "dsp", 1, ()), TaskSummary("t", "data"))
)


def test_without_files_it_is_the_configuration() -> None:
    config = RunConfig(task="digits", model="small_resnet:width=32")
    assert identity(config) == config.to_toml()


def test_what_files_hold_decides(tmp_path: Path) -> None:
    model, data, folder = tmp_path / "net.py", tmp_path / "data.npz", tmp_path / "words"
    model.write_text("class Net: ...")
    np.savez(data, x=np.zeros((4, 2)), y=np.arange(4))
    (folder / "yes").mkdir(parents=True)
    (folder / "yes" / "a.wav").write_bytes(b"1234")
    own = RunConfig(model=f"{model}:Net", data=str(data))
    words = RunConfig(data=str(folder))
    assert identity(own).startswith(own.to_toml())
    seen = {identity(own), identity(words)}
    model.write_text("class Net: pass")
    seen.add(identity(own))
    np.savez(data, x=np.ones((4, 2)), y=np.arange(4))
    seen.add(identity(own))
    (folder / "yes" / "a.wav").write_bytes(b"1235")
    seen.add(identity(words))
    (folder / "yes").rename(folder / "no")
    seen.add(identity(words))
    assert len(seen) == 6
    assert identity(own) in seen


def test_an_edited_model_is_neither_resumed_nor_taken_for_finished(tmp_path: Path) -> None:
    model, out = tmp_path / "net.py", tmp_path / "run"
    model.write_text("first")
    config = RunConfig(model=f"{model}:Net", task="digits", out=out)
    with contextlib.suppress(KeyboardInterrupt), open_workspace(out, identity(config)):
        raise KeyboardInterrupt
    with open_workspace(out, identity(config), resume=True) as space:
        (space.build / "report.json").write_text(REPORT)
        space.publish()
    assert finished(out, identity(config))
    (out / TRAINING).mkdir()
    (out / TRAINING / CONFIG).write_text(identity(config))
    model.write_text("second")
    assert not finished(out, identity(config))
    with (
        pytest.raises(UsageError, match="another configuration, model, data or board file"),
        open_workspace(out, identity(config), resume=True),
    ):
        pass


def test_a_model_that_was_edited_while_it_trained_is_not_taken_for_what_was_trained(tmp_path: Path) -> None:
    model, out = tmp_path / "net.py", tmp_path / "run"
    model.write_text("first")
    config = RunConfig(model=f"{model}:Net", task="digits", out=out)
    with open_workspace(out, identity(config)) as space:
        model.write_text("second")
        (space.build / "report.json").write_text(REPORT)
        space.publish()
    assert not finished(out, identity(config))
    model.write_text("first")
    assert finished(out, identity(config))


def test_the_identity_of_a_run_is_that_of_the_files_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "net.py"
    model.write_text("first")
    config = RunConfig(model=f"{model}:Net", task="digits", out=tmp_path / "run")
    before, seen = identity(config), list[object]()
    monkeypatch.setattr(pipeline, "ready_board", lambda config: None)
    monkeypatch.setattr(pipeline, "load_problem", lambda config: model.write_text("second"))
    monkeypatch.setattr(pipeline, "compress_problem", lambda *given: seen.append(given[-1]))
    pipeline.compress(config)
    assert seen == [before]
    assert identity(config) != before


def test_the_board_file_and_published_data_decide_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = tmp_path / "my.toml"
    board.write_text("[clock]")
    own = RunConfig(task="digits", board=str(board))
    seen = {identity(own)}
    board.write_text("[clocks]")
    seen.add(identity(own))
    published = RunConfig(task="har/0")
    for name in ("a", "b"):
        folder = tmp_path / name / "har_st" / "walking"
        folder.mkdir(parents=True)
        (folder / "0.csv").write_text(name)
        monkeypatch.setenv("MCUPRUNE_DATA", str(tmp_path / name))
        seen.add(identity(published))
    monkeypatch.delenv("MCUPRUNE_DATA")
    seen.add(identity(published))
    assert len(seen) == 5


def test_objects_are_told_apart_by_what_they_hold() -> None:
    task, config = load_task("digits", None), RunConfig(task=None)
    graph = trace(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), (1, 8, 8))
    other = trace(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), (1, 8, 8))
    few = replace(task, train=Split(task.train.x[:50], task.train.y[:50]))
    layer = nn.Linear(64, 10)
    bent = [trace(nn.Sequential(nn.Flatten(), layer, end), (1, 8, 8)) for end in (nn.ReLU(), nn.ReLU6())]
    scaled, moved = replace(task, mean=(0.5,)), replace(task, augment=flip)
    given = ((graph, task), (other, task), (bent[0], task), (bent[1], task), (graph, few))
    given += ((graph, scaled), (graph, moved), (graph, task))
    seen = [of_objects(config, g, t) for g, t in given]
    assert len(set(seen)) == 7
    assert seen[0] == seen[-1]
    assert seen[0].startswith(config.to_toml())
