"""Several `--budget` of one `mcuprune compress`: a package for each, from one gated run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mcuprune import cli
from mcuprune.config import RunConfig, load_config
from mcuprune.errors import UsageError
from mcuprune.family import compress_family
from mcuprune.prune import family
from mcuprune.sweep import Sweep

BUDGETS = ("flash=9K", "flash=7K", "flash=6K,ram=4K")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("family")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    x = rng.normal(size=(300, 16, 1, 3)).astype(np.float32)
    x[:, :8, 0, 1] += 1.5 * (y == 1)[:, None]
    x[:, 8:, 0, 2] += 1.5 * (y == 2)[:, None]
    np.savez(folder / "data.npz", x=x, y=y)
    return folder


def config(place: Path, out: str, **more: object) -> RunConfig:
    values = {"data": f"{place}/data.npz", "name": "net", "epochs": 8, "controls": False, "family": BUDGETS}
    return RunConfig.model_validate({**values, "out": place / out, **more})


@pytest.fixture(scope="module")
def found(place: Path) -> Sweep:
    return compress_family(config(place, "run"))


def test_every_budget_has_a_package_that_fits(place: Path, found: Sweep) -> None:
    assert [row.budget for row in found.rows] == list(BUDGETS)
    assert not any(row.failure for row in found.rows)
    sizes = [row.flash for row in found.rows]
    assert sizes[0] > sizes[1] > sizes[2]  # type: ignore[operator]
    for cell in found.cells:
        folder = Path(cell.folder)
        assert (folder / "c/include/net.h").is_file()
        report = json.loads((folder / "report.json").read_text())
        assert report["command"].count("--budget") == 3
        assert load_config(folder / "run.toml").family == config(place, "run").family
    assert (place / "run/sweep.html").is_file()
    assert not (place / "run/.training").exists()


@pytest.mark.parametrize("moment", [2, 6, 14])
def test_interrupted_anywhere_it_ends_the_same(
    moment: int, place: Path, found: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_epoch, calls = family.next_epoch, list[int]()

    def interrupted(*arguments):  # type: ignore[no-untyped-def]
        calls.append(len(calls))
        if len(calls) == moment:
            raise KeyboardInterrupt
        return whole_epoch(*arguments)

    monkeypatch.setattr(family, "next_epoch", interrupted)
    out = f"again-{moment}"
    with pytest.raises(KeyboardInterrupt):
        compress_family(config(place, out))
    compress_family(config(place, out, resume=True))
    assert len(calls) == 1 + 3 + 3 * 5, "three epochs of gating, five for each budget, one begun twice"
    for cell in found.cells:
        for name in ("report.json", "model.tflite"):
            other = place / out / Path(cell.folder).name / name
            assert other.read_bytes() == (Path(cell.folder) / name).read_bytes()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"family": BUDGETS[::-1]}, "from loose to tight"),
        ({"family": (BUDGETS[0], *BUDGETS)}, "is given twice"),
        ({"method": "rigl"}, "no gates on channels"),
        ({"method": "imp"}, "no gates on channels"),
    ],
)
def test_what_cannot_branch_is_refused_before_training(
    more: dict[str, object], says: str, place: Path
) -> None:
    with pytest.raises(UsageError, match=says):
        compress_family(config(place, "never", **more))
    assert not (place / "never").exists()


def test_the_command_line_takes_several_budgets(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    budgets = [word for budget in BUDGETS[::-1] for word in ("--budget", budget)]
    arguments = ["mcuprune", "compress", "--data", f"{place}/data.npz", "--out", f"{place}/none", *budgets]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "from loose to tight" in capsys.readouterr().err
