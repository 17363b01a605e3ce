"""From a configuration or objects to a problem, and the combinations that are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mcuprune.budget import Budget, parse_budget
from mcuprune.config import RunConfig
from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.exporters.tflite import write_tflite
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import BatchNorm
from mcuprune.graph.passes import run_passes
from mcuprune.problem import (
    DEMO_BUDGET,
    REAL_INPUTS,
    augmented,
    identifier,
    load_problem,
    make_problem,
    own_recipe,
    siren_width,
)
from mcuprune.quantize.convert import quantize
from mcuprune.tasks.load import load_task
from mcuprune.tasks.movements import Moved
from mcuprune.tasks.splits import Splits, make_task
from mcuprune.tasks.task import Split
from mcuprune.training.augment import flip

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, channels=1, outputs=10):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(channels, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.head = nn.Linear(6, outputs)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).relu().mean((2, 3)))

def colour():
    return Net(3)

def seven():
    return Net(1, 7)

class Maps(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 10, 3)

    def forward(self, x):
        return self.conv(x)
"""


@pytest.fixture
def net(tmp_path: Path) -> str:
    (tmp_path / "net.py").write_text(NET)
    return str(tmp_path / "net.py")


@pytest.fixture
def features(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "sensor.npz", x=rng.normal(size=(90, 5)), y=np.arange(90) % 3)
    return str(tmp_path / "sensor.npz")


def weights(problem) -> dict[str, np.ndarray]:
    return {name: constant.values for name, constant in problem.graph.constants.items()}


def test_own_module_on_a_task(net):
    problem = load_problem(RunConfig(model=f"{net}:Net", task="digits", budget="flash=4K", seed=3, epochs=7))
    assert problem.name == problem.graph.name == "net"
    assert problem.graph.shape(problem.graph.inputs[0]) == (8, 8, 1)
    assert any(isinstance(node, BatchNorm) for node in problem.graph.nodes)
    assert problem.budget == Budget(flash=4096)
    assert (problem.recipe.epochs, problem.recipe.seed) == (7, 3)
    assert problem.real_inputs == REAL_INPUTS
    assert problem.note == ""


def test_seed_decides_the_initial_weights(net):
    first, again, other = (
        weights(load_problem(RunConfig(model=f"{net}:Net", task="digits", seed=seed))) for seed in (1, 1, 2)
    )
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert any(not np.array_equal(first[name], other[name]) for name in first)


def test_demonstration_has_a_budget_of_its_own():
    problem = load_problem(RunConfig())
    assert (problem.name, problem.task.name) == ("digits", "digits-scenes")
    assert problem.budget == DEMO_BUDGET
    assert DEMO_BUDGET.flash == 6 * 1024
    assert DEMO_BUDGET.ram is not None
    assert DEMO_BUDGET.macs is not None
    assert "leftover share" in problem.note


def test_model_of_the_task_and_by_name(features):
    own = load_problem(RunConfig(task="digits"))
    assert (own.name, own.note) == ("digits", "no model given: mlp")
    named = load_problem(RunConfig(model="ds_cnn", task="digits"))
    assert (named.name, named.graph.shape(named.graph.inputs[0])) == ("ds_cnn", (8, 8, 1))
    sensor = load_problem(RunConfig(data=features, name="fault"))
    assert (sensor.name, sensor.graph.shape(sensor.graph.inputs[0])) == ("fault", (5,))
    assert sensor.real_inputs == len(sensor.task.test) == 18


def test_flags_override_the_recipe_of_the_task(features):
    config = RunConfig(data=features, epochs=3, batch_size=16, learning_rate=0.01, seed=4, widths=(1, 2))
    recipe = load_problem(config).recipe
    assert recipe.widths == (1, 2)
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate, recipe.seed) == (3, 16, 0.01, 4)


@pytest.mark.parametrize(
    ("samples", "epochs", "batch"), [(20, 300, 32), (648, 200, 32), (12_000, 22, 64), (10**6, 10, 64)]
)
def test_own_data_are_seen_often_enough(samples, epochs, batch):
    recipe = own_recipe(samples)
    assert (recipe.epochs, recipe.batch_size) == (epochs, batch)


def test_image_becomes_a_network_of_coordinates(tmp_path):
    pixels = np.linspace(0, 255, 100 * 80 * 3).reshape(80, 100, 3).astype(np.uint8)
    path = tmp_path / "Photo 1.png"
    Image.fromarray(pixels).save(path)
    problem = load_problem(RunConfig(model=str(path), budget="flash=4K"))
    task = problem.task
    assert problem.name == "photo_1"
    assert (task.metric, task.loss, task.classes, task.outputs) == ("psnr", "mse", 0, 3)
    assert task.data_kind == "one image, fitted"
    assert task.title == "Photo 1.png, 64x51 pixels"
    assert task.train is task.test
    assert problem.graph.shape(problem.graph.inputs[0]) == (2,)
    assert problem.recipe.weight_decay == 0.0
    with pytest.raises(UsageError, match="is an image and its own data; leave out --task and --data"):
        load_problem(RunConfig(model=str(path), task="digits"))


def test_wider_siren_for_a_larger_budget():
    widths = [siren_width(parse_budget(f"flash={size}"), 3) for size in ("1K", "2K", "4K", "64K")]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1] == siren_width(Budget(), 3)
    assert all(width % 8 == 0 for width in widths)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("seven", r"model 'seven' has 7 outputs, the data of 'digits' 10 classes"),
        ("colour", r"inputs of shape \(1, 8, 8\).*3 channels.*1 channels.*the data of 'digits'"),
        ("Maps", r"writes shape \(6, 6, 10\), task 'digits' needs a vector of 10 classes"),
    ],
)
def test_model_and_data_that_do_not_fit(net, name, expected):
    with pytest.raises(UsageError, match=expected):
        load_problem(RunConfig(model=f"{net}:{name}", task="digits"))


def test_a_floor_in_percent_is_refused_before_training():
    with pytest.raises(UsageError, match=r"--min-accuracy 90: task 'digits' .* give 0.9 for 90 %"):
        load_problem(RunConfig(task="digits", min_accuracy=90))


def test_graph_of_another_input_size(net):
    module = load_problem(RunConfig(model=f"{net}:Net", task="digits")).graph
    task = load_task("digits", None)
    graph = trace(nn.Sequential(nn.Flatten(), nn.Linear(100, 10)), (1, 10, 10))
    with pytest.raises(
        UsageError, match=r"reads inputs of shape \(10, 10, 1\), the data .* have \(8, 8, 1\)"
    ):
        make_problem(graph, task, RunConfig())
    assert make_problem(module, task, RunConfig(name="kws")).graph.name == "kws"


def test_model_without_data(net):
    with pytest.raises(UsageError, match="needs something to learn: give --task NAME or --data PATH"):
        load_problem(RunConfig(model=f"{net}:Net"))


def test_quantized_models_are_for_export(tmp_path):
    graph = run_passes(trace(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), (1, 8, 8)))
    path = tmp_path / "done.tflite"
    path.write_bytes(write_tflite(quantize(graph, load_task("digits", None).calibration(32))))
    with pytest.raises(UnsupportedError, match=r"quantized already.*mcuprune export .*done\.tflite"):
        load_problem(RunConfig(model=str(path), task="digits"))


def test_objects_keep_their_weights():
    torch.manual_seed(9)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    problem = make_problem(module, load_task("digits", None), RunConfig(seed=5))
    stored = next(values for values in weights(problem).values() if values.ndim == 2)
    np.testing.assert_array_equal(stored, module[1].weight.detach().numpy())
    assert problem.name == "sequential"


def test_network_that_ends_in_a_softmax_learns_from_probabilities():
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Softmax(1))
    task = make_problem(module, load_task("digits", None), RunConfig()).task
    logits = torch.randn(50, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(50) % 10
    found = task.loss_function(torch.softmax(logits, 1), labels)
    assert float(found) == pytest.approx(float(nn.functional.cross_entropy(logits, labels)), rel=0.05)
    certain_and_wrong = torch.eye(10)[[1]]
    assert torch.isfinite(task.loss_function(certain_and_wrong, torch.tensor([0])))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Net", "net"),
        ("my-model v2", "my_model_v2"),
        ("3d", "model_3d"),
        ("_x_", "x"),
        ("ä", "model"),
        ("", "model"),
    ],
)
def test_identifier(text, expected):
    assert identifier(text) == expected


def test_a_built_in_network_with_options():
    problem = load_problem(RunConfig(model="mlp:hidden=20/12", task="digits"))
    assert problem.name == "mlp_hidden_20_12"
    assert sorted(c.values.shape for c in problem.graph.constants.values() if c.values.ndim == 2) == [
        (10, 12),
        (12, 20),
        (20, 64),
    ]
    with pytest.raises(
        UsageError, match="no built-in model or file 'smal_resnet'; did you mean 'small_resnet'"
    ):
        load_problem(RunConfig(model="smal_resnet", task="digits"))
    with pytest.raises(UsageError, match="it takes hidden"):
        load_problem(RunConfig(model="mlp:width=3", task="digits"))


def test_augmentation_of_the_task_or_of_the_run(features):
    images = load_task("digits", None, 0)
    assert augmented(images, "task") is images
    assert augmented(images, "flip").augment is flip
    assert augmented(augmented(images, "crop_and_flip"), "none").augment is None
    with pytest.raises(UsageError, match=r"--augment flip: the inputs of .* are no images"):
        augmented(load_task(None, features, 0), "flip")


def test_motion_of_ones_own_moves_as_others_would():
    rng = np.random.default_rng(0)
    for axes, name, other in ((3, "worn", "drawn"), (2, "drawn", "worn")):
        x = rng.normal(size=(30, 40, 1, axes)).astype(np.float32)
        parts = Splits(Split(x, np.arange(30) % 2))
        task = make_task("mine", parts, 0)
        moved = augmented(task, name)
        assert isinstance(moved.augment, Moved)
        assert moved.augment.mean == task.mean
        assert np.abs(moved.augment(task.train.x, rng) - task.train.x).max() > 0.1
        with pytest.raises(UsageError, match=rf"--augment {other}: .* no sequences of {5 - axes} axes"):
            augmented(task, other)
        with pytest.raises(UsageError, match="no images"):
            augmented(task, "flip")


def test_own_data_called_like_a_built_in_task_are_own_data(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "har.npz", x=rng.normal(size=(90, 20)), y=np.arange(90) % 3)
    problem = load_problem(RunConfig(data=str(tmp_path / "har.npz")))
    assert problem.note == "no model given: mlp"
    assert (problem.recipe.epochs, problem.recipe.batch_size) == (300, 32)


def test_batch_norms_need_more_than_one_sample(net):
    with pytest.raises(UsageError, match="--batch-size 1: batch norms"):
        load_problem(RunConfig(model=f"{net}:Net", task="digits", batch_size=1))
    assert load_problem(RunConfig(task="digits", batch_size=1)).recipe.batch_size == 1


def test_voices_are_not_promised_where_nothing_changes_them(tmp_path):
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(UsageError, match="--augment voices: 'digits' is no audio"):
        make_problem(module, load_task("digits", None), RunConfig(augment="voices"))
    Image.new("L", (8, 8)).save(tmp_path / "p.png")
    with pytest.raises(UsageError, match="--augment voices: 'p' is no audio"):
        load_problem(RunConfig(model=str(tmp_path / "p.png"), augment="voices"))
