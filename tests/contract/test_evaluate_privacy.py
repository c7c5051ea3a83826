"""Who a patient is stands in the two tables of rows, and nowhere else."""

from pathlib import Path

from tests.contract.conftest import call
from tests.labelled.folders import HEADER, write_ct

NAME = "Kanarienvogl"


def test_a_patient_is_named_in_the_rows_alone(tmp_path: Path) -> None:
    """In the column patient, in names of files and folders, and in cells that can't be read."""
    data = tmp_path / "data"
    write_ct(data / NAME / f"{NAME}.nii.gz")
    write_ct(data / f"{NAME}_ct.nii.gz")
    (data / "b.nii.gz").write_bytes(b"no CT")
    (data / "labels.csv").write_text(
        f"{HEADER},age,{NAME},reader_a\n"
        f"a,{NAME}1,{NAME}/{NAME}.nii.gz,L1,malignant,test,{NAME},{NAME},{NAME}\n"
        f"b,{NAME}2,b.nii.gz,L1,osteoporotic,test,,,malignant\n"
        f"c,{NAME}3,{NAME}_ct.nii.gz,L1,osteoporotic,test,,,malignant\n"
        f"d,{NAME}4,{NAME}.nii,L1,{NAME},test,,,\n",
        encoding="utf-8",
    )
    theirs = f"study,level,p_malignant,tier\na,L1,0.9,\n{NAME},L1,{NAME},\nc,L1,0.2,{NAME}\n"
    (tmp_path / "theirs.csv").write_text(theirs, encoding="utf-8")
    for study in ("a", "c"):
        folder = tmp_path / "results" / study
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(f'{{"schema": "{NAME}"}}', encoding="utf-8")
    given = ("--results", "results", "--predictions", "theirs=theirs.csv")
    done = call("evaluate", "data", "-o", "out", *given, cwd=tmp_path)
    assert done.code == 0, done
    assert NAME not in done.stdout + done.stderr
    found = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"evaluation.json", "evaluation.html"} <= found
    told = {
        path.name
        for path in (tmp_path / "out").rglob("*")
        if NAME in str(path.relative_to(tmp_path))
        or (path.is_file() and NAME in path.read_text("utf-8"))
    }
    assert told == {"vertebrae.csv", "cases.csv"}
