"""`vfx-edge evaluate` from outside: two synthetic studies from their labels to the tables."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.contract.conftest import Answer, call
from vfx_edge.scoring.figures import load_schema

FILES = {"evaluation.json", "evaluation.html", "vertebrae.csv", "cases.csv", "studies"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    made = call("phantom", "cohort", "--studies", 2, "--seed", 3, cwd=folder)
    assert made.code == 0, made
    return folder


@pytest.fixture(scope="module")
def evaluated(home: Path) -> Answer:
    return call("evaluate", "cohort", "-o", "out", cwd=home)


def told(folder: Path) -> dict[str, object]:
    text = (folder / "evaluation.json").read_text("utf-8")
    found: dict[str, object] = json.loads(text)
    Draft202012Validator(dict(load_schema())).validate(found)
    return found


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def records(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("studies/*/*.json")}


def test_every_labelled_vertebra_has_a_row_and_an_answer(home: Path, evaluated: Answer) -> None:
    assert (evaluated.code, evaluated.stderr) == (0, "")
    assert "vertebrae found" in evaluated.stdout
    assert str(Path("out") / "evaluation.html") in evaluated.stdout
    assert {path.name for path in (home / "out").iterdir()} == FILES
    labels = {(r["study"], r["level"]): r["label"] for r in rows(home / "cohort" / "labels.csv")}
    found = {(r["study"], r["level"]): r for r in rows(home / "out" / "vertebrae.csv")}
    assert labels == {key: row["label"] for key, row in found.items() if row["label"]}
    seen = [found[key] for key in labels if found[key]["called"]]
    assert len(seen) > 0.8 * len(labels)
    assert all(float(row["distance_mm"]) < 10 for row in seen)
    assert all(float(row["place_dice"]) > 0.7 for row in seen)
    # shape or no shape: who is asked by name answers, or says why not
    assert all(row["p_malignant"] or row["reason"] for row in seen)
    summary = told(home / "out")
    assert summary["failures"] == []


def test_a_wrong_label_shows_where_it_was_put_and_nothing_runs_again(
    home: Path, evaluated: Answer
) -> None:
    assert evaluated.code == 0
    table = rows(home / "cohort" / "labels.csv")
    broken = next(row for row in table if row["label"] in ("osteoporotic", "malignant"))
    broken["label"] = {"osteoporotic": "malignant", "malignant": "osteoporotic"}[broken["label"]]
    with (home / "wrong.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    shutil.copytree(home / "out", home / "wrong")
    before = records(home / "wrong")
    again = call("evaluate", "cohort", "-o", "wrong", "--labels", "wrong.csv", "--quiet", cwd=home)
    assert (again.code, again.stdout, again.stderr) == (0, "", "")
    assert records(home / "wrong") == before
    assert len(before) == 2
    changed = {(r["study"], r["level"]): r["label"] for r in rows(home / "wrong" / "vertebrae.csv")}
    assert changed[broken["study"], broken["level"]] == broken["label"]


def test_results_that_are_there_are_read(home: Path, evaluated: Answer) -> None:
    """`run` without options says the same of a suspected vertebra, and has the same verdict."""
    assert evaluated.code == 0
    first = rows(home / "out" / "cases.csv")[0]
    ct = next((home / "cohort" / "rawdata" / first["study"]).glob("*_ct.nii.gz"))
    out = Path("results") / first["study"]
    assert call("run", ct, "-o", out, "--outputs", "json,nifti", cwd=home).code == 0
    read = call("evaluate", "cohort", "-o", "read", "--results", "results", "--quiet", cwd=home)
    assert read.code == 0, read
    mine, other = rows(home / "read" / "cases.csv")
    same = ("study", "truth", "tier", "vertebrae", "found", "identified", "doubled", "invented")
    assert {name: mine[name] for name in same} == {name: first[name] for name in same}
    assert "--results" in other["failure"]
    places = ("level", "called", "suspected", "dice", "place_dice", "whole", "identified")
    run, ran = (
        [tuple(row[name] for name in places) for row in rows(home / folder / "vertebrae.csv")
         if row["study"] == first["study"]]
        for folder in ("read", "out")
    )  # fmt: skip
    assert run == ran


@pytest.mark.parametrize(
    ("words", "code"),
    [(("absent", "-o", "x"), 3), (("cohort", "-o", "x", "--split", "tset"), 2),
     (("cohort", "-o", "x", "--predictions", "him=cohort/README.md"), 3),
     (("cohort", "-o", "cohort/labels.csv"), 6)],
)  # fmt: skip
def test_what_cant_be_done_is_one_sentence(home: Path, words: tuple[str, ...], code: int) -> None:
    call("evaluate", *words, cwd=home).assert_refused(code)


def test_where_every_study_failed_the_exit_code_tells(home: Path) -> None:
    (home / "empty").mkdir()
    told = call("evaluate", "cohort", "-o", "none", "--results", "empty", cwd=home)
    assert told.code == 3
    assert "None of the 2 studies could be scored" in told.stderr
    assert (home / "none" / "evaluation.html").is_file()
