"""labels.csv as departments save it: read, or refused in a sentence with its rows."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from tests.examples import examples
from tests.labelled.folders import HEADER, labels, verse
from vfx_edge.errors import InputError
from vfx_edge.inputs.files import PathUnreadable
from vfx_edge.labelled import errors
from vfx_edge.labelled.dataset import Dataset, Label, Split
from vfx_edge.labelled.reading import read_dataset
from vfx_edge.labelled.writing import labels_csv
from vfx_edge.vocabulary import Level

FULL = f"{HEADER},genant,age,sex,contrast,scanner,reader_anna,reader_anna_2,reader_bo"
FACTS = "one,p1,,L1,osteoporotic,train"
SECRET = "Wanda"  # stands for a name that must not be said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return verse(tmp_path_factory.mktemp("verse"), "one", "two")


def read(folder: Path, *rows: str, header: str = HEADER) -> Dataset:
    return read_dataset(labels(folder, *rows, header=header))


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_spreadsheets_save_says_the_same(
    folder: Path, coding: str, separator: str, end: str
) -> None:
    cells = [
        ["Label", "STUDY", "Patient ", "level", "Age", "scanner", "Reader-Anna", ""],
        ["Osteoporotisch", "one", "p1", "LWK1", "69,5", 'Röntgen, "Süd"', "unsicher", ""],
        [],
        ["intact lesion", "one", "p1", "Th12", "069Y", "n/a", "-", ""],
    ]
    text = end.join(
        separator.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells
    )
    text = f"sep={separator}{end}{text}{end}" if coding == "utf-8" else text
    (folder / "labels.csv").write_bytes(text.encode(coding))
    found = read_dataset(folder)
    assert [p.row for p in found.problems] == [None]  # of the other study's CT
    first, second = found.studies[0].rows
    assert (first.number, first.level, first.label) == (2, Level.L1, Label.OSTEOPOROTIC)
    assert (first.facts.age, first.facts.scanner) == (69.5, 'Röntgen, "Süd"')
    assert first.readings == {"anna": ("uncertain",)}
    assert (second.number, second.level, second.label) == (4, Level.T12, Label.INTACT_LESION)
    assert (second.facts.age, second.facts.scanner) == (69.0, "")


@pytest.mark.parametrize(
    ("column", "cells", "value"),
    [
        ("level", ("t12", "Th12", "BWK 12", "D12", " T 12 ", "vertebra_T12"), Level.T12),
        ("label", ("Malignant", "MALIGNE", "pathological"), Label.MALIGNANT),
        ("label", ("intact-lesion", "Intakte Läsion"), Label.INTACT_LESION),
        ("split", ("val", "Validation"), Split.VALIDATION),
        ("split", ("", "-", "NaN", "n/a"), None),
        ("genant", ("2", "2,0", "2.0", "Grad 2", "grade_2"), 2),
        ("age", ("69", "69,0", "69.0", "069Y", "69 years", "69 Jahre"), 69.0),
        ("age", ("018M",), 1.5),
        ("sex", ("F", "w", "Female", "weiblich"), "F"),
        ("contrast", ("yes", "ja", "TRUE", "1", "portal venous"), True),
        ("contrast", ("no", "Nein", "0", "none", "nativ"), False),
        ("contrast", ("", "NaN", "unknown"), None),
    ],
)
def test_words_of_departments(
    folder: Path, column: str, cells: tuple[str, ...], value: object
) -> None:
    for cell in cells:
        row = dict(zip(HEADER.split(","), FACTS.replace("L1", "T12").split(","), strict=True))
        row[column] = f'"{cell}"'
        (study,) = read(folder, ",".join(row.values()), header=",".join(row)).studies
        known = study.rows[0]
        assert getattr(known if column in HEADER else known.facts, column) == value, cell


@pytest.mark.parametrize(
    ("column", "cell", "kept"),
    [
        *(("level", cell, False) for cell in ("L7", "S1", "L1-L2", "20", "", SECRET)),
        *(("label", cell, False) for cell in ("fracture", "", "benign", "?")),
        *(("split", cell, False) for cell in ("3", SECRET)),
        *((name, "NaN", False) for name in ("study", "patient")),
        ("scanner", "x" * 300, True),
        *(("genant", cell, True) for cell in ("4", "-1", "0,5", "inf", SECRET)),
        *(("age", cell, True) for cell in ("old", "690", "1e1", "-3", SECRET)),
        *(("sex", cell, True) for cell in ("1", SECRET)),
        *(("contrast", cell, True) for cell in ("2", SECRET)),
        *(("reader_anna", cell, True) for cell in ("intact", SECRET)),
    ],
)
def test_a_cell_that_cannot_be_read_is_told_by_row_and_column(
    folder: Path, column: str, cell: str, kept: bool
) -> None:
    row = dict.fromkeys(FULL.split(","), "")
    row |= zip(HEADER.split(","), FACTS.split(","), strict=True)
    row[column] = f'"{cell}"'
    found = read(folder, ",".join(row.values()), "two,p2,,L1,malignant,test", header=FULL)
    (problem,) = (p for p in found.problems if p.row is not None)
    assert problem.row == 2
    assert f"The column {column} can't be read" in problem.sentence
    assert problem.sentence.endswith("." if kept else "the row was left out.")
    assert SECRET not in problem.sentence
    assert [study.name for study in found.studies] == (["one", "two"] if kept else ["two"])


def test_a_decimal_comma_without_quotation_marks_does_not_shift_cells(folder: Path) -> None:
    header = f"{HEADER},age,sex"
    found = read(folder, f"{FACTS},69,5,F", "two,p2,,L1,intact,test,70,M", header=header)
    assert [(p.row, "decimal comma" in p.sentence) for p in found.problems][-1] == (2, True)
    assert [study.name for study in found.studies] == ["two"]


def test_readings_by_reader_and_number_with_gaps_that_are_no_problem(folder: Path) -> None:
    found = read(
        folder, f"{FACTS},,,,,,malignant,,uncertain", "two,p2,,L1,malignant,test", header=FULL
    )
    assert found.problems == ()
    first, second = (study.rows[0].readings for study in found.studies)
    assert first == {"anna": ("malignant", ""), "bo": ("uncertain",)}
    assert second == {"anna": ("", ""), "bo": ("",)}


def test_rows_that_say_the_same_and_columns_that_nobody_knows(folder: Path) -> None:
    header = f"{HEADER},{SECRET},remark"
    found = read(folder, FACTS, FACTS, "two,P1,,L1,intact,", header=header)
    assert [study.split for study in found.studies] == [Split.TRAIN, Split.TRAIN]
    about_all, again = found.problems
    assert "G, H" in about_all.sentence
    assert (again.row, "row 2" in again.sentence) == (3, True)
    assert SECRET not in about_all.sentence


def test_labels_against_genant_and_sex(folder: Path) -> None:
    rows = ["one,p1,,L1,intact,train,2,F", "one,p1,,L2,malignant,train,0,M"]
    found = read(folder, *rows, "one,p1,,T12,intact,train,0,F", header=f"{HEADER},genant,sex")
    told = [(p.row, "genant" in p.sentence, "sex" in p.sentence) for p in found.problems if p.row]
    assert told == [(2, True, False), (3, True, False), (3, False, True)]
    assert len(found.studies[0].rows) == 3


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        (("a,Wanda,,L1,intact,train", "b,wanda,,L1,intact,test"),
         errors.PatientInTwoSplits, "rows 2 and 3 belong to one patient in more than one split"),
        (("a,W,,L1,intact,train", "a,w,,L2,intact,", "b,W,,L1,intact,test", "b,W,,T9,intact,test"),
         errors.PatientInTwoSplits, "(train: row 2; test: rows 4 and 5): put each patient"),
        (("one,p,,L1,intact,", "one,p,,L2,intact,", "ONE,p,,LWK1,malignant,"),
         errors.LabelledTwice, "rows 2 and 4 give one vertebra"),
        (("one,Wanda,,L1,intact,", "one,Q,,L2,intact,"), errors.StudyOfTwoPatients, "rows 2 and 3"),
        (("one,p,a,L1,intact,", "one,p,b,L2,intact,"), errors.StudyOfTwoPaths, "rows 2 and 3"),
        (("one,p,rawdata/sub-one/sub-one_ct.nii.gz,L1,intact,",
          "x,q,./rawdata/sub-one/sub-one_ct.nii.gz,L2,intact,"),
         errors.CtOfTwoPatients, "rows 2 and 3 name one CT, or copies"),
        ((), errors.NoUsableRow, "it has no rows"),
        (("one,p,,L9,intact,",), errors.NoUsableRow, "row 2: The column level can't be read"),
    ],
)  # fmt: skip
def test_contradictions_end_it_with_the_rows_and_no_name(
    folder: Path, rows: tuple[str, ...], error: type[InputError], words: str
) -> None:
    with pytest.raises(error) as raised:
        read(folder, *rows)
    assert words in str(raised.value)
    assert "anda" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"PK\x03\x04\x14\0", errors.NotALabelFile, "an .xlsx workbook"),
        (b"\xd0\xcf\x11\xe0\xa1", errors.NotALabelFile, "an .xls workbook"),
        (b"study,patient,level\n", errors.ColumnsMissing, "lacks the columns label:"),
        (b"Wanda,p,L1,intact\n", errors.ColumnsMissing, "study, patient, level, label"),
        (b"", errors.ColumnsMissing, "study"),
        (b"study,patient,level,label,Label\n", errors.NotALabelFile, "columns D and E"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", errors.NotALabelFile, "save the sheet as CSV"),
    ],
)
def test_what_is_no_table_of_labels(
    folder: Path, content: bytes, error: type[InputError], words: str
) -> None:
    (folder / "labels.csv").write_bytes(content)
    with pytest.raises(error) as raised:
        read_dataset(folder)
    assert words in str(raised.value)
    assert "Wanda" not in str(raised.value)


def test_a_folder_in_the_place_of_the_table(folder: Path) -> None:
    with pytest.raises(PathUnreadable):
        read_dataset(folder, folder / "rawdata")


CELLS = st.sampled_from(
    ["one", "two", "p1", "p2", "L1", "T12", "L9", "intact", "malignant", "train", "test", "", "NaN",
     "1,5", '"', "../..", "/", "\\", "a\nb", "..", "rawdata", "\ufeff", "x" * 300, "é", "0", "-1",
     "rawdata/sub-one", "derivatives/sub-two/sub-two_seg-vert_msk.nii.gz"]
) | st.text(max_size=8)  # fmt: skip


@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(CELLS, max_size=9), max_size=5), separator=st.sampled_from(",;\t"))
def test_any_cells_give_a_dataset_or_a_sentence(
    folder: Path, rows: list[list[str]], separator: str
) -> None:
    lines = [HEADER.split(","), *rows]
    text = "\n".join(separator.join(f'"{c}"' for c in line) for line in lines)
    _dataset_or_sentence(folder, text.encode("utf-8", "replace"))


@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=120) | st.text(max_size=120).map(lambda t: t.encode("utf-16")))
@example(content=HEADER.encode() + b"\n" + FACTS.encode() + b'\n"')
def test_any_bytes_give_a_dataset_or_a_sentence(folder: Path, content: bytes) -> None:
    _dataset_or_sentence(folder, content)
    _dataset_or_sentence(folder, HEADER.encode() + b"\n" + content)


def _dataset_or_sentence(folder: Path, content: bytes) -> None:
    (folder / "labels.csv").write_bytes(content)
    studies, said = 0, "."
    try:
        studies = len(read_dataset(folder).studies)
    except InputError as error:
        said = str(error)
    assert said.endswith(".")
    assert studies or said != "."


def test_what_is_written_is_read_back(folder: Path) -> None:
    readings = ",malignant,uncertain,", ",,,osteoporotic"
    found = read(
        folder,
        f'{FACTS},2,"69,5",f,yes,"A ""b"", c"{readings[0]}',
        f"two,p2,,L2,excluded,,,,,no,{readings[1]}",
        header=FULL,
    )
    text = labels_csv(found)
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    assert read_dataset(folder).studies == found.studies
    assert "rawdata/sub-one/sub-one_ct.nii.gz" in text


def test_a_patient_has_one_spelling(folder: Path) -> None:
    """Whoever counts patients, or splits by them, meets each once."""
    dataset = read(folder, "one,Ab,,L1,intact,", "two,aB,,L1,intact,")
    assert {study.patient for study in dataset.studies} == {"Ab"}
    assert {row.patient for study in dataset.studies for row in study.rows} == {"Ab"}
