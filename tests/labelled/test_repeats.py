"""Studies that say that they repeat another one."""

from pathlib import Path

import pytest

from vfx_edge.labelled.dataset import Label, LabelledStudy, Problem, Row
from vfx_edge.labelled.reading import read_dataset
from vfx_edge.labelled.repeats import with_repeats
from vfx_edge.labelled.writing import labels_csv
from vfx_edge.study import Level


def study(number: int, name: str, patient: str = "p") -> LabelledStudy:
    rows = tuple(
        Row(number + i, name, patient, level, Label.INTACT, None)
        for i, level in enumerate((Level.L1, Level.L2))
    )
    return LabelledStudy(name, patient, Path(name), None, rows)


STUDIES = [study(2, "first"), study(4, "again"), study(6, "other", "q")]


def test_a_study_is_found_by_its_name_whatever_its_capitals() -> None:
    problems: list[Problem] = []
    found = with_repeats(STUDIES, {4: "First ", 5: "first"}, problems)
    assert [one.repeat_of for one in found] == ["", "first", ""]
    assert not problems


@pytest.mark.parametrize(
    ("cells", "row", "why"),
    [
        ({4: "elsewhere"}, 4, "no study of this name"),
        ({5: "again"}, 5, "repeat itself"),
        ({6: "first"}, 6, "different patients"),
        ({4: "first", 5: "other"}, 4, "different ones"),
    ],
)
def test_what_cannot_be_is_a_problem_of_its_row(cells: dict[int, str], row: int, why: str) -> None:
    problems: list[Problem] = []
    found = with_repeats(STUDIES, cells, problems)
    assert not any(one.repeat_of for one in found)
    (problem,) = problems
    assert problem.row == row
    assert why in problem.sentence
    assert not any(name in problem.sentence for name in ("first", "again", "elsewhere"))


def test_the_column_goes_through_a_file(tmp_path: Path) -> None:
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.dcm").write_bytes(bytes(128) + b"DICM")
    text = "study,patient,path,level,label,Repeat_of\n"
    text += "first,p,first,L1,intact,\nagain,p,again,L1,intact,first\n"
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    dataset = read_dataset(tmp_path)
    assert not dataset.problems
    assert [study.repeat_of for study in dataset.studies] == ["", "first"]
    (tmp_path / "labels.csv").write_text(labels_csv(dataset), encoding="utf-8")
    assert read_dataset(tmp_path).studies == dataset.studies
