"""The report says what the result says, in words that people read."""

import re
from dataclasses import replace

import pytest

from tests.outputs.fakes import (
    EXAMPLE_CASES,
    LEVELS,
    OVERRULED,
    RECOMMENDATION,
    RUN,
    analysis_of,
    curved_centres,
    ellipsoid_volume,
)
from tests.outputs.page import Page
from vfx_edge.outputs.report.page import render_report
from vfx_edge.study import (
    Analysis,
    Coverage,
    Level,
    NotClassified,
    ServerUse,
    Tier,
    Triage,
)


def _with_use(analysis: Analysis, intended_use: str) -> Analysis:
    run = replace(RUN, intended_use=intended_use)
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
    odd = Page(render_report(_with_use(analysis, "somewhere")))
    assert "Not cleared for clinical use (somewhere) — not for diagnosis" in odd.text
    clinical = render_report(_with_use(analysis, "clinical"))
    assert "not for diagnosis" not in clinical


def test_a_server_that_was_sent_crops_is_named(analysis: Analysis) -> None:
    assert "no header" not in Page(render_report(analysis)).text
    for tls, words, worte in (
        (True, "triton 2 at gpu:8001, encrypted: crops", "auf gpu:8001, verschlüsselt"),
        (False, "gpu:8001, not encrypted: crops and tiles", "gpu:8001, unverschlüsselt"),
    ):
        used = replace(RUN.backend, server=ServerUse("gpu:8001", tls, "triton 2", ()))
        run = replace(RUN, backend=used)
        sent = replace(analysis, result=replace(analysis.result, run=run))
        assert words in Page(render_report(sent)).text
        assert worte in Page(render_report(sent, "de")).text


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


@pytest.mark.parametrize(
    ("language", "all_clear", "row"),
    [
        ("en", "At L1 height or detector spoke for a fracture; the classifier sees none",
         "No fracture suspected: the classifier sees no fracture of the kinds that it knows (intact"
         " 0.91)"),
        ("de", "An L1 sprachen Höhe oder Detektor für eine Fraktur; der Klassifikator sieht keine",
         "Kein Frakturverdacht: der Klassifikator sieht keine Fraktur der Arten, die er kennt"
         " (intakt 0,91)"),
    ],
)  # fmt: skip
def test_a_loss_of_height_that_the_classifier_sees_intact_is_said_and_no_card(
    language: str, all_clear: str, row: str
) -> None:
    centres = curved_centres([Level.T12, Level.L1, Level.L2])
    page = Page(render_report(
        analysis_of(ellipsoid_volume(centres), centres, {Level.L1: OVERRULED}), language
    ))  # fmt: skip
    assert all_clear in page.text
    assert row in page.text
    assert "24" in page.text  # the loss stays in the table
    assert "L1!" in page.text  # no plain tick
    assert page.of("article") == []
    assert "verdict s-unremarkable" in [one.get("class") for one in page.of("section")]


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


def test_levels_of_the_example_are_all_in_the_table(page: Page) -> None:
    rows = [a["id"] for a in page.of("tr") if a.get("id")]
    assert rows == [f"row-{level}" for level in LEVELS]
    assert len(EXAMPLE_CASES) == 6
