"""The product's reader and the plain second one see the same, voxel for voxel."""

import random
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from tests.second_reader import assert_reads, plain_slices
from vfx_edge.inputs import load_scan
from vfx_edge.outputs.dicom.ct_series import write_ct_series
from vfx_edge.phantom import PhantomSpec, make_phantom


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_phantom(
        PhantomSpec(levels=("L1", "L3"), matrix=(90, 120), pixel_mm=3.0, spacing_mm=3.0)
    )
    return write_ct_series(
        made.hu, made.affine_zyx_to_lps, tmp_path_factory.mktemp("made") / "ct", seed=1
    )


def slope_of_its_own(one: Dataset, number: int) -> None:
    hu = one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)
    one.RescaleSlope, one.RescaleIntercept = 0.5, -1100 - number
    pixels = np.rint((hu + 1100 + number) * 2).astype(np.uint16)
    one.BitsAllocated = one.BitsStored = 16
    one.HighBit, one.PixelRepresentation = 15, 0
    one.PixelData = pixels.tobytes()


def implicit(one: Dataset, _number: int) -> None:
    one.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian


WAYS = {
    "as it is": lambda one, number: None,
    "slopes of their own": slope_of_its_own,
    "implicit": implicit,
    "RLE": lambda one, number: one.compress(RLELossless),
    "JPEG-LS": lambda one, number: one.compress(JPEGLSLossless),
    "padding": lambda one, number: one.add_new(0x00280120, "US", 0),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_phantom_however_it_is_written(phantom: Path, tmp_path: Path, way: str) -> None:
    paths = sorted(phantom.iterdir())
    names = random.Random(way).sample(range(10**6), len(paths))
    for number, (path, name) in enumerate(zip(paths, names, strict=True)):
        one = pydicom.dcmread(path)
        WAYS[way](one, number)
        one.save_as(tmp_path / str(name), enforce_file_format=True)
    assert_reads(load_scan(tmp_path), plain_slices(tmp_path))


@pytest.mark.parametrize(
    "name",
    ["ct_coronal_slab_dicom", "ct_thoracolumbar_4mm_dicom"],
)
def test_real_cts(name: str, shared_data: Path) -> None:
    assert_reads(load_scan(shared_data / name), plain_slices(shared_data / name))
