"""Files that lie, are broken, or mean harm: an InputError of one sentence, or the right volume."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLossless, JPEGLSLossless, MRImageStorage, RLELossless

from tests.examples import examples
from tests.inputs.world import Edit, Scan, assert_shows_patient, only, put, write_scan
from vfx_edge.errors import InputError
from vfx_edge.inputs import load_scan

SCAN = Scan(places=tuple(range(20)), rows=32, columns=36, rows_mm=4.0, columns_mm=4.0)


@pytest.fixture(autouse=True)
def nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr() == ("", "")


def patched(folder: Path, old: bytes, new: bytes) -> None:
    """Replaces bytes of the same length in every file: pydicom refuses to write such values."""
    assert len(old) == len(new)
    for path in folder.iterdir():
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new))


def assert_refused(path: Path, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        load_scan(path)
    sentence = str(caught.value)
    assert caught.value.exit_code == 3
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert ":" in sentence, "a sentence ends in what to do"
    for secret in ("Doe", "SECRET", "Jane"):
        assert secret not in sentence


def no_pixels(one: Dataset, _index: int) -> None:
    del one.PixelData


def float_pixels(one: Dataset, _index: int) -> None:
    del one.PixelData
    one.FloatPixelData = bytes(4 * one.Rows * one.Columns)
    one.BitsAllocated = 32


def code_stream(syntax, code: bytes) -> Edit:
    def edit(one: Dataset, _index: int) -> None:
        one.file_meta.TransferSyntaxUID = syntax
        one.PixelData = encapsulate([code])
        one["PixelData"].VR = "OB"

    return edit


JPEG2000_BOMB = bytes.fromhex(
    "ff4fff51002f0000 0000f000 0000f000 00000000 00000000 0000f000 0000f000"
    "00000000 00000000 0003 0f0101 0f0101 0f0101"
    "ff52000c00000001000504040001 ff5c0013 40404848504848504848504848504848 50"
    "ff90000a0000 00000000 0001 ff93 ffd9".replace(" ", "")
)


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (put(Rows=65535), "an image of a size no CT has"),
        (put(Rows=0), "an image of a size no CT has"),
        (put(Columns=None), "an image of a size no CT has"),
        (put(Rows=4000, Columns=4000), "a truncated file"),
        (put(NumberOfFrames=7), "damaged"),
        (put(BitsAllocated=12), "bit depth makes no sense"),
        (put(BitsStored=77), "bit depth makes no sense"),
        (put(HighBit=3), "bit depth makes no sense"),
        (put(RescaleSlope=0), "slope or intercept makes no sense"),
        (put(RescaleSlope=-1), "slope or intercept makes no sense"),
        (put(RescaleSlope="1e30"), "slope or intercept makes no sense"),
        (put(RescaleIntercept="1e30"), "slope or intercept makes no sense"),
        (put(RescaleIntercept=0), "rescale intercept is missing"),
        (put(RescaleIntercept=-30000), "every voxel is -1024"),
        (put(RescaleType="Z_EFF"), "not in Hounsfield units"),
        (put(PixelSpacing=None), "without pixel spacing"),
        (put(PixelSpacing=[0, 0]), "pixel spacing makes no sense"),
        (put(PixelSpacing=[-1, 1]), "pixel spacing makes no sense"),
        (put(PixelSpacing=[1e6, 1]), "pixel spacing makes no sense"),
        (put(ImagePositionPatient=None), "without a usable position"),
        (put(ImagePositionPatient=["1e9", 0, 0]), "without a usable position"),
        (put(ImageOrientationPatient=None), "without a usable orientation"),
        (put(ImageOrientationPatient=[0] * 6), "without a usable orientation"),
        (put(ImageOrientationPatient=[3, 0, 0, 0, 3, 0]), "without a usable orientation"),
        (put(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), "without a usable orientation"),
        (put(ImagePositionPatient=[0, 0, 0]), "several scans of the same place"),
        (put(Modality="MR", SOPClassUID=MRImageStorage), "of modality MR, not CT"),
        (put(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), "secondary capture"),
        (put(SOPClassUID=MRImageStorage), "not a CT image, though its modality says CT"),
        (put(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "scout"),
        (put(ImageType=["DERIVED", "SECONDARY", "MIP"]), "projection"),
        (put(PhotometricInterpretation="RGB", SamplesPerPixel=3), "colour picture"),
        (no_pixels, "without pixel data"),
        (float_pixels, "floating-point pixels"),
        (code_stream("1.2.840.10008.1.2.4.100", b"mpeg"), "can't be read here .1.2.840.10008.1"),
        (code_stream(JPEGLossless, b"\xff\xd8\xff\xc3garbage\xff\xd9"), "can't be decoded"),
        (code_stream(JPEGLSLossless, b"\xff\xd8\xff\xf7garbage\xff\xd9"), "can't be decoded"),
        (code_stream(JPEG2000Lossless, b"\xff\x4f\xff\x51garbage"), "can't be decoded"),
        (code_stream(JPEG2000Lossless, JPEG2000_BOMB), "can't be decoded"),
        (code_stream(RLELossless, b"\x01\0\0\0\x40\0\0\0" + bytes(56)), "can't be decoded"),
        (code_stream(RLELossless, b"\0\0"), "can't be decoded"),
    ],
)
def test_a_series_of_nonsense_is_refused_by_name(tmp_path: Path, edit: Edit, match: str) -> None:
    write_scan(tmp_path, SCAN, edit)
    assert_refused(tmp_path, match)


@pytest.mark.parametrize(
    ("edit", "old", "new", "match"),
    [
        (put(RescaleSlope="1.1111"), b"1.1111", b"abcdef", "slope or intercept makes no sense"),
        (put(RescaleIntercept="-1024.11"), b"-1024.11", b"     nan", "slope or intercept"),
        (put(ImagePositionPatient=["1.1111", "2", "3"]), b"1.1111", b"nannan", "usable position"),
        (put(ImagePositionPatient=["1.1111", "2", "3"]), b"1.1111", b"   inf", "usable position"),
        (put(Modality="ABCDEF"), b"ABCDEF", b"{0.A} ", "of an unknown modality, not CT"),
        (put(PixelSpacing=["1.1111", "1.1"]), b"1.1111\\1.1", b"1.1111    ", "pixel spacing"),
    ],
)
def test_numbers_that_are_none(tmp_path: Path, edit: Edit, old, new, match: str) -> None:
    write_scan(tmp_path, SCAN, edit)
    patched(tmp_path, old, new)
    assert_refused(tmp_path, match)


def test_cosines_that_are_a_little_off_are_mended(tmp_path: Path) -> None:
    scaled = put(ImageOrientationPatient=["1.002", "0", "0.0002", "0.0004", "0.998", "0"])
    write_scan(tmp_path, SCAN, scaled)
    assert_shows_patient(load_scan(tmp_path).image, tolerance_hu=5)


@pytest.mark.parametrize("share", [0.999, 0.6, 0.3, 0.1])
def test_truncated_files_are_refused(tmp_path: Path, share: float) -> None:
    write_scan(tmp_path, SCAN)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert_refused(tmp_path, "truncated|damaged|without pixel data|bit depth|size no CT")


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "RLE"])
def test_one_truncated_slice_is_bridged_and_said(tmp_path: Path, compress: bool) -> None:
    def packed(one: Dataset, _index: int) -> None:
        if compress:
            one.compress(RLELossless)

    write_scan(tmp_path, Scan(step=(0, 0, 2)), packed)
    victim = sorted(tmp_path.iterdir())[13]
    victim.write_bytes(victim.read_bytes()[:-900])
    volume = load_scan(tmp_path)
    assert volume.image.values.shape[0] == 40
    assert only(volume.series.warnings, "left out")
    assert only(volume.series.warnings, "missing")
    assert_shows_patient(volume.image, tolerance_hu=30)


def test_a_folder_of_nothing(tmp_path: Path) -> None:
    assert_refused(tmp_path, "no DICOM file is there")
    for name in ("a.dcm", "b", "DICOMDIR"):
        (tmp_path / name).write_bytes(b"")
    assert_refused(tmp_path, "none of its 3 files is DICOM")
    (tmp_path / "text.dcm").write_text("Dear colleague,\n" * 100)
    assert_refused(tmp_path, "none of its 4 files is DICOM")
    (tmp_path / "stump.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 50)
    assert_refused(tmp_path, "none of its 5 files is DICOM|damaged")


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    assert_refused(tmp_path / "gone", "does not exist")
    assert_refused(tmp_path / "gone\0", "does not exist|can't be read")
    assert_refused(tmp_path / ("long" * 2000), "can't be read|does not exist")


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scan(tmp_path / "ct", SCAN)
    (tmp_path / "locked").mkdir()
    listing = os.scandir

    def denied(closed: Path) -> Callable[[object], object]:
        def scandir(folder: object) -> object:
            if folder == closed:
                raise PermissionError(13, "Permission denied")
            return listing(folder)  # type: ignore[call-overload]

        return scandir

    monkeypatch.setattr(os, "scandir", denied(tmp_path / "locked"))
    assert only(load_scan(tmp_path).series.warnings, "1 folder(s) of the input could not be opened")
    monkeypatch.setattr(os, "scandir", denied(tmp_path))
    assert_refused(tmp_path, "Permission denied")


BYTES = st.lists(st.tuples(st.integers(132, 1500), st.integers(0, 255)), min_size=1, max_size=12)


@examples(80, suppress_health_check=list(HealthCheck))
@given(changes=BYTES, files=st.sampled_from([1, 20]), cut=st.integers(0, 3000))
def test_random_damage_never_gets_past_the_error_tree(
    template: list[bytes], changes: list[tuple[int, int]], files: int, cut: int
) -> None:
    with TemporaryDirectory() as folder:
        for number, data in enumerate(template):
            damaged = bytearray(data)
            if number < files:
                for at, value in changes:
                    damaged[at % len(damaged)] = value
                damaged = damaged[: len(damaged) - (cut if cut < 800 else 0)]
            (Path(folder) / str(number)).write_bytes(damaged)
        with contextlib.suppress(InputError):
            volume = load_scan(Path(folder))
            assert np.isfinite(volume.image.affine_zyx_to_lps).all()
            assert abs(np.linalg.det(volume.image.affine_zyx_to_lps)) > 1e-3


@pytest.fixture(scope="module", params=["plain", "RLE"])
def template(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[bytes]:
    def packed(one: Dataset, _index: int) -> None:
        if request.param == "RLE":
            one.compress(RLELossless)

    folder = tmp_path_factory.mktemp("template")
    write_scan(folder, SCAN, packed)
    return [path.read_bytes() for path in sorted(folder.iterdir())]
