"""What a worker is told of a study, and what it tells when the study's files lie there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from vfx_edge.crew.records import Records
from vfx_edge.inputs.dicomweb_server import Server
from vfx_edge.scoring.answers import Count, LevelName, Positive, TierName, Word
from vfx_edge.study import Clinical, StudyResult, Tier

Words = Annotated[str, Meta(pattern=r"^[^\x00-\x1f]*$", max_length=200)]
Levels = Annotated[tuple[LevelName, ...], Meta(max_length=60)]


@dataclass(frozen=True)
class Task:
    """A study. out: its folder of results. files: only these of the path; none: all. key: of its
    record. clinical: what is known of its patient besides the header. study: of an archive only
    this one, or the one that the server is asked for."""

    path: Path
    out: Path
    files: tuple[str, ...] = ()
    key: str = ""
    clinical: Clinical | None = None
    study: str = ""
    server: Server | None = None


@dataclass(frozen=True)
class Done:
    """A study whose files are there. levels: that drive the verdict. The counts are of vertebrae;
    unread: in view and not judged."""

    tier: TierName
    levels: Levels
    assessed: Levels
    unread: Count
    suspected: Count
    malignant: Count
    osteoporotic: Count
    uncertain: Count
    slices: Count
    slice_mm: Positive
    backend: Word
    device: Words
    precision: Words
    seconds: Positive
    warnings: Count


def records_of(out: Path) -> Records[Done]:
    """What is done so far of the batch in `out`."""
    return Records(out, "batch", Done, "records")


def done_of(result: StudyResult) -> Done:
    """What the summary needs of a result."""
    tiers = [getattr(finding.assessment, "tier", None) for finding in result.findings]
    coverage, use = result.triage.coverage, result.run.backend
    return Done(
        tier=result.triage.tier.value,
        levels=tuple(level.value for level in result.triage.levels),
        assessed=tuple(level.value for level in coverage.assessed),
        unread=len(coverage.unread),
        suspected=sum(one.measurement.suspected_fracture is True for one in result.findings),
        malignant=tiers.count(Tier.MALIGNANT),
        osteoporotic=tiers.count(Tier.OSTEOPOROTIC),
        uncertain=tiers.count(Tier.UNCERTAIN),
        slices=int(result.series.slices),
        slice_mm=round(float(result.series.spacing_mm[2]), 4),
        backend=use.used.replace("-", "_"),
        device=_plain(use.device),
        precision=_plain(use.precision),
        seconds=round(float(result.run.seconds["total"]), 3),
        warnings=len(result.run.warnings),
    )


def _plain(words: str) -> str:
    return "".join(c if c.isprintable() else " " for c in words)[:200]
