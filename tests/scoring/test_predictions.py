"""Answers of other programs, as spreadsheets have them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scoring.test_joined import study
from vfx_edge.labelled.dataset import Label
from vfx_edge.scoring.predictions import (
    PredictionsUnreadable,
    predicted,
    read_predictions,
)


def written(folder: Path, data: str | bytes) -> Path:
    path = folder / "theirs.csv"
    path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize(
    "text",
    ["study,level,p_malignant\ns,L1,0.25\n",
     "\ufeffStudy;Level;P_Malignant;\n sub-S ;LWK 1;0,25;\n\n",
     "p_malignant\tlevel\tstudy\tp_osteoporotic\r\n2.5e-1\tl1\ts\t0.75\r\n"],
)  # fmt: skip
def test_each_spreadsheet_says_the_same(tmp_path: Path, text: str) -> None:
    found = read_predictions(written(tmp_path, text), "theirs")
    (one,) = found.seen["s"]
    assert found.name == "theirs"
    assert (one.level, one.p_malignant, one.p_osteoporotic, one.tier) == ("L1", 0.25, 0.75, "")
    assert found.problems == ()
    assert found.name == "theirs"


LINES = """study,level,p_malignant,p_osteoporotic,tier
s,L1,0.9,,malignant
s,L2,nan,,uncertain
s,L3,NaN,,
s,L4,1.2,,
s,X9,0.5,,
,L5,0.5,,
s,L5,0.8,0.7,
s,L1,0.1,,
s,T12,0.5,,perhaps
"""


def test_what_cant_be_used_is_said_by_its_line(tmp_path: Path) -> None:
    found = read_predictions(written(tmp_path, LINES), "theirs")
    assert [one.level for one in found.seen["s"]] == ["L1", "L2"]
    sentences = [one.sentence for one in found.problems]
    assert [s.split(":")[0] for s in sentences] == [f"theirs.csv, row {n}" for n in range(4, 11)]
    assert all(len(s) < 130 for s in sentences)


@pytest.mark.parametrize(
    "data",
    ["", "study,p_malignant\ns,1\n", "study,level,p_malignant\n", b"\x00\xff\xfe", b"PK\x03\x04",
     "study,level,p_malignant\ns,L1,2\n"],
)  # fmt: skip
def test_what_holds_nothing_is_refused(tmp_path: Path, data: str | bytes) -> None:
    with pytest.raises(PredictionsUnreadable, match="write a CSV file"):
        read_predictions(written(tmp_path, data), "theirs")


@given(st.binary(max_size=200) | st.text(alphabet='study,level;p_malignant\n"0.5L1\r\0').map(
    lambda text: b"study,level,p_malignant\n" + text.encode()))  # fmt: skip
def test_any_bytes_are_predictions_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = written(tmp_path_factory.getbasetemp(), data)
    try:
        found = read_predictions(path, "theirs")
    except PredictionsUnreadable:
        return
    assert found.seen


def test_they_are_rows_of_the_labelled_vertebrae(tmp_path: Path) -> None:
    found = read_predictions(written(tmp_path, LINES), "theirs")
    rows = predicted(found, study(L1=Label.MALIGNANT, L5=Label.INTACT))
    assert [row.level for row in rows.vertebrae] == ["L1", "L5"]
    one, other = rows.vertebrae
    assert (one.p_malignant, one.tier, one.identified, one.whole) == (0.9, "malignant", None, None)
    assert (other.called, other.reason) == ("", "not_told")
    assert (rows.studies[0].vertebrae, rows.studies[0].failure) == (0, "")
