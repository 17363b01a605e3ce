"""Ctrl-C during training, then ``--resume``: the same bytes as a run that nobody disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.test_bad_input import NETWORKS

ROOT = Path(__file__).resolve().parents[2]
TIMED = {"times.json", "report.html"}  # what holds wall-clock times
COMMAND = [
    "compress",
    "net.py:Good",
    "--data",
    "good.npz",
    "--epochs",
    "8",
    "--seed",
    "3",
    "--budget",
    "flash=4K",
    "--no-controls",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    x = (rng.normal(0, 0.3, (200, 12, 12, 1)) + y[:, None, None, None]).astype(np.float32)
    np.savez(tmp_path / "good.npz", x=x, y=y)
    (tmp_path / "net.py").write_text(NETWORKS)
    return tmp_path


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "mcuprune", *COMMAND, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in TIMED)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_resumed_run_ends_in_the_same_bytes(folder: Path) -> None:
    undisturbed = start(folder, "--out", "undisturbed")
    _, shown = undisturbed.communicate(timeout=300)
    assert undisturbed.returncode == 0, shown

    interrupted = start(folder, "--out", "interrupted")
    assert interrupted.stderr is not None
    lines = []
    for line in interrupted.stderr:
        lines.append(line)
        if " 4/8 " in line:
            interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait(timeout=300) == 130
    assert "--resume" in lines[-1]
    assert [path.name for path in (folder / "interrupted").iterdir()] == [".training"]

    resumed = start(folder, "--out", "interrupted", "--resume")
    _, shown = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, shown
    assert " 8/8 " not in shown, "the epochs before the interruption are not trained again"
    assert contents(folder / "interrupted") == contents(folder / "undisturbed")


def test_resuming_what_was_never_begun_is_refused(folder: Path) -> None:
    resumed = start(folder, "--out", "nothing", "--resume")
    _, shown = resumed.communicate(timeout=300)
    assert resumed.returncode == 2
    assert "no interrupted run" in shown
    assert not (folder / "nothing").exists()
