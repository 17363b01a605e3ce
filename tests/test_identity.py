"""Runs are the same when their configuration, their model file and their data are."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from mcuprune import pipeline
from mcuprune.config import RunConfig
from mcuprune.errors import UsageError
from mcuprune.identity import identity
from mcuprune.sweep import finished
from mcuprune.workspace import CONFIG, TRAINING, open_workspace


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
        (space.build / "report.json").write_text("{}")
        space.publish()
    assert finished(out, identity(config))
    (out / TRAINING).mkdir()
    (out / TRAINING / CONFIG).write_text(identity(config))
    model.write_text("second")
    assert not finished(out, identity(config))
    with (
        pytest.raises(UsageError, match="another configuration, model file or data"),
        open_workspace(out, identity(config), resume=True),
    ):
        pass


def test_a_model_that_was_edited_while_it_trained_is_not_taken_for_what_was_trained(tmp_path: Path) -> None:
    model, out = tmp_path / "net.py", tmp_path / "run"
    model.write_text("first")
    config = RunConfig(model=f"{model}:Net", task="digits", out=out)
    with open_workspace(out, identity(config)) as space:
        model.write_text("second")
        (space.build / "report.json").write_text("{}")
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
