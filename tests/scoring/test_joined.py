"""Answers and labels as rows."""

from pathlib import Path

from vfx_edge.labelled.dataset import Facts, Label, LabelledStudy, Row, Split
from vfx_edge.scoring.answers import Answer, Failed, Known, Seen
from vfx_edge.scoring.joined import joined
from vfx_edge.scoring.rows import StudyRow, VertebraRow
from vfx_edge.study import Level

FACTS = Facts(genant=2, gold_standard="histology", sex="F", age=69.0, scanner="Birch")
READINGS = {"a": ("malignant", "uncertain")}


def study(**labels: Label) -> LabelledStudy:
    rows = tuple(
        Row(number, "s", "p", Level(name), label, Split.TEST, FACTS, READINGS)
        for number, (name, label) in enumerate(labels.items(), 2)
    )
    return LabelledStudy("s", "p", Path("ct"), Split.TEST, rows)


def rows_of(of: LabelledStudy, outcome: Answer | Failed) -> tuple[dict[str, VertebraRow], StudyRow]:
    rows = joined("mine", of, outcome)
    return {row.level: row for row in rows.vertebrae}, rows.studies[0]


SEEN = (
    Seen("T12", (0, 0, 90), 0.9, tier="malignant", p_malignant=0.9, p_osteoporotic=0.1),
    Seen("L1", (0, 0, 60), 0.8, tier="osteoporotic", p_malignant=0.1, p_osteoporotic=0.9),
)


def test_the_one_in_its_place_answers_whatever_it_is_called() -> None:
    """The column is named one level too high: what is called T12 lies where L1 is."""
    known = (Known("L1", True, 0, 1.0), Known("L2", True, 1, 1.0), Known("L3", False))
    answer = Answer(SEEN, known, "malignant", slice_mm=1.5, contrast=True, doubled=1, invented=2)
    rows, about = rows_of(study(L1=Label.MALIGNANT, L2=Label.OSTEOPOROTIC), answer)
    assert [row.called for row in rows.values()] == ["T12", "L1", ""]
    assert [row.p_malignant for row in rows.values()] == [0.9, 0.1, None]
    assert [row.tier for row in rows.values()] == ["malignant", "osteoporotic", ""]
    assert rows["L3"].reason == "not_found"
    assert (about.vertebrae, about.found, about.identified) == (2, 2, 0)
    assert (about.tier, about.truth, about.doubled, about.invented) == ("malignant",) * 2 + (1, 2)


def test_without_places_names_tell() -> None:
    rows, about = rows_of(study(L1=Label.INTACT, L2=Label.EXCLUDED), Answer(SEEN, (), "uncertain"))
    assert (rows["L1"].called, rows["L1"].identified, rows["L1"].whole) == ("L1", None, None)
    assert (rows["L2"].called, rows["L2"].reason) == ("", "not_found")
    assert (about.vertebrae, about.truth) == (0, "none")


def test_facts_of_the_patient_hold_for_every_vertebra() -> None:
    known = (Known("T12", True, 0), Known("L1", True, 1))
    rows, _ = rows_of(study(L1=Label.MALIGNANT), Answer(SEEN, known, "", contrast=False))
    one, other = rows["L1"], rows["T12"]
    assert (one.row, one.genant, one.gold_standard, one.readings) == (2, 2, "histology", READINGS)
    assert (other.row, other.genant, other.gold_standard, other.label) == (None, None, "", "")
    assert (other.sex, other.age, other.scanner, other.contrast) == ("F", 69.0, "Birch", False)
    assert dict(other.readings) == {}


def test_a_study_that_failed_has_its_labels_and_no_answer() -> None:
    rows, about = rows_of(study(L1=Label.OSTEOPOROTIC), Failed("no CT: send another."))
    assert (rows["L1"].label, rows["L1"].reason, rows["L1"].tier) == ("osteoporotic", "failed", "")
    assert (about.failure, about.truth, about.tier) == ("no CT: send another.", "osteoporotic", "")


def test_no_spine_seen_counts_as_missed() -> None:
    missed = Answer((), (Known("L1", True, dice=0.0),), "not_assessable", failure="no spine")
    rows, about = rows_of(study(L1=Label.MALIGNANT), missed)
    assert (rows["L1"].identified, rows["L1"].dice, rows["L1"].reason) == (False, 0.0, "failed")
    assert (about.vertebrae, about.found, about.failure) == (1, 0, "no spine")
