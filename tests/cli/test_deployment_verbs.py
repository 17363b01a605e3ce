"""``export``, ``verify``, ``check`` and ``analyze`` on a small int8 network, good and bad."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests" / "golden" / "interpreter.tflite"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mcuprune", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "small"
    ended = run("export", MODEL, "--name", "small", "--out", folder)
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture
def package(exported: Path, tmp_path: Path) -> Path:
    return shutil.copytree(exported, tmp_path / "package")


def test_the_package_is_complete(exported: Path) -> None:
    names = {path.name for path in exported.iterdir()}
    assert {"c", "model.tflite", "model.onnx", "firmware.elf", "board.toml"} <= names
    assert {"small.c", "mcp_softmax_s8.c"} <= {path.name for path in (exported / "c" / "src").iterdir()}
    assert "int small_run(" in (exported / "c" / "include" / "small.h").read_text()


def test_verify_compares_all_executors(exported: Path) -> None:
    ended = run("verify", exported, "--inputs", 10, "--profile", "--json")
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    equal = {entry["right"] for entry in result["comparisons"] if entry["status"] == "equal"}
    assert {"TensorFlow Lite Micro", "C on the host", "firmware, emulated", "constants in the image"} <= equal
    assert {entry["status"] for entry in result["comparisons"]} <= {"equal", "not applicable"}
    rows = result["profile"]
    assert [row["layer"] for row in rows][-1] == "run function"
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    for row in rows:
        per_mac = row["instructions"] / row["macs"] if row["macs"] else None
        assert row["instructions"] > 0
        assert row["cycles"] >= row["instructions"]
        assert row["instructions_per_mac"] == per_mac


def test_the_profile_is_a_table_with_a_total(exported: Path) -> None:
    ended = run("verify", exported, "--inputs", 1, "--profile")
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("layer"))
    cells = [[cell.replace(",", "") for cell in re.split(r"\s{2,}", line)] for line in lines[head:] if line]
    latency = cells.pop()[0]
    assert re.match(
        r"latency: [\d.]+ ms \([\d.]+ to [\d.]+ ms\) at 168 MHz: .*; on silicon -\d+ % to \+\d+ %", latency
    )
    assert cells[0][:5] == ["layer", "kernel", "MACs", "instructions", "cycles"]
    assert cells[-1][0] == "total"
    assert cells[-1][-1] == "100.0 %"
    assert sum(int(row[3]) for row in cells[1:-1]) == int(cells[-1][2])


def test_one_changed_weight_is_found_and_named(package: Path) -> None:
    source = package / "c" / "src" / "small.c"
    text = source.read_text()
    found = re.search(r"static const int8_t (small_\w*|\w+)\[\d+\] = \{\s*(-?\d+)", text)
    assert found
    value = int(found[2])
    changed = value + 40 if value < 80 else value - 40
    source.write_text(text[: found.start(2)] + str(changed) + text[found.end(2) :])
    ended = run("verify", package, "--inputs", 5)
    assert ended.returncode == 4, ended.stderr
    assert "Traceback" not in ended.stderr


def test_check_is_a_gate(exported: Path) -> None:
    good = run("check", exported, "--budget", "flash=100K,ram=32K,latency=1s")
    assert good.returncode == 0, good.stderr
    bad = run("check", exported, "--budget", "flash=1K,ram=32K")
    assert bad.returncode == 3
    assert "flash" in bad.stderr
    assert "ram" not in bad.stderr


def test_analyze_says_whether_it_fits() -> None:
    shown = run("analyze", MODEL, "--board", "stm32vldiscovery", "--json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["board"] == "stm32vldiscovery"
    assert "mcp_" in run("analyze", MODEL).stdout


@pytest.mark.parametrize(
    ("verb", "damage", "code"),
    [
        ("export", lambda data: data[: len(data) // 2], 2),
        ("export", lambda data: b"not a model", 2),
        ("analyze", lambda data: b"", 2),
    ],
)
def test_corrupt_models_leave_nothing_behind(verb: str, damage: object, code: int, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(damage(MODEL.read_bytes()))  # type: ignore[operator]
    out = ["--out", tmp_path / "out"] if verb == "export" else []
    ended = run(verb, broken, *out)
    assert ended.returncode == code, ended.stderr
    assert "broken.tflite" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["broken.tflite"]


def test_missing_inputs_are_usage_errors(tmp_path: Path) -> None:
    for arguments in (
        ("export", tmp_path / "none.tflite"),
        ("verify", tmp_path / "none"),
        ("check", tmp_path),
        ("analyze", tmp_path / "none.onnx"),
        ("analyze", "net.py:Net"),
        ("analyze", MODEL, "--input", "3,32,32"),
        ("report", MODEL),
    ):
        ended = run(*arguments)
        assert ended.returncode == 2, (arguments, ended.stderr)
        assert len(ended.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY half a header", b"words", b"PK\x03\x04"])
def test_damaged_samples_are_named(package: Path, content: bytes) -> None:
    (package / "samples.npy").write_bytes(content)
    ended = run("check", package)
    assert ended.returncode == 2, ended.stderr
    assert "samples.npy: cannot be read" in ended.stderr


def test_a_package_without_its_c_is_named(package: Path) -> None:
    (package / "c" / "include" / "small.h").unlink()
    ended = run("verify", package)
    assert ended.returncode == 2, ended.stderr
    assert "small.h is missing" in ended.stderr


def test_a_name_that_c_does_not_allow_is_the_same_everywhere(tmp_path: Path) -> None:
    assert run("export", MODEL, "--name", "Foo", "--out", tmp_path / "out").returncode == 0
    name = json.loads((tmp_path / "out" / "deploy.json").read_text())["name"]
    assert (tmp_path / "out" / "c" / "include" / f"{name}.h").is_file()
    elf = tmp_path / "out" / "firmware.elf"
    checked = run("check", elf, "--package", tmp_path / "out")
    assert checked.returncode == 0, checked.stderr
    assert "outputs: 0 bytes differ" in checked.stdout


def test_outputs_that_were_not_compared_are_no_pass(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("export", MODEL, "--board", "mps3-an547", "--name", "small", "--out", out).returncode == 0
    checked = run("check", out / "firmware.elf", "--package", out)
    assert checked.returncode == 2
    assert "outputs: not measured: " in checked.stdout
    assert "not measured: outputs" in checked.stdout
    assert "every budget holds" not in checked.stdout


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ended = run("export", MODEL, "--out", tmp_path / "file" / "out")
    assert ended.returncode == 2
    assert (tmp_path / "file").read_text() == "in the way"


def half_dead(path: Path) -> None:
    """The small network of the tests with a third of its first layer's weights zero."""
    from dataclasses import replace

    from mcuprune.exporters.tflite import write_tflite
    from tests.quantize.int8_graphs import small_network

    graph = small_network(3)
    weight = graph.constants["c1.w"].values.copy()
    second = graph.constants["c2.w"].values.copy()
    weight[[1, 3]], second[[1, 3]] = 0, 0
    constants = dict(graph.constants)
    constants["c1.w"] = replace(constants["c1.w"], values=weight)
    constants["c2.w"] = replace(constants["c2.w"], values=second)
    for name in ("c1.b", "c2.b"):  # relu and relu6 leave the zero point, which is also what padding is
        bias = graph.constants[name].values.copy()
        bias[[1, 3]] = -9000
        constants[name] = replace(graph.constants[name], values=bias)
    path.write_bytes(write_tflite(replace(graph, constants=constants)))


def test_a_folded_network_is_proven_against_the_original(tmp_path: Path) -> None:
    model, out = tmp_path / "dead.tflite", tmp_path / "out"
    half_dead(model)
    shown = run("analyze", model)
    assert "hold one value for every input" in shown.stdout, shown.stderr
    assert "hold one value" not in run("analyze", model, "--no-lossless").stdout
    assert run("export", model, "--out", out).returncode == 0
    assert (out / "original.tflite").read_bytes() == model.read_bytes()
    assert len((out / "model.tflite").read_bytes()) < len(model.read_bytes())
    record = json.loads((out / "lossless.json").read_text())
    assert {"c1", "sum"} <= {change["layer"] for change in record}
    ended = run("verify", out, "--inputs", 10, "--json")
    assert ended.returncode == 0, ended.stderr
    status = {entry["right"]: entry["status"] for entry in json.loads(ended.stdout)["comparisons"]}
    assert status["TensorFlow Lite Micro, original model"] == "equal"


def test_another_original_is_a_difference(package: Path) -> None:
    """The oracle runs the original file itself, so one that says something else is found."""
    half_dead(package / "original.tflite")
    ended = run("verify", package, "--inputs", 5)
    assert ended.returncode == 4, ended.stderr
    assert "original model" in ended.stderr


@pytest.mark.parametrize("optimize", ["speed", "size", "ram", "balanced"])
def test_every_objective_gives_the_same_outputs(optimize: str, tmp_path: Path) -> None:
    folder = tmp_path / optimize
    ended = run("export", MODEL, "--name", "small", "--out", folder, "--optimize", optimize)
    assert ended.returncode == 0, ended.stderr
    assert ("against speed" in ended.stdout) == (optimize != "speed")
    assert run("verify", folder, "--inputs", 10).returncode == 0


def test_an_unknown_objective_is_named(tmp_path: Path) -> None:
    ended = run("export", MODEL, "--out", tmp_path / "x", "--optimize", "beauty")
    assert ended.returncode == 2
    assert "speed, size, ram, balanced" in ended.stderr
