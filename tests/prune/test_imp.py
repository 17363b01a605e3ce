"""Iterative magnitude pruning: schedules, the split of the epochs, and controls of equal computation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_method_runs import problem

from mcuprune.prune.importance import filter_scores
from mcuprune.prune.methods.imp import split_epochs
from mcuprune.prune.shrink import shrink
from mcuprune.prune.target import cut
from mcuprune.training.schedules import allr_start, llr


@given(
    sizes=st.lists(st.integers(2, 40), min_size=1, max_size=4),
    removed=st.floats(0.05, 0.95),
    left=st.floats(0.01, 1.5),
    seed=st.integers(0, 999),
)
@settings(max_examples=60, deadline=None)
def test_allr_starts_between_the_share_left_and_the_peak(
    sizes: list[int], removed: float, left: float, seed: int
) -> None:
    """And at the peak when all weights have one magnitude: then the cut is as violent as its count."""
    rng, peak = np.random.default_rng(seed), 0.01
    before = {str(i): rng.normal(size=(n, 3)) for i, n in enumerate(sizes)}
    after = {k: w[: max(1, int(len(w) * (1 - removed)))] for k, w in before.items()}
    start = allr_start(peak, before, after, left)
    assert peak * min(left, 1.0) <= start <= peak
    equal = {k: np.ones_like(w) for k, w in before.items()}
    cut = {k: equal[k][: len(w)] for k, w in after.items()}
    if any(len(cut[k]) < len(equal[k]) for k in cut):
        assert allr_start(peak, equal, cut, left) == pytest.approx(peak)


def test_removing_nothing_of_weight_starts_low() -> None:
    before = {"w": np.concatenate([np.ones((4, 2)), np.zeros((4, 2))])}
    assert allr_start(1.0, before, {"w": before["w"][:4]}, 0.25) == 0.25


def test_llr_rises_for_a_tenth_then_falls_to_zero() -> None:
    rates = np.array([llr(s, 2.0) for s in np.linspace(0, 1, 101)])
    assert rates[0] == 0.0
    assert rates.argmax() == 10
    assert rates.max() == pytest.approx(2.0)
    assert rates[-1] == 0.0
    np.testing.assert_allclose(np.diff(rates[10:]), -2.0 / 90, rtol=1e-6)


@given(epochs=st.integers(1, 300), cycles=st.integers(1, 5), dense=st.floats(0.0, 0.9))
@settings(max_examples=100, deadline=None)
def test_budgeted_epochs_add_up(epochs: int, cycles: int, dense: float) -> None:
    first, parts, int8 = split_epochs(epochs, cycles, dense)
    assert first + sum(parts) + int8 == max(2, epochs)
    assert 1 <= len(parts) <= cycles
    assert min(parts) >= 1
    assert int8 >= 1
    assert max(parts) - min(parts) < len(parts)


def test_unbudgeted_gives_the_dense_network_everything() -> None:
    first, parts, int8 = split_epochs(20, 2, 0.5, budgeted=False)
    assert (first, sum(parts) + int8) == (20, 10)


def test_a_group_of_one_unit_stays_in_the_next_cut() -> None:
    """Otherwise it would be counted at its dense width, and the others would be cut for it."""
    graph, target = problem(0.1)
    levels = {group: max(floor, 2) for group, floor in target.floors.items()}
    first = next(iter(target.floors))
    levels[first] = 1
    narrow = shrink(graph, {group: np.arange(n) for group, n in levels.items()})
    free = replace(target, floors=dict.fromkeys(target.floors, 1))
    figures = target.resources.exact(levels)
    budgets = {resource: figures[resource] for resource in target.budgets}
    again = cut(free, filter_scores(narrow), budgets)
    assert {group: len(units) for group, units in again.items()} == levels
