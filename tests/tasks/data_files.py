"""Small data sets written in the formats that people have them in."""

from __future__ import annotations

import gzip
import json
import wave
from pathlib import Path

import numpy as np
from PIL import Image


def samples(
    count: int, shape: tuple[int, ...], classes: int = 3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """uint8 images whose brightness follows their class, and labels that contain every class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    pixels = rng.integers(0, 60, (count, *shape)) + (labels * 60).reshape(-1, *[1] * len(shape))
    return pixels.astype(np.uint8), labels.astype(np.uint8)


def idx_bytes(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write_idx(folder: Path, zipped: bool = True, train: int = 30, test: int = 12) -> Path:
    folder.mkdir(parents=True)
    for prefix, count, seed in (("train", train, 0), ("t10k", test, 1)):
        images, labels = samples(count, (6, 5), seed=seed)
        for name, array in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels)):
            data = idx_bytes(array)
            path = folder / f"{prefix}-{name}{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(data) if zipped else data)
    return folder


def write_cifar(folder: Path, per_file: int = 12) -> Path:
    folder.mkdir(parents=True)
    for index, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        images, labels = samples(per_file, (3, 32, 32), seed=index)
        (folder / f"{name}.bin").write_bytes(
            np.concatenate([labels[:, None], images.reshape(per_file, -1)], axis=1).tobytes()
        )
    return folder


def write_images(
    folder: Path,
    classes: tuple[str, ...] = ("cat", "dog"),
    count: int = 10,
    suffix: str = "png",
    seed: int = 0,
) -> Path:
    """Images of 7 pixels width, 5 height, in colour, class by class."""
    pixels, _ = samples(count * len(classes), (5, 7, 3), seed=seed)
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            image = Image.fromarray(pixels[number * count + index] // 2 + np.uint8(100 * number))
            image.save(folder / name / f"{index:02d}.{suffix}")
    return folder


def write_wav(path: Path, audio: np.ndarray, rate: int = 8000) -> Path:
    """16-bit audio (N,) or (N, channels)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if audio.ndim == 1 else audio.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(audio.astype("<i2").tobytes())
    return path


def tone(hertz: float, count: int, seed: int = 0, rate: int = 8000) -> np.ndarray:
    """A tone in noise, int16 (count,)."""
    rng = np.random.default_rng(seed)
    wave_form = np.sin(2.0 * np.pi * hertz * np.arange(count) / rate + rng.uniform(0.0, 6.0))
    return (8000.0 * wave_form + rng.normal(0.0, 300.0, count)).astype(np.int16)


def write_spoken_digits(
    folder: Path, speakers: tuple[str, ...] = ("george", "theo"), indices: int = 8, digits: int = 3
) -> Path:
    """Recordings of the Free Spoken Digit Dataset's form: each digit is a tone, 0.3 to 1.2 s long."""
    for digit in range(digits):
        for voice, speaker in enumerate(speakers):
            for index in range(indices):
                audio = tone(300.0 + 400.0 * digit + 20.0 * voice, 2400 + 900 * index, seed=index)
                write_wav(folder / "recordings" / f"{digit}_{speaker}_{index}.wav", audio)
    return folder


def write_har(folder: Path, recordings: int = 6, readings: int = 200) -> Path:
    """Activities of the form that STMicroelectronics publishes: each shakes with an amplitude of its own."""
    for label, name in enumerate(("running", "stationary", "walking")):
        (folder / name).mkdir(parents=True)
        for index in range(recordings):
            values = np.random.default_rng(index).normal(0.0, 100.0 * (1 + 5 * label), (readings, 3))
            lines = [", ".join(f"{value:5d}" for value in row) for row in values.astype(int)]
            (folder / name / f"{name}_{index:02d}_26Hz_4g_mg.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_wand(folder: Path, digits: int = 3, strokes: int = 10) -> Path:
    """Strokes of the form that the magic wand's recorder writes: each digit is a line of its own slope."""
    folder.mkdir(parents=True)
    for digit in range(digits):
        entries = []
        for index in range(strokes):
            along = np.linspace(-0.4, 0.4, 40 + index)
            points = [{"x": float(x), "y": float(x * (digit - 1))} for x in along]
            entries.append({"index": index, "strokePoints": points, "label": str(digit)})
        (folder / f"someone_{digit}.json").write_text(json.dumps({"strokes": entries}))
    return folder


def write_anomaly(folder: Path, recordings: int = 10) -> Path:
    """Spectrograms of the form of MLPerf Tiny's ad01: broken machines hum in other bands."""
    folder.mkdir(parents=True)
    for kind, hum in (("normal", 20), ("anomaly", 70)):
        for machine in (1, 2):
            for index in range(recordings):
                rng = np.random.default_rng((machine, index, hum))
                levels = rng.normal(-30.0, 2.0, (200, 128))
                levels[:, hum + machine : hum + machine + 6] += 15.0
                name = f"{kind}_id_{machine:02d}_{index:08d}_hist_librosa.bin"
                (folder / name).write_bytes(levels.astype("<f4").tobytes())
    return folder
