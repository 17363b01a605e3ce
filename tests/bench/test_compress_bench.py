"""The comparison with controls: statistics on known numbers, the page, and a tiny run from end to end."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcuprune.errors import BudgetError
from tests.bench.compress.__main__ import chosen, main, parse
from tests.bench.compress.cells import CONTROL, DENSE, METHOD, Cell, group_of, in_order, units
from tests.bench.compress.experiments import EXPERIMENTS, Bound, Experiment, Reach, layers, shares
from tests.bench.compress.page import write_page
from tests.bench.compress.paired import difference, mean
from tests.bench.compress.records import append, path_of, read
from tests.bench.compress.rows import Row, current, gather, judged, tightest, verdict
from tests.bench.compress.sides import as_lines, side_by_side
from tests.bench.compress.training import check_fits

LIMITS = {"hidden_0": 0.3, "head": 0.5}
TINY = Experiment(
    "tiny",
    "Tiny",
    "digits",
    (Bound("1/4", share=0.25), Bound("thirds", limits=layers(**LIMITS))),
    model="mlp:hidden=32/16",
    methods=("taylor",),
    seeds=(0, 1),
    epochs=3,
    controls=("uniform", "scratch", "magnitude", "random"),
)
POOLED = Experiment(
    "pooled",
    "Pooled",
    "spoken-digits",
    (
        Bound("1/4", share=0.25, reach=Reach(dense_gap=1.0)),
        Bound("1/8", share=0.125, reach=Reach(at_least=90.0, source="a paper")),
    ),
    methods=("taylor", "magnitude"),
    folds=("ann", "bob", "eve"),
    pooled=True,
)
COUNTS = {"ann": 100, "bob": 100, "eve": 300}


def row(budget: str, unit: str, kind: str, name: str, score: float, of: str = "", **more: object) -> dict:
    index = POOLED.folds.index(unit)
    bound = next((b for b in POOLED.bounds if b.name == budget), None)
    cell = Cell(POOLED, units(POOLED)[index], bound, kind, name, of)
    sizes = dict.fromkeys(
        ("parameters", "nominal_macs", "flash", "constants", "ram", "arena", "macs", "cycles"), 1000
    )
    fixed = {"metric": "accuracy", "objective": "cycles", "epochs": 3, "hardware": "a machine", "gates": {}}
    labels = {"key": cell.key, "budget": budget, "unit": unit, "kind": kind, "name": name, "of": of}
    values = {"score": score, "int8": score - 0.01, "n": COUNTS[unit], "seconds": 10.0}
    return labels | values | fixed | sizes | more


def written(folder: Path) -> Path:
    """Two budgets, three folds: ours 4 points above uniform, 2 below scratch."""
    results = folder / "compress"
    for unit, base in zip(POOLED.folds, (0.70, 0.80, 0.90), strict=True):
        rows = [
            row(
                "",
                unit,
                DENSE,
                "dense",
                base + 0.05,
                flash=8000,
                nominal_macs=8000,
                cycles=4000,
                seconds=20.0,
            )
        ]
        for budget in ("1/4", "1/8"):
            rows += [
                row(budget, unit, METHOD, "taylor", base, cycles=3500),
                row(budget, unit, CONTROL, "uniform", base - 0.04),
                row(budget, unit, CONTROL, "scratch", base + 0.02, of="taylor"),
                row(budget, unit, CONTROL, "magnitude", base - 0.10),
            ]
        for record in rows:
            append(path_of(results, POOLED.name), record)
    return results


def test_means_and_intervals_of_known_numbers() -> None:
    assert mean([70, 80, 90], [1, 1, 1]) == pytest.approx(80)
    assert mean([70, 80, 90], [100, 100, 300]) == pytest.approx(84)
    same = difference([5, 6, 7], [4, 5, 6], [1, 2, 3])
    assert (same.mean, same.low, same.high, same.n) == (1, 1, 1, 3)
    rng = np.random.default_rng(1)
    many = difference(rng.normal(2.0, 1.0, 400), np.zeros(400), np.ones(400))
    assert many.mean == pytest.approx(2.0, abs=0.15)
    assert many.high - many.low == pytest.approx(2 * 1.96 / np.sqrt(400), rel=0.15)
    assert difference([1.0, 3.0], [0.0, 0.0], [1, 3]).mean == pytest.approx(2.5)
    assert str(difference([2.0], [1.0], [1])) == "+1.00 (one pair)"
    folds = difference([1.0, 3.0, 6.0], [0.0, 0.0, 0.0], [1, 1, 1], ["ann", "ann", "bob"])
    assert (folds.mean, folds.low, folds.high, folds.n) == (4.0, 2.0, 6.0, 2)


def test_repeated_folds_have_names_and_seeds_of_their_own() -> None:
    twice = replace(POOLED, repeats=2)
    assert [(u.name, u.seed, u.task) for u in units(twice, [0, 3, 5])] == [
        ("ann", 0, "spoken-digits/ann"),
        ("ann+1", 3, "spoken-digits/ann"),
        ("eve+1", 5, "spoken-digits/eve"),
    ]
    assert [group_of(u.name) for u in units(twice)] == ["ann", "bob", "eve"] * 2
    first, again = (Cell(twice, u, None, DENSE, DENSE) for u in units(twice, [0, 3]))
    assert first.key == Cell(POOLED, units(POOLED)[0], None, DENSE, DENSE).key, "results so far stay valid"
    assert first.folder(Path()) != again.folder(Path())


def test_folds_are_pooled_and_paired(tmp_path: Path) -> None:
    records = list(read(path_of(written(tmp_path), "pooled")).values())
    first, second = gather(POOLED, current(POOLED, records_by_key(records)))
    assert (first.bound.name, second.bound.name, first.method) == ("1/4", "1/8", "taylor")
    assert first.percent(first.ours) == pytest.approx((0.7 * 100 + 0.8 * 100 + 0.9 * 300) / 5)
    gain = first.minus(first.controls["uniform"])
    assert gain is not None
    assert (gain.mean, gain.low, gain.n) == (pytest.approx(4), pytest.approx(4), 3)
    assert first.best == "scratch"
    assert first.ratio == pytest.approx(0.5)
    elsewhere = {unit: r | {"hardware": "another"} for unit, r in first.ours.items()}
    assert replace(first, ours=elsewhere).ratio is None
    assert replace(first, ours=first.ours | {"ann": elsewhere["ann"] | {"seconds": 1.0}}).ratio == 0.5
    in_turns = {unit: r | {"dense_seconds": 12.5} for unit, r in elsewhere.items()}
    assert replace(first, ours=in_turns).ratio == pytest.approx(0.8)
    assert tightest(POOLED) == ("1/8", "1/4")


def test_the_best_control_has_every_fold_and_counts_by_pairs(tmp_path: Path) -> None:
    records = list(read(path_of(written(tmp_path), "pooled")).values())
    first = gather(POOLED, current(POOLED, records_by_key(records)))[0]
    again = {f"{unit}+1": {**r, "score": r["score"] + 0.05} for unit, r in first.ours.items()}
    repeated = replace(first, ours={**first.ours, **again})
    assert repeated.best == "scratch", "its mean is below ours now, by pairs it is 2 points above"
    lacking = {unit: r for unit, r in first.controls["scratch"].items() if unit != "eve"}
    assert replace(repeated, controls={**first.controls, "scratch": lacking}).best == "uniform"


def records_by_key(records: list[dict]) -> dict[str, dict]:
    return {record["key"]: record for record in records}


def test_verdicts_say_what_is_not_reached(tmp_path: Path) -> None:
    first, second = gather(POOLED, current(POOLED, read(path_of(written(tmp_path), "pooled"))))
    held = {words: mark for mark, words in verdict(first)}
    assert held["int8 6.00 points below dense, 1.0 allowed"] is False
    assert held["-2.00 points to the best control, scratch"] is False
    assert held["+4.00 (+4.00 to +4.00) points to uniform, interval clear of 0"] is True
    assert held["MACs down by 88%, but cycles only by 12%"] is False
    assert not any("but flash" in words for words in held)
    assert (False, "83.00 % int8, 90.00 asked (a paper)") in verdict(second)
    slower = replace(first, ours={unit: r | {"cycles": 150_000} for unit, r in first.ours.items()})
    cycles = next(r["cycles"] for r in first.dense.values())
    assert (False, f"MACs down by 88%, but cycles up by {150_000 / cycles - 1:.0%}") in verdict(slower)


def test_a_tied_density_has_the_tighter_limit() -> None:
    bound = Bound("two", limits=layers(a=0.3, b=0.7, c=0.1), tied=(("density:b", "density:a"),))
    assert [bound.holds(f"density:{layer}") for layer in "abc"] == [0.3, 0.3, 0.1]
    found = {"densities": {"density:a": 0.3, "density:b": 0.3, "density:c": 0.05}, "int8": 0.9, "score": 0.9}
    judgements = judged(Row(TINY, bound, "taylor", {"0": found}, {}, {})).density
    assert judgements == [
        (True, "density:a at 100.0% of its limit"),
        (True, "density:b at 100.0% of the limit of density:a"),
        (False, "density:c at 50.0% of its limit"),
    ]


def test_page_and_picture(tmp_path: Path) -> None:
    results = written(tmp_path)
    append(
        path_of(results, "pooled"), row("1/4", "ann", METHOD, "taylor", 0.99) | {"key": "of other settings"}
    )
    text = write_page([POOLED, TINY], results).read_text()
    expected = (
        "| 1/4 | `taylor` | 3 | 89.00 | 84.00 | 83.00 | 80.00 | 86.00 | - | 74.00 | - "
        "| +4.00 (+4.00 to +4.00) | scratch: -2.00 (-2.00 to -2.00) | 0.50 |"
    )
    assert expected in text.splitlines()
    assert "| 1/8 | uniform | 1,000 | 1,000 | 1,000 | 1,000 | 1,000 | 1,000 | 1,000 | cycles |" in text
    assert "**not reached**: -2.00 points to the best control, scratch" in text
    short = (
        "| pooled, 1/8 | 3 | **not reached**: 83.00 % int8, 90.00 asked (a paper) "
        "| **not reached**: -2.00 points to the best control, scratch "
        "| +4.00 (+4.00 to +4.00) points to uniform, interval clear of 0 "
        "| training took 0.50 of the dense network's time |"
    )
    assert short in text.splitlines()
    assert text.index("## In short") < text.index("## Pooled")
    assert "1 older results, of other settings, are not shown." in text
    assert "Folds: ann, bob, eve. Epochs: 3." in text
    assert text.endswith("Described but not run with its present settings: `tiny`.\n")
    assert "## Tiny" not in text
    picture = ET.fromstring((results / "pooled.svg").read_text())
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    words = " ".join(picture.itertext())
    assert all(
        part in words for part in ("taylor", "uniform (control)", "dense 89.0", "flash, bytes", "MACs")
    )
    assert write_page([POOLED, TINY], results).read_text() == text


def test_methods_stand_side_by_side_over_the_units_that_all_have(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = {"taylor": (0.7, 0.8, 0.9), "magnitude": (0.6, 0.9, 0.9), "imp": (0.5, 0.5)}
    records = [row("1/4", unit, CONTROL, "uniform", 0.5) for unit in POOLED.folds]
    for method, found in scores.items():
        records += [row("1/4", unit, METHOD, method, s) for unit, s in zip(POOLED.folds, found, strict=False)]
    rows = gather(POOLED, records)
    assert side_by_side(rows) == []  # two methods have all three folds
    monkeypatch.setattr("tests.bench.compress.sides.LEAST_UNITS", 2)
    (side,) = side_by_side(rows)
    assert (side.name, side.n) == ("pooled, 1/4", 2)
    assert side.methods == pytest.approx({"taylor": 75.0, "magnitude": 75.0, "imp": 50.0})
    assert side.others == pytest.approx({"uniform": 50.0})
    head, (line, last) = as_lines([side])
    assert head[:5] == ["experiment, budget", "n", "`taylor`", "`magnitude`", "`imp`"]
    assert line[4:7] == ["50.00", "-", "50.00"]
    assert "**75.00**" in line
    assert last[:5] == ["mean of 1, to the best", "", "+0.00", "+0.00", "-25.00"]


def test_a_line_that_was_cut_off_is_made_good(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    append(path, {"key": "a", "score": 1})
    path.write_text(path.read_text() + '{"key": "b", "sco')
    append(path, {"key": "b", "score": 2})
    append(path, {"key": "a", "score": 3})
    assert {k: r["score"] for k, r in read(path).items()} == {"a": 3, "b": 2}


def test_order_and_keys() -> None:
    order = list(in_order([TINY, POOLED]))
    assert [c.experiment.name for c in order[:2]] == ["tiny", "tiny"]
    seeds = [c.unit.name for c in order if c.experiment is TINY]
    assert seeds == sorted(seeds)
    assert len({c.key for c in order}) == len(order)
    assert (order[0].kind, order[1].name) == (DENSE, "uniform")
    names = [(c.kind, c.name) for c in order if c.experiment is POOLED]
    assert {(METHOD, "magnitude"), (CONTROL, "magnitude")} <= set(names)
    longer = list(in_order([replace(TINY, epochs=4)]))
    assert not {c.key for c in longer} & {c.key for c in order}
    distilled = {c.key for c in in_order([replace(TINY, distill=0.5)])}
    kept = [c for c in order if c.experiment is TINY and c.key in distilled]
    assert {c.kind for c in kept} == {DENSE, CONTROL}
    assert all(c.name != "scratch" for c in kept)
    shallower = {c.key for c in in_order([replace(TINY, drop_blocks=None)])}
    assert {c.key for c in order if c.experiment is TINY} & shallower == {c.key for c in kept}


def test_one_tiny_experiment_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--results", str(tmp_path / "compress"), "--work", str(tmp_path / "work")]
    assert main([*flags, "--seeds", "0"], [TINY]) == 0
    path = path_of(tmp_path / "compress", "tiny")
    first = path.read_text()
    found = [json.loads(line) for line in first.splitlines()]
    assert len(found) == 1 + 2 * (3 + 2)
    assert len(list((tmp_path / "work").rglob("one-shot-dense.pt"))) == 3  # trained once, borrowed by two
    ours = [r for r in found if r["kind"] == METHOD]
    assert ours[0]["flash"] <= 0.25 * found[0]["flash"]
    for layer, limit in LIMITS.items():
        assert 0.9 * limit <= ours[1]["densities"][f"density:{layer}"] <= limit
    assert set(ours[1]["gates"]) == {"density:hidden_0", "density:head"}
    assert all(0 <= r["int8"] <= 1 and r["correct_score"] <= r["n"] for r in found)
    capsys.readouterr()
    assert main([*flags, "--seeds", "0"], [TINY]) == 0
    assert path.read_text() == first, "recorded cells are skipped"
    path.write_text("".join(first.splitlines(keepends=True)[:4]))
    assert main([*flags, "--seeds", "0"], [TINY]) == 0
    again = [json.loads(line) for line in path.read_text().splitlines()]
    in_turns = [r.pop("dense_seconds", None) for r in found]
    assert again == found, "what was trained is read back, and counts the same"
    assert [r["kind"] == METHOD for r in found] == [seconds is not None for seconds in in_turns]
    page = (tmp_path / "compress.md").read_text()
    assert "by the gates alone" in page
    assert "one pair" in page
    assert "(1 of 2 so far)" in page


def test_layers_are_chosen_once_for_all_methods(tmp_path: Path) -> None:
    """Of two hidden layers under a sixth of the flash: as in a run of the command, before the method."""
    flags = ["--results", str(tmp_path / "compress"), "--work", str(tmp_path / "work"), "--seeds", "0"]
    chain = replace(
        TINY,
        model="mlp:hidden=16/16",
        bounds=shares(6),
        methods=("taylor", "bernoulli"),
        controls=("scratch",),
        drop_blocks=True,
    )
    assert main(flags, [chain]) == 0
    tried = sorted(path.name for path in (tmp_path / "work").rglob("depth-*.pt"))
    assert tried == ["depth-0.pt", "depth-1.pt"]
    found = read(path_of(tmp_path / "compress", "tiny")).values()
    depths = {r["name"]: len(r["widths"]) for r in found}
    assert depths["dense"] == 2
    assert depths["taylor"] == depths["bernoulli"] == depths["scratch"]
    ours = [r for r in found if r["kind"] == METHOD]
    assert all(0 < r["densities"]["density"] < 0.5 for r in ours)


def test_flags() -> None:
    few = chosen(parse(["--only", "har", "--methods", "imp", "--budgets", "1/4", "--controls"]), EXPERIMENTS)
    assert [(e.name, e.methods, e.controls) for e in few] == [("har", ("imp",), ())]
    assert [b.name for b in few[0].bounds] == ["1/4"]
    assert len(chosen(parse([]), EXPERIMENTS)) == len(EXPERIMENTS)
    (longer,) = chosen(parse(["--only", "cifar-256k", "--epochs", "300"]), EXPERIMENTS)
    assert longer.epochs == 300
    with pytest.raises(SystemExit, match="unknown: hra; known: demo, har"):
        chosen(parse(["--only", "hra"]), EXPERIMENTS)
    with pytest.raises(SystemExit, match="no such budget; known: 1/2, 1/4"):
        chosen(parse(["--only", "har", "--budgets", "1/3"]), EXPERIMENTS)


def test_missing_cells_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--results", str(tmp_path / "compress")], [TINY]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 * 11
    assert not (tmp_path / "compress").exists()


def test_budgets_out_of_reach_are_told_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--results", str(tmp_path / "compress"), "--work", str(tmp_path / "work"), "--seeds", "0"]
    small = replace(TINY, bounds=shares(1000), controls=("uniform",))
    assert main(flags, [small]) == 1
    assert "flash" in capsys.readouterr().out
    assert len(read(path_of(tmp_path / "compress", "tiny"))) == 1


def test_a_finished_network_that_does_not_fit_is_told() -> None:
    check_fits({"flash": 60, "ram": 7}, {"flash": 60.5, "density": 0.3}, Path("work"))
    with pytest.raises(BudgetError, match=r"flash 61 of 60\.5.*delete work"):
        check_fits({"flash": 61, "ram": 7}, {"flash": 60.5}, Path("work"))


def test_experiments_are_well_formed() -> None:
    assert len({e.name for e in EXPERIMENTS}) == len(EXPERIMENTS)
    order = list(in_order(EXPERIMENTS))
    assert len({(c.experiment.name, c.key) for c in order}) == len(order)
