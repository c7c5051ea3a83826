"""Before the cause is asked: vertebrae found and named, outlined, and suspected of a fracture."""

from collections.abc import Iterable, Sequence

import numpy as np

from vfx_edge.evaluation.agreement import cohen_kappa
from vfx_edge.labelled.dataset import Label
from vfx_edge.scoring.about import About
from vfx_edge.scoring.cases import FRACTURED, patient_of
from vfx_edge.scoring.rows import StudyRow, VertebraRow
from vfx_edge.scoring.shares import Json, estimate, share
from vfx_edge.spine.height_loss import genant_grade
from vfx_edge.vocabulary import Level

DISTANCES = ("assd_mm", "hd95_mm", "hd_mm")
NO_PLACE = "No study has known places of its vertebrae"
GRADES = (0, 1, 2, 3)


def detection(rows: Sequence[VertebraRow], studies: Sequence[StudyRow], about: About) -> Json:
    """Found and named over the vertebrae wholly in view whose place is known; studies that failed
    have none. id_rate, d_mean_mm: as VerSe counts them, the latter from each vertebra to what has
    its name, without those whose name nothing has; distance_mm: to what is in its place. doubled,
    invented: findings, of all studies."""
    places = [row for row in rows if row.whole and row.identified is not None]
    rate = _share(places, "identified", about, NO_PLACE)
    return {
        "vertebrae": len(places),
        "found": sum(bool(row.called) for row in places),
        "identified": rate["count"] or 0,
        "id_rate": rate["value"],
        "id_rate_interval": rate,
        "d_mean_mm": _mean(row.named_distance_mm for row in places),
        "named": sum(row.named_distance_mm is not None for row in places),
        "distance_mm": _mean(row.distance_mm for row in places),
        "doubled": sum(study.doubled for study in studies),
        "invented": sum(study.invented for study in studies),
        "why": None if places else f"{NO_PLACE}.",
    }


def _share(rows: Sequence[VertebraRow], name: str, about: About, why: str) -> Json:
    hits = [bool(getattr(row, name)) for row in rows]
    return share(hits, [patient_of(row) for row in rows], about, why)


def outlines(rows: Sequence[VertebraRow]) -> Json:
    """Means by level, "all" over all vertebrae with an expert's outline that are wholly in view:
    count. `dice` is that of the outline of the same name, 0 where there is none, as the challenge
    counts it; missing: how many. `dice_of_found` and the distances, which a missing one does not
    have, are of the others; `dice_in_place` is of what was outlined there, whatever it is called.
    """
    drawn = [row for row in rows if row.dice is not None and row.whole is not False]
    own = {row.level for row in drawn}
    levels = [level.value for level in Level if level.value in own]
    groups = {"all": drawn} | {level: [r for r in drawn if r.level == level] for level in levels}
    there = {name: [row for row in of if not _missing(row)] for name, of in groups.items()}
    return {
        "dice": {name: _mean(row.dice for row in of) for name, of in groups.items()},
        "dice_of_found": {name: _mean(row.dice for row in of) for name, of in there.items()},
        "dice_in_place": {name: _mean(row.place_dice for row in of) for name, of in groups.items()},
        **{key: {name: _mean(getattr(row, key) for row in of) for name, of in there.items()}
           for key in DISTANCES},
        "count": {name: len(of) for name, of in groups.items()},
        "missing": {name: len(of) - len(there[name]) for name, of in groups.items()},
        "why": None if drawn else "No study has outlines of an expert.",
    }  # fmt: skip


def _missing(row: VertebraRow) -> bool:
    """Whether no outline has its name: two outlines that do not touch have a distance."""
    return row.assd_mm is None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def suspicion(rows: Sequence[VertebraRow], about: About) -> Json:
    """What loss of height alone says: the share suspected among fractured and among intact
    vertebrae, of those that it could judge, and the Genant grade against the label's."""
    fractured = [row for row in rows if row.label in FRACTURED]
    intact = [row for row in rows if row.label == Label.INTACT]
    lesions = [row for row in rows if row.label == Label.INTACT_LESION]
    groups = {"fractured": fractured, "intact": intact, "intact_lesion": lesions}
    return {
        **{name: _suspected(of, about, name) for name, of in groups.items()},
        "not_judged": {name: sum(row.suspected is None for row in of)
                       for name, of in groups.items()},
        "genant": _genant(rows, about),
    }  # fmt: skip


def _suspected(rows: Sequence[VertebraRow], about: About, name: str) -> Json:
    judged = [row for row in rows if row.suspected is not None]
    why = f"no vertebra labelled {name} could be judged by its height"
    return _share(judged, "suspected", about, why)


def _genant(rows: Sequence[VertebraRow], about: About) -> Json:
    """Grades of the label against those of the measured loss; table: label's grade -> counts of
    measured grades 0..3."""
    graded = [
        (row.genant, genant_grade(row.height_loss), patient_of(row))
        for row in rows
        if row.genant in GRADES and row.height_loss is not None
    ]
    one, other, patients = [[case[i] for case in graded] for i in range(3)]
    pairs = list(zip(one, other, strict=True))
    kappa = cohen_kappa(one, other, "linear", GRADES, about.confidence, patients)
    why = (
        "it takes vertebrae with a Genant grade in labels.csv and a measured height, of two grades"
    )
    return {
        "n": len(pairs),
        "same": sum(a == b for a, b in pairs),
        "kappa_linear": estimate(kappa, why),
        "table": {str(a): [sum(pair == (a, b) for pair in pairs) for b in GRADES] for a in GRADES},
    }
