"""An image as a task: coordinates, colours, and a network that learns them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mcuprune.errors import UsageError
from mcuprune.frontends.torch_export import trace
from mcuprune.inr.image import LONGEST, coordinates, image_task
from mcuprune.models.siren import Siren
from mcuprune.tasks.task import check_task
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import Arrays, predict, train
from mcuprune.training.recipe import Recipe


def picture(path, width: int, height: int, channels: int = 3):
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 120 * np.sin(6.0 * (k + 1) * x / width + 4.0 * y / height) for k in range(channels)]
    pixels = np.stack(planes, axis=2).astype(np.uint8)
    Image.fromarray(pixels if channels == 3 else pixels[..., 0]).save(path)
    return pixels


def test_every_pixel_is_a_sample(tmp_path):
    pixels = picture(tmp_path / "p.png", 20, 12)
    task = check_task(image_task(tmp_path / "p.png"))
    assert task.train.x.shape == (240, 2)
    assert task.train.y.shape == (240, 3)
    np.testing.assert_allclose((task.test.y + 1) * 127.5, pixels.reshape(-1, 3), atol=1e-4)
    assert task.score(task.test.y, task.test.y) == 100.0
    assert task.chance == 0.0
    wrong = np.clip(task.test.y + np.float32(0.02), -1, 1)
    assert task.score(wrong, task.test.y) == pytest.approx(40.0, abs=0.2)  # 20 log10(2 / 0.02)


def test_large_images_are_reduced_and_grey_ones_stay_grey(tmp_path):
    picture(tmp_path / "wide.png", 200, 50, channels=1)
    task = image_task(tmp_path / "wide.png")
    assert task.outputs == 1
    assert len(task.train) == LONGEST * LONGEST // 4
    assert image_task(tmp_path / "wide.png", longest=10).title == "wide.png, 10x2 pixels"


def test_coordinates_are_pixel_centres_of_square_pixels():
    grid = coordinates(2, 4)
    assert grid.dtype == np.float32
    assert grid[:4].tolist() == [[-0.75, -0.25], [-0.25, -0.25], [0.25, -0.25], [0.75, -0.25]]
    assert grid[4].tolist() == [-0.75, 0.25]


def test_no_image(tmp_path):
    (tmp_path / "p.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UsageError, match=r"p\.png' cannot be read"):
        image_task(tmp_path / "p.png")
    with pytest.raises(UsageError, match=r"gone\.png' does not exist"):
        image_task(tmp_path / "gone.png")


def test_siren_fits_a_picture_in_seconds(tmp_path):
    picture(tmp_path / "p.png", 32, 32)
    task = image_task(tmp_path / "p.png")
    torch.manual_seed(0)
    graph = trace(Siren((2,), 3, hidden=24), (2,), "p")

    def score(module: torch.nn.Module) -> float:
        return task.score(predict(module, task.test.x), task.test.y)

    recipe = Recipe(epochs=60, batch_size=256, learning_rate=5e-3, weight_decay=0.0)
    result = train(graph, Arrays(task.train.x, task.train.y), task.loss_function, recipe, score)
    assert score(GraphModule(result.graph)) > 27.0
    assert result.history[0].score < 25.0
