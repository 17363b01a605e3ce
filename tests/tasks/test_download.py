"""Downloads, from files of this machine: nothing here uses a network."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import pytest
from data_files import write_cifar, write_idx

from mcuprune.errors import UsageError
from mcuprune.tasks import download as downloads
from mcuprune.tasks.download import ELSEWHERE, SETS, File, download
from mcuprune.tasks.load import load_task
from mcuprune.tasks.published import PUBLISHED


def published(path: Path, checksum: str | None = None) -> File:
    return File(path.as_uri(), checksum or hashlib.md5(path.read_bytes()).hexdigest())


def test_every_published_task_says_where_its_files_are():
    assert set(SETS) | set(ELSEWHERE) == set(PUBLISHED)
    for place, files in SETS.values():
        assert all(len(file.md5) == 32 for file in files)
        assert any(place in known.places for known in PUBLISHED.values())


def test_files_arrive_where_the_task_looks(tmp_path, monkeypatch):
    source = write_idx(tmp_path / "server")
    files = tuple(published(path) for path in sorted(source.iterdir()))
    monkeypatch.setattr(downloads, "SETS", {"mnist": ("mnist", files)})
    assert download("mnist", tmp_path / "data") == tmp_path / "data" / "mnist"
    assert load_task("mnist", str(tmp_path / "data")).classes == 3
    for path in source.iterdir():
        path.unlink()
    download("mnist", tmp_path / "data")  # what is there is not fetched again


def test_archives_are_unpacked(tmp_path, monkeypatch):
    source = write_cifar(tmp_path / "cifar-10-batches-bin")
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as archive:
        archive.add(source, arcname="cifar-10-batches-bin")
    file = published(tmp_path / "set.tar.gz")
    monkeypatch.setattr(downloads, "SETS", {"cifar10": ("cifar-10-batches-bin", (file,))})
    found = download("cifar10", tmp_path / "data")
    names = {path.name for path in source.iterdir()}
    assert {path.name for path in found.iterdir()} == names | {"set.tar.gz"}
    assert load_task("cifar10", str(tmp_path / "data")).input_shape == (32, 32, 3)


def test_a_wrong_checksum_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "a.gz").write_bytes(b"not the set")
    file = published(tmp_path / "a.gz", "0" * 32)
    monkeypatch.setattr(downloads, "SETS", {"mnist": ("mnist", (file,))})
    with pytest.raises(UsageError, match=r"a.gz has checksum [0-9a-f]{32}, not 0{32}"):
        download("mnist", tmp_path / "data")
    assert list((tmp_path / "data" / "mnist").iterdir()) == []


def test_no_network_says_what_to_do(tmp_path, monkeypatch):
    gone = File((tmp_path / "gone.gz").as_uri(), "0" * 32)
    monkeypatch.setattr(downloads, "SETS", {"mnist": ("mnist", (gone,))})
    with pytest.raises(UsageError, match=r"cannot be fetched .*put it at '.*gone.gz'"):
        download("mnist", tmp_path)
    with pytest.raises(UsageError, match=r"clone https://github\.com/Jakobovski"):
        download("spoken-digits", tmp_path)
