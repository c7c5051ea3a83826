"""From vertebrae to the study's tier, most urgent first, and what the tier rests on."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from vfx_edge.level_words import as_ranges, grouped_by_reason, level_ranges, one_by_one
from vfx_edge.study import (
    THORACOLUMBAR,
    Classified,
    Coverage,
    Finding,
    Level,
    NotAssessable,
    Tier,
    Triage,
    tier_of,
)
from vfx_edge.vocabulary import TRANSITIONAL, Reason

RECOMMENDATION = {
    Tier.MALIGNANT: "Suspected malignant vertebral fracture at {levels}: urgent review, "
    "staging and MRI of the spine.",
    Tier.UNCERTAIN: "Vertebral fracture of uncertain cause at {levels}: do an MRI.",
    Tier.OSTEOPOROTIC: "Suspected osteoporotic vertebral fracture at {levels}: "
    "osteoporosis work-up and treatment.",
    Tier.NONE_SUSPECTED: "No vertebral fracture suspected, {levels}{why}. "
    "Lesions without a fracture are not looked for.",
    Tier.NOT_ASSESSABLE: "It cannot be told from this scan whether there is a vertebral fracture"
    "{why}: read the images.",
}
OVERRULED = (
    " At {levels} height or detector spoke for a fracture; the classifier sees none of the kinds "
    "that it knows."
)
NOTHING_IN_VIEW = (
    "None of the vertebrae asked for is wholly in view{why}: read the images, or repeat the scan "
    "with whole vertebrae in view."
)
LEAST_SHARE = 0.5
"""Of the vertebrae wholly in view: with less of them judged, nothing is said of the study."""
ROOM_FOR_T12_MM = 38.0
"""Between the centres of T11 and L1: some 27 mm where there is no T12, 57 mm where there is."""


def triage(findings: Sequence[Finding], wanted: Sequence[Level]) -> Triage:
    """The first tier that holds, and the levels that drive it.

    findings: from head to feet. wanted: the levels that were to be looked at.
    """
    looked_at = [f for f in findings if f.vertebra.level in wanted]
    coverage = covered(findings, wanted)
    for tier in (Tier.MALIGNANT, Tier.UNCERTAIN, Tier.OSTEOPOROTIC):
        driving = [f for f in looked_at if _tier(f) == tier]
        if driving:
            levels = tuple(f.vertebra.level for f in driving)
            named = ", ".join(one_by_one(levels, _others(driving)))
            return Triage(tier, RECOMMENDATION[tier].format(levels=named), levels, coverage)
    return _without_fracture(looked_at, coverage)


def covered(findings: Sequence[Finding], wanted: Sequence[Level]) -> Coverage:
    """Which of the wanted levels were judged, are cut by the edge of the scan, or are wholly in
    view and could not be judged. Cervical ones never are, and do not count."""
    looked_at = [f for f in findings if f.vertebra.level in wanted and _counts(f.vertebra.level)]
    whole = [f for f in looked_at if not _is_cut(f)]
    unread = {f.vertebra.level: why for f in whole if (why := _unread(f))}
    unread |= {level: Reason.NOT_FOUND for level in _overlooked(findings) if level in wanted}
    return Coverage(
        assessed=tuple(f.vertebra.level for f in whole if f.vertebra.level not in unread),
        cut=tuple(f.vertebra.level for f in looked_at if _is_cut(f)),
        unread=tuple(sorted(unread.items(), key=lambda item: item[0].rank)),
    )


def _without_fracture(looked_at: Sequence[Finding], coverage: Coverage) -> Triage:
    assessed, unread = coverage.assessed, coverage.unread
    why = grouped_by_reason(unread, _could_not_be_read)
    if assessed and len(assessed) >= LEAST_SHARE * (len(assessed) + len(unread)):
        named = as_ranges(assessed, _others(looked_at))
        text = RECOMMENDATION[Tier.NONE_SUSPECTED].format(levels=named, why=_in_brackets(why))
        if overruled := [f for f in looked_at if f.overruled]:
            levels = tuple(f.vertebra.level for f in overruled)
            text += OVERRULED.format(levels=", ".join(one_by_one(levels, _others(overruled))))
        return Triage(Tier.NONE_SUSPECTED, text, (), coverage)
    if unread:
        text = RECOMMENDATION[Tier.NOT_ASSESSABLE].format(why=_in_brackets(why))
    else:
        cut = f"its edge cuts {level_ranges(coverage.cut)}" if coverage.cut else ""
        text = NOTHING_IN_VIEW.format(why=_in_brackets(cut))
    return Triage(Tier.NOT_ASSESSABLE, text, tuple(level for level, _ in unread), coverage)


def _tier(finding: Finding) -> Tier | None:
    """The vertebra's own tier. A fracture that was measured never counts for nothing, unless the
    classifier sees none: that is named, and drives nothing."""
    if _is_cut(finding):
        return None
    measured = Tier.UNCERTAIN if finding.suspected_fracture else None
    return tier_of(finding.assessment) or measured


def _is_cut(finding: Finding) -> bool:
    """Whether only the edge of the scan shows it, and no fracture either; not where someone asked
    the classifier about it by name and it answered."""
    edge = not finding.vertebra.wholly_in_view or finding.measurement.reason == Reason.TRUNCATED
    told = finding.suspected_fracture or isinstance(finding.assessment, Classified)
    return edge and not told


def _unread(finding: Finding) -> str | None:
    """Why it was not judged; None where it was."""
    assessment, measured = finding.assessment, finding.measurement
    if finding.suspected_fracture or tier_of(assessment):
        return None
    if isinstance(assessment, NotAssessable):
        return assessment.reason
    judged = finding.suspected_fracture is not None
    return None if judged else measured.reason or Reason.LOW_CONFIDENCE


def _overlooked(findings: Sequence[Finding]) -> Iterator[Level]:
    """Levels that must lie between two that were found, and were not found themselves."""
    for above, below in pairwise(f.vertebra for f in findings):
        between = [level for level in Level if above.level < level < below.level]
        missing = [level for level in between if _counts(level) and level not in TRANSITIONAL]
        apart = np.subtract(above.centroid_lps_mm, below.centroid_lps_mm)
        if missing == [Level.T12] and np.linalg.norm(apart) < ROOM_FOR_T12_MM:
            continue  # eleven pairs of ribs
        yield from missing


def _counts(level: Level) -> bool:
    return level in THORACOLUMBAR


def _others(findings: Sequence[Finding]) -> dict[str, list[Level]]:
    return {f.vertebra.level: [name for name, _ in f.vertebra.alternatives] for f in findings}


def _could_not_be_read(levels: str, reason: str) -> str:
    return f"{levels} could not be read: {reason.replace('_', ' ')}"


def _in_brackets(words: str) -> str:
    return f" ({words})" if words else ""
