"""`mcuprune compress` from a user's module and data to verified firmware."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from mcuprune.cli import main

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12)
        self.body = nn.Conv2d(12, 12, 3, padding=1)
        self.reduce = nn.Conv2d(12, 16, 3, stride=2)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(x + self.body(x))
        return self.head(torch.relu(self.reduce(x)).mean((2, 3)))
"""
BUDGET = "flash=4K,ram=2K,macs=60K"
FILES = (
    "c/include/net.h",
    "c/src/net.c",
    "model.tflite",
    "model.onnx",
    "firmware.elf",
    "report.json",
    "report.html",
)


def quadrants(count: int = 320) -> tuple[np.ndarray, np.ndarray]:
    """Noise with one bright quadrant, which is the class."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, count)
    x = rng.normal(scale=0.4, size=(count, 10, 10, 1)).astype(np.float32)
    for image, label in zip(x, y, strict=True):
        image[5 * (label // 2) : 5 * (label // 2) + 5, 5 * (label % 2) : 5 * (label % 2) + 5] += 1.0
    return x, y


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    (folder / "net.py").write_text(NET)
    x, y = quadrants()
    np.savez(folder / "data.npz", x=x, y=y)
    return folder


def start(place: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mcuprune", *arguments]
    environment = {**os.environ, "CI": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        cwd=place,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A test runner started in the background ignores Ctrl-C, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def mcuprune(place: Path, *arguments: str) -> tuple[int, str]:
    process = start(place, *arguments)
    out, err = process.communicate(timeout=600)
    return process.returncode, out + err


def inside(place: Path, *arguments: str) -> tuple[int, str]:
    """As :func:`mcuprune`, in this process, which has loaded torch already."""
    said = io.StringIO()
    with (
        contextlib.chdir(place),
        mock.patch.object(sys, "argv", ["mcuprune", *arguments]),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code, said.getvalue()


def flags(out: str, *more: str) -> tuple[str, ...]:
    own = ("--data", "data.npz", "--budget", BUDGET, "--epochs", "8", "--out", out)
    return ("compress", "net.py:Net", *own, *more)


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    code, text = mcuprune(place, *flags("run"))
    assert code == 0, text
    return place / "run"


def test_a_run_ends_with_everything_and_fits(run: Path) -> None:
    assert all((run / name).is_file() for name in FILES)
    report = json.loads((run / "report.json").read_text())
    rows = {row["key"]: row for row in report["resources"]}
    for key in ("flash.total", "ram.total", "macs.total"):
        assert rows[key]["measured"] <= rows[key]["budget"] < rows[key]["dense"]
    for key in ("flash.constants", "ram.arena"):
        assert rows[key]["measured"] == rows[key]["predicted"]
    code = rows["flash.code"]
    assert abs(code["measured"] - code["predicted"]) <= max(0.01 * code["measured"], 256)
    assert rows["ram.stack"]["measured"] <= rows["ram.stack"]["predicted"]
    statuses = {row["right"]: row["status"] for row in report["equalities"]}
    assert [statuses[k] for k in ("TensorFlow Lite Micro", "C on the host", "firmware, emulated")] == [
        "equal"
    ] * 3
    scores = {row["key"]: row["value"] for row in report["accuracies"]}
    assert {
        "dense",
        "compressed",
        "int8",
        "host",
        "emulated",
        "uniform",
        "scratch",
        "magnitude",
        "linear",
    } <= set(scores)
    assert scores["int8"] > 0.9
    assert scores["host"] == scores["int8"]


def test_verify_and_check_accept_it(place: Path, run: Path) -> None:
    code, text = inside(place, "verify", "run", "--inputs", "60", "--profile")
    assert code == 0, text
    assert "stem" in text
    assert inside(place, "check", "run", "--budget", BUDGET)[0] == 0
    code, text = inside(place, "check", "run", "--budget", "flash=2K")
    assert code == 3
    assert "flash" in text


@pytest.mark.parametrize("array", ["weight", "bias"])
def test_a_planted_fault_is_found_and_named(place: Path, run: Path, array: str) -> None:
    faulty = place / f"faulty-{array}"
    shutil.copytree(run, faulty)
    source = faulty / "c/src/net.c"
    text = source.read_text()
    start_of = text.index(f"net_body_{array}[")
    number = re.compile(r"-?\d+").search(text, text.index("{", start_of))
    assert number is not None
    changed = int(number[0]) - 1 if array == "bias" else (-100 if int(number[0]) > 0 else 100)
    source.write_text(text[: number.start()] + str(changed) + text[number.end() :])
    code, message = inside(place, "verify", faulty.name, "--inputs", "40")
    assert code == 4, message
    assert "'body'" in message
    assert f"net_body_{array}" in message


def test_the_same_seed_gives_the_same_bytes_interrupted_or_not(place: Path, run: Path) -> None:
    """Ctrl-C in the middle of training, then --resume: identical C, models, firmware and report."""
    process = start(place, *flags("again"))
    checkpoint = place / "again/.training/run.pt"
    limit = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < limit:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in err
    assert not (place / "again/report.json").exists()
    code, text = mcuprune(place, *flags("again", "--resume"))
    assert code == 0, text
    for name in ("samples.npy", *(name for name in FILES if name != "report.html")):  # the page shows times
        assert (place / "again" / name).read_bytes() == (run / name).read_bytes(), name


@pytest.mark.parametrize("method", ["keep_ratio", "hard_concrete", "rigl", "exact_obs"])
def test_every_method_keeps_the_promise(place: Path, method: str) -> None:
    code, text = inside(place, *flags(method, "--method", method, "--no-controls"))
    assert code == 0, text
    report = json.loads((place / method / "report.json").read_text())
    rows = {row["key"]: row for row in report["resources"]}
    assert all(rows[k]["measured"] <= rows[k]["budget"] for k in ("flash.total", "ram.total", "macs.total"))


def test_an_image_becomes_firmware_that_decodes_it(place: Path) -> None:
    from PIL import Image

    y, x = np.mgrid[0:24, 0:24] / 24.0
    pixels = np.stack([x, y, 0.5 + 0.5 * np.sin(6 * x)], axis=2)
    Image.fromarray((255 * pixels).astype(np.uint8)).save(place / "photo.png")
    given = ("--budget", "flash=4K", "--epochs", "30", "--no-controls", "--out", "image")
    code, text = inside(place, "compress", "photo.png", *given)
    assert code == 0, text
    report = json.loads((place / "image/report.json").read_text())
    scores = {row["key"]: row["value"] for row in report["accuracies"]}
    assert report["task"]["metric"] == "psnr"
    assert scores["int8"] > 15.0
    assert {row["op"] for row in report["layers"]} == {"Linear", "Activation"}
