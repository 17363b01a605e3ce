"""Motion as others would make it: of the right shape, and changed in the way that is stated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from data_files import write_har, write_wand

from mcuprune import form
from mcuprune.config import RunConfig
from mcuprune.form import Aims
from mcuprune.graph.ir import Graph
from mcuprune.problem import load_problem
from mcuprune.progress import SILENT
from mcuprune.prune.setting import Setting
from mcuprune.tasks import movements
from mcuprune.tasks.load import load_task
from mcuprune.tasks.movements import Moved, drawn, rotations, worn
from mcuprune.tasks.narrow import apart, picked
from mcuprune.tasks.task import Split, Task, classification

NO_AIMS = Aims(lambda graph: {}, lambda graph: pytest.fail("inputs come first"))
STILL = {"TURN": 0.0, "FORCE": 0.0, "PACE": 0.0, "LEAN": 0.0, "SHEAR": 0.0, "UNEVEN": 0.0}


class Chosen(Exception):
    """Nothing after the choice is of interest."""


def only(monkeypatch: pytest.MonkeyPatch, **changes: float) -> None:
    for name, value in {**STILL, **changes}.items():
        monkeypatch.setattr(movements, name, value)


def task_of(readings: np.ndarray) -> Task:
    """Two classes of ``readings`` (N, time, axes), standardized."""
    x = readings[:, :, None, :].astype(np.float32)
    both = Split(np.concatenate([x, x]), np.repeat([0, 1], len(x)))
    return classification("motion", both, both, validation=both, title="", seed=0, normalize=True)


def readings_after(task: Task, augment: Moved, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(N, time, axes) in the data's own unit, before and after a change."""
    x = task.train.x
    found = augment(x, np.random.default_rng(seed))
    assert (found.dtype, found.shape) == (np.dtype(np.float32), x.shape)
    before, after = ((part * np.array(task.std) + np.array(task.mean))[:, :, 0] for part in (x, found))
    return before, after


def walk(axes: int, count: int = 12) -> np.ndarray:
    """Random paths, away from zero, with another size of every axis."""
    steps = np.random.default_rng(3).normal(size=(count, 52, axes))
    return np.cumsum(steps, axis=1) * np.arange(1, axes + 1) + 5.0


def test_rotations_turn_about_their_axis() -> None:
    rng = np.random.default_rng(0)
    axes = rng.normal(size=(20, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    angles = rng.uniform(-math.pi, math.pi, 20)
    found = rotations(axes, angles)
    np.testing.assert_allclose(
        found @ found.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (20, 3, 3)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(found), 1.0)
    np.testing.assert_allclose((axes[:, None] @ found)[:, 0], axes, atol=1e-12)
    np.testing.assert_allclose(np.trace(found, axis1=1, axis2=2), 1 + 2 * np.cos(angles))


@pytest.mark.parametrize(("made", "axes"), [(worn, 3), (drawn, 2)])
def test_nothing_changes_without_changes(monkeypatch: pytest.MonkeyPatch, made, axes: int) -> None:
    only(monkeypatch)
    task = task_of(walk(axes))
    before, after = readings_after(task, made(task))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-3)


def test_a_turned_device_reads_the_same_strength(monkeypatch: pytest.MonkeyPatch) -> None:
    """In every sample in another direction; with force, all of its readings times one factor."""
    only(monkeypatch, TURN=math.pi)
    task = task_of(walk(3))
    before, after = readings_after(task, worn(task))
    np.testing.assert_allclose(np.linalg.norm(after, axis=2), np.linalg.norm(before, axis=2), rtol=1e-4)
    assert (np.abs(after - before).max(axis=(1, 2)) > 0.5).all()
    only(monkeypatch, TURN=math.pi, FORCE=0.2)
    before, after = readings_after(task, worn(task))
    factors = np.linalg.norm(after, axis=2) / np.linalg.norm(before, axis=2)
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :1], factors.shape), rtol=1e-3)
    assert math.exp(-0.2) - 1e-3 <= factors.min() < 0.95
    assert 1.05 < factors.max() <= math.exp(0.2) + 1e-3


def test_another_pace_is_another_frequency(monkeypatch: pytest.MonkeyPatch) -> None:
    """A swing of the window's middle comes back faster or slower, and stays in the middle."""
    only(monkeypatch, PACE=0.2)
    times = np.arange(52) - 25.5
    task = task_of(
        np.stack([np.cos(0.3 * times), np.sin(0.3 * times), 0.1 * times], axis=1)[None].repeat(9, 0)
    )
    _, after = readings_after(task, worn(task))
    speeds = after[:, 26, 2] / 0.05  # where time was half a sample, it is half the speed
    assert math.exp(-0.2) <= speeds.min() < 0.95
    assert 1.05 < speeds.max() <= math.exp(0.2)
    inside = slice(6, 46)  # the rest may have been read backwards
    expected = np.cos(0.3 * speeds[:, None] * times)
    np.testing.assert_allclose(after[:, inside, 0], expected[:, inside], atol=0.02)
    assert np.abs(after[:, :, 2]).max() <= 2.55 + 1e-4


def test_a_stroke_keeps_its_path_and_its_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, UNEVEN=0.3)
    line = np.linspace(0.0, 1.0, 52)
    task = task_of(np.stack([line, 2.0 * line], axis=1)[None].repeat(9, 0))
    before, after = readings_after(task, drawn(task))
    np.testing.assert_allclose(after[:, [0, -1]], before[:, [0, -1]], atol=1e-4)
    np.testing.assert_allclose(after[:, :, 1], 2.0 * after[:, :, 0], atol=1e-4)
    assert (np.diff(after[:, :, 0], axis=1) > 0).all()
    assert np.abs(after - before).max() > 0.02


def test_a_stroke_leans(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotation keeps distances, a shear keeps y."""
    task = task_of(walk(2))
    only(monkeypatch, LEAN=0.3)
    before, after = readings_after(task, drawn(task))
    np.testing.assert_allclose(np.linalg.norm(after, axis=2), np.linalg.norm(before, axis=2), rtol=1e-4)
    angles = np.arctan2(after[..., 1], after[..., 0]) - np.arctan2(before[..., 1], before[..., 0])
    assert 0.1 < np.abs((angles + math.pi) % (2 * math.pi) - math.pi).max() <= 0.3 + 1e-3
    only(monkeypatch, SHEAR=0.3)
    before, after = readings_after(task, drawn(task))
    np.testing.assert_allclose(after[..., 1], before[..., 1], rtol=1e-4, atol=1e-3)
    shear = (after[..., 0] - before[..., 0]) / before[..., 1]
    np.testing.assert_allclose(
        shear, np.broadcast_to(np.median(shear, axis=1, keepdims=True), shear.shape), atol=1e-3
    )
    assert 0.1 < np.abs(shear).max() <= 0.3 + 1e-3


def test_tasks_of_motion_change_it(tmp_path) -> None:
    for name, folder in (("har", write_har(tmp_path / "h")), ("wand", write_wand(tmp_path / "w"))):
        task = load_task(name, str(folder))
        assert isinstance(task.augment, Moved)
        assert (task.augment.mean, task.augment.std) == (task.mean, task.std)
        before, after = readings_after(task, task.augment)
        assert np.abs(after - before).max() > 0.1


def test_some_axes_are_not_turned(tmp_path) -> None:
    """Two axes of three: as others move, but each axis by itself."""
    task = load_task("har", str(write_har(tmp_path)))
    two = picked(task, "channels", (2, 0))
    assert isinstance(two.augment, Moved)
    assert two.augment.turned is None
    assert two.augment.mean == (task.mean[2], task.mean[0])
    still = apart(task).augment
    assert still is not None
    of_all, of_two = (f(t.train.x, np.random.default_rng(1)) for f, t in ((still, task), (two.augment, two)))
    np.testing.assert_allclose(of_two, of_all[..., [2, 0]], atol=1e-4)
    assert np.abs(of_two - two.train.x).max() > 0.1
    assert apart(two).augment == two.augment


def test_inputs_are_chosen_among_axes_that_are_kept_apart(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where devices are turned every axis is as good as any other."""
    config = RunConfig(task="har", data=str(write_har(tmp_path)), inputs=2)
    problem = load_problem(config)
    seen: list[Moved] = []

    def chosen(graph: Graph, setting: Setting, *rest: object, **named: object) -> None:
        assert isinstance(setting.data.augment, Moved)
        seen.append(setting.data.augment)
        raise Chosen

    monkeypatch.setattr(form, "choose_inputs", chosen)
    with pytest.raises(Chosen):
        form.choose_form(problem, config, NO_AIMS, tmp_path, SILENT)
    assert seen == [apart(problem.task).augment]
    assert seen != [problem.task.augment]
