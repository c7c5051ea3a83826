"""Clinical data of many studies: each has its own, and only what changed is done again."""

import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from tests.batch.played_batch import asked, folder_of, wanted
from vfx_edge.batch.clinical import ClinicalTableUnusable, read_clinical_table
from vfx_edge.batch.run import OtherBatch, Wanted, run
from vfx_edge.batch.studies import Study
from vfx_edge.fracture_task import Options
from vfx_edge.manifest import load_model_set
from vfx_edge.study import Clinical

SET = load_model_set("default")


def written(folder: Path, text: str, name: str = "clinical.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def studies(folder: Path) -> tuple[Study, ...]:
    """Two by themselves, and two in one folder."""
    mixed = folder / "mixed"
    return (
        Study("1.2.3", folder / "a" / "series"),
        Study("scan-0123456789ab", folder / "b.nii.gz"),
        Study("1.2.4", mixed, (mixed / "1",)),
        Study("1.2.5", mixed, (mixed / "2",)),
    )


@pytest.mark.parametrize(
    "text",
    [
        "study,age,sex,known_tumour\n1.2.3,71,f,no\nscan-0123456789AB,60,,yes\n",
        "Study;Path;Age;Sex;Known tumour\n;a;71,0;weiblich;nein\nmine;b.nii.gz;060Y;O;ja\n",
        "path,level,label,age,sex,known_tumour\na,L1,malignant,71,F,no\na,L2,intact,71,,\n"
        "b.nii.gz,L1,osteoporotic,60,,yes\n",
    ],
)
def test_rows_name_studies_by_either_column_in_the_words_of_labels_csv(
    tmp_path: Path, text: str
) -> None:
    told = read_clinical_table(written(tmp_path, text)).of(studies(tmp_path))
    assert told.by_study == {
        "1.2.3": Clinical(71.0, "f", known_tumour=False),
        "scan-0123456789ab": Clinical(60.0, None, known_tumour=True),
    }
    assert told.strangers == 0
    assert "71" not in repr(told)


def test_a_name_and_a_path_of_two_studies_are_refused(tmp_path: Path) -> None:
    told = read_clinical_table(written(tmp_path, "study,path,age\n1.2.3,b.nii.gz,71\n"))
    with pytest.raises(ClinicalTableUnusable, match="the path of another"):
        told.of(studies(tmp_path))


def test_a_path_may_be_written_with_the_accents_apart(tmp_path: Path) -> None:
    (there := tmp_path / "Über").mkdir()
    apart = unicodedata.normalize("NFD", there.name)
    told = read_clinical_table(written(tmp_path, f"path,age\n{apart},71\n"))
    assert told.of((Study("1.2.3", there),)).by_study == {"1.2.3": Clinical(71.0)}


def test_what_two_rows_say_differently_is_not_known_and_strangers_are_counted(
    tmp_path: Path,
) -> None:
    table = "study,age,sex\n1.2.3,71,f\n1.2.3,72,f\n1.2.9,50,m\nnobody,50,m\n"
    told = read_clinical_table(written(tmp_path, table)).of(studies(tmp_path))
    assert told.by_study == {"1.2.3": Clinical(None, "f")}
    assert told.strangers == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("study,age\n1.2.3,SECRET\n", "row 2, column age"),
        ("study,known_tumour\n1.2.3,no\n1.2.4,SECRET\n", "row 3, column known_tumour"),
        ("study,age,sex\n1.2.3,71,5,f\n", "row 2 has more cells"),
        ("study,patient\n1.2.3,SECRET\n", "no row names a study and a fact"),
        ("age,sex\n71,f\n", "no row names a study and a fact"),
        ("study,age\n", "it has no rows"),
        ("study,age,age\n1.2.3,71,72\n", "the same name"),
        ("", "it has no rows"),
    ],
)
def test_a_table_that_cant_be_trusted_is_refused_without_quoting_it(
    tmp_path: Path, text: str, why: str
) -> None:
    with pytest.raises(ClinicalTableUnusable, match=why) as refused:
        read_clinical_table(written(tmp_path, text))
    assert "SECRET" not in str(refused.value)


def test_a_path_of_several_studies_is_refused(tmp_path: Path) -> None:
    """They may be of different patients."""
    table = read_clinical_table(written(tmp_path, "path,age\nmixed,71\n"))
    with pytest.raises(ClinicalTableUnusable, match="several studies lie at the path of row 2"):
        table.of(studies(tmp_path))


def test_only_studies_whose_data_changed_are_done_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    found = folder_of(data, {"a": "is good", "b": "is good"})
    a, b = (study.name for study in sorted(found.studies, key=lambda one: one.path))
    batch = wanted(tmp_path / "out", clinical={a: Clinical(71.625), b: Clinical(60.0)})
    run(found, SET, batch)
    assert _told(batch, b) == repr(Clinical(60.0))
    run(found, SET, replace(batch, clinical={a: Clinical(71.625), b: Clinical(61.0)}))
    assert asked(data) == {"a": 1, "b": 2}
    assert _told(batch, b) == repr(Clinical(61.0))
    assert "71.625" not in (batch.out / "batch.json").read_text("utf-8")


@pytest.mark.parametrize(
    ("more", "differs"),
    [
        ({"options": Options(signs=True)}, "signs"),
        ({"options": Options(explain=True)}, "explain"),
        ({"clinical": {}}, "clinical data"),
    ],
)
def test_other_options_are_another_batch(
    tmp_path: Path, more: dict[str, object], differs: str
) -> None:
    nothing = folder_of(tmp_path / "data", {"a": "is good"})
    nothing = replace(nothing, studies=())
    run(nothing, SET, wanted(tmp_path / "out"))
    with pytest.raises(OtherBatch, match=differs):
        run(nothing, SET, wanted(tmp_path / "out", **more))


def _told(batch: Wanted, name: str) -> str:
    return (batch.out / "studies" / name / "told.txt").read_text("utf-8")
