"""What a run is about: network, data, budget and training recipe; and where they come from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from mcuprune.budget import Budget, did_you_mean, parse_budget
from mcuprune.config import RunConfig
from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.fit import as_graph, channels_first, check_fit
from mcuprune.frontends.load import load_model
from mcuprune.graph.ir import Graph, QuantizedGraph, ends_in_softmax
from mcuprune.inr.image import image_task
from mcuprune.models import MODELS, build_model, is_built_in
from mcuprune.models.demo import DemoCNN
from mcuprune.models.siren import Siren
from mcuprune.prune.constrain import find_binding
from mcuprune.prune.setting import Setting
from mcuprune.tasks.image import is_image
from mcuprune.tasks.load import load_task
from mcuprune.tasks.movements import MOTIONS
from mcuprune.tasks.narrow import resized
from mcuprune.tasks.task import Task, check_task
from mcuprune.training.augment import AUGMENTS
from mcuprune.training.compute import Compute
from mcuprune.training.loop import Arrays, predict
from mcuprune.training.recipe import Recipe, is_normalized

Build = Callable[[Task], nn.Module | Graph]  # the network for the task's inputs

REAL_INPUTS = 100  # at most: test samples among the inputs that all executors are compared on

DEMO_TASK = "digits-scenes"
DEMO_BUDGET = parse_budget("flash=6K,ram=8K,macs=400K")
DEMO_NOTE = f"demonstration: an application's leftover share, {DEMO_BUDGET}, not the board's limits"

OWN_MODELS = {  # of the built-in tasks; other data get a network by the form of their inputs
    "digits": "mlp",
    "mnist": "lenet",
    "fashion-mnist": "fashion_cnn",
    "cifar10": "small_resnet",
    "spoken-digits": "ds_cnn",
    "har": "sequence_cnn",
    "anomaly": "autoencoder",
    "wand": "sequence_cnn",
}
RECIPES = {  # by task, their rates for AdamW; other data: own_recipe
    DEMO_TASK: Recipe(epochs=14, batch_size=64, learning_rate=3e-3),
    "digits": Recipe(epochs=60, batch_size=32, learning_rate=3e-3),
    "mnist": Recipe(epochs=8, batch_size=128, learning_rate=2e-3),
    "fashion-mnist": Recipe(epochs=10, batch_size=128, learning_rate=3e-3),
    "cifar10": Recipe(epochs=30, batch_size=128, learning_rate=3e-3),
    "spoken-digits": Recipe(epochs=12, batch_size=64, learning_rate=8e-3, widths=(1.0, 2.0)),
    "anomaly": Recipe(epochs=40, batch_size=128, learning_rate=2e-3),
    "har": Recipe(epochs=60, batch_size=64, learning_rate=3e-3),
    "wand": Recipe(epochs=80, batch_size=32, learning_rate=3e-3, widths=(1.0, 2.0)),
}
VOICES = {"voices": True, "none": False}  # --augment: whether audio is changed; otherwise as the task does
OWN_STEPS = 4000  # of the optimizer, for data that have no recipe
OWN_EPOCHS = (10, 300)  # at least and at most, whatever the size of the data
PERCENT = 2.0  # a floor from here on is meant in percent, where the metric ends at 1
SIGNAL_RECIPE = Recipe(epochs=200, batch_size=128, learning_rate=2e-3, weight_decay=0.0)
SIREN_WIDTHS = (8, 64)  # smallest and largest hidden width of the network that an image starts from
SIREN_EXCESS = 1.0  # bytes of its weights per byte of the flash budget, half of which is tables and code


@dataclass(frozen=True)
class Problem:
    """One compression problem.

    ``name`` is a C identifier; ``graph`` the dense float network with its batch norms; ``real_inputs`` how
    many of the inputs given to all executors are test samples; ``rebuild`` makes the dense network for inputs
    of another size; ``note`` what the report's reader should know.
    """

    name: str
    graph: Graph
    task: Task
    budget: Budget
    recipe: Recipe
    real_inputs: int
    rebuild: Callable[[Task], Graph]
    note: str = ""


def load_problem(config: RunConfig) -> Problem:
    """What ``config`` describes; without model, task and data, the demonstration.

    Equal seeds give equal initial weights.  Raises UsageError for data that cannot be used, or that do not
    fit the model, and UnsupportedError for models that cannot be compressed.
    """
    if config.model is not None and is_image(Path(config.model)):
        return _image_problem(config)
    if config.model is None and config.task is None and config.data is None:
        return _demonstration(config)
    if config.task is None and config.data is None:
        raise UsageError(f"'{config.model}' needs something to learn: give --task NAME or --data PATH")
    if config.model is not None and not is_built_in(config.model):
        model = _load_own_model(config.model, config.seed)  # before the data, which can take a while
        return _problem(lambda task: model, _task(config), config, model_name(config.model))
    task = _task(config)
    key = config.model or _model_of(task)
    note = "" if config.model else f"no model given: {key}"
    return _problem(_builder(key, config), task, config, config.model or task.name, note)


def _task(config: RunConfig, name: str | None = None) -> Task:
    """The data, images at the resolution that is asked for."""
    voices = VOICES.get(config.augment)
    task = load_task(name or config.task, config.data, config.seed, config.more_data, voices)
    return task if config.resolution is None else resized(task, config.resolution)


def _builder(key: str, config: RunConfig) -> Build:
    return lambda task: build_network(key, task, config.seed)


def _load_own_model(spec: str, seed: int) -> nn.Module | Graph:
    name = spec.partition(":")[0]
    if not Path(name).suffix and not Path(spec).exists():
        raise UsageError(f"no built-in model or file '{spec}'{did_you_mean(name, tuple(MODELS))}")
    torch.manual_seed(seed)
    model = load_model(spec)
    if isinstance(model, QuantizedGraph):
        raise UnsupportedError(
            f"'{spec}' is quantized already and cannot be trained; compress the float model, or "
            f"deploy this one as it is: `mcuprune export {spec}`"
        )
    return model


def make_problem(model: nn.Module | Graph, task: Task, config: RunConfig) -> Problem:
    """A problem from objects; the module's present weights are the initial ones.

    Raises what :func:`load_problem` raises.
    """
    name = type(model).__name__ if isinstance(model, nn.Module) else model.name
    whole = check_task(task)
    small = whole if config.resolution is None else resized(whole, config.resolution)
    return _problem(lambda task: model, small, config, name)


def _problem(build: Build, task: Task, config: RunConfig, name: str, note: str = "") -> Problem:
    name, task = config.name or identifier(name), augmented(task, config.augment)
    if (config.min_accuracy or 0.0) >= PERCENT and task.metric != "psnr":
        raise UsageError(
            f"--min-accuracy {config.min_accuracy:g}: task '{task.name}' is judged from 0 to 1; "
            "give 0.9 for 90 %"
        )

    def rebuild(task: Task) -> Graph:
        graph = as_graph(build(task), task, name)
        check_fit(graph, task)
        return graph

    graph = rebuild(task)
    return Problem(
        name=name,
        graph=graph,
        task=_for_probabilities(task) if ends_in_softmax(graph) else task,
        budget=config.budget,
        recipe=make_recipe(task, graph, config),
        real_inputs=min(REAL_INPUTS, len(task.test)),
        rebuild=rebuild,
        note=note,
    )


def make_setting(problem: Problem, config: RunConfig, folder: Path | None = None) -> Setting:
    """How networks of the problem are trained; the validation part gives the curve of scores."""
    task = problem.task

    def score(module: nn.Module) -> float:
        return task.score(predict(module, task.validation.x), task.validation.y)

    return Setting(
        Arrays(task.train.x, task.train.y, task.augment),
        task.loss_function,
        problem.recipe,
        score,
        task.calibration(),
        folder,
        find_binding(config.binding) if config.binding else None,
        config.distill,
    )


def usual_budget(config: RunConfig) -> Budget:
    """What a run has that names no budget: the demonstration its own, any other the board's."""
    is_demonstration = config.model is None and config.task is None and config.data is None
    return DEMO_BUDGET if is_demonstration else Budget()


def _demonstration(config: RunConfig) -> Problem:
    problem = _problem(_builder(DEMO_TASK, config), _task(config, DEMO_TASK), config, "digits")
    if config.budget not in (Budget(), DEMO_BUDGET) or config.family:
        return problem
    return replace(problem, budget=DEMO_BUDGET, note=DEMO_NOTE)


def _image_problem(config: RunConfig) -> Problem:
    assert config.model is not None
    if config.task is not None or config.data is not None:
        raise UsageError(f"'{config.model}' is an image and its own data; leave out --task and --data")
    if config.more_data is not None:
        raise UsageError(f"'{config.model}' is an image and all of its data; leave out --more-data")
    if config.resolution is not None:
        raise UsageError(f"'{config.model}' is stored at its own size; leave out --resolution")
    path = Path(config.model)
    task = image_task(path)
    torch.manual_seed(config.seed)
    network = Siren((2,), task.outputs, hidden=siren_width(config.budget, task.outputs))
    return _problem(
        lambda task: network, task, config, path.stem, f"{task.title}, stored as a network: {task.data_kind}"
    )


def siren_width(budget: Budget, outputs: int) -> int:
    """Hidden width, a multiple of 8, of a three-layer SIREN that is too large for the flash budget."""
    smallest, largest = SIREN_WIDTHS
    if budget.flash is None:
        return largest
    # 2 w^2 + (2 + outputs) w weights of one byte each = SIREN_EXCESS * flash
    half = (2 + outputs) / 4
    width = math.sqrt(half**2 + SIREN_EXCESS * budget.flash / 2) - half
    return min(largest, max(smallest, 8 * round(width / 8)))


def _model_of(task: Task) -> str:
    if task.is_built_in and task.name == DEMO_TASK:
        return DEMO_TASK
    if task.is_built_in and task.name in OWN_MODELS:
        return OWN_MODELS[task.name]
    if len(task.input_shape) != 3:
        return "mlp"
    return "sequence_cnn" if task.input_shape[1] == 1 else "ds_cnn"


def build_network(key: str, task: Task, seed: int) -> nn.Module:
    """A built-in network, or the demonstration's, for the task's inputs; equal seeds give equal weights."""
    torch.manual_seed(seed)
    if key == DEMO_TASK:
        return DemoCNN()
    return build_model(key, channels_first(task.input_shape), task.outputs)


def make_recipe(task: Task, graph: Graph, config: RunConfig) -> Recipe:
    """The task's own recipe for such a network, with what ``config`` sets.

    Raises UsageError for a device that is not there.
    """
    recipe = RECIPES.get(task.name) if task.is_built_in else None
    recipe = recipe or (own_recipe(len(task.train)) if task.classes else SIGNAL_RECIPE)
    own = ("epochs", "batch_size", "widths")
    given = {key: value for key in own if (value := getattr(config, key)) is not None}
    recipe = replace(recipe, **given)
    if recipe.batch_size == 1 and is_normalized(graph):
        raise UsageError("--batch-size 1: batch norms need statistics of several samples; give 2 or more")
    if config.optimizer == "sgd" or (config.optimizer == "auto" and is_normalized(graph)):
        recipe = recipe.with_sgd(len(task.train), config.learning_rate)
    rate = config.learning_rate or recipe.learning_rate
    compute = Compute(config.device, config.precision)
    compute.find_device()  # a missing one is refused before anything is trained
    return replace(recipe, learning_rate=rate, seed=config.seed, compute=compute)


def augmented(task: Task, name: str) -> Task:
    """``task`` with its training inputs changed as ``--augment`` says; UsageError where they cannot be."""
    if name == "voices" and (task.front_end is None or task.augment is None):
        raise UsageError(
            f"--augment voices: '{task.name}' is no audio that is loaded here; leave it out, or in Python "
            "call load_task with voices=True"
        )
    if name in ("task", "voices"):
        return task
    if name in MOTIONS:
        axes, made = MOTIONS[name]
        if task.input_shape[1:] != (1, axes):
            raise UsageError(
                f"--augment {name}: the inputs of '{task.name}' are no sequences of {axes} axes; leave it out"
            )
        return replace(task, augment=made(task))
    if name in AUGMENTS and not task.has_images:
        raise UsageError(f"--augment {name}: the inputs of '{task.name}' are no images; leave it out")
    return replace(task, augment=AUGMENTS.get(name))


def own_recipe(samples: int) -> Recipe:
    """Training for classification data of unknown kind: small sets are seen more often, in small batches."""
    recipe = Recipe(batch_size=32 if samples < 2000 else 64)
    fewest, most = OWN_EPOCHS
    return replace(recipe, epochs=min(most, max(fewest, math.ceil(OWN_STEPS / recipe.steps(samples)))))


def _for_probabilities(task: Task) -> Task:
    return replace(task, loss=probability_loss) if task.loss == "cross_entropy" else task


def probability_loss(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of probabilities; half an int8 step of a softmax keeps the logarithm finite at 0."""
    loss: Tensor = nn.functional.nll_loss(torch.log(probabilities + 1.0 / 512.0), labels)
    return loss


def model_name(spec: str) -> str:
    """``Net`` of ``file.py:Net``, otherwise the file's stem."""
    file, _, name = spec.rpartition(":")
    return name if file.endswith(".py") and name else Path(spec).stem


def identifier(text: str) -> str:
    """A C identifier, lower case, from a class, file or task name."""
    safe = "".join(c if c.isascii() and c.isalnum() else "_" for c in text.lower()).strip("_")
    return safe if safe and safe[0].isalpha() else f"model_{safe}".rstrip("_")
