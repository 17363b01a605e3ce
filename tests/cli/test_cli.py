"""The command line as a user meets it: a process of its own, its output and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcuprune.cli import main

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200", **variables}
    command = [sys.executable, "-m", "mcuprune", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


def python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python program of its own: how faults are planted before the command line starts."""
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def ended_with(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code, in this process: for what would load torch anew."""
    monkeypatch.setattr("sys.argv", ["mcuprune", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_version_and_help() -> None:
    assert run("--version").stdout.strip() == "0.1.0"
    shown = run("--help")
    verbs = (
        "compress",
        "sweep",
        "download",
        "analyze",
        "export",
        "verify",
        "check",
        "report",
        "diff",
        "boards",
        "methods",
        "ops",
        "doctor",
    )
    assert shown.returncode == 0
    assert all(verb in shown.stdout for verb in verbs)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nonsense"], 2, "nonsense"),
        (["compress", "--epochs", "many"], 2, "--epochs"),
        (["compress", "--epochs", "0"], 2, "epochs = 0"),
        (["compress", "--budget", "flsh=1K"], 2, "did you mean 'flash'"),
        (["compress", "--toolchain", "clang"], 2, "'zig' or 'gcc'"),
        (["compress", "--config", "none.toml"], 2, "cannot be read"),
        (["compress", "--name", "My Net"], 2, "give lower-case letters, digits and _"),
        (["boards", "show", "stm32f9"], 2, "did you mean 'stm32f4'"),
        (["boards", "check", "none.toml"], 2, "cannot be read"),
    ],
)
def test_bad_usage_is_one_clear_message(arguments: list[str], code: int, says: str) -> None:
    ended = run(*arguments)
    assert ended.returncode == code, ended.stderr
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_misspelt_configuration_key(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('epoch = 3\nbord = "stm32f4"\n')
    ended = run("compress", "--config", "run.toml", cwd=tmp_path)
    assert ended.returncode == 2
    assert "unknown key 'epoch'; did you mean 'epochs'?" in ended.stderr
    assert "unknown key 'bord'; did you mean 'board'?" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run.toml"]


def test_boards_as_text_and_json() -> None:
    assert "STM32F407VG" in run("boards").stdout
    entries = {entry["name"]: entry for entry in json.loads(run("boards", "list", "--json").stdout)}
    assert entries["stm32f4"]["flash"] == (1024 - 128) * 1024
    assert entries["stm32f4"]["ram"] == (128 - 32) * 1024


def test_boards_show_states_the_reserve_and_the_sources() -> None:
    shown = run("boards", "show", "stm32f4").stdout
    for expected in ("131,072", "32,768", "0x08000000", "ccm", "RM0090", "reserved for the application"):
        assert expected in shown


def test_a_board_file_of_the_users_own(tmp_path: Path) -> None:
    own = (ROOT / "boards" / "stm32f4.toml").read_text().replace('"stm32f4"', '"mine"')
    (tmp_path / "mine.toml").write_text(own)
    assert run("boards", "check", "mine.toml", cwd=tmp_path).returncode == 0
    (tmp_path / "mine.toml").write_text(own.replace("hz =", "herz ="))
    broken = run("boards", "check", "mine.toml", cwd=tmp_path)
    assert broken.returncode == 2
    assert "herz" in broken.stderr


def test_methods_and_ops_name_everything() -> None:
    methods = {entry["name"]: entry["paper"] for entry in json.loads(run("methods", "--json").stdout)}
    assert {"taylor", "keep_ratio", "hard_concrete", "rigl"} <= set(methods)
    assert all(methods.values())
    ops = {entry["op"]: entry["kernels"] for entry in json.loads(run("ops", "--json").stdout)}
    assert ops["Conv2d"]
    assert ops["MIRROR_PAD"] == []
    assert ops["Flatten"] == []


def test_doctor_names_every_tool() -> None:
    found = {entry["name"]: entry for entry in json.loads(run("doctor", "--json").stdout)}
    assert found["ai-edge-litert"]["version"]
    assert {"ziglang", "unicorn", "tflite_micro", "qemu-system-arm"} <= set(found)


def test_doctor_without_the_extras_ends_with_code_7() -> None:
    program = (
        "import importlib.metadata as m, sys\n"
        "real = m.version\n"
        "def version(name):\n"
        "    if name == 'ziglang':\n"
        "        raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version\n"
        "sys.argv = ['mcuprune', 'doctor']\n"
        "from mcuprune.cli import main\n"
        "main()\n"
    )
    ended = python(program)
    assert ended.returncode == 7
    assert "pip install 'mcuprune[firmware]'" in ended.stderr


def test_an_internal_error_is_short_and_debug_shows_the_trace() -> None:
    program = (
        "import sys\n"
        "import mcuprune.listing as listing\n"
        "listing.boards = lambda: 1 // 0\n"
        "sys.argv = ['mcuprune', 'boards', *sys.argv[1:]]\n"
        "from mcuprune.cli import main\n"
        "main()\n"
    )
    for arguments, trace in (([], False), (["--debug"], True)):
        ended = python(program, *arguments)
        assert ended.returncode == 1
        assert "internal error: ZeroDivisionError" in ended.stderr
        assert ("Traceback" in ended.stderr) is trace


def test_interrupted() -> None:
    program = (
        "import mcuprune.listing as listing, sys\n"
        "def stop():\n"
        "    raise KeyboardInterrupt\n"
        "listing.boards = stop\n"
        "sys.argv = ['mcuprune', 'boards']\n"
        "from mcuprune.cli import main\n"
        "main()\n"
    )
    ended = python(program)
    assert ended.returncode == 130
    assert ended.stderr.strip() == "mcuprune: interrupted"


def test_starting_is_light() -> None:
    """Listing boards loads no training or compiler package."""
    program = (
        "import sys, mcuprune.cli\n"
        "heavy = {'torch', 'onnx', 'sklearn', 'matplotlib', 'tensorflow', 'scipy'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    ended = python(program)
    assert ended.returncode == 0, ended.stderr


def test_a_flag_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("seed = -1\n")
    ended = run("compress", "--config", "run.toml", "--epochs", "0", cwd=tmp_path)
    assert ended.returncode == 2
    assert "run.toml: seed = -1" in ended.stderr
    assert "command line: epochs = 0" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["compress", "--task", "digits", "--method", "tailor"], "did you mean 'taylor'"),
        (["compress", "--task", "digits", "--method", "duccio", "--binding", "pie"], "did you mean 'pi'"),
        (["compress", "--task", "digits", "--binding", "pi"], "method taylor learns no gates"),
        (["sweep", "--task", "digits", "--method", "taylor", "--method", "tailor"], "did you mean 'taylor'"),
        (["sweep", "--task", "digits", "--jobs", "0"], "--jobs 0: give how many"),
    ],
)
def test_misspelt_names_are_found_before_anything_is_loaded(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ended_with(arguments, monkeypatch) == 2
    shown = capsys.readouterr()
    assert says in shown.err
    assert "load model and data" not in shown.err
    assert not any(tmp_path.iterdir())


def test_one_budget_of_the_command_line_replaces_several_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text('task = "digits"\nfamily = ["flash=4K", "flash=9K"]\n')
    command = ["compress", "--config", "run.toml"]
    assert ended_with(command, monkeypatch) == 2
    assert "from loose to tight" in capsys.readouterr().err
    assert ended_with([*command, "--budget", "flash=100"], monkeypatch) == 3
    assert "flash=100 cannot be reached" in capsys.readouterr().err
