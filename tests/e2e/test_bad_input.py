"""Each way to misuse ``mcuprune compress``: one clear line, the right exit code, nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mcuprune import cli

NETWORKS = """
import torch
from torch import nn


class Good(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, 2, 1)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))


class Gelu(Good):
    def __init__(self):
        super().__init__()
        self.act = nn.GELU()

    def forward(self, x):
        return self.head(self.act(self.conv(x)).mean((2, 3)))


class OtherShape(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(99, 2)

    def forward(self, x):
        return self.head(x.flatten(1))


class FiveClasses(Good):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 5)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with networks, good data, data with a NaN, an empty folder and broken files."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 120)
    x = (rng.normal(0, 0.3, (120, 12, 12, 1)) + y[:, None, None, None]).astype(np.float32)
    np.savez("good.npz", x=x, y=y)
    x[7, 3, 3, 0] = np.nan
    np.savez("nan.npz", x=x, y=y)
    Path("empty").mkdir()
    Path("file").write_text("in the way")
    Path("net.py").write_text(NETWORKS)
    Path("bad.onnx").write_bytes(b"\x08\x01junk")
    Path("bad.npz").write_bytes(b"PK\x03\x04")
    return tmp_path


@pytest.fixture
def mcuprune(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Runs the command line here; its exit code and what it wrote to stderr."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["mcuprune", *arguments])
        monkeypatch.setenv("NO_COLOR", "1")
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), capsys.readouterr().err

    return run


GOOD = ("net.py:Good", "--data", "good.npz")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((*GOOD, "--board", "stm32f9"), 2, "did you mean 'stm32f4'"),
        ((*GOOD, "--method", "tailor"), 2, "did you mean 'taylor'"),
        ((*GOOD, "--budget", "flash=100"), 3, "flash=100 cannot be reached: the smallest"),
        ((*GOOD, "--budget", "ram=16"), 3, "ram=16 cannot be reached: the smallest"),
        ((*GOOD, "--budget", "macs=10"), 3, "macs=10 cannot be reached: the smallest"),
        (
            (*GOOD, "--budget", "latency=1us"),
            3,
            "latency=1us cannot be reached: the smallest",
        ),
        ((*GOOD, "--budget", ""), 2, "--budget is empty; leave it out"),
        ((*GOOD, "--budget", ","), 2, "--budget is empty; leave it out"),
        ((*GOOD, "--augment", "blur"), 2, "augment"),
        ((*GOOD, "--input-axis", "columns"), 2, "give --inputs too"),
        ((*GOOD, "--out", "file/out"), 2, "file/out"),
        (("net.py:Gelu", "--data", "good.npz"), 6, "act"),
        (("net.py:OtherShape", "--data", "good.npz"), 2, "shape"),
        (("net.py:FiveClasses", "--data", "good.npz"), 2, "5 outputs"),
        (("net.py:Missing", "--data", "good.npz"), 2, "Missing"),
        (("none.py:Net", "--data", "good.npz"), 2, "none.py"),
        (("net.py:Good",), 2, "--data"),
        (("net.py:Good", "--task", "digit"), 2, "did you mean 'digits'"),
        (("net.py:Good", "--data", "nan.npz"), 2, "sample 7"),
        (("net.py:Good", "--data", "empty"), 2, "empty"),
        (("net.py:Good", "--data", "none"), 2, "none"),
        (("net.py:Good", "--data", "bad.npz"), 2, "bad.npz"),
        (("bad.onnx", "--data", "good.npz"), 2, "bad.onnx"),
        (("none.png",), 2, "none.png"),
    ],
    ids=lambda value: "-".join(value[:4]).replace("/", "_") if isinstance(value, tuple) else "",
)
def test_is_refused(
    arguments: tuple[str, ...],
    code: int,
    says: str,
    folder: Path,
    mcuprune: Callable[..., tuple[int, str]],
) -> None:
    before = sorted(path.name for path in folder.iterdir())
    found, shown = mcuprune("compress", *arguments, "--no-controls", "--epochs", "2")
    messages = [line for line in shown.splitlines() if line.startswith("mcuprune: ")]
    assert found == code, shown
    assert len(messages) == 1
    assert shown.rstrip().endswith(messages[0]), "the message is one line, and the last"
    assert says in messages[0]
    assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == before


def test_an_accuracy_below_the_floor_shows_the_report_and_ends_with_code_5(
    folder: Path, mcuprune: Callable[..., tuple[int, str]]
) -> None:
    code, shown = mcuprune(
        "compress", *GOOD, "--no-controls", "--epochs", "2", "--min-accuracy", "1.01", "--out", "run"
    )
    assert code == 5, shown
    assert "not accurate enough" in shown
    assert "floor 101" in shown
    assert (folder / "run" / "report.html").is_file()


@pytest.mark.parametrize(
    ("what", "flags", "code", "says"),
    [
        ("noise", (), 5, "not accurate enough"),
        ("rare", ("--budget", "macs=400"), 5, "chance 97."),
        ("one", (), 2, "all 60 training samples are of class 0"),
        ("good", ("--learning-rate", "1e30", "--epochs", "4"), 2, "lower --learning-rate"),
    ],
)
def test_hopeless_training_ends_with_its_code_and_its_reason(
    what: str,
    flags: tuple[str, ...],
    code: int,
    says: str,
    folder: Path,
    mcuprune: Callable[..., tuple[int, str]],
) -> None:
    """Labels by chance, a rare class that is noise, a single class, a learning rate that explodes."""
    rng = np.random.default_rng(0)
    y = {"noise": np.arange(60) % 2, "rare": np.arange(400) % 40 == 0, "one": np.zeros(60, int)}
    if what in y:
        labels = rng.permutation(y[what]).astype(int) if what != "rare" else y[what].astype(int)
        np.savez(f"{what}.npz", x=rng.normal(size=(len(labels), 12, 12, 1)).astype(np.float32), y=labels)
    arguments = ("net.py:Good", "--data", f"{what}.npz", "--no-controls", "--epochs", "1", "--out", "run")
    found, shown = mcuprune("compress", *arguments, *flags)
    assert found == code, shown
    assert says in shown
    assert (folder / "run/report.html").is_file() is (code == 5)
