"""The deployment benchmark's own logic: which binary counts, what is missed, what became worse."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.bench.deploy import PEERS, Row, choose, regressions, verdict
from tests.bench.deploy_page import page

PEER_FIGURES = tomllib.loads(PEERS.read_text())
GOOD = Row(
    model="KWS", board="nucleo-l4r5zi", core="Cortex-M4", compiler="zig 1", optimize="speed",
    nominal_macs=2_656_768, macs=2_656_768, instructions=4_000_000, low=4.7e6, mid=4.9e6, high=5.1e6,
    flash=38_000, constants=30_000, ram=9_728, stack=200, inputs=20, differing=0,
)  # fmt: skip


def test_the_binary_that_meets_more_counts_then_the_faster() -> None:
    reach = PEER_FIGURES["KWS"]["reach"]
    fast_but_large = replace(GOOD, compiler="gcc 1", mid=4.0e6, flash=38_001)
    rows = choose([fast_but_large, GOOD], reach)
    assert [row.chosen for row in rows] == [False, True]
    rows = choose([GOOD, replace(fast_but_large, flash=38_000)], reach)
    assert [row.chosen for row in rows] == [False, True]


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({}, 0, ""),
        ({"mid": 5.0e6 + 1}, 3, "KWS: cycles not reached"),
        ({"flash": 38_001}, 3, "KWS: flash not reached"),
        ({"ram": 9_729}, 3, "KWS: RAM not reached"),
        ({"differing": 1, "ram": 9_729}, 4, "1 bytes differ"),
    ],
)
def test_exit_codes(change: dict[str, int], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    row = replace(GOOD, chosen=True, **change)
    assert verdict([row], PEER_FIGURES, None) == code
    assert said in capsys.readouterr().err


def test_regressions_are_found_against_an_earlier_result(tmp_path: Path) -> None:
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps({"rows": [asdict(GOOD)]}))
    worse = replace(GOOD, instructions=4_100_000, chosen=True)
    assert regressions([worse], [asdict(GOOD)]) == [
        "KWS on Cortex-M4, zig 1: instructions 4,100,000, was 4,000,000"
    ]
    assert verdict([worse], PEER_FIGURES, earlier) == 3
    assert verdict([replace(GOOD, chosen=True)], PEER_FIGURES, earlier) == 0


def test_the_page_shows_ours_the_peers_and_what_is_missed() -> None:
    rows = choose([GOOD, replace(GOOD, compiler="gcc 1", mid=6e6)], PEER_FIGURES["KWS"]["reach"])
    shown = page([asdict(row) for row in rows], PEER_FIGURES)
    assert "| **mcuprune, zig 1** | 4,000,000 | 4.700 / 4.900 / 5.100 M | 1.506 | 38,000 | 9,728 |" in shown
    assert "| TFLM + CMSIS-NN | 7.7 M | 9.31 M | 2.90 | 107,520 | 23,420 |" in shown
    assert "cycles reached (-2.0 %); flash reached (+0.0 %); RAM reached (+0.0 %)" in shown
    assert all("TinyEngine" not in line for line in shown.splitlines() if line.startswith("|"))
