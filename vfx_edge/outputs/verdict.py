"""A study's verdict in words, with the levels that it covers, for all that is read by people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vfx_edge.level_words import (
    as_ranges,
    grouped_by_reason,
    level_ranges,
    one_by_one,
    with_alternatives,
)
from vfx_edge.outputs.vertebra_status import (
    Status,
    also_suspected,
    overruled,
    status_of,
    status_reason,
)
from vfx_edge.outputs.wording import Wording
from vfx_edge.study import Finding, Level, StudyResult, Tier, Vertebra
from vfx_edge.vocabulary import Reason

_LABEL_DOUBT = 0.8


@dataclass(frozen=True)
class Verdict:
    """The facts of a verdict, of a result or of a result.json that is read again.

    advice: the recommendation, in English. unread: (level, reason). others: level -> the other
    names that its vertebra could as well have. overruled: levels where the classifier sees no
    fracture and heights or detector spoke for one.
    """

    tier: str
    levels: tuple[str, ...] = ()
    advice: str = ""
    assessed: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()
    overruled: tuple[str, ...] = ()
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_gap(self) -> bool:
        """Nothing is suspected, but not all that is in view could be read."""
        return self.tier == Tier.NONE_SUSPECTED and bool(self.unread)


@dataclass(frozen=True)
class Group:
    """Levels that could not be assessed for the same reason."""

    levels: str
    reason: str


def verdict_of(result: StudyResult) -> Verdict:
    """The verdict of a result in memory."""
    triage, cover = result.triage, result.triage.coverage
    others: dict[str, tuple[str, ...]] = {
        f.vertebra.level: tuple(name for name, _ in f.vertebra.alternatives)
        for f in result.findings
    }
    return Verdict(
        tier=triage.tier,
        levels=triage.levels,
        advice=triage.recommendation,
        assessed=cover.assessed,
        cut=cover.cut,
        unread=cover.unread,
        overruled=tuple(overruled(result)),
        others=others,
    )


def verdict_in(written: Mapping[str, Any]) -> Verdict:
    """The verdict that a result.json holds; one of schema 1 does not state what it covers.

    KeyError, TypeError or ValueError where it holds none.
    """
    triage = written["triage"]
    cover = triage.get("coverage", {})
    return Verdict(
        tier=Tier(triage["tier"]).value,
        levels=tuple(triage["levels"]),
        advice=triage["recommendation"],
        assessed=tuple(cover.get("assessed", ())),
        cut=tuple(cover.get("cut", ())),
        unread=tuple((one["level"], one["reason"]) for one in cover.get("unread", ())),
        overruled=tuple(f["level"] for f in written.get("findings", ()) if _is_overruled(f)),
        others={
            finding["level"]: tuple(other["level"] for other in finding["alternatives"])
            for finding in written.get("findings", ())
            if "alternatives" in finding
        },
    )


def _is_overruled(finding: Mapping[str, Any]) -> bool:
    seen = finding.get("assessment")
    intact = isinstance(seen, Mapping) and seen.get("reason") == Reason.INTACT
    return intact and bool(finding.get("suspected_fracture"))


def name_of(vertebra: Vertebra, t: Wording) -> str:
    """ "T12 or L1"."""
    return with_alternatives(
        vertebra.level, [name for name, _ in vertebra.alternatives], t("level.or")
    )


def named_levels(levels: Sequence[str], verdict: Verdict, t: Wording) -> str:
    """A few levels one by one, many as stretches; with the names they could as well have."""
    words = one_by_one(levels, verdict.others, t("level.or"))
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {t('level.and')} {words[-1]}"


def place(verdict: Verdict, t: Wording) -> str:
    """The levels that drive the verdict; where nothing is suspected, those that this covers."""
    if verdict.tier == Tier.NONE_SUSPECTED:
        return as_ranges(verdict.assessed, verdict.others, t("level.or"))
    return named_levels(verdict.levels, verdict, t)


def line(verdict: Verdict, t: Wording) -> str:
    """Verdict, levels, and what could not be read, in one line."""
    return t(f"verdict.{verdict.tier}") + rest_of_line(verdict, t)


def rest_of_line(verdict: Verdict, t: Wording) -> str:
    """What follows the verdict's own words in one line."""
    missing = gap_in_brackets(verdict, t)
    named_there = verdict.tier == Tier.NOT_ASSESSABLE and missing
    return missing if named_there else where(verdict, t) + missing


def where(verdict: Verdict, t: Wording) -> str:
    """The levels as they follow the verdict's words: ": L1", ", T2–T11"."""
    levels = place(verdict, t)
    if not levels:
        return ""
    return f"{',' if verdict.tier == Tier.NONE_SUSPECTED else ':'} {levels}"


def gap_in_brackets(verdict: Verdict, t: Wording) -> str:
    """What could not be read, to follow the verdict."""
    words = gap(verdict, t)
    return f" ({words})" if words else ""


def gap(verdict: Verdict, t: Wording) -> str:
    """What is in view and could not be read, and why; empty where there is nothing."""
    return grouped_by_reason(
        verdict.unread,
        lambda levels, reason: t("coverage.unread", levels=levels, reason=t.reason(reason)),
    )


def cut(verdict: Verdict, t: Wording) -> str:
    """What only the edge of the scan shows; empty where there is nothing."""
    return t("coverage.cut", levels=level_ranges(verdict.cut)) if verdict.cut else ""


def advice(verdict: Verdict, t: Wording) -> str:
    """What to do: the result's own sentence in English, ours in other languages."""
    if t.language == "en":
        return verdict.advice
    key = verdict.tier
    if key == Tier.NOT_ASSESSABLE and not verdict.unread:
        key = "nowhere"
    cut_off = t("coverage.cut_by", levels=level_ranges(verdict.cut)) if verdict.cut else ""
    told = t(
        f"recommendation.{key}",
        levels=place(verdict, t),
        why=gap_in_brackets(verdict, t),
        cut=f" ({cut_off})" if cut_off else "",
    )
    more = against(verdict, t) if key == Tier.NONE_SUSPECTED else ""
    return " ".join(filter(None, [told, more]))


def against(verdict: Verdict, t: Wording) -> str:
    """Where heights or detector spoke for a fracture that the classifier does not see; empty where
    they agree."""
    levels = named_levels(verdict.overruled, verdict, t)
    return t("page.overruled", levels=levels) if levels else ""


def also(result: StudyResult, t: Wording) -> str:
    """What else is suspected, outside the levels asked for or less urgently; empty if nothing."""
    levels = also_suspected(result)
    if not levels:
        return ""
    beyond = result.triage.tier is Tier.NONE_SUSPECTED
    words = named_levels(levels, verdict_of(result), t)
    return t("page.outside" if beyond else "page.also", levels=words)


def conclusion(result: StudyResult, t: Wording) -> str:
    """The verdict with its levels and what could not be read; then the rest of it."""
    words = [line(verdict_of(result), t), rest(result, t)]
    return ". ".join(filter(None, words))


def remarks(result: StudyResult) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*result.series.warnings, *result.run.warnings)))


def banner(intended_use: str, t: Wording) -> str | None:
    """What must be read before anything else; None for a model cleared for clinical use."""
    if intended_use == "clinical":
        return None
    known = t.known("intended_use", intended_use)
    return known or t("intended_use.other", use=intended_use)


def recommendation(result: StudyResult, t: Wording) -> str:
    """What to do; empty where nothing is suspected: verdict and levels are enough."""
    if result.triage.tier is Tier.NONE_SUSPECTED:
        return ""
    return advice(verdict_of(result), t)


def missing(result: StudyResult, t: Wording) -> str:
    """A sentence on what is in view and could not be read; empty where there is nothing, or the
    recommendation holds it."""
    if result.triage.tier is Tier.NOT_ASSESSABLE:
        return ""
    words = gap(verdict_of(result), t)
    return f"{words}." if words else ""


def rest(result: StudyResult, t: Wording) -> str:
    """Beside the verdict: what else is suspected; beside "not assessable", the levels that could
    be assessed, all without suspicion; where a suspicion was overruled; what the edge of the scan
    cuts; beside an all-clear, what it does not speak of. Empty if nothing."""
    tier = result.triage.tier
    spared = _fine(result, t) if tier is Tier.NOT_ASSESSABLE else ""
    scope = t("page.no_lesions") if tier is Tier.NONE_SUSPECTED else ""
    verdict = verdict_of(result)
    more = [spared, also(result, t), against(verdict, t), cut(verdict, t), scope]
    return " ".join(filter(None, more))


def _fine(result: StudyResult, t: Wording) -> str:
    fine = [f.vertebra.level for f in result.findings if status_of(f) is Status.UNREMARKABLE]
    return t("page.rest", levels=level_ranges(fine)) if fine else ""


def no_suspicion(result: StudyResult, t: Wording) -> str:
    """What stands where no vertebra is suspected; nothing where none could be assessed, as that
    would reassure without cause."""
    if result.triage.tier is Tier.NOT_ASSESSABLE:
        return _fine(result, t)
    return t("page.no_suspected")


def label_doubt(finding: Finding, t: Wording) -> str | None:
    """A sentence where the vertebra's name is not certain."""
    vertebra = finding.vertebra
    if vertebra.alternatives:
        names = ((vertebra.level, vertebra.label_probability), *vertebra.alternatives)
        words = f" {t('level.or')} ".join(f"{level} ({t.percent(p)})" for level, p in names)
        return t("card.label_other", names=words)
    if vertebra.label_probability >= _LABEL_DOUBT:
        return None
    return t("card.label_doubt", value=t.percent(vertebra.label_probability))


def unassessed(result: StudyResult, t: Wording) -> list[Group]:
    """Wholly in view and not judged: by reason, in the order of the spine."""
    reasons = {
        f.vertebra.level: status_reason(f) or Reason.LOW_CONFIDENCE
        for f in result.findings
        if status_of(f) is Status.NOT_ASSESSABLE
    }
    reasons |= dict(result.triage.coverage.unread)  # what was not found has no finding
    groups: dict[str, list[Level]] = {}
    for level in sorted(reasons):
        groups.setdefault(reasons[level], []).append(level)
    return [Group(level_ranges(levels), t.reason(reason)) for reason, levels in groups.items()]
