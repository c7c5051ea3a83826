"""The page asks nobody for anything, is well formed, and stays small."""

import re
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.outputs.fakes import (
    OSTEOPOROTIC,
    RUN,
    SERIES,
    analysis_of,
    curved_centres,
    ellipsoid_volume,
)
from tests.outputs.page import Page
from vfx_edge.errors import OutputError
from vfx_edge.image import Image as Volume
from vfx_edge.outputs.report.page import render_report, write_report
from vfx_edge.study import Analysis, Level


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
    assert render_report(analysis) == render_report(replace(analysis))


def test_an_unknown_language_is_refused_before_anything_is_written(
    analysis: Analysis, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="'fr'"):
        write_report(analysis, tmp_path / "r.html", "fr")
    assert list(tmp_path.iterdir()) == []
