from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprune.budget import parse_budget
from mcuprune.config import RunConfig, load_config, parse_shape
from mcuprune.errors import UsageError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_flags_override_the_file(tmp_path: Path) -> None:
    file = write(
        tmp_path / "run.toml", 'board = "nucleo-f446re"\nseed = 3\nepochs = 5\n[budget]\nflash = "64K"\n'
    )
    run = load_config(file, {"seed": 4, "epochs": None, "out": "somewhere"})
    assert (run.board, run.seed, run.epochs) == ("nucleo-f446re", 4, 5)
    assert run.budget == parse_budget("flash=64K")
    assert run.out == Path("somewhere")


@given(
    st.none() | st.sampled_from(["net.py:Net", "a b.onnx", 'quote".tflite', "späne.png"]),
    st.sampled_from(["", "flash=6K", "flash=6000,ram=3K,macs=2M,latency=250us"]),
    st.integers(0, 2**31),
    st.none() | st.floats(0, 1),
    st.sampled_from(["zig", "gcc"]),
    st.none() | st.sampled_from(["0.75:5", "1:1", "0.1:1e3"]),
)
@settings(deadline=None, max_examples=100)
def test_written_toml_alone_reproduces_the_run(
    model: str | None, budget: str, seed: int, floor: float | None, toolchain: str, widths: str | None
) -> None:
    values = {"model": model, "budget": budget, "seed": seed, "min_accuracy": floor, "toolchain": toolchain}
    run = load_config(None, values | {"widths": widths})
    assert RunConfig(**tomllib.loads(run.to_toml())) == run


def test_where_results_go_is_not_part_of_what_is_computed() -> None:
    one = load_config(None, {"out": "a", "resume": True})
    other = load_config(None, {"out": "b"})
    assert one.to_toml() == other.to_toml()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('bord = "stm32f4"', "unknown key 'bord'; did you mean 'board'"),
        ("epochs = 0", "epochs = 0"),
        ('epochs = "many"', "epochs = 'many'"),
        ("seed = -1", "seed = -1"),
        ("seed = 9223372036854775808", "seed = 9223372036854775808"),
        ('toolchain = "clang"', "'zig' or 'gcc'"),
        ('name = "2net"', "name = '2net'"),
        ('budget = "flash=1Q"', "cannot read 'flash=1Q'"),
        ('[budget]\nflsh = "1K"', "did you mean 'flash'"),
        ("board = ", "not valid TOML"),
        ('widths = "2:5"', "widths 2:5: give LOW:HIGH"),
        ("widths = [0.5, 0.9]", "give LOW:HIGH"),
        ("widths = 0.75", "give LOW:HIGH"),
        ('widths = "0.5:inf"', "give LOW:HIGH"),
        ('input_axis = "columns"', "give --inputs too"),
        ('task = ""', "--task is empty; name something"),
        ('more_data = ""', "--more-data is empty"),
        ("controls = false\nall_controls = true", "leave out one of them"),
        ('input_axis = "rows"\ninputs = 2', "'channels' or 'columns'"),
    ],
)
def test_refuses(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load_config(write(tmp_path / "run.toml", text))


def test_no_controls_overrides_all_of_a_file(tmp_path: Path) -> None:
    file = write(tmp_path / "run.toml", "all_controls = true")
    config = load_config(file, {"controls": False})
    assert (config.controls, config.all_controls) == (False, False)


def test_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_config(tmp_path / "none.toml")


def test_input_shapes() -> None:
    assert parse_shape("3,32, 32") == (3, 32, 32)
    assert parse_shape(None) is None
    for text in ("", "3,x", "3,0", "-1"):
        with pytest.raises(UsageError, match="without the batch"):
            parse_shape(text)
