"""One word for what is known of a vertebra, for colours, icons and order of reading."""

from enum import StrEnum

from vfx_edge.study import (
    CauseNotClassified,
    Classified,
    Finding,
    Level,
    NotAssessable,
    NotClassified,
    StudyResult,
    Tier,
    Triage,
    tier_of,
)
from vfx_edge.vocabulary import Reason


class Status(StrEnum):
    """Most urgent first."""

    MALIGNANT = "malignant"
    UNCERTAIN = "uncertain"
    SUSPECTED = "suspected"
    """Of uncertain cause, too, but no network was able to tell it."""
    OSTEOPOROTIC = "osteoporotic"
    NOT_ASSESSABLE = "not_assessable"
    TRUNCATED = "truncated"
    """Only the edge of the scan shows it: not in view."""
    UNREMARKABLE = "unremarkable"
    NOT_EXAMINED = "not_examined"
    NOT_FOUND = "not_found"

    @property
    def urgency(self) -> int:
        """0 is the most urgent."""
        return list(Status).index(self)


def status_of(finding: Finding) -> Status:
    """ "Cannot tell" stays "cannot tell": only a height loss that was measured is unremarkable."""
    match finding.assessment:
        case Classified(tier=tier):
            return Status(tier.value)
        case CauseNotClassified():
            return Status.SUSPECTED
        case NotClassified() if finding.suspected_fracture is not None:
            return Status.SUSPECTED if finding.suspected_fracture else Status.UNREMARKABLE
        case NotClassified() if not finding.seen_intact:
            return Status.NOT_EXAMINED
        case NotAssessable(reason=reason) | NotClassified(reason=reason):
            cut = Reason.TRUNCATED in (reason, finding.measurement.reason)
            return Status.TRUNCATED if cut else Status.NOT_ASSESSABLE


def suspected_by(finding: Finding) -> str:
    """ "heights", "network" or "both"; empty where nothing is suspected, and where no network was
    asked: then it can only be the heights."""
    measured = finding.measurement
    if measured.detection is None or not measured.suspected_fracture:
        return ""
    if not measured.detection.suspected:
        return "heights"
    return "both" if measured.suspected_by_heights else "network"


def only_on_request(finding: Finding) -> bool:
    """Classified because it was asked for: no loss of height and no network suspects a fracture."""
    suspected = finding.measurement.suspected_fracture
    return isinstance(finding.assessment, Classified) and suspected is False


def is_card(finding: Finding, triage: Triage) -> bool:
    """Whether the vertebra is one to look at: suspected, or one that drives the verdict.

    Levels that only make the study "not assessable" are listed, not shown as suspected.
    """
    if finding.suspected_fracture:
        return True
    drives = finding.vertebra.level in triage.levels
    return drives and tier_of(finding.assessment) is not None


def to_look_at(result: StudyResult) -> list[Finding]:
    """The vertebrae that get a card, a picture and key images: the most urgent first."""
    shown = [finding for finding in result.findings if is_card(finding, result.triage)]
    return sorted(shown, key=lambda f: (status_of(f).urgency, f.vertebra.level.rank))


def also_suspected(result: StudyResult) -> list[Level]:
    """The levels with a suspected fracture that the verdict does not name."""
    suspected = [f.vertebra.level for f in result.findings if f.suspected_fracture]
    return [level for level in suspected if level not in result.triage.levels]


def overruled(result: StudyResult) -> list[Level]:
    """The levels where the classifier sees no fracture and heights or detector spoke for one."""
    return [f.vertebra.level for f in result.findings if f.overruled]


def verdict_status(result: StudyResult) -> Status:
    """The verdict's sign; no tick where nothing is suspected at the levels asked for, but
    elsewhere."""
    if result.triage.tier is not Tier.NONE_SUSPECTED:
        return Status(result.triage.tier.value)
    return Status.SUSPECTED if also_suspected(result) else Status.UNREMARKABLE


def verdict_sign(result: StudyResult) -> str:
    """The verdict's icon and colour in a page: a full green tick where nothing is suspected and
    all that is in view was judged, by heights and networks alike."""
    status = verdict_status(result)
    agreed = result.triage.coverage.complete and not overruled(result)
    full = status is Status.UNREMARKABLE and agreed
    return Tier.NONE_SUSPECTED.value if full else status.value


def status_reason(finding: Finding) -> str | None:
    """The reason code that goes with the status; None where there is nothing to explain."""
    explained = status_of(finding) in (Status.SUSPECTED, Status.NOT_ASSESSABLE)
    if finding.seen_intact:
        return finding.measurement.reason if explained else Reason.INTACT
    match finding.assessment:
        case CauseNotClassified(because=because):
            return because
        case NotClassified(reason=reason) | NotAssessable(reason=reason) if explained:
            return reason
        case _:
            return None
