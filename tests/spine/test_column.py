"""The whole column named at once, from made-up candidates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from vfx_edge.phantom import column_levels
from vfx_edge.phantom.levels import size_of
from vfx_edge.spine.column import LEVELS, Candidates, Named, Weights, level_evidence, name_column
from vfx_edge.study import Level

PLAIN = [Level(name) for name in column_levels()]
NAMES = ("background", *(level.value for level in PLAIN), "sacrum")
WEIGHTS = Weights(evidence=0.5, rib=1.0, overlap=0.0)
"""What a network was taught: no T13, no L6."""


def part(first: str, last: str, column: list[Level] = PLAIN) -> list[Level]:
    return column[column.index(Level(first)) : column.index(Level(last)) + 1]


def seen(level: Level | None, surely: float = 0.7) -> np.ndarray:
    """What a network says of a vertebra: its level, a little its neighbours', a little all."""
    out = np.full(len(NAMES), 0.04 / len(NAMES))
    if level is None:
        return np.full(len(NAMES), 1 / len(NAMES))
    at = NAMES.index(level.value)
    out[at] += surely
    out[[at - 1, at + 1]] += (0.96 - surely) / 2
    return out


class Spine:
    """A curved column of candidates, one for each level of `column`."""

    def __init__(self, column: list[Level], scale: float = 1.0, surely: float = 0.7) -> None:
        gaps = [size_of(level).gap_below_mm * scale for level in column[:-1]]
        way = np.concatenate([[0], np.cumsum(gaps)])
        bend = 25 * np.sin(way / 90)
        self.levels: list[Level | None] = list(column)
        self.centres = np.stack([0.1 * bend, bend, -way], 1)
        self.score = np.full(len(column), 0.8)
        self.classes = np.array(
            [seen(level if level.value in NAMES else None, surely) for level in column]
        )

    def without(self, level: str) -> "Spine":
        at = self.levels.index(Level(level))
        del self.levels[at]
        self.centres, self.score, self.classes = (
            np.delete(a, at, 0) for a in (self.centres, self.score, self.classes)
        )
        return self

    def saying(self, level: str, said: str | None, surely: float = 0.9) -> "Spine":
        """The evidence of one vertebra speaks for another level (None: for none)."""
        at = self.levels.index(Level(level))
        self.classes[at] = seen(Level(said) if said else None, surely)
        return self

    def with_false_one_below(self, level: str, score: float = 0.8, share: float = 0.5) -> "Spine":
        """A candidate in a disc, looking like its neighbours."""
        at = self.levels.index(Level(level))
        place = (1 - share) * self.centres[at] + share * self.centres[at + 1]
        self.levels.insert(at + 1, None)
        self.centres = np.insert(self.centres, at + 1, place, 0)
        self.score = np.insert(self.score, at + 1, score)
        self.classes = np.insert(self.classes, at + 1, self.classes[at], 0)
        return self

    def named(self) -> list[Level | None]:
        """One entry a candidate; None: left out."""
        evidence = level_evidence(self.classes, NAMES)
        out: list[Level | None] = [None] * len(self.levels)
        for one in name_column(Candidates(self.centres, self.score, evidence), WEIGHTS):
            assert 0 <= one.probability <= 1 + 1e-9
            out[one.index] = one.level
        return out

    def check(self) -> None:
        assert self.named() == self.levels


@pytest.mark.parametrize(("first", "last"), [("C1", "L5"), ("T1", "L5"), ("C3", "T6"), ("L1", "L5"),
                                             ("T11", "T11")])  # fmt: skip
def test_a_plain_column(first: str, last: str) -> None:
    Spine(part(first, last)).check()


@pytest.mark.parametrize("level", ["T4", "T9", "T12", "L1", "L4"])
def test_an_overlooked_vertebra_shifts_no_other(level: str) -> None:
    Spine(part("T1", "L5")).without(level).check()


@pytest.mark.parametrize(
    ("level", "said"),
    [("T5", "T9"), ("T12", "T10"), ("L2", "L4"), ("L1", "T12"), ("T8", None), ("T1", "L5")],
)
def test_a_vertebra_seen_wrongly_shifts_no_other(level: str, said: str | None) -> None:
    Spine(part("T1", "L5")).saying(level, said).check()


def test_a_missing_and_a_wrong_one_in_the_same_column() -> None:
    Spine(part("T3", "L4")).without("T7").saying("T11", "T9").saying("L3", None).check()


@pytest.mark.parametrize("level", ["T2", "T6", "T12", "L3"])
@pytest.mark.parametrize("share", [0.35, 0.5])
def test_a_false_candidate_between_two_vertebrae_is_left_out(level: str, share: float) -> None:
    Spine(part("T1", "L5")).with_false_one_below(level, share=share).check()


def test_a_faint_candidate_off_the_spine_is_left_out() -> None:
    spine = Spine(part("T6", "L3")).with_false_one_below("T10", score=0.2, share=0.6)
    spine.centres[spine.levels.index(None), 0] += 60
    spine.check()


@examples(30)
@given(
    scale=st.floats(0.8, 1.2),
    first=st.integers(7, 14),
    length=st.integers(5, 12),
    shift=st.lists(st.floats(-2.5, 2.5), min_size=36, max_size=36),
)
def test_statures_and_unsteady_centres(
    scale: float, first: int, length: int, shift: list[float]
) -> None:
    column = PLAIN[first : first + length]
    spine = Spine(column, scale)
    spine.centres += np.array(shift).reshape(12, 3)[: len(column)]
    spine.check()


def certain(column: list[Level]) -> Spine:
    """A network that is nearly sure, and sees what it was not taught as its neighbours."""
    spine = Spine(column, surely=0.93)
    for level, like in (("T13", ("T12", "L1")), ("L6", ("L5", "sacrum"))):
        if Level(level) in column:
            row = np.full(len(NAMES), 0.04 / len(NAMES))
            row[[NAMES.index(name) for name in like]] += 0.48
            spine.classes[column.index(Level(level))] = row
    return spine


def test_thirteen_thoracic_vertebrae() -> None:
    certain([*part("T4", "T12"), Level.T13, *part("L1", "L5")]).check()


def test_six_lumbar_vertebrae() -> None:
    certain([*part("T4", "L5"), Level.L6]).check()


def test_eleven_thoracic_vertebrae() -> None:
    spine = certain([*part("T3", "T11"), *part("L1", "L5")])
    named = spine.named()
    assert named == spine.levels
    gap = np.linalg.norm(spine.centres[9] - spine.centres[8])
    assert gap < 32  # a T12 that was merely overlooked would leave twice that
    Spine(part("T3", "L5")).without("T12").check()


def test_transitional_vertebrae_need_evidence() -> None:
    """Unsure of one vertebra at the junction, the plain column is the likelier one."""
    spine = Spine(part("T6", "L5")).saying("T12", None).saying("L1", None)
    assert not {Level.T13, Level.L6} & set(spine.named())


def test_nothing_to_name() -> None:
    empty = Candidates(np.zeros((0, 3)), np.zeros(0), np.zeros((0, len(LEVELS))))
    assert name_column(empty, WEIGHTS) == []


def test_a_sure_name_is_surer_than_a_doubtful_one() -> None:
    def probability(spine: Spine) -> float:
        evidence = level_evidence(spine.classes, NAMES)
        named = name_column(Candidates(spine.centres, spine.score, evidence), WEIGHTS)
        return float(np.mean([one.probability for one in named]))

    levels = part("T8", "L2")
    assert probability(Spine(levels, surely=0.9)) > 0.9
    vague = Spine(levels)
    vague.classes[:] = seen(None)
    assert probability(vague) < 0.7
    assert [one is not None for one in vague.named()] == [True] * len(levels)


def test_evidence_leaves_out_what_is_no_level() -> None:
    classes = np.zeros((3, len(NAMES)))
    classes[0, NAMES.index("background")] = 1.0
    classes[1, [NAMES.index("T12"), NAMES.index("sacrum")]] = 0.5
    classes[2, NAMES.index("L5")] = 1.0
    evidence = level_evidence(classes, NAMES)
    assert evidence.shape == (3, len(LEVELS))
    np.testing.assert_allclose(evidence.sum(1), 1)
    np.testing.assert_allclose(evidence[0], 1 / len(LEVELS))
    assert LEVELS[int(evidence[1].argmax())] == Level.T12
    # a transitional vertebra that the network does not know looks like its neighbours
    assert evidence[1, LEVELS.index(Level.T13)] == pytest.approx(1 / 3)
    assert evidence[2, LEVELS.index(Level.L6)] == pytest.approx(0.5)


def told(
    spine: Spine, rib: np.ndarray | None = None, shown: np.ndarray | None = None
) -> list[Named]:
    evidence = level_evidence(spine.classes, NAMES)
    return name_column(Candidates(spine.centres, spine.score, evidence, rib, shown), WEIGHTS)


def test_a_doubtful_column_tells_the_other_names_it_could_have() -> None:
    """Half for the true names, half for the column one level lower."""
    spine = Spine(part("T10", "L3"))
    lower = Spine(part("T11", "L4")).classes
    spine.classes = (spine.classes + lower) / 2
    for one, true, other in zip(told(spine), spine.levels, part("T11", "L4"), strict=True):
        names = [one.level, *(level for level, _ in one.alternatives)]
        assert {true, other} <= set(names)
        assert one.probability + sum(p for _, p in one.alternatives) == pytest.approx(1, abs=0.11)
        assert all(one.probability >= p for _, p in one.alternatives)


def test_a_sure_column_has_no_other_names() -> None:
    assert all(one.alternatives == () for one in told(Spine(part("T4", "L5"), surely=0.9)))


def test_ribs_settle_where_the_chest_ends() -> None:
    """Looks that tell no level at all, but which of the vertebrae carry ribs."""
    spine = Spine(part("T9", "L3"))
    spine.classes[:] = seen(None)
    rib = np.where([Level.T1 <= level <= Level.T12 for level in part("T9", "L3")], 0.98, 0.02)
    assert [one.level for one in told(spine, rib)] == spine.levels


def test_what_the_scan_hardly_shows_decides_nothing() -> None:
    """The last vertebra, cut by the scan, seems to carry a rib that is its neighbour's."""
    spine = Spine(part("T9", "L1"), surely=0.5)
    rib = np.full(len(spine.levels), 0.98)
    shown = np.ones(len(spine.levels))
    doubted = told(spine, rib, shown)[-1].probability
    shown[-1] = 0.1
    assert told(spine, rib, shown)[-1].level == Level.L1
    assert told(spine, rib, shown)[-1].probability > doubted
