"""Controls, distillation and recovery of whole experiments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from blobs import blobs
from test_method_runs import assert_within_and_maximal, make_search, problem
from torch import nn

from mcuprune.errors import UsageError
from mcuprune.frontends.torch_export import trace
from mcuprune.problem import probability_loss
from mcuprune.prune import baselines
from mcuprune.prune.checkpoint import next_epoch, restore, values
from mcuprune.prune.constrain import Multipliers
from mcuprune.prune.experiment import ALL_CONTROLS, Whole, control, equal_epochs, run_experiment
from mcuprune.prune.methods import find_method
from mcuprune.prune.setting import Setting, trained
from mcuprune.prune.shrink import shrink
from mcuprune.tasks.task import accuracy
from mcuprune.training.divergence import BACKOFF, DivergedError
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import predict, train
from mcuprune.training.recipe import Recipe
from mcuprune.training.saved import load

FINITE = nn.functional.cross_entropy


def setting(**changes: object) -> Setting:
    data = blobs()
    recipe = Recipe(epochs=4, batch_size=16, learning_rate=1e-2)
    base = Setting(data, FINITE, recipe, lambda m: accuracy(predict(m, data.x), data.y), data.x)
    return replace(base, **changes)  # type: ignore[arg-type]


def test_all_controls_stand_beside_the_result_within_the_same_budgets() -> None:
    graph, target = problem()
    outcome = run_experiment(graph, target, find_method("taylor"), setting(), ALL_CONTROLS)
    assert set(outcome.controls) == set(ALL_CONTROLS)
    for name in ("uniform", "scratch", "scratch-b", "magnitude", "random"):
        widths = outcome.controls[name].graph.widths
        figures = target.resources.exact({g: widths[g] for g in outcome.found.keep})
        assert all(figures[k] <= b for k, b in target.budgets.items()), name
    assert outcome.controls["scratch-b"].graph.widths == outcome.controls["scratch"].graph.widths
    assert len(outcome.controls["scratch-b"].history) == equal_epochs(
        graph, outcome.controls["scratch"].graph, setting().recipe.epochs
    )


def test_what_no_budget_changes_is_trained_once_for_several(tmp_path: Path) -> None:
    graph, _ = problem()
    kept, common = dict[str, set[str]](), tmp_path / "common"
    for share in (0.6, 0.3):
        (_, target), own = problem(share), setting(folder=tmp_path / str(share))
        whole = Whole(graph, target, own, common)
        for name in ("magnitude", "random", "linear", "uniform"):
            widths = control(name, graph, target, own, whole=whole).graph.widths
            figures = target.resources.exact({g: widths[g] for g in target.floors if g in widths})
            assert name == "linear" or all(figures[k] <= b for k, b in target.budgets.items())
        kept[str(share)] = {path.name for path in (tmp_path / str(share)).iterdir()}
    assert kept["0.6"] == kept["0.3"] == {"magnitude.pt", "random.pt", "uniform.pt"}
    assert {path.name for path in common.iterdir()} == {"one-shot-dense.pt", "linear.pt"}


def test_every_seed_draws_another_random_cut() -> None:
    graph, target = problem()
    cuts = [baselines.random(graph, target, seed) for seed in (0, 0, 1)]
    first, same, other = ([c.values.tobytes() for c in cut.constants.values()] for cut in cuts)
    assert first == same
    assert first != other


def test_iterative_pruning_goes_on_after_its_last_finished_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, target = problem()
    kept = setting(folder=tmp_path)
    whole = run_experiment(graph, target, find_method("imp"), kept, ()).found
    assert sorted(path.name for path in tmp_path.iterdir()) == ["imp-0.pt", "imp-1.pt", "imp-2.pt"]
    trained: list[str] = []
    monkeypatch.setattr("mcuprune.prune.methods.imp.train", lambda *_, **__: trained.append("again"))
    again = run_experiment(graph, target, find_method("imp"), kept, ()).found
    assert not trained
    for name, constant in whole.graph.constants.items():
        np.testing.assert_array_equal(constant.values, again.graph.constants[name].values)


def test_equal_computation_is_capped_at_twice_the_epochs() -> None:
    graph, target = problem()
    tiny = shrink(graph, {g: np.arange(1) for g in target.uniform})
    assert equal_epochs(graph, graph, 4) == 4
    assert equal_epochs(graph, tiny, 4) == 8


def test_what_another_network_left_is_refused(tmp_path: Path) -> None:
    """Also where every constant that is needed is there, with its shape: layers may be fewer now."""
    deep = trace(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)), (4,), "net")
    short = trace(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), (4,), "net")
    assert set(short.constants) < set(deep.constants)
    with pytest.raises(UsageError, match="of another network"):
        restore(GraphModule(short), values(GraphModule(deep)))


@pytest.mark.parametrize("method", ["taylor", "imp"])
def test_distillation_learns_what_only_the_teacher_knows(method: str, tmp_path: Path) -> None:
    """The network is told noise; with all of the loss from a teacher that knows better, it does too."""
    graph, target = problem()
    data = blobs()
    noise = replace(data, y=np.random.default_rng(1).permutation(data.y))
    scores = []
    for share in (0.0, 1.0):
        told = setting(data=noise, distill=share, folder=tmp_path / str(share), recipe=Recipe(10, 16, 1e-2))
        trained("dense", graph, replace(told, data=data))
        found = run_experiment(graph, target, find_method(method), told, ()).found
        assert_within_and_maximal(target, found)
        scores.append(found.history[-1].score)
    assert scores[0] < 0.6 < scores[1]


def test_the_teacher_is_part_of_the_cost() -> None:
    graph, target = problem()
    outcome = run_experiment(graph, target, find_method("taylor"), setting(distill=0.5), controls=())
    assert outcome.dense is not None
    assert outcome.parts == {"the teacher": outcome.dense.seconds}


@pytest.mark.parametrize("purpose", ["gate", "saliency"])
def test_gates_that_are_no_numbers_do_not_outlive_their_epoch(
    purpose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are spoiled by the last step of an epoch, whose own loss is finite."""
    graph, target = problem()
    search, spoiled = make_search("taylor", target), list[int]()
    whole_step = type(search)._step

    def step(self, run, x, y):  # type: ignore[no-untyped-def]
        loss = whole_step(self, run, x, y)
        if run.step == self.recipe.steps(len(self.data.x)) and not spoiled:
            spoiled.append(run.step)
            next(iter(run.state[purpose].values()))[0] = float("nan")
        return loss

    monkeypatch.setattr(type(search), "_step", step)
    run = next_epoch(search, search.start(graph))
    assert spoiled
    assert run.rate_scale == pytest.approx(BACKOFF)
    assert all(v.isfinite().all() for tensors in run.state.tensors.values() for v in tensors.values())


def test_multipliers_that_are_no_numbers_end_a_run_with_advice() -> None:
    graph, target = problem()
    search = make_search("hard_concrete", target)
    run = search.start(graph)
    run.multipliers = Multipliers(dict.fromkeys(target.budgets, float("inf")), run.multipliers.sums)
    with pytest.raises(DivergedError, match=r"diverged in epoch 1: .* lower --learning-rate"):
        next_epoch(search, run)


class Exploding:
    """A loss that is NaN at some calls, or always above a learning rate."""

    def __init__(self, bad: range) -> None:
        self.calls, self.bad = 0, bad

    def __call__(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        factor = float("nan") if self.calls in self.bad else 1.0
        return FINITE(outputs, labels) * factor


@pytest.mark.parametrize("moment", [2, 14, 34])  # warm-up and gating, narrow, int8; 6 steps an epoch
@pytest.mark.parametrize("name", ["taylor", "hard_concrete", "rigl"])
def test_a_run_recovers_from_a_loss_that_is_not_a_number(name: str, moment: int) -> None:
    graph, target = problem()
    search = make_search(name, target)
    search.loss = Exploding(range(moment, moment + 1))
    run = search.start(graph)
    while run.epoch < search.recipe.epochs:
        run = next_epoch(search, run)
    found = search.finish(run)
    assert run.rate_scale == pytest.approx(BACKOFF)
    assert_within_and_maximal(target, found, masked=search.method.kind == "weight")
    assert len(found.history) == search.recipe.epochs
    assert all(np.isfinite(c.values).all() for c in found.graph.constants.values())


def test_a_run_that_cannot_recover_says_what_to_do() -> None:
    graph, target = problem()
    search = make_search("taylor", target)
    search.loss = Exploding(range(1, 10_000))
    with pytest.raises(DivergedError, match=r"diverged in epoch 1: the loss is nan .* lower --learning-rate"):
        next_epoch(search, search.start(graph))


def test_unharmed_runs_do_not_depend_on_recovery() -> None:
    graph, target = problem()
    search = make_search("bernoulli", target)
    plain, safe = search.start(graph), search.start(graph)
    while plain.epoch < search.recipe.epochs:
        search.epoch(plain)
        safe = next_epoch(search, safe)
    for name, constant in search.finish(plain).graph.constants.items():
        np.testing.assert_array_equal(constant.values, search.finish(safe).graph.constants[name].values)


class Probabilities(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(2, 8, 3), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.head(torch.relu(self.conv(x)).mean((2, 3))), 1)


def test_the_linear_control_of_a_network_of_probabilities_has_them_too() -> None:
    graph, data = trace(Probabilities(), (2, 8, 8), "net"), blobs()
    whole = setting(loss=probability_loss)
    found = baselines.linear(graph)
    trained = train(found, data, probability_loss, whole.recipe, whole.score)
    outputs = predict(GraphModule(trained.graph), data.x)
    np.testing.assert_allclose(outputs.sum(1), 1.0, rtol=1e-5)
    assert trained.history[-1].loss < trained.history[0].loss


def test_a_taught_network_is_not_kept_under_the_name_of_its_control(tmp_path: Path) -> None:
    """What is removed after training from scratch asks for a dense network of its own, with the teacher."""
    graph, target = problem()
    given = setting(folder=tmp_path, distill=0.5)
    outcome = run_experiment(graph, target, find_method("exact_obs"), given, ("uniform",))
    assert outcome.dense is not None
    plain, taught = (load(folder / "dense.pt")["values"] for folder in (tmp_path, tmp_path / "taught"))
    assert not all(torch.equal(plain[name], taught[name]) for name in plain)


def test_a_run_of_one_step_learns() -> None:
    graph, target = problem()
    data, recipe = blobs(), Recipe(epochs=1, batch_size=len(blobs().x), learning_rate=1e-2)
    before = {name: constant.values.copy() for name, constant in graph.constants.items()}
    trained = train(graph, data, FINITE, recipe, lambda module: 0.0).graph
    assert any((trained.constants[name].values != values).any() for name, values in before.items())
    search = make_search("taylor", target, epochs=1)
    run = search.start(graph)
    search.recipe, search.total = recipe, 1
    search.epoch(run)
    assert run.history[-1].learning_rate > 0.0
