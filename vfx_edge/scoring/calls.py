"""The ways to take what was said of the cases: a model's p, its tiers, a reader's calls."""

from dataclasses import dataclass

import numpy as np

from vfx_edge.evaluation.rates import Confusion, confusion
from vfx_edge.scoring.cases import FORCED, Bools, Cases, Floats
from vfx_edge.study import Tier

ORDER = (Tier.OSTEOPOROTIC.value, Tier.UNCERTAIN.value, Tier.MALIGNANT.value)
SCORE = {name: place / 2 for place, name in enumerate(ORDER)}
"""A reading as a score: osteoporotic 0, uncertain a half, malignant 1."""


@dataclass(frozen=True, eq=False)
class Told:
    """n cases and what was said of them; all arrays are (n,)."""

    cases: Cases
    score: Floats
    """For the ranks, the higher the likelier malignant."""
    called: Bools
    """Malignant."""
    named: Bools
    """One of the two classes was named; else the case has a rank alone."""

    @property
    def table(self) -> Confusion:
        return confusion(self.called[self.named], self.cases.truth[self.named])

    def only_named(self) -> "Told":
        """Without the cases of which neither class was named."""
        which = self.named
        return Told(self.cases.where(which), self.score[which], self.called[which], which[which])


def forced(cases: Cases) -> Told:
    """Every case with a p is called one or the other."""
    own = cases.where(cases.has_p)
    return Told(own, own.p, own.p >= FORCED, np.ones(len(own), bool))


def by_tier(cases: Cases) -> Told:
    """The cases that the tiers call malignant or osteoporotic; one without p ranks by its tier."""
    own = cases.where(cases.told_apart)
    called = own.tier == Tier.MALIGNANT.value
    score = np.where(own.has_p, own.p, called.astype(float))
    return Told(own, score, called, np.ones(len(own), bool))


def read_by(reader: str, cases: Cases) -> Told:
    """The cases that the reader read, by the first reading."""
    calls = np.array(cases.readings(reader), dtype="U16")
    own = cases.where(calls != "")
    score = np.array([SCORE[call] for call in calls[calls != ""].tolist()], float)
    return Told(own, score, score == 1, score != SCORE[Tier.UNCERTAIN.value])
