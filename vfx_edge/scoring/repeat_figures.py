"""Rows of repeats -> `repeat.json`, schema `vfx-edge/repeat/1`."""

from collections.abc import Callable, Sequence
from typing import Any

from vfx_edge.evaluation.repeatability import (
    Change,
    Flips,
    Limits,
    WithinSubject,
    change,
    clustered_limits,
    flips,
    within_subject,
)
from vfx_edge.scoring.repeated import PAIR, RepeatedStudy, RepeatRow
from vfx_edge.scoring.shares import estimate

SCHEMA = "vfx-edge/repeat/1"
HEIGHTS = ("anterior_mm", "middle_mm", "posterior_mm")
MEASURES = (*HEIGHTS, "height_loss")
NO_PAIR = "no vertebra has it in both"

Json = dict[str, Any]
Rows = Sequence[RepeatRow]


def repeat_figures(
    rows: Rows, studies: Sequence[RepeatedStudy], words: dict[str, str], run: Json
) -> Json:
    """words: comparison -> what was done. Each model set's comparisons in their order."""
    models: Json = {}
    for study in studies:
        made = models.setdefault(study.model, {})
        if study.comparison not in made:
            made[study.comparison] = comparison(
                words.get(study.comparison, study.comparison),
                [row for row in rows if _of(row, study)],
                [one for one in studies if _of(one, study)],
            )
    failures = [
        {"study": one.study, "model": one.model, "comparison": one.comparison,
         "reason": one.failure}
        for one in studies if one.failure
    ]  # fmt: skip
    return {"schema": SCHEMA, "models": models, "failures": failures, "run": run}


def _of(one: RepeatRow | RepeatedStudy, study: RepeatedStudy) -> bool:
    return (one.model, one.comparison) == (study.model, study.comparison)


def comparison(words: str, rows: Rows, studies: Sequence[RepeatedStudy]) -> Json:
    """All figures of one way to repeat, of one model set."""
    read = [one for one in studies if not one.failure]
    both = [row for row in rows if row.level and row.again_level]
    judged = [row for row in both if row.judged]
    suspected = [row for row in both if row.suspected]
    return {
        "words": words,
        "matched_by": "name" if studies and studies[0].comparison == PAIR else "place",
        "patients": len({one.patient for one in read}),
        "studies": len(read),
        "failed": len(studies) - len(read),
        "vertebrae": {
            "both": len(both),
            "judged": len(judged),
            "only_first": sum(1 for row in rows if row.judged and not row.again_level),
            "only_second": sum(1 for row in rows if row.judged and not row.level),
            "renamed": sum(row.level != row.again_level for row in both),
        },
        "measures": {name: measure(both, name) for name in MEASURES},
        "p_malignant": {"all": _change(both), "suspected": _change(suspected)},
        "flips": {
            "verdict": _verdicts(read),
            "vertebra": _flips(judged, lambda r: r.verdict, lambda r: r.again_verdict),
            "cause": _flips(suspected, lambda r: r.cause, lambda r: r.again_cause),
        },
    }


def measure(rows: Rows, name: str) -> Json:
    """Of one height in mm, or of the loss of height: within-subject deviation, bias, limits."""
    known = _with(rows, name)
    first, second = _both(known, name)
    patients = [row.patient for row in known]
    subjects = list(range(len(known))) * 2
    found = within_subject(first + second, subjects, patients * 2)
    between = clustered_limits(first, second, patients)
    return {"n": len(known), **_within(found), **_limits(between)}


def _with(rows: Rows, name: str) -> list[RepeatRow]:
    """Those that have it in both answers."""
    return [row for row in rows if None not in (getattr(row, name), getattr(row, f"again_{name}"))]


def _both(rows: Rows, name: str) -> tuple[list[float], list[float]]:
    return [getattr(row, name) for row in rows], [getattr(row, f"again_{name}") for row in rows]


def _within(found: WithinSubject | None) -> Json:
    return {
        "within_sd": estimate(found.sd if found else None, NO_PAIR),
        "coefficient": estimate(found.coefficient if found else None, NO_PAIR),
    }


def _limits(found: Limits | None) -> Json:
    why = "it takes two vertebrae that have it in both"
    return {
        "bias": estimate(found.bias if found else None, why),
        "lower": estimate(found.lower if found else None, why),
        "upper": estimate(found.upper if found else None, why),
    }


def _change(rows: Rows) -> Json:
    known = _with(rows, "p_malignant")
    found: Change | None = change(*_both(known, "p_malignant"), [row.patient for row in known])
    return {
        "n": len(known),
        "mean": estimate(found.mean if found else None, NO_PAIR),
        "sd": found.sd if found else None,
        "largest": found.largest if found else None,
        "changed": estimate(found.changed if found else None, NO_PAIR),
    }


def _verdicts(studies: Sequence[RepeatedStudy]) -> Json:
    found = flips(
        [one.verdict for one in studies],
        [one.again_verdict for one in studies],
        [one.patient for one in studies],
    )
    return _flipped(found, "no study has both verdicts")


def _flips(
    rows: Rows, first: Callable[[RepeatRow], str], second: Callable[[RepeatRow], str]
) -> Json:
    patients = [row.patient for row in rows]
    found = flips([first(row) for row in rows], [second(row) for row in rows], patients)
    return _flipped(found, "no such vertebra was found in both")


def _flipped(found: Flips | None, why: str) -> Json:
    pairs = sorted(found.pairs.items()) if found else []
    return {
        "n": found.n if found else 0,
        "share": estimate(found.share if found else None, why),
        "pairs": [{"first": a, "second": b, "count": n} for (a, b), n in pairs],
    }
