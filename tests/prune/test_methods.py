"""Each pruning method against the facts that define it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch_networks import make_module

from mcuprune.errors import UsageError
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.channels import prunable
from mcuprune.graph.ir import Linear
from mcuprune.graph.passes import run_passes
from mcuprune.prune.constrain import find_binding
from mcuprune.prune.importance import unit_norms
from mcuprune.prune.method import Site, best_units, curve
from mcuprune.prune.methods import METHODS, find_method
from mcuprune.prune.methods.exact_obs import compensate, measure, removal_trace
from mcuprune.prune.methods.hard_concrete import HIGH, LOW, active_probability, median, sample
from mcuprune.prune.methods.keep_ratio import attach_ratio, keep_probabilities
from mcuprune.prune.methods.rigl import revised_mask
from mcuprune.prune.methods.taylor import Taylor
from mcuprune.prune.shrink import shrink
from mcuprune.training.graph_module import GraphModule


def test_activity_probability_equals_sampling() -> None:
    uniform = torch.rand(2_000_000, generator=torch.Generator().manual_seed(0)).clamp(1e-6, 1 - 1e-6)
    for logit in (-2.0, -0.5, 0.0, 1.0, 3.0):
        logits = torch.full_like(uniform, logit)
        share = float((sample(logits, uniform) > 0).float().mean())
        assert abs(share - float(active_probability(torch.tensor(logit)))) < 0.002


def test_median_gate_thresholds_and_clamp() -> None:
    """The median is 0 exactly when P <= 0.5 and 1 exactly when the logit is at least 1.5986."""
    logits = torch.linspace(-4, 4, 4001)
    gates, probability = median(logits), active_probability(logits)
    assert ((gates == 0) == (probability <= 0.5)).float().mean() > 0.999
    assert ((gates == 1) == (logits >= 1.59865)).float().mean() > 0.999
    assert float(active_probability(torch.tensor(LOW))) == pytest.approx(0.0471, abs=1e-4)
    assert float(active_probability(torch.tensor(HIGH))) == pytest.approx(0.9980, abs=1e-4)
    assert float(active_probability(torch.tensor(math.log(0.7 / 0.3)))) == pytest.approx(0.920, abs=1e-3)


def test_keep_probabilities_have_the_wanted_means_and_order() -> None:
    """Groups of different sizes are solved together, each as by itself."""
    random = torch.Generator().manual_seed(1)
    groups = [torch.rand(size, generator=random) + 0.01 for size in (50, 7, 1, 20)]
    for ratios in ((0.1, 0.5, 0.9, 0.99), (0.9, 0.3, 0.2, 0.5)):
        together = keep_probabilities(groups, torch.tensor(ratios), 4.0)
        for importance, found, ratio in zip(groups, together, ratios, strict=True):
            assert float(found.mean()) == pytest.approx(ratio, abs=1e-4)
            assert (found[importance.argsort()].diff() >= 0).all()
            (alone,) = keep_probabilities([importance], torch.tensor([ratio]), 4.0)
            assert torch.allclose(found, alone, atol=1e-6)


def test_keep_ratio_gradient_is_the_implicit_one() -> None:
    """d p_i / d ratio against finite differences of the solved threshold."""
    importance = torch.rand(20, generator=torch.Generator().manual_seed(2)).double() + 0.05
    weights = torch.randn(20, generator=torch.Generator().manual_seed(3))

    def solved(ratio: float) -> torch.Tensor:
        return keep_probabilities([importance], torch.tensor([ratio], dtype=torch.float64), 3.0)[0]

    ratio = torch.tensor(0.4, requires_grad=True)
    soft = attach_ratio(solved(0.4), ratio)
    (soft * weights).sum().backward()
    expected = float(((solved(0.4 + 1e-3) - solved(0.4 - 1e-3)) * weights).sum() / 2e-3)
    assert float(ratio.grad) == pytest.approx(expected, rel=1e-3)


def test_taylor_scores_are_squared_gate_gradients() -> None:
    module = GraphModule(trace(*make_module("residual"), "net"))
    group = prunable(module.graph)[0]
    sites = (Site(group, "channels", module.graph.widths[group]),)
    method = Taylor()
    state = method.init(module, sites, torch.Generator())
    x = torch.randn(8, 8, 8, 2)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0)

    def loss() -> torch.Tensor:
        return module(x, gates={group: method.transform(sites[0], torch.ones(8), state)}).square().mean()

    from mcuprune.prune.method import Context

    context = Context(
        module, sites, state, optimizer, loss, lambda e: torch.zeros(()), torch.Generator(), 0, 0
    )
    method.step(context)
    gate = torch.ones(8, requires_grad=True)
    module(x, gates={group: gate}).square().mean().backward()
    np.testing.assert_allclose(method.scores(state)[group], gate.grad.square().numpy(), rtol=1e-3)


def test_curve_and_best_units() -> None:
    scores = np.array([3.0, 1.0, 2.0])
    assert curve(scores).tolist() == [6.0, 3.0, 1.0, 0.0]
    assert best_units({"g": scores}, {"g": 2})["g"].tolist() == [0, 2]


def test_rigl_keeps_the_count_drops_small_and_grows_large() -> None:
    generator = torch.Generator().manual_seed(4)
    weight, gradient = (torch.randn(6, 10, generator=generator) for _ in range(2))
    mask = (torch.rand(6, 10, generator=generator) < 0.5).float()
    updated = revised_mask(weight * mask, mask, gradient, 0.3)
    assert updated.sum() == mask.sum()
    moved = int(0.3 * mask.sum())
    dropped, grown = (mask > updated), (updated > mask)
    assert 0 < int(grown.sum()) <= moved
    assert int(dropped.sum()) == int(grown.sum())
    kept = (mask > 0) & (updated > 0)
    assert weight[dropped].abs().max() <= weight[kept].abs().sort().values[moved:].max()
    assert gradient[grown].abs().min() >= gradient[(mask == 0) & (updated == 0)].abs().max()


def test_exact_obs_losses_are_the_true_output_errors() -> None:
    """The recorded loss is half the squared output change under the Hessian, and beats plain removal."""
    graph = run_passes(trace(*make_module("residual"), "net"))
    x = np.random.default_rng(0).normal(size=(64, 8, 8, 2)).astype(np.float32)
    layers = measure(graph, x)
    group = prunable(graph)[0]
    order, losses = removal_trace(group, graph.widths[group], layers)
    keep = {group: np.sort(order[3:])}
    updated = compensate(graph, keep, layers)
    total = 0.0
    for node in graph.nodes:
        layer = layers.get(node.name)
        if layer is None or group not in layer.columns:
            continue
        hessian = np.linalg.inv(layer.inverse)
        new = updated.constants[node.weight].values
        matrix = new.transpose(0, 3, 1, 2).reshape(len(new), -1) if new.ndim == 4 else new
        change = np.concatenate([matrix, updated.constants[node.bias].values[:, None]], 1) - layer.weight
        total += float(np.einsum("oi,ij,oj->", change, hessian, change)) / 2 / layer.energy
    assert total == pytest.approx(losses[3], rel=1e-3)
    reference = GraphModule(graph).eval()(torch.from_numpy(x)).detach()
    errors = [
        float((GraphModule(shrink(g, keep)).eval()(torch.from_numpy(x)) - reference).square().mean().detach())
        for g in (updated, graph)
    ]
    assert errors[0] < 0.7 * errors[1]


def test_exact_obs_is_least_squares_for_a_layer_without_bias() -> None:
    """No constant column makes up for what is gone: there is nowhere to keep its weight."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5, bias=False))
    graph = run_passes(trace(network, (6,), "net"))
    x = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)
    layers = measure(graph, x)
    (group,) = prunable(graph)
    keep = {group: np.array([0, 2, 3, 6])}
    head = next(node for node in graph.nodes if node.name == graph.outputs[0])
    assert isinstance(head, Linear)
    hidden = np.asarray(torch.relu(network[0](torch.from_numpy(x))).detach())
    wanted = hidden @ graph.constants[head.weight].values.T
    best = np.linalg.lstsq(hidden[:, keep[group]], wanted, rcond=None)[0].T
    found = compensate(graph, keep, layers).constants[head.weight].values[:, keep[group]]
    np.testing.assert_allclose(found, best, atol=2e-3)


@pytest.mark.parametrize(
    "name",
    [
        "hard_concrete:drop=0",
        "hard_concrete:gate_rate=nan",
        "hard_concrete:gate_rate=inf",
        "hard_concrete:gate_rate=-6",
        "hard_concrete:drop=0.2,drop=0.4",
        "bernoulli:patience=0",
        "connectivity:momentum=1",
        "hard_concrete:drop=1",
        "bernoulli:start=7",
        "keep_ratio:soft=0",
        "connectivity_elements:density=-3",
        "ensemble:size=0",
        "rigl:interval=0",
        "imp:cycles=0",
    ],
)
def test_options_that_cannot_work_are_refused_before_anything_is_loaded(name: str) -> None:
    method, _, option = name.partition(":")
    with pytest.raises(UsageError, match=f"method '{method}': {option.partition('=')[0]}"):
        find_method(name)


def test_members_and_bindings_that_cannot_work_are_refused_too() -> None:
    with pytest.raises(UsageError, match="unknown ensemble member 'nonsense'"):
        find_method("ensemble:member=nonsense")
    with pytest.raises(UsageError, match="binding 'augmented': penalty lies above 0"):
        find_binding("augmented:penalty=0")


def test_unit_norms_cover_every_prunable_group() -> None:
    for name in ("chain", "residual", "separable", "concat-flatten", "siren"):
        graph = trace(*make_module(name), name)
        norms = unit_norms(GraphModule(graph))
        for group in prunable(graph):
            assert norms[group].shape == (graph.widths[group],)
            assert (norms[group] > 0).all()


def test_every_method_is_listed_with_its_paper() -> None:
    names = [m.name for m in METHODS]
    assert len(set(names)) == len(names)
    assert {"taylor", "keep_ratio", "hard_concrete", "rigl", "exact_obs"} <= set(names)
    assert all("20" in m.paper and m.title for m in METHODS)
    with pytest.raises(Exception, match="did you mean 'taylor'"):
        find_method("tailor")
