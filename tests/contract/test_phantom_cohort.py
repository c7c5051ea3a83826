"""`vfx-edge phantom DIR --studies N`: a labelled cohort that `labelled` reads."""

from pathlib import Path

import pytest

from tests.contract.conftest import Command
from vfx_edge.labelled.reading import read_dataset
from vfx_edge.phantom.cohort import draw_cohort, readings


def test_a_cohort_is_read_without_a_problem_and_more_studies_only_add(
    vfx: Command, tmp_path: Path
) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for folder, count in ((a, 1), (b, 2)):
        asked = ("--studies", str(count), "--seed", "3", "--levels", "T12-L2")
        assert vfx("phantom", folder, *asked).code == 0
    images = [path for path in a.glob("*/*/*") if path.is_file()]
    assert len(images) == 3
    assert all(path.read_bytes() == (b / path.relative_to(a)).read_bytes() for path in images)
    labels = (a / "labels.csv").read_text("utf-8")
    assert (b / "labels.csv").read_text("utf-8").startswith(labels)
    assert "2 synthetic CT" in (b / "README.md").read_text("utf-8")
    found = read_dataset(b)
    assert found.problems == ()
    drawn = draw_cohort(2, 3, ("T12", "L2"))
    assert [{row.level: row.label for row in study.rows} for study in found.studies] == [
        study.labels for study in drawn
    ]
    assert all(study.mask and study.centres and study.split for study in found.studies)
    said = [row.readings for study in found.studies for row in study.rows if row.label.fractured]
    assert said == [answers for study in drawn for answers in readings(study).values()]
    vfx("phantom", a, *asked).assert_refused(2)  # its images are not written over


@pytest.mark.parametrize("words", [("--slices", "9"), ("--levels", "L4-L5"), ("--seed", "-1")])
def test_what_makes_no_cohort_is_wrong_usage(
    vfx: Command, tmp_path: Path, words: tuple[str, str]
) -> None:
    vfx("phantom", tmp_path / "out", "--studies", "2", *words).assert_refused(2)
    assert not (tmp_path / "out").exists()
