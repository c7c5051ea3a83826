"""Stage 6: from vertebrae to the study's tier, most urgent first."""

from collections.abc import Sequence

from vfx_edge.study import Classified, Finding, Level, NotAssessable, Tier, Triage

RECOMMENDATION = {
    Tier.MALIGNANT: "Suspected malignant vertebral fracture at {levels}: urgent review, "
    "staging and MRI of the spine.",
    Tier.UNCERTAIN: "Vertebral fracture of uncertain cause at {levels}: do an MRI.",
    Tier.OSTEOPOROTIC: "Suspected osteoporotic vertebral fracture at {levels}: "
    "osteoporosis work-up and treatment.",
    Tier.NONE_SUSPECTED: "No vertebral fracture suspected at the levels looked at.",
    Tier.NOT_ASSESSABLE: "It cannot be told from this scan whether there is a vertebral fracture"
    "{levels}: read the images, or repeat with the whole vertebrae in view.",
}


def triage(findings: Sequence[Finding], wanted: Sequence[Level]) -> Triage:
    """The first tier that holds, and the levels that drive it.

    wanted: the levels that were to be looked at. With none of them in view nothing can be told.
    """
    looked_at = [f for f in findings if f.vertebra.level in wanted]
    for tier in (Tier.MALIGNANT, Tier.UNCERTAIN, Tier.OSTEOPOROTIC):
        levels = [
            f.vertebra.level
            for f in looked_at
            if isinstance(f.assessment, Classified) and f.assessment.tier == tier
        ]
        if levels:
            return Triage(tier, RECOMMENDATION[tier].format(levels=_listed(levels)), tuple(levels))
    unclear = [f.vertebra.level for f in looked_at if _open_question(f)]
    if unclear or not looked_at:
        where = f" at {_listed(unclear)}" if unclear else ""
        text = RECOMMENDATION[Tier.NOT_ASSESSABLE].format(levels=where)
        return Triage(Tier.NOT_ASSESSABLE, text, tuple(unclear))
    return Triage(Tier.NONE_SUSPECTED, RECOMMENDATION[Tier.NONE_SUSPECTED], ())


def _open_question(finding: Finding) -> bool:
    """Not assessable, or suspected without a cause: neither is an all-clear."""
    unclassified = not isinstance(finding.assessment, Classified)
    suspected = bool(finding.measurement.suspected_fracture)
    return isinstance(finding.assessment, NotAssessable) or (suspected and unclassified)


def _listed(levels: Sequence[Level]) -> str:
    return ", ".join(level.value for level in levels)
