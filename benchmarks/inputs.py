"""What is measured on: phantoms made on the spot, CTs of the user's own, and these resampled."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import UNFINISHED, log
from vfx_edge.cli.phantom import FIELD_MM
from vfx_edge.phantom import FractureSpec, LesionSpec, PhantomSpec

PHANTOM = "phantom, {} slices of {}²"
TINY = PhantomSpec(levels=("L2", "L3"), spacing_mm=3.0, pixel_mm=3.0, matrix=(128, 128), seed=7)
"""What is done many times."""
ABDOMEN = "phantom of an abdomen, {} slices of {}²"
ABDOMEN_SLICES = 129
"""An abdomen at 3 mm, as hospitals take thousands of."""
RESAMPLED = "{}, resampled to {} slices of {}²"


@dataclass(frozen=True)
class Scan:
    """A CT to measure on. `name` stands in the tables."""

    name: str
    path: Path


def name_of(path: Path) -> str:
    """What is kept of a CT's place: the folder that it is, or that its file lies in."""
    return path.resolve().parent.name if path.is_file() else path.name


def standard_phantom(slices: int = 600, matrix: int = 512) -> PhantomSpec:
    """T1 to L5 in 600 mm, two fractures: the CT that the goals are about; smaller for trying."""
    return PhantomSpec(
        levels=("T1", "L5"),
        slices=slices,
        spacing_mm=600 / slices,
        pixel_mm=FIELD_MM / matrix,
        matrix=(matrix, matrix),
        fractures=(FractureSpec("L1", "wedge", 0.35), FractureSpec("T10", "crush", 0.4)),
        lesions=(LesionSpec("T10", "lytic"),),  # so that the classifier has something to do
        seed=7,
    )


def abdomen_phantom(matrix: int = 512) -> PhantomSpec:
    """T11 to L5 in slices of 3 mm, nothing broken."""
    return PhantomSpec(
        levels=("T11", "L5"),
        slices=ABDOMEN_SLICES,
        spacing_mm=3.0,
        pixel_mm=FIELD_MM / matrix,
        matrix=(matrix, matrix),
        seed=7,
    )


@contextmanager
def phantom(spec: PhantomSpec, name: str = "") -> Iterator[Scan]:
    """The phantom as DICOM in a folder that is removed afterwards."""
    from vfx_edge.outputs.dicom.ct_series import write_ct_series
    from vfx_edge.phantom import make_phantom

    with _folder() as folder:
        log(f"making the phantom of {spec.slices or 'enough'} slices at {spec.spacing_mm:g} mm")
        made = make_phantom(spec)
        write_ct_series(made.hu, made.affine_zyx_to_lps, folder / "ct", seed=spec.seed)
        del made
        yield Scan(name, folder / "ct")


@contextmanager
def scan(path: Path | None, slices: int, matrix: int) -> Iterator[Scan]:
    """The CT at `path`, else the standard phantom of this size."""
    if path is not None:
        yield Scan(name_of(path), path)
        return
    spec = standard_phantom(slices, matrix)
    with phantom(spec, PHANTOM.format(slices, matrix)) as made:
        yield made


@contextmanager
def resampled(path: Path, slices: int, matrix: int) -> Iterator[Scan]:
    """The CT at `path` over the same extent in `slices` of matrix², as uncompressed DICOM."""
    from vfx_edge.outputs.dicom.ct_series import write_ct_series

    name = name_of(path)
    with _folder() as folder:
        log(f"resampling {name} to {slices} slices of {matrix}²")
        hu, affine = _on_a_grid(path, (slices, matrix, matrix))
        write_ct_series(hu, affine, folder / "ct", description="Resampled")
        yield Scan(RESAMPLED.format(name, slices, matrix), folder / "ct")


def _on_a_grid(path: Path, shape: tuple[int, int, int]) -> tuple[Any, Any]:
    """Linear: (z, y, x) int16 of this shape, and its affine (z, y, x, 1) -> LPS mm."""
    import SimpleITK as sitk

    from vfx_edge.inputs import load_scan

    volume = load_scan(path)
    factors = np.array(volume.image.values.shape) / np.array(shape)
    grid = sitk.Image([int(n) for n in shape[::-1]], sitk.sitkInt16)
    grid.SetSpacing([float(f) for f in factors[::-1]])
    # the new grid shows the same edges, so its first centre lies inside or outside of the old one
    grid.SetOrigin([float((f - 1) / 2) for f in factors[::-1]])
    image = sitk.GetImageFromArray(volume.image.values)
    filled = sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, -1024)
    affine = volume.image.affine_zyx_to_lps.copy()
    affine[:3, 3] += affine[:3, :3] @ ((factors - 1) / 2)
    affine[:3, :3] *= factors
    return sitk.GetArrayFromImage(filled), affine


def facts(path: Path) -> dict[str, Any]:
    """Shape, spacing and size of the CT: nothing that tells whose it is."""
    from vfx_edge.bench.worker import input_facts
    from vfx_edge.inputs import load_scan

    return input_facts(load_scan(path))


@contextmanager
def _folder() -> Iterator[Path]:
    """In build/, on the disk of the checkout: a system's own temporary folder may be memory."""
    UNFINISHED.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=UNFINISHED, prefix="ct-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
