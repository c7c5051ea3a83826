"""How repeatable the answers are: each study again with other noise, place and kernel, and pairs
of scans of one patient. No truth is needed for it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vfx_edge.errors import UsageError
from vfx_edge.files import write_text
from vfx_edge.labelled.dataset import LabelledStudy
from vfx_edge.scoring.answers import Answer, Failed, Outcome, Task
from vfx_edge.scoring.perturb import AS_SCANNED, OUTLINE, PERTURBATIONS, Perturbation
from vfx_edge.scoring.repeat_features import (
    STABLE,
    FeaturePairs,
    FeatureRepeat,
    write_stable,
)
from vfx_edge.scoring.repeat_figures import repeat_figures
from vfx_edge.scoring.repeated import (
    PAIR,
    RepeatedStudy,
    RepeatRow,
    pairs_of,
    rows_of,
    write_repeats,
)
from vfx_edge.scoring.run import Approach, OnStudy, Progress, Wanted, approaches_of, outcomes

FOLDER = "repeats"
PAIR_WORDS = "two scans of one patient"


class PerturbationUnknown(UsageError):
    """A perturbation that there is not."""

    def __init__(self, name: str) -> None:
        known = ", ".join(one.name for one in PERTURBATIONS)
        super().__init__(f"there is no perturbation {name!r}: give some of {known}, or none.")


@dataclass(frozen=True)
class Repeated:
    """Of all model sets. figures: the content of `repeat.json`."""

    rows: tuple[RepeatRow, ...]
    studies: tuple[RepeatedStudy, ...]
    figures: Mapping[str, Any]
    features: tuple[FeatureRepeat, ...] = ()
    """How well each feature repeats; nothing where none was measured."""


def chosen(names: str, radiomics: bool = False) -> tuple[Perturbation, ...]:
    """ "noise,shift" -> those, and what they are compared with; "all", "none". radiomics: whether
    there is one for them, too. PerturbationUnknown."""
    wanted = [name.strip().lower() for name in names.split(",") if name.strip()]
    offered = (*PERTURBATIONS, OUTLINE) if radiomics else PERTURBATIONS
    if wanted == ["all"]:
        return offered
    known = {one.name: one for one in offered}
    for name in wanted:
        if name not in known and wanted != ["none"]:
            raise PerturbationUnknown(name)
    needed = {*wanted, *(known[name].against for name in wanted if name in known)}
    return tuple(one for one in offered if one.name in needed)


def repeat(
    wanted: Wanted,
    perturbations: Sequence[Perturbation] = PERTURBATIONS,
    run: Mapping[str, Any] | None = None,
    on_study: OnStudy | None = None,
) -> Repeated:
    """Studies as scanned are taken up from `evaluate`, where they were answered; like those, what
    is answered here is kept. Results and predictions of others are compared in pairs alone.

    run: what ran, as `evaluate` tells it. ModelError, BackendError, OutputError."""
    approaches = [*approaches_of(wanted)]
    studies = wanted.dataset.studies
    # only a model set can be asked about a scan that is made anew
    again = [_made_anew(one, studies, perturbations) for one in approaches if one.asks_networks]
    count = sum(len(one.tasks) for one in (*approaches, *again))
    progress = Progress(on_study or (lambda *_: None), count)
    plain = {one.name: outcomes(one, wanted, progress) for one in approaches}
    kept_apart = replace(wanted, folder=wanted.folder / FOLDER)
    anew = {one.name: outcomes(one, kept_apart, progress) for one in again}
    pairs = [
        pair
        for one in approaches
        for pair in (
            *_pairs(one.name, studies, plain[one.name]),
            *_perturbed(one.name, studies, plain[one.name], anew.get(one.name, {}), perturbations),
        )
    ]
    return _counted(pairs, perturbations, run or {})


Pair = tuple[RepeatedStudy, Outcome, Outcome]


def _made_anew(
    one: Approach, studies: Sequence[LabelledStudy], perturbations: Sequence[Perturbation]
) -> Approach:
    tasks = {
        _key(study.name, how.name): _alone(one.tasks[study.name], how)
        for study in studies
        if study.name in one.tasks
        for how in perturbations
    }
    return replace(one, tasks=tasks, refused={})


def _alone(task: Task, how: Perturbation) -> Task:
    return Task(task.path, perturbation=how.name, clinical=task.clinical)


def _key(study: str, perturbation: str) -> str:
    return f"{study}~{perturbation}"


def _pairs(
    model: str, studies: Sequence[LabelledStudy], plain: Mapping[str, Outcome]
) -> Iterator[Pair]:
    for study in studies:
        if study.repeat_of in plain:
            told = RepeatedStudy(model, PAIR, study.repeat_of, study.name, study.patient)
            yield told, plain[study.repeat_of], plain[study.name]


def _perturbed(
    model: str,
    studies: Sequence[LabelledStudy],
    plain: Mapping[str, Outcome],
    anew: Mapping[str, Outcome],
    perturbations: Sequence[Perturbation],
) -> Iterator[Pair]:
    for how in perturbations:
        for study in studies:
            second = anew.get(_key(study.name, how.name))
            if second is None:
                continue
            as_scanned = how.against == AS_SCANNED
            first = plain[study.name] if as_scanned else anew[_key(study.name, how.against)]
            told = RepeatedStudy(model, how.name, study.name, how.name, study.patient)
            yield told, first, second


def _counted(
    pairs: Iterable[Pair], perturbations: Sequence[Perturbation], run: Mapping[str, Any]
) -> Repeated:
    rows: list[RepeatRow] = []
    studies = []
    features = FeaturePairs()
    for told, first, second in pairs:
        if why := _failure(first) or _failure(second):
            studies.append(replace(told, failure=why))
            continue
        assert isinstance(first, Answer)
        assert isinstance(second, Answer)
        features.add(told, pairs_of(told, first, second))
        if told.comparison == OUTLINE.name:  # the answers are those of the same scan
            continue
        told = replace(told, verdict=first.tier, again_verdict=second.tier)
        studies.append(told)
        rows += rows_of(told, first, second)
    words = {PAIR: PAIR_WORDS, **{one.name: one.words for one in perturbations}}
    figures = repeat_figures(rows, studies, words, dict(run))
    return Repeated(tuple(rows), tuple(studies), figures, features.repeats())


def _failure(outcome: Outcome) -> str:
    """Nothing was answered; a scan in which no spine was found has a verdict, and counts."""
    return outcome.reason if isinstance(outcome, Failed) else ""


def write_repeat(folder: Path, repeated: Repeated) -> tuple[Path, ...]:
    """`repeat.json`, `repeats.csv`, `repeat.html`, and `stable.csv` where features were measured;
    OutputError."""
    from vfx_edge.scoring.repeat_page import repeat_page

    text = json.dumps(repeated.figures, indent=1, allow_nan=False, ensure_ascii=False)
    (folder / STABLE).unlink(missing_ok=True)  # of an earlier run
    stable = (write_stable(folder, repeated.features),) if repeated.features else ()
    return (
        write_repeats(folder / "repeats.csv", repeated.rows),
        write_text(folder / "repeat.html", repeat_page(repeated.figures, repeated.rows)),
        write_text(folder / "repeat.json", text + "\n"),
        *stable,
    )
