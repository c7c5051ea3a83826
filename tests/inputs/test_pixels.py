"""Stored numbers become Hounsfield units, however they are stored."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from tests.inputs.world import Scan, assert_shows_patient, enhanced, put, reread, stored, write_scan
from vfx_edge.inputs import decoders, load_scan
from vfx_edge.inputs.files import Source
from vfx_edge.inputs.headers import read_header
from vfx_edge.inputs.modality import CT
from vfx_edge.inputs.pixels import read_into


def values(one: Dataset) -> np.ndarray:
    return np.frombuffer(one.PixelData, np.int16).reshape(one.Rows, one.Columns)


def unsigned(one: Dataset, _index: int) -> None:
    stored(one, values(one).astype(np.uint16), bits=12)


def intercept_zero(one: Dataset, _index: int) -> None:
    stored(one, values(one) - np.int16(1024))
    one.RescaleIntercept = 0


def no_rescale_at_all(one: Dataset, index: int) -> None:
    intercept_zero(one, index)
    del one.RescaleIntercept, one.RescaleSlope


def own_slope_each(one: Dataset, index: int) -> None:
    slope, hu = 0.25 + 0.01 * index, values(one) - 1024.0
    stored(one, np.rint((hu + 1100) / slope).astype(np.uint16))
    one.RescaleSlope, one.RescaleIntercept = f"{slope:.4f}", -1100


def monochrome1(one: Dataset, _index: int) -> None:
    one.PhotometricInterpretation = "MONOCHROME1"


def old_overlay_in_high_bits(one: Dataset, index: int) -> None:
    unsigned(one, index)
    one.PixelData = (np.frombuffer(one.PixelData, np.uint16) | 0x8000).tobytes()


def thirty_two_bits(one: Dataset, _index: int) -> None:
    stored(one, values(one).astype(np.int32))


def no_instance_uid_differs(one: Dataset, _index: int) -> None:
    one.SOPInstanceUID = "1.2.3"


@pytest.mark.parametrize(
    "edit",
    [unsigned, intercept_zero, no_rescale_at_all, own_slope_each, monochrome1,
     old_overlay_in_high_bits, thirty_two_bits, no_instance_uid_differs,
     put(RescaleType="US"), put(ImageType=None), put(FrameOfReferenceUID=None)],
)  # fmt: skip
def test_ways_to_store(tmp_path: Path, edit) -> None:
    write_scan(tmp_path, Scan(), edit)
    assert_shows_patient(load_scan(tmp_path).image)


@pytest.mark.parametrize("value", [-2000, 63536])
@pytest.mark.parametrize("bits", [16, 12])
def test_padding_outside_the_field_becomes_air(tmp_path: Path, value: int, bits: int) -> None:
    """Also where it is stated unsigned, or needs more bits than are said to be stored."""

    def padded(one: Dataset, _index: int) -> None:
        pixels = values(one).copy()
        pixels[:5] = -2000
        stored(one, pixels, bits=bits)
        one.add_new("PixelPaddingValue", "SS" if value < 0 else "US", value)

    write_scan(tmp_path, Scan(), padded)
    volume = load_scan(tmp_path)
    assert np.all(volume.image.values[:, :5] == -1024)
    assert volume.image.values[:, 5:].max() > 500


def test_padding_of_zero_does_not_turn_water_into_air(tmp_path: Path) -> None:
    def padded(one: Dataset, index: int) -> None:
        intercept_zero(one, index)
        pixels = values(one).copy()
        pixels[20:24, 20:24] = 0
        pixels[:3] = 0
        stored(one, pixels)
        one.RescaleIntercept = 0
        one.add_new("PixelPaddingValue", "SS", 0)

    write_scan(tmp_path, Scan(), padded)
    volume = load_scan(tmp_path)
    assert np.all(volume.image.values[:, :3] == -1024)
    assert np.all(volume.image.values[20, 20:24, 20:24] == 0)


def test_numbers_beyond_the_scale_are_clipped(tmp_path: Path) -> None:
    def metal(one: Dataset, _index: int) -> None:
        pixels = values(one).copy()
        pixels[0, :2] = 32767, -32768
        stored(one, pixels)

    write_scan(tmp_path, Scan(), metal)
    volume = load_scan(tmp_path)
    assert volume.image.values[0, 0, :2].tolist() == [3071, -1024]


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless],
    ids=lambda uid: uid.name,
)
def test_transfer_syntaxes(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    def converted(one: Dataset, _index: int) -> None:
        if syntax == RLELossless:
            one.compress(RLELossless)
            return
        one.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            one.PixelData = values(one).byteswap().tobytes()

    write_scan(tmp_path, Scan(), converted)
    assert_shows_patient(load_scan(tmp_path).image)


@pytest.mark.parametrize("bare", [True, False], ids=["without preamble", "with preamble"])
def test_files_without_preamble(tmp_path: Path, bare: bool) -> None:
    write_scan(tmp_path)
    for path in tmp_path.iterdir():
        one = reread(path)
        del one.file_meta
        one.preamble = None if bare else b"\0" * 128
        one.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert_shows_patient(load_scan(tmp_path).image)


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless],
    ids=lambda uid: uid.name,
)  # fmt: skip
def test_enhanced_multi_frame(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    one = enhanced(Scan())
    if syntax == RLELossless:
        one.compress(RLELossless)
    one.file_meta.TransferSyntaxUID = syntax
    path = tmp_path / "enhanced.dcm"
    one.save_as(path, enforce_file_format=True)
    volume = load_scan(path)
    assert_shows_patient(volume.image)
    assert volume.series.slices == 40
    assert volume.sources == ((str(path.name), one.SOPInstanceUID),)


LOSSY = {"4.50": 70.0, "4.51": 40.0, "4.53": 40.0, "4.55": 40.0, "4.81": 1.0, "4.91": 5.0}
"""Largest difference in HU that these files were made with."""


def test_one_slice_in_fifteen_syntaxes(shared_data: Path, capfd) -> None:
    folder = shared_data / "dicom_oddities" / "transfer_syntaxes"
    truth = hu_of(folder / "CTImage.dcm")
    paths = sorted(folder.glob("CTImage.dcm_*"))
    assert len(paths) == 15
    for path in paths:
        syntax = path.name.removesuffix(".dcm").rpartition("1.2.840.10008.1.2")[2].lstrip(".")
        allowed = LOSSY.get(syntax, 0.0)
        off = np.abs(hu_of(path) - truth.astype(int)).max()
        assert off <= allowed, f"{path.name}: {off} HU"
    assert capfd.readouterr().err == "", "decoders must not chatter"


def test_gdcm_by_itself_gives_the_same_numbers(
    tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The container images have it in SimpleITK's place."""
    found = find_spec("gdcm")
    if found is None or found.origin is None:
        pytest.skip("needs python-gdcm")
    for name in ("gdcm.py", "_gdcm", "python_gdcm.libs"):
        (tmp_path / name).symlink_to(Path(found.origin).parent / name)
    paths = sorted((shared_data / "dicom_oddities" / "transfer_syntaxes").glob("CTImage.dcm_*"))
    with decoders.decoders():
        ours = [hu_of(path) for path in paths]
    monkeypatch.setattr(decoders, "_packages", lambda: str(tmp_path))
    with decoders.decoders():
        for path, hu in zip(paths, ours, strict=True):
            assert np.array_equal(hu_of(path), hu), path.name


def hu_of(path: Path) -> np.ndarray:
    found = read_header(Source(path, path.name))
    assert isinstance(found, tuple)
    hu = np.empty((found[0].rows, found[0].columns), np.int16)
    assert read_into([(found[0], hu)], CT) == []
    return hu
