"""The same runs wherever they are made: one process, several, a Dask cluster, Ray.

The clusters' packages are optional; where they are not installed, their tests skip.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import joblib
import pytest

from mcuprune.config import RunConfig
from mcuprune.engine import spread
from mcuprune.errors import UsageError
from mcuprune.sweep import Grid, sweep

GRID = Grid(budgets=("flash=8K",), seeds=(0, 1))
REASON = "{} is not installed: pip install {}"


def place(number: int) -> tuple[int, str, int]:
    return number, os.getcwd(), os.getpid()


class Busy:
    """Counts how many of its calls are under way in this process at the same time."""

    def __init__(self) -> None:
        self.now, self.most, self.lock = 0, 0, threading.Lock()

    def __call__(self, number: int) -> int:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.02)
        with self.lock:
            self.now -= 1
        return number


BUSY = Busy()


def work(number: int) -> int:
    return BUSY(number)


@pytest.mark.parametrize("jobs", [None, 1, 2])
def test_local_results_come_in_order(
    jobs: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And in the folder of the call, where processes of an earlier call may still be in another."""
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        monkeypatch.chdir(folder)
        found = list(spread(place, range(6), jobs, "local"))
        assert [number for number, _, _ in found] == list(range(6))
        assert {where for _, where, _ in found} == {str(folder)}
        assert (os.getpid() in {process for *_, process in found}) is (jobs == 1 or joblib.cpu_count() == 1)


@pytest.mark.parametrize("engine", ["spark", "local:here", ""])
def test_unknown_engines_are_named(engine: str) -> None:
    with pytest.raises(UsageError, match=f"--engine {engine}: choose local, dask, ray"):
        list(spread(place, [0], None, engine))


def test_no_jobs_are_refused() -> None:
    with pytest.raises(UsageError, match="--jobs 0: give how many"):
        list(spread(place, [0], 0, "local"))


def test_a_dask_worker_makes_one_run_at_a_time() -> None:
    distributed = pytest.importorskip("distributed", reason=REASON.format("Dask", "distributed"))
    here = {"processes": False, "n_workers": 1, "threads_per_worker": 4, "dashboard_address": None}
    with distributed.LocalCluster(**here) as cluster:
        found = list(spread(work, range(8), None, f"dask:{cluster.scheduler_address}"))
    assert found == list(range(8))
    assert (BUSY.now, BUSY.most) == (0, 1)


def test_a_dask_scheduler_that_is_not_there() -> None:
    dask = pytest.importorskip("dask", reason=REASON.format("Dask", "distributed"))
    pytest.importorskip("distributed", reason=REASON.format("Dask", "distributed"))
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "500ms"}),
        pytest.raises(UsageError, match="no Dask scheduler answers there"),
    ):
        list(spread(place, [0], None, "dask:tcp://127.0.0.1:1"))


@pytest.mark.parametrize(("engine", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_a_cluster_finds_what_one_process_finds(
    engine: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(package, reason=REASON.format(engine.capitalize(), package))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # of a session on this machine alone
    monkeypatch.chdir(tmp_path)
    base = RunConfig(task="digits", epochs=1, controls=False, out=Path("cluster"))
    lines: list[str] = []
    made = sweep(base, GRID, None, engine, lines.append)
    assert len(lines) == 2
    alone = sweep(base.model_copy(update={"out": Path("alone")}), GRID, 1)
    assert [row.failure for row in alone.rows] == [""]
    assert made.rows == alone.rows
    for cell in made.cells:
        other = tmp_path / "alone" / Path(cell.folder).name
        for file in ("report.json", "model.tflite"):
            assert (tmp_path / cell.folder / file).read_bytes() == (other / file).read_bytes()
