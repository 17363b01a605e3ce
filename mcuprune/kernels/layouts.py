"""How weights lie in flash: the order in which a kernel's inner loop reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from mcuprune.errors import UnsupportedError


def _as_is(weight: np.ndarray) -> np.ndarray:
    return weight.reshape(-1)


def _rows_of_whole_words(weight: np.ndarray) -> np.ndarray:
    """``(out, ...)`` as rows, filled up with zeros to whole words of four."""
    rows = weight.reshape(weight.shape[0], -1)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))


def _halves_apart(rows: np.ndarray) -> np.ndarray:
    """Every four values in the order in which SXTB16 takes bytes apart: ``k, k+2, k+1, k+3``."""
    return rows.reshape(len(rows), -1, 4)[:, :, [0, 2, 1, 3]].reshape(rows.shape)


def _whole_words(weight: np.ndarray) -> np.ndarray:
    """Row after row, the last one filled up to whole words: they are read so, beyond what a row needs."""
    return np.pad(weight.reshape(-1), (0, -weight[0].size % 4))


def _row_fours(weight: np.ndarray) -> np.ndarray:
    """Fours of rows, for inputs whose words are split into even and odd bytes: pairs ``(k, k+2)``.

    For every four ``k`` come the words of rows 0 and 1, ``r0[k], r1[k], r0[k+2], r1[k+2]`` and the same for
    ``k+1``, then those of rows 2 and 3.  Rows that fill no four come one by one as they are.
    """
    rows = _rows_of_whole_words(weight)
    whole = len(rows) // 4 * 4
    # (fours of rows, pair of rows, row of the pair, fours of k, high or low, even or odd)
    grouped = rows[:whole].reshape(-1, 2, 2, rows.shape[1] // 4, 2, 2).transpose(0, 3, 1, 5, 4, 2)
    return np.concatenate([grouped.reshape(-1), rows[whole:].reshape(-1)])


def _channel_fours(weight: np.ndarray) -> np.ndarray:
    """``(kh, kw, channels)``: tap after tap of four channels, of the next four, then of each one left."""
    taps = weight.reshape(-1, weight.shape[-1])
    whole = taps.shape[1] // 4 * 4
    fours = taps[:, :whole].reshape(len(taps), -1, 4).transpose(1, 0, 2)
    return np.concatenate([fours.reshape(-1), taps[:, whole:].T.reshape(-1)])


def _channels(weight: np.ndarray) -> np.ndarray:
    """``(kh, kw, channels)``: all taps of a channel, then those of the next."""
    return np.ascontiguousarray(weight.reshape(-1, weight.shape[-1]).T).reshape(-1)


def _channel_eights(weight: np.ndarray) -> np.ndarray:
    """``(kh, kw, channels)``: tap after tap of eight channels, of the next eight, then of the last eight,
    some of which may be there already."""
    taps = weight.reshape(-1, weight.shape[-1])
    starts = np.minimum(np.arange(0, taps.shape[1], 8), max(taps.shape[1] - 8, 0))
    return np.concatenate([taps[:, start : start + 8].reshape(-1) for start in starts])


LAYOUTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {
        "ohwi": _as_is,
        "whole_words": _whole_words,
        "row_fours": _row_fours,
        "channel_fours": _channel_fours,
        "channel_eights": _channel_eights,
        "channels": _channels,
    }
)


def _three_columns(weight: np.ndarray) -> np.ndarray:
    """``(out, kh, 3, in)``, the channels filled up to fours: pairs ``(k, k+2)`` and ``(k+1, k+3)`` of a row
    of the window, either for its three columns."""
    out_c, kernel_h, kernel_w, in_c = weight.shape
    fours = np.pad(weight, ((0, 0), (0, 0), (0, 0), (0, -in_c % 4))).reshape(
        out_c, kernel_h, kernel_w, -1, 2, 2
    )
    return fours.transpose(0, 1, 3, 5, 2, 4).reshape(out_c, -1)


# These hold two rows (output channels) at a time: 2 biases, their weights, 2 multipliers and 2 powers.  The
# weights of the rows alternate: a word holds ``r0[k], r1[k], r0[l], r1[l]``, so that sign-extending its even
# and its odd bytes (SXTB16, and again after a rotation by 8) gives what multiplies inputs ``k`` and ``l``.
ROW_PAIRS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {
        "row_pairs": _rows_of_whole_words,
        "row_pairs_three_columns": _three_columns,
        "row_pairs_apart": lambda weight: _halves_apart(_rows_of_whole_words(weight)),
    }
)
SLOW = -128  # added to a shift: the pair takes the way for any shift


def pack(layout: str, weight: np.ndarray) -> np.ndarray:
    """The int8 weights of a node as the flat array that a kernel with this ``layout`` reads.

    ``weight`` has the graph's shape: (out, kh, kw, in), (kh, kw, out) for depthwise, (out, in) for linear.
    Raises UnsupportedError for an unknown layout.
    """
    if layout not in LAYOUTS:
        known = ", ".join((*LAYOUTS, *ROW_PAIRS))
        raise UnsupportedError(f"weight layout '{layout}' is unknown or needs scales; known: {known}")
    return LAYOUTS[layout](np.asarray(weight, np.int8))


def pack_row_pairs(
    layout: str, weight: np.ndarray, bias: np.ndarray, multiplier: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """Weights (out, kh, kw, in), biases and scales (out) of a ``layout`` of :data:`ROW_PAIRS`, as int8 bytes.

    A usual scale is ``2 * multiplier`` modulo 2^32 and ``2^(32 + shift)``.  If a shift of the pair is above
    -2, or the second row is missing, the multipliers are stored as they are and the shifts less 128.  A
    multiplier of 0 becomes a power of 0.
    """
    weights, odd = _alternating(layout, weight)
    biases, multipliers, shifts = _pairs(bias, multiplier, shift)
    dead = multipliers == 0
    usual = ((shifts < -1) | dead).all(axis=1, keepdims=True)
    usual[len(usual) - odd :] = False
    powers = np.where(dead, 0, 2 ** (32 + np.clip(shifts, -31, -2)))
    scales = np.where(
        np.repeat(usual, 4, axis=1),
        np.concatenate([2 * multipliers, powers], axis=1),
        np.concatenate([multipliers, shifts + SLOW], axis=1),
    )
    return np.concatenate([_bytes(biases), weights, _bytes(scales)], axis=1).reshape(-1)


def pack_shared_row_pairs(
    layout: str, weight: np.ndarray, bias: np.ndarray, multiplier: np.ndarray, shift: np.ndarray
) -> tuple[np.ndarray, int]:
    """The same of channels that share a multiplier, which is returned apart.

    Scales of a pair are the shifts plus 32 in a byte each, then 0; or SLOW at the end if a shift is above -2,
    or the second row is missing.  Raises ValueError for several multipliers.
    """
    weights, odd = _alternating(layout, weight)
    shifts, shared = _shared_shifts(multiplier, shift)
    biases, shifts = _pairs(bias, shifts)
    usual = np.asarray((shifts < -1).all(axis=1))
    usual[len(usual) - odd :] = False
    zeros = np.zeros_like(usual, np.int64)
    scales = np.stack([*(shifts + 32).T, zeros, np.where(usual, 0, SLOW)], axis=1).astype(np.int8)
    return np.concatenate([_bytes(biases), weights, scales], axis=1).reshape(-1), shared


def _alternating(layout: str, weight: np.ndarray) -> tuple[np.ndarray, int]:
    """(pairs, bytes) weights of two rows in turn; how many rows were added at the end: 0 or 1."""
    rows = ROW_PAIRS[layout](np.asarray(weight, np.int8))
    odd = len(rows) % 2
    pairs = (len(rows) + odd) // 2
    rows = np.pad(rows, ((0, odd), (0, 0)))
    return rows.reshape(pairs, 2, -1, 2).transpose(0, 2, 3, 1).reshape(pairs, -1), odd


def _pairs(*channels: np.ndarray) -> tuple[np.ndarray, ...]:
    """(pairs, 2) int64 each, zero for a missing channel."""
    odd = len(channels[0]) % 2
    return tuple(np.pad(np.asarray(values, np.int64), (0, odd)).reshape(-1, 2) for values in channels)


SHIFT_BITS = 6  # of a channel's word
BIAS_LIMIT = 2 ** (31 - SHIFT_BITS)  # of |bias| in it


def pack_channels(bias: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, int]:
    """Channels (out) as words, biases above shifts, and the multiplier that they share.

    A channel without multiplier (0) gets that of the others and the shift that makes 0 of every sum below
    2^30.  Raises ValueError for several multipliers and for biases beyond 26 bits: such a layer says that its
    channels have multipliers of their own (:func:`mcuprune.quantize.multipliers.marked`).
    """
    shifts, shared = _shared_shifts(multiplier, shift)
    if np.abs(bias).max(initial=0) >= BIAS_LIMIT:
        raise ValueError(f"channels that share a multiplier, with biases of {BIAS_LIMIT} or more")
    words = (bias.astype(np.int64) << SHIFT_BITS) | (shifts & (2**SHIFT_BITS - 1))
    return words.astype(np.int32), shared


def stored(
    layout: str, shared: bool, weight: np.ndarray, bias: np.ndarray, multiplier: np.ndarray, shift: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Weights, biases, multipliers and shifts as a kernel reads them; None for what the others hold.

    ``shared``: the kernel reads one multiplier for all channels (out), which may be given for all or once.
    """
    if not shared:
        if layout in ROW_PAIRS:
            return pack_row_pairs(layout, weight, bias, multiplier, shift), None, None, None
        return pack(layout, weight), bias.astype(np.int32), multiplier, shift
    multiplier, shift, _ = np.broadcast_arrays(multiplier, shift, bias)
    if layout in ROW_PAIRS:
        packed, one = pack_shared_row_pairs(layout, weight, bias, multiplier, shift)
        return packed, None, np.array([one], np.int32), None
    words, one = pack_channels(bias, multiplier, shift)
    return pack(layout, weight), words, np.array([one], np.int32), None


def _shared_shifts(multiplier: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, int]:
    live = multiplier != 0
    shared = int(multiplier[live][0]) if live.any() else 0
    if (multiplier[live] != shared).any():
        raise ValueError(f"channels with several multipliers: {sorted(set(multiplier[live].tolist()))[:4]}")
    return np.where(live, np.asarray(shift, np.int64), -31 if shared else 0), shared


def _bytes(numbers: np.ndarray) -> np.ndarray:
    """The lower 32 bits of ``(rows, n)`` numbers, little-endian."""
    return (numbers & 0xFFFFFFFF).astype("<u4").view(np.int8).reshape(len(numbers), -1)
