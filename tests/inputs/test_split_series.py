"""One scan that only bookkeeping divides is read as one; what is a scan by itself stays by itself;
whatever of the series is not read is said."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.examples import examples
from tests.inputs.world import Edit, Scan, only, put, write_scan
from tests.second_reader import assert_reads, plain_slices
from vfx_edge.errors import InputError
from vfx_edge.inputs import load_scan

SCAN = Scan(places=tuple(range(20)), rows=18, columns=20, rows_mm=6.0, columns_mm=6.0)
AXIAL = ["ORIGINAL", "PRIMARY", "AXIAL"]


def each(keyword: str, *values: object, half: bool = False) -> Edit:
    """Values by turns, or the first for the lower half."""

    def edit(one: Dataset, index: int) -> None:
        at = int(index >= 10) if half else index % len(values)
        put(**{keyword: values[at]})(one, index)

    return edit


def own_uid(*keywords: str) -> Edit:
    return lambda one, index: put(**{k: generate_uid() for k in keywords})(one, index)


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (own_uid("FrameOfReferenceUID"), "FrameOfReferenceUID"),
        (each("FrameOfReferenceUID", "1.2.3", "1.2.4"), "FrameOfReferenceUID"),
        (each("FrameOfReferenceUID", "1.2.3", None), "FrameOfReferenceUID"),
        (own_uid("SeriesInstanceUID"), "SeriesInstanceUID"),
        (own_uid("SeriesInstanceUID", "FrameOfReferenceUID"), "SeriesInstanceUID, FrameOf"),
        (each("ImageType", AXIAL, [*AXIAL, "HELIX"], half=True), "ImageType"),
        (each("ImageType", AXIAL, ["DERIVED", *AXIAL[1:]]), "ImageType"),
        (each("ImageType", AXIAL, None), "ImageType"),
        (each("ConvolutionKernel", "STANDARD", "STANDARD PLUS", half=True), "ConvolutionKernel"),
        (each("ConvolutionKernel", "STANDARD", "STANDARD", None), "ConvolutionKernel"),
        (each("ConvolutionKernel", "Br40d", ["Br40d", "3"]), "ConvolutionKernel"),
        (each("PixelSpacing", ["5.9765", "5.9765"], ["5.9764999", "5.9764999"]), ""),
        (each("PixelSpacing", ["5.976562", "5.976562"], ["5.9766", "5.9766"]), ""),
        (each("ImageOrientationPatient", [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 1, "1e-9"]), ""),
        (each("AcquisitionNumber", 1, 2, half=True), ""),
        (each("SliceThickness", 3, "3.0000001"), ""),
        (put(SOPInstanceUID="1.2.3"), ""),
    ],
)
def test_bookkeeping_divides_no_scan(tmp_path: Path, edit: Edit, named: str) -> None:
    write_scan(tmp_path, SCAN, edit)
    scan = load_scan(tmp_path)
    assert_reads(scan, plain_slices(tmp_path))
    assert scan.series.others == ()
    assert [named in note for note in scan.series.warnings] == [True] * bool(named)


@examples(6, suppress_health_check=list(HealthCheck))
@given(st.lists(st.floats(5.9996, 6.0004), min_size=20, max_size=20))
def test_rounding_has_no_edge(spacings: list[float]) -> None:
    """Less than an eighth of a pixel over a whole slice."""
    values = [[f"{s:.7f}"] * 2 for s in spacings]
    with TemporaryDirectory() as at:
        write_scan(Path(at), SCAN, each("PixelSpacing", *values))
        assert load_scan(Path(at)).series.slices == 20


@pytest.mark.parametrize(
    ("keyword", "values"),
    [("ConvolutionKernel", ("Br40", "Br64")), ("ImageType", (AXIAL, [*AXIAL, "B"])),
     ("FrameOfReferenceUID", ("1.2.3", "1.2.4"))],
)  # fmt: skip
def test_a_second_reconstruction_stays_one_of_its_own(tmp_path: Path, keyword, values) -> None:
    first = write_scan(tmp_path / "a", SCAN, put(**{keyword: values[0]}))[0]
    same = {k: first[k].value for k in ("StudyInstanceUID", "SeriesInstanceUID")}
    write_scan(tmp_path / "b", SCAN, put(**{"FrameOfReferenceUID": first.FrameOfReferenceUID,
                                            keyword: values[1], **same}))  # fmt: skip
    scan = load_scan(tmp_path)
    assert_reads(scan, plain_slices(tmp_path / "a"))
    assert f"told apart by {keyword}" in only(scan.series.warnings, "20 image(s)")


@pytest.mark.parametrize(
    ("other", "edit", "why"),
    [
        (Scan(places=tuple(range(12)), rows=20, columns=20, rows_mm=6, columns_mm=6), put(),
         "shows less of the body"),
        (Scan(places=(0,), rows=18, columns=20, rows_mm=6, columns_mm=6, centre=(0, 0, 99)), put(),
         "a single slice"),
        (SCAN, put(RescaleSlope=0), "slope or intercept makes no sense"),
        (SCAN, put(ImagePositionPatient=None), "without a usable position"),
    ],
)  # fmt: skip
def test_what_is_left_out_of_the_series_is_said(tmp_path: Path, other: Scan, edit, why) -> None:
    first = write_scan(tmp_path / "a", SCAN)[0]
    same = {k: first[k].value for k in
            ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}  # fmt: skip
    write_scan(tmp_path / "b", other, put(**same), edit)
    scan = load_scan(tmp_path)
    assert_reads(scan, plain_slices(tmp_path / "a"))
    assert f"{len(other.places)} " in only(scan.series.warnings, why)


@pytest.mark.parametrize(
    ("edit", "unread"),
    [
        (each("SeriesInstanceUID", "1.2.3", "1.2.4"), 10),
        (each("SeriesInstanceUID", "1.2.3", "1.2.4", half=True), 10),
        (each("SeriesInstanceUID", "1.2.3", "1.2.3", None), 6),
    ],
)
def test_pieces_under_other_series_uids_are_said(tmp_path: Path, edit: Edit, unread: int) -> None:
    write_scan(tmp_path, SCAN, edit)
    assert f"{unread} image(s)" in only(load_scan(tmp_path).series.warnings, "on the same grid")


def test_a_series_of_each_slice_is_asked_for_by_any_of_them(tmp_path: Path) -> None:
    uid = write_scan(tmp_path, SCAN, own_uid("SeriesInstanceUID"))[7].SeriesInstanceUID
    assert load_scan(tmp_path, series_uid=uid).series.slices == 20


def test_series_of_single_slices_that_make_no_scan_are_refused(tmp_path: Path) -> None:
    places = (0, 1, 3.3, 4.1, 9, 9.4, 17)
    write_scan(tmp_path, Scan(places=places), own_uid("SeriesInstanceUID"))
    with pytest.raises(InputError, match=r"a single slice \(7 images"):
        load_scan(tmp_path)
