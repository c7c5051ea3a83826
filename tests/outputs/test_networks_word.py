"""What a network for fractures and a calibration add, wherever a suspicion or a result is shown."""

import io
from dataclasses import replace
from typing import Any

import pytest

from tests.outputs.fakes import (
    LEVELS,
    RUN,
    Case,
    analysis_of,
    curved_centres,
    ellipsoid_volume,
)
from tests.outputs.page import Page
from vfx_edge.outputs.report.facts import limits
from vfx_edge.outputs.report.page import cards, render_report
from vfx_edge.outputs.result_json import load_schema, result_to_dict
from vfx_edge.outputs.wording import Wording
from vfx_edge.study import (
    Analysis,
    Calibration,
    Classified,
    Detection,
    Finding,
    Level,
    Measurement,
    Tier,
)

MADE = Calibration("spine clinic", "2026-03-01", 150, 60, "sensitivity 0.95", 1.4, 0.9, 0.2, 0.1)
LIMITS = {**RUN.thresholds, "detector": 0.7}
CAUSES = ("osteoporotic", "malignant")
SAID: dict[Level, tuple[Case, Measurement]] = {
    Level.T8: (
        (Classified(Tier.UNCERTAIN, 0.5, 0.5, CAUSES), 0.03, 0),
        Measurement(None, 0.03, 0, False, detection=Detection(0.91, suspected=True)),
    ),
    Level.T10: (
        (Classified(Tier.MALIGNANT, 0.05, 0.95, ()), None, None),
        Measurement(None, None, None, None, "metal", detection=Detection(0.2, suspected=False)),
    ),
    Level.L2: (
        (Classified(Tier.OSTEOPOROTIC, 0.96, 0.04, ("osteoporotic",)), 0.3, 2),
        Measurement(None, 0.3, 2, True, detection=Detection(0.88, suspected=True)),
    ),
}


@pytest.fixture(scope="module")
def answered() -> Analysis:
    """T8 by the network alone, T10 named by a person though metal hides it, L2 by both."""
    centres = curved_centres(LEVELS)
    made = analysis_of(
        ellipsoid_volume(centres), centres, {level: case for level, (case, _) in SAID.items()}
    )

    def told(finding: Finding) -> Finding:
        level = finding.vertebra.level
        return replace(finding, measurement=SAID[level][1]) if level in SAID else finding

    result = replace(made.result, findings=tuple(map(told, made.result.findings)))
    made = replace(made, result=result)
    return made.with_run(replace(RUN, thresholds=LIMITS, calibration=MADE))


def test_the_page_says_by_what_a_fracture_is_suspected(answered: Analysis) -> None:
    measures = {card.level: card.measure for card in cards(answered, Wording("en"))}
    assert measures["T8"].endswith(
        "Network: fracture 0.91 (threshold 0.70) · suspected by the network"
    )
    assert measures["T10"] == (
        "Heights not measured: metal in or beside the vertebra · "
        "Network: fracture 0.20 (threshold 0.70)"
    )
    assert measures["L2"].endswith("suspected by loss of height and the network")
    page = Page(render_report(answered)).text
    for words in (
        "Fracture of uncertain cause (suspected by the network)",
        "Malignant fracture suspected (Heights not measured: metal in or beside the vertebra)",
        "Not ruled out, with a coverage of 90 %: osteoporotic, malignant",
        "With a coverage of 90 % neither cause fits",
        "spine clinic, 2026-03-01: 150 fractures, 60 of them malignant; wanted: sensitivity 0.95",
    ):
        assert words in page
    assert "Verdacht durch Höhenverlust und Netz" in Page(render_report(answered, "de")).text


@pytest.mark.parametrize("language", ["en", "de"])
def test_limits_name_both_doors(answered: Analysis, language: str) -> None:
    t = Wording(language)
    (own,) = [words for words in limits(answered.result, t) if t.number(0.7, 2) in words]
    plain = replace(answered.result, run=RUN)
    assert own not in limits(plain, t)
    assert all(
        t("page.no_lesions")[:20] in " ".join(limits(r, t)) for r in (plain, answered.result)
    )


def test_result_json_holds_it_all(answered: Analysis) -> None:
    import jsonschema

    written: Any = result_to_dict(answered.result)
    jsonschema.validate(written, load_schema())
    found = {finding["level"]: finding for finding in written["findings"]}
    assert found["T8"]["detector"] == {"probability": 0.91, "suspected": True}
    assert found["T8"]["suspected_fracture"] is True
    assert found["T8"]["assessment"]["possible"] == ["osteoporotic", "malignant"]
    assert (found["T10"]["unmeasured"], found["T10"]["suspected_fracture"]) == ("metal", None)
    assert found["T10"]["assessment"]["possible"] == []
    assert found["L3"]["detector"] is None
    assert written["run"]["calibration"] == {
        "name": "spine clinic",
        "made": "2026-03-01",
        "cases": 150,
        "malignant": 60,
        "wanted": "sensitivity 0.95",
        "temperature": 1.4,
        "coverage": 0.9,
        "conformal_osteoporotic": 0.2,
        "conformal_malignant": 0.1,
    }


def test_the_terminal_says_so_too(answered: Analysis) -> None:
    from vfx_edge.cli.show import people_console, show_study

    stream = io.StringIO()
    console = people_console(stream)
    console.width = 200
    show_study(answered.result, console, verbose=True)
    said = stream.getvalue()
    assert "uncertain (malignant 0.50); suspected by the network" in said
    assert "malignant (malignant 0.95); heights not measured: metal" in said
    assert "Calibration: spine clinic, 2026-03-01" in said


def test_what_nobody_suspects_and_was_classified_on_request_says_so(answered: Analysis) -> None:
    from vfx_edge.cli.show import people_console, show_study

    def unsuspected(finding: Finding) -> Finding:
        plain = Measurement(None, 0.03, 0, False, detection=Detection(0.2, suspected=False))
        asked = finding.vertebra.level is Level.T8
        return replace(finding, measurement=plain) if asked else finding

    findings = tuple(map(unsuspected, answered.result.findings))
    made = replace(answered, result=replace(answered.result, findings=findings))
    page = Page(render_report(made)).text
    assert "uncertain cause (no fracture suspected, classified on request)" in page
    assert page.count("on request") == 1
    assert "auf Wunsch klassifiziert" in Page(render_report(made, "de")).text
    stream = io.StringIO()
    console = people_console(stream)
    console.width = 200
    show_study(made.result, console, verbose=True)
    assert "uncertain (malignant 0.50); no fracture suspected, classified" in stream.getvalue()
