"""Random LSTM and SVDF layers: as graphs, and as .tflite files."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from hypothesis import strategies as st

from mcuprune.frontends.tflite import load_tflite
from mcuprune.graph import ir
from tests.frontends.tflite_files import FileBuilder


def _scale(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.float32(2.0 ** rng.uniform(low, high)))


def lstm_file(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    steps, features, units = (int(rng.integers(1, limit)) for limit in (8, 20, 12))
    file = FileBuilder()
    x = file.input("x", (1, steps, features), (_scale(rng, -8, -4), int(rng.integers(-128, 128))))
    hidden_q = (_scale(rng, -8, -6), int(rng.integers(-20, 20)))

    def weights(name: str, count: int) -> list[int]:
        return [
            file.constant(
                f"{name}{gate}",
                rng.integers(-127, 128, (units, count)).astype(np.int8),
                (_scale(rng, -9, -4), 0),
            )
            for gate in range(4)
        ]

    inputs = [x, *weights("w", features), *weights("r", units), -1, -1, -1]
    inputs += [
        file.constant(f"b{gate}", rng.integers(-3000, 3000, units).astype(np.int32), (1e-4, 0))
        for gate in range(4)
    ]
    hidden = file.tensor("hidden", (1, units), "int8", hidden_q)
    cell = file.tensor("cell", (1, units), "int16", (2.0 ** int(rng.integers(-15, -9)), 0))
    for state in (hidden, cell):
        file.tensors[state].isVariable = True
    y = file.tensor("y", (1, steps, units), "int8", hidden_q)
    options = {
        "fusedActivationFunction": schema.ActivationFunctionType.TANH,
        "cellClip": float(rng.choice([0.0, 10.0, 0.7])),
    }
    operands = [*inputs, -1, -1, hidden, cell, -1, -1, -1, -1]
    file.operator(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", operands, [y], "UnidirectionalSequenceLSTMOptions", **options
    )
    between = [file.tensor(f"gate{index}", (0,), "float32") for index in range(4)]
    between.append(file.tensor("between", (0,), "int8", hidden_q))
    file.operators[-1].intermediates = np.array(between, np.int32)
    return file.pack([x], [y])


def svdf_file(seed: int, state: str) -> bytes:
    rng = np.random.default_rng(seed)
    features, units, rank, memory = (int(rng.integers(1, limit)) for limit in (20, 8, 3, 10))
    wide = state == "int16"
    file = FileBuilder()
    x = file.input("x", (1, features), (_scale(rng, -8, -4), int(rng.integers(-128, 128))))
    values = rng.integers(-127, 128, (units * rank, features)).astype(np.int8)
    weight = file.constant("w", values, (_scale(rng, -9, -5), 0))
    limit = 32767 if wide else 127
    time_scale = _scale(rng, -12, -8) if wide else _scale(rng, -9, -5)
    values = rng.integers(-limit, limit + 1, (units * rank, memory)).astype(state)
    time = file.constant("t", values, (time_scale, 0))
    state_scale = _scale(rng, -12, -9) if wide else _scale(rng, -4, -1)
    biases = rng.integers(-3000, 3000, units).astype(np.int32)
    bias = file.constant("b", biases, (float(np.float32(state_scale) * np.float32(time_scale)), 0))
    kept = file.tensor("state", (1, units * rank * memory), state, (state_scale, 0))
    file.tensors[kept].isVariable = True
    y = file.tensor("y", (1, units), "int8", (_scale(rng, -3, 3), int(rng.integers(-128, 128))))
    options = {"rank": rank, "fusedActivationFunction": schema.ActivationFunctionType.RELU}
    file.operator("SVDF", [x, weight, time, bias, kept], [y], "SVDFOptions", **options)
    return file.pack([x], [y])


SEEDS = st.integers(0, 2**32 - 1)
RECURRENT_FILES: dict[str, st.SearchStrategy[bytes]] = {
    "mcp_lstm_s8": st.builds(lstm_file, SEEDS),
    "mcp_svdf_s8": st.builds(lambda seed: svdf_file(seed, "int16"), SEEDS),
    "mcp_svdf_state8_s8": st.builds(lambda seed: svdf_file(seed, "int8"), SEEDS),
}
RECURRENT_GRAPHS: dict[str, st.SearchStrategy[ir.QuantizedGraph]] = {
    name: files.map(load_tflite) for name, files in RECURRENT_FILES.items()
}
