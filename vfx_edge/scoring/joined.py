"""Answers and labels of a study, put together as the rows of an evaluation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vfx_edge.labelled.dataset import Facts, Label, LabelledStudy, Row
from vfx_edge.scoring.answers import Answer, Failed, Known, Outcome, Seen
from vfx_edge.scoring.figures_slices import words
from vfx_edge.scoring.rows import StudyRow, VertebraRow
from vfx_edge.study import THORACOLUMBAR, Level
from vfx_edge.vocabulary import Reason

FAILED = "failed"


@dataclass(frozen=True)
class Rows:
    """Of one study and one model set, or of many."""

    vertebrae: tuple[VertebraRow, ...]
    studies: tuple[StudyRow, ...]


def joined(
    model: str, study: LabelledStudy, outcome: Outcome, missing: str = Reason.NOT_FOUND
) -> Rows:
    """Vertebrae head to feet: those of labels.csv, and those that only the experts' mask or
    centres tell of. missing: the reason where nothing was found."""
    answer = Answer((), (), "") if isinstance(outcome, Failed) else outcome
    failure = outcome.reason if isinstance(outcome, Failed) else outcome.failure
    known = {one.level: one for one in answer.known}
    labelled = {row.level.value: row for row in study.rows}
    levels = sorted({*known, *labelled}, key=lambda name: Level(name).rank)
    rows = tuple(
        _placed(
            _labelled(model, study, name, labelled.get(name), answer),
            known.get(name),
            answer.seen,
            FAILED if failure else missing,
        )
        for name in levels
    )
    counts = [row for row in rows if row.whole and row.level in THORACOLUMBAR]
    about = StudyRow(
        model=model,
        study=study.name,
        patient=study.patient,
        split=study.split or "",
        truth=truth_of(study),
        tier=answer.tier,
        failure=failure,
        mask_by="" if isinstance(outcome, Failed) else answer.mask_by,
        vertebrae=len(counts),
        found=sum(bool(row.called) for row in counts),
        identified=sum(bool(row.identified) for row in counts),
        doubled=answer.doubled,
        invented=answer.invented,
        seconds=answer.seconds,
    )
    return Rows(rows, (about,))


def together(parts: Sequence[Rows]) -> Rows:
    """One after the other."""
    return Rows(
        tuple(row for part in parts for row in part.vertebrae),
        tuple(row for part in parts for row in part.studies),
    )


def truth_of(study: LabelledStudy) -> str:
    """The most urgent label of a study: malignant, osteoporotic, none; "" where nothing is
    labelled, or all of it is excluded."""
    labels = {row.label for row in study.rows}
    for label in (Label.MALIGNANT, Label.OSTEOPOROTIC):
        if label in labels:
            return label.value
    return "none" if labels - {Label.EXCLUDED} else ""


def _labelled(
    model: str, study: LabelledStudy, level: str, row: Row | None, answer: Answer
) -> VertebraRow:
    """What is known of a vertebra before anything is found. Facts of the patient and the scan
    hold for a vertebra without a line of its own, too."""
    facts = row.facts if row else next(_shared(study.rows), Facts())
    return VertebraRow(
        model=model,
        study=study.name,
        patient=study.patient,
        split=study.split or "",
        level=level,
        label=row.label.value if row else "",
        row=row.number if row else None,
        genant=facts.genant,
        gold_standard=facts.gold_standard,
        sex=facts.sex,
        age=facts.age,
        contrast=answer.contrast if facts.contrast is None else facts.contrast,
        scanner=facts.scanner,
        slice_mm=answer.slice_mm,
        readings=row.readings if row else {},
    )


def _shared(rows: Sequence[Row]) -> Iterator[Facts]:
    for row in rows:
        yield replace(row.facts, genant=None, gold_standard="")


def _placed(
    row: VertebraRow, known: Known | None, seen: Sequence[Seen], missing: str
) -> VertebraRow:
    """With what was found in the vertebra's place, or, where no place is known, under its name."""
    if known is None:
        found = next((one for one in seen if one.level == row.level), None)
        return _found(row, found, missing)
    row = replace(
        row,
        whole=known.whole,
        distance_mm=known.distance_mm,
        named_distance_mm=known.named_distance_mm,
        identified=known.identified,
        dice=known.dice,
        assd_mm=known.assd_mm,
        hd_mm=known.hd_mm,
        hd95_mm=known.hd95_mm,
        place_dice=known.place_dice,
    )
    return _found(row, None if known.finding is None else seen[known.finding], missing)


def _found(row: VertebraRow, found: Seen | None, missing: str) -> VertebraRow:
    if found is None:
        return replace(row, reason=missing)
    return replace(
        row,
        called=found.level,
        probability=found.probability,
        anterior_mm=found.anterior_mm,
        middle_mm=found.middle_mm,
        posterior_mm=found.posterior_mm,
        height_loss=found.height_loss,
        suspected=found.suspected,
        p_osteoporotic=found.p_osteoporotic,
        p_malignant=found.p_malignant,
        p_malignant_slices=words(found.p_malignant_slices),
        tier=found.tier,
        reason=found.reason,
        features=found.features,
        p_network=found.p_network,
        p_tabular=found.p_tabular,
    )
