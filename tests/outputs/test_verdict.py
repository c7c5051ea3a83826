"""No verdict without the levels that it covers, and no level without its other name."""

import json
from dataclasses import replace

import pytest

from tests.outputs.fakes import (
    LEVELS,
    METAL,
    OVERRULED,
    TRUNCATED,
    Case,
    analysis_of,
    curved_centres,
    ellipsoid_volume,
    example,
)
from tests.outputs.page import Page
from vfx_edge.level_words import level_ranges
from vfx_edge.outputs.dicom.captures import captures
from vfx_edge.outputs.report.page import render_report
from vfx_edge.outputs.result_json import result_to_json
from vfx_edge.outputs.verdict import advice, against, conclusion, line, verdict_in, verdict_of
from vfx_edge.outputs.wording import Wording
from vfx_edge.study import Analysis, Finding, Level


def without_fracture(**cases: Case) -> Analysis:
    centres = curved_centres(LEVELS)
    named = {Level(level): case for level, case in cases.items()}
    return analysis_of(ellipsoid_volume(centres), centres, named)


def with_other_name(analysis: Analysis) -> Analysis:
    """T10 could be T11."""

    def doubtful(finding: Finding) -> Finding:
        if finding.vertebra.level is not Level.T10:
            return finding
        other = ((Level.T11, 0.381),)
        vertebra = replace(finding.vertebra, label_probability=0.59, alternatives=other)
        return replace(finding, vertebra=vertebra)

    findings = tuple(map(doubtful, analysis.result.findings))
    return replace(analysis, result=replace(analysis.result, findings=findings))


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "No vertebral fracture suspected T7–L4 L5 could not be read: metal in or beside"),
        ("de", "Kein Verdacht auf Wirbelfraktur T7–L4 L5 nicht beurteilbar: Metall im oder am"),
    ],
)
def test_an_incomplete_all_clear_says_so_and_has_no_green_tick(language: str, words: str) -> None:
    page = Page(render_report(without_fracture(T6=TRUNCATED, L5=METAL), language))
    assert words in page.text
    assert "verdict s-unremarkable" in [section.get("class") for section in page.of("section")]
    page = Page(render_report(without_fracture(T6=TRUNCATED), language))
    assert "verdict s-none_suspected" in [section.get("class") for section in page.of("section")]
    assert "T7–L5" in page.text


def test_other_names_are_shown_wherever_the_vertebra_is(analysis: Analysis) -> None:
    changed = with_other_name(analysis)
    page = Page(render_report(changed))
    assert "Malignant fracture suspected T10 (or T11)" in page.text
    assert page.text.count("T10 or T11") == 2  # card and table
    assert "The level is not certain: T10 (59 %) or T11 (38 %). Count again." in page.text
    assert "T10 (oder T11)" in Page(render_report(changed, "de")).text
    assert [page.name for page in captures(changed, "en")][1] == "T10"


def test_one_line_says_it_all() -> None:
    t, german = Wording("en"), Wording("de")
    gap = verdict_of(without_fracture(T6=TRUNCATED, L5=METAL).result)
    assert line(gap, t) == (
        "No vertebral fracture suspected, T7–L4 "
        "(L5 could not be read: metal in or beside the vertebra)"
    )
    assert line(gap, german) == (
        "Kein Verdacht auf Wirbelfraktur, T7–L4 (L5 nicht beurteilbar: Metall im oder am Wirbel)"
    )
    for words in (t, german):
        assert advice(gap, words).endswith(f"). {words('page.no_lesions')}")
    assert advice(gap, german).startswith(line(gap, german))
    doubtful = verdict_of(with_other_name(example()).result)
    assert line(doubtful, t).startswith("Malignant fracture suspected: T10 (or T11) (L5 could not")
    none = verdict_of(without_fracture(**dict.fromkeys(LEVELS, METAL)).result)
    assert line(none, t) == (
        "Not assessable (T6–L5 could not be read: metal in or beside the vertebra)"
    )


@pytest.mark.parametrize("language", ["en", "de"])
def test_an_all_clear_speaks_of_no_lesions(language: str, analysis: Analysis) -> None:
    """Wherever the verdict stands: page, recommendation (SR, worklist), conclusion (SR)."""
    t = Wording(language)
    said, clear = t("page.no_lesions"), without_fracture(L5=METAL)
    for words in (
        Page(render_report(clear, language)).text,
        advice(verdict_of(clear.result), t),
        conclusion(clear.result, t),
    ):
        assert said in words
    assert said not in conclusion(analysis.result, t)
    assert said not in advice(verdict_of(analysis.result), t)


def test_what_is_read_again_says_the_same(analysis: Analysis) -> None:
    t = Wording("de")
    seen_intact = without_fracture(L3=OVERRULED)
    for one in (analysis, with_other_name(analysis), without_fracture(L5=METAL), seen_intact):
        written = json.loads(result_to_json(one.result))
        again, first = verdict_in(written), verdict_of(one.result)
        assert (line(again, t), advice(again, t)) == (line(first, t), advice(first, t))
    assert "An L3 sprachen Höhe oder Detektor" in advice(first, t)
    assert against(first, Wording("en")) in first.advice


def test_a_result_of_the_schema_before_can_still_be_listed(analysis: Analysis) -> None:
    written = json.loads(result_to_json(without_fracture().result))
    del written["triage"]["coverage"]
    for finding in written["findings"]:
        del finding["alternatives"]
    assert line(verdict_in(written), Wording("en")) == "No vertebral fracture suspected"


def test_ranges_do_not_bridge_what_is_missing() -> None:
    assert level_ranges(["C7", "T1", "T2", "T4"]) == "C7–T2, T4"
    assert (
        level_ranges(["T11", "T12", "L1"]) == level_ranges(["T11", "T12", "T13", "L1"]) == "T11–L1"
    )
    assert level_ranges(["T11", "L1"]) == "T11, L1"
    assert level_ranges([]) == ""
