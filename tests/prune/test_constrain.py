"""How budgets bind: every binding solves the same small constrained problem, each by its own rule."""

from __future__ import annotations

import math

import pytest
import torch

from mcuprune.errors import UsageError
from mcuprune.prune.constrain import (
    BINDINGS,
    PI,
    Augmented,
    Lagrangian,
    Multipliers,
    Observed,
    Penalty,
    find_binding,
    homotopy,
    pressure,
    smooth_maximum,
)


def solve(binding, steps: int = 2500) -> float:  # type: ignore[no-untyped-def]
    """The width that minimises ``-0.3 log n`` under ``n <= 4``, from 16: the optimum is 4 with lambda 0.3."""
    logarithm = torch.tensor(math.log(16.0), requires_grad=True)
    multipliers = Multipliers.zero({"flash": 4.0})
    tail = []
    for step in range(steps):
        width = logarithm.exp()
        price = pressure({"flash": width}, {"flash": 4.0}, multipliers, binding)
        loss = -0.3 * torch.log(width) + price
        (slope,) = torch.autograd.grad(loss, logarithm)
        with torch.no_grad():
            logarithm -= 0.02 * slope
        violation = math.log(float(width.detach()) / 4.0)
        seen = Observed({"flash": violation}, 1.0, step / steps)
        multipliers = binding.update(multipliers, seen)
        tail.append(float(width.detach()))
    return sum(tail[-500:]) / 500


@pytest.mark.parametrize(
    ("binding", "error"),
    [(PI(), 0.25), (Lagrangian(rate=0.02, restart=False), 0.1), (Augmented(rate=0.02), 0.1)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_multipliers_find_the_constrained_optimum(binding, error: float) -> None:  # type: ignore[no-untyped-def]
    """Restarts let the PI controller hover a little above the budget; the others settle on it."""
    assert solve(binding) == pytest.approx(4.0, rel=error)


def test_a_penalty_pays_rather_than_obeys() -> None:
    assert solve(Penalty(weight=0.2)) > 6.0  # slope 0.2 / log 4 < 0.3: growing is worth its price
    assert solve(Penalty(weight=1.0)) == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize("kind", BINDINGS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("multiplier", [0.0, 0.7])
def test_what_is_left_out_has_no_price(kind, multiplier: float) -> None:  # type: ignore[no-untyped-def]
    """Of resources that are not paid nothing is computed: neither their price nor its slope may exist."""
    binding, multipliers = kind(), Multipliers({"flash": multiplier}, {"flash": 0.0})
    for usage in (3.0, 5.0):
        width = torch.tensor(usage, requires_grad=True)
        price = binding.price(multiplier, torch.log(width / 4.0))
        (slope,) = torch.autograd.grad(price, width, allow_unused=True)
        if "flash" not in binding.paid(multipliers):
            assert (float(price.detach()), float(slope)) == (0.0, 0.0)
        else:
            assert float(pressure({"flash": width}, {"flash": 4.0}, multipliers, binding)) == float(price)


def test_dual_restart_forgets_a_satisfied_constraint() -> None:
    for restart, left in ((True, 0.0), (False, 0.05 * 3 - 0.05)):
        binding, multipliers = Lagrangian(rate=0.05, restart=restart), Multipliers.zero({"ram": 1.0})
        for violation in (1.0, 1.0, 1.0, -1.0):
            multipliers = binding.update(multipliers, Observed({"ram": violation}))
        assert multipliers.values["ram"] == pytest.approx(left)


def test_penalty_starts_at_the_task_loss_and_ramps() -> None:
    binding, multipliers = Penalty(), Multipliers.zero({"flash": 1.0})
    prices = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        multipliers = binding.update(multipliers, Observed({"flash": 2.0}, 3.0, progress))
        prices.append(float(binding.price(multipliers.values["flash"], torch.tensor(2.0))))
    assert prices == pytest.approx([0.03, 3.0 * 0.505, 3.0, 3.0])


def test_augmented_price_has_its_minimum_slope_at_the_multiplier() -> None:
    violation = torch.tensor(0.0, requires_grad=True)
    Augmented(penalty=0.5).price(0.7, violation).backward()
    assert float(violation.grad) == pytest.approx(0.7)


def test_homotopy_and_smooth_maximum() -> None:
    budgets = homotopy({"flash": 100.0, "ram": 5.0}, {"flash": 1.0, "ram": 9.0}, 0.5)
    assert budgets == pytest.approx({"flash": 10.0, "ram": 9.0})
    assert homotopy({"ram": 900.0}, {"ram": 296.0}, 1.0) == {"ram": 296.0}, "exactly, not by logarithms"
    terms = torch.tensor([10.0, 9.99, 3.0])
    assert 10.0 <= float(smooth_maximum(terms)) <= 10.0 * 1.0101


def test_bindings_are_named_with_options() -> None:
    assert find_binding("lagrangian:rate=0.5,restart=false") == Lagrangian(0.5, False)
    assert len({b.name for b in BINDINGS}) == 4
    with pytest.raises(UsageError, match="unknown binding 'pj'"):
        find_binding("pj")
