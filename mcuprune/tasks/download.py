"""Published files over the network, checked by the checksums that they were published with."""

from __future__ import annotations

import hashlib
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcuprune.errors import UsageError

TIMEOUT = 60.0  # seconds without an answer
_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"


@dataclass(frozen=True)
class File:
    """One published file; ``md5`` as its publisher states it.  An archive is kept beside what is in it."""

    url: str
    md5: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


SETS: Mapping[str, tuple[str, tuple[File, ...]]] = {  # the folder that the files end up in, and the files
    "mnist": (
        "mnist",
        (
            File(f"{_MNIST}train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            File(f"{_MNIST}train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
            File(f"{_MNIST}t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
            File(f"{_MNIST}t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
        ),
    ),
    "fashion-mnist": (
        "fashion-mnist",
        (
            File(f"{_FASHION}train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            File(f"{_FASHION}train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
            File(f"{_FASHION}t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
            File(f"{_FASHION}t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
        ),
    ),
    "cifar10": (
        "cifar-10-batches-bin",
        (
            File(
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"
            ),
        ),
    ),
}
ELSEWHERE: Mapping[str, str] = {  # published without a checksum: to be fetched by hand
    "spoken-digits": "clone https://github.com/Jakobovski/free-spoken-digit-dataset",
    "har": "take AI_resources/HAR/dataset of https://github.com/STMicroelectronics/stm32ai-wiki",
    "wand": "clone https://github.com/petewarden/magic_wand_digit_data",
    "anomaly": "take datasets/ad01 of https://github.com/eembc/energyrunner",
}


def how_to_get(name: str) -> str:
    """For who lacks the files of a task."""
    return f"run `mcuprune download {name}`" if name in SETS else ELSEWHERE[name]


def download(name: str, folder: Path) -> Path:
    """The files of a set below ``folder``, in the place where a task looks for them; kept files are checked.

    Raises UsageError for a set that cannot be downloaded, without a network, and for a wrong checksum.
    """
    if name not in SETS:
        known = ", ".join(SETS)
        raise UsageError(f"'{name}' is not downloaded (known: {known}); {ELSEWHERE.get(name, 'see --data')}")
    place, files = SETS[name]
    target = folder / place
    target.mkdir(parents=True, exist_ok=True)
    for file in files:
        path = target / file.name
        if not (path.is_file() and _md5(path) == file.md5):
            _fetch(file, path)
        if file.name.endswith(".tar.gz"):
            _unpack(path, target)
    return target


def _fetch(file: File, path: Path) -> None:
    part = path.with_name(path.name + ".part")
    try:
        with urllib.request.urlopen(file.url, timeout=TIMEOUT) as answer, part.open("wb") as out:
            while block := answer.read(1 << 20):
                out.write(block)
    except (urllib.error.URLError, OSError) as error:
        part.unlink(missing_ok=True)
        raise UsageError(
            f"{file.url} cannot be fetched ({error}); fetch it on another machine and put it at '{path}'"
        ) from None
    found = _md5(part)
    if found != file.md5:
        part.unlink()
        raise UsageError(f"{file.url} has checksum {found}, not {file.md5}; try again, or fetch it elsewhere")
    part.replace(path)


def _unpack(archive: Path, target: Path) -> None:
    """The plain files of an archive, whatever folder they lie in there."""
    with tarfile.open(archive) as members:
        for member in members:
            data = members.extractfile(member) if member.isfile() else None
            if data is not None:
                (target / Path(member.name).name).write_bytes(data.read())


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
