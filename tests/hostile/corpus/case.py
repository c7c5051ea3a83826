"""One case of the corpus: how a hostile input is made, and what has to come out.

Cases are made from a small phantom, `Base`, at 25 slices of 64 x 64 voxels of 6 mm: so large that
the whole command finds vertebrae in it, and so small that reading takes 30 ms.
"""

import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import pydicom
from pydicom.dataset import Dataset

from vfx_edge.inputs import load_scan
from vfx_edge.outputs.dicom.ct_series import write_ct_series
from vfx_edge.phantom import PhantomSpec, make_phantom
from vfx_edge.study import Scan

SPEC = PhantomSpec(levels=("T12", "L3"), spacing_mm=6, pixel_mm=6, matrix=(64, 64), seed=3)
SLICES = 25
MIDDLE = 12
"""The slice that is damaged where one is: neither end of the stack."""


@dataclass(frozen=True)
class Base:
    """The phantom's folder: one file a slice, from feet to head."""

    folder: Path

    @cached_property
    def contents(self) -> tuple[bytes, ...]:
        """The files' bytes, feet first."""
        return tuple(path.read_bytes() for path in sorted(self.folder.iterdir()))

    @cached_property
    def scan(self) -> Scan:
        """What the reader makes of it."""
        return load_scan(self.folder)

    def slices(self) -> list[Dataset]:
        """Fresh data sets, to be changed at will."""
        return [pydicom.dcmread(io.BytesIO(content)) for content in self.contents]


def make_base(folder: Path) -> Base:
    """The phantom, written into a new folder."""
    made = make_phantom(SPEC)
    write_ct_series(made.hu, made.affine_zyx_to_lps, folder, seed=SPEC.seed)
    assert len(made.hu) == SLICES
    return Base(folder)


@dataclass(frozen=True)
class Reads:
    """It is read. `like` the base: voxel for voxel but for the slices `but_for`; "phase": the base,
    or the base moved sideways as `geometry.phases` does; None: another image. `warns`: a pattern
    that one warning, or a reason why another series was not taken, has to hold."""

    like: Literal["base", "phase"] | None = "base"
    warns: str = ""
    but_for: tuple[int, ...] = ()


BASE, READ = Reads(), Reads(like=None)
ONE_BROKEN = Reads(warns="left out|passed over|damaged", but_for=(MIDDLE,))
"""The base but for its middle slice, which is said."""


@dataclass(frozen=True)
class Refused:
    """It ends in exit code `code` and one sentence that holds the pattern `says`."""

    says: str
    code: int = 3


Outcome = Reads | Refused
Make = Callable[[Base, Path], Path]
"""Makes the input in an empty folder, and gives the path that the command is given."""
How = Literal["read", "mask", "model", "usage"]


@dataclass(frozen=True)
class Case:
    """`how`: what the made path is given as. `outcomes`: any of them is right. `words`: the
    command's words of a case of usage. `without_root`: holds only where permissions do."""

    kind: str
    name: str
    make: Make
    outcomes: tuple[Outcome, ...]
    how: How = "read"
    words: tuple[str, ...] = field(default=())
    without_root: bool = False
    slow: bool = False
    """Too slow for the default suite: the campaign has it."""

    @property
    def title(self) -> str:
        """Names it among all."""
        return f"{self.kind}/{self.name}"


@contextmanager
def nonsense_is_written() -> Iterator[None]:
    """pydicom writes values that it finds wrong, without a word."""
    settings = pydicom.config.settings
    before = settings.writing_validation_mode
    settings.writing_validation_mode = pydicom.config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        settings.writing_validation_mode = before


def write(folder: Path, slices: Iterable[Dataset], names: Iterable[str] | None = None) -> Path:
    """The data sets as files, by number or by the names given."""
    folder.mkdir(parents=True, exist_ok=True)
    given = iter(names) if names is not None else None
    for number, one in enumerate(slices):
        name = next(given) if given else f"IM{number:04d}"
        one.save_as(folder / name, enforce_file_format=True)
    return folder


def write_bytes(folder: Path, contents: Iterable[bytes]) -> Path:
    """Files as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(contents):
        (folder / f"IM{number:04d}").write_bytes(content)
    return folder


def path_of_bytes(folder: Path, name: bytes) -> Path:
    """A path below the folder whose name need not be UTF-8."""
    return Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
