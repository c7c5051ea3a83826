"""What a reader of the figures has to know, one sentence each; only what holds is said."""

from collections.abc import Sequence

from vfx_edge.labelled.dataset import Split
from vfx_edge.scoring.about import About
from vfx_edge.scoring.cases import cases_of
from vfx_edge.scoring.rows import VertebraRow
from vfx_edge.scoring.shares import Json

SEEN = (Split.TRAIN.value, Split.VALIDATION.value)
NAMES = (
    "Balanced accuracy is (sensitivity + specificity) / 2, which Foreman et al. 2024 print as AUC; "
    "AUC is here the area under the ROC curve by ranks."
)


def notes(rows: Sequence[VertebraRow], whole: Json, about: About) -> list[str]:
    """The sentences. whole: the figures over all rows."""
    models = list(whole["models"])
    own = [row for row in rows if row.model == models[0]] if models else []
    return [NAMES, *_independence(own, about), *_seen(own), *_heights(whole)]


def _independence(rows: Sequence[VertebraRow], about: About) -> list[str]:
    cases = cases_of(rows, about.one_per_patient)
    more = len(cases) - len(set(cases.patients.tolist()))
    if about.one_per_patient:
        return ["Of each patient the first case in labels.csv counts."]
    if not more:
        return []
    return [
        f"{len(cases)} cases come from {len(cases) - more} patients: in the intervals of "
        "shares those of one patient count as fewer, as they are alike; those of balanced accuracy "
        "and AUC are drawn over patients; --one-per-patient counts one case of each."
    ]


def _seen(rows: Sequence[VertebraRow]) -> list[str]:
    cases = cases_of(rows, False).rows
    seen = sum(row.split in SEEN for row in cases)
    if not seen:
        return []
    return [
        f"{seen} of {len(cases)} cases are labelled train or validation: a network that was "
        "trained on them scores too high."
    ]


def _heights(whole: Json) -> list[str]:
    if not any(model["suspicion"]["fractured"]["of"] for model in whole["models"].values()):
        return []
    return [
        "Suspicion by loss of height is this program's, not the study's: its patients had "
        "diagnosed fractures."
    ]
