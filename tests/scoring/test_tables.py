"""Rows as CSV: exact there and back, safe in a spreadsheet, and read though cells are damaged."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from vfx_edge.scoring.rows import StudyRow, VertebraRow
from vfx_edge.scoring.tables import (
    SPLITS,
    TableUnreadable,
    read_studies,
    read_vertebrae,
    write_studies,
    write_vertebrae,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SHARE = st.none() | st.floats(0, 1)
CALLS = st.lists(st.sampled_from(["", "malignant", "uncertain"]), max_size=2).map(
    lambda calls: (*calls, "osteoporotic")
)
VERTEBRA = st.builds(
    VertebraRow,
    model=TEXT, study=TEXT, patient=TEXT, split=st.sampled_from(SPLITS),
    level=st.sampled_from(["T1", "L5"]),
    label=st.sampled_from(["malignant", "intact", ""]), row=st.none() | st.integers(1, 10**6),
    age=st.none() | st.floats(0, 120), contrast=st.none() | st.booleans(), scanner=TEXT,
    readings=st.dictionaries(st.sampled_from(["anna", "B. C.", "=x"]), CALLS),
    height_loss=st.none() | st.floats(-1, 1), p_malignant=SHARE,
    tier=st.sampled_from(["", "uncertain"]), reason=TEXT,
)  # fmt: skip


@examples(60)
@given(rows=st.lists(VERTEBRA, max_size=4, unique_by=lambda r: (r.model, r.study, r.level)))
def test_what_is_written_is_read_again_to_the_last_digit(
    rows: list[VertebraRow], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write_vertebrae(tmp_path_factory.mktemp("t") / "vertebrae.csv", rows)
    table = read_vertebrae(path)
    assert table.rows == tuple(rows)
    assert table.problems == ()


def test_studies_too(tmp_path: Path) -> None:
    rows = [
        StudyRow("a", "s1", "p1", "test", "malignant", "none_suspected", vertebrae=9, seconds=0.1),
        StudyRow("a", "s2", "p2", "", "", failure="No CT; choose another folder."),
    ]
    assert read_studies(write_studies(tmp_path / "cases.csv", rows)).rows == tuple(rows)


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    row = VertebraRow("=1+1", "@s", "-p", "", "T1", "", scanner="\t=2", height_loss=-0.25)
    text = write_vertebrae(tmp_path / "vertebrae.csv", [row]).read_text()
    cells = text.splitlines()[1].split(",")
    assert [cell for cell in cells if cell[:1] and cell[0] in "=+-@\t"] == ["-0.25"]


def test_a_damaged_cell_is_a_sentence_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "vertebrae.csv"
    path.write_text(
        "model;study;patient;split;level;label;age;p_malignant;row;contrast;reader_a;reader_a_2\n"
        "m;s;p;test;T5;malignant;70,5;NaN;x;maybe;malign;malignant\n"
        "m;s;p;test;T6;bad;70;1,5;3;true;uncertain;\n",
        encoding="utf-8-sig",
    )
    table = read_vertebrae(path)
    first, second = table.rows
    assert (first.age, first.p_malignant, first.row, first.contrast) == (70.5, None, None, None)
    assert first.readings == {"a": ("", "malignant")}
    assert (second.label, second.p_malignant, second.contrast) == ("", None, True)
    assert second.readings == {"a": ("uncertain",)}
    assert [(p.row, p.sentence.split()[2]) for p in table.problems] == [
        (2, "row"), (2, "contrast"), (2, "reader_a"), (2, "p_malignant"), (3, "label"),
        (3, "p_malignant"),
    ]  # fmt: skip
    assert table.problems[3].sentence == (
        "line 2: p_malignant is no number; the cell counts as empty."
    )


HEADER = "model,study,patient,split,level,label,p_osteoporotic,p_malignant\n"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("m,s,p,test,L1", "line 3 is cut off; it is left out."),
        ("m,s,p,test,T1,malignant,0.1,0.9", "says again what a line above says; it is left out."),
        ("m,t,p,Doe^Jane,T1,intact,,", "none of train, validation, test, external; it is left"),
        ("m,t,p,,T1,malignant,0.9,0.9", "p_malignant and p_osteoporotic are more than 1 together"),
    ],
)
def test_a_line_that_cant_be_is_told_and_counts_for_nothing(
    tmp_path: Path, line: str, says: str
) -> None:
    path = tmp_path / "vertebrae.csv"
    path.write_text(f"{HEADER}m,s,p,test,T1,malignant,0.2,0.8\n{line}\n", encoding="utf-8")
    first, *others = read_vertebrae(path).rows
    assert (first.study, first.p_malignant) == ("s", 0.8)
    assert [row.p_malignant for row in others] == [None] * len(others)
    (problem,) = read_vertebrae(path).problems
    assert says in problem.sentence
    assert "Doe" not in problem.sentence


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes")
def test_a_pipe_is_no_table(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "vertebrae.csv")
    with pytest.raises(TableUnreadable, match="it is not there"):
        read_vertebrae(tmp_path / "vertebrae.csv")


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", 'model,study\n"x', HEADER.replace("p_mal", "p_osteoporotic,p_mal")]
)
def test_what_is_no_table_is_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vertebrae.csv"
    path.write_text(text)
    with pytest.raises(TableUnreadable, match="run `vfx-edge evaluate` anew"):
        read_vertebrae(path)
