"""Headers and geometry at random: the scan is the one that the truth makes, or it is refused."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, reject
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from tests.examples import examples
from tests.hostile.corpus.case import nonsense_is_written
from tests.hostile.corpus.edits import raw
from tests.hostile.judge import sentence_faults
from tests.inputs.world import Scan, assert_shows_patient, write_scan
from vfx_edge.errors import InputError
from vfx_edge.inputs import load_scan

AXES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
FEW = examples(40, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("property")
    yield made / "ct"
    shutil.rmtree(made)


@st.composite
def scans(draw: st.DrawFn) -> Scan:
    """Slices along any axis, in either direction of row and column, with some missing."""
    row, column, normal = draw(st.permutations(AXES))
    signs = [draw(st.sampled_from((1.0, -1.0))) for _ in range(3)]
    step = draw(st.floats(2.0, 5.0)) * signs[2]
    missing = draw(st.sets(st.integers(1, 28), max_size=2))
    return Scan(
        row=tuple(signs[0] * v for v in row),
        column=tuple(signs[1] * v for v in column),
        step=tuple(step * v for v in normal),
        centre=tuple(draw(st.floats(-20.0, 20.0)) for _ in range(3)),
        rows=32,
        columns=36,
        rows_mm=draw(st.floats(3.0, 4.0)),
        columns_mm=draw(st.floats(3.0, 4.0)),
        places=tuple(float(n) for n in range(30) if n not in missing),
    )


@FEW
@given(scan=scans(), seed=st.integers(0, 99))
def test_any_geometry_and_order_shows_the_patient(scan: Scan, seed: int, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    numbers = list(range(len(scan.places)))
    random.Random(seed).shuffle(numbers)

    def misnumbered(one: Dataset, index: int) -> None:
        one.InstanceNumber, one.SliceLocation = numbers[index] + 1, numbers[index]

    write_scan(folder, scan, misnumbered)
    # between slices the patient is not straight: what lies in a gap is only near the truth
    whole = len(scan.places) == 30
    assert_shows_patient(load_scan(folder).image, tolerance_hu=1.0 if whole else 120.0)


NUMBERS = st.one_of(
    st.floats().map(repr),
    st.integers(-(2**40), 2**40).map(str),
    st.sampled_from(("", " ", "1,5", "1\\2", "1e999", "--1", "0x10", "١٢", "1 2", "nan", "-0")),
)
ELEMENTS = (
    *("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope"),
    *("RescaleIntercept", "SliceThickness", "InstanceNumber", "AcquisitionNumber"),
    *("BitsStored", "NumberOfFrames", "SamplesPerPixel"),
)
SMALL = Scan(
    places=tuple(range(8)), rows=20, columns=20, rows_mm=6.0, columns_mm=6.0, step=(0, 0, 8)
)


@FEW
@given(
    element=st.sampled_from(ELEMENTS),
    values=st.lists(NUMBERS, min_size=1, max_size=6),
    kind=st.sampled_from((None, "DS", "IS", "LO", "UT", "UN")),
    every=st.booleans(),
)
def test_any_number_in_a_header_is_read_or_refused_in_a_sentence(
    element: str, values: list[str], kind: str | None, every: bool, folder: Path
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    spoil = raw(element, "\\".join(values).encode(), kind)
    try:
        with nonsense_is_written():
            write_scan(folder, SMALL, lambda one, i: spoil(one, i) if every or i == 4 else None)
    except OverflowError:  # pydicom can't write an infinite whole number
        reject()
    try:
        image = load_scan(folder).image
    except InputError as error:
        assert sentence_faults(str(error)) == []  # noqa: PT017  either is right
        return
    assert image.values.size
    assert abs(float(image.affine_zyx_to_lps[3, 3])) == 1.0
