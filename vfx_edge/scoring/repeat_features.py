"""How well each feature repeats, as an intraclass correlation: `stable.csv`.

A feature may go on where its ICC reaches LEAST_ICC in every way to repeat: good reliability, as
Koo and Li (J Chiropr Med 2016;15:155-163) call it from 0.75 on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vfx_edge.evaluation.agreement import icc
from vfx_edge.evaluation.intervals import Estimate
from vfx_edge.radiomics import FEATURES
from vfx_edge.scoring.answers import Seen
from vfx_edge.scoring.repeated import RepeatedStudy
from vfx_edge.scoring.tables import write_table

STABLE = "stable.csv"
LEAST_ICC = 0.75
LEAST_VERTEBRAE = 10
"""Of fewer an ICC says nothing, and no feature is called stable."""
COLUMNS = ("model", "feature", "stable", "worst_icc", "worst_comparison")
"""Before two columns for each comparison, `icc_<comparison>` and `low_<comparison>` (the lower end
of its 95 % interval), and `n_<comparison>`, the vertebrae that it is of."""


@dataclass(frozen=True)
class FeatureRepeat:
    """A feature of one model set's vertebrae. by: comparison -> ICC(2,1) and the vertebrae that
    it is of; None: not defined."""

    model: str
    feature: str
    by: dict[str, tuple[Estimate | None, int]] = field(default_factory=dict)

    @property
    def worst(self) -> tuple[str, float] | None:
        """The comparison in which it repeats worst; None where one of them could not be told."""
        told = {how: found.value for how, (found, _) in self.by.items() if found is not None}
        if len(told) < len(self.by) or not told:
            return None
        return min(told.items(), key=lambda one: one[1])

    @property
    def stable(self) -> bool:
        """In all comparisons, each over enough vertebrae."""
        enough = all(n >= LEAST_VERTEBRAE for _, n in self.by.values())
        return enough and self.worst is not None and self.worst[1] >= LEAST_ICC


class FeaturePairs:
    """Collects the features of each vertebra in both answers."""

    def __init__(self) -> None:
        self._pairs: dict[str, dict[str, list[tuple[str, Seen, Seen]]]] = {}
        """Of a model set, by comparison: whose, first, second."""

    def add(self, study: RepeatedStudy, pairs: Iterable[tuple[Seen | None, Seen | None]]) -> None:
        """What was measured in both."""
        for one, other in pairs:
            if one and other and one.features and other.features:
                ways = self._pairs.setdefault(study.model, {})
                ways.setdefault(study.comparison, []).append((study.patient, one, other))

    def of(self, model: str, comparison: str) -> list[tuple[str, Seen, Seen]]:
        """Whose vertebra it is, and both looks at it."""
        return self._pairs[model][comparison]

    def repeats(self) -> tuple[FeatureRepeat, ...]:
        """Of every feature that any of them has, each model set's one after the other."""
        return tuple(row for model in self._pairs for row in self._of(model))

    def _of(self, model: str) -> list[FeatureRepeat]:
        ways = self._pairs[model]
        every = _names([pair for pairs in ways.values() for pair in pairs])
        return [
            FeatureRepeat(model, name, {how: _repeated(name, of) for how, of in ways.items()})
            for name in every
        ]


def _names(pairs: Sequence[tuple[str, Seen, Seen]]) -> list[str]:
    there = {name for _, one, other in pairs for name in (*one.features, *other.features)}
    known = [name for name in FEATURES if name in there]
    return known + sorted(there - set(known))


def _repeated(name: str, pairs: Sequence[tuple[str, Seen, Seen]]) -> tuple[Estimate | None, int]:
    """ICC(2,1): one look at a vertebra, absolute agreement, as a new scan would be used."""
    both = [(who, a.features[name], b.features[name]) for who, a, b in pairs
            if name in a.features and name in b.features]  # fmt: skip
    table = [values for _, *values in both]
    return icc(table, "ICC(2,1)", patients=[who for who, *_ in both]) if table else None, len(both)


def write_stable(folder: Path, rows: Sequence[FeatureRepeat]) -> Path:
    """Writes `stable.csv`, a row for each feature; OutputError."""
    every = list(dict.fromkeys(how for row in rows for how in row.by))
    header = [*COLUMNS, *(f"{what}_{how}" for how in every for what in ("icc", "low", "n"))]
    lines = []
    for row in rows:
        how, value = row.worst or (None, None)
        line: list[object] = [row.model, row.feature, row.stable, value, how]
        for comparison in every:
            found, n = row.by.get(comparison, (None, 0))
            line += [found and found.value, found and found.low, n]
        lines.append(line)
    return write_table(folder / STABLE, header, lines)
