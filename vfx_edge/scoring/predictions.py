"""Answers of another program, or of a publication, from a CSV file: through the same tables."""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vfx_edge.errors import InputError
from vfx_edge.inputs.segment_names import vertebra_label
from vfx_edge.labelled.dataset import LabelledStudy, Problem
from vfx_edge.scoring.answers import Answer, Failed, Seen
from vfx_edge.scoring.joined import Rows, joined
from vfx_edge.study import Level, Tier

REQUIRED = ("study", "level")
CHANCES = ("p_malignant", "p_osteoporotic")
TIERS = (Tier.MALIGNANT, Tier.OSTEOPOROTIC, Tier.UNCERTAIN, Tier.NOT_ASSESSABLE)
NOT_TOLD = "not_told"
"""Why a vertebra has no answer: the file says nothing of it."""
NO_LINE = "the file of predictions has no line of this study: add it, or leave the study out with --split."
MOST_BYTES = 2**26
_NOTHING = ("", "-", "na", "n/a", "nan", "none", "null")
_TO_ONE = 1e-3
"""How far the two probabilities may be from adding up to one."""


class PredictionsUnreadable(InputError):
    """The file is no table of predictions, or none of its lines can be used."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} holds no predictions ({why}): write a CSV file with the columns study, "
            "level, p_malignant and, if there are any, p_osteoporotic and tier."
        )


@dataclass(frozen=True)
class Predicted:
    """An approach of another program. seen: study -> its answers; they have no place."""

    name: str
    file: str
    seen: Mapping[str, tuple[Seen, ...]]
    problems: tuple[Problem, ...] = ()


def read_predictions(path: Path, name: str) -> Predicted:
    """What can't be used is a problem with its line, and the rest counts.
    PredictionsUnreadable."""
    seen: dict[str, dict[str, Seen]] = {}
    problems = []
    for number, cells in _lines(path):
        try:
            study, one = _answer(cells)
            if one.level in seen.get(study, {}):
                raise ValueError(f"{one.level} of this study was answered above; this line is left")
        except ValueError as error:
            sentence = f"{path.name}, line {number}: {error}."
            problems.append(Problem(None, sentence))
        else:
            seen.setdefault(study, {})[one.level] = one
    if not seen:
        raise PredictionsUnreadable(path, problems[0].sentence if problems else "it is empty")
    every = {study: tuple(of.values()) for study, of in seen.items()}
    return Predicted(name, path.name, every, tuple(problems))


def predicted(one: Predicted, study: LabelledStudy) -> Rows:
    """The rows of one study: its labelled vertebrae, by their names. Nothing is told of places."""
    seen = one.seen.get(study.name)
    if seen is None:
        rows = joined(one.name, study, Failed(NO_LINE))
    else:
        rows = joined(one.name, study, Answer(seen, (), "", mask_by=""), missing=NOT_TOLD)
    return rows


def _answer(cells: Mapping[str, str]) -> tuple[str, Seen]:
    """ValueError in words."""
    study = cells.get("study", "").strip()
    label = vertebra_label(cells.get("level", "").strip())
    if not study or label is None:
        raise ValueError("study or level is none that is known; write a level as L1")
    malignant, osteoporotic = (_chance(cells, name) for name in CHANCES)
    tier = cells.get("tier", "").strip().lower()
    tier = "" if tier in _NOTHING else tier
    if tier and tier not in TIERS:
        raise ValueError(f"tier is none of {', '.join(TIERS)}")
    if malignant is None and not tier:
        raise ValueError("it has neither p_malignant nor a tier")
    if malignant is not None and osteoporotic is not None:
        if malignant + osteoporotic > 1 + _TO_ONE:
            raise ValueError("p_malignant and p_osteoporotic are more than 1 together")
    elif malignant is not None:
        osteoporotic = 1 - malignant
    return study, Seen(
        Level.from_verse(label).value,
        p_malignant=malignant,
        p_osteoporotic=osteoporotic,
        tier=tier,
    )


def _chance(cells: Mapping[str, str], name: str) -> float | None:
    text = cells.get(name, "").strip()
    if text.lower() in _NOTHING:
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is no probability from 0 to 1")
    return value


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Line number, and its cells by their columns' names. PredictionsUnreadable."""
    try:
        data = path.read_bytes() if path.stat().st_size <= MOST_BYTES else b""
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise PredictionsUnreadable(path, why or type(error).__name__) from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = [cell.strip().lower() for cell in next(lines, [])]
        missing = [name for name in REQUIRED if name not in header]
        if missing:
            raise PredictionsUnreadable(path, f"it has no column {', '.join(missing)}")
        for line in lines:
            if any(cell.strip() for cell in line):
                yield lines.line_num, dict(zip(header, line, strict=False))
    except csv.Error as error:
        raise PredictionsUnreadable(path, f"line {lines.line_num} is damaged") from error
