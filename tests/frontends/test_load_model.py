"""The forms in which a user can name a model."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from mcuprune.errors import UsageError
from mcuprune.frontends.load import load_model
from mcuprune.graph.ir import Graph

SOURCE = """
import torch
from torch import nn
from neighbour import WIDTH

class Net(nn.Module):
    def __init__(self, width=WIDTH):
        super().__init__()
        self.fc = nn.Linear(width, 2)

class Wide(Net):
    def __init__(self, width, depth):
        super().__init__(width)

def small():
    return Net(3)

def wrong():
    return 7

def broken():
    raise RuntimeError("no weights here")

ready = Net(5)
number = 3
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "neighbour.py").write_text("WIDTH = 4\n")
    path = tmp_path / "nets.py"
    path.write_text(SOURCE)
    return path


@pytest.mark.parametrize(("name", "width"), [("Net", 4), ("small", 3), ("ready", 5)])
def test_python_objects(file, name, width):
    module = load_model(f"{file}:{name}")
    assert isinstance(module, nn.Module)
    assert module.fc.in_features == width


def test_the_only_class_needs_no_name(tmp_path):
    path = tmp_path / "one.py"
    path.write_text(
        "from torch import nn\nclass Only(nn.Linear):\n    def __init__(self): super().__init__(2, 3)\n"
    )
    assert load_model(str(path))(torch.zeros(1, 2)).shape == (1, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (":Nett", "defines no 'Nett'; did you mean 'Net'"),
        (":Wide", r"needs arguments \(width, depth\)"),
        (":wrong", "gives a int, not a torch.nn.Module"),
        (":broken", "fails when called: RuntimeError: no weights here"),
        (":number", "is a int, not a module class"),
        ("", "defines 2 module classes; say which"),
    ],
)
def test_python_mistakes(file, name, message):
    with pytest.raises(UsageError, match=message):
        load_model(f"{file}{name}")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere.py:Net", "'nowhere.py' does not exist"),
        ("nowhere.onnx", "'nowhere.onnx' does not exist"),
        ("nowhere.tflite", "'nowhere.tflite' does not exist"),
        ("model.pt", "has no known form; give FILE.py:NAME"),
        ("", "has no known form"),
    ],
)
def test_unusable_specs(spec, message):
    with pytest.raises(UsageError, match=message):
        load_model(spec)


@pytest.mark.parametrize(
    "source", ["def broken(:\n", "import nothing_of_this_name\n", "raise SystemExit(3)\n"]
)
def test_files_that_do_not_run(tmp_path, source):
    path = tmp_path / "bad.py"
    path.write_text(source)
    with pytest.raises(UsageError, match=r"bad.py' fails when imported: "):
        load_model(f"{path}:Net")


def test_onnx_file(tmp_path):
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, 4, 4)) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
        tmp_path / "r.onnx",
    )
    found = load_model(str(tmp_path / "r.onnx"))
    assert isinstance(found, Graph)
    assert found.shape(found.outputs[0]) == (4, 4, 3)
    assert np.prod(found.shape("x")) == 48
