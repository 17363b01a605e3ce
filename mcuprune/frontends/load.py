"""From what a user writes on the command line to a model."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from mcuprune.errors import UsageError
from mcuprune.frontends import keras, onnx
from mcuprune.graph.ir import Graph, QuantizedGraph

FORMS = "FILE.py:NAME, FILE.onnx, FILE.tflite, FILE.keras, FILE.h5 or a SavedModel folder"


def load_model(spec: str) -> nn.Module | Graph | QuantizedGraph:
    """The model that ``spec`` names.

    ``FILE.py:NAME`` is a module class or function without required arguments, or a module instance, and gives
    an nn.Module (``:NAME`` may be left out when the file defines one module class).  ``.onnx``, ``.tflite``,
    ``.keras``, ``.h5`` and a SavedModel folder give a Graph, or a QuantizedGraph where they are quantized.
    Raises UsageError, saying why, for what cannot be loaded.
    """
    file, colon, name = spec.rpartition(":")
    path, name = (Path(file), name) if colon and file.endswith(".py") else (Path(spec), "")
    loaders: dict[str, Callable[[Path], Any]] = {
        ".py": lambda found: _load_python(found, name),
        ".onnx": onnx.load,
        ".tflite": _load_tflite,
        **dict.fromkeys(keras.SUFFIXES, keras.load),
    }
    if keras.is_saved_model(path):
        return keras.load(path)
    if path.suffix not in loaders:
        raise UsageError(f"model '{spec}' has no known form; give {FORMS}")
    if not path.is_file():
        raise UsageError(f"model file '{path}' does not exist")
    return loaders[path.suffix](path)


def load_python_object(path: Path, name: str) -> Any:
    """Attribute ``name`` of a Python file, which is run; UsageError when the file fails or lacks the name."""
    if not path.is_file():
        raise UsageError(f"file '{path}' does not exist")
    module = _import(path)
    if not hasattr(module, name):
        known = [key for key in vars(module) if not key.startswith("_")]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise UsageError(f"'{path}' defines no '{name}'{hint}")
    return getattr(module, name)


def _load_tflite(path: Path) -> Graph | QuantizedGraph:
    from mcuprune.frontends import tflite  # its schema takes a second to import, and few runs need it

    return tflite.load_any(path)


def _load_python(path: Path, name: str) -> nn.Module:
    found = load_python_object(path, name or _only_module_class(path))
    where = f"'{path}:{name}'" if name else f"'{path}'"
    if not isinstance(found, nn.Module):
        found = _construct(found, where)
    if not isinstance(found, nn.Module):
        raise UsageError(f"{where} gives a {type(found).__name__}, not a torch.nn.Module")
    return found


def _construct(make: Any, where: str) -> Any:
    if not callable(make):
        raise UsageError(f"{where} is a {type(make).__name__}, not a module class, function or module")
    required = [
        p.name
        for p in inspect.signature(make).parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if required:
        raise UsageError(
            f"{where} needs arguments ({', '.join(required)}); name a function without arguments that builds "
            "the model"
        )
    try:
        return make()
    except Exception as error:  # a user's constructor can raise anything
        raise UsageError(f"{where} fails when called: {type(error).__name__}: {error}") from error


def _only_module_class(path: Path) -> str:
    module = _import(path)
    found = [
        key
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise UsageError(f"'{path}' defines {len(found)} module classes; say which: {path}:NAME")
    return found[0]


def _import(path: Path) -> ModuleType:
    name = f"mcuprune_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"'{path}' is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look their module up there
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)  # so that the file can import its neighbours
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # running a user's file can raise anything
        del sys.modules[name]
        raise UsageError(f"'{path}' fails when imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(folder)
    return module
