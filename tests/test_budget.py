from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprune.budget import Budget, Usage, Violation, did_you_mean, parse_budget, quote
from mcuprune.errors import UsageError


def test_the_example() -> None:
    assert parse_budget("flash=64K,ram=32K,macs=2M,latency=20ms") == Budget(65536, 32768, 2_000_000, 0.02)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Budget()),
        (" ram = 1.5KiB , ", Budget(ram=1536)),
        ("flash=1MB", Budget(flash=1 << 20)),
        ("flash=700", Budget(flash=700)),
        ("macs=12k", Budget(macs=12_000)),
        ("latency=250us", Budget(latency_s=0.00025)),
        ("latency=1.5s", Budget(latency_s=1.5)),
    ],
)
def test_reads(text: str, expected: Budget) -> None:
    assert parse_budget(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("flsh=64K", "did you mean 'flash'"),
        ("energy=1", "known: flash, ram, macs, latency"),
        ("flash", "cannot read 'flash='"),
        ("flash=64Q", "units: B, K"),
        ("flash=-1K", "cannot read"),
        ("flash=0", "above zero"),
        ("latency=20", "units: s, ms, us"),
        ("ram=0.3", "not a whole number of bytes"),
        ("macs=0.5", "not a whole number of MACs"),
        ("ram=1K,ram=2K", "given twice"),
    ],
)
def test_refuses(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        parse_budget(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["latency=358.5us", "latency=20ms", "latency=1.5s", "latency=100s"])
def test_latencies_are_written_as_people_write_them(text: str) -> None:
    assert str(parse_budget(text)) == text


@pytest.mark.parametrize(
    ("cycles", "clock", "says"),
    [
        (168.0, 168e6, "1us"),
        (15_587.0, 64e6, "243.6us"),  # 243.547: what is said to be enough is enough
        (160e6, 8e6, "20s"),
        (1.0, 480e6, "0.002084us"),
    ],
)
def test_cycles_are_quoted_as_a_latency_to_give_back(cycles: float, clock: float, says: str) -> None:
    assert quote("cycles", cycles, clock) == ("latency", says)
    assert parse_budget(f"latency={says}").limits(clock)["cycles"] >= cycles
    assert quote("cycles", 15_587.0) == ("cycles", "15,587")
    assert quote("density", 0.33) == ("density", "0.33")


def test_limits_beyond_another() -> None:
    board = Budget(flash=1000, ram=100)
    assert Budget(flash=1001, ram=100, macs=5).beyond(board) == (Budget(flash=1000),)
    assert Budget(flash=2000, ram=200).beyond(board) == (Budget(flash=1000), Budget(ram=100))
    assert Budget().beyond(board) == ()


sizes = st.none() | st.integers(1, 1 << 40)


@given(sizes, sizes, sizes, st.none() | st.integers(1, 10**9).map(lambda n: n / 10**6))
@settings(deadline=None, max_examples=200)
def test_written_and_read_back(
    flash: int | None, ram: int | None, macs: int | None, latency: float | None
) -> None:
    budget = Budget(flash, ram, macs, latency)
    assert parse_budget(str(budget)) == budget


def test_violations_name_what_is_above_and_by_how_much() -> None:
    budget = parse_budget("flash=1K,ram=1K,latency=1ms")
    usage = Usage(flash=1025, ram=1024, macs=10**9, cycles=168_001)
    found = budget.violations(usage, clock_hz=168_000_000)
    assert found == (Violation("flash", 1025, 1024), Violation("cycles", 168_001, 168_000))
    assert str(found[0]) == "flash: 1,025 used, 1,024 allowed"
    assert budget.violations(Usage(1024, 1024, 0, 168_000), clock_hz=168_000_000) == ()


def test_latency_needs_a_clock() -> None:
    with pytest.raises(UsageError, match="clock"):
        parse_budget("latency=1ms").limits()


def test_within_takes_the_tighter_of_both() -> None:
    asked, board = parse_budget("flash=64K,macs=1M"), parse_budget("flash=32K,ram=8K")
    assert asked.within(board) == parse_budget("flash=32K,ram=8K,macs=1M")


def test_no_near_word_lists_all() -> None:
    assert did_you_mean("zzz", ("flash", "ram")) == " (known: flash, ram)"
