"""Rows of ``deploy.py`` as docs/results/deploy.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

INTRODUCTION = """\
# Deployed models beside other tools

    make bench-deploy

The MLPerf Tiny int8 reference models, exported with `mcuprune export`, built and run on emulated cores. One
binary per model has to reach cycles, flash and RAM together; the bold compiler's counts.

* Instructions are exact counts from entering the model's run function to leaving it. Cycles are modelled,
  zero wait states, low / mid / high; the middle one is compared. The rules stand in
  `mcuprune/verify/cycles.py`.
* Flash is `.text + .rodata + .data` of the linked image: model and kernels, without vectors, start-up code
  and inference loop of the measuring harness (sections of their own). RAM is the arena (input, output,
  scratch, state) and static variables; the stack stands apart.
* The others' figures were recorded on an emulated Cortex-M4F with gcc 12.2 by the same rules
  (`tests/bench/peers.toml` has versions, flags and caveats); their flash has 1.2 KB of harness in it.
  TinyEngine's VWW and onnx2c's outputs are not TensorFlow Lite's.
* Instructions per MAC are those of the MACs that the file has; MACs that were proved to change nothing are
  not executed.
"""
PEER_NAMES = {
    "tflm": "TFLM + CMSIS-NN",
    "direct": "CMSIS-NN, direct calls",
    "tinyengine": "TinyEngine",
    "onnx2c": "onnx2c int8",
}
HEAD = (
    "",
    "instructions",
    "cycles low / mid / high",
    "instr/MAC",
    "flash",
    "RAM",
    "stack",
    "differing bytes",
)
CORE_HEAD = (
    "model",
    "core",
    "compiler",
    "instructions",
    "cycles mid",
    "flash",
    "RAM",
    "stack",
    "differing bytes",
)

Plain = Mapping[str, Any]


def page(rows: Sequence[Plain], peers: Mapping[str, Any]) -> str:
    """The whole page as Markdown; ``rows`` as :class:`tests.bench.deploy.Row` has them."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    main = rows[0]["board"] if rows else ""
    parts = [INTRODUCTION, "## Cortex-M4\n"]
    for model in models:
        own = [row for row in rows if row["model"] == model and row["board"] == main]
        parts += [f"### {model}\n", _model_table(own, peers[model]), _reached(own, peers[model])]
    others = [row for row in rows if row["board"] != main]
    if others:
        parts += ["## Other cores, the compiler from pip\n", _cores(others, peers)]
    return "\n".join(parts)


def summary(row: Any) -> str:
    """One line for the terminal."""
    cycles = "-" if row.mid is None else f"{row.mid / 1e6:.3f} M cycles"
    instructions = "-" if row.instructions is None else f"{row.instructions:,} instructions"
    mark = " <- counts" if row.chosen else ""
    return (
        f"{row.model}, {row.core}, {row.compiler}: {cycles}, {instructions}, flash {row.flash:,}, "
        f"RAM {row.ram:,}, stack {row.stack}, {row.differing} bytes differ{mark}"
    )


def _model_table(rows: Sequence[Plain], peers: Mapping[str, Any]) -> str:
    lines = [_line(HEAD), _line(("---",) * len(HEAD))]
    for row in rows:
        name = f"mcuprune, {row['compiler']}"
        lines.append(
            _line(
                (
                    f"**{name}**" if row["chosen"] else name,
                    _count(row["instructions"]),
                    " / ".join(_millions(row[key]) for key in ("low", "mid", "high")) + " M",
                    _ratio(row["instructions"], row["nominal_macs"]),
                    _count(row["flash"]),
                    _count(row["ram"]),
                    _count(row["stack"]),
                    f"{row['differing']} of {row['inputs']} inputs",
                )
            )
        )
    for key, name in PEER_NAMES.items():
        if peer := peers.get(key):
            per_mac = f"{1e6 * peer['instructions_m'] / peers['macs']:.2f}"
            cells = (name, f"{peer['instructions_m']} M", f"{peer['cycles_m']} M", per_mac)
            lines.append(_line((*cells, _count(peer["flash"]), _count(peer["ram"]), "", "")))
    reach = peers["reach"]
    cells = ("*to reach*", "", f"{reach['cycles_m']} M (goal {peers['goal_cycles_m']} M)", "")
    lines.append(_line((*cells, _count(reach["flash"]), _count(reach["ram"]), "1,024", "0")))
    return "\n".join(lines) + "\n"


def _reached(rows: Sequence[Plain], peers: Mapping[str, Any]) -> str:
    """One sentence on the row that counts."""
    row = next(row for row in rows if row["chosen"])
    reach = peers["reach"]
    pairs = (
        ("cycles", row["mid"], 1e6 * reach["cycles_m"]),
        ("flash", row["flash"], reach["flash"]),
        ("RAM", row["ram"], reach["ram"]),
    )
    words = []
    for name, value, limit in pairs:
        share = 100 * (value / limit - 1)
        words.append(f"{name} {'reached' if value <= limit else '**missed**'} ({share:+.1f} %)")
    saved = f"executed MACs {_count(row['macs'])} of {_count(row['nominal_macs'])}"
    faster = f"{1e6 * peers['tflm']['cycles_m'] / row['mid']:.2f} times as fast as TFLM + CMSIS-NN"
    return f"{'; '.join(words)}. {faster[0].upper()}{faster[1:]}; {saved}.\n"


def _cores(rows: Sequence[Plain], peers: Mapping[str, Any]) -> str:
    lines = [_line(CORE_HEAD), _line(("---",) * len(CORE_HEAD))]
    for row in rows:
        instructions = _count(row["instructions"])
        if "M55" in row["core"]:
            instructions += f" (CMSIS-NN: {peers[row['model']]['m55']['instructions_m']} M)"
        cycles = "" if row["mid"] is None else f"{_millions(row['mid'])} M"
        cells = (row["model"], row["core"], row["compiler"], instructions, cycles)
        exact = f"{row['differing']} of {row['inputs']} inputs"
        lines.append(_line((*cells, _count(row["flash"]), _count(row["ram"]), _count(row["stack"]), exact)))
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _count(value: float | None) -> str:
    return "" if value is None else f"{round(value):,}"


def _millions(value: float | None) -> str:
    return "–" if value is None else f"{value / 1e6:.3f}"


def _ratio(value: float | None, macs: int) -> str:
    return "" if value is None else f"{value / macs:.3f}"
