"""From vertebrae to the study's tier."""

from itertools import product

import pytest

from vfx_edge.stages.triage import RECOMMENDATION, triage
from vfx_edge.study import (
    Assessment,
    Classified,
    Finding,
    Heights,
    Level,
    Measurement,
    NotAssessable,
    NotClassified,
    Tier,
    Vertebra,
)

HEIGHTS = Heights(20.0, 20.0, 20.0)
INTACT = Measurement(HEIGHTS, 0.05, 0, False)
BROKEN = Measurement(HEIGHTS, 0.35, 2, True)
UNKNOWN = Measurement(None, None, None, None, "truncated")

CASES: dict[str, tuple[Measurement, Assessment]] = {
    "malignant": (BROKEN, Classified(Tier.MALIGNANT, 0.05, 0.95)),
    "uncertain": (BROKEN, Classified(Tier.UNCERTAIN, 0.5, 0.5)),
    "osteoporotic": (BROKEN, Classified(Tier.OSTEOPOROTIC, 0.98, 0.02)),
    "cut": (UNKNOWN, NotAssessable("truncated")),
    "out of range": (BROKEN, NotClassified("level_outside_model_range")),
    "not asked": (BROKEN, NotClassified("not_requested")),
    "intact": (INTACT, NotClassified("no_fracture_suspected")),
}
URGENCY = (
    ("malignant", Tier.MALIGNANT),
    ("uncertain", Tier.UNCERTAIN),
    ("osteoporotic", Tier.OSTEOPOROTIC),
    ("cut", Tier.NOT_ASSESSABLE),
    ("out of range", Tier.NOT_ASSESSABLE),
    ("not asked", Tier.NOT_ASSESSABLE),
    ("intact", Tier.NONE_SUSPECTED),
)
LEVELS = (Level.T12, Level.L1, Level.L2)


def findings(*names: str) -> list[Finding]:
    return [
        Finding(Vertebra(level, (0.0, 0.0, -30.0 * i), 0.9), *CASES[name])
        for i, (level, name) in enumerate(zip(LEVELS, names, strict=True))
    ]


@pytest.mark.parametrize("names", list(product(CASES, repeat=3)), ids="+".join)
def test_the_most_urgent_vertebra_decides(names: tuple[str, ...]) -> None:
    tier = next(tier for name, tier in URGENCY if name in names)
    verdict = triage(findings(*names), LEVELS)
    assert verdict.tier == tier
    driving = [name for name, t in URGENCY if t == tier and name != "intact"]
    expected = tuple(level for level, name in zip(LEVELS, names, strict=True) if name in driving)
    assert verdict.levels == expected
    assert "{" not in verdict.recommendation
    assert all(level.value in verdict.recommendation for level in expected)


def test_suspected_but_unclassified_is_no_all_clear() -> None:
    for name in ("out of range", "not asked"):
        verdict = triage(findings("intact", name, "intact"), LEVELS)
        assert verdict.tier == Tier.NOT_ASSESSABLE
        assert verdict.levels == (Level.L1,)


def test_only_wanted_levels_count() -> None:
    found = findings("malignant", "intact", "cut")
    assert triage(found, (Level.L1,)).tier == Tier.NONE_SUSPECTED
    assert triage(found, (Level.L1, Level.L2)).tier == Tier.NOT_ASSESSABLE
    assert triage(found, (Level.T12,)).levels == (Level.T12,)


@pytest.mark.parametrize("wanted", [LEVELS, (Level.T1,)])
def test_nothing_in_view_is_no_all_clear(wanted: tuple[Level, ...]) -> None:
    found = findings("intact", "intact", "intact") if wanted != LEVELS else []
    verdict = triage(found, wanted)
    assert verdict.tier == Tier.NOT_ASSESSABLE
    assert verdict.levels == ()
    assert "{" not in verdict.recommendation


def test_uncertain_asks_for_an_mri() -> None:
    assert set(RECOMMENDATION) == set(Tier)
    assert "MRI" in triage(findings("intact", "uncertain", "intact"), LEVELS).recommendation
