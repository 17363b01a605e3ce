"""The wheel as a user gets it: built, installed away from the checkout, run from an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ("codegen", "firmware_templates", "boards")
SOURCES = ("mcuprune", *SHARED, "pyproject.toml", "setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the sources, so that the checkout stays clean."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=skip)
        else:
            shutil.copy(ROOT / name, source / name)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    subprocess.run(build, check=True, capture_output=True, text=True, timeout=300)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed wheel and nothing else; the dependencies come from this environment."""
    folder = tmp_path_factory.mktemp("site")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(folder),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True, text=True, timeout=300)
    return folder


def run(site: Path, folder: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(site), "NO_COLOR": "1"}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def python(site: Path, folder: Path, program: str) -> str:
    return run(site, folder, sys.executable, "-c", program).strip()


def test_every_file_is_in_it(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("mcuprune", *SHARED):
        prefix = "" if folder == "mcuprune" else "mcuprune/_share/"
        files = (path for path in (ROOT / folder).rglob("*") if path.is_file())
        expected = {
            prefix + path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts
        }
        assert expected
        assert expected <= names, sorted(expected - names)


def test_nothing_generic_is_installed(site: Path) -> None:
    names = {path.name for path in site.iterdir()}
    assert names - {"bin", "__pycache__"} == {"mcuprune", "mcuprune-0.1.0.dist-info"}
    assert [path.name for path in (site / "bin").iterdir() if path.is_file()] == ["mcuprune"]
    assert not list((site / "mcuprune" / "_share").rglob("__init__.py"))


def test_licence_and_metadata(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    assert "Apache License" in archive.read("mcuprune-0.1.0.dist-info/licenses/LICENSE").decode()
    metadata = archive.read("mcuprune-0.1.0.dist-info/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Dist: torch>=" in metadata
    for extra in ("firmware", "oracle", "keras", "tflite-runtime", "test"):
        assert f"Provides-Extra: {extra}" in metadata


def test_the_installed_copy_is_the_one_that_runs(site: Path, tmp_path: Path) -> None:
    program = (
        "import mcuprune, mcuprune.codegen, mcuprune.codegen.lower as lower\n"
        "from mcuprune import share\n"
        "print(mcuprune.__file__, lower.__file__, sep='\\n')\n"
        "print(*(share.folder(name) for name in share.FOLDERS), sep='\\n')\n"
    )
    for place in python(site, tmp_path, program).splitlines():
        assert Path(place).is_relative_to(site)


def test_the_command_lists_boards_from_an_empty_folder(site: Path, tmp_path: Path) -> None:
    shown = run(site, tmp_path, sys.executable, str(site / "bin" / "mcuprune"), "boards", "list")
    assert "stm32f407-discovery" in shown
    assert list(tmp_path.iterdir()) == []


def test_it_makes_firmware_from_an_empty_folder(site: Path, tmp_path: Path) -> None:
    command = (sys.executable, str(site / "bin" / "mcuprune"))
    run(
        site,
        tmp_path,
        *command,
        "export",
        str(ROOT / "tests" / "golden" / "interpreter.tflite"),
        "--out",
        "small",
    )
    assert (tmp_path / "small" / "firmware.elf").read_bytes()[:4] == b"\x7fELF"
    shown = run(site, tmp_path, *command, "verify", "small", "--inputs", "5")
    assert "equal" in shown
