"""What a run's folder holds after an end that was not foreseen."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mcuprune.errors import UsageError
from mcuprune.report.folder import SWEEP, refuse_several
from mcuprune.workspace import BUILD, CONFIG, TRAINING, open_workspace


def broken(out: Path, error: BaseException, trained: bool) -> None:
    def run() -> None:
        with open_workspace(out, "seed = 1\n") as space:
            if trained:
                (space.training / "dense.pt").write_bytes(b"hours of work")
            raise error

    with pytest.raises(type(error)):
        run()


@pytest.mark.parametrize("error", [OSError("disk full"), UsageError("no"), KeyboardInterrupt()])
def test_finished_trainings_outlive_an_error(error: BaseException, tmp_path: Path) -> None:
    broken(tmp_path / "run", error, trained=True)
    with open_workspace(tmp_path / "run", "seed = 1\n", resume=True) as space:
        assert (space.training / "dense.pt").read_bytes() == b"hours of work"
        (space.build / "report.json").write_text("{}")
        space.publish()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["report.json", CONFIG]


def test_nothing_is_left_of_a_run_that_trained_nothing(tmp_path: Path) -> None:
    broken(tmp_path / "run", UsageError("no"), trained=False)
    assert list(tmp_path.iterdir()) == []
    broken(tmp_path / "run", KeyboardInterrupt(), trained=False)
    assert (tmp_path / "run" / TRAINING).is_dir(), "an interrupted run can be resumed from its start"


def test_what_a_killed_run_was_building_is_gone(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    for left in (str(ended.pid), "x1y2"):
        (tmp_path / "run" / f"{BUILD}{left}").mkdir(parents=True)
        (tmp_path / "run" / f"{BUILD}{left}" / "half.elf").write_text("of another network")
    with open_workspace(tmp_path / "run") as space:
        (space.build / "report.json").write_text("{}")
        space.publish()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["report.json"]


def test_what_another_run_is_building_stays(tmp_path: Path) -> None:
    other = tmp_path / "run" / f"{BUILD}{os.getppid()}"
    other.mkdir(parents=True)
    with open_workspace(tmp_path / "run") as space:
        (space.build / "report.json").write_text("{}")
        space.publish()
    assert other.is_dir()


def test_a_run_after_several_in_the_same_folder_can_be_read(tmp_path: Path) -> None:
    (tmp_path / SWEEP).write_text("{}")
    with pytest.raises(UsageError, match=r"several runs, .* none of them was finished"):
        refuse_several(tmp_path, "report.json")
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "report.json").write_text("{}")
    with pytest.raises(UsageError, match="give one: first"):
        refuse_several(tmp_path, "report.json")
    (tmp_path / "report.json").write_text("{}")
    refuse_several(tmp_path, "report.json")


def test_an_error_after_the_end_is_the_one_that_is_seen(tmp_path: Path) -> None:
    """Then the folder of trainings is gone already."""

    def run() -> None:
        with open_workspace(tmp_path / "run") as space:
            (space.build / "report.json").write_text("{}")
            space.publish()
            raise UsageError("late")

    with pytest.raises(UsageError, match="late"):
        run()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["report.json"]


def test_nothing_of_an_earlier_package_is_left(tmp_path: Path) -> None:
    """Samples and a report of another network would be taken for those of this one."""
    own = tmp_path / "out" / "notes.txt"
    own.parent.mkdir()
    own.write_text("mine")
    for names in (("deploy.json", "samples.npy", "report.json", "model.onnx"), ("deploy.json",)):
        with open_workspace(tmp_path / "out") as space:
            for name in names:
                (space.build / name).write_text("new")
            space.publish()
        assert sorted(path.name for path in own.parent.iterdir()) == sorted((*names, "notes.txt"))
