"""A compressed network and the controls it stands beside, each trained once and kept for a resumed run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from mcuprune.graph.ir import Graph
from mcuprune.progress import SILENT, Progress
from mcuprune.prune import baselines, checkpoint
from mcuprune.prune.method import Method
from mcuprune.prune.run import Found
from mcuprune.prune.search import Search
from mcuprune.prune.setting import Setting, trained
from mcuprune.prune.stage import Stage
from mcuprune.prune.target import Target
from mcuprune.resources.macs import total_macs
from mcuprune.training.distill import distilled
from mcuprune.training.loop import Trained
from mcuprune.training.saved import load, save
from mcuprune.training.schedules import Phases

BEFORE_CUT = Phases().freeze  # share of its epochs that the one-shot controls train the dense network
MOST_EPOCHS = 2.0  # times the recipe's: what the control of equal computation may take
CONTROLS = ("uniform", "scratch", "magnitude", "linear")
ALL_CONTROLS = ("uniform", "scratch", "scratch-b", "magnitude", "random", "linear")


@dataclass(frozen=True)
class Outcome:
    """``dense`` and ``controls`` are empty when controls were not asked for.

    ``parts``: processor seconds of what was trained before the search and for it, by what it was for.
    """

    found: Found
    dense: Trained | None
    controls: Mapping[str, Trained]
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Whole:
    """The network before inputs and blocks were chosen: what controls start from.

    ``common``: where trainings are kept that are the same for every target; None: where ``setting`` says.
    """

    graph: Graph
    target: Target
    setting: Setting
    common: Path | None = None

    @property
    def shared(self) -> Setting:
        return self.setting if self.common is None else replace(self.setting, folder=self.common)


def run_experiment(
    initial: Graph,
    target: Target,
    method: Method | Stage,
    setting: Setting,
    controls: tuple[str, ...] = CONTROLS,
    progress: Progress = SILENT,
    whole: Whole | None = None,
) -> Outcome:
    """Compress ``initial`` to ``target``.

    With ``controls`` also train its dense counterpart and those; they start from the ``whole`` network where
    ``initial`` is only a part of it.
    """
    whole = whole or Whole(initial, target, setting)
    learning, dense, parts = prepare(initial, setting, whole, bool(controls), progress)
    if isinstance(method, Stage):
        found = method.compress(initial, target, learning, progress)
    else:
        found = _compressed(method, initial, target, learning, progress)
    rest = (initial, target, setting, found, progress, whole)
    return Outcome(found, dense, {name: control(name, *rest) for name in controls}, parts)


def prepare(
    initial: Graph, setting: Setting, whole: Whole, compared: bool, progress: Progress = SILENT
) -> tuple[Setting, Trained | None, dict[str, float]]:
    """How ``initial`` learns, with a teacher where the setting asks for one; the dense network, where it is
    ``compared`` or teaches; and processor seconds of what only the search needs."""
    same = initial.shape(initial.inputs[0]) == whole.graph.shape(whole.graph.inputs[0])
    dense = None
    if compared or (setting.distill and same):
        dense = trained("dense", whole.graph, whole.setting, progress)
    learning, parts = setting, dict[str, float]()
    if setting.distill:  # the teacher reads what its student reads
        teacher = dense if dense is not None and same else trained("teacher", initial, setting, progress)
        data, loss = distilled(setting.data, setting.loss, teacher.graph, setting.distill)
        apart = setting.folder and setting.folder / "taught"
        learning = replace(setting, data=data, loss=loss, folder=apart)
        parts["the teacher"] = teacher.seconds
    return learning, dense, parts


def control(
    name: str,
    initial: Graph,
    target: Target,
    setting: Setting,
    found: Found | None = None,
    progress: Progress = SILENT,
    whole: Whole | None = None,
) -> Trained:
    """One of :data:`ALL_CONTROLS`, trained, or read back from the setting's folder.

    ``scratch`` and ``scratch-b``, those of Liu et al. 2019, need what was ``found``; the others do not, and
    start from the ``whole`` network where ``initial`` is only a part of it.
    """
    recipe, whole = setting.recipe, whole or Whole(initial, target, setting)
    if name == "uniform":
        graph = baselines.uniform(whole.graph, whole.target, recipe.seed)
        return trained(name, graph, whole.setting, progress)
    if name == "linear":
        plain = replace(whole.shared, recipe=whole.setting.recipe.without_norms())
        return trained(name, baselines.linear(whole.graph), plain, progress)
    if name == "magnitude":
        return _one_shot(name, baselines.magnitude, whole, progress)
    if name == "random":
        return _one_shot(name, partial(baselines.random, seed=recipe.seed), whole, progress)
    assert found is not None, f"control '{name}' starts from the widths of a result"
    narrow = baselines.scratch(initial, found.keep, recipe.seed)
    if name == "scratch-b":
        recipe = replace(recipe, epochs=equal_epochs(initial, narrow, recipe.epochs))
    return trained(name, narrow, replace(setting, recipe=recipe), progress)


def equal_epochs(dense: Graph, narrow: Graph, epochs: int) -> int:
    """Epochs in which ``narrow`` costs the computation of the ``dense`` one, at most MOST_EPOCHS times."""
    ratio = total_macs(dense) / max(1.0, total_macs(narrow))
    return max(1, int(epochs * min(MOST_EPOCHS, ratio)))


def _one_shot(name: str, cut: Callable[[Graph, Target], Graph], whole: Whole, progress: Progress) -> Trained:
    """Dense training, one cut, fine-tuning; as many epochs altogether as everybody has."""
    recipe = whole.setting.recipe
    before = max(1, round(BEFORE_CUT * recipe.epochs))
    after = max(1, recipe.epochs - before)
    first = replace(whole.shared, recipe=replace(recipe, epochs=before))
    second = replace(whole.setting, recipe=replace(recipe, epochs=after))
    shared = trained("one-shot-dense", whole.graph, first, progress)
    after_cut = trained(name, cut(shared.graph, whole.target), second, progress)
    return replace(after_cut, seconds=shared.seconds + after_cut.seconds)


def _compressed(
    method: Method, initial: Graph, target: Target, setting: Setting, progress: Progress
) -> Found:
    search = Search(
        target,
        method,
        setting.data,
        setting.loss,
        setting.recipe,
        setting.score,
        binding=setting.binding,
    )
    path = None if setting.folder is None else setting.folder / "run.pt"
    run = search.start(initial)
    if path is not None and path.exists():
        run = checkpoint.unpack(search, initial, load(path))
        progress.note(f"resuming after epoch {run.epoch}")
    progress.stage(f"compress: {method.name}", setting.recipe.epochs - run.epoch)
    while run.epoch < setting.recipe.epochs:
        run = checkpoint.next_epoch(search, run, progress)
        if path is not None:
            save(path, checkpoint.pack(run))
    return search.finish(run)
