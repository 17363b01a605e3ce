"""Residual blocks and stretches of a chain: found, removed exactly, chosen by gates and by trying."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import Graph
from mcuprune.models import build_model
from mcuprune.prune import depth
from mcuprune.prune.blocks import branches, runs, without
from mcuprune.prune.depth import choose_branches, choose_stretches
from mcuprune.prune.setting import Setting
from mcuprune.prune.target import Target
from mcuprune.tasks.task import accuracy
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import Arrays, EpochRecord, Trained, predict
from mcuprune.training.recipe import Recipe


class Blocks(nn.Module):
    """Three residual blocks, one with an activation behind the addition; the second one's skip is a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1)
        self.a, self.a2 = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.b, self.skip = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 1)
        self.c = nn.Conv2d(6, 6, 1)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.a2(self.a(x)))
        x = self.skip(x) + torch.relu(self.b(x))
        x = x + torch.relu(self.c(x))
        out: Tensor = self.head(x.mean((2, 3)))
        return out


def network() -> Graph:
    torch.manual_seed(0)
    return trace(Blocks(), (2, 8, 8), "net")


def size(graph: Graph) -> dict[str, float]:
    return {"flash": float(sum(c.values.size for c in graph.constants.values()))}


def test_only_what_can_go_is_found() -> None:
    graph = network()
    assert len(branches(graph)) == 2, "the middle addition joins two layers: neither is a mere extra"


def test_without_equals_a_closed_gate() -> None:
    graph = network()
    x = torch.randn(5, 8, 8, 2, generator=torch.Generator().manual_seed(1))
    for branch in branches(graph):
        closed = GraphModule(graph).eval()(
            x, activation=lambda name, value, o=branch.output: value * 0 if name == o else value
        )
        small = without(graph, branch)
        torch.testing.assert_close(GraphModule(small).eval()(x), closed, rtol=1e-5, atol=1e-6)
        assert size(small)["flash"] < size(graph)["flash"]
    both = without(without(graph, branches(graph)[0]), branches(graph)[1])
    assert branches(both) == ()
    assert GraphModule(both).eval()(x).isfinite().all()


@pytest.mark.parametrize("budget", [1.0, 0.02])
def test_gates_drop_blocks_as_budgets_ask(budget: float) -> None:
    """Nothing goes for free; under pressure the costly branch (nine taps, not one) goes first."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 192)
    x = rng.normal(size=(192, 8, 8, 2)).astype(np.float32)
    x[:, :4] += 1.0 * (y == 1)[:, None, None, None]
    x[:, :, 4:] += 1.0 * (y == 2)[:, None, None, None]
    data, graph = Arrays(x, y), network()
    recipe = Recipe(epochs=10, batch_size=16, learning_rate=5e-3)
    loss = nn.functional.cross_entropy
    setting = Setting(data, loss, recipe, lambda m: accuracy(predict(m, x), y), x)
    found = choose_branches(graph, setting, size, {"flash": budget * size(graph)["flash"]})
    small, dropped = found.graph, found.dropped
    assert len(branches(small)) == 2 - len(dropped)
    if budget == 1.0:
        assert dropped == ()
    else:
        assert "a" in dropped[0].nodes
        assert size(small)["flash"] < 0.7 * size(graph)["flash"]


class Bottlenecks(nn.Module):
    """Two blocks in a row without an activation behind their additions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b = nn.Conv2d(2, 6, 3), nn.Conv2d(6, 6, 1), nn.Conv2d(6, 6, 1)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = x + torch.relu(self.a(x))
        x = x + torch.relu(self.b(x))
        out: Tensor = self.head(x.mean((2, 3)))
        return out


def test_blocks_in_a_row_go_in_any_order() -> None:
    torch.manual_seed(0)
    graph = trace(Bottlenecks(), (2, 8, 8), "net")
    first, second = branches(graph)
    x = torch.randn(5, 8, 8, 2, generator=torch.Generator().manual_seed(1))
    closed = GraphModule(graph).eval()(
        x, activation=lambda name, value: value * 0 if name in (first.output, second.output) else value
    )
    for one, other in ((first, second), (second, first)):
        small = without(without(graph, one), other)
        torch.testing.assert_close(GraphModule(small).eval()(x), closed, rtol=1e-5, atol=1e-6)


def chain(name: str, shape: tuple[int, ...], outputs: int = 10) -> Graph:
    torch.manual_seed(0)
    return trace(build_model(name, shape, outputs), shape, name)


@pytest.mark.parametrize(
    ("name", "shape", "lengths"),
    [
        ("ds_cnn", (1, 49, 10), [4]),
        ("small_mobilenet", (3, 32, 32), [1, 1, 2]),
        ("autoencoder", (640,), [3, 3]),
        ("small_resnet", (3, 32, 32), []),
        ("lenet", (1, 28, 28), []),
        ("sequence_cnn", (3, 52, 1), []),
    ],
)
def test_stretches_that_keep_the_shape(name: str, shape: tuple[int, ...], lengths: list[int]) -> None:
    assert [len(run) for run in runs(chain(name, shape))] == lengths


@pytest.mark.parametrize(
    ("name", "shape"), [("ds_cnn", (1, 25, 10)), ("small_mobilenet", (3, 16, 16)), ("autoencoder", (20,))]
)
def test_without_a_stretch_its_readers_see_what_it_read(name: str, shape: tuple[int, ...]) -> None:
    graph = chain(name, shape)
    x = torch.randn(3, *graph.shape(graph.inputs[0]), generator=torch.Generator().manual_seed(1))
    for run in runs(graph):
        for stretch in run:
            seen = dict[str, Tensor]()

            def skipping(tensor: str, value: Tensor, ends=stretch, seen=seen) -> Tensor:  # type: ignore[no-untyped-def]
                seen[tensor] = value
                return seen[ends.start] if tensor == ends.end else value

            small = without(graph, stretch)
            wanted = GraphModule(graph).eval()(x, activation=skipping)
            torch.testing.assert_close(GraphModule(small).eval()(x), wanted, rtol=1e-5, atol=1e-6)
            assert len(small.nodes) == len(graph.nodes) - len(stretch.nodes)
            assert sum(map(len, runs(small))) == sum(map(len, runs(graph))) - 1


class Crossed(nn.Module):
    """Layers of one shape that are no stretches: one is passed by a skip, one ends in another function."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        a, b, c, d = self.layers
        x = torch.relu(a(x))
        x = torch.relu(c(torch.sigmoid(b(x)))) + x
        out: Tensor = d(x)
        return out


def test_layers_that_others_pass_by_are_no_stretch() -> None:
    torch.manual_seed(0)
    assert runs(trace(Crossed(), (6,), "net")) == ()


@pytest.mark.parametrize(
    ("losses", "left"),
    [
        ({"3-3": 5.0, "2-3": 4.0, "2-2": 4.5}, [2, 3]),
        ({"3-3": 5.0, "2-3": 5.0}, [3, 3]),
        ({"3-3": 6.0, "2-3": 5.0, "2-2": 4.0, "1-2": 3.0, "1-1": 2.0, "1": 1.0, "0": 0.5}, []),
    ],
)
def test_stretches_go_until_the_loss_falls_no_more(
    losses: dict[str, float], left: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, tried = chain("autoencoder", (20,), 20), list[str]()
    setting = Setting(
        Arrays(np.zeros((1, 20)), np.zeros((1, 20))), nn.MSELoss(), Recipe(), lambda m: 0.0, np.zeros(1)
    )

    def trained(name: str, narrow: Graph, *_: object) -> Trained:
        tried.append(name.removeprefix("depth-"))
        assert all(narrow.widths[group] == 4 for group in narrow.widths if group not in narrow.frozen)
        return Trained(narrow, (EpochRecord(0, "", losses[tried[-1]], 0.0, 0.0),), 1.5)

    def aim(graph: Graph) -> Target:
        return Target(None, {}, {}, dict.fromkeys(graph.widths.keys() - graph.frozen, 4), {})  # type: ignore[arg-type]

    monkeypatch.setattr(depth, "trained", trained)
    found = choose_stretches(graph, setting, aim)
    assert tried == list(losses)
    assert [len(run) for run in runs(found.graph)] == left
    assert len(found.dropped) == 6 - sum(left)
    assert found.seconds == 1.5 * len(losses)
