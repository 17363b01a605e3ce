"""Keras files and SavedModels compute here what they compute in Keras."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mcuprune.errors import ToolchainError, UsageError
from mcuprune.frontends import keras
from mcuprune.frontends.load import load_model
from mcuprune.graph.ir import Graph
from mcuprune.graph.passes import run_passes
from mcuprune.graph.run_float import run_float
from tests.frontends import keras_models

PYTHON = os.environ.get(keras.VARIABLE) or (
    sys.executable if importlib.util.find_spec("tensorflow") is not None else None
)
needs_tensorflow = pytest.mark.skipif(PYTHON is None, reason="tensorflow (the keras extra) is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("keras")
    script = keras_models.__file__
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run([str(PYTHON), "-P", script, str(made)], check=True, env=quiet, capture_output=True)
    return made


@needs_tensorflow
@pytest.mark.parametrize("file", [*(f"{n}.keras" for n in keras_models.NAMES), "plain.h5", "plain"])
def test_outputs_are_those_of_keras(file: str, folder: Path) -> None:
    graph = load_model(str(folder / file))
    assert isinstance(graph, Graph)
    stored = np.load(folder / f"{Path(file).stem}.npz")
    inputs = stored["x"].reshape(len(stored["x"]), *graph.shape(graph.inputs[0]))
    for form in (graph, run_passes(graph)):
        error = np.abs(run_float(form, inputs).reshape(stored["y"].shape) - stored["y"]).max()
        assert error <= 1e-4 * np.abs(stored["y"]).max()


@needs_tensorflow
def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.keras").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(UsageError, match="tensorflow cannot convert") as caught:
        load_model(str(tmp_path / "net.keras"))
    assert "\n" not in str(caught.value)


def test_without_tensorflow_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(keras.VARIABLE, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / "net.h5").write_bytes(b"")
    with pytest.raises(ToolchainError, match=r"pip install 'mcuprune\[keras\]'"):
        load_model(str(tmp_path / "net.h5"))


def test_an_interpreter_that_cannot_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keras.VARIABLE, str(tmp_path / "nothing"))
    (tmp_path / "net.keras").write_bytes(b"")
    with pytest.raises(ToolchainError, match="cannot be run"):
        load_model(str(tmp_path / "net.keras"))
