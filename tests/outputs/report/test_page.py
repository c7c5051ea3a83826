"""The report says what the result says, in words that people read, and asks nobody for anything."""

import base64
import io
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tests.outputs.fakes import (
    EXAMPLE_CASES,
    LEVELS,
    MALIGNANT,
    OSTEOPOROTIC,
    RECOMMENDATION,
    RUN,
    SERIES,
    analysis_of,
    curved_centres,
    ellipsoid_volume,
    example,
    finding_of,
    tilted,
)
from tests.outputs.page import Page
from vfx_edge.errors import OutputError
from vfx_edge.image import Image as Volume
from vfx_edge.outputs import write_report
from vfx_edge.outputs.report.page import render_report
from vfx_edge.outputs.report.pictures import crop_pictures, spine_pictures
from vfx_edge.study import Analysis, Coverage, Level, NotClassified, Scan, Tier, Triage


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return example()


@pytest.fixture(scope="module")
def page(analysis: Analysis) -> Page:
    return Page(render_report(analysis))


def _with_run(analysis: Analysis, **changes: object) -> Analysis:
    run = replace(RUN, **changes)
    return replace(analysis, result=replace(analysis.result, run=run))


def test_the_verdict_comes_first(page: Page) -> None:
    assert page.of("html")[0]["lang"] == "en"
    assert page.text.index("Malignant fracture suspected") < 250
    assert RECOMMENDATION in page.text
    assert next(tag for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)) == "h1"


def test_a_demonstration_model_says_so(analysis: Analysis) -> None:
    for language, words in (
        ("en", "Demonstration model — not for diagnosis"),
        ("de", "Demonstrationsmodell — nicht zur Diagnose"),
    ):
        assert words in Page(render_report(analysis, language)).text
    odd = Page(render_report(_with_run(analysis, intended_use="somewhere")))
    assert "Not cleared for clinical use (somewhere) — not for diagnosis" in odd.text
    clinical = render_report(_with_run(analysis, intended_use="clinical"))
    assert "not for diagnosis" not in clinical


def test_german(analysis: Analysis) -> None:
    page = Page(render_report(analysis, "de"))
    assert page.of("html")[0]["lang"] == "de"
    for words in (
        "Verdacht auf maligne Fraktur",
        "dringend ansehen",
        "vom Bildrand abgeschnitten",
        "Wirbelkörperhöhe, mm",
        "Schwelle 0,85",
        "Höhenverlust 38 %",
    ):
        assert words in page.text
    assert "Urgent" not in page.text
    assert "certain" not in page.text


@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize("language", ["en", "de"])
def test_every_verdict(analysis: Analysis, tier: Tier, language: str) -> None:
    triage = Triage(tier, "Do this.", ())
    changed = replace(analysis, result=replace(analysis.result, triage=triage))
    page = Page(render_report(changed, language))
    # The verdict and its levels say it all where nothing is suspected.
    shown = language == "en" and tier is not Tier.NONE_SUSPECTED
    assert ("Do this." in page.text) == shown
    # Fractures are suspected, if not at the levels asked for: no green tick then.
    sign = "suspected" if tier is Tier.NONE_SUSPECTED else tier
    assert f"verdict s-{sign}" in [section.get("class") for section in page.of("section")]


def test_a_green_tick_only_where_nothing_is_suspected_anywhere(analysis: Analysis) -> None:
    fine = [f for f in analysis.result.findings if f.measurement.suspected_fracture is False]
    triage = Triage(Tier.NONE_SUSPECTED, "Do this.", ())
    result = replace(analysis.result, triage=triage, findings=tuple(fine))
    page = Page(render_report(replace(analysis, result=result)))
    assert fine
    assert "verdict s-none_suspected" in [section.get("class") for section in page.of("section")]


def test_levels_that_cannot_be_told_are_named_in_german_too(analysis: Analysis) -> None:
    unread = Coverage(unread=((Level.T9, "metal"),))
    cut = Coverage(cut=(Level.T9, Level.T10))
    for coverage, words in (
        (unread, "nicht zu erkennen (T9 nicht beurteilbar: Metall im oder am Wirbel)"),
        (cut, "ganz erfasst (der Bildrand schneidet T9–T10 an)"),
        (Coverage(), "Keiner der verlangten Wirbel ist ganz erfasst:"),
    ):
        triage = Triage(Tier.NOT_ASSESSABLE, "", (), coverage)
        changed = replace(analysis, result=replace(analysis.result, triage=triage))
        assert words in Page(render_report(changed, "de")).text


def test_a_card_for_every_suspected_vertebra_the_most_urgent_first(page: Page) -> None:
    cards = [a["id"] for a in page.of("article")]
    assert cards == ["card-T10", "card-T8", "card-T12", "card-L2"]
    crops = [a for a in page.of("svg") if a.get("class") == "ct crop"]
    assert len(crops) == 12
    assert "Fracture suspected, cause not classified: level outside the model's range" in page.text
    for words in ("Height loss 38 %", "Genant grade 2", "threshold 0.85", "threshold 0.95", "0.94"):
        assert words in page.text


def _gray(data_uri: str) -> np.ndarray:
    stream = io.BytesIO(base64.b64decode(data_uri.partition(",")[2]))
    return np.asarray(Image.open(stream).convert("L"))


@pytest.mark.parametrize("degrees", [0.0, 30.0])
def test_crops_follow_the_vertebra_and_show_every_side_where_its_letter_stands(
    degrees: float,
) -> None:
    """Bright spots 30 mm to the left, behind and above, in the axes of a tilted vertebra."""
    centre = np.array([0.0, 0.0, 40.0])
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    own = {"L": (1, 0, 0), "P": (0, c, s), "H": (0, -s, c)}  # head leans forward
    volume = ellipsoid_volume({Level.T4: (0.0, 0.0, 40.0)}, (1.0, 1.0, 1.0))
    places = volume.to_lps(np.argwhere(np.ones(volume.values.shape))).reshape(
        *volume.values.shape, 3
    )
    hu = np.zeros(volume.values.shape, np.int16)
    for axis in own.values():
        hu[np.linalg.norm(places - centre - 30 * np.array(axis), axis=-1) < 5] = 1000
    finding = finding_of(Level.T4, (0.0, 0.0, 40.0), MALIGNANT)
    heights = finding.measurement.heights
    assert heights is not None
    turn = np.array([own["L"], own["P"], own["H"]]).T
    landmarks = tuple(
        tuple(tuple(turn @ (np.array(end) - centre) + centre) for end in line)
        for line in heights.landmarks_lps_mm
    )
    measured = replace(finding.measurement, heights=replace(heights, landmarks_lps_mm=landmarks))
    finding = replace(finding, measurement=measured)
    result = replace(example().result, findings=(finding,))
    scan = Volume(hu, volume.affine_zyx_to_lps.copy(), "CT", "HU")
    crops = {p.name: p for p in crop_pictures(Analysis(result, Scan(scan, SERIES), ()), finding)}
    seen = {"sagittal": "HP", "coronal": "HL", "axial": "LP"}
    for name, sides in seen.items():
        gray = _gray(crops[name].data_uri)
        spots, count = ndimage.label(gray > 128)
        found = np.array(ndimage.center_of_mass(gray > 128, spots, range(1, count + 1)))
        offsets = (found - (np.array(gray.shape) - 1) / 2) * crops[name].width_mm / gray.shape[1]
        tilt = np.array([[c, -s], [s, c]]) if name == "sagittal" else np.eye(2)
        expected = {"H": (-30, 0), "P": (30, 0) if name == "axial" else (0, 30), "L": (0, 30)}
        assert count == len(sides), name
        for side in sides:
            wanted = tilt @ np.array(expected[side])
            assert np.linalg.norm(offsets - wanted, axis=1).min() < 2.5, (name, side, offsets)


def test_what_could_not_be_assessed_is_said_with_its_reason(page: Page) -> None:
    assert "T6 – – – – – Cut off by the edge 97 %" in page.text
    assert "L5 metal in or beside the vertebra" in page.text


def test_beside_not_assessable_stands_what_could_be_assessed(analysis: Analysis) -> None:
    triage = Triage(Tier.NOT_ASSESSABLE, "Read the images.", (Level.L5,))
    changed = replace(analysis, result=replace(analysis.result, triage=triage))
    assert (
        "No fracture is suspected at T7, T9, T11, L1, L3–L4." in Page(render_report(changed)).text
    )
    assert "Kein Frakturverdacht an T7, T9, T11, L1, L3–L4." in (
        Page(render_report(changed, "de")).text
    )


def test_many_levels_are_named_as_stretches(analysis: Analysis) -> None:
    triage = Triage(Tier.NOT_ASSESSABLE, "Read the images.", tuple(LEVELS))
    changed = replace(analysis, result=replace(analysis.result, triage=triage))
    assert "Not assessable T6–L5 Read the images." in Page(render_report(changed)).text


def test_levels_not_found_are_shown_as_not_found(page: Page) -> None:
    words = [a.get("aria-label") for a in page.of("span") if a.get("aria-label")]
    assert words == [f"T{n}: Not found" for n in range(1, 6)]


def test_a_level_outside_the_models_range_is_not_examined_rather_than_normal() -> None:
    centres = curved_centres([Level.C6, Level.C7, Level.T1])
    outside = (NotClassified("level_outside_model_range"), None, None)
    cervical = {Level.C6: outside, Level.C7: outside}
    page = Page(render_report(analysis_of(ellipsoid_volume(centres), centres, cervical)))
    assert page.text.count("Not examined") == 2
    assert page.text.count("No fracture suspected") == 1


def test_a_doubtful_level_is_marked(analysis: Analysis) -> None:
    findings = tuple(
        replace(f, vertebra=replace(f.vertebra, label_probability=0.55))
        if f.vertebra.level is Level.T10
        else f
        for f in analysis.result.findings
    )
    changed = replace(analysis, result=replace(analysis.result, findings=findings))
    text = Page(render_report(changed)).text
    assert "The level itself is only 55 % certain: count again." in text
    assert "T10?" in text


def test_sides_are_marked(page: Page) -> None:
    for letters in ("A P H F", "R L H F", "R L A P"):
        assert letters in page.text


def test_small_print(page: Page) -> None:
    for words in (
        "openvino (asked for: auto)",
        "tensorrt: libnvinfer.so.10 was not found",
        "cuda: no NVIDIA driver",
        "locator-unet · 0123456789ab",
        "segment 3.31",
        "0.78 × 0.78 × 1.25 mm",
        "a scout: 2 images",
        "2 slices are missing",
        "does not replace reading the images",
        "1402 MiB",
    ):
        assert words in page.text, words


def test_the_page_is_self_contained(analysis: Analysis, page: Page) -> None:
    html = render_report(analysis)
    policy = next(a for a in page.of("meta") if a.get("http-equiv"))["content"]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert not page.of("script")
    assert "url(" not in html
    assert "@import" not in html
    links = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in {"href", "src", "action", "xlink:href", "srcset"} and value
    ]
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not re.search(r"https?://", re.sub(r"data:[^\"]+", "", html))


def test_anchors_lead_somewhere(page: Page) -> None:
    ids = {a["id"] for _, a in page.tags if "id" in a}
    targets = {a["href"] for tag, a in page.tags if tag in {"a", "use"}}
    assert all(target is not None and target[1:] in ids for target in targets)
    labels = {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a}
    assert labels <= ids


def test_pictures_have_words(page: Page) -> None:
    pictures = [a for a in page.of("svg") if "ct" in (a.get("class") or "").split()]
    assert len(pictures) == 2 + 12
    assert all(a.get("role") == "img" and a.get("aria-label") for a in pictures)
    assert pictures[0]["aria-label"] == "Sagittal view along the spine, T6–L5"


def test_words_from_outside_are_text_and_never_markup(analysis: Analysis) -> None:
    evil = "</style><script>alert(1)</script>\"'"
    series = replace(SERIES, description=evil, kernel=evil, warnings=(evil,))
    result = replace(
        analysis.result, series=series, run=replace(RUN, intended_use=evil, warnings=(evil,))
    )
    html = render_report(replace(analysis, result=result))
    assert not Page(html).of("script")
    assert evil in Page(html).text
    style = html[html.index("<style>") : html.index("</style>")]
    assert "<script>" not in style


def test_no_contours_without_masks(analysis: Analysis) -> None:
    page = Page(render_report(replace(analysis, masks=())))
    assert "No segmentation: contours are not shown." in page.text
    assert not [a for a in page.of("path") if "body" in (a.get("class") or "")]


def test_what_is_suspected_outside_the_levels_asked_for_is_said(analysis: Analysis) -> None:
    verdict = Triage(Tier.NONE_SUSPECTED, "Nothing at the levels looked at.", ())
    page = Page(render_report(replace(analysis, result=replace(analysis.result, triage=verdict))))
    suspected = [f for f in analysis.result.findings if f.measurement.suspected_fracture]
    assert suspected
    said = page.text.partition("Beyond the levels asked for, a fracture is suspected at ")[
        2
    ].partition(".")[0]
    assert all(finding.vertebra.level.value in said for finding in suspected)


def test_no_vertebra_at_all(analysis: Analysis) -> None:
    result = replace(
        analysis.result,
        findings=(),
        triage=Triage(Tier.NOT_ASSESSABLE, "Read the images.", ()),
    )
    page = Page(render_report(replace(analysis, result=result, masks=())))
    assert "No vertebra was found." in page.text
    assert "No vertebra with a suspected fracture." not in page.text  # none could be assessed
    assert not page.of("table")


@pytest.mark.parametrize("spacing", [(4.25, 0.98, 0.98), (1.0, 0.8, 0.8)])
@pytest.mark.parametrize("degrees", [0.0, 12.0])
def test_one_vertebra_in_any_scan(
    spacing: tuple[float, float, float], degrees: float, tmp_path: Path
) -> None:
    centres = {Level.L1: (0.0, 0.0, 40.0)}
    volume = ellipsoid_volume(centres, spacing)
    volume = Volume(volume.values, tilted(volume.affine_zyx_to_lps, degrees), "CT", "HU")
    path = write_report(analysis_of(volume, centres, {Level.L1: MALIGNANT}), tmp_path / "r.html")
    assert Page(path.read_text(encoding="utf-8")).of("article")


def test_a_sliver_at_the_end_of_the_scan_does_not_bend_the_view(analysis: Analysis) -> None:
    """Of a vertebra cut away but for its arch, the centroid lies far behind the bodies."""
    top = analysis.result.findings[0]
    left, posterior, superior = top.vertebra.centroid_lps_mm
    moved = replace(top.vertebra, centroid_lps_mm=(left, posterior + 60, superior))
    findings = (replace(top, vertebra=moved), *analysis.result.findings[1:])
    bent = replace(analysis, result=replace(analysis.result, findings=findings))
    before, after = spine_pictures(analysis)[1], spine_pictures(bent)[1]
    assert after.height_mm == before.height_mm
    assert after.data_uri == before.data_uri
    assert [tag.text for tag in after.tags] == [level.value for level in LEVELS[1:]]


def test_level_names_stay_inside_the_picture_and_clear_of_the_sides_marks(
    analysis: Analysis,
) -> None:
    for picture in spine_pictures(analysis):
        for tag in picture.tags:
            assert 0 <= tag.left <= picture.width_mm - tag.width
            assert 6 <= tag.y <= picture.height_mm - 6
            assert abs(tag.y - picture.sides_mm) > 8


def test_heights_without_landmarks_are_no_trouble(analysis: Analysis) -> None:
    finding = finding_of(Level.T10, (0.0, 0.0, 40.0), MALIGNANT)
    heights = finding.measurement.heights
    assert heights is not None
    bare = replace(
        finding,
        measurement=replace(finding.measurement, heights=replace(heights, landmarks_lps_mm=())),
    )
    result = replace(analysis.result, findings=(bare,))
    assert "Lines A, M, P" not in Page(render_report(replace(analysis, result=result))).text


def test_a_large_scan_makes_no_large_report_and_is_not_copied(tmp_path: Path) -> None:
    """600 slices of 512 x 512: only the pictures' points are read. And all vertebrae suspected."""
    levels = [level for level in Level if Level.T1 <= level <= Level.L5 and level != "T13"]
    centres = curved_centres(levels, 20)
    small = ellipsoid_volume(centres, (1.0, 1.5, 1.5))
    hu = np.zeros((600, 512, 512), np.int16)
    z, y, x = (min(a, b) for a, b in zip(hu.shape, small.values.shape, strict=True))
    hu[:z, :y, :x] = small.values[:z, :y, :x]
    volume = Volume(hu, small.affine_zyx_to_lps.copy(), "CT", "HU")
    some = analysis_of(volume, centres, dict.fromkeys(levels[4:8], OSTEOPOROTIC))
    tracemalloc.start()
    write_report(some, tmp_path / "r.html")
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < hu.nbytes / 4
    every = analysis_of(volume, centres, dict.fromkeys(levels, OSTEOPOROTIC))
    assert write_report(every, tmp_path / "r.html").stat().st_size < 3_000_000


def test_the_same_analysis_is_the_same_page(analysis: Analysis) -> None:
    assert render_report(analysis) == render_report(analysis)


def test_an_unknown_language_is_refused_before_anything_is_written(
    analysis: Analysis, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="'fr'"):
        write_report(analysis, tmp_path / "r.html", "fr")
    assert list(tmp_path.iterdir()) == []


def test_levels_of_the_example_are_all_in_the_table(page: Page) -> None:
    rows = [a["id"] for a in page.of("tr") if a.get("id")]
    assert rows == [f"row-{level}" for level in LEVELS]
    assert len(EXAMPLE_CASES) == 6
