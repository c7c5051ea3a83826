"""The maps on the page: where they lie, in which colours, and what is said of them."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.outputs.maps import PLACE_MM, SIDE, explained
from tests.outputs.page import Page, outline_points
from vfx_edge.outputs.report import heat
from vfx_edge.outputs.report.page import render_report
from vfx_edge.outputs.report.pictures import CROP_SIDE_MM
from vfx_edge.outputs.wording import Wording
from vfx_edge.study import Analysis, Level


def shown(analysis: Analysis, level: Level = Level.T10) -> heat.Shown:
    (finding,) = (f for f in analysis.findings if f.vertebra.level is level)
    found = heat.shown(analysis, finding, Wording("en"))
    assert found is not None
    return found


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


@pytest.mark.parametrize(("change", "colour"), [(0.8, heat.FOR_RGB), (-0.8, heat.AGAINST_RGB)])
def test_colours_lie_where_the_answer_changes(
    analysis: Analysis, change: float, colour: tuple[int, int, int]
) -> None:
    """In the patient's frame: sagittal to the front, coronal to the patient's left."""
    x, y, z = PLACE_MM
    middle = CROP_SIDE_MM / 2
    for picture, across in zip(
        shown(explained(analysis, T10=change)).pictures, (y, x), strict=True
    ):
        assert picture.heat is not None
        rgba = pixels(picture.heat.uri)
        strongest = np.argwhere(rgba[..., 3] == rgba[..., 3].max()).mean(0) + 0.5
        np.testing.assert_allclose(strongest[::-1], (middle + across, middle - z), atol=1.5)
        assert picture.heat.at == pytest.approx((middle + across, middle - z), abs=0.5)
        assert tuple(rgba[int(strongest[0]), int(strongest[1]), :3]) == colour
        assert rgba[..., 3].max() < 200, "the bone below is not to be seen"
        (rim,) = outline_points(picture.heat.rim)
        np.testing.assert_allclose(rim.max(0) - rim.min(0), SIDE, atol=2)
        np.testing.assert_allclose((rim.max(0) + rim.min(0)) / 2, middle, atol=1.5)


def test_the_strength_of_a_colour_is_that_of_the_change_on_one_scale(analysis: Analysis) -> None:
    both = explained(analysis, T10=0.8, L2=0.2)
    assert heat.scale_of(both.explanations) == pytest.approx(0.8)
    strong, weak = (
        pixels(shown(both, level).pictures[0].heat.uri)[..., 3].max().astype(float)  # type: ignore[union-attr]
        for level in (Level.T10, Level.L2)
    )
    assert weak / strong == pytest.approx(0.25, abs=0.03)
    assert heat.scale_of(explained(analysis, T10=0.004).explanations) == heat.LEAST_SCALE


def test_a_map_without_a_change_marks_no_place_and_says_so(analysis: Analysis) -> None:
    found = shown(explained(analysis, T10=0.03))
    assert all(p.heat is not None and p.heat.at is None for p in found.pictures)
    assert found.told == (
        "No hidden place changes p(malignant) by 0.05 or more: the answer hangs on no single "
        "place.",
    )


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("p(malignant) 0.94 falls to 0.14", "+0.80", "not why the vertebra broke",
                "boxes of 20 mm", "speaks against malignant")),
        ("de", ("p(maligne) 0,94 sinkt auf 0,14", "+0,80", "nicht, warum der Wirbel brach",
                "Würfel von 20 mm", "spricht gegen maligne")),
    ],
)  # fmt: skip
def test_the_card_shows_the_map_its_scale_and_its_limits(
    analysis: Analysis, language: str, words: tuple[str, ...]
) -> None:
    page = Page(render_report(explained(analysis, T10=0.8), language))
    for word in words:
        assert word in page.text
    assert [a for a in page.of("image") if a.get("class") == "heat"] != []
    assert len([a for a in page.of("section") if a.get("class") == "map"]) == 1


def test_places_that_are_strange_to_the_network_are_told(analysis: Analysis) -> None:
    made = explained(analysis, T10=-0.8)
    (one,) = made.explanations
    one = replace(one, said=replace(one.said, unlike=0.25))
    told = shown(replace(made, explanations=(one,))).told
    assert "rises" in told[0]
    assert told[1].startswith("With 25 % of the places hidden")


def test_a_page_without_maps_has_nothing_of_them(analysis: Analysis, page: Page) -> None:
    html = render_report(analysis)
    assert "depends on" not in page.text
    assert 'class="heat"' not in html
    assert "linearGradient" not in html
