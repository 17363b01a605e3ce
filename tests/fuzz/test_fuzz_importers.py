"""Damaged models end in errors that say so, in bounded time and memory; ``make fuzz`` runs more of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PART = 2_500
PARTS = int(os.environ.get("FUZZ_CASES", "10000")) // PART or 1


@pytest.mark.parametrize("part", range(PARTS))
def test_importers_survive_damaged_models(part: int) -> None:
    script = Path(__file__).with_name("importers.py")
    seed = os.environ.get("FUZZ_SEED", "0")
    done = subprocess.run(
        [sys.executable, str(script), "--seed", seed, "--first", str(part * PART), "--cases", str(PART)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout, done.stderr[-2000:]  # a crash of the process leaves none
    found = json.loads(done.stdout)
    assert not found["failures"], found["failures"][0]["trace"]
    outcomes = found["outcomes"]
    assert sum(outcomes.values()) == PART
    assert outcomes["accepted"] > PART // 20  # many changes are harmless: the cases get far
    assert outcomes["UsageError"] + outcomes["UnsupportedError"] > PART // 3
