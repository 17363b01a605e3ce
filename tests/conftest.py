"""Fixtures that the tests of several areas share."""

from __future__ import annotations

import pytest
from torch import nn
from torch_networks import NETWORKS, make_module

from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import Graph


@pytest.fixture(params=sorted(NETWORKS))
def network(request: pytest.FixtureRequest) -> tuple[nn.Module, Graph]:
    module, shape = make_module(request.param)
    return module, trace(module, shape, request.param)
