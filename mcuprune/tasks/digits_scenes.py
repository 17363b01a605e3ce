"""Real handwritten digits in synthetic scenes: the default demonstration, small enough to train in a minute.

Each scene is 24x24 grey: one of scikit-learn's 8x8 digits, scaled to 12..18 pixels, rotated, sheared and
placed anywhere, among fragments of other digits, on an uneven background with noise.  The class is that of
the whole digit.  Training, validation and test scenes are built from disjoint sets of source digits, the
fragments included.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

from mcuprune.tasks.task import Split, Task, classification

SIDE = 24
PATCH = 8  # side of a clutter fragment, pixels
FRAGMENTS = 4
NAME = "digits-scenes"
SHARES = (0.55, 0.15, 0.30)  # of the source digits: train, validation, test


@cache
def source_digits() -> tuple[np.ndarray, np.ndarray]:
    """The 1,797 images (N, 8, 8) float32 in 0..1 and their labels (N,) int64."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.images.astype(np.float32) / 16.0, bunch.target.astype(np.int64)


def split_sources(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index arrays of the train, validation and test source digits: disjoint, stratified, always the same."""
    rng = np.random.default_rng(8)
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for label in range(10):
        members = rng.permutation(np.flatnonzero(labels == label))
        cuts = np.round(np.cumsum(SHARES)[:2] * len(members)).astype(int)
        for part, piece in zip(parts, np.split(members, cuts), strict=True):
            part.append(piece)
    train, validation, test = (np.sort(np.concatenate(part)) for part in parts)
    return train, validation, test


def digits_scenes(train: int = 8000, validation: int = 1000, test: int = 4000, seed: int = 0) -> Task:
    """The demonstration task with the given numbers of scenes; equal arguments give equal arrays."""
    _, labels = source_digits()
    counts = (train, validation, test)
    splits = [
        draw_scenes(sources, count, np.random.default_rng((seed, stream)))
        for stream, (sources, count) in enumerate(zip(split_sources(labels), counts, strict=True))
    ]
    return classification(
        NAME,
        splits[0],
        splits[2],
        validation=splits[1],
        title="Handwritten digits in cluttered 24x24 scenes",
        data_kind="real digits, synthetic scenes",
    )


def draw_scenes(sources: np.ndarray, count: int, rng: np.random.Generator) -> Split:
    """``count`` scenes (count, 24, 24, 1) in 0..1 built from the given source digits only."""
    images, labels = source_digits()
    chosen = rng.choice(sources, count)
    scene = _clutter(images[rng.choice(sources, (count, FRAGMENTS))], rng)
    digit = _warp(images[chosen], SIDE, rng.uniform(12.0, 18.0, count), _offsets(count, rng), rng)
    ink = rng.uniform(0.7, 1.0, (count, 1, 1)).astype(np.float32)
    scene = np.maximum(scene, ink * digit)
    scene = _background(count, rng) * (1.0 - scene) + scene
    scene += rng.normal(0.0, 0.06, scene.shape).astype(np.float32)
    levels = np.round(np.clip(scene, 0.0, 1.0) * 255.0).astype(np.float32)  # what an 8-bit camera delivers
    return Split(levels[..., None] / np.float32(255.0), labels[chosen])


def _offsets(count: int, rng: np.random.Generator) -> np.ndarray:
    """Centres of the digits relative to the scene's, in pixels (count, 2); most of the ink stays inside."""
    return rng.uniform(-4.0, 4.0, (count, 2))


def _warp(
    images: np.ndarray, side: int, size: np.ndarray, centre: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """``images`` (N, 8, 8) drawn ``size`` pixels wide around ``centre`` on ``side`` x ``side`` canvases."""
    count = len(images)
    angle = np.deg2rad(rng.uniform(-25.0, 25.0, count))
    shear = rng.uniform(-0.3, 0.3, count)
    aspect = rng.uniform(0.85, 1.18, count)
    # canvas pixel -> source coordinate: shear(rotate(pixel - centre)) / size
    cosine, sine = np.cos(angle), np.sin(angle)
    inverse = np.stack(
        [
            np.stack([cosine + shear * sine, -sine + shear * cosine], axis=-1) * aspect[:, None],
            np.stack([sine, cosine], axis=-1) / aspect[:, None],
        ],
        axis=1,
    )
    inverse *= (side / size)[:, None, None]
    shift = -inverse @ (2.0 * centre / side)[:, :, None]
    theta = torch.from_numpy(np.concatenate([inverse, shift], axis=2).astype(np.float32))
    grid = F.affine_grid(theta, [count, 1, side, side], align_corners=False)
    source = torch.from_numpy(np.ascontiguousarray(images[:, None]))
    return F.grid_sample(source, grid, mode="bilinear", align_corners=False)[:, 0].numpy()


def _clutter(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fragments of digits (N, FRAGMENTS, 8, 8), pasted at random places of N empty scenes."""
    count, fragments = images.shape[:2]
    total = count * fragments
    pieces = _warp(
        images.reshape(total, 8, 8),
        PATCH,
        rng.uniform(12.0, 18.0, total),
        rng.uniform(-6.0, 6.0, (total, 2)),
        rng,
    ).reshape(count, fragments, PATCH, PATCH)
    pieces = pieces * rng.uniform(0.3, 0.9, (count, fragments, 1, 1)).astype(np.float32)
    corner = rng.integers(-2, SIDE - PATCH + 3, (count, fragments, 2)) + 2
    canvas = np.zeros((count, SIDE + 4, SIDE + 4), np.float32)
    span = np.arange(PATCH)
    scene = np.arange(count)[:, None, None]
    for index in range(fragments):
        rows = corner[:, index, 0, None, None] + span[None, :, None]
        columns = corner[:, index, 1, None, None] + span[None, None, :]
        canvas[scene, rows, columns] = np.maximum(canvas[scene, rows, columns], pieces[:, index])
    return canvas[:, 2:-2, 2:-2]


def _background(count: int, rng: np.random.Generator) -> np.ndarray:
    """An uneven dark ground (count, 24, 24): a level and a linear gradient."""
    ramp = np.linspace(-0.5, 0.5, SIDE, dtype=np.float32)
    spans = ((0.05, 0.3), (-0.2, 0.2), (-0.2, 0.2))
    level, down, right = (rng.uniform(low, high, (count, 1, 1)) for low, high in spans)
    ground = level + down * ramp[None, :, None] + right * ramp[None, None, :]
    return np.clip(ground, 0.0, 1.0).astype(np.float32)
