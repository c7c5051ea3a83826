"""Answers that contradict the label with confidence: where a wrong label shows.

Either the network is wrong there or the label; which of both, only a look at the case tells.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import nan

from vfx_edge.labelled.dataset import Label
from vfx_edge.scoring.cases import ANSWERED
from vfx_edge.scoring.rows import VertebraRow
from vfx_edge.scoring.shares import Json
from vfx_edge.study import Tier

SURE = 0.9
"""p of the other cause from which on an answer without thresholds counts as confident."""
PLAIN_LOSS, NO_LOSS = 0.25, 0.1
"""Loss of height that is a fracture of Genant grade 2 or 3 for sure; half of what is suspected."""
LOST, KEPT = "height_lost", "height_kept"
INTACT = (Label.INTACT.value, Label.INTACT_LESION.value)
OTHER = {Label.MALIGNANT.value: Label.OSTEOPOROTIC.value,
         Label.OSTEOPOROTIC.value: Label.MALIGNANT.value}  # fmt: skip


def contradictions(rows: Iterable[VertebraRow]) -> list[Json]:
    """Of a model set's rows: first the other cause, the surest one first, then heights."""
    found = [(row, says) for row in rows for says in _says(row)]
    found.sort(key=lambda one: _order(*one))
    return [_told(row, says) for row, says in found]


def _says(row: VertebraRow) -> Iterator[str]:
    if other := OTHER.get(row.label):
        if row.tier == other or (not row.tier and _p(row, other) >= SURE):
            yield other
        if _lost(row) < NO_LOSS and row.suspected is False:
            yield KEPT
    elif row.label in INTACT and _lost(row) >= PLAIN_LOSS and row.suspected:
        yield LOST


def _lost(row: VertebraRow) -> float:
    """Share of the height; NaN where it is not known."""
    return nan if row.height_loss is None else row.height_loss


def _p(row: VertebraRow, cause: str) -> float:
    if row.p_malignant is None:
        return 0.0
    return row.p_malignant if cause == Tier.MALIGNANT else 1 - row.p_malignant


def _order(row: VertebraRow, says: str) -> tuple[bool, float]:
    if says in ANSWERED:
        return False, -_p(row, says)
    loss = row.height_loss or 0.0
    return True, -loss if says == LOST else loss - 1


def _told(row: VertebraRow, says: str) -> Json:
    """readers: of those who named one of the two causes, how many name the other one, too."""
    calls = _calls(row) if says in ANSWERED else []
    return {
        "row": row.row,
        "study": row.study,
        "level": row.level,
        "label": row.label,
        "says": says,
        "p_malignant": row.p_malignant,
        "height_loss": row.height_loss,
        "readers": {"against": sum(call == says for call in calls), "of": len(calls)},
    }


def _calls(row: VertebraRow) -> Sequence[str]:
    first = [calls[0] for calls in row.readings.values() if calls]
    return [call for call in first if call in ANSWERED]
