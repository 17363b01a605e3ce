"""From channels-last models to graphs: layers as in :mod:`mcuprune.frontends.nchw`, maps in our own order."""

from __future__ import annotations

from mcuprune.frontends.nchw import Builder
from mcuprune.frontends.value import Value


class ChannelsLastBuilder(Builder):
    """The builder for sources that flatten maps in the order (height, width, channels).

    A :class:`Value` still says (channels, height, width): that is how it spells a map, not how it is stored.
    """

    def _flatten(self, x: Value) -> Value:
        return self._flatten_as_stored(x)
