"""What the program's answer does to readers: each without and with it, on the same cases."""

from collections.abc import Mapping

import numpy as np

from vfx_edge.evaluation.intervals import Estimate
from vfx_edge.evaluation.roc import auc_delong, delong_test
from vfx_edge.labelled.folders import key_of
from vfx_edge.scoring.about import About
from vfx_edge.scoring.cases import Bools, Cases, Floats
from vfx_edge.scoring.readings import (
    AIDED,
    CALLS,
    CANNOT_TELL,
    NOT_SHOWN,
    PASSES,
    UNAIDED,
    WITH_CONFIDENCE,
    Reading,
    Readings,
)
from vfx_edge.scoring.shares import NO_CASE, Json, estimate

HALF, STEP = 0.5, 0.1
"""An answer as a rating: a half, and a tenth for each step of confidence away from it."""
BOTH = "it takes cases of both classes that were read both times"


def rating(reading: Reading) -> float | None:
    """0 (surely osteoporotic) .. 1 (surely malignant); None where the reader could not tell."""
    if reading.answer not in CALLS:
        return None
    if reading.answer not in WITH_CONFIDENCE:
        return HALF
    away = STEP * (reading.confidence or 1)
    return HALF + away if reading.answer == "malignant" else HALF - away


def reading(cases: Cases, readings: Readings, about: About) -> list[Json]:
    """The figures of each reader, in the order of appearance. cases: of the model whose answer was
    shown."""
    names = dict.fromkeys(one.reader for one in readings.lines)
    return [_reader(name, cases, readings, about) for name in names]


Said = Mapping[tuple[str, str], Reading]


def _reader(name: str, cases: Cases, readings: Readings, about: About) -> Json:
    own = [one for one in readings.answers if one.reader == name]
    passes: dict[str, Said] = {
        which: {(key_of(one.study), one.level): one for one in own if one.aided == (which == AIDED)}
        for which in PASSES
    }
    hidden = {one.key for one in readings.lines if one.reader == name and one.answer == NOT_SHOWN}
    return {
        "reader": name,
        "cases": len(cases),
        "not_shown": len(hidden),
        **{which: _pass(passes[which], cases, about) for which in PASSES},
        **_difference(passes, cases, about),
        "changed": _changed(passes, cases),
    }


def _ratings(said: Said, cases: Cases) -> Floats:
    """(n,) NaN where there is none."""
    found = []
    for row in cases.rows:
        one = said.get((key_of(row.study), row.level))
        told = None if one is None else rating(one)
        found.append(np.nan if told is None else told)
    return np.array(found, float)


def _pass(said: Said, cases: Cases, about: About) -> Json:
    rated = _ratings(said, cases)
    read: Bools = np.isfinite(rated)
    own = cases.where(read)
    area = _auc(rated[read], own, about)
    answers = [said[k] for row in cases.rows if (k := (key_of(row.study), row.level)) in said]
    return {
        "read": len(answers),
        "cannot_tell": sum(one.answer == CANNOT_TELL for one in answers),
        "uncertain": sum(one.answer == "uncertain" for one in answers),
        "auc": estimate(area, NO_CASE["auc"], len(own)),
        "seconds": _seconds([one.seconds for one in answers if one.seconds is not None]),
    }


def _auc(score: Floats, cases: Cases, about: About) -> Estimate | None:
    if not len(cases):
        return None
    patients = None if cases.one_each else cases.patients
    return auc_delong(score, cases.truth, patients, about.confidence)


def _seconds(each: list[float]) -> Json:
    """Quartiles; a case that was interrupted has no time and is not counted."""
    if not each:
        return {"n": 0, "median": None, "low": None, "high": None}
    low, median, high = (round(float(q), 1) for q in np.percentile(each, (25, 50, 75)))
    return {"n": len(each), "median": median, "low": low, "high": high}


def _difference(passes: Mapping[str, Said], cases: Cases, about: About) -> Json:
    """AUC with the answer less that without, on the cases read both times (DeLong, paired)."""
    before, after = (_ratings(passes[which], cases) for which in PASSES)
    both = np.isfinite(before) & np.isfinite(after)
    own = cases.where(both)
    patients = None if own.one_each else own.patients
    answered = own.where(own.has_p)
    test = (
        delong_test(after[both], before[both], own.truth, patients, about.confidence)
        if len(own)
        else None
    )
    return {
        "both": len(own),
        "difference": estimate(None if test is None else test.difference, BOTH, len(own)),
        "p_value": None if test is None else test.p_value,
        "program_auc": estimate(_auc(answered.p, answered, about), NO_CASE["auc"], len(answered)),
    }


def _changed(passes: Mapping[str, Said], cases: Cases) -> Json:
    """What became of the calls: kept, right only with the answer, right only without, or another
    one that is as wrong."""
    found = dict.fromkeys(("kept", "to_right", "to_wrong", "otherwise"), 0)
    for row in cases.rows:
        key = key_of(row.study), row.level
        before, after = (passes[which].get(key) for which in (UNAIDED, AIDED))
        if before is None or after is None:
            continue
        if before.answer == after.answer:
            found["kept"] += 1
        elif after.answer == row.label:
            found["to_right"] += 1
        elif before.answer == row.label:
            found["to_wrong"] += 1
        else:
            found["otherwise"] += 1
    return found
