"""What defines each method of gates, and what all of them share."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch_networks import make_module

from mcuprune.errors import UsageError
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.channels import prunable
from mcuprune.prune.gated import Gated
from mcuprune.prune.method import Context, Site, State
from mcuprune.prune.methods import METHODS, find_method
from mcuprune.prune.methods.bernoulli import Bernoulli
from mcuprune.prune.methods.connectivity import ConnectivityElements, normalised, switched
from mcuprune.prune.methods.ensemble import Ensemble
from mcuprune.prune.methods.hard_concrete import HardConcrete
from mcuprune.training.graph_module import GraphModule

GATED = [m.name for m in METHODS if issubclass(m, Gated)]
WIDTH = 8


class Bench:
    """A residual network under a method, its loss given by the gates alone or by data."""

    def __init__(self, method: Gated, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.module = GraphModule(trace(*make_module("residual"), "net"))
        groups = prunable(self.module.graph)
        self.sites = tuple(Site(g, "channels", self.module.graph.widths[g]) for g in groups)
        self.method = method
        self.state = method.init(self.module, self.sites, torch.Generator().manual_seed(seed))
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=0.0)
        self.steps = 0

    def context(self, slope: float | None, price: float, progress: float) -> Context:
        def loss() -> torch.Tensor:
            gates = {s.key: self.method.transform(s, torch.ones(s.size), self.state) for s in self.sites}
            if slope is not None:
                return slope * sum((g.sum() for g in gates.values()), torch.zeros(()))
            return self.module(torch.randn(8, 8, 8, 2), gates=gates).square().mean()

        def pressure(expected: dict[str, torch.Tensor]) -> torch.Tensor:
            return price * sum(expected.values(), torch.zeros(()))

        random = torch.Generator().manual_seed(self.steps)
        return Context(
            self.module,
            self.sites,
            self.state,
            self.optimizer,
            loss,
            pressure,
            random,
            self.steps,
            progress,
        )

    def step(self, slope: float | None = None, price: float = 0.0, progress: float = 0.0) -> None:
        self.steps += 1
        self.method.step(self.context(slope, price, progress))


@pytest.mark.parametrize("name", GATED)
def test_scores_are_losses_and_gates_are_usable(name: str) -> None:
    bench = Bench(find_method(name))
    for _ in range(3):
        bench.step()
    scores = bench.method.scores(bench.state)
    for site in bench.sites:
        assert scores[site.key].shape == (site.size,)
        assert np.isfinite(scores[site.key]).all()
        assert (scores[site.key] >= 0).all()
        assert scores[site.key].max() > 0
        gate = bench.method.transform(site, torch.ones(site.size), bench.state)
        assert not gate.requires_grad, "evaluation needs no gradients"
        assert ((gate >= 0) & (gate <= 1)).all()
        curve = bench.method.curves(bench.state)[site.key]
        assert (np.diff(curve) <= 0).all()
        assert curve[-1] == 0


@pytest.mark.parametrize("name", GATED)
def test_scores_have_one_currency(name: str) -> None:
    """Where a method has no opinion yet, its scores are the squared gate gradients: comparable by value."""
    if name == "magnitude":
        pytest.skip("judges by norms, never by the loss")
    method = find_method(name)
    bench = Bench(method)
    bench.step(slope=0.5)
    for site in bench.sites:
        found = method.scores(bench.state)[site.key]
        assert found.max() <= 0.25 * 1.001
        wanted = method.preference(bench.state)[site.key].detach().numpy()
        np.testing.assert_allclose(found, 0.25 * wanted, rtol=1e-3)


@pytest.mark.parametrize("name", [n for n in GATED if n not in ("taylor", "magnitude")])
def test_no_layer_is_ever_closed_for_a_whole_batch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is drawn: behind a layer that lets nothing through, gradients of batch norms have no bound."""
    bench = Bench(find_method(name))
    closed = {s.key: torch.zeros(s.size) for s in bench.sites}
    monkeypatch.setattr(type(bench.method), "draw", lambda self, context: closed)
    seen = []
    transform = type(bench.method).transform

    def watched(self: Gated, site: Site, tensor: torch.Tensor, state: State) -> torch.Tensor:
        seen.append(transform(self, site, tensor, state))
        return seen[-1]

    monkeypatch.setattr(type(bench.method), "transform", watched)
    bench.step()
    assert [int((gate > 0).sum()) for gate in seen] == [1] * len(bench.sites)


@pytest.mark.parametrize("name", [n for n in GATED if n not in ("taylor", "magnitude")])
def test_a_price_closes_gates_and_a_gain_keeps_them_open(name: str) -> None:
    widths = {}
    for price in (1.0, 0.0):
        bench = Bench(find_method(name))
        for step in range(150):
            bench.step(slope=-0.005, price=price, progress=step / 150)
        widths[price] = sum(bench.method.widths(bench.state).values())
    full = sum(site.size for site in Bench(find_method(name)).sites)
    assert widths[0.0] == full
    assert widths[1.0] < 0.2 * full


@pytest.mark.parametrize("start", [0.5, 0.9])
def test_bernoulli_ends_at_zero_or_one_exactly(start: float) -> None:
    """A linear loss: every theta ends where its slope and price say, with nothing in between."""
    for slope, price, end in ((-0.02, 0.01, 1.0), (-0.01, 0.02, 0.0)):
        bench = Bench(Bernoulli(start=start))
        for _ in range(120):
            bench.step(slope=slope, price=price)
        for theta in bench.state["theta"].values():
            assert (theta == end).all()


def test_bernoulli_hyper_prior_is_a_density_with_linear_envelope() -> None:
    """``(g-1)/ln g / (1+(g-1)pi)`` integrates to 1, and min over pi of KL - log p is linear in theta."""
    gamma, grid = 20.0, np.linspace(1e-6, 1 - 1e-6, 400_001)
    density = (gamma - 1) / math.log(gamma) / (1 + (gamma - 1) * grid)
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=1e-4)
    theta = np.array([0.2, 0.4, 0.6, 0.8])[:, None]
    divergence = theta * np.log(theta / grid) + (1 - theta) * np.log((1 - theta) / (1 - grid))
    least = (divergence - np.log(density)).min(axis=1)
    np.testing.assert_allclose(np.diff(least), 0.2 * math.log(gamma), rtol=1e-4)


def test_bernoulli_removes_early_and_for_good() -> None:
    bench = Bench(Bernoulli(patience=5))
    for _ in range(60):
        bench.step(slope=0.0, price=0.05)
    for _ in range(200):
        bench.step(slope=-0.05)
    assert sum(bench.method.widths(bench.state).values()) == 0
    alive = Bench(Bernoulli(patience=10_000))
    for _ in range(60):
        alive.step(slope=0.0, price=0.05)
    for _ in range(400):
        alive.step(slope=-0.05)
    assert sum(alive.method.widths(alive.state).values()) > 0


def test_connectivity_normalises_and_does_not_flip_near_zero() -> None:
    gradient = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [1e-4, 1.0, 1e3, 1.0, 1.0]
    ).view(5, 1, 1)
    rows = normalised(gradient, dim=0).square().mean((1, 2))
    np.testing.assert_allclose(rows.numpy(), 1.0, rtol=1e-4)
    before = torch.tensor([1.0, 0.0, 1.0, 0.0])
    assert switched(torch.tensor([-0.02, 0.02, -0.2, 0.2]), before, 0.05).tolist() == [1.0, 0.0, 0.0, 1.0]


def test_connectivity_of_elements_reaches_its_density() -> None:
    torch.manual_seed(0)
    module = GraphModule(trace(*make_module("chain"), "net"))
    names = [n for n in module.graph.constants if module.graph.constants[n].values.ndim > 1]
    sites = tuple(Site(n, "weight", module.graph.constants[n].values.size) for n in names)
    method = ConnectivityElements(density=0.3)
    state = method.init(module, sites, torch.Generator())
    by_key = {s.key: s for s in sites}
    x = torch.randn(16, *module.graph.shape(module.graph.inputs[0]))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)

    def loss() -> torch.Tensor:
        def weight(name: str, value: torch.Tensor) -> torch.Tensor:
            return method.transform(by_key[name], value, state) if name in by_key else value

        return (module(x, weight=weight) - 1.0).square().mean()

    shares = []
    for step in range(120):
        method.step(
            Context(
                module,
                sites,
                state,
                optimizer,
                loss,
                lambda e: torch.zeros(()),
                torch.Generator(),
                step,
                1.0 if step == 119 else step / 120,
            )
        )
        kept = sum(float(m.sum()) for m in state["mask"].values())
        shares.append(kept / sum(m.numel() for m in state["mask"].values()))
    assert shares[0] == 1.0
    assert min(shares[:-1]) < 0.6, "the multiplier presses towards the density"
    assert shares[-1] == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("member", ["hard_concrete", "bernoulli"])
def test_ensemble_members_take_turns_differ_and_come_together(member: str) -> None:
    method = find_method(f"ensemble:member={member},size=3")
    assert isinstance(method, Ensemble)
    bench = Bench(method)

    def spread() -> float:
        members = [m[method.learned] for m in method.members(bench.state)]
        return max(float(torch.stack([m[s.key].detach() for m in members]).std(0).max()) for s in bench.sites)

    def copies() -> list[torch.Tensor]:
        key = bench.sites[0].key
        return [m[method.learned][key].detach().clone() for m in method.members(bench.state)]

    assert spread() > 0.01
    before = copies()
    bench.step()
    moved = [not torch.equal(a, b) for a, b in zip(before, copies(), strict=True)]
    assert sum(moved) == 1, "one batch teaches one member"
    apart = spread()
    for _ in range(150):
        bench.step(slope=0.0, progress=0.9)
    assert spread() < 0.1 * apart


def test_options_are_read_and_refused() -> None:
    assert find_method("hard_concrete:drop=0.5,gate_rate=2") == HardConcrete(drop=0.5, gate_rate=2.0)
    with pytest.raises(UsageError, match=r"no option 'dorp', did you mean 'drop'|no option 'dorp'.*drop"):
        find_method("hard_concrete:dorp=0.5")
    with pytest.raises(UsageError, match=r"give a value like 0\.3"):
        find_method("hard_concrete:drop=much")
    with pytest.raises(UsageError, match="it takes none"):
        find_method("taylor:rate=1")


def test_state_is_plain_tensors() -> None:
    for name in GATED:
        bench = Bench(find_method(name))
        bench.step()
        assert isinstance(bench.state, State)
        for tensors in bench.state.tensors.values():
            assert all(torch.is_tensor(value) for value in tensors.values())
