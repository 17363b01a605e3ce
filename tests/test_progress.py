from __future__ import annotations

import io

import pytest

from mcuprune.progress import Bars, Lines, Silent, open_progress


def report_to(progress: Silent) -> None:
    with progress:
        progress.stage("train", 2)
        progress.step("loss 1.20", {"flash": 1.31, "ram": 0.5})
        progress.step("loss 0.80")
        progress.stage("build")
        progress.note("zig 0.17.1")


def test_lines() -> None:
    stream = io.StringIO()
    report_to(Lines(stream))
    assert stream.getvalue().splitlines() == [
        "train",
        "  train 1/2  loss 1.20  flash 131% ram  50%",
        "  train 2/2  loss 0.80",
        "build",
        "zig 0.17.1",
    ]


def test_bars_keep_notes_and_show_every_stage() -> None:
    stream = io.StringIO()
    report_to(Bars(stream))
    assert all(word in stream.getvalue() for word in ("train", "build", "zig 0.17.1", "loss 0.80"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "variables", "kind"),
    [
        (True, {}, Bars),
        (True, {"CI": "true"}, Lines),
        (True, {"NO_COLOR": ""}, Lines),
        (False, {}, Lines),
    ],
)
def test_the_environment_decides(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, variables: dict[str, str], kind: type
) -> None:
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stderr", Terminal() if terminal else io.StringIO())
    assert type(open_progress()) is kind
    assert type(open_progress(quiet=True)) is Silent
