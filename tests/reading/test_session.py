"""The way through the cases: passes, order, time, what a kill leaves, pictures."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.reading.made import CENTRE, LABELS, LEVELS, NAMES, image, lines, session, written
from vfx_edge.reading.case import Case, cases_to_read, in_random_order
from vfx_edge.reading.log import Log, ReadingsChanged
from vfx_edge.reading.session import Clock, NothingToRead, OtherProgram, OutOfTurn, Session
from vfx_edge.reading.stack import COUNT, EACH_WAY, PLANES, SIDE_MM, STEP_MM, PlaceUnknown, stack_of
from vfx_edge.scoring.answers import Answer, Failed, Known, Seen
from vfx_edge.scoring.readings import ANSWERS, ReadingsUnreadable, read_readings


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("reading"))


def read_on(one: Session, answers: int, answer: str = "malignant") -> None:
    for _ in range(answers):
        state = one.state()
        turn = state["number"], state["pass"] == "aided"
        one.shown(*turn)
        one.answer(*turn, answer, 4 if answer in ANSWERS[:2] else None)


def test_each_case_is_read_without_and_then_with_the_answer(data: Path, tmp_path: Path) -> None:
    one = session(data, tmp_path)
    read_on(one, 6)
    assert one.finished.is_set()
    assert one.state() == {"done": True, "of": 3}
    kept = lines(tmp_path / "readings" / "anna.csv")
    assert [line["answer"] for line in kept] == ["shown", "malignant"] * 6
    answers = [line for line in kept if line["answer"] != "shown"]
    assert [line["pass"] for line in answers] == ["unaided", "aided"] * 3
    assert [int(line["order"]) for line in answers] == [1, 1, 2, 2, 3, 3]
    assert {(line["study"], line["level"]) for line in answers} == {
        *zip(NAMES, LEVELS, strict=False)
    } - {(NAMES[3], LEVELS[3])}
    assert {line["seed"] for line in kept} == {"5"}
    assert {line["program"] for line in kept} == {"him"}
    assert [one["study"] for one in answers[::2]] == [
        case.study.name for case in in_random_order(sorted(session(data, tmp_path, "b").cases,
                                                           key=lambda case: case.key), 5)
    ]  # fmt: skip


def test_the_order_is_drawn_anew_and_can_be_had_again(data: Path, tmp_path: Path) -> None:
    cases = [Case(study, row) for study, row in ((c.study, c.row) for c in session(
        data, tmp_path).cases for _ in range(10))]  # fmt: skip
    orders = [[id(case) for case in in_random_order(cases, seed)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(map(id, cases))


def test_it_goes_on_where_it_was(data: Path, tmp_path: Path) -> None:
    first = session(data, tmp_path)
    read_on(first, 3)
    path = tmp_path / "readings" / "anna.csv"
    whole = path.read_bytes()
    path.write_bytes(whole + "Müller,L1,an".encode()[:-9])  # a power cut amid a line
    again = session(data, tmp_path, seed=99)
    assert path.read_bytes() == whole
    assert again.seed == 5, "that of the readings so far"
    assert [c.key for c in again.cases] == [c.key for c in first.cases]
    state = again.state()
    assert (state["number"], state["pass"]) == (2, "aided")
    assert state["first"] == {"answer": "malignant", "confidence": 4}
    read_on(again, 3, "cannot_tell")
    assert again.finished.is_set()
    assert session(data, tmp_path).finished.is_set()


def test_time_counts_while_the_pictures_are_seen(data: Path, tmp_path: Path) -> None:
    clock = [100.0]
    one = session(data, tmp_path, now=lambda: clock[0])
    one.state()
    clock[0] += 50  # the pictures are being made
    one.shown(1, False)
    clock[0] += 7
    one.shown(1, False)  # the page was loaded again
    clock[0] += 3
    one.pause(1, False)
    clock[0] += 1000
    one.shown(1, False)
    clock[0] += 2.5
    one.answer(1, False, "uncertain", None)
    one.shown(1, True)
    clock[0] += 4
    killed = session(data, tmp_path, now=lambda: clock[0])
    killed.shown(1, True)
    killed.answer(1, True, "osteoporotic", 1)
    kept = read_readings(tmp_path / "readings" / "anna.csv").answers
    assert [one.seconds for one in kept] == [12.5, None], "nobody knows how long it was seen before"


def test_a_clock_that_never_ran_knows_no_more_than_that() -> None:
    clock = Clock(lambda: 1.0)
    assert (clock.began, clock.seconds) == (False, 0.0)


def test_what_is_out_of_turn_is_refused_and_not_kept(data: Path, tmp_path: Path) -> None:
    one = session(data, tmp_path)
    for number, aided in ((1, True), (2, False), (0, False)):
        with pytest.raises(OutOfTurn):
            one.answer(number, aided, "malignant", 3)
        with pytest.raises(OutOfTurn):
            one.shown(number, aided)
    for answer, confidence in (("benign", 3), ("malignant", None), ("malignant", 6),
                               ("uncertain", 3), ("shown", None)):  # fmt: skip
        with pytest.raises(ValueError, match=r"answer|confidence"):
            one.answer(1, False, answer, confidence)
    with pytest.raises(OutOfTurn):
        one.png(2, "axial", 0, "bone")
    assert lines(tmp_path / "readings" / "anna.csv") == []


def test_two_servers_do_not_write_one_file(data: Path, tmp_path: Path) -> None:
    one, other = session(data, tmp_path), session(data, tmp_path)
    read_on(one, 1)
    with pytest.raises(ReadingsChanged, match="one place"):
        read_on(other, 1)


@pytest.mark.parametrize("content", [b"", b"study;level", b"\xff\n1\n2", b"PK\x03\x04"])
def test_a_file_of_others_is_left_as_it_is(data: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "readings" / "anna.csv"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ReadingsUnreadable, match="another program"):
        session(data, tmp_path)
    assert path.read_bytes() == content


def test_readings_beside_another_program_are_not_gone_on_with(data: Path, tmp_path: Path) -> None:
    one = session(data, tmp_path)
    read_on(one, 1)
    with pytest.raises(OtherProgram, match="her"):
        Session(one.cases, Log(tmp_path, "anna"), "anna", "her")
    with pytest.raises(NothingToRead):
        Session((), Log(tmp_path, "anna"), "anna", "him")


def test_a_case_without_pictures_is_passed_over_and_said(data: Path, tmp_path: Path) -> None:
    own = written(tmp_path / "data")
    one = session(own, tmp_path)
    for name in NAMES[:3]:
        if name == one.cases[0].study.name:
            (own / "rawdata" / name / f"{name}_ct.nii.gz").write_bytes(b"no picture")
    assert one.state()["number"] == 2
    first = lines(tmp_path / "readings" / "anna.csv")[0]
    assert (first["answer"], first["order"]) == ("not_shown", "1")
    read_on(one, 4)
    assert one.finished.is_set()


def test_pictures_show_the_vertebra_in_the_middle(data: Path, tmp_path: Path) -> None:
    one = session(data, tmp_path)
    stack = stack_of(one.cases[0])
    assert stack.image.values.nbytes <= image(0).values.nbytes
    size = round(SIDE_MM / STEP_MM)
    for plane in PLANES:
        grey = np.asarray(Pillow.open(io.BytesIO(stack.png(plane, EACH_WAY, "bone"))))
        assert grey.shape == (size, size)
        rows, columns = np.nonzero(grey > 150)  # the bright ball, 36 mm wide
        for at in (rows, columns):
            assert abs(at.mean() - (size - 1) / 2) < 3
            assert abs(np.ptp(at) * STEP_MM - 36) < 6
        beside = np.asarray(Pillow.open(io.BytesIO(stack.png(plane, 0, "bone"))))
        assert (beside > 150).sum() == 0, "40 mm away there is none"
    soft = np.asarray(Pillow.open(io.BytesIO(stack.png("axial", EACH_WAY, "soft"))))
    assert 90 < np.median(soft[size // 2, size // 4 : size // 3]) < 160
    for wrong in (("axial", COUNT, "bone"), ("axial", -1, "bone")):
        with pytest.raises(IndexError):
            stack.png(*wrong)


def test_the_planes_go_the_way_that_they_say(data: Path, tmp_path: Path) -> None:
    """A later axial slice lies nearer to the feet, a later sagittal one to the left."""
    case = session(data, tmp_path).cases[0]
    stack = stack_of(case)
    heads = np.asarray(Pillow.open(io.BytesIO(stack.png("sagittal", EACH_WAY, "bone"))))
    assert heads.shape[0] == heads.shape[1]
    x, y, z = CENTRE
    tilted = type(stack)(stack.image, (x, y, z + 20))
    grey = np.asarray(Pillow.open(io.BytesIO(tilted.png("sagittal", EACH_WAY, "bone"))))
    assert np.nonzero(grey > 150)[0].mean() > heads.shape[0] / 2 + 30, "the ball lies below"
    below = np.asarray(Pillow.open(io.BytesIO(tilted.png("axial", EACH_WAY + 20, "bone"))))
    assert (below > 150).sum() > 3000


def test_the_programs_place_is_that_of_the_finding_there(data: Path, tmp_path: Path) -> None:
    case = session(data, tmp_path).cases[0]
    level = case.row.level
    other = "L2" if level != "L2" else "L4"
    seen = (Seen(level, (1.0, 2.0, 3.0)), Seen(other, (4.0, 5.0, 6.0)))
    misnamed = Answer(seen, (Known(level, True, finding=1),), "")
    for outcome, place in ((Answer(seen, (), ""), (1.0, 2.0, 3.0)), (misnamed, (4.0, 5.0, 6.0)),
                           (Answer((), (), ""), None), (Failed("It failed."), None)):  # fmt: skip
        made = cases_to_read([case.row], [case.study], {case.study.name: outcome})
        assert [one.lps_mm for one in made] == [place]


def test_the_place_is_the_experts_and_else_the_programs(tmp_path: Path) -> None:
    own = written(tmp_path / "data", count=1, labels=LABELS)
    case = session(own, tmp_path).cases[0]
    off = (CENTRE[0] + 8, CENTRE[1], CENTRE[2])
    expert = stack_of(Case(case.study, case.row, off))
    assert expert.centre_lps_mm == pytest.approx(CENTRE, abs=0.3)
    plain = replace(case.study, centres=None)
    assert stack_of(Case(plain, case.row, off)).centre_lps_mm == off
    with pytest.raises(PlaceUnknown):
        stack_of(Case(plain, case.row))
    with pytest.raises(PlaceUnknown):
        stack_of(Case(plain, case.row, (900.0, 0.0, 0.0)))
