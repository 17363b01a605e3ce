"""What a run's folder holds after an end that was not foreseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcuprune.errors import UsageError
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
    (tmp_path / "run" / BUILD).mkdir(parents=True)
    (tmp_path / "run" / BUILD / "half.elf").write_text("of another network")
    with open_workspace(tmp_path / "run") as space:
        (space.build / "report.json").write_text("{}")
        space.publish()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["report.json"]


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
