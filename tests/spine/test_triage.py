"""From vertebrae to the study's tier, and what the tier rests on."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vfx_edge import vocabulary as levels
from vfx_edge.spine.triage import RECOMMENDATION, triage
from vfx_edge.study import (
    THORACOLUMBAR,
    Assessment,
    CauseNotClassified,
    Classified,
    Coverage,
    Detection,
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


def unknown(reason: str) -> Measurement:
    return Measurement(None, None, None, None, reason)


CASES: dict[str, tuple[Measurement, Assessment]] = {
    "malignant": (BROKEN, Classified(Tier.MALIGNANT, 0.05, 0.95)),
    "uncertain": (BROKEN, Classified(Tier.UNCERTAIN, 0.5, 0.5)),
    "no cause": (BROKEN, CauseNotClassified("level_outside_model_range")),
    "osteoporotic": (BROKEN, Classified(Tier.OSTEOPOROTIC, 0.98, 0.02)),
    "cut": (unknown("truncated"), NotAssessable("truncated")),
    "metal": (unknown("metal"), NotAssessable("metal")),
    "strange": (INTACT, NotAssessable("out_of_distribution")),
    "intact": (INTACT, NotClassified("no_fracture_suspected")),
    "overruled": (BROKEN, NotClassified("intact", 0.9)),
    "seen intact without heights": (unknown("metal"), NotClassified("intact", 0.9)),
}
TIERS = {
    "malignant": Tier.MALIGNANT,
    "uncertain": Tier.UNCERTAIN,
    "no cause": Tier.UNCERTAIN,
    "osteoporotic": Tier.OSTEOPOROTIC,
}
UNREAD = {"metal": "metal", "strange": "out_of_distribution",
          "seen intact without heights": "metal"}  # fmt: skip
NO_LESIONS = "Lesions without a fracture are not looked for."
LEVELS = (Level.T12, Level.L1, Level.L2)


def finding(level: Level, name: str, z_mm: float = 0.0) -> Finding:
    return Finding(Vertebra(level, (0.0, 0.0, z_mm), 0.9, name != "cut"), *CASES[name])


def findings(*names: str, levels: Sequence[Level] = LEVELS) -> list[Finding]:
    return [
        finding(level, name, -30.0 * i)
        for i, (level, name) in enumerate(zip(levels, names, strict=True))
    ]


@pytest.mark.parametrize("names", list(product(CASES, repeat=3)), ids="+".join)
def test_the_first_tier_that_holds(names: tuple[str, ...]) -> None:
    verdict = triage(findings(*names), LEVELS)
    held = {TIERS[name] for name in names if name in TIERS}
    judged = [name for name in names if name != "cut" and name not in UNREAD]
    unread = [name for name in names if name in UNREAD]
    if held:
        tier = min(held, key=list(Tier).index)
        driving = [name for name in names if TIERS.get(name) == tier]
    elif judged and len(judged) >= len(unread):
        tier, driving = Tier.NONE_SUSPECTED, []
    else:
        tier, driving = Tier.NOT_ASSESSABLE, unread
    assert verdict.tier == tier
    assert verdict.levels == tuple(
        level for level, name in zip(LEVELS, names, strict=True) if name in driving
    )
    assert verdict.coverage.unread == tuple(
        (level, UNREAD[name]) for level, name in zip(LEVELS, names, strict=True) if name in UNREAD
    )
    assert verdict.coverage.complete == (not unread)
    assert "{" not in verdict.recommendation
    named = "detector spoke for a fracture" in verdict.recommendation
    assert named == (tier == Tier.NONE_SUSPECTED and "overruled" in names)


spines = st.lists(st.sampled_from(THORACOLUMBAR), min_size=1, unique=True).flatmap(
    lambda levels: st.tuples(
        st.just(sorted(levels)),
        st.lists(st.sampled_from(list(CASES)), min_size=len(levels), max_size=len(levels)),
        st.sets(st.sampled_from(THORACOLUMBAR)),
    )
)


@given(spines)
def test_coverage_is_what_the_verdict_rests_on(
    spine: tuple[list[Level], list[str], set[Level]],
) -> None:
    levels, names, wanted = spine
    verdict = triage(findings(*names, levels=levels), sorted(wanted))
    cover, name_of = verdict.coverage, dict(zip(levels, names, strict=True))
    unread = [level for level, _ in cover.unread]
    listed = [*cover.assessed, *cover.cut, *unread]
    assert len(listed) == len(set(listed))
    assert set(listed) <= wanted
    assert wanted & set(levels) <= set(listed)
    assert all(name_of[level] == "cut" for level in cover.cut)
    assert all(name_of[level] in UNREAD for level in unread if level in name_of)
    assert all(why == "not_found" for level, why in cover.unread if level not in name_of)
    if verdict.tier is Tier.NONE_SUSPECTED:
        assert len(cover.assessed) >= max(1, len(unread))
        assert all(name_of[level] in ("intact", "overruled") for level in cover.assessed)
    if any(name_of[level] in TIERS for level in wanted & set(levels)):
        assert verdict.tier in TIERS.values()


PLAIN = list(levels.PLAIN)


@given(
    st.integers(7, 20),
    st.lists(st.sampled_from(list(CASES)), min_size=1, max_size=3),
    st.tuples(*[st.sampled_from(["cut", "metal", "strange", "intact"])] * 2),
)
def test_what_the_edge_cuts_never_changes_the_tier(
    first: int, names: list[str], slivers: tuple[str, str]
) -> None:
    """One more vertebra at each end of the scan, whatever is made of what is left of it."""
    levels = PLAIN[first : first + len(names)]
    whole = findings(*names, levels=levels)
    ends = [
        replace(one, vertebra=replace(one.vertebra, wholly_in_view=False))
        for one in (
            finding(PLAIN[first - 1], slivers[0], 30),
            finding(PLAIN[first + len(names)], slivers[1], -90),
        )
    ]
    before, after = triage(whole, PLAIN), triage([ends[0], *whole, ends[1]], PLAIN)
    assert (after.tier, after.levels) == (before.tier, before.levels)
    assert after.coverage.assessed == before.coverage.assessed
    assert after.coverage.unread == before.coverage.unread


def test_none_suspected_says_which_levels_it_covers() -> None:
    levels = [level for level in Level if Level.T1 <= level <= Level.T12]
    names = ["cut", *["intact"] * 10, "cut"]
    whole = triage(findings(*names, levels=levels), THORACOLUMBAR)
    assert whole.recommendation == f"No vertebral fracture suspected, T2–T11. {NO_LESIONS}"
    assert whole.coverage.cut == (Level.T1, Level.T12)
    assert whole.coverage.complete
    names[5] = "metal"
    gap = triage(findings(*names, levels=levels), THORACOLUMBAR)
    assert gap.tier is Tier.NONE_SUSPECTED
    assert gap.recommendation == (
        "No vertebral fracture suspected, T2–T5, T7–T11 (T6 could not be read: metal). "
        + NO_LESIONS
    )
    assert not gap.coverage.complete


def test_a_vertebra_that_was_overlooked_is_named_and_one_that_is_not_there_is_not() -> None:
    found = [finding(Level.T10, "intact", 0), finding(Level.L1, "intact", -80)]
    gap = triage(found, THORACOLUMBAR)
    assert gap.coverage.unread == ((Level.T11, "not_found"), (Level.T12, "not_found"))
    eleven = [finding(Level.T11, "intact", 0), finding(Level.L1, "intact", -28)]
    assert triage(eleven, THORACOLUMBAR).coverage.complete
    missed = [finding(Level.T11, "intact", 0), finding(Level.L1, "intact", -55)]
    assert triage(missed, THORACOLUMBAR).coverage.unread == ((Level.T12, "not_found"),)


def test_a_measured_fracture_always_counts() -> None:
    """Whatever an assessment says of it, and even where the edge of the scan cuts it."""
    for odd in (NotClassified("not_requested"), NotAssessable("metal")):
        broken = replace(finding(Level.L1, "no cause"), assessment=odd)
        assert triage([broken], LEVELS).tier is Tier.UNCERTAIN
    cut = finding(Level.L1, "malignant")
    cut = replace(cut, vertebra=replace(cut.vertebra, wholly_in_view=False))
    assert triage([cut], LEVELS).tier is Tier.MALIGNANT
    assert triage([cut], LEVELS).coverage == Coverage(assessed=(Level.L1,))


def test_what_the_edge_cuts_counts_once_the_classifier_was_asked_about_it() -> None:
    told = replace(finding(Level.L1, "cut"), assessment=Classified(Tier.OSTEOPOROTIC, 0.98, 0.02))
    verdict = triage([finding(Level.T12, "intact"), told], LEVELS)
    assert (verdict.tier, verdict.levels) == (Tier.OSTEOPOROTIC, (Level.L1,))
    assert verdict.coverage == Coverage(assessed=(Level.T12, Level.L1))
    strange = replace(told, assessment=NotAssessable("out_of_distribution"))
    assert triage([strange], LEVELS).coverage == Coverage(cut=(Level.L1,))


def test_a_network_suspects_where_heights_cannot_be_read() -> None:
    said = replace(unknown("metal"), detection=Detection(0.9, suspected=True))
    found = replace(finding(Level.L1, "metal"), measurement=said)
    assert triage([found], LEVELS).tier is Tier.UNCERTAIN
    silent = replace(found, measurement=replace(said, detection=Detection(0.1, suspected=False)))
    assert triage([silent], LEVELS).coverage.unread == ((Level.L1, "metal"),)


def test_other_names_are_said() -> None:
    def doubtful(level: Level, name: str, other: Level) -> Finding:
        plain = finding(level, name)
        return replace(plain, vertebra=replace(plain.vertebra, alternatives=((other, 0.4),)))

    broken = triage([doubtful(Level.T12, "osteoporotic", Level.L1)], LEVELS)
    assert "at T12 (or L1):" in broken.recommendation
    pairs = [(Level.T12, Level.L1), (Level.L1, Level.L2), (Level.L2, Level.L3)]
    fine = triage([doubtful(level, "intact", other) for level, other in pairs], LEVELS)
    words = "No vertebral fracture suspected, T12–L2 (or L1–L3)."
    assert fine.recommendation == f"{words} {NO_LESIONS}"


def test_only_wanted_levels_count() -> None:
    found = findings("malignant", "intact", "metal")
    assert triage(found, (Level.L1,)).tier == Tier.NONE_SUSPECTED
    assert triage(found, (Level.L2,)).tier == Tier.NOT_ASSESSABLE
    assert triage(found, (Level.T12,)).levels == (Level.T12,)


def test_cervical_levels_are_no_part_of_it() -> None:
    neck = Finding(
        Vertebra(Level.C7, (0.0, 0.0, 30.0), 0.9),
        unknown("no_norm_for_level"),
        NotClassified("level_outside_model_range"),
    )
    found = [neck, finding(Level.T1, "intact")]
    assert triage(found, tuple(Level)).coverage == Coverage(assessed=(Level.T1,))
    assert triage(found, (Level.C7,)).tier == Tier.NOT_ASSESSABLE


@pytest.mark.parametrize("wanted", [LEVELS, (Level.T1,)])
def test_nothing_in_view_is_no_all_clear(wanted: tuple[Level, ...]) -> None:
    found = findings("intact", "intact", "intact") if wanted != LEVELS else []
    verdict = triage(found, wanted)
    assert verdict.tier == Tier.NOT_ASSESSABLE
    assert verdict.levels == ()
    assert "{" not in verdict.recommendation


def test_slivers_alone_are_no_all_clear_and_are_named() -> None:
    verdict = triage(findings("cut", "cut", "cut"), LEVELS)
    assert (verdict.tier, verdict.levels) == (Tier.NOT_ASSESSABLE, ())
    assert "its edge cuts T12–L2" in verdict.recommendation


def test_uncertain_asks_for_an_mri() -> None:
    assert set(RECOMMENDATION) == set(Tier)
    assert "MRI" in triage(findings("intact", "uncertain", "intact"), LEVELS).recommendation
