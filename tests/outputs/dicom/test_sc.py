"""Secondary captures read back: of the study, marked as what they are, no side swapped."""

import shutil
import subprocess
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageColor, ImageDraw

from tests.inputs.world import put, write_scan
from tests.outputs.fakes import LEVELS, RUN, example
from tests.outputs.page import outline_points
from vfx_edge.errors import OutputError
from vfx_edge.inputs import load_scan
from vfx_edge.inputs.source import read_source
from vfx_edge.outputs.dicom import raster
from vfx_edge.outputs.dicom.captures import captures, notice
from vfx_edge.outputs.dicom.raster import paint
from vfx_edge.outputs.dicom.sc import write_sc
from vfx_edge.outputs.report.colours import AMBER, OF_STATUS, PAPER
from vfx_edge.outputs.report.page import render_report
from vfx_edge.outputs.report.pictures import crop_pictures, spine_pictures
from vfx_edge.outputs.vertebra_status import Status
from vfx_edge.outputs.wording import Wording
from vfx_edge.study import Analysis, DicomSource, Level

NAMES = ["01-overview.dcm", "02-T10.dcm", "03-T8.dcm", "04-T12.dcm", "05-L2.dcm"]
PIXELS_PER_MM = 2.0
RED = ImageColor.getrgb(OF_STATUS[Status.MALIGNANT])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DicomSource:
    folder = tmp_path_factory.mktemp("ct")
    write_scan(folder, None, put(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Zoë"))
    return read_source(folder, load_scan(folder))


def test_one_series_of_the_study_that_names_its_source(source: DicomSource, tmp_path: Path) -> None:
    paths = write_sc(example(), source, tmp_path / "sc", "de")
    assert [path.name for path in paths] == NAMES
    images = [pydicom.dcmread(path) for path in paths]
    assert [image.InstanceNumber for image in images] == [1, 2, 3, 4, 5]
    assert len({image.SeriesInstanceUID for image in images}) == 1
    assert len({image.SOPInstanceUID for image in images}) == len(images)
    for image in images:
        for keyword in ("StudyInstanceUID", "PatientName", "PatientID", "PatientBirthDate"):
            assert image[keyword].value == source.first[keyword].value
        assert image.SeriesInstanceUID != source.first.SeriesInstanceUID
        assert (image.SeriesDescription, image.Modality) == ("vfx-edge SC", "OT")
        assert (image.BurnedInAnnotation, image.PhotometricInterpretation) == ("YES", "RGB")
        named = [item.ReferencedSOPInstanceUID for item in image.SourceImageSequence]
        assert named == [header.SOPInstanceUID for header in source.instances]
    drawn = captures(example(), "de")
    for image, page in zip(images, drawn, strict=True):
        np.testing.assert_array_equal(image.pixel_array, page.pixels)
    if shutil.which("dciodvfy"):
        for path in paths:
            done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
            said = (done.stdout + done.stderr).splitlines()
            assert "SCImage" in said
            assert not [line for line in said if "Error" in line], said


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("demonstration", {"en": "DEMONSTRATION", "de": "DEMONSTRATION"}),
        ("clinical", {"en": "not for primary diagnosis", "de": "nicht zur Primärdiagnose"}),
        ("trial 7", {"en": "not cleared for clinical use (trial 7)", "de": "(trial 7)"}),
    ],
)
def test_every_picture_says_at_both_ends_what_it_is(
    use: str, words: dict[str, str], language: str
) -> None:
    result = replace(example().result, run=replace(RUN, intended_use=use))
    said = notice(use, Wording(language))
    assert words[language] in said
    for page in captures(replace(example(), result=result), language):
        amber = (page.pixels == ImageColor.getrgb(AMBER)).all(axis=2).mean(axis=1) > 0.3
        ends = np.flatnonzero(np.diff(amber.astype(int)))
        for band in (page.pixels[: ends[0] + 1], page.pixels[ends[-1] + 1 :]):
            assert _written(band, said), page.name


def _written(band: np.ndarray, words: str) -> bool:
    """Whether the words stand in the band, whatever their size."""
    rows, columns = band.shape[:2]
    ink = np.abs(band.astype(int) - ImageColor.getrgb(PAPER)).sum(axis=2) < 60
    for size in range(25, 7, -1):
        wanted = Image.new("L", (columns, rows), 255)
        letters = raster.font(size)
        ImageDraw.Draw(wanted).text((columns / 2, (rows - 1) / 2), words, 0, letters, "mm")
        dark = np.asarray(wanted) < 60
        if dark.any() and (dark & ink).sum() / (dark | ink).sum() > 0.8:
            return True
    return False


def test_sides_and_levels_are_where_the_letters_say() -> None:
    """The made-up patient's left is brighter; the arch lies behind the body; names go downwards."""
    sagittal, coronal = spine_pictures(example())
    front = np.asarray(paint(coronal, PIXELS_PER_MM).convert("L"), dtype=float)
    assert np.median(front[:, -20:-10]) > np.median(front[:, 10:20]) + 2
    assert coronal.marks[:2] == ("R", "L")
    side = np.asarray(paint(sagittal, PIXELS_PER_MM)).astype(int)
    red = np.abs(side - RED).sum(axis=2) < 40
    tag = next(tag for tag in sagittal.tags if tag.text == "T10")
    rows, columns = np.nonzero(red[:, round((tag.left + tag.width + 1) * PIXELS_PER_MM) :])
    columns = columns + round((tag.left + tag.width + 1) * PIXELS_PER_MM)
    # body and arch of T10 alone, the arch to the right: posterior
    assert np.abs(rows / PIXELS_PER_MM - tag.y).max() < 20
    assert columns.max() - columns.min() > 2 * PIXELS_PER_MM * 25
    assert [t.text for t in sorted(sagittal.tags, key=lambda t: t.y)] == [*map(str, LEVELS)]


def test_outlines_enclose_the_bright_bodies() -> None:
    finding = next(f for f in example().result.findings if f.vertebra.level is Level.T10)
    for picture in crop_pictures(example(), finding):
        painted = np.asarray(paint(picture, PIXELS_PER_MM)).astype(int)
        body = next(s for s in picture.strokes if s.kind == "marked s-malignant body")
        (line,) = outline_points(body.path)
        low, high = line.min(0), line.max(0)
        step = picture.width_mm / picture.gray.shape[1]
        middle = picture.gray[round((low[1] + high[1]) / 2 / step)]
        bright = np.flatnonzero(middle > middle.max() - 10) * step
        assert (bright.min(), bright.max()) == pytest.approx((low[0], high[0]), abs=2.5)
        red = np.abs(painted - RED).sum(axis=2) < 60
        across = np.flatnonzero(red[round((low[1] + high[1]) / 2 * PIXELS_PER_MM)])
        assert across.min() / PIXELS_PER_MM == pytest.approx(low[0], abs=1)
        assert any(x / PIXELS_PER_MM == pytest.approx(high[0], abs=1) for x in across)


def test_colours_are_those_of_the_page() -> None:
    page = render_report(example())
    assert all(f"--{status}: {colour};" in page for status, colour in OF_STATUS.items())


def test_without_its_font_umlauts_are_spelt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with_font = captures(example(), "de")[0].pixels
    monkeypatch.setattr(raster, "_font_file", lambda: None)
    raster.font.cache_clear()
    try:
        assert raster.writable("Primärdiagnose – groß") == "Primaerdiagnose - gross"
        without = captures(example(), "de")[0].pixels
    finally:
        raster.font.cache_clear()
    assert without.shape[1] == with_font.shape[1]


def test_pictures_of_an_earlier_run_do_not_stay(source: DicomSource, tmp_path: Path) -> None:
    folder = tmp_path / "sc"
    write_sc(example(), source, folder)
    (folder / "mine.dcm").write_bytes(b"")
    triage = replace(example().result.triage, levels=())
    quiet = replace(example().result, findings=example().result.findings[:1], triage=triage)
    calm = Analysis(quiet, example().scan, example().masks[:1])
    assert [path.name for path in write_sc(calm, source, folder)] == NAMES[:1]
    assert sorted(file.name for file in folder.iterdir()) == ["01-overview.dcm", "mine.dcm"]


def test_nothing_is_left_of_what_can_not_be_made(source: DicomSource, tmp_path: Path) -> None:
    header = deepcopy(source.first)
    header.SOPClassUID = "1.2.3.4"
    with pytest.raises(OutputError, match=r"leave sc out of --outputs\.$"):
        write_sc(example(), DicomSource((header,)), tmp_path / "sc")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a file is in the way"):
        write_sc(example(), source, tmp_path / "file")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_no_text_of_the_header_is_painted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    real = ImageDraw.ImageDraw.text

    def text(self: ImageDraw.ImageDraw, xy: object, words: str, *more: object) -> None:
        written.append(words)
        real(self, xy, words, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    write_scan(tmp_path, None, put(
        PatientName="Meier^Li", SeriesDescription="CT_MEIER_1.0 Li", ConvolutionKernel="B31f Meier",
        StudyDescription="Meier", ProtocolName="Meier", StationName="Meier",
    ))  # fmt: skip
    analysis = example()
    series = load_scan(tmp_path).series
    captures(replace(analysis, result=replace(analysis.result, series=series)), "en")
    assert any("CT 1.0" in words for words in written)
    assert not [words for words in written if "meier" in words.lower() or " Li" in words]
