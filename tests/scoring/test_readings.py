"""What readers said: the file, the rows it is put into, and the figures without and with help."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.examples import examples
from tests.scoring.cohorts import random_rows
from vfx_edge.evaluation.roc import auc, delong_test
from vfx_edge.labelled.words import name_of
from vfx_edge.reading.log import Log
from vfx_edge.scoring.about import About
from vfx_edge.scoring.cases import Cases, cases_of
from vfx_edge.scoring.figures import evaluation, load_schema
from vfx_edge.scoring.figures_reading import rating, reading
from vfx_edge.scoring.page import page
from vfx_edge.scoring.readings import (
    ANSWERS,
    CALLS,
    EVENTS,
    ReaderTwice,
    Reading,
    Readings,
    ReadingsUnreadable,
    read_readings,
    with_readings,
)
from vfx_edge.scoring.rows import VertebraRow
from vfx_edge.study import Level

HEAD = "study,level,reader,pass,answer,confidence,seconds\n"


def reading_of(row: VertebraRow, aided: bool, answer: str, **more: object) -> Reading:
    return Reading(row.study, row.level, "bo", aided, answer, **more)  # type: ignore[arg-type]


def cases(count: int = 30) -> Cases:
    vertebrae, _ = random_rows(4 * count, seed=2, models=("ours",), per_patient=1)
    return Cases(cases_of(vertebrae, False).rows[:count])


def _is_name(text: str) -> bool:
    """As labels.csv gives names to studies."""
    try:
        return name_of(text) == text
    except ValueError:
        return False


readings = st.builds(
    Reading,
    study=st.text(max_size=20).filter(_is_name),
    level=st.sampled_from([level.value for level in Level]),
    reader=st.just("anna"),
    aided=st.booleans(),
    answer=st.sampled_from((*ANSWERS, *EVENTS)),
    confidence=st.none() | st.integers(1, 5),
    seconds=st.none() | st.integers(0, 10**6).map(lambda ms: ms / 1000),
    order=st.integers(0, 500),
    seed=st.integers(0, 2**31 - 1),
)


@examples(60)
@given(st.lists(readings, max_size=4))
def test_what_is_kept_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, said: list[Reading]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = Log(folder, "anna")
    for one in said:
        log.add(one)
    assert Log(folder, "anna").before == Readings(tuple(said))


@pytest.mark.parametrize(
    ("line", "word"),
    [("s,L1,anna,unaided,benign,,", "answer"), ("s,L1,anna,third,malignant,3,", "pass"),
     ("s,L9,anna,aided,malignant,3,", "C1 to C7"), (",L1,anna,aided,malignant,3,", "needs one"),
     ("s,L1,anna,aided,malignant,6,", "confidence"), ("s,L1,anna,aided,malignant,2.5,", "confid"),
     ("s,L1,anna,aided,malignant,3,-1", "seconds"), ("s,L1,anna,aided,malignant,3,inf", "seconds"),
     ("s,L1,anna,aided", "answer")],
)  # fmt: skip
def test_a_line_that_is_none_is_told_and_left(tmp_path: Path, line: str, word: str) -> None:
    file = tmp_path / "r.csv"
    file.write_text(f"{HEAD}{line}\ngood,L2,anna,aided,uncertain,,4.5\n", encoding="utf-8")
    found = read_readings(file)
    assert [one.study for one in found.lines] == ["good"]
    assert word in found.problems[0].sentence
    assert "row 2" in found.problems[0].sentence


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "PK\x03\x04", "\0\0\0\0", HEAD[:20]])
def test_what_is_no_table_of_readings_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "r.csv").write_text(content, encoding="latin-1")
    with pytest.raises(ReadingsUnreadable, match="--reader"):
        read_readings(tmp_path / "r.csv")


def test_answers_stand_beside_those_of_the_labels() -> None:
    rows = cases(4).rows
    said = Readings((
        reading_of(rows[0], False, "malignant", confidence=3),
        reading_of(rows[0], False, "osteoporotic", confidence=5),  # a second one does not count
        reading_of(rows[0], True, "uncertain"),
        reading_of(rows[1], False, "cannot_tell"),
        reading_of(rows[2], False, "shown"),
        Reading("elsewhere", "L1", "bo", False, "malignant", 1),
    ))  # fmt: skip
    found, problems = with_readings(rows, said)
    assert {**rows[0].readings, "bo": ("malignant",), "bo_aided": ("uncertain",)} == found[
        0
    ].readings
    assert found[1].readings["bo"] == ("",), "nothing was read that could be counted"
    assert found[2:] == rows[2:]
    assert "Readings of 1 vertebrae" in problems[0].sentence
    with pytest.raises(ReaderTwice, match="bo"):
        with_readings(found, said)


def test_a_rating_grows_with_the_confidence_that_it_is_malignant() -> None:
    row = cases(1).rows[0]
    said = [*(("osteoporotic", c) for c in (5, 4, 3, 2, 1)), ("uncertain", None),
            *(("malignant", c) for c in (1, 2, 3, 4, 5))]  # fmt: skip
    rated = [rating(reading_of(row, False, a, confidence=c)) for a, c in said]
    assert rated == pytest.approx(np.linspace(0, 1, 11))
    assert rating(reading_of(row, False, "cannot_tell")) is None


def test_figures_are_those_of_the_cases_read_both_times() -> None:
    own, rng = cases(), np.random.default_rng(0)
    said: list[Reading] = []
    first: list[float] = []
    second: list[float] = []
    for number, row in enumerate(own.rows):
        for aided, kept in ((False, first), (True, second)):
            call = CALLS[rng.integers(3)] if rng.random() < 0.5 - 0.4 * aided else row.label
            confidence = None if call == "uncertain" else int(rng.integers(1, 6))
            if number < 25 or not aided:
                one = reading_of(row, aided, call, confidence=confidence, seconds=float(number))
                said.append(one)
                kept.append(rating(one) or 0.0)
    found = reading(own, Readings(tuple(said)), About())[0]
    test = delong_test(second, first[:25], own.truth[:25])
    assert test is not None
    assert (found["both"], found["unaided"]["read"], found["aided"]["read"]) == (25, 30, 25)
    assert found["difference"]["value"] == pytest.approx(test.difference.value)
    assert found["p_value"] == test.p_value
    assert found["aided"]["auc"]["value"] == test.auc_one
    both = Cases(own.rows[:25])
    assert found["program_auc"]["value"] == auc(both.p[both.has_p], both.truth[both.has_p])
    assert found["aided"]["seconds"] == {"n": 25, "median": 12.0, "low": 6.0, "high": 18.0}
    assert sum(found["changed"].values()) == 25
    assert found["changed"]["to_right"] > found["changed"]["to_wrong"]


def test_the_evaluation_has_them_only_where_they_were_given() -> None:
    vertebrae, studies = random_rows(16, seed=1, models=("ours",))
    plain = evaluation(vertebrae, studies, About(resamples=9))
    assert "reading" not in plain
    assert "without and with" not in page(plain)
    own = [row for row in vertebrae if row.model == "ours"]
    said = Readings(tuple(
        reading_of(row, aided, row.label if aided else "uncertain",
                   confidence=3 if aided else None)
        for row in cases_of(own, False).rows for aided in (False, True)
    ))  # fmt: skip
    rows, _ = with_readings(vertebrae, said)
    told = evaluation(rows, studies, About(resamples=9, readings=said))
    Draft202012Validator(dict(load_schema())).validate(told)
    one = told["reading"][0]
    assert one["unaided"]["auc"]["value"] == 0.5
    assert one["aided"]["auc"]["value"] == 1.0
    assert one["unaided"]["seconds"] == {"n": 0, "median": None, "low": None, "high": None}
    assert "bo, without" in page(told)
    assert {"bo", "bo_aided"} <= told["classification"]["readers"].keys()


def test_a_reader_who_saw_nothing_has_reasons_in_place_of_figures() -> None:
    row = cases(1).rows[0]
    said = Readings((reading_of(row, False, "not_shown"),))
    vertebrae, studies = random_rows(16, seed=1, models=("ours",))
    told = evaluation(vertebrae, studies, About(resamples=9, readings=said))
    Draft202012Validator(dict(load_schema())).validate(told)
    one = told["reading"][0]
    assert (one["not_shown"], one["unaided"]["read"], one["both"]) == (1, 0, 0)
    assert one["difference"]["why"]
    page(told)
