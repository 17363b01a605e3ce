"""A run as the pipeline would report it: the digits demonstration on stm32f4, with plausible figures."""

from __future__ import annotations

import math

import pytest

from mcuprune.report.model import (
    Accuracy,
    ArenaPicture,
    ArenaTensor,
    BoardSummary,
    Epoch,
    Equality,
    Layer,
    Phase,
    Region,
    Report,
    Resource,
    Section,
    Symbol,
    TaskSummary,
    Times,
)

KIB = 1024

BOARD = BoardSummary(
    name="stm32f4",
    title="STM32F407VG (1 MB flash, 128 KB SRAM, 64 KB CCM)",
    core="cortex-m4",
    isa="dsp",
    clock_hz=168_000_000,
    regions=(
        Region("FLASH", "flash", 0x08000000, 1024 * KIB, 128 * KIB),
        Region("SRAM", "ram", 0x20000000, 128 * KIB, 32 * KIB),
        Region("CCM", "ram", 0x10000000, 64 * KIB, 0),
    ),
)

TASK = TaskSummary(
    name="digits-scenes",
    label="real digits, synthetic scenes",
    input_shape=(24, 24, 1),
    classes=10,
    train_size=6000,
    validation_size=1000,
    test_size=2000,
    floor=0.80,
    chance=0.10,
)

# name, op, kernel, shape before, shape after, weight bytes before and after, MACs before and after, SQNR
LAYER_ROWS = (
    ("stem.conv", "Conv2d", "mcp_conv2d_s8_dsp", (12, 12, 32), (12, 12, 9), 544, 153, 41472, 11664, 34.1),
    (
        "block1.dw",
        "DepthwiseConv2d",
        "mcp_depthwise_s8_dsp",
        (12, 12, 32),
        (12, 12, 9),
        640,
        180,
        41472,
        11664,
        31.6,
    ),
    (
        "block1.pw",
        "Conv2d",
        "mcp_conv2d_1x1_s8_dsp",
        (12, 12, 48),
        (12, 12, 14),
        2304,
        350,
        221184,
        18144,
        30.2,
    ),
    (
        "block2.dw",
        "DepthwiseConv2d",
        "mcp_depthwise_s8_dsp",
        (6, 6, 48),
        (6, 6, 14),
        960,
        280,
        15552,
        4536,
        28.8,
    ),
    ("block2.pw", "Conv2d", "mcp_conv2d_1x1_s8_dsp", (6, 6, 64), (6, 6, 22), 4096, 660, 110592, 11088, 27.4),
    (
        "block3.conv1",
        "Conv2d",
        "mcp_conv2d_s8_dsp",
        (6, 6, 64),
        (6, 6, 11),
        37888,
        2354,
        1327104,
        78408,
        26.9,
    ),
    (
        "block3.conv2",
        "Conv2d",
        "mcp_conv2d_s8_dsp",
        (6, 6, 64),
        (6, 6, 22),
        37888,
        2530,
        1327104,
        78408,
        25.7,
    ),
    ("block3.add", "Add", "mcp_add_s8", (6, 6, 64), (6, 6, 22), 0, 0, 0, 0, 26.3),
    ("pool", "AveragePool2d", "mcp_average_pool_s8", (1, 1, 64), (1, 1, 22), 0, 0, 0, 0, 29.9),
    ("head", "Linear", "mcp_linear_s8_dsp", (10,), (10,), 760, 340, 640, 220, 27.0),
)


def sample_layers() -> tuple[Layer, ...]:
    rows = []
    for (
        name,
        op,
        kernel,
        before,
        after,
        bytes_before,
        bytes_after,
        macs_before,
        macs_after,
        sqnr,
    ) in LAYER_ROWS:
        work = macs_after * (2 if op == "Conv2d" else 5) + math.prod(after) * 14 + 260
        rows.append(
            Layer(name, op, kernel, before, after, bytes_before, bytes_after, macs_before, macs_after,
                  instructions=work, cycles=round(work * 1.31), sqnr_db=sqnr)
        )  # fmt: skip
    return tuple(rows)


def sample_resources() -> tuple[Resource, ...]:
    layers = sample_layers()
    cycles = sum(layer.cycles or 0 for layer in layers)
    macs, dense_macs = sum(x.macs_after for x in layers), sum(x.macs_before for x in layers)
    return (
        Resource("flash.constants", "constants", "bytes", None, 85_080, 6_012, 6_012, 0.0),
        Resource("flash.code", "code", "bytes", None, 5_204, 4_696, 4_712, 0.01),
        Resource("flash.total", "Flash", "bytes", 10_752, 90_284, 10_708, 10_724, 0.01,
                 "6 KiB beyond a stated base of 4,608 bytes of code"),
        Resource("ram.arena", "arena", "bytes", None, 11_520, 3_312, 3_312, 0.0),
        Resource("ram.static", "static", "bytes", None, 16, 16, 16, 0.0),
        Resource("ram.stack", "stack", "bytes", None, 352, 320, 296, None, "predicted is an upper bound"),
        Resource("ram.total", "RAM", "bytes", 4_096, 11_888, 3_648, 3_624, 0.01),
        Resource("macs.total", "MACs", "MACs", 300_000, dense_macs, macs, macs, 0.0),
        Resource("cycles.total", "Cycles", "cycles", None, 7_912_000, round(cycles * 1.043), cycles, 0.15,
                 "modelled from exact instruction counts"),
        Resource("latency.total", "Latency", "s", 0.005, 7_912_000 / 168e6, cycles * 1.043 / 168e6,
                 cycles / 168e6, 0.15, "at 168 MHz"),
    )  # fmt: skip


def sample_accuracies() -> tuple[Accuracy, ...]:
    return (
        Accuracy("dense", "dense, float32", "dense", 0.9405, 2000, 0.929, 0.950, 90_284),
        Accuracy("compressed", "compressed, float32", "ours", 0.9030, 2000, 0.889, 0.915, 10_724),
        Accuracy("int8", "compressed, int8 (numpy)", "ours", 0.9015, 2000, 0.888, 0.914, 10_724),
        Accuracy("host", "C on the host", "ours", 0.9015, 2000, 0.888, 0.914, 10_724),
        Accuracy("emulated", "C on emulated Cortex-M4", "ours", 0.9050, 200, 0.856, 0.938, 10_724,
                 "first 200 test samples"),
        Accuracy("uniform", "uniform width scaling", "control", 0.8120, 2000, 0.794, 0.829, 10_690,
                 "same budgets, same epochs"),
        Accuracy("magnitude", "magnitude pruning", "control", 0.8645, 2000, 0.849, 0.879, 10_716,
                 "same budgets, same epochs"),
        Accuracy("scratch", "found widths from scratch", "control", 0.8790, 2000, 0.864, 0.893, 10_724,
                 "same widths, same epochs"),
        Accuracy("linear", "linear classifier", "control", 0.1835, 2000, 0.167, 0.201, 5_800),
    )  # fmt: skip


def sample_equalities() -> tuple[Equality, ...]:
    return (
        Equality("numpy", "TFLM", "equal", 200, 0),
        Equality("numpy", "C on host", "equal", 200, 0),
        Equality("C on host", "firmware.elf", "equal", 200, 0),
        Equality("model constants", "firmware.elf constants", "equal", 0, 0),
        Equality("firmware.elf", "QEMU", "not applicable", 0, None, "qemu-system-arm is not installed"),
    )


def sample_curve() -> tuple[Epoch, ...]:
    epochs = []
    phases = ["warm-up"] * 3 + ["pruning"] * 13 + ["narrow"] * 8 + ["QAT"] * 4
    for index, phase in enumerate(phases):
        progress = min(max((index - 2) / 13, 0.0), 1.0)
        ratio = {"flash": 8.4, "macs": 10.3, "ram": 2.9}
        usage = {
            key: start ** (1 - progress) * (0.995 if progress == 1 else 1.0) for key, start in ratio.items()
        }
        usage["ram"] = max(usage["ram"] * 0.91, 0.89) if progress > 0.6 else usage["ram"]
        usage["macs"] = 0.713 if progress == 1 else usage["macs"]
        rise = 1 - math.exp(-(index + 1) / 5)
        dip = 0.06 * math.exp(-((index - 16.5) ** 2) / 3)
        pushes = phase == "pruning"
        lam = {key: progress * (1 - progress) * 0.4 * start for key, start in ratio.items()} if pushes else {}
        epochs.append(
            Epoch(index + 1, phase, 2.3 - 1.95 * rise + 2.2 * dip, 0.12 + 0.79 * rise - dip,
                  0.01 * (0.5 + 0.5 * math.cos(math.pi * index / 28)), usage, lam)
        )  # fmt: skip
    return tuple(epochs)


def sample_arena() -> ArenaPicture:
    steps = tuple(row[0] for row in LAYER_ROWS)
    tensors = (
        ArenaTensor("input", 1296, 576, 0, 0, "input"),
        ArenaTensor("stem.conv", 0, 1296, 0, 1),
        ArenaTensor("block1.dw", 1296, 1296, 1, 2),
        ArenaTensor("block1.pw", 0, 1296, 2, 3),
        ArenaTensor("block2.dw", 1296, 504, 3, 4),
        ArenaTensor("block2.pw", 0, 792, 4, 7),
        ArenaTensor("block3.conv1", 792, 396, 5, 6),
        ArenaTensor("block3.conv1 scratch", 1296, 2016, 5, 5, "scratch"),
        ArenaTensor("block3.conv2", 1188, 792, 6, 7),
        ArenaTensor("block3.conv2 scratch", 1980, 1008, 6, 6, "scratch"),
        ArenaTensor("block3.add", 1980, 792, 7, 8),
        ArenaTensor("pool", 0, 22, 8, 9),
        ArenaTensor("head", 24, 10, 9, 9, "output"),
    )
    return ArenaPicture(steps, tensors, 3_312, 3_204)


def sample_sections() -> tuple[Section, ...]:
    constants = tuple(
        Symbol(f"digits_{row[0].replace('.', '_')}_weights", row[6]) for row in LAYER_ROWS if row[6]
    )
    text = (
        Symbol("mcp_conv2d_s8_dsp", 1184),
        Symbol("mcp_conv2d_1x1_s8_dsp", 824),
        Symbol("mcp_depthwise_s8_dsp", 768),
        Symbol("mcp_linear_s8_dsp", 412),
        Symbol("mcp_add_s8", 388),
        Symbol("mcp_average_pool_s8", 304),
        Symbol("digits_run", 296),
        Symbol("reset_handler", 88),
    )
    return (
        Section(".vectors", "FLASH", 0x08000000, 64, (Symbol("vectors", 64),)),
        Section(".text", "FLASH", 0x08000040, 4712, text),
        Section(".rodata", "FLASH", 0x080012A8, 7011, constants),
        Section(".bss", "SRAM", 0x20000000, 16, (Symbol("ticks", 16),)),
        Section(".arena", "SRAM", 0x20000010, 3312, (Symbol("digits_arena", 3312),)),
        Section(".stack", "SRAM", 0x20000D00, 1024, ()),
    )


def sample_report() -> Report:
    return Report(
        name="digits",
        command="mcuprune compress --board stm32f4 --budget flash=6K,ram=4K,macs=300k,latency=5ms --seed 0",
        method="keep_ratio",
        seed=0,
        board=BOARD,
        task=TASK,
        config={"board": "stm32f4", "budget": {"flash": "6K", "ram": "4K", "macs": "300k", "latency": "5ms"},
                "method": "keep_ratio", "epochs": 28, "seed": 0, "batch_size": 64},
        versions={
            "mcuprune": "0.1.0",
            "compiler": "clang 20.1.2 (ziglang 0.15.1)",
            "emulator": "unicorn 2.1.4",
            "torch": "2.13.0",
            "numpy": "2.4.1",
            "oracle": "tflite_micro 0.dev20261023182759",
        },
        resources=sample_resources(),
        accuracies=sample_accuracies(),
        equalities=sample_equalities(),
        curve=sample_curve(),
        layers=sample_layers(),
        arena=sample_arena(),
        sections=sample_sections(),
        notes=("Test digits come from writers' samples that never appear in a training scene.",),
    )  # fmt: skip


def sample_times() -> Times:
    seconds = {"dense reference": 48.2, "gated training": 29.6, "narrow training": 11.8, "QAT": 7.1,
               "controls": 36.4, "build": 6.2, "emulation": 9.9}  # fmt: skip
    phases = tuple(Phase(name, value) for name, value in seconds.items())
    return Times(phases, dense_training_s=48.2, training_s=48.5)


@pytest.fixture
def report() -> Report:
    return sample_report()


@pytest.fixture
def times() -> Times:
    return sample_times()
