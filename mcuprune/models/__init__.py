"""Networks that come with mcuprune, over-wide on purpose: compression finds the widths.

A builder takes the input shape, channels first or ``(features,)``, and the number of outputs.  What else its
constructor takes are options: ``small_resnet:width=32``, ``mlp:hidden=300/100``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from mcuprune.errors import UsageError
from mcuprune.models.autoencoder import Autoencoder
from mcuprune.models.cnn import FashionCNN, LeNet, PoolCNN
from mcuprune.models.ds_cnn import DSCNN
from mcuprune.models.mlp import MLP
from mcuprune.models.mobilenet import SmallMobileNet
from mcuprune.models.resnet import SmallResNet
from mcuprune.models.sequence import SequenceCNN
from mcuprune.models.siren import Siren
from mcuprune.prune.options import read_choice

Builder = Callable[..., nn.Module]  # (shape, outputs, **options)

MODELS: Mapping[str, Builder] = {
    "lenet": LeNet,
    "mlp": MLP,
    "ds_cnn": DSCNN,
    "small_resnet": SmallResNet,
    "small_mobilenet": SmallMobileNet,
    "fashion_cnn": FashionCNN,
    "pool_cnn": PoolCNN,
    "autoencoder": Autoencoder,
    "sequence_cnn": SequenceCNN,
    "siren": Siren,
}


def is_built_in(spec: str) -> bool:
    """Whether ``spec``, with or without options, names one of :data:`MODELS`."""
    return spec.partition(":")[0] in MODELS


def build_model(spec: str, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """The network that ``name`` or ``name:option=value,...`` describes.

    Raises UsageError for an unknown name or option (naming the known ones), a value that cannot be read or is
    not above zero, and for inputs that do not suit the network.
    """
    name, given = read_choice(spec, {name: model_options(name) for name in MODELS}, "model")
    for option, value in given.items():
        if min(value if isinstance(value, tuple) else (value,)) <= 0:
            raise UsageError(f"model '{name}': {option} must be above zero")
    return MODELS[name](shape, outputs, **given)


def model_options(name: str) -> dict[str, Any]:
    """Option -> default value, of a built-in network."""
    parameters = inspect.signature(MODELS[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in ("shape", "outputs")}
