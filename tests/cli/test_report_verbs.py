"""``mcuprune report`` and ``mcuprune diff`` on run folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mcuprune.report.serialize import to_json
from tests.report.conftest import sample_report

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1"}
    command = [sys.executable, "-m", "mcuprune", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "report.json").write_text(to_json(sample_report()), encoding="utf-8")
    return tmp_path


def test_report_is_shown_and_its_page_written(folder: Path) -> None:
    shown = run("report", folder)
    assert shown.returncode == 0, shown.stderr
    assert sample_report().board.name in shown.stdout
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_report_for_machines_is_the_file(folder: Path) -> None:
    shown = run("report", folder, "--json")
    assert json.loads(shown.stdout) == json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_equal_runs_do_not_differ(folder: Path) -> None:
    assert "no figure differs" in run("diff", folder, folder / "report.json").stdout


def test_diff_names_what_changed(folder: Path, tmp_path: Path) -> None:
    report = sample_report()
    first = report.accuracies[0]
    changed = replace(report, accuracies=(replace(first, value=first.value - 0.05), *report.accuracies[1:]))
    newer = tmp_path / "newer.json"
    newer.write_text(to_json(changed), encoding="utf-8")
    rows = json.loads(run("diff", folder, newer, "--json").stdout)
    assert len(rows) == 1
    assert rows[0]["old"] == pytest.approx(first.value)
    assert rows[0]["new"] == pytest.approx(first.value - 0.05)
    assert first.label in run("diff", folder, newer, "--markdown").stdout


@pytest.mark.parametrize(("content", "says"), [(None, "cannot be read"), ("{}", "report.json")])
def test_no_usable_report(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    ended = run("report", tmp_path)
    assert ended.returncode == 2
    assert says in ended.stderr
    assert not (tmp_path / "report.html").exists()
