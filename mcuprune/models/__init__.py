"""Networks that come with mcuprune, over-wide on purpose: compression finds the widths.

A builder takes the input shape, channels first or ``(features,)``, and the number of outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from mcuprune.models.autoencoder import Autoencoder
from mcuprune.models.cnn import FashionCNN, LeNet
from mcuprune.models.ds_cnn import DSCNN
from mcuprune.models.mlp import MLP
from mcuprune.models.resnet import SmallResNet
from mcuprune.models.sequence import SequenceCNN
from mcuprune.models.siren import Siren

Builder = Callable[[tuple[int, ...], int], nn.Module]

MODELS: Mapping[str, Builder] = {
    "lenet": LeNet,
    "mlp": MLP,
    "ds_cnn": DSCNN,
    "small_resnet": SmallResNet,
    "fashion_cnn": FashionCNN,
    "autoencoder": Autoencoder,
    "sequence_cnn": SequenceCNN,
    "siren": Siren,
}
