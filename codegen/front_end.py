"""The part of a package that turns audio into the network's input; see :mod:`mcuprune.signal.fixed`."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

import mcuprune
from mcuprune import share
from mcuprune.codegen.c_text import dims, integer, model_identifier, rows
from mcuprune.codegen.render import Constant, template
from mcuprune.signal import fixed
from mcuprune.signal.fixed import Quantizer
from mcuprune.signal.mfcc import Mfcc

SIZES = ("samples", "frame", "hop", "frames", "fft", "mels", "coefficients")
KERNEL = ("mcp_mfcc.c", "mcp_mfcc.h")


def emit_front_end(name: str, spec: Mfcc, quantizer: Quantizer) -> dict[str, str]:
    """The files that a package of the model called ``name`` gets: path -> text."""
    name = model_identifier(name)
    tables = fixed.tables(spec)
    arrays = {field.name: getattr(tables, field.name) for field in fields(tables)}
    arrays |= {
        "centres": np.array(quantizer.centre, np.int32),
        "multipliers": np.array(quantizer.multiplier, np.int32),
        "shifts": np.array(quantizer.shift, np.int32),
    }
    symbols = {field: f"{name}_features_{field}" for field in arrays}
    members = {size: integer(getattr(spec, size)) for size in SIZES}
    members |= {"floor": integer(spec.floor * fixed.ONE), **symbols, "zero_point": str(quantizer.zero_point)}
    values = {
        "name": name,
        "prefix": name.upper(),
        "version": mcuprune.__version__,
        "spec": spec,
        "scratch": scratch_bytes(spec),
        "constants": [_constant(symbols[field], values) for field, values in arrays.items()],
        "fields": tuple(members.items()),
    }
    sources = share.folder("codegen")
    return {
        f"include/{name}_features.h": template("features.h.j2").render(values),
        f"src/{name}_features.c": template("features.c.j2").render(values),
        "src/mcp_arithmetic.h": (sources / "kernels" / "mcp_arithmetic.h").read_text(encoding="utf-8"),
        **{f"src/{file}": (sources / "frontend" / file).read_text(encoding="utf-8") for file in KERNEL},
    }


def scratch_bytes(spec: Mfcc) -> int:
    """Working memory of the generated function."""
    return 4 * (spec.fft + spec.mels)


def _constant(symbol: str, values: np.ndarray) -> Constant:
    return Constant(f"{values.dtype.name}_t {symbol}[{values.size}]", dims(values.shape), rows(values))
