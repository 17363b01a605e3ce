"""From channels-last models to graphs: layers as in :mod:`mcuprune.frontends.nchw`, maps in our own order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcuprune.frontends.nchw import Builder
from mcuprune.frontends.value import Value
from mcuprune.graph.ir import Flatten


class ChannelsLastBuilder(Builder):
    """The builder for sources that flatten maps in the order (height, width, channels).

    A :class:`Value` still says (channels, height, width): that is how it spells a map, not how it is stored.
    """

    def _flatten(self, x: Value) -> Value:
        height, width, channels = self.shapes[x.tensor]
        length = height * width * channels
        gain, offset = (
            np.tile(value, height * width) if np.ndim(value) else value for value in (x.gain, x.offset)
        )
        tensor = self.emit(Flatten("", (x.tensor,)), (length,))
        return replace(x, tensor=tensor, shape=(length,), gain=gain, offset=offset)
