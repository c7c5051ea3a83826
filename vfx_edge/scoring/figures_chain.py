"""Before the cause is asked: vertebrae found and named, outlined, and suspected of a fracture."""

from collections.abc import Sequence

import numpy as np

from vfx_edge.evaluation.agreement import cohen_kappa
from vfx_edge.labelled.dataset import Label
from vfx_edge.scoring.about import About
from vfx_edge.scoring.cases import FRACTURED
from vfx_edge.scoring.rows import StudyRow, VertebraRow
from vfx_edge.scoring.shares import Json, estimate, share
from vfx_edge.spine.height_loss import genant_grade
from vfx_edge.vocabulary import Level

OUTLINE = ("dice", "assd_mm", "hd95_mm", "hd_mm")
NO_PLACE = "no study has known places of its vertebrae"
GRADES = (0, 1, 2, 3)


def detection(rows: Sequence[VertebraRow], studies: Sequence[StudyRow], about: About) -> Json:
    """Found and named, as VerSe counts it, over the vertebrae wholly in view whose place is known.
    A study that failed counts: nothing was found in it. d_mean_mm: of those found, as a vertebra
    that was missed has no distance; doubled, invented: findings, of all studies."""
    places = _places(rows)
    found = [row for row in places if row.distance_mm is not None]
    identified = sum(bool(row.identified) for row in places)
    distances = [row.distance_mm for row in found if row.distance_mm is not None]
    rate = share(identified, len(places), about, NO_PLACE)
    return {
        "vertebrae": len(places),
        "found": len(found),
        "identified": identified,
        "id_rate": rate["value"],
        "id_rate_interval": rate,
        "d_mean_mm": float(np.mean(distances)) if distances else None,
        "doubled": sum(study.doubled for study in studies),
        "invented": sum(study.invented for study in studies),
        "why": None if places else f"{NO_PLACE}.",
    }


def _places(rows: Sequence[VertebraRow]) -> list[VertebraRow]:
    return [row for row in rows if row.whole and row.identified is not None]


def outlines(rows: Sequence[VertebraRow]) -> Json:
    """Means by level, "all" over all vertebrae. `dice` counts a vertebra that was not found as 0,
    as the challenge does; `dice_of_found` and the distances, which such a one has none of, are of
    those found. count: vertebrae with an expert's outline; missing: of these, not found."""
    drawn = _outlined(rows)
    groups = {"all": drawn, **{level: [row for row in drawn if row.level == level]
                               for level in _levels(drawn)}}  # fmt: skip
    return {
        **{name: {level: _mean(of, name) for level, of in groups.items()} for name in OUTLINE},
        "dice": {level: _mean_with_missing(of) for level, of in groups.items()},
        "dice_of_found": {level: _mean(of, "dice") for level, of in groups.items()},
        "count": {level: len(of) for level, of in groups.items()},
        "missing": {level: sum(_missing(row) for row in of) for level, of in groups.items()},
        "why": None if drawn else "no study has outlines of an expert.",
    }


def _outlined(rows: Sequence[VertebraRow]) -> list[VertebraRow]:
    """Rows with an outline to compare with: where one vertebra of a study has a Dice, its expert's
    mask is known, and those wholly in view that were not found are missing ones."""
    masked = {row.study for row in rows if row.dice is not None}
    return [
        row for row in rows
        if row.dice is not None or (row.study in masked and row.whole and not row.called)
    ]  # fmt: skip


def _missing(row: VertebraRow) -> bool:
    return not row.called


def _levels(rows: Sequence[VertebraRow]) -> list[str]:
    own = {row.level for row in rows}
    return [level.value for level in Level if level.value in own]


def _mean(rows: Sequence[VertebraRow], name: str) -> float | None:
    known = [getattr(row, name) for row in rows if not _missing(row)]
    known = [value for value in known if value is not None]
    return float(np.mean(known)) if known else None


def _mean_with_missing(rows: Sequence[VertebraRow]) -> float | None:
    values = [0.0 if _missing(row) else row.dice for row in rows]
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
    return share(sum(bool(row.suspected) for row in judged), len(judged), about, why)


def _genant(rows: Sequence[VertebraRow], about: About) -> Json:
    """Grades of the label against those of the measured loss; table: label's grade -> counts of
    measured grades 0..3."""
    pairs = [
        (row.genant, genant_grade(row.height_loss))
        for row in rows
        if row.genant in GRADES and row.height_loss is not None
    ]
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    kappa = cohen_kappa(one, other, "linear", GRADES, about.confidence) if pairs else None
    why = (
        "it takes vertebrae with a Genant grade in labels.csv and a measured height, of two grades"
    )
    return {
        "n": len(pairs),
        "same": sum(a == b for a, b in pairs),
        "kappa_linear": estimate(kappa, why),
        "table": {str(a): [sum(pair == (a, b) for pair in pairs) for b in GRADES] for a in GRADES},
    }
