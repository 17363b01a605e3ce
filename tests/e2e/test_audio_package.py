"""A network that listens: the package takes audio."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("unicorn")
pytest.importorskip("ziglang")
sys.path.append(str(Path(__file__).parents[1] / "tasks"))
from data_files import write_spoken_digits

from mcuprune import sound
from mcuprune.board import load_board
from mcuprune.codegen.front_end import emit_front_end
from mcuprune.config import RunConfig
from mcuprune.errors import AccuracyError, MismatchError
from mcuprune.pipeline import compress
from mcuprune.signal import fixed
from mcuprune.signal.mfcc import Mfcc
from mcuprune.verify.front_end import HostFrontEnd
from mcuprune.verify.toolchain import find_toolchain


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("listen")
    data = write_spoken_digits(base / "fsdd", indices=7)
    config = RunConfig(
        task="spoken-digits",
        data=str(data),
        budget="flash=14K,macs=300K",
        epochs=1,
        batch_size=16,
        controls=False,
        name="kws",
        out=base / "run",
    )
    with suppress(AccuracyError):  # a few clips train no classifier; what is wanted is written all the same
        compress(config)
    return base / "run"


def test_the_package_holds_the_front_end(folder):
    header = (folder / "c/include/kws_features.h").read_text()
    assert "int kws_features(const int16_t *audio, int8_t *features, void *scratch);" in header
    assert (folder / "c/src/kws_features.c").is_file()
    assert (folder / "c/src/mcp_mfcc.c").is_file()
    model = (folder / "c/include/kws.h").read_text()
    assert "#define KWS_INPUT_SIZE 490\n" in model
    assert "#define KWS_FEATURES_SIZE 490\n" in header


def test_the_report_says_what_it_costs(folder):
    report = json.loads((folder / "report.json").read_text())
    (note,) = [note for note in report["notes"] if "kws_features" in note]
    assert "bytes of flash beside the network's" in note
    assert "ms) for each clip" in note


def test_features_are_the_inputs_that_the_network_was_tested_on(folder):
    """Audio through the package's C gives the stored test inputs, but for a rounding here and there."""
    files = {str(p.relative_to(folder / "c")): p.read_text() for p in (folder / "c").rglob("*.[ch]")}
    files = {path: text for path, text in files.items() if "features" in path or "mcp_" in path}
    spec = Mfcc()
    data = folder.parent / "fsdd" / "recordings"
    from mcuprune.tasks.spoken import read_digits

    names, clips = read_digits(data, spec)
    tested = clips[[index < 5 for _, _, index in names]]
    found = HostFrontEnd(files, "kws", spec, folder.parent).run(tested).reshape(len(tested), -1)
    stored = np.load(folder / "samples.npy").reshape(len(tested), -1)
    nearest = [np.abs(stored.astype(int) - row.astype(int)).max(axis=1).min() for row in found]
    assert max(nearest) <= 1


def test_a_front_end_that_differs_is_an_error():
    spec, board = Mfcc(), load_board("stm32f4")
    values = fixed.coefficients(sound.clips(spec), spec)
    q = fixed.quantizer(values.mean(axis=(0, 1)) / fixed.ONE, values.std(axis=(0, 1)) / fixed.ONE, 0.03, 0)
    files = emit_front_end("kws", spec, q)
    wrong = replace(q, zero_point=1)
    with pytest.raises(MismatchError, match="C on the host differs from its specification"):
        sound.prove(files, "kws", spec, wrong, board, find_toolchain(board))
