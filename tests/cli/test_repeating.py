"""What a command line becomes: the one that a report gives, and what a sweep takes from a file."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from mcuprune import family, pipeline
from mcuprune import sweep as sweeps
from mcuprune.budget import parse_budget
from mcuprune.cli import main
from mcuprune.config import PLACES, RunConfig, load_config
from mcuprune.errors import UsageError
from mcuprune.pipeline import check_names
from mcuprune.summarize import command


class Ran(Exception):
    """In place of the work: what it was asked for."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the verbs that train would have done."""
    found: list[object] = []

    def note(*arguments: object) -> None:
        found.extend(arguments)
        raise Ran

    for place, name in ((pipeline, "compress"), (family, "compress_family"), (sweeps, "sweep")):
        monkeypatch.setattr(place, name, note)
    return found


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["mcuprune", *arguments])
    with pytest.raises((Ran, SystemExit)):
        main()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"drop_blocks": False, "widths": "0.75:2.5", "controls": False},
        {"drop_blocks": True, "all_controls": True, "inputs": 3, "input_axis": "columns", "epochs": 7},
        {"model": "my nets/net.py:Net", "data": "photos of ann's", "name": "net", "min_accuracy": 0.9},
        {"budget": "flash=64K,latency=20ms", "method": "hard_concrete:gate_rate=3", "binding": "augmented"},
        {"family": ("flash=64K", "flash=16K"), "learning_rate": 1e-05, "device": "cpu", "toolchain": "gcc"},
        {"task": "digits", "augment": "none", "optimize": "size", "precision": "bf16", "optimizer": "sgd"},
    ],
)
def test_the_command_of_a_report_repeats_its_run(
    settings: dict[str, object], asked: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(None, settings)
    words = shlex.split(command(config))
    assert words[:2] == ["mcuprune", "compress"]
    run(words[1:], monkeypatch)
    again = asked[0]
    assert isinstance(again, RunConfig)
    assert again.model_dump(exclude=set(PLACES)) == config.model_dump(exclude=set(PLACES))


@pytest.mark.parametrize(
    ("flags", "budgets"),
    [((), ("flash=64K", "flash=16K")), (("--budget", "flash=8K"), ("flash=8K",))],
)
def test_a_sweep_gives_each_budget_of_a_family_its_own_run(
    flags: tuple[str, ...],
    budgets: tuple[str, ...],
    tmp_path: Path,
    asked: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "run.toml"
    file.write_text(RunConfig(task="digits", family=("flash=64K", "flash=16K")).to_toml())  # type: ignore[arg-type]
    run(["sweep", "--config", str(file), *flags], monkeypatch)
    base, grid = asked[:2]
    assert isinstance(base, RunConfig)
    assert isinstance(grid, sweeps.Grid)
    assert (base.family, grid.budgets) == ((), budgets)
    assert [str(c.budget) for c in sweeps.configurations(base, grid)] == list(budgets)


def test_a_sweep_writes_where_its_file_says(
    tmp_path: Path, asked: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run.toml"
    file.write_text('task = "digits"\nout = "my/place"\n')
    for flags, expected in (((), "my/place"), (("--out", "there"), "there")):
        asked.clear()
        run(["sweep", "--config", str(file), *flags], monkeypatch)
        assert isinstance(asked[0], RunConfig)
        assert asked[0].out == Path(expected)
    asked.clear()
    run(["sweep", "--task", "digits", "--out", "runs/latest"], monkeypatch)
    assert isinstance(asked[0], RunConfig)
    assert asked[0].out == Path("runs/latest")
    asked.clear()
    run(["sweep", "--task", "digits"], monkeypatch)
    assert isinstance(asked[0], RunConfig)
    assert asked[0].out == Path("runs/sweep")


@pytest.mark.parametrize("method", ["rigl", "connectivity_elements"])
def test_widths_are_refused_where_none_are_tried(method: str) -> None:
    with pytest.raises(UsageError, match=f"--widths: method {method} does not try several"):
        check_names(load_config(None, {"method": method, "widths": "0.5:2"}))
    check_names(load_config(None, {"method": method}))
    for other in ("taylor", "imp"):
        check_names(load_config(None, {"method": other, "widths": "0.5:2"}))


def test_every_budget_of_a_family_has_a_folder_below_that_of_the_run() -> None:
    config = RunConfig(out=Path("runs/mine"))
    folders = [family._member(config, parse_budget(text)).out for text in ("", "flash=32K")]
    assert folders == [Path("runs/mine/board"), Path("runs/mine/flash_32K")]
