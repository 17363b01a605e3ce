"""Many runs from one command: which are made, that none is made twice, and what a failure leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcuprune import engine as engine_module
from mcuprune import share
from mcuprune import sweep as sweeps
from mcuprune.board import load_board
from mcuprune.budget import Budget
from mcuprune.config import RunConfig
from mcuprune.deploy import read_manifest
from mcuprune.errors import BudgetError, ToolchainError, UsageError
from mcuprune.problem import DEMO_BUDGET
from mcuprune.report.folder import read_report
from mcuprune.report.model import Accuracy, BoardSummary, Report, Resource, TaskSummary
from mcuprune.report.serialize import to_json
from mcuprune.sweep import Grid, configurations, sweep
from mcuprune.workspace import CONFIG, TRAINING

GRID = Grid(("stm32f4", "rpi-pico"), ("flash=8K", "flash=4K"), ("taylor",), (0, 1))


@pytest.fixture
def base(tmp_path: Path) -> RunConfig:
    return RunConfig(task="digits", epochs=1, out=tmp_path / "sweep")


class Compressor:
    """In place of the pipeline: writes a report, or fails where the flash budget is 4K."""

    def __init__(self) -> None:
        self.made: list[RunConfig] = []

    def __call__(self, config: RunConfig) -> None:
        self.made.append(config)
        if config.budget.flash == 4096:
            raise BudgetError("flash: 5,000 used at least, 4,096 allowed")
        over = config.method == "imp"
        report = Report(
            name="digits",
            command="",
            method=config.method,
            seed=config.seed,
            board=BoardSummary(config.board, config.board, "cortex-m4", "dsp", 1, ()),
            task=TaskSummary("digits", "real data", "accuracy", (8, 8, 1)),
            resources=(Resource("flash.total", "Flash", "bytes", 8192, 9000, 8000, 8000 + 999 * over),),
            accuracies=(Accuracy("int8", "int8", "ours", 0.9 + 0.01 * config.seed, 100, None, None, None),),
        )
        config.out.mkdir(parents=True, exist_ok=True)
        (config.out / "report.json").write_text(to_json(report))
        (config.out / CONFIG).write_text(config.to_toml())
        if over:
            raise BudgetError("flash: 8,999 measured, 8,192 allowed")


@pytest.fixture
def compressor(monkeypatch: pytest.MonkeyPatch) -> Compressor:
    made = Compressor()
    monkeypatch.setattr(sweeps, "compress", made)
    return made


def test_every_combination_has_a_folder_of_its_own(base):
    found = configurations(base, GRID)
    assert len({config.out for config in found}) == len(found) == 8
    assert found[0].out.name == "stm32f4-flash_8K-taylor-seed0"
    assert {(c.board, str(c.budget), c.seed) for c in found} == {
        (board, budget, seed) for board in GRID.boards for budget in GRID.budgets for seed in GRID.seeds
    }
    (only,) = configurations(base, Grid())
    assert (only.board, only.method, only.epochs) == (base.board, base.method, 1)


def test_unknown_boards_and_engines_are_found_before_any_run(base, compressor):
    with pytest.raises(UsageError, match="stm32f5"):
        sweep(base, Grid(boards=("stm32f4", "stm32f5")))
    with pytest.raises(UsageError, match="--engine spark: choose local, dask, ray"):
        sweep(base, Grid(), engine="spark")
    assert compressor.made == []


@pytest.mark.parametrize(("engine", "package"), [("dask", "distributed"), ("ray:auto", "ray")])
def test_an_engine_that_is_not_installed_is_named(base, compressor, monkeypatch, engine, package):
    def absent(name: str) -> None:
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(engine_module.importlib, "import_module", absent)
    with pytest.raises(ToolchainError, match=f"pip install {package}"):
        sweep(base, Grid(), engine=engine)


def test_a_sweep_reports_failures_and_goes_on(base, compressor):
    lines: list[str] = []
    found = sweep(base, GRID, 1, tell=lines.append)
    assert len(compressor.made) == len(lines) == 8
    assert [bool(row.failure) for row in found.rows] == [False, True, False, True]
    assert found.rows[0].accuracy == pytest.approx(0.905)
    stored = json.loads((base.out / "sweep.json").read_text())
    assert [row["board"] for row in stored["rows"]] == ["stm32f4", "stm32f4", "rpi-pico", "rpi-pico"]
    assert stored["runs"][0]["folder"] == "stm32f4-flash_8K-taylor-seed0"
    assert str(base.out) not in (base.out / "sweep.json").read_text()
    assert "stm32f4: 90.5 %" in (base.out / "sweep.txt").read_text()
    assert (base.out / "sweep.html").read_text().startswith("<!doctype html>")


def test_budgets_beyond_a_board_are_named_once_before_anything_runs(base, compressor):
    lines: list[str] = []
    sweep(
        base,
        Grid(("stm32f4", "rpi-pico"), ("flash=8K,ram=200K", "flash=8K"), seeds=(0, 1)),
        1,
        tell=lines.append,
    )
    named = [line for line in lines if "holds" in line]
    assert lines[: len(named)] == named
    assert len(named) == len(set(named))
    for name in ("stm32f4", "rpi-pico"):
        beyond = load_board(name).budget()["ram"] < 200 * 1024
        assert any(name in line for line in named) == beyond
    assert named


def test_the_folder_of_several_runs_is_refused_where_one_is_asked_for(base, compressor):
    found = sweep(base, Grid(budgets=("flash=8K", "flash=9K")), jobs=1)
    first, second = (Path(cell.folder).name for cell in found.cells)
    with pytest.raises(UsageError, match=f"several runs, .*give one: {first}, {second}"):
        read_report(base.out)
    with pytest.raises(UsageError, match="several runs"):
        read_manifest(base.out)


def test_data_that_change_meanwhile_are_told(base, compressor, tmp_path):
    data = tmp_path / "data.npz"
    data.write_bytes(b"before")
    changed = base.model_copy(update={"task": None, "data": str(data)})

    def edited(config: RunConfig) -> None:
        compressor(config)
        data.write_bytes(b"after")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweeps, "compress", edited)
        (cell,) = sweep(changed, Grid(budgets=("flash=8K",)), jobs=1).cells
    assert "changed while it ran" in cell.error
    assert cell.exit_code == 2


def test_finished_runs_are_not_repeated(base, compressor):
    sweep(base, GRID, 1)
    first = (base.out / "sweep.json").read_bytes()
    compressor.made.clear()
    sweep(base, GRID, 1)
    assert {config.budget.flash for config in compressor.made} == {4096}  # only those that failed
    assert (base.out / "sweep.json").read_bytes() == first
    compressor.made.clear()
    sweep(base.model_copy(update={"epochs": 2}), Grid(budgets=("flash=8K",)))
    assert len(compressor.made) == 1  # another configuration


def test_a_run_that_ended_over_budget_says_so_again(base, compressor):
    """It has a report and is not repeated: its error is what the report says, now as before."""
    found = [sweep(base, Grid(budgets=("flash=8K",), methods=("imp",)), 1).cells[0] for _ in range(2)]
    assert len(compressor.made) == 1
    assert found[0] == found[1]
    assert found[0].error
    assert found[0].report is not None


def test_a_run_that_breaks_is_a_row_and_stops_nothing(base, compressor, monkeypatch):
    def broken(config: RunConfig) -> None:
        if config.seed == 0:
            raise MemoryError("no room for 3 GiB")
        compressor(config)

    monkeypatch.setattr(sweeps, "compress", broken)
    found = sweep(base, Grid(budgets=("flash=8K",), seeds=(0, 1)), 1)
    assert [cell.error for cell in found.cells] == ["MemoryError: no room for 3 GiB", ""]


def test_boards_of_one_name_are_refused(base, tmp_path):
    boards = [tmp_path / folder / "mine.toml" for folder in ("a", "b")]
    for board in boards:
        board.parent.mkdir()
        board.write_text((share.folder("boards") / "stm32f4.toml").read_text())
    with pytest.raises(UsageError, match="are both called 'stm32f4'; rename one"):
        sweep(base, Grid(boards=tuple(map(str, boards))))
    boards[1].write_text(boards[1].read_text().replace('name = "stm32f4"', 'name = "other"'))
    with pytest.raises(UsageError, match="two runs of the sweep would write to"):
        sweep(base, Grid(boards=tuple(map(str, boards))))


def test_a_budget_in_two_units_is_one(base):
    found = configurations(base, Grid(budgets=("flash=64K", "flash=8K", "flash=65536")))
    assert [config.budget.flash for config in found] == [65536, 8192]


def test_the_demonstration_names_its_own_budget(base):
    (demonstration,) = configurations(base.model_copy(update={"task": None}), Grid())
    assert demonstration.budget == DEMO_BUDGET
    assert configurations(base, Grid())[0].budget == Budget()


@pytest.mark.parametrize("text", ["{", '{"schema_version": 99}'])
def test_a_report_that_cannot_be_read_is_made_again(base, compressor, text):
    grid = Grid(budgets=("flash=8K",), seeds=(0, 1))
    first = sweep(base, grid, 1)
    (Path(first.cells[0].folder) / "report.json").write_text(text)
    compressor.made.clear()
    again = sweep(base, grid, 1)
    assert [config.seed for config in compressor.made] == [0]
    assert again == first


def test_interrupted_runs_resume(base, compressor):
    (config,) = configurations(base, Grid(budgets=("flash=8K",)))
    (config.out / TRAINING).mkdir(parents=True)
    (config.out / TRAINING / CONFIG).write_text(config.to_toml())
    sweep(base, Grid(budgets=("flash=8K",)))
    assert compressor.made[0].resume


def test_a_sweep_without_a_success_is_an_error(base, compressor):
    found = sweep(base, Grid(budgets=("flash=4K",)))
    with pytest.raises(BudgetError, match=r"no run of the sweep succeeded; the first: flash: 5,000"):
        found.require()


def test_of_several_runs_one_may_fail_unless_all_are_asked_for(base, compressor):
    found = sweep(base, Grid(budgets=("flash=8K", "flash=4K")), 1)
    found.require()
    with pytest.raises(BudgetError, match=r"^budget flash=4K: flash: 5,000 used"):
        found.require_all()
