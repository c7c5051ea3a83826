"""Answers of another program, or of a publication, from a CSV file: through the same tables."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vfx_edge.errors import InputError
from vfx_edge.labelled.dataset import LabelledStudy, Problem
from vfx_edge.labelled.errors import ColumnsMissing, NotALabelFile
from vfx_edge.labelled.folders import key_of
from vfx_edge.labelled.table import Columns, Line, read_table
from vfx_edge.labelled.words import is_missing, level_of, name_of
from vfx_edge.scoring.answers import TO_ONE, Answer, Failed, Seen
from vfx_edge.scoring.joined import Rows, joined
from vfx_edge.study import Tier

CHANCES = ("p_malignant", "p_osteoporotic")
COLUMNS = Columns(("study", "level", *CHANCES, "tier"), ("study", "level"))
TIERS = (Tier.MALIGNANT, Tier.OSTEOPOROTIC, Tier.UNCERTAIN, Tier.NOT_ASSESSABLE)
NOT_TOLD = "not_told"
"""Why a vertebra has no answer: the file says nothing of it."""
NO_LINE = "the file of predictions has no line of this study: add it, or leave it out by --split."


class PredictionsUnreadable(InputError):
    """The file is no table of predictions, or none of its lines can be used."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} holds no predictions ({why}): write a CSV file with the columns study, "
            "level, p_malignant and, if there are any, p_osteoporotic and tier."
        )


@dataclass(frozen=True)
class Predicted:
    """An approach of another program. seen: key of a study -> its answers, which have no place."""

    name: str
    file: str
    seen: Mapping[str, tuple[Seen, ...]]
    problems: tuple[Problem, ...] = ()


def read_predictions(path: Path, name: str) -> Predicted:
    """What can't be used is a problem with its line, and the rest counts.
    PredictionsUnreadable, PathMissing, PathUnreadable."""
    try:
        lines = read_table(path, COLUMNS).lines
    except (NotALabelFile, ColumnsMissing) as error:
        raise PredictionsUnreadable(path, error.why) from None
    seen: dict[str, dict[str, Seen]] = {}
    problems = []
    for line in lines:
        try:
            told_of, one = _answer(line)
            study = key_of(told_of)
            if one.level in seen.get(study, {}):
                raise ValueError(f"{one.level} of this study was answered above; this line is left")
        except ValueError as error:
            sentence = f"{path.name}, row {line.number}: {error}."
            problems.append(Problem(None, sentence))
        else:
            seen.setdefault(study, {})[one.level] = one
    if not seen:
        raise PredictionsUnreadable(path, problems[0].sentence if problems else "it is empty")
    every = {study: tuple(of.values()) for study, of in seen.items()}
    return Predicted(name, path.name, every, tuple(problems))


def predicted(one: Predicted, study: LabelledStudy) -> Rows:
    """The rows of one study: its labelled vertebrae, by their names. Nothing is told of places."""
    seen = one.seen.get(key_of(study.name))
    if seen is None:
        rows = joined(one.name, study, Failed(NO_LINE))
    else:
        rows = joined(one.name, study, Answer(seen, (), "", mask_by=""), missing=NOT_TOLD)
    return rows


def _answer(cells: Line) -> tuple[str, Seen]:
    """ValueError in words."""
    study, level = name_of(cells.get("study")), level_of(cells.get("level"))
    malignant, osteoporotic = (_chance(cells, name) for name in CHANCES)
    tier = "" if is_missing(cells.get("tier")) else cells.get("tier").lower()
    if tier and tier not in TIERS:
        raise ValueError(f"tier is none of {', '.join(TIERS)}")
    if malignant is None and not tier:
        raise ValueError("it has neither p_malignant nor a tier")
    if malignant is not None and osteoporotic is not None:
        if malignant + osteoporotic > 1 + TO_ONE:
            raise ValueError("p_malignant and p_osteoporotic are more than 1 together")
    elif malignant is not None:
        osteoporotic = 1 - malignant
    return study, Seen(
        level.value,
        p_malignant=malignant,
        p_osteoporotic=osteoporotic,
        tier=tier,
    )


def _chance(cells: Line, name: str) -> float | None:
    if is_missing(text := cells.get(name)):
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is no probability from 0 to 1")
    return value
