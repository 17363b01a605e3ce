"""The generated front end: the bytes of its specification, on this machine and on the emulated core."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_mfcc import SPEC, WIDE, noise

from mcuprune.board import load_board
from mcuprune.codegen.front_end import emit_front_end, scratch_bytes
from mcuprune.signal import fixed
from mcuprune.signal import mfcc as real
from mcuprune.signal.mfcc import Mfcc
from mcuprune.tasks.published import VARIABLE
from mcuprune.tasks.spoken import read_digits
from mcuprune.verify.front_end import HostFrontEnd, build_front_end, emulate_front_end, measure_front_end
from mcuprune.verify.toolchain import find_toolchain

STEP = 8.0 / 255.0  # +-4 standard deviations
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow")


def made(spec: Mfcc, audio: np.ndarray, zero_point: int = 5) -> tuple[fixed.Quantizer, dict[str, str]]:
    values = real.mfcc(audio, spec)
    q = fixed.quantizer(values.mean(axis=(0, 1)), values.std(axis=(0, 1)), STEP, zero_point)
    return q, emit_front_end("kws", spec, q)


def clips(spec: Mfcc) -> np.ndarray:
    """Loud, quiet, silent and overdriven ones."""
    edges = [np.full(spec.samples, value) for value in (0, 1, -32768, 32767)]
    square = np.where(np.arange(spec.samples) % 10 < 5, 32767, -32768)
    return np.concatenate([*(noise(seed, spec) for seed in range(6)), np.stack([*edges, square])]).astype(
        np.int16
    )


@pytest.mark.parametrize("spec", [SPEC, WIDE], ids=["8 kHz", "16 kHz"])
def test_host_gives_the_bytes_of_the_specification(tmp_path, spec):
    audio = clips(spec)
    q, files = made(spec, audio)
    host = HostFrontEnd(files, "kws", spec, tmp_path, flags=STRICT)
    wanted = fixed.quantize(fixed.coefficients(audio, spec), q)
    np.testing.assert_array_equal(host.run(audio), wanted)
    assert len(np.unique(wanted)) > 100


def test_sanitizers_find_nothing(tmp_path):
    """In a process of its own, which the address sanitizer needs."""
    audio = clips(SPEC)
    q, files = made(SPEC, audio)
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "kws_features.h"\n'
        "static int16_t audio[KWS_AUDIO_SAMPLES];\nstatic int8_t features[KWS_FEATURES_SIZE];\n"
        "static int32_t scratch[KWS_FEATURES_SCRATCH_SIZE / 4];\nint main(void)\n{\n"
        "    while (fread(audio, 2, KWS_AUDIO_SAMPLES, stdin) == KWS_AUDIO_SAMPLES) {\n"
        "        if (kws_features(audio, features, scratch)) { return 1; }\n"
        "        fwrite(features, 1, KWS_FEATURES_SIZE, stdout);\n    }\n"
        "    return kws_features(0, features, scratch) ? 0 : 1;\n}\n"
    )
    program = tmp_path / "program"
    sources = [str(path) for path in sorted((tmp_path / "src").glob("*.c"))]
    flags = ("-std=c99", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    folders = (f"-I{tmp_path}/include", f"-I{tmp_path}/src")
    built = subprocess.run(
        ["cc", *flags, *folders, str(tmp_path / "main.c"), *sources, "-o", str(program)],
        capture_output=True,
        text=True,
    )
    if built.returncode and "asan" in built.stderr:
        pytest.skip("this machine's compiler has no sanitizers")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([program], input=audio.astype("<i2").tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    wanted = fixed.quantize(fixed.coefficients(audio, SPEC), q)
    np.testing.assert_array_equal(np.frombuffer(done.stdout, np.int8).reshape(wanted.shape), wanted)


@pytest.mark.parametrize("board", ["stm32f4", "rpi-pico", "esp32c3"])
def test_emulated_core_gives_the_same_bytes(tmp_path, board):
    pytest.importorskip("unicorn")
    pytest.importorskip("ziglang")
    found = load_board(board)
    audio = noise(1)[:1]
    q, files = made(SPEC, audio)
    elf = build_front_end(files, "kws", found, find_toolchain(found), tmp_path)
    sizes = measure_front_end(elf, "kws")
    assert 2200 < sizes.constants < 2600  # tables
    assert 800 < sizes.code < 4000
    run = emulate_front_end(elf, "kws", SPEC, found, audio[0])
    np.testing.assert_array_equal(run.features, fixed.quantize(fixed.coefficients(audio, SPEC), q)[0])
    assert run.stack_bytes < 400
    assert run.cycles is not None
    if board == "stm32f4":
        assert run.cycles.mid < 3.5e6  # 21 ms at 168 MHz for a second of audio


def test_generated_text():
    _, files = made(SPEC, noise(0))
    assert sorted(files) == [
        "include/kws_features.h",
        "src/kws_features.c",
        "src/mcp_arithmetic.h",
        "src/mcp_mfcc.c",
        "src/mcp_mfcc.h",
    ]
    assert f"#define KWS_FEATURES_SCRATCH_SIZE {scratch_bytes(SPEC)}\n" in files["include/kws_features.h"]
    assert files == made(SPEC, noise(0))[1]


@pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} does not name a folder with data sets")
def test_recorded_digits_give_the_same_bytes(tmp_path):
    folder = Path(os.environ[VARIABLE]) / "free-spoken-digit-dataset"
    if not folder.is_dir():
        pytest.skip(f"'{folder.name}' is not in {VARIABLE}")
    _, audio = read_digits(folder, SPEC)
    audio = audio[::10]
    q, files = made(SPEC, audio)
    host = HostFrontEnd(files, "kws", SPEC, tmp_path)
    np.testing.assert_array_equal(host.run(audio), fixed.quantize(fixed.coefficients(audio, SPEC), q))
